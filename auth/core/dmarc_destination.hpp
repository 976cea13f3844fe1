// judge_destination: whether a report may go to a URI outside of the domain that asks for it (RFC 9990 section 3; RFC
// 7489 section 7.1).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/dmarc_record.hpp"
#include "auth/core/dns_facts.hpp"

namespace auth {

enum class DestinationStatus : std::uint8_t {
  internal,  ///< the same Organizational Domain: nothing to ask
  allowed,   ///< the destination's domain agrees
  refused,   ///< it does not
  temporary, ///< the DNS failed: ask again later
};

struct DestinationVerdict {
  DestinationStatus status = DestinationStatus::refused;
  std::vector<DmarcUri> uris; ///< where to send: the URI asked about, or what the destination's record has instead;
                              ///< empty unless internal or allowed
  std::string reason;         ///< for people, printable ASCII
  [[nodiscard]] bool may_send() const noexcept { return !uris.empty(); }
};

/// "POLICYDOMAIN._report._dmarc.HOST".
[[nodiscard]] std::string destination_name(std::string_view policy_domain, std::string_view host);

/// `policy_domain` is where the record was found (DmarcVerdict::policy_domain). Preliminary while facts.missing() is
/// not empty. A URI without a host is refused.
[[nodiscard]] DestinationVerdict judge_destination(std::string_view policy_domain, const DmarcUri &uri,
                                                   DnsFacts &facts);

} // namespace auth
