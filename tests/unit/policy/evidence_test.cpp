// What a rule would have made of past sessions: each cause of a refusal, what makes a rule safe to enforce, and who may
// become a partner.
#include "policy/evidence.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace evidence_test {

using namespace policy;
using namespace std::chrono_literals;

const auto the_day = std::chrono::sys_days(std::chrono::year(2026) / 11 / 20);
const auto now = std::chrono::system_clock::time_point(the_day) + 12h;
const std::string leaf_pin = "leafpin";
const std::string ca_pin = "capin";

/// A good session: TLS 1.3, a certificate of the system's CAs for the host.
EvidenceRow a_row() {
  EvidenceRow row;
  row.domain = "example.gov.uk";
  row.host = "mx1.example.net";
  row.is_offered = true;
  row.is_encrypted = true;
  row.version = tls::Version::tls1_3;
  row.names = {"mx1.example.net"};
  row.issuer = "CN=Test CA";
  row.not_after = the_day + std::chrono::days(90);
  row.keys = {{leaf_pin}, {ca_pin}};
  row.system_trusted = true;
  row.judgements = {{"system", {true, {}, tls::ChainFault::none, {leaf_pin, ca_pin}}},
                    {"/ca.pem", {true, {}, tls::ChainFault::none, {leaf_pin, ca_pin}}}};
  return row;
}

EvidenceRow clear_row() {
  EvidenceRow row = a_row();
  row.is_encrypted = false;
  row.is_offered = false;
  row.names.clear();
  row.keys.clear();
  row.not_after.reset();
  row.judgements.clear();
  row.system_trusted = false;
  row.reason = "STARTTLS was not offered";
  return row;
}

Partner a_partner(tls::Level level = tls::Level::authenticated, std::vector<std::string> match = {"mx1.example.net"}) {
  Partner partner;
  partner.name = "Example Department";
  partner.domains = {smtp::DomainPattern::parse("example.gov.uk").value()};
  OutboundRule rule;
  rule.level = level;
  rule.match = std::move(match);
  rule.mode = Mode::observe;
  rule.place = "x.toml:3";
  partner.outbound = rule;
  return partner;
}

/// Keeps what a question points to.
struct Asked {
  explicit Asked(const Partner &partner, Direction direction = Direction::outbound)
      : table(PartnerTable::build({as_enforced(partner)}).value()) {
    question.direction = direction;
    question.partners = &table;
    question.partner = &table.partners().front();
    question.now = now;
  }
  Asked(const Asked &) = delete;
  Asked &operator=(const Asked &) = delete;
  PartnerTable table;
  EvidenceQuestion question;
};

std::vector<Evidence> on_days(const EvidenceRow &row, int days, std::uint64_t messages) {
  std::vector<Evidence> evidence;
  for (int i = 0; i < days; ++i) {
    const auto day = the_day - std::chrono::days(i);
    evidence.push_back({row, day, 1, messages, day + 1h});
  }
  return evidence;
}

struct JudgeRow {
  const char *name;
  void (*change)(EvidenceRow &, OutboundRule &);
  VerdictKind expected = VerdictKind::satisfied;
};

