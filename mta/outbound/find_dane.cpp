#include "mta/outbound/find_dane.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "tls/dane.hpp"

namespace mta {

using State = policy::DaneFacts::State;

namespace {

/// What one answer says; nothing: the next candidate is to be asked.
std::optional<policy::DaneFacts> read_answer(smtp::DnsAnswer<smtp::TlsaRecord> &answer, const std::string &base) {
  policy::DaneFacts facts;
  facts.base_domain = base;
  facts.ttl = answer.ttl;
  if (answer.status == smtp::DnsStatus::temporary) {
    // RFC 7672 section 2.1.1: whoever can block the answer could else switch DANE off.
    facts.state = State::failed;
    facts.detail = fmt::format("the TLSA records of {} cannot be looked up now: {}", base, answer.detail);
    return facts;
  }
  if (answer.status != smtp::DnsStatus::ok) return std::nullopt;
  if (answer.trust != smtp::DnsTrust::secure) {
    facts.state = State::insecure;
    facts.detail = fmt::format("the TLSA records of {} are not signed", base);
    return facts;
  }
  facts.records = std::move(answer.records);
  facts.unusable_records = static_cast<std::size_t>(std::count_if(
      facts.records.begin(), facts.records.end(), [](const auto &record) { return !tls::is_usable(record); }));
  const bool usable = facts.unusable_records < facts.records.size();
  facts.state = usable ? State::usable : State::unusable;
  if (!usable)
    facts.detail = fmt::format("none of the {} TLSA records of {} can be used for SMTP", facts.records.size(), base);
  return facts;
}

policy::DaneFacts without_records(State state, std::string detail) {
  policy::DaneFacts facts;
  facts.state = state;
  facts.detail = std::move(detail);
  return facts;
}

} // namespace

Task<policy::DaneFacts> find_dane(Resolver &resolver, DaneQuestion question) {
  const NextHost &host = question.host;
  if (host.address) co_return without_records(State::off, "the host is an address");
  // Section 2.2.1: the name of a host from an insecure MX answer may be forged, and its TLSA records prove nothing.
  if (question.trust != policy::NameTrust::dnssec && question.trust != policy::NameTrust::configured)
    co_return without_records(State::insecure, "the MX answer is not signed");
  // Section 2.2.2: no question for hosts outside of signed zones; their servers may not even answer it.
  const bool is_alias = !question.addresses.canonical_name.empty() && question.addresses.canonical_name != host.name;
  std::vector<std::string> bases;
  if (question.addresses.secure) {
    if (is_alias) bases.push_back(question.addresses.canonical_name);
  } else {
    // Section 2.2.2: an alias that is itself signed but leads out of the signed zones: its own name is the only base.
    smtp::DnsAnswer<std::string> alias;
    if (is_alias) {
      auto answer = co_await resolver.cname(host.name);
      alias = std::move(answer);
    }
    if (is_alias && alias.status == smtp::DnsStatus::temporary) {
      auto failed = without_records(State::failed,
                                    fmt::format("the alias {} cannot be looked up now: {}", host.name, alias.detail));
      failed.base_domain = host.name;
      co_return failed;
    }
    if (!is_alias || alias.status != smtp::DnsStatus::ok || alias.trust != smtp::DnsTrust::secure)
      co_return without_records(State::insecure, fmt::format("the addresses of {} are not signed", host.name));
  }
  bases.push_back(host.name);
  std::chrono::seconds ttl = question.addresses.ttl;
  for (const auto &base : bases) {
    auto answer = co_await resolver.tlsa(fmt::format("_{}._tcp.{}", host.port, base));
    auto facts = read_answer(answer, base);
    // Section 2.2.3: records that are not signed are none, and the next candidate is asked.
    if (!facts || (facts->state == State::insecure && base != bases.back())) {
      ttl = answer.ttl.count() > 0 ? std::min(ttl, answer.ttl) : ttl;
      continue;
    }
    // Section 3.2.2: beside the base domain, the next-hop domain where a secure answer led from it to this host.
    if (host.name != base) facts->names.push_back(host.name);
    if (question.trust == policy::NameTrust::dnssec && question.next_hop_domain != base &&
        !question.next_hop_domain.empty())
      facts->names.push_back(question.next_hop_domain);
    co_return std::move(*facts);
  }
  auto none = without_records(State::none, {});
  none.ttl = ttl;
  co_return none;
}

} // namespace mta
