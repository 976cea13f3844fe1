// SPF (RFC 7208): whether a client may use a HELO name or a sender address, judged from DNS answers that are at hand.
#pragma once

#include <cstdint>
#include <string>

#include "auth/core/dns_facts.hpp"
#include "auth/core/results.hpp"
#include "smtp/names/ip_address.hpp"

namespace auth {

struct SpfRequest {
  smtp::IpAddress client;
  std::string helo;      ///< as sent; may be an address literal or nonsense
  std::string mail_from; ///< without <>; empty: the null reverse-path
  std::string receiver;  ///< our host name, for %{r}
  std::int64_t now = 0;  ///< Unix seconds, for %{t}
};

/// One evaluation of check_host() (RFC 7208 section 4) with libspf2. Never blocks; may run in several threads at once,
/// each with its own facts. The verdict is preliminary while facts.missing() is not empty afterwards: it then says
/// temperror, or fail when only the explanation is missing. One evaluation uses at most 30 answers, and notes more than
/// one missing answer at a time only while the facts and the missing ones are fewer than 24.
[[nodiscard]] SpfVerdict check_spf_helo(const SpfRequest &request, DnsFacts &facts);
/// The same for MAIL FROM; for the null reverse-path it checks postmaster@HELO (RFC 7208 section 2.4).
[[nodiscard]] SpfVerdict check_spf_mail_from(const SpfRequest &request, DnsFacts &facts);

} // namespace auth
