#include "mta/tally/dmarc_row.hpp"

#include <algorithm>

#include "auth/core/dmarc_record.hpp"
#include "auth/core/tag_list.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::string_view white_space = " \t\r\n";

/// Takes white space and a word from the front of `text`; false when something else is there.
bool take_word(std::string_view &text, std::string_view word) {
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(white_space)));
  if (!smtp::starts_with_ignoring_case(text, word)) return false;
  text.remove_prefix(word.size());
  return true;
}

} // namespace

DmarcPublished read_published(const auth::DmarcVerdict &verdict) {
  DmarcPublished published;
  published.domain = verdict.policy_domain;
  published.strict_dkim = verdict.strict_dkim;
  published.strict_spf = verdict.strict_spf;
  published.testing = verdict.testing;
  published.rua = verdict.rua;
  if (const auto record = auth::parse_dmarc_record(verdict.record)) {
    published.p = record->policy;
    published.sp = record->subdomain_policy;
    published.np = record->nonexistent_policy;
    published.fo = record->failure_options;
  }
  const auto tags = auth::TagList::parse_tolerant(verdict.record);
  published.uses_rfc9989 = tags.get("np") || tags.get("psd") || tags.get("t");
  return published;
}

std::optional<DmarcRow> make_dmarc_row(const RowFacts &message) {
  const auth::DmarcVerdict &dmarc = message.dmarc;
  const bool passed = dmarc.result == auth::DmarcResult::pass;
  if (!passed && dmarc.result != auth::DmarcResult::fail) return std::nullopt;
  if (dmarc.policy_domain.empty() || dmarc.rua.empty()) return std::nullopt;
  const bool is_report = is_report_subject(message.subject);
  // A forged message must not hide from the owner behind the subject of a report, so that one is counted.
  if (is_report && passed) return std::nullopt;

  DmarcRow row;
  row.source = message.source;
  row.header_from = dmarc.domain;
  row.org_domain = dmarc.org_domain;
  row.published = read_published(dmarc);
  row.policy = dmarc.policy;
  row.disposition = message.disposition;
  row.spf_aligned = dmarc.spf_aligned;
  row.dkim_aligned = dmarc.dkim_aligned;
  row.reasons = message.reasons;
  if (!message.spf.mail_from.domain.empty())
    row.spf.push_back({message.spf.mail_from.domain, SpfScope::mail_from, message.spf.mail_from.result});
  if (!message.spf.helo.domain.empty())
    row.spf.push_back({message.spf.helo.domain, SpfScope::helo, message.spf.helo.result});
  for (const auth::DkimVerdict &signature : message.dkim)
    if (signature.result != auth::DkimResult::none)
      row.dkim.push_back({signature.domain, signature.selector, signature.result});
  row.envelope_from = message.envelope_from;
  row.envelope_to = message.envelope_to;
  row.is_report = is_report;
  return row;
}

/// "Report" 1*FWS "Domain:" 1*FWS domain-name 1*FWS "Submitter:" …
bool is_report_subject(std::string_view subject) {
  if (!take_word(subject, "Report") || !take_word(subject, "Domain:") || !take_word(subject, "")) return false;
  subject.remove_prefix(std::min(subject.size(), subject.find_first_of(white_space)));
  return take_word(subject, "Submitter:");
}

} // namespace mta
