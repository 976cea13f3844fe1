// HeaderFields: a header section cut into its fields, each as it was sent (RFC 5322 section 2.2).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace auth {

/// One field. Views into the text that HeaderFields was made of.
struct HeaderField {
  std::string_view name;  ///< as sent, without white space before the colon (obsolete syntax)
  std::string_view value; ///< all behind the colon, folds included, without the final CRLF
  std::string_view text;  ///< the whole field with its final CRLF
};

/// Owns a copy of the header section. Lines end in CRLF; the empty line that ends the section may be there. A line that
/// is not a field and no continuation ends the section, as HeaderScanner has it.
class HeaderFields {
public:
  explicit HeaderFields(std::string section);
  HeaderFields(const HeaderFields &) = delete;
  HeaderFields &operator=(const HeaderFields &) = delete;

  /// From the top down.
  [[nodiscard]] const std::vector<HeaderField> &all() const noexcept { return fields_; }
  /// All with this name, whatever its case, from the top down.
  [[nodiscard]] std::vector<const HeaderField *> named(std::string_view name) const;
  [[nodiscard]] const std::string &section() const noexcept { return section_; }

private:
  const std::string section_;
  std::vector<HeaderField> fields_;
};

/// The value with its folds undone (each CRLF in front of white space removed) and white space at both ends removed.
[[nodiscard]] std::string unfold(std::string_view value);

} // namespace auth
