#include "tls/core/name_match.hpp"

#include <ostream>

#include <gtest/gtest.h>

#include "tls/core/facts.hpp"
#include "tls/core/level.hpp"

namespace name_match_test {

struct Row {
  const char *name;
  std::string_view left;
  std::string_view right;
  bool match;
  friend void PrintTo(const Row &row, std::ostream *out) { *out << row.name; }
};

// name_covers(presented, host)
const Row covers_rows[] = {
    {.name = "the same name covers", .left = "mx.example.org", .right = "mx.example.org", .match = true},
    {.name = "case does not matter", .left = "MX.Example.ORG", .right = "mx.eXAMPLE.org", .match = true},
    {.name = "an A-label name covers itself",
     .left = "xn--bcher-kva.example",
     .right = "XN--BCHER-kva.example",
     .match = true},
    {.name = "another name does not cover", .left = "mx.example.org", .right = "mx2.example.org", .match = false},
    {.name = "a parent does not cover", .left = "example.org", .right = "mx.example.org", .match = false},
    {.name = "a child does not cover", .left = "mx.example.org", .right = "example.org", .match = false},
    {.name = "a suffix without a dot does not cover", .left = "ample.org", .right = "example.org", .match = false},
    {.name = "a wildcard stands for one label", .left = "*.example.org", .right = "mx.example.org", .match = true},
    {.name = "a wildcard is compared without case", .left = "*.EXAMPLE.org", .right = "Mx.example.ORG", .match = true},
    {.name = "a wildcard stands for an A-label",
     .left = "*.example.org",
     .right = "xn--bcher-kva.example.org",
     .match = true},
    {.name = "a wildcard does not stand for two labels",
     .left = "*.example.org",
     .right = "a.b.example.org",
     .match = false},
    {.name = "a wildcard does not stand for no label", .left = "*.example.org", .right = "example.org", .match = false},
    {.name = "a wildcard does not stand for an empty label",
     .left = "*.example.org",
     .right = ".example.org",
     .match = false},
    {.name = "a wildcard over a top-level domain is refused", .left = "*.org", .right = "example.org", .match = false},
    {.name = "a bare star is refused", .left = "*", .right = "org", .match = false},
    {.name = "a star and a dot are refused", .left = "*.", .right = "a.", .match = false},
    {.name = "a partial wildcard is refused", .left = "mx*.example.org", .right = "mx1.example.org", .match = false},
    {.name = "a wildcard behind text is refused", .left = "m*.example.org", .right = "m*.example.org", .match = false},
    {.name = "a wildcard in a second label is refused", .left = "mx.*.org", .right = "mx.example.org", .match = false},
    {.name = "two wildcards are refused", .left = "*.*.example.org", .right = "a.b.example.org", .match = false},
    {.name = "a wildcard with an empty label is refused", .left = "*..org", .right = "a..org", .match = false},
    {.name = "a host that is a wildcard is not a host",
     .left = "*.example.org",
     .right = "*.example.org",
     .match = false},
    {.name = "an empty host is never covered", .left = "", .right = "", .match = false},
    {.name = "an empty name covers nothing", .left = "", .right = "mx.example.org", .match = false},
    {.name = "a trailing dot is another spelling",
     .left = "mx.example.org",
     .right = "mx.example.org.",
     .match = false},
    {.name = "an address is not a DNS name", .left = "192.0.2.1", .right = "192.0.2.1", .match = false},
    {.name = "a wildcard does not cover an address", .left = "*.0.2.1", .right = "192.0.2.1", .match = false},
    {.name = "a NUL ends nothing",
     .left = {"mx.example.org\0.evil.example", 28},
     .right = "mx.example.org",
     .match = false},
    {.name = "a NUL in the host is refused",
     .left = {"a\0b.example.org", 15},
     .right = {"a\0b.example.org", 15},
     .match = false},
};

// reference_matches(reference, presented)
const Row reference_rows[] = {
    {.name = "a plain reference equals a name", .left = "mx.example.org", .right = "mx.example.org", .match = true},
    {.name = "a plain reference is covered by a wildcard",
     .left = "mx.example.org",
     .right = "*.example.org",
     .match = true},
    {.name = "a plain reference is not covered two labels up",
     .left = "a.mx.example.org",
     .right = "*.example.org",
     .match = false},
    {.name = "a pattern accepts one label in front",
     .left = "*.mail.example.gov.uk",
     .right = "mx1.mail.example.gov.uk",
     .match = true},
    {.name = "a pattern does not accept two",
     .left = "*.mail.example.gov.uk",
     .right = "a.mx1.mail.example.gov.uk",
     .match = false},
    {.name = "a pattern does not accept its base",
     .left = "*.mail.example.gov.uk",
     .right = "mail.example.gov.uk",
     .match = false},
    {.name = "a pattern accepts the same wildcard",
     .left = "*.Mail.example.gov.uk",
     .right = "*.mail.example.GOV.uk",
     .match = true},
    {.name = "a pattern does not accept a lower wildcard",
     .left = "*.example.gov.uk",
     .right = "*.mail.example.gov.uk",
     .match = false},
    {.name = "a pattern does not accept a higher wildcard",
     .left = "*.mail.example.gov.uk",
     .right = "*.example.gov.uk",
     .match = false},
    {.name = "a pattern over a top-level domain is refused", .left = "*.uk", .right = "gov.uk", .match = false},
    {.name = "the same wildcard over a top-level domain is refused", .left = "*.uk", .right = "*.uk", .match = false},
    {.name = "a bare star accepts nothing", .left = "*", .right = "mx.example.org", .match = false},
    {.name = "a partial pattern accepts nothing",
     .left = "mx*.example.org",
     .right = "mx1.example.org",
     .match = false},
    {.name = "an empty reference accepts nothing", .left = "", .right = "mx.example.org", .match = false},
    {.name = "an empty reference does not accept an empty name", .left = "", .right = "", .match = false},
    {.name = "a pattern does not accept a NUL",
     .left = "*.example.org",
     .right = {"a\0.example.org", 14},
     .match = false},
};

class Covers : public testing::TestWithParam<Row> {};
TEST_P(Covers, one_label_and_no_more) {
  EXPECT_EQ(tls::name_covers(GetParam().left, GetParam().right), GetParam().match) << GetParam().name;
}
INSTANTIATE_TEST_SUITE_P(table, Covers, testing::ValuesIn(covers_rows));

class Reference : public testing::TestWithParam<Row> {};
TEST_P(Reference, may_be_a_pattern) {
  EXPECT_EQ(tls::reference_matches(GetParam().left, GetParam().right), GetParam().match) << GetParam().name;
}
INSTANTIATE_TEST_SUITE_P(table, Reference, testing::ValuesIn(reference_rows));

TEST(first_match, gives_the_first_reference_in_order_of_the_references) {
  EXPECT_EQ(tls::first_match({"a.example.org", "b.example.org"}, {"b.example.org", "a.example.org"}), "a.example.org");
  EXPECT_EQ(tls::first_match({"c.example.org", "*.example.org"}, {"mx.example.com", "b.example.org"}), "*.example.org");
  EXPECT_EQ(tls::first_match({"c.example.org"}, {"b.example.org"}), "");
  EXPECT_EQ(tls::first_match({}, {"b.example.org"}), "");
  EXPECT_EQ(tls::first_match({"c.example.org"}, {}), "");
}

TEST(level, words_go_both_ways_and_nothing_else_is_a_level) {
  using tls::Level;
  for (const Level level : {Level::none, Level::opportunistic, Level::encrypted, Level::authenticated, Level::dane}) {
    EXPECT_EQ(tls::parse_level(tls::to_string(level)), level);
  }
  EXPECT_LT(Level::none, Level::opportunistic);
  EXPECT_LT(Level::encrypted, Level::authenticated);
  for (const char *word : {"", "may", "Encrypted", "encrypted ", "encrypt", "authenticatedx", "secure"}) {
    EXPECT_FALSE(tls::parse_level(word)) << word;
  }
}

TEST(version, is_written_as_openssl_writes_it) {
  EXPECT_STREQ(tls::to_string(tls::Version::tls1_0), "TLSv1");
  EXPECT_STREQ(tls::to_string(tls::Version::tls1_1), "TLSv1.1");
  EXPECT_STREQ(tls::to_string(tls::Version::tls1_2), "TLSv1.2");
  EXPECT_STREQ(tls::to_string(tls::Version::tls1_3), "TLSv1.3");
}

} // namespace name_match_test
