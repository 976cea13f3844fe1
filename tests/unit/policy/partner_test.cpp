// PartnerTable: the longest match wins, for rules and for exceptions; overlapping rules are refused.
#include "policy/partner.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace partner_test {

using namespace policy;
using namespace std::chrono_literals;

smtp::Domain domain(std::string_view text) {
  return smtp::Domain::parse(text).value();
}
smtp::DomainPattern pattern(std::string_view text) {
  return smtp::DomainPattern::parse(text).value();
}

Partner partner(const std::string &name, const std::vector<std::string> &domains,
                const std::vector<std::string> &exceptions = {}) {
  Partner result;
  result.name = name;
  result.file = "partners.d/" + name + ".toml";
  for (const auto &text : domains) result.domains.push_back(pattern(text));
  for (const auto &text : exceptions)
    result.exceptions.push_back({.domain = pattern(text),
                                 .level = tls::Level::none,
                                 .owner = "o",
                                 .reason = "r",
                                 .expires = 2027y / 1 / 1,
                                 .place = name + " " + text});
  return result;
}

TEST(PartnerTable, TheLongestMatchWins) {
  const auto table = PartnerTable::build({partner("everyone", {"*"}), partner("uk", {"*.gov.uk"}),
                                          partner("department", {"dept.gov.uk", "*.dept.gov.uk"}),
                                          partner("one-host", {"mail.dept.gov.uk"})})
                         .value();
  const std::vector<std::pair<const char *, const char *>> rows = {
      {"dept.gov.uk", "department"},
      {"mail.dept.gov.uk", "one-host"},
      {"a.mail.dept.gov.uk", "department"},
      {"a.b.c.dept.gov.uk", "department"},
      {"other.gov.uk", "uk"},
      {"gov.uk", "everyone"},
      {"notdept.gov.uk", "uk"},
      {"example.org", "everyone"},
      {"xdept.gov.uk.example", "everyone"},
      {"MAIL.Dept.GOV.uk", "one-host"},
      {"uk", "everyone"},
  };
  for (const auto &[name, wanted] : rows) {
    const Partner *found = table.find(domain(name));
    ASSERT_TRUE(found) << name;
    EXPECT_EQ(found->name, wanted) << name;
  }
}

TEST(PartnerTable, AWildcardIsNotTheNameItself) {
  const auto table =
      PartnerTable::build({partner("below", {"*.example.org"}), partner("exact", {"example.com"})}).value();
  EXPECT_EQ(table.find(domain("example.org")), nullptr);
  EXPECT_NE(table.find(domain("a.example.org")), nullptr);
  EXPECT_EQ(table.find(domain("a.example.com")), nullptr);
  EXPECT_EQ(table.find(domain("org")), nullptr);
  EXPECT_EQ(PartnerTable().find(domain("example.org")), nullptr);
  EXPECT_EQ(PartnerTable().find_exception(domain("example.org")), nullptr);
}

TEST(PartnerTable, OverlappingRulesAreRefusedWithBothPlaces) {
  for (const char *name : {"example.org", "*.example.org", "*"}) {
    const auto table = PartnerTable::build({partner("one", {name}), partner("two", {"other.example", name})});
    ASSERT_FALSE(table);
    EXPECT_EQ(
        table.error().detail,
        fmt::format(
            "overlapping rules: {} is claimed by \"one\" (partners.d/one.toml) and by \"two\" (partners.d/two.toml)",
            name));
  }
  EXPECT_TRUE(PartnerTable::build({partner("one", {"example.org"}), partner("two", {"*.example.org"})}))
      << "a name and its wildcard do not overlap";
  EXPECT_FALSE(PartnerTable::build({partner("one", {"example.org", "EXAMPLE.org"})}))
      << "nor may one partner say it twice";
}

TEST(PartnerTable, TheMostSpecificExceptionComesFirst) {
  const auto table =
      PartnerTable::build({partner("a", {"*.gov.uk"}, {"*.gov.uk", "*.dept.gov.uk", "mail.dept.gov.uk"})}).value();
  const auto places = [&](const char *name) {
    std::vector<std::string> result;
    for (const auto *exception : table.find_exceptions(domain(name))) result.push_back(exception->place);
    return result;
  };
  using List = std::vector<std::string>;
  EXPECT_EQ(places("mail.dept.gov.uk"), (List{"a mail.dept.gov.uk", "a *.dept.gov.uk", "a *.gov.uk"}));
  EXPECT_EQ(places("dept.gov.uk"), (List{"a *.gov.uk"}));
  EXPECT_EQ(places("gov.uk"), List{});
  EXPECT_EQ(table.find_exception(domain("x.dept.gov.uk"))->place, "a *.dept.gov.uk");
}

