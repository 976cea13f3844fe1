// A zone for the SPF tests: answers questions the way a resolver does, and runs a check until nothing is missing.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "auth/spf/spf.hpp"
#include "smtp/base/text.hpp"

namespace spf_test {

/// A record of the zone: the type in capitals and the value. MX: "10 host". "TIMEOUT": any type not listed is a
/// failure.
struct Entry {
  std::string name;
  std::string type;
  std::string value = {};
};
using Zone = std::vector<Entry>;

inline auth::DnsFact answer(const Zone &zone, const auth::DnsQuestion &question) {
  auth::DnsFact fact;
  fact.status = smtp::DnsStatus::no_name;
  bool fails = false;
  for (const Entry &entry : zone) {
    if (smtp::to_lower(entry.name) != question.name) continue;
    if (fact.status == smtp::DnsStatus::no_name) fact.status = smtp::DnsStatus::no_data;
    fails = fails || entry.type == "TIMEOUT";
    if (entry.type != smtp::to_upper(auth::to_string(question.type))) continue;
    fact.status = smtp::DnsStatus::ok;
    switch (question.type) {
    case auth::RecordType::a:
    case auth::RecordType::aaaa: fact.addresses.push_back(smtp::IpAddress::parse(entry.value).value()); break;
    case auth::RecordType::mx: fact.hosts.push_back({10, entry.value.substr(entry.value.find(' ') + 1)}); break;
    case auth::RecordType::txt:
    case auth::RecordType::ptr: fact.texts.push_back(entry.value); break;
    }
  }
  if (fails && fact.status != smtp::DnsStatus::ok) {
    fact.status = smtp::DnsStatus::temporary;
    fact.detail = "no answer in 10 s";
  }
  return fact;
}

/// What a check came to, and what it took.
struct Run {
  auth::SpfVerdict verdict;
  unsigned rounds = 0;                      ///< evaluations
  std::vector<auth::DnsQuestion> questions; ///< asked over all rounds
};

inline Run check(const auth::SpfRequest &request, const Zone &zone,
                 auth::SpfVerdict (*run)(const auth::SpfRequest &, auth::DnsFacts &) = auth::check_spf_mail_from) {
  Run done;
  auth::DnsFacts facts;
  do {
    facts.clear_missing();
    done.verdict = run(request, facts);
    ++done.rounds;
    for (const auto &question : facts.missing()) {
      done.questions.push_back(question);
      facts.put(question, answer(zone, question));
    }
  } while (!facts.missing().empty() && done.rounds < 100);
  return done;
}

inline auth::SpfRequest from(const std::string &client, const std::string &mail_from = "user@example.com",
                             const std::string &helo = "mail.example.com") {
  return {smtp::IpAddress::parse(client).value(), helo, mail_from, "mx.receiver.example", 1700000000};
}

} // namespace spf_test