const std::vector<JudgeRow> judge_rows = {
    {"a trusted certificate with the rule's name passes", [](EvidenceRow &, OutboundRule &) {}},
    {"another name is refused", [](EvidenceRow &, OutboundRule &rule) { rule.match = {"mx2.example.net"}; },
     VerdictKind::wrong_name},
    {"a pattern of the rule is met", [](EvidenceRow &, OutboundRule &rule) { rule.match = {"*.example.net"}; }},
    {"without match the recipient domain is the name", [](EvidenceRow &, OutboundRule &rule) { rule.match = {}; },
     VerdictKind::wrong_name},
    {"a host whose name DNSSEC vouches for needs no match",
     [](EvidenceRow &row, OutboundRule &rule) {
       rule.match = {};
       row.name_trust = NameTrust::dnssec;
     }},
    {"so does one that MTA-STS lists",
     [](EvidenceRow &row, OutboundRule &rule) {
       rule.match = {};
       row.name_trust = NameTrust::sts;
       row.sts = StsFacts::State::testing;
     }},
    {"no TLS is refused",
     [](EvidenceRow &row, OutboundRule &) {
       const EvidenceRow clear = clear_row();
       row = clear;
     },
     VerdictKind::not_encrypted},
    {"no certificate is refused",
     [](EvidenceRow &row, OutboundRule &) {
       row.not_after.reset();
       row.names.clear();
       row.keys.clear();
     },
     VerdictKind::no_certificate},
    {"a chain that the system does not trust is refused",
     [](EvidenceRow &row, OutboundRule &) {
       row.judgements[0].verdict = {false, "certificate has expired", tls::ChainFault::expired};
     },
     VerdictKind::untrusted},
    {"level encrypted judges no certificate",
     [](EvidenceRow &row, OutboundRule &rule) {
       rule.level = tls::Level::encrypted;
       rule.match = {};
       row.judgements[0].verdict = {false, "self-signed", tls::ChainFault::untrusted};
     }},
    {"a private CA counts by what it said then", [](EvidenceRow &, OutboundRule &rule) { rule.trust = "/ca.pem"; }},
    {"a CA that no session was judged against proves nothing",
     [](EvidenceRow &, OutboundRule &rule) { rule.trust = "/other.pem"; }, VerdictKind::untrusted},
    {"the same CA with a revocation list is another store",
     [](EvidenceRow &, OutboundRule &rule) {
       rule.trust = "/ca.pem";
       rule.crls = {"/crl.pem"};
     },
     VerdictKind::untrusted},
    {"a pinned leaf is trusted by itself",
     [](EvidenceRow &row, OutboundRule &rule) {
       rule.pins = {leaf_pin};
       row.judgements.clear();
       row.system_trusted = false;
     }},
    {"a pinned CA counts in a trusted chain", [](EvidenceRow &, OutboundRule &rule) { rule.pins = {ca_pin}; }},
    {"a pinned CA that did not sign does not count",
     [](EvidenceRow &row, OutboundRule &rule) {
       rule.pins = {ca_pin};
       for (auto &judgement : row.judgements) judgement.verdict.keys = {leaf_pin, "the real CA"};
     },
     VerdictKind::wrong_pin},
    {"another pin is refused", [](EvidenceRow &, OutboundRule &rule) { rule.pins = {"else"}; }, VerdictKind::wrong_pin},
    {"a suite of the rule's profile passes",
     [](EvidenceRow &row, OutboundRule &) { row.suite = "TLS_AES_256_GCM_SHA384"; }},
    {"a suite that the session had by a wider profile is refused",
     [](EvidenceRow &row, OutboundRule &rule) {
       rule.level = tls::Level::encrypted;
       rule.match = {};
       row.version = tls::Version::tls1_2;
       row.suite = "ECDHE-ECDSA-AES256-SHA384";
     },
     VerdictKind::outside_profile},
    {"so is a version that was recorded without a suite",
     [](EvidenceRow &row, OutboundRule &rule) {
       rule.profile = "mozilla-modern";
       row.version = tls::Version::tls1_2;
     },
     VerdictKind::outside_profile},
    {"so is a key that the rule's profile does not take",
     [](EvidenceRow &row, OutboundRule &rule) {
       rule.profile = "mozilla-modern";
       row.key_type = "RSA";
     },
     VerdictKind::outside_profile},
};

TEST(Evidence, judges_each_session_as_delivery_would_have) {
  for (const JudgeRow &row : judge_rows) {
    SCOPED_TRACE(row.name);
    EvidenceRow seen = a_row();
    Partner partner = a_partner();
    row.change(seen, *partner.outbound);
    const Asked asked(partner);
    const Judged judged = judge_evidence(asked.question, seen);
    EXPECT_EQ(judged.kind, row.expected) << judged.reason;
    EXPECT_EQ(judged.is_refused || judged.is_unknown, row.expected != VerdictKind::satisfied);
  }
}

TEST(Evidence, an_unknown_store_is_named) {
  Partner partner = a_partner();
  partner.outbound->trust = "/other.pem";
  const Asked asked(partner);
  EXPECT_NE(judge_evidence(asked.question, a_row()).reason.find("no session was judged against /other.pem"),
            std::string::npos);
}