TEST(PartnerTable, OfEquallySpecificExceptionsTheLastToExpireCounts) {
  auto one = partner("a", {"a.example"}, {"a.example", "a.example", "a.example"});
  one.exceptions[0].expires = 2027y / 1 / 1;
  one.exceptions[1].expires = 2028y / 1 / 1;
  one.exceptions[2].expires = 2026y / 1 / 1;
  const auto table = PartnerTable::build({one}).value();
  EXPECT_EQ(table.find_exception(domain("a.example"))->expires, std::chrono::sys_days(2028y / 1 / 1));
}

TEST(PartnerTable, ABroadExceptionOfAnotherPartnerDoesNotUndoACloserRule) {
  const auto table = PartnerTable::build({partner("uk", {"*.gov.uk"}, {"*.gov.uk", "named.gov.uk"}),
                                          partner("dept", {"dept.gov.uk", "named.gov.uk"})})
                         .value();
  EXPECT_EQ(table.find_exception(domain("dept.gov.uk")), nullptr);
  EXPECT_NE(table.find_exception(domain("other.gov.uk")), nullptr);
  EXPECT_NE(table.find_exception(domain("named.gov.uk")), nullptr)
      << "an exception that names the domain is as close as the rule";
}

TEST(PartnerTable, TenThousandPartnersAreFound) {
  std::vector<Partner> partners;
  for (int i = 0; i < 10'000; ++i)
    partners.push_back(partner(fmt::format("p{}", i), {fmt::format("p{}.example", i), fmt::format("*.p{}.example", i)},
                               {fmt::format("old.p{}.example", i)}));
  const auto table = PartnerTable::build(std::move(partners)).value();
  for (int i = 0; i < 10'000; ++i) {
    const auto name = fmt::format("p{}", i);
    const Partner *exact = table.find(domain(fmt::format("p{}.example", i)));
    const Partner *below = table.find(domain(fmt::format("x.y.p{}.example", i)));
    ASSERT_TRUE(exact && below && exact == below && exact->name == name) << name;
    const Exception *exception = table.find_exception(domain(fmt::format("old.p{}.example", i)));
    ASSERT_TRUE(exception && exception->place == fmt::format("p{0} old.p{0}.example", i)) << name;
  }
  EXPECT_EQ(table.find(domain("p10000.example")), nullptr);
}

TEST(PartnerTable, AWildcardNeverReachesADomainOfOurs) {
  const std::vector<Partner> partners = {partner("uk", {"*.gov.uk"}, {"*.gov.uk", "named.gov.uk"}),
                                         partner("everyone", {"*"}), partner("named", {"named.gov.uk"})};
  const auto table = PartnerTable::build(partners, {"ours.gov.uk", "named.gov.uk", "ours.example"}).value();
  const auto find = [&](std::string_view name) {
    const Partner *found = table.find(smtp::Domain::parse(name).value());
    return found ? found->name : std::string("nobody");
  };
  EXPECT_EQ(find("ours.gov.uk"), "nobody");
  EXPECT_EQ(find("OURS.gov.uk"), "nobody");
  EXPECT_EQ(find("ours.example"), "nobody");
  EXPECT_EQ(find("named.gov.uk"), "named") << "a rule may name it";
  EXPECT_EQ(find("other.gov.uk"), "uk");
  EXPECT_EQ(find("sub.ours.gov.uk"), "uk") << "no [[domain]] is called so";
  EXPECT_EQ(find("example.net"), "everyone");
  EXPECT_EQ(table.find_exception(smtp::Domain::parse("ours.gov.uk").value()), nullptr);
  EXPECT_NE(table.find_exception(smtp::Domain::parse("named.gov.uk").value()), nullptr);
  const auto other = table.with({partner("uk", {"*.gov.uk"})}).value();
  EXPECT_EQ(other.find(smtp::Domain::parse("ours.gov.uk").value()), nullptr) << "as `simulate` asks";
}

} // namespace partner_test
