// Zone: the format of zone.json, its failures in place of lists, aliases, and what is wrong with a file.
#include "mta/auth/zone.hpp"

#include <gtest/gtest.h>

namespace mta {
namespace zone_test {

using auth::RecordType;
using smtp::DnsStatus;

Zone zone_of(std::string_view json) {
  auto zone = Zone::parse(json);
  EXPECT_TRUE(zone) << zone.error().detail;
  return zone.value_or(Zone{});
}

TEST(Zone, RecordsOfEveryTypeAreRead) {
  const Zone zone = zone_of(R"({"Example.ORG.": {"TXT": [["v=spf1 ", "-all"], "plain"], "MX": [[10, "Mx.Example.org."]],
                                "A": ["192.0.2.1"], "AAAA": ["2001:db8::1"], "TLSA": ["3 1 1 ab"]},
                                "1.2.0.192.in-addr.arpa": {"PTR": ["Host.Example.org."]}})");
  EXPECT_EQ(zone.answer({"example.org", RecordType::txt}).texts, (std::vector<std::string>{"v=spf1 -all", "plain"}));
  EXPECT_EQ(zone.answer({"EXAMPLE.org", RecordType::mx}).hosts, (std::vector<smtp::MxRecord>{{10, "mx.example.org"}}));
  EXPECT_EQ(zone.answer({"example.org", RecordType::a}).addresses.at(0).to_string(), "192.0.2.1");
  EXPECT_EQ(zone.answer({"example.org", RecordType::aaaa}).addresses.at(0).to_string(), "2001:db8::1");
  EXPECT_EQ(zone.answer({"1.2.0.192.in-addr.arpa", RecordType::ptr}).texts,
            (std::vector<std::string>{"host.example.org"}));
}

TEST(Zone, WhatIsAbsentIsNoNameOrNoData) {
  const Zone zone = zone_of(R"({"example.org": {"A": ["192.0.2.1"], "MX": []}})");
  EXPECT_EQ(zone.answer({"other.example", RecordType::a}).status, DnsStatus::no_name);
  EXPECT_EQ(zone.answer({"example.org", RecordType::txt}).status, DnsStatus::no_data);
  EXPECT_EQ(zone.answer({"example.org", RecordType::mx}).status, DnsStatus::no_data);
}

TEST(Zone, FailuresStandForATypeOrForTheWholeName) {
  const Zone zone = zone_of(
      R"({"a.example": {"TXT": "SERVFAIL", "MX": "NXDOMAIN"}, "b.example": "TIMEOUT", "c.example": "NXDOMAIN"})");
  EXPECT_EQ(zone.answer({"a.example", RecordType::txt}).status, DnsStatus::temporary);
  EXPECT_EQ(zone.answer({"a.example", RecordType::mx}).status, DnsStatus::no_name);
  EXPECT_EQ(zone.answer({"a.example", RecordType::a}).status, DnsStatus::no_data);
  EXPECT_EQ(zone.answer({"b.example", RecordType::a}).status, DnsStatus::temporary);
  EXPECT_EQ(zone.answer({"c.example", RecordType::a}).status, DnsStatus::no_name);
}

TEST(Zone, AliasesAreFollowedAndALoopEnds) {
  const Zone zone = zone_of(R"({"a.example": {"CNAME": "b.example"}, "b.example": {"CNAME": ["c.example"]},
                                "c.example": {"A": ["192.0.2.1"]}, "loop.example": {"CNAME": "loop.example"}})");
  EXPECT_EQ(zone.answer({"a.example", RecordType::a}).addresses.size(), 1U);
  EXPECT_EQ(zone.answer({"loop.example", RecordType::a}).status, DnsStatus::temporary);
}

TEST(Zone, EverythingMissingIsAnswered) {
  const Zone zone = zone_of(R"({"example.org": {"A": ["192.0.2.1"]}})");
  auth::DnsFacts facts;
  EXPECT_EQ(facts.find("example.org", RecordType::a), nullptr);
  EXPECT_EQ(facts.find("nobody.example", RecordType::txt), nullptr);
  zone.answer_all(facts);
  EXPECT_TRUE(facts.missing().empty());
  ASSERT_NE(facts.find("example.org", RecordType::a), nullptr);
  EXPECT_EQ(facts.find("nobody.example", RecordType::txt)->status, DnsStatus::no_name);
}