TEST(Evidence, a_session_without_TLS_says_why) {
  const Asked asked{a_partner()};
  EXPECT_EQ(judge_evidence(asked.question, clear_row()).reason,
            "the session is not encrypted (STARTTLS was not offered)");
}

TEST(Evidence, an_exception_in_force_lets_pass_what_it_lets_pass_in_delivery) {
  Partner partner = a_partner();
  partner.exceptions.push_back({.domain = smtp::DomainPattern::parse("example.gov.uk").value(),
                                .level = tls::Level::opportunistic,
                                .owner = "o",
                                .reason = "r",
                                .expires = the_day,
                                .place = "x.toml:9"});
  EXPECT_FALSE(judge_evidence(Asked(partner).question, clear_row()).is_refused);
  partner.exceptions[0].expires = the_day - std::chrono::days(1);
  EXPECT_TRUE(judge_evidence(Asked(partner).question, clear_row()).is_refused);
}

TEST(Evidence, dane_holds_beside_the_rule) {
  const Asked asked{a_partner()};
  EvidenceRow row = a_row();
  row.name_trust = NameTrust::dnssec;
  row.dane = DaneFacts::State::usable;
  row.dane_verdict = tls::DaneVerdict{true, "3 1 1 at depth 0", {}};
  EXPECT_FALSE(judge_evidence(asked.question, row).is_refused) << judge_evidence(asked.question, row).reason;
  row.dane_verdict = tls::DaneVerdict{false, "no record matches", {}};
  EXPECT_TRUE(judge_evidence(asked.question, row).is_refused);
}

Partner inbound_partner() {
  Partner partner = a_partner();
  partner.outbound.reset();
  InboundRule rule;
  rule.level = tls::Level::authenticated;
  rule.names = {"client.example.gov.uk"};
  rule.accept_server_auth = true;
  rule.networks = {smtp::Network::parse("192.0.2.0/24").value()};
  rule.place = "x.toml:9";
  partner.inbound = rule;
  return partner;
}

EvidenceRow inbound_row() {
  EvidenceRow row = a_row();
  row.direction = Direction::inbound;
  row.host = "client.example.gov.uk";
  row.names = {"client.example.gov.uk"};
  row.address = "203.0.113.7";
  row.judgements = {{trust_key("system", {}, true), {true, {}, tls::ChainFault::none}}};
  return row;
}

TEST(Evidence, inbound_sessions_are_judged_by_the_inbound_rule) {
  const Asked asked(inbound_partner(), Direction::inbound);
  EXPECT_FALSE(judge_evidence(asked.question, inbound_row()).is_refused);
  EvidenceRow other = inbound_row();
  other.names = {"evil.example"};
  EXPECT_EQ(judge_evidence(asked.question, other).kind, VerdictKind::wrong_name);
  other.address = "192.0.2.9";
  EXPECT_FALSE(judge_evidence(asked.question, other).is_refused) << "from the partner's network";
  other.is_encrypted = false;
  EXPECT_EQ(judge_evidence(asked.question, other).kind, VerdictKind::not_encrypted);
  EvidenceRow none = inbound_row();
  none.not_after.reset();
  none.keys.clear();
  none.names.clear();
  EXPECT_EQ(judge_evidence(asked.question, none).kind, VerdictKind::no_certificate);
}

