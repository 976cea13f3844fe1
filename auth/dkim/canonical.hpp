// Canonicalisation of header fields and bodies, simple and relaxed, as DKIM and ARC hash them (RFC 6376 section 3.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "auth/core/header_fields.hpp"

namespace auth {

enum class Canonical : std::uint8_t { simple, relaxed };

/// "simple", "relaxed".
[[nodiscard]] std::string_view to_string(Canonical canonical) noexcept;

/// Appends the canonical form of one field, with its final CRLF. For the signature field itself the caller removes that
/// CRLF (section 3.7) and the value of b= (without_signature).
void append_canonical_field(Canonical canonical, const HeaderField &field, std::string &out);
/// The same for a field in two parts: `value` is all behind the colon, without a final CRLF.
void append_canonical_field(Canonical canonical, std::string_view name, std::string_view value, std::string &out);

/// Where canonical octets go.
class OctetSink {
public:
  OctetSink() = default;
  OctetSink(const OctetSink &) = default;
  OctetSink &operator=(const OctetSink &) = default;
  virtual ~OctetSink() = default;
  virtual void write(std::string_view octets) = 0;
};

/// Canonicalises a body that comes in pieces, in constant memory. Lines end in CRLF; a bare CR or LF is an octet of its
/// line like any other.
class BodyCanonicaliser {
public:
  /// `limit` is l=: no octet beyond it reaches the sink. The sink must outlive this object's use.
  explicit BodyCanonicaliser(Canonical canonical, std::optional<std::uint64_t> limit = std::nullopt);

  void write(std::string_view octets, OctetSink &sink);
  /// The body is complete.
  void end(OctetSink &sink);
  /// Octets of the canonical body so far, those beyond the limit counted too; the whole only behind end().
  [[nodiscard]] std::uint64_t length() const noexcept { return length_; }

private:
  void simple(std::string_view octets, OctetSink &sink);
  void relaxed(std::string_view octets, OctetSink &sink);
  void put(std::string_view octets, OctetSink &sink);
  void white(char octet, OctetSink &sink);
  void put_held_lines(OctetSink &sink);
  void put_held_space(OctetSink &sink);
  void flush(OctetSink &sink);

  Canonical canonical_;
  std::optional<std::uint64_t> limit_;
  std::uint64_t length_ = 0;
  std::uint64_t held_lines_ = 0; ///< line ends not yet written: the body may end with them
  bool held_space_ = false;      ///< relaxed: white space not yet written: its line may end
  bool held_cr_ = false;         ///< a CR at the end of a piece
  std::string buffer_;           ///< short runs on their way to the sink; its size never changes once it is used
  std::size_t used_ = 0;         ///< octets in it
};

} // namespace auth
