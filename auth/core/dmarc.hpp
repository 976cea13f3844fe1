// check_dmarc: whether a message is what its From claims, and what the owner of that domain wants of it (RFC 9989).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/dmarc_record.hpp"
#include "auth/core/dns_facts.hpp"
#include "auth/core/from_field.hpp"
#include "auth/core/results.hpp"

namespace auth {

/// What several author domains mean. RFC 9989 section 5.3.1: validation is not possible and ends (permerror), unless a
/// receiver goes forward as section 11.5 says: each domain is checked and the strictest of the failures counts.
enum class SeveralAuthors : std::uint8_t { stop, check_each };

struct DmarcOptions {
  SeveralAuthors several_authors = SeveralAuthors::stop;
  bool accept_partial_body = false; ///< a signature whose l= leaves octets of the body out counts as aligned
  bool accept_testing_keys =
      true; ///< a pass by a key with t=y counts (RFC 6376 section 3.6.1 would have it as unsigned)
};

/// Views: what they refer to must outlive the call.
struct DmarcRequest {
  const AuthorDomains &authors;
  const SpfVerdicts &spf; ///< only the MAIL FROM identity counts (RFC 9989 section 4.4.2)
  std::span<const DkimVerdict> dkim;
  DmarcOptions options = {};
};

/// More author domains than this are permerror, also with check_each (RFC 9989 section 11.5).
inline constexpr std::size_t most_author_domains = 4;
/// Signatures whose domains are looked at, in their order.
inline constexpr std::size_t most_dmarc_signatures = 16;

/// Preliminary while facts.missing() is not empty. Never blocks. The result:
/// - permerror: no usable author domain; `reason` says why, `domain` is empty;
/// - temperror: the DNS failed where it could change the result. `policy` and `policy_domain` are set if they are
/// known;
/// - none: no record applies. spf_aligned and dkim_aligned are set nevertheless;
/// - pass, fail.
[[nodiscard]] DmarcVerdict check_dmarc(const DmarcRequest &request, DnsFacts &facts);

/// `policy` with t=y applied: one step down (RFC 9989 section 4.7).
[[nodiscard]] DmarcPolicy lower_policy(DmarcPolicy policy) noexcept;

} // namespace auth