TEST(Evidence, the_summary_counts_what_was_seen) {
  const Asked asked{a_partner()};
  auto evidence = on_days(a_row(), 10, 5);
  EvidenceRow old = a_row();
  old.host = "mx2.example.net";
  old.names = {"mx2.example.net"};
  old.version = tls::Version::tls1_2;
  evidence.push_back({old, the_day, 3, 2, the_day + 2h});
  evidence.push_back({clear_row(), the_day, 4, 1, the_day + 3h});
  EvidenceRow passed_over = clear_row();
  passed_over.is_connected = false;
  evidence.push_back({passed_over, the_day, 7, 0, the_day + 4h});
  EvidenceRow inbound = inbound_row();
  evidence.push_back({inbound, the_day, 100, 100, the_day + 5h});
  const auto summary = summarise(asked.question, evidence);
  EXPECT_EQ(summary.sessions, 17U);
  EXPECT_EQ(summary.messages, 53U);
  EXPECT_EQ(summary.distinct_days, 10U);
  EXPECT_EQ(summary.clear_sessions, 4U);
  EXPECT_EQ(summary.clear_messages, 1U);
  EXPECT_EQ(summary.authenticated_sessions, 10U);
  EXPECT_EQ(summary.refused_sessions, 7U);
  EXPECT_EQ(summary.refused_messages, 3U);
  EXPECT_EQ(summary.passed_over, 7U);
  EXPECT_EQ(summary.best, tls::Version::tls1_3);
  EXPECT_EQ(summary.worst, tls::Version::tls1_2);
  EXPECT_EQ(summary.last, the_day + 3h);
  ASSERT_EQ(summary.hosts.size(), 2U);
  EXPECT_EQ(summary.hosts[0].name, "mx1.example.net");
  EXPECT_EQ(summary.hosts[0].sessions, 14U);
  ASSERT_EQ(summary.causes.size(), 2U);
  EXPECT_EQ(summary.causes[0].kind, VerdictKind::not_encrypted);
  EXPECT_EQ(summary.causes[0].sessions, 4U);
  EXPECT_EQ(summary.causes[1].kind, VerdictKind::wrong_name);
  EXPECT_EQ(summary.causes[1].host, "mx2.example.net");
  EXPECT_EQ(summary.certificates.size(), 2U);
  EXPECT_FALSE(summary.is_safe);
  EXPECT_EQ(summary.because, std::vector<std::string>{"enforce would have refused 7 of 17 sessions, with 3 messages"});
}

struct SafetyRow {
  const char *name;
  int days = 7;
  std::uint64_t messages = 1;
  void (*change)(std::vector<Evidence> &, OutboundRule &) = [](std::vector<Evidence> &, OutboundRule &) {};
  bool is_safe = true;
  std::string because = {}; ///< a part of the reasons
  std::string warning = {}; ///< a part of the warnings; empty: there are none
};

void expire_in(std::vector<Evidence> &evidence, int days) {
  for (auto &each : evidence)
    each.row.not_after = std::chrono::floor<std::chrono::seconds>(now) + std::chrono::days(days);
}

