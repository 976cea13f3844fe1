// The MIME fields of one part, and its transfer encoding undone; the only place that knows GMime.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace mta {

/// What Content-Type and Content-Disposition say (RFC 2045, 2183, 2231). Texts are one line of valid UTF-8.
struct MimeFields {
  std::string type = "text/plain"; ///< lower case
  std::string boundary;            ///< as it stands; empty: none
  std::string name;                ///< of the attachment; empty: none
};

/// GMime is given single fields only, each bounded by the caller: its parser of whole messages overflows the stack on
/// nested address groups, and takes minutes for some messages of a few MiB.
[[nodiscard]] MimeFields parse_mime_fields(const std::string &content_type, const std::string &disposition);
/// RFC 2047 encoded words decoded; one line of valid UTF-8, at most `limit` octets.
[[nodiscard]] std::string decode_header_text(const std::string &value, std::size_t limit);

/// Content-Transfer-Encoding undone, for octets that come in pieces. What is no octet of the encoding is passed over.
class TransferDecoder {
public:
  /// base64, quoted-printable, x-uuencode; anything else is taken as it is.
  explicit TransferDecoder(const std::string &encoding);
  ~TransferDecoder();
  TransferDecoder(TransferDecoder &&) noexcept;
  TransferDecoder &operator=(TransferDecoder &&) noexcept;
  /// Appends what the octets stand for to `out`.
  void decode(std::string_view octets, std::string &out);

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace mta
