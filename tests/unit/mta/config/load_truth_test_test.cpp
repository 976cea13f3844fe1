// [dns.truth_test]: all three names or none.
#include <gtest/gtest.h>

#include "config_fakes.hpp"

namespace load_truth_test_test {

using namespace mta;

std::string text_of(const std::string &more) {
  const auto loaded = config_fakes::load_minimal(more);
  std::string text;
  for (const auto &finding : loaded.findings)
    if (finding.key.starts_with("dns")) text += finding.to_string() + '\n';
  return text;
}

TEST(LoadTruthTest, NamesAreReadInLowerCase) {
  const auto config =
      config_fakes::load_minimal(
          "[dns.truth_test]\nsigned = \"Signed.example\"\nunsigned = \"b.example\"\nbogus = \"c.example\"\n")
          .config;
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->dns.truth_test.is_set());
  EXPECT_EQ(config->dns.truth_test, (TruthTestConfig{"signed.example", "b.example", "c.example"}));
}

TEST(LoadTruthTest, WithoutTheSectionThereIsNone) {
  const auto config = config_fakes::load_minimal("[dns]\ndnssec = false\n").config;
  ASSERT_TRUE(config);
  EXPECT_FALSE(config->dns.truth_test.is_set());
}

TEST(LoadTruthTest, WhatIsWrongIsSaid) {
  struct Row {
    const char *name;
    const char *text;
    const char *findings;
  };
  const Row rows[] = {
      {"one name for two ends",
       "[dns.truth_test]\nsigned = \"a.example\"\nunsigned = \"A.example\"\nbogus = \"a.example\"\n",
       "portcullis.toml:11: dns.truth_test.unsigned: is the signed name: the test needs a name whose zone is not "
       "signed\n"
       "portcullis.toml:12: dns.truth_test.bogus: is one of the other names: the test needs a name that is signed "
       "wrongly\n"},
      {"one name alone", "[dns.truth_test]\nsigned = \"a.example\"\n",
       "portcullis.toml:9: dns.truth_test.unsigned: is missing: the test needs all three names: signed, unsigned and "
       "bogus\nportcullis.toml:9: dns.truth_test.bogus: is missing: the test needs all three names: signed, unsigned "
       "and "
       "bogus\n"},
      {"a test that cannot be passed",
       "[dns]\ndnssec = false\n[dns.truth_test]\nsigned = \"a.example\"\nunsigned = \"b.example\"\nbogus = "
       "\"c.example\"\n",
       "portcullis.toml:11: warning: dns.truth_test: dnssec = false: the resolver will never pass this test, and DANE "
       "stays off\n"},
      {"an unknown key",
       "[dns.truth_test]\nsigned = \"a.example\"\nunsigned = \"b.example\"\nbogus = \"c.example\"\nevery = \"1h\"\n",
       "portcullis.toml:13: dns.truth_test.every: unknown key \"every\"; known here: signed, unsigned, bogus\n"},
  };
  for (const Row &row : rows) EXPECT_EQ(text_of(row.text), row.findings) << row.name;
}

} // namespace load_truth_test_test