const std::vector<SafetyRow> safety_rows = {
    {.name = "seven days with a session each are enough",
     .because = "every one of 7 sessions on 7 days, with 7 messages"},
    {.name = "six days are not, however many messages they saw",
     .days = 6,
     .messages = 1000,
     .is_safe = false,
     .because = "too little was seen: sessions that say something on 6 of the 7 days that are needed"},
    {.name = "a burst of one day is not",
     .days = 1,
     .messages = 100'000,
     .is_safe = false,
     .because = "on 1 of the 7 days"},
    {.name = "nothing seen is not safe", .days = 0, .is_safe = false, .because = "nothing on 0 of the 7 days"},
    {.name = "sessions from before the rule's CAs are unknown, not refused",
     .days = 10,
     .change =
         [](std::vector<Evidence> &evidence, OutboundRule &rule) {
           rule.trust = "/new/ca.pem";
           for (std::size_t i = 3; i < evidence.size(); ++i)
             evidence[i].row.judgements = {
                 {"/new/ca.pem", {.trusted = true, .reason = {}, .fault = tls::ChainFault::none}}};
         },
     .because = "every one of 7 sessions on 7 days"},
    {.name = "days with such sessions alone do not count",
     .days = 9,
     .change =
         [](std::vector<Evidence> &evidence, OutboundRule &rule) {
           rule.trust = "/new/ca.pem";
           for (std::size_t i = 3; i < evidence.size(); ++i)
             evidence[i].row.judgements = {
                 {"/new/ca.pem", {.trusted = true, .reason = {}, .fault = tls::ChainFault::none}}};
         },
     .is_safe = false,
     .because = "on 6 of the 7 days that are needed; 3 sessions were before the rule"},
    {.name = "one refused session among many forbids it",
     .days = 30,
     .change = [](std::vector<Evidence> &evidence, OutboundRule &) { evidence.back().row = clear_row(); },
     .is_safe = false,
     .because = "would have refused 1 of 30 sessions"},
    {.name = "a certificate with 14 days is long enough",
     .change = [](std::vector<Evidence> &evidence, OutboundRule &) { expire_in(evidence, 14); }},
    {.name = "one with 13 days is not",
     .change = [](std::vector<Evidence> &evidence, OutboundRule &) { expire_in(evidence, 13); },
     .is_safe = false,
     .because = "expires in 13 days, and no successor was seen"},
    {.name = "unless the host shows its successor",
     .change =
         [](std::vector<Evidence> &evidence, OutboundRule &) {
           expire_in(evidence, 5);
           Evidence next = evidence.front();
           next.row.not_after = the_day + std::chrono::days(90);
           next.row.keys[0].spki_sha256 = "next";
           evidence.push_back(next);
         }},
    {.name = "a longer one that was seen before it is no successor",
     .change =
         [](std::vector<Evidence> &evidence, OutboundRule &) {
           expire_in(evidence, 5);
           Evidence before = evidence.back();
           before.row.not_after = the_day + std::chrono::days(90);
           before.row.keys[0].spki_sha256 = "before";
           evidence.push_back(before);
         },
     .is_safe = false,
     .because = "no successor"},
    {.name = "level encrypted does not mind the dates",
     .change =
         [](std::vector<Evidence> &evidence, OutboundRule &rule) {
           rule.level = tls::Level::encrypted;
           rule.match = {};
           expire_in(evidence, 1);
         }},
    {.name = "a pin on a leaf with 60 days is long enough",
     .change =
         [](std::vector<Evidence> &evidence, OutboundRule &rule) {
           rule.pins = {leaf_pin};
           expire_in(evidence, 60);
         }},
    {.name = "with 59 days and no second pin it forbids",
     .change =
         [](std::vector<Evidence> &evidence, OutboundRule &rule) {
           rule.pins = {leaf_pin};
           expire_in(evidence, 59);
         },
     .is_safe = false,
     .because = "expires in 59 days and its key is pinned, without a second pin"},
    {.name = "with a second pin it is only warned of",
     .change =
         [](std::vector<Evidence> &evidence, OutboundRule &rule) {
           rule.pins = {leaf_pin, "next"};
           expire_in(evidence, 59);
         },
     .warning = "expires in 59 days and its key is pinned"},
    {.name = "a pin on a CA does not mind the leaf's 59 days",
     .change =
         [](std::vector<Evidence> &evidence, OutboundRule &rule) {
           rule.pins = {ca_pin};
           expire_in(evidence, 59);
         }},
    {.name = "level opportunistic demands nothing",
     .change =
         [](std::vector<Evidence> &, OutboundRule &rule) {
           rule.level = tls::Level::opportunistic;
           rule.match = {};
         },
     .is_safe = false,
     .because = "demands nothing"},
};

TEST(Evidence, a_rule_is_safe_to_enforce_as_the_table_says) {
  for (const SafetyRow &row : safety_rows) {
    SCOPED_TRACE(row.name);
    auto evidence = on_days(a_row(), row.days, row.messages);
    Partner partner = a_partner();
    row.change(evidence, *partner.outbound);
    const Asked asked(partner);
    const auto summary = summarise(asked.question, evidence);
    EXPECT_EQ(summary.is_safe, row.is_safe);
    ASSERT_FALSE(summary.because.empty());
    EXPECT_TRUE(std::any_of(summary.because.begin(), summary.because.end(), [&](const auto &text) {
      return text.find(row.because) != std::string::npos;
    })) << summary.because.front();
    EXPECT_EQ(summary.warnings.empty(), row.warning.empty());
    if (!row.warning.empty() && !summary.warnings.empty()) {
      EXPECT_NE(summary.warnings.front().find(row.warning), std::string::npos);
    }
  }
}

