#include "mta/tally/tlsrpt_row.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "policy/chain_judgement.hpp"
#include "policy/mta_sts.hpp"
#include "policy/requirement.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

using policy::DaneFacts;
using policy::StsFacts;
using policy::TlsFault;

/// What one policy makes of the session.
struct Outcome {
  TlsFault fault = TlsFault::none;
  std::string reason;
};

bool is_passed_over(const TlsSession &session) {
  return session.address.empty();
}

/// "3 1 1 0123abcd…" (RFC 8460 section 4.4). The order of a DNS answer means nothing, so that it must not tell rows
/// apart.
std::vector<std::string> tlsa_strings(const std::vector<smtp::TlsaRecord> &records) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::vector<std::string> strings;
  strings.reserve(records.size());
  for (const smtp::TlsaRecord &record : records) {
    std::string text = fmt::format("{} {} {} ", record.usage, record.selector, record.matching_type);
    for (const char octet : std::string_view(record.data).substr(0, TlsrptRowLimits::string / 2)) {
      const auto value = static_cast<unsigned char>(octet);
      text += digits[value >> 4U];
      text += digits[value & 0xFU];
    }
    strings.push_back(std::move(text));
  }
  std::sort(strings.begin(), strings.end());
  return strings;
}

/// The policy's lines as fetched.
std::vector<std::string> sts_strings(std::string_view text) {
  std::vector<std::string> strings;
  for (std::string_view line : smtp::split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = smtp::trim(line);
    if (!line.empty()) strings.emplace_back(line);
    if (strings.size() == TlsrptRowLimits::strings) break;
  }
  return strings;
}

/// The session has no TLS.
Outcome judge_clear(const TlsSession &session) {
  if (!session.starttls_offered) return {TlsFault::starttls_not_supported, "STARTTLS was not offered"};
  const TlsFault fault = session.fault == TlsFault::none ? TlsFault::validation_failure : session.fault;
  return {fault, session.tls_problem};
}

Outcome judge_by(const policy::Requirement &requirement, const tls::Facts &facts) {
  policy::Verdict verdict = policy::judge_tls(requirement, facts);
  const TlsFault fault = policy::fault_of(requirement, verdict, facts);
  return {fault, fault == TlsFault::none ? std::string() : std::move(verdict.reason)};
}

/// Nothing: the records were not asked what they make of it.
std::optional<Outcome> judge_tlsa(const TlsSession &session) {
  const DaneFacts &dane = session.dane;
  if (dane.state == DaneFacts::State::failed) return Outcome{TlsFault::dnssec_invalid, dane.detail};
  if (is_passed_over(session)) return std::nullopt;
  if (!session.facts.encrypted) return judge_clear(session);
  // Section 4.3.2.1: "None of the records in the RRset were found to be valid"; TLS without authentication is then
  // what RFC 7672 section 2.2 wants, but the owner should know.
  if (dane.state == DaneFacts::State::unusable) return Outcome{TlsFault::tlsa_invalid, dane.detail};
  if (!session.facts.dane) return std::nullopt;
  policy::Requirement requirement;
  requirement.level = tls::Level::dane;
  requirement.tlsa = dane.records;
  return judge_by(requirement, session.facts);
}

/// RFC 8461 section 4: the host is one that the policy names, its chain is trusted, and it carries the host's name.
std::optional<Outcome> judge_sts(const TlsSession &session) {
  if (!policy::sts_policy_covers(session.sts.mx, session.host))
    return Outcome{TlsFault::validation_failure,
                   fmt::format("{} is not among the MX hosts of the policy", smtp::escape(session.host))};
  if (is_passed_over(session)) return std::nullopt;
  if (!session.facts.encrypted) return judge_clear(session);
  const std::string store = policy::trust_key("system", {});
  const auto found = std::find_if(session.judgements.begin(), session.judgements.end(),
                                  [&](const policy::ChainJudgement &one) { return one.store == store; });
  if (found == session.judgements.end()) return std::nullopt;
  policy::Requirement requirement;
  requirement.level = tls::Level::authenticated;
  requirement.references = {session.host};
  tls::Facts facts = session.facts;
  facts.verdict = found->verdict;
  return judge_by(requirement, facts);
}

std::optional<Outcome> judge_without_policy(const TlsSession &session) {
  if (is_passed_over(session)) return std::nullopt;
  return session.facts.encrypted ? Outcome{} : judge_clear(session);
}

TlsrptRow make_row(const TlsSession &session, TlsrptPolicy policy, Outcome outcome) {
  TlsrptRow row;
  row.domain = session.domain;
  row.policy = std::move(policy);
  row.fault = outcome.fault;
  if (row.fault == TlsFault::none) return row;
  row.sending_address = session.local_address;
  row.receiving_host = session.host;
  row.receiving_address = session.address;
  row.reason = smtp::escape(outcome.reason, TlsrptRowLimits::reason - 16); // "..." comes on top
  return row;
}

bool has_tlsa(DaneFacts::State state) {
  switch (state) {
  case DaneFacts::State::off:
  case DaneFacts::State::insecure:
  case DaneFacts::State::none: return false;
  case DaneFacts::State::unusable:
  case DaneFacts::State::usable:
  case DaneFacts::State::failed: return true;
  }
  return false;
}

bool has_sts(StsFacts::State state) {
  return state == StsFacts::State::testing || state == StsFacts::State::enforce;
}

} // namespace

std::string_view to_string(TlsPolicyType type) noexcept {
  switch (type) {
  case TlsPolicyType::no_policy_found: return "no-policy-found";
  case TlsPolicyType::sts: return "sts";
  case TlsPolicyType::tlsa: return "tlsa";
  }
  return "?";
}

std::vector<TlsrptRow> make_tlsrpt_rows(const TlsSession &session) {
  if (session.direction != TlsSession::Direction::outbound || session.by_route || session.fallback) return {};
  if (session.domain.empty()) return {};
  const bool is_tried = session.facts.encrypted || !session.starttls_offered || !session.tls_problem.empty();
  if (!is_passed_over(session) && !is_tried) return {};

  std::vector<TlsrptRow> rows;
  const auto add = [&](TlsrptPolicy policy, Outcome outcome) {
    rows.push_back(make_row(session, std::move(policy), std::move(outcome)));
  };
  const TlsrptPolicy none{TlsPolicyType::no_policy_found, session.domain, {}, {}};
  const DaneFacts &dane = session.dane;
  const StsFacts &sts = session.sts;
  if (has_tlsa(dane.state)) {
    if (auto outcome = judge_tlsa(session))
      add({TlsPolicyType::tlsa,
           dane.base_domain.empty() ? session.host : dane.base_domain,
           tlsa_strings(dane.records),
           {}},
          std::move(*outcome));
  }
  if (has_sts(sts.state)) {
    if (auto outcome = judge_sts(session))
      add({TlsPolicyType::sts, sts.domain, sts_strings(sts.policy_text), sts.mx}, std::move(*outcome));
  }
  if (sts.fault != TlsFault::none) add({TlsPolicyType::sts, sts.domain, {}, {}}, {sts.fault, sts.detail});
  if (!has_tlsa(dane.state) && !has_sts(sts.state))
    if (auto outcome = judge_without_policy(session)) add(none, std::move(*outcome));
  if (is_passed_over(session) && session.fault == TlsFault::dane_required)
    add(none, {session.fault, session.fault_detail});
  return rows;
}

} // namespace mta
