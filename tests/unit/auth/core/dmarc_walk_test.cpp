// The tree walk of RFC 9989 section 4.10: which names it asks for, and the Organizational Domain that it finds.
#include "auth/core/dmarc_walk.hpp"

#include <gtest/gtest.h>

#include "dns_zone.hpp"

namespace auth {
namespace dmarc_walk_test {

using Names = std::vector<std::string>;

TEST(WalkNames, JumpsToSevenLabelsAndAsksForEightNamesAtMost) {
  EXPECT_EQ(walk_names("com"), (Names{"com"}));
  EXPECT_EQ(walk_names("a.mail.example.com"), (Names{"a.mail.example.com", "mail.example.com", "example.com", "com"}));
  EXPECT_EQ(walk_names("7.6.5.4.3.2.1"),
            (Names{"7.6.5.4.3.2.1", "6.5.4.3.2.1", "5.4.3.2.1", "4.3.2.1", "3.2.1", "2.1", "1"}));
  EXPECT_EQ(walk_names("8.7.6.5.4.3.2.1"),
            (Names{"8.7.6.5.4.3.2.1", "7.6.5.4.3.2.1", "6.5.4.3.2.1", "5.4.3.2.1", "4.3.2.1", "3.2.1", "2.1", "1"}));
  EXPECT_EQ(walk_names("9.8.7.6.5.4.3.2.1").size(), 8U);
  // The example of section 4.10.
  EXPECT_EQ(walk_names("a.b.c.d.e.f.g.h.i.j.mail.example.com"),
            (Names{"a.b.c.d.e.f.g.h.i.j.mail.example.com", "g.h.i.j.mail.example.com", "h.i.j.mail.example.com",
                   "i.j.mail.example.com", "j.mail.example.com", "mail.example.com", "example.com", "com"}));
}

struct Row {
  std::string name;
  std::map<std::string, std::vector<std::string>> texts;
  std::string domain;
  std::string org_domain;
  std::set<std::string> failing = {};
  bool temporary = false;
};

TEST(WalkDmarcTree, FindsTheOrganizationalDomain) {
  const std::vector<std::string> record{"v=DMARC1; p=none"};
  const std::vector<std::string> psd{"v=DMARC1; psd=y"};
  const std::vector<std::string> org{"v=DMARC1; p=none; psd=n"};
  const Row rows[] = {
      {.name = "no record at all", .texts = {}, .domain = "a.example.com", .org_domain = "a.example.com"},
      {.name = "a record at the domain",
       .texts = {{"_dmarc.a.example.com", record}},
       .domain = "a.example.com",
       .org_domain = "a.example.com"},
      {.name = "a record above",
       .texts = {{"_dmarc.example.com", record}},
       .domain = "a.b.example.com",
       .org_domain = "example.com"},
      {.name = "the shortest of several",
       .texts = {{"_dmarc.a.b.example.com", record}, {"_dmarc.b.example.com", record}, {"_dmarc.example.com", record}},
       .domain = "a.b.example.com",
       .org_domain = "example.com"},
      {.name = "a record at a top-level label counts",
       .texts = {{"_dmarc.com", record}},
       .domain = "a.example.com",
       .org_domain = "com"},
      {.name = "psd=n ends the walk",
       .texts = {{"_dmarc.b.example.com", org}, {"_dmarc.example.com", record}},
       .domain = "a.b.example.com",
       .org_domain = "b.example.com"},
      {.name = "psd=n at the domain itself",
       .texts = {{"_dmarc.a.example.com", org}, {"_dmarc.example.com", record}},
       .domain = "a.example.com",
       .org_domain = "a.example.com"},
      {.name = "one label below psd=y",
       .texts = {{"_dmarc.bank.example", psd}},
       .domain = "mail.mega.bank.example",
       .org_domain = "mega.bank.example"},
      {.name = "one label below psd=y, with a record there",
       .texts = {{"_dmarc.giant.bank.example", record}, {"_dmarc.bank.example", psd}},
       .domain = "giant.bank.example",
       .org_domain = "giant.bank.example"},
      {.name = "psd=y where the walk starts",
       .texts = {{"_dmarc.bank.example", psd}, {"_dmarc.example", record}},
       .domain = "bank.example",
       .org_domain = "bank.example"},
      {.name = "psd=n below psd=y",
       .texts = {{"_dmarc.b.c.example", org}, {"_dmarc.example", psd}},
       .domain = "a.b.c.example",
       .org_domain = "b.c.example"},
      {.name = "one label below psd=y was not asked for",
       .texts = {{"_dmarc.7.6.5.4.3.2.1", psd}},
       .domain = "a.9.8.7.6.5.4.3.2.1",
       .org_domain = "8.7.6.5.4.3.2.1"},
      {.name = "names between the jump are not looked at",
       .texts = {{"_dmarc.8.7.6.5.4.3.2.1", org}, {"_dmarc.2.1", record}},
       .domain = "9.8.7.6.5.4.3.2.1",
       .org_domain = "2.1"},
      {.name = "several records are none",
       .texts = {{"_dmarc.example.com", {"v=DMARC1; p=none; psd=n", "v=DMARC1; p=reject"}}},
       .domain = "a.example.com",
       .org_domain = "a.example.com"},
      {.name = "records of other kinds do not count",
       .texts = {{"_dmarc.example.com", {"v=spf1 -all", "v=DMARC1; p=none", "v=DMARC2"}}},
       .domain = "a.example.com",
       .org_domain = "example.com"},
      {.name = "a record too long counts for nothing",
       .texts = {{"_dmarc.example.com", {"v=DMARC1; p=none; x=" + std::string(longest_dmarc_record, 'x')}}},
       .domain = "a.example.com",
       .org_domain = "a.example.com"},
      {.name = "a failure above leaves it open",
       .texts = {{"_dmarc.a.example.com", record}},
       .domain = "a.example.com",
       .org_domain = "a.example.com",
       .failing = {"_dmarc.com"},
       .temporary = true},
      {.name = "a failure behind the end of the walk does not matter",
       .texts = {{"_dmarc.example.com", org}},
       .domain = "a.example.com",
       .org_domain = "example.com",
       .failing = {"_dmarc.com"}},
  };
  for (const Row &row : rows) {
    const DnsZone zone{.texts = row.texts, .failing = row.failing};
    DnsFacts facts;
    DmarcWalk walk;
    const auto asked = zone.resolve(facts, [&] { walk = walk_dmarc_tree(row.domain, facts); });
    EXPECT_EQ(walk.org_domain, row.org_domain) << row.name;
    EXPECT_EQ(walk.temporary, row.temporary) << row.name;
    EXPECT_EQ(walk.is_certain(), !row.temporary) << row.name;
    EXPECT_EQ(asked.rounds, 1U) << row.name;
    EXPECT_LE(asked.questions.size(), 8U) << row.name;
  }
}

TEST(WalkDmarcTree, AsksForNothingBehindAnEndThatItKnows) {
  DnsFacts facts;
  facts.put({"_dmarc.a.example.com", RecordType::txt},
            DnsZone{.texts = {{"_dmarc.a.example.com", {"v=DMARC1;p=none;psd=n"}}}}.answer(
                {"_dmarc.a.example.com", RecordType::txt}));
  const DmarcWalk walk = walk_dmarc_tree("a.example.com", facts);
  EXPECT_TRUE(walk.is_certain());
  EXPECT_TRUE(facts.missing().empty());
}

TEST(WalkDmarcTree, ANameTooLongToAskForHasNoRecord) {
  std::string domain = "example.com";
  while (domain.size() < 245) domain.insert(0, "abcdefg.");
  DnsFacts facts;
  DmarcWalk walk;
  const DnsZone zone{.texts = {{"_dmarc.example.com", {"v=DMARC1;p=none"}}}};
  const auto asked = zone.resolve(facts, [&] { walk = walk_dmarc_tree(domain, facts); });
  EXPECT_EQ(walk.org_domain, "example.com");
  for (const DnsQuestion &question : asked.questions) EXPECT_LE(question.name.size(), 253U);
}

} // namespace dmarc_walk_test
} // namespace auth
