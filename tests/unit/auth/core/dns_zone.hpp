// DnsZone: answers for DnsFacts from a small table, and a runner that fetches what a check misses.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "auth/core/dns_facts.hpp"

namespace auth {

struct DnsZone {
  std::map<std::string, std::vector<std::string>> texts = {};
  std::set<std::string> existing = {}; ///< names that exist without a TXT record
  std::set<std::string> failing = {};  ///< names whose every question fails

  [[nodiscard]] DnsFact answer(const DnsQuestion &question) const {
    DnsFact fact;
    const auto found = texts.find(question.name);
    if (failing.contains(question.name)) {
      fact.status = smtp::DnsStatus::temporary;
      fact.detail = "SERVFAIL";
    } else if (found != texts.end() && question.type == RecordType::txt) {
      fact.status = smtp::DnsStatus::ok;
      fact.texts = found->second;
    } else if (found != texts.end() || existing.contains(question.name)) {
      fact.status = smtp::DnsStatus::no_data;
    } else {
      fact.status = smtp::DnsStatus::no_name;
    }
    return fact;
  }

  /// What was asked, round by round.
  struct Asked {
    std::size_t rounds = 0;
    std::vector<DnsQuestion> questions = {};
  };

  /// Runs `check` until it misses nothing; at most 20 rounds.
  Asked resolve(DnsFacts &facts, const std::function<void()> &check) const {
    Asked asked;
    for (; asked.rounds < 20; ++asked.rounds) {
      facts.clear_missing();
      check();
      const std::vector<DnsQuestion> missing = facts.missing();
      if (missing.empty()) return asked;
      for (const DnsQuestion &question : missing) {
        facts.put(question, answer(question));
        asked.questions.push_back(question);
      }
    }
    return asked;
  }
};

} // namespace auth
