// Fuzzes DMARC records: as a policy, as a URI, and at every name of a tree walk.
#include "auth/core/dmarc.hpp"
#include "auth/core/dmarc_destination.hpp"

#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string text(reinterpret_cast<const char *>(data), size);
  const auto record = auth::parse_dmarc_record(text);
  if (record && (!auth::is_dmarc_record(text) || record->text != text)) std::abort();
  if (record)
    for (const std::string &problem : record->problems)
      for (const char c : problem)
        if (c < ' ' || c > '~') std::abort();
  if (const auto uri = auth::parse_dmarc_uri(text)) {
    const auto again = auth::parse_dmarc_uri(uri->uri);
    if (!again || again->host != uri->host || again->address != uri->address || again->size_limit) std::abort();
  }

  // The record at one name, the rest of the zone empty, so that a check ends and never blames the message twice.
  auth::AuthorDomains authors;
  authors.status = auth::FromStatus::ok;
  authors.domains = {"a.b.example.com"};
  auth::SpfVerdicts spf;
  spf.mail_from.result = auth::SpfResult::pass;
  spf.mail_from.domain = "c.example.com";
  for (const std::string name : {"_dmarc.a.b.example.com", "_dmarc.example.com", "_dmarc.com"}) {
    auth::DnsFacts facts;
    auth::DmarcVerdict verdict;
    for (int round = 0;; ++round) {
      if (round > 3) std::abort();
      facts.clear_missing();
      verdict = auth::check_dmarc({authors, spf, {}, {}}, facts);
      const auto missing = facts.missing();
      if (missing.empty()) break;
      for (const auth::DnsQuestion &question : missing) {
        auth::DnsFact fact;
        fact.status = question.name == name ? smtp::DnsStatus::ok : smtp::DnsStatus::no_data;
        if (question.name == name) fact.texts = {text};
        facts.put(question, fact);
      }
    }
    if (verdict.result == auth::DmarcResult::temperror || verdict.result == auth::DmarcResult::permerror) std::abort();
    if (!record && verdict.result != auth::DmarcResult::none) std::abort();
  }
  return 0;
}
