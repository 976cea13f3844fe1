// The external destination check of RFC 9990 section 3.
#include "auth/core/dmarc_destination.hpp"

#include <gtest/gtest.h>

#include "dns_zone.hpp"

namespace auth {
namespace dmarc_destination_test {

struct Row {
  std::string name;
  std::string uri;
  DestinationStatus status = DestinationStatus::refused;
  std::vector<std::string> sent_to = {};
};

// clang-format off
const DnsZone zone{
    .texts = {
        {"_dmarc.tnpi.example", {"v=DMARC1; p=reject; rua=mailto:dmarc@farm.example"}},
        {"_dmarc.farm.example", {"v=DMARC1; p=none"}},
        {"tnpi.example._report._dmarc.farm.example", {"v=DMARC1"}},
        {"tnpi.example._report._dmarc.semicolon.example", {"v=DMARC1;"}},
        {"tnpi.example._report._dmarc.other.example", {"spf", "v=DMARC1; rua=mailto:new@other.example"}},
        {"tnpi.example._report._dmarc.leads.example", {"v=DMARC1; rua=mailto:victim@victim.example"}},
        {"tnpi.example._report._dmarc.half.example", {"v=DMARC1; rua=mailto:a@half.example,mailto:b@victim.example"}},
        {"tnpi.example._report._dmarc.bad.example", {"v=DMARC2", "p=none; v=DMARC1"}},
        {"tnpi.example._report._dmarc.badrua.example", {"v=DMARC1; rua=nonsense"}},
        {"tnpi.example._report._dmarc.unsure.example", {"v=DMARC1"}}},
    .failing = {"tnpi.example._report._dmarc.down.example", "_dmarc.unsure.example", "_dmarc.unsure2.example"}};
// clang-format on

TEST(JudgeDestination, AsksTheDestinationUnlessItIsTheSameOrganization) {
  const Row rows[] = {
      {"the domain itself", "mailto:a@tnpi.example", DestinationStatus::internal, {"mailto:a@tnpi.example"}},
      {"a subdomain", "mailto:a@x.tnpi.example", DestinationStatus::internal, {"mailto:a@x.tnpi.example"}},
      {"it agrees", "mailto:a@farm.example", DestinationStatus::allowed, {"mailto:a@farm.example"}},
      {"it agrees with a semicolon",
       "mailto:a@semicolon.example",
       DestinationStatus::allowed,
       {"mailto:a@semicolon.example"}},
      {"it agrees and has another address",
       "mailto:a@other.example",
       DestinationStatus::allowed,
       {"mailto:new@other.example"}},
      {"it leads to another host", "mailto:a@leads.example", DestinationStatus::refused, {}},
      {"one of its addresses leads to another host", "mailto:a@half.example", DestinationStatus::refused, {}},
      {"it has no valid record", "mailto:a@bad.example", DestinationStatus::refused, {}},
      {"its rua is not a URI and is passed over",
       "mailto:a@badrua.example",
       DestinationStatus::allowed,
       {"mailto:a@badrua.example"}},
      {"it has no record", "mailto:a@stranger.example", DestinationStatus::refused, {}},
      {"it does not answer", "mailto:a@down.example", DestinationStatus::temporary, {}},
      {"its organization is not known, but it agrees",
       "mailto:a@unsure.example",
       DestinationStatus::allowed,
       {"mailto:a@unsure.example"}},
      {"its organization is not known, and it does not agree",
       "mailto:a@unsure2.example",
       DestinationStatus::temporary,
       {}},
      {"https to a host that agrees", "https://farm.example/x", DestinationStatus::allowed, {"https://farm.example/x"}},
      {"a URI without a host", "urn:x:y", DestinationStatus::refused, {}},
  };
  for (const Row &row : rows) {
    const auto uri = parse_dmarc_uri(row.uri);
    ASSERT_TRUE(uri) << row.name;
    DnsFacts facts;
    DestinationVerdict verdict;
    const auto asked = zone.resolve(facts, [&] { verdict = judge_destination("tnpi.example", *uri, facts); });
    EXPECT_EQ(verdict.status, row.status) << row.name << ": " << verdict.reason;
    std::vector<std::string> sent_to;
    for (const DmarcUri &to : verdict.uris) sent_to.push_back(to.uri);
    EXPECT_EQ(sent_to, row.sent_to) << row.name;
    EXPECT_EQ(verdict.may_send(), !row.sent_to.empty()) << row.name;
    EXPECT_LE(asked.rounds, 1U) << row.name;
  }
}

TEST(JudgeDestination, ANameTooLongToAskForIsRefused) {
  std::string domain = "example.com";
  while (domain.size() < 220) domain.insert(0, "abcdefg.");
  DnsFacts facts;
  DestinationVerdict verdict;
  const auto uri = parse_dmarc_uri("mailto:a@destination.example.net");
  (void)zone.resolve(facts, [&] { verdict = judge_destination(domain, *uri, facts); });
  EXPECT_EQ(verdict.status, DestinationStatus::refused) << verdict.reason;
}

TEST(DestinationName, IsThatOfTheRfc) {
  EXPECT_EQ(destination_name("blue.example.com", "red.example.net"), "blue.example.com._report._dmarc.red.example.net");
}

} // namespace dmarc_destination_test
} // namespace auth
