// SPF: see the header. Which identity is checked, and whether there is a domain to check at all (RFC 7208
// sections 2.3, 2.4, 4.3).
#include "auth/spf/spf.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "auth/spf/evaluation.hpp"
#include "smtp/base/text.hpp"
#include "smtp/names/domain.hpp"

namespace auth {

namespace {

/// Octets of a local part and of a HELO name that macros get to see; SMTP allows 64 and 255 (RFC 5321 section 4.5.3.1).
constexpr std::size_t value_limit = 256;

/// The <domain> of check_host(): as sent, without a final dot, in A-labels. Nothing when it is malformed or has one
/// label only (section 4.3), so that the result is none. "192.0.2.1" is not a domain either.
std::optional<std::string> parse_domain(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  std::string domain(text);
  if (!smtp::is_ascii(text)) {
    const auto parsed = smtp::Domain::parse(text);
    if (!parsed) return std::nullopt;
    domain = parsed->ascii();
  }
  if (!can_be_asked(domain) || domain.find_first_of(" @[]<>()\"") != std::string::npos) return std::nullopt;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (std::all_of(domain.begin() + static_cast<std::ptrdiff_t>(domain.rfind('.')) + 1, domain.end(), is_digit))
    return std::nullopt;
  return domain;
}

SpfVerdict check(const SpfRequest &request, DnsFacts &facts, std::string_view local_part, std::string_view host) {
  const auto domain = parse_domain(host);
  if (!domain) {
    SpfVerdict verdict;
    verdict.domain = smtp::to_lower(host.substr(0, value_limit));
    verdict.reason = host.empty() ? "no domain" : "not a domain name: " + smtp::escape(host);
    return verdict;
  }
  MacroValues values{.local_part = std::string(local_part.substr(0, value_limit)),
                     .sender_domain = *domain,
                     .current_domain = {},
                     .client = request.client,
                     .validated_name = {},
                     .helo = request.helo.substr(0, value_limit),
                     .receiver = request.receiver,
                     .now = request.now};
  return SpfEvaluation(std::move(values), facts).run(*domain);
}

} // namespace

SpfVerdict check_spf_helo(const SpfRequest &request, DnsFacts &facts) {
  return check(request, facts, "postmaster", request.helo);
}

SpfVerdict check_spf_mail_from(const SpfRequest &request, DnsFacts &facts) {
  if (request.mail_from.empty()) return check_spf_helo(request, facts);
  const std::string_view sender = request.mail_from;
  const auto at = sender.rfind('@');
  if (at == std::string_view::npos) return check(request, facts, "postmaster", sender); // section 4.3
  const std::string_view local_part = sender.substr(0, at);
  return check(request, facts, local_part.empty() ? "postmaster" : local_part, sender.substr(at + 1));
}

} // namespace auth
