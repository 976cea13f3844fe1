// ReportUri: where a domain wants its reports, read from one URI of a rua tag (RFC 9989 section 4.6, RFC 3986, RFC
// 6068).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.hpp"
#include "smtp/names/mailbox.hpp"

namespace mta {

/// A mailto URI with one mailbox at a domain.
struct ReportUri {
  smtp::Mailbox mailbox;
  /// RFC 7489 section 6.2: "!10m" behind the URI, in octets. RFC 9989 section 4.8 has it obsolete.
  std::optional<std::uint64_t> size_limit;
  friend bool operator==(const ReportUri &, const ReportUri &) = default;
};

/// obs-dmarc-uri = dmarc-uri [ "!" 1*DIGIT [ "k" / "m" / "g" / "t" ] ]
///
/// Errors: bad_syntax (no mailto URI, no mailbox, a bad size, several mailboxes, an address literal); the header fields
/// of a mailto URI ("?subject=…") are passed over.
[[nodiscard]] smtp::Result<ReportUri> parse_report_uri(std::string_view text);

} // namespace mta
