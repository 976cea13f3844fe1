// TagWriter: writes a header field of tags, folded so that its canonical form is the same however it is folded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace auth {

/// Tags are parted by "; ": folds stand only where that space is, between the names of a list too long for a line, and
/// inside the last value (b=) or where the caller's canonicalisation drops them.
class TagWriter {
public:
  /// Begins with "NAME:".
  explicit TagWriter(std::string_view field_name);

  void tag(std::string_view name, std::string_view value);
  /// A value of names parted by ':'. A list over `fold_over` octets is folded behind colons.
  void list(std::string_view name, const std::vector<std::string> &names, std::size_t fold_over);
  /// A place for a signature: value() is without it.
  void signature_tag(std::string_view name);

  /// Behind the colon, with an empty signature, without a final CRLF: what is hashed.
  [[nodiscard]] const std::string &value() const noexcept { return value_; }
  [[nodiscard]] std::string_view field_name() const noexcept { return name_; }
  /// The whole field with this base64 in its place and the final CRLF. The signature is folded to short lines, or kept
  /// whole: a later seal hashes its folds.
  enum class SignatureFolds : std::uint8_t { short_lines, none };
  [[nodiscard]] std::string field(std::string_view signature, SignatureFolds folds) const;

private:
  void begin_tag(std::size_t width);

  std::string name_;
  std::string value_;
  std::size_t line_ = 0;      ///< octets on the last line
  std::size_t signature_ = 0; ///< where the signature goes in value_
};

} // namespace auth