TEST(Evidence, forged_sessions_do_not_keep_an_inbound_rule_from_being_safe) {
  const Asked asked(inbound_partner(), Direction::inbound);
  auto evidence = on_days(inbound_row(), 7, 1);
  EvidenceRow forged = inbound_row();
  forged.names = {"evil.example"};
  evidence.push_back({forged, the_day, 500, 500, the_day + 1h});
  EvidenceRow clear = forged;
  clear.is_encrypted = false;
  clear.not_after.reset();
  evidence.push_back({clear, the_day, 500, 0, the_day + 1h});
  auto summary = summarise(asked.question, evidence);
  EXPECT_TRUE(summary.is_safe) << summary.because.front();
  EXPECT_EQ(summary.unproven_sessions, 1000U);
  EXPECT_EQ(summary.refused_sessions, 0U);
  ASSERT_EQ(summary.warnings.size(), 1U);
  EXPECT_NE(summary.warnings.front().find("1000 sessions with 500 messages"), std::string::npos);
  // The same from where SPF says that it was the partner: then it is his fault, and counts.
  clear.is_proven = true;
  evidence.push_back({clear, the_day, 0, 1, the_day + 1h});
  summary = summarise(asked.question, evidence);
  EXPECT_FALSE(summary.is_safe);
  EXPECT_EQ(summary.refused_messages, 1U);
}

TEST(Evidence, forged_sessions_make_no_days_for_a_rule_that_anybody_can_meet) {
  Partner partner = inbound_partner();
  partner.inbound->level = tls::Level::encrypted;
  partner.inbound->names.clear();
  partner.inbound->networks.clear();
  const Asked asked(partner, Direction::inbound);
  EXPECT_FALSE(summarise(asked.question, on_days(inbound_row(), 9, 1)).is_safe) << "anybody can start TLS";
  EvidenceRow proven = inbound_row();
  proven.is_proven = true;
  EXPECT_TRUE(summarise(asked.question, on_days(proven, 9, 1)).is_safe);
}

TEST(Evidence, without_a_rule_nothing_is_safe) {
  Partner partner = a_partner();
  partner.outbound.reset();
  partner.inbound.emplace();
  const Asked asked(partner);
  const auto summary = summarise(asked.question, on_days(a_row(), 10, 10));
  EXPECT_FALSE(summary.is_safe);
  EXPECT_EQ(summary.because, std::vector<std::string>{"there is no rule for this direction"});
}

TEST(Evidence, lists_are_bounded_and_counts_are_not) {
  const Asked asked{a_partner()};
  std::vector<Evidence> evidence;
  for (int i = 0; i < 500; ++i) {
    EvidenceRow row = a_row();
    row.host = "mx" + std::to_string(i) + ".example.net";
    row.names = {"other.example"};
    evidence.push_back({row, the_day, 1, 0, the_day + 1h});
  }
  const auto summary = summarise(asked.question, evidence);
  EXPECT_EQ(summary.hosts.size(), summary_list_limit);
  EXPECT_EQ(summary.certificates.size(), summary_list_limit);
  EXPECT_EQ(summary.causes.size(), summary_list_limit);
  EXPECT_EQ(summary.refused_sessions, 500U);
}

TEST(Suggest, lists_those_whose_every_session_would_pass) {
  const Asked asked{a_partner()};
  EvidenceQuestion question = asked.question;
  question.partner = nullptr;
  std::vector<Evidence> evidence;
  const auto add = [&](const std::string &domain, const EvidenceRow &like, std::uint64_t messages) {
    EvidenceRow row = like;
    row.domain = domain;
    evidence.push_back({row, the_day, 1, messages, the_day + 1h});
  };
  EvidenceRow own_name = a_row();
  own_name.names = {"good.example"};
  EvidenceRow untrusted = a_row();
  untrusted.judgements[0].verdict = {false, "self-signed", tls::ChainFault::untrusted};
  EvidenceRow passed_over = a_row();
  passed_over.is_connected = false;
  add("good.example", own_name, 3);
  add("by-host.example", a_row(), 9);
  add("sometimes.example", own_name, 3);
  add("sometimes.example", clear_row(), 3);
  add("never.example", clear_row(), 3);
  add("untrusted.example", untrusted, 3);
  add("example.gov.uk", a_row(), 3);
  add("half.example", a_row(), 3);
  add("half.example", passed_over, 0);
  add("[192.0.2.1]", a_row(), 3);
  const auto found = suggest(question, evidence);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].domain, "by-host.example");
  EXPECT_EQ(found[0].match, std::vector<std::string>{"mx1.example.net"});
  EXPECT_EQ(found[1].domain, "good.example");
  EXPECT_TRUE(found[1].match.empty());
  EXPECT_EQ(suggest(question, evidence, 1).size(), 1U);
}

} // namespace evidence_test
