#include "mta/cli/explain_sources.hpp"

#include <filesystem>
#include <stdexcept>

#include <fmt/format.h>

#include "mta/cli/files.hpp"
#include "mta/sts/discovery.hpp"
#include "policy/mta_sts.hpp"
#include "smtp/base/text.hpp"

namespace mta::cli {

namespace {

template <typename Record>
smtp::DnsAnswer<Record> to_answer(Zone::SignedFact found, std::vector<Record> auth::DnsFact::*records) {
  smtp::DnsAnswer<Record> answer;
  answer.status = found.fact.status;
  answer.trust = found.trust;
  answer.records = std::move(found.fact.*records);
  answer.canonical_name = std::move(found.canonical_name);
  answer.ttl = std::chrono::seconds(300);
  answer.detail = std::move(found.fact.detail);
  return answer;
}

policy::StsFacts begin_facts(const std::string &domain, const StsRecordAnswer &record) {
  policy::StsFacts facts;
  facts.domain = domain;
  facts.id = record.id;
  facts.detail = record.detail;
  facts.state =
      record.state == StsRecordAnswer::State::failed ? policy::StsFacts::State::failed : policy::StsFacts::State::none;
  return facts;
}

void take_policy(policy::StsFacts &facts, const policy::StsPolicy &policy, std::string text) {
  facts.policy_text = std::move(text);
  facts.mx = policy.mx;
  facts.fetched = std::chrono::system_clock::now();
  facts.expires = facts.fetched + policy.max_age;
  switch (policy.mode) {
  case policy::StsMode::none: facts.state = policy::StsFacts::State::none; break;
  case policy::StsMode::testing: facts.state = policy::StsFacts::State::testing; break;
  case policy::StsMode::enforce: facts.state = policy::StsFacts::State::enforce; break;
  }
}

} // namespace

Task<smtp::DnsAnswer<smtp::MxRecord>> ZoneResolver::mx(std::string name) {
  auto answer = to_answer(zone_.look_up(name, "MX"), &auth::DnsFact::hosts);
  co_return answer;
}

Task<smtp::DnsAnswer<smtp::IpAddress>> ZoneResolver::addresses_v4(std::string name) {
  auto answer = to_answer(zone_.look_up(name, "A"), &auth::DnsFact::addresses);
  co_return answer;
}

Task<smtp::DnsAnswer<smtp::IpAddress>> ZoneResolver::addresses_v6(std::string name) {
  auto answer = to_answer(zone_.look_up(name, "AAAA"), &auth::DnsFact::addresses);
  co_return answer;
}

Task<smtp::DnsAnswer<std::string>> ZoneResolver::txt(std::string name) {
  auto answer = to_answer(zone_.look_up(name, "TXT"), &auth::DnsFact::texts);
  co_return answer;
}

Task<smtp::DnsAnswer<std::string>> ZoneResolver::cname(std::string name) {
  auto answer = to_answer(zone_.alias_of(name), &auth::DnsFact::texts);
  co_return answer;
}

Task<smtp::DnsAnswer<smtp::TlsaRecord>> ZoneResolver::tlsa(std::string name) {
  auto found = zone_.look_up(name, "TLSA");
  smtp::DnsAnswer<smtp::TlsaRecord> answer;
  answer.status = found.fact.status;
  answer.trust = found.trust;
  answer.records = std::move(found.tlsa);
  answer.canonical_name = std::move(found.canonical_name);
  answer.ttl = std::chrono::seconds(300);
  answer.detail = std::move(found.fact.detail);
  co_return answer;
}

Task<smtp::DnsAnswer<std::string>> ZoneResolver::ptr(const smtp::IpAddress &address) {
  return names_of(address.reverse_name());
}

Task<smtp::DnsAnswer<std::string>> ZoneResolver::names_of(std::string reverse_name) {
  auto answer = to_answer(zone_.look_up(reverse_name, "PTR"), &auth::DnsFact::texts);
  co_return answer;
}

Task<policy::StsFacts> FetchedPolicies::find(std::string domain) {
  auto record = co_await look_up_sts_record(resolver_, domain);
  auto facts = begin_facts(domain, record);
  if (record.state != StsRecordAnswer::State::found) co_return facts;
  auto outcome = co_await fetch_sts_policy(snapshot_, resolver_, domain);
  if (outcome.policy) {
    take_policy(facts, *outcome.policy, std::move(outcome.text));
  } else {
    facts.fault = outcome.fault;
    facts.detail = std::move(outcome.detail);
  }
  co_return facts;
}

PolicyFolder::PolicyFolder(Resolver &resolver, std::string folder) : resolver_(resolver), folder_(std::move(folder)) {
  std::error_code error;
  if (folder_.empty() || std::filesystem::is_directory(folder_, error)) return;
  throw std::runtime_error(
      fmt::format("--sts-dir {}: {}", smtp::escape(folder_, 200), error ? error.message() : "is not a folder"));
}

Task<policy::StsFacts> PolicyFolder::find(std::string domain) {
  auto record = co_await look_up_sts_record(resolver_, domain);
  auto facts = begin_facts(domain, record);
  if (record.state != StsRecordAnswer::State::found) co_return facts;
  auto text = read_input(fmt::format("{}/mta-sts.{}", folder_, domain), policy::sts_text_limit);
  if (!text) text = read_input(fmt::format("{}/mta-sts.{}.txt", folder_, domain), policy::sts_text_limit);
  if (!text) {
    facts.fault = policy::TlsFault::sts_policy_fetch_error;
    facts.detail = text.error().detail;
    co_return facts;
  }
  const auto parsed = policy::parse_sts_policy(*text);
  if (parsed) {
    take_policy(facts, *parsed, std::move(*text));
  } else {
    facts.fault = policy::TlsFault::sts_policy_invalid;
    facts.detail = parsed.error().detail;
  }
  co_return facts;
}

} // namespace mta::cli