struct WrongRow {
  std::string json, says;
};

TEST(Zone, MistakesAreNamed) {
  const WrongRow rows[] = {
      {"{", "not JSON"},
      {"[]", "not a JSON object"},
      {R"({"a": 1})", "a: not an object"},
      {R"({"a": {"A": ["2001:db8::1"]}})", "a A: not a list of IPv4 addresses"},
      {R"({"a": {"MX": [["10", "x"]]}})", "a MX: not a list of [preference, host]"},
      {R"({"a": {"MX": [[70000, "x"]]}})", "a MX: not"},
      {R"({"a": {"TXT": [[1]]}})", "a TXT: not a list of lists of strings"},
      {R"({"a": {"TXT": "MAYBE"}})", "a TXT: not"},
      {R"({"a": {"CNAME": ["b", "c"]}})", "a CNAME: not one name"},
  };
  for (const WrongRow &row : rows) {
    const auto zone = Zone::parse(row.json);
    ASSERT_FALSE(zone) << row.json;
    EXPECT_TRUE(zone.error().detail.find(row.says) != std::string::npos) << row.json << ": " << zone.error().detail;
  }
}

} // namespace zone_test
TEST(Zone, TheDnssecStateHoldsForANameAndForWhatIsAbsentBelowIt) {
  const auto zone = mta::Zone::parse(R"({
    "signed.example": {"dnssec": "secure", "MX": [[10, "mx.signed.example"]]},
    "mx.signed.example": {"A": ["192.0.2.1"]},
    "alias.signed.example": {"CNAME": "plain.example"},
    "_25._tcp.mx.signed.example": {"TLSA": ["3 1 1 ABCD", [2, 0, 1, "ef01"]]},
    "forged.example": {"dnssec": "bogus", "A": ["192.0.2.2"]},
    "plain.example": {"A": ["192.0.2.3"]}})")
                        .value();
  using smtp::DnsStatus;
  using smtp::DnsTrust;
  EXPECT_EQ(zone.look_up("signed.example", "MX").trust, DnsTrust::secure);
  EXPECT_EQ(zone.look_up("mx.signed.example", "A").trust, DnsTrust::secure)
      << "a name below takes the state of the one above";
  EXPECT_EQ(zone.look_up("absent.signed.example", "A").trust, DnsTrust::secure);
  EXPECT_EQ(zone.look_up("absent.signed.example", "A").fact.status, DnsStatus::no_name);
  EXPECT_EQ(zone.look_up("plain.example", "A").trust, DnsTrust::insecure);
  const auto alias = zone.look_up("alias.signed.example", "A");
  EXPECT_EQ(alias.trust, DnsTrust::insecure) << "an alias is as good as its worst name";
  EXPECT_EQ(alias.canonical_name, "plain.example");
  const auto forged = zone.look_up("forged.example", "A");
  EXPECT_EQ(forged.fact.status, DnsStatus::temporary);
  EXPECT_TRUE(forged.fact.addresses.empty());
  EXPECT_NE(forged.fact.detail.find("bogus"), std::string::npos);
  const auto tlsa = zone.look_up("_25._tcp.MX.signed.example.", "TLSA").tlsa;
  ASSERT_EQ(tlsa.size(), 2U);
  EXPECT_EQ(tlsa[0], (smtp::TlsaRecord{3, 1, 1, "\xab\xcd"}));
  EXPECT_EQ(tlsa[1], (smtp::TlsaRecord{2, 0, 1, "\xef\x01"}));
}

TEST(Zone, WrongDnssecStatesAndTlsaRecordsAreNamed) {
  for (const char *text : {R"({"a.example": {"dnssec": "perhaps"}})", R"({"a.example": {"TLSA": ["3 1 1"]}})",
                           R"({"a.example": {"TLSA": ["3 1 1 XY"]}})", R"({"a.example": {"TLSA": ["300 1 1 ab"]}})",
                           R"({"a.example": {"TLSA": [[3, 1, 1]]}})", R"({"a.example": {"TLSA": [3]}})"}) {
    const auto zone = mta::Zone::parse(text);
    ASSERT_FALSE(zone) << text;
    EXPECT_TRUE(zone.error().detail.starts_with("a.example ")) << zone.error().detail;
  }
}

} // namespace mta
