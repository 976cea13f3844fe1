#include "tls/profile.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "smtp/base/text.hpp"
#include "source_dir.hpp"

namespace profile_test {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Not;

tls::ProfileDescription describe(std::string_view name) {
  const tls::Profile *profile = tls::find_profile(name);
  if (profile == nullptr) throw std::runtime_error("no such profile");
  auto description = tls::describe_profile(*profile);
  if (!description) throw std::runtime_error(description.error().detail);
  return *description;
}

std::string conformance_file(const std::string &name) {
  std::ifstream in(std::filesystem::path(source_dir) / ".." / "shared" / "conformance" / "tls" / name);
  std::stringstream text;
  text << in.rdbuf();
  return in ? text.str() : std::string();
}

/// The strings of the JSON list `key` behind the word `behind`; enough for these two files.
std::vector<std::string> json_list(const std::string &json, const std::string &behind, const std::string &key) {
  const std::size_t from = behind.empty() ? 0 : json.find('"' + behind + '"');
  if (from == std::string::npos) return {};
  const std::size_t at = json.find('"' + key + '"', from);
  if (at == std::string::npos) return {};
  const std::size_t open = json.find('[', at);
  const std::size_t end = json.find(']', open);
  std::vector<std::string> strings;
  const auto parts = smtp::split(std::string_view(json).substr(open, end - open), '"');
  for (std::size_t i = 1; i < parts.size(); i += 2) strings.emplace_back(parts[i]);
  return strings;
}

/// Both spellings of the RFCs' suite names: "TLS_ECDHE_RSA_WITH_…" and OpenSSL's "ECDHE-RSA-…".
std::set<std::string> openssl_names(const std::vector<std::string> &list) {
  std::set<std::string> names;
  for (const std::string &name : list) names.insert(OPENSSL_cipher_name(name.c_str()));
  return names;
}

std::set<std::string> as_set(const std::vector<std::string> &list) {
  return {list.begin(), list.end()};
}

TEST(profile, names_are_the_seven_of_the_documentation) {
  std::vector<std::string> names;
  for (const auto &profile : tls::all_profiles()) names.push_back(profile.name);
  EXPECT_THAT(names, ElementsAre("ncsc", "suite-b-1", "foundation", "mozilla-intermediate", "mozilla-modern",
                                 "internet", "internet-legacy"));
  EXPECT_EQ(tls::find_profile("NCSC"), nullptr);
  EXPECT_EQ(tls::find_profile(""), nullptr);
  EXPECT_EQ(tls::find_profile("internet-"), nullptr);
}

TEST(profile, every_profile_is_accepted_by_the_library_with_all_its_suites) {
  for (const auto &profile : tls::all_profiles()) {
    const auto description = describe(profile.name);
    EXPECT_FALSE(description.suites.empty()) << profile.name;
    EXPECT_FALSE(description.groups.empty()) << profile.name;
    EXPECT_FALSE(description.versions.empty()) << profile.name;
    EXPECT_FALSE(profile.dated.empty()) << profile.name;
    for (const std::string &missing : description.left_out) {
      EXPECT_EQ(missing, "X25519MLKEM768") << profile.name << ": only the post-quantum group may be missing";
    }
  }
}

TEST(profile, a_group_that_the_library_lacks_is_left_out_and_listed) {
  tls::Profile profile = *tls::find_profile("ncsc");
  profile.groups = {"no-such-group", "P-384"};
  const auto description = tls::describe_profile(profile);
  ASSERT_TRUE(description) << description.error().detail;
  EXPECT_THAT(description->groups, ElementsAre("P-384"));
  EXPECT_THAT(description->left_out, ElementsAre("no-such-group"));
}

TEST(profile, what_the_library_refuses_is_an_error_that_names_the_profile) {
  tls::Profile profile = *tls::find_profile("ncsc");
  profile.groups = {"no-such-group"};
  const auto no_group = tls::describe_profile(profile);
  ASSERT_FALSE(no_group);
  EXPECT_THAT(no_group.error().detail, testing::HasSubstr("profile ncsc: the groups"));
  profile = *tls::find_profile("ncsc");
  profile.ciphers = "NO-SUCH-SUITE";
  EXPECT_FALSE(tls::describe_profile(profile));
  profile = *tls::find_profile("ncsc");
  profile.ciphersuites = "TLS_NO_SUCH_SUITE";
  EXPECT_FALSE(tls::describe_profile(profile));
  profile = *tls::find_profile("ncsc");
  profile.signatures = "RSA+NOTHING";
  EXPECT_FALSE(tls::describe_profile(profile));
  profile = *tls::find_profile("internet");
  profile.dh_group = "ffdhe1";
  EXPECT_FALSE(tls::describe_profile(profile));
}

TEST(profile, a_suite_that_the_library_lacks_is_listed) {
  tls::Profile profile = *tls::find_profile("ncsc");
  profile.ciphers += ":NO-SUCH-SUITE";
  const auto description = tls::describe_profile(profile);
  ASSERT_TRUE(description);
  EXPECT_THAT(description->left_out, Contains("NO-SUCH-SUITE"));
}

/// What a handshake of this kind is recorded as.
tls::Facts session_of(tls::Version version, std::string suite, std::string group = {}, std::string key_type = {}) {
  tls::Facts facts;
  facts.encrypted = true;
  facts.version = version;
  facts.suite = std::move(suite);
  facts.group = std::move(group);
  if (!key_type.empty()) facts.chain.emplace_back().key_type = std::move(key_type);
  return facts;
}

TEST(profile, what_a_profile_enables_is_within_it) {
  for (const tls::Profile &profile : tls::all_profiles())
    for (const std::string &suite : describe(profile.name).suites) {
      const bool newest = suite.starts_with("TLS_");
      // A suite is enabled in the list of a profile, but not used, where the profile ends below TLS 1.3.
      if (newest && profile.highest < tls::Version::tls1_3) continue;
      const auto version = newest ? tls::Version::tls1_3 : tls::Version::tls1_2;
      EXPECT_EQ(tls::describe_outside(profile, session_of(version, suite)), "") << profile.name << " " << suite;
    }
}

struct OutsideRow {
  const char *name;
  const char *profile;
  tls::Facts facts;
  const char *expected; ///< empty: within
};

TEST(profile, what_another_profile_made_may_be_outside) {
  using V = tls::Version;
  const std::vector<OutsideRow> rows = {
      {"a suite in CBC mode", "ncsc", session_of(V::tls1_2, "ECDHE-ECDSA-AES256-SHA384"),
       "TLSv1.2 ECDHE-ECDSA-AES256-SHA384 is outside profile ncsc"},
      {"the same in a wider profile", "internet", session_of(V::tls1_2, "ECDHE-ECDSA-AES256-SHA384"), ""},
      {"a suite of TLS 1.3", "ncsc", session_of(V::tls1_3, "TLS_CHACHA20_POLY1305_SHA256"),
       "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256 is outside profile ncsc"},
      {"a version below", "ncsc", session_of(V::tls1_0, ""), "TLSv1 is outside profile ncsc"},
      {"a version above", "suite-b-1", session_of(V::tls1_3, "TLS_AES_256_GCM_SHA384"),
       "TLSv1.3 TLS_AES_256_GCM_SHA384 is outside profile suite-b-1"},
      {"a group", "suite-b-1", session_of(V::tls1_2, "ECDHE-ECDSA-AES128-GCM-SHA256", "X25519"),
       "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 with the group X25519 is outside profile suite-b-1"},
      {"the library's name of a curve", "suite-b-1",
       session_of(V::tls1_2, "ECDHE-ECDSA-AES128-GCM-SHA256", "prime256v1"), ""},
      {"the group of DHE is the server's to choose", "foundation",
       session_of(V::tls1_2, "DHE-RSA-AES128-GCM-SHA256", "ffdhe3072"), ""},
      {"a key that the signatures do not use", "mozilla-modern",
       session_of(V::tls1_3, "TLS_AES_128_GCM_SHA256", "X25519", "RSA"),
       "TLSv1.3 TLS_AES_128_GCM_SHA256 with an RSA key is outside profile mozilla-modern"},
      {"a key that they use", "mozilla-modern", session_of(V::tls1_3, "TLS_AES_128_GCM_SHA256", "X25519", "EC"), ""},
      {"nothing recorded but the version", "ncsc", session_of(V::tls1_2, ""), ""},
      {"no TLS", "ncsc", tls::Facts{}, ""},
  };
  for (const OutsideRow &row : rows)
    EXPECT_EQ(tls::describe_outside(*tls::find_profile(row.profile), row.facts), row.expected) << row.name;
}

TEST(profile, ncsc_has_exactly_its_suites_in_order) {
  const auto ncsc = describe("ncsc");
  EXPECT_EQ(ncsc.versions, "TLSv1.2 TLSv1.3");
  EXPECT_THAT(ncsc.suites, ElementsAre("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256",
                                       "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
                                       "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"));
}

TEST(profile, suite_b_1_and_foundation_are_tls_1_2_alone) {
  const auto suite_b = describe("suite-b-1");
  EXPECT_EQ(suite_b.versions, "TLSv1.2");
  EXPECT_THAT(suite_b.suites, ElementsAre("ECDHE-ECDSA-AES128-GCM-SHA256"));
  EXPECT_THAT(suite_b.groups, ElementsAre("P-256"));
  const auto foundation = describe("foundation");
  EXPECT_EQ(foundation.versions, "TLSv1.2");
  EXPECT_THAT(foundation.suites, ElementsAre("DHE-RSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256",
                                             "ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"));
  EXPECT_THAT(foundation.groups, ElementsAre("P-256", "modp_2048"));
}

TEST(profile, internet_begins_with_ncsc_and_has_nothing_below_tls_1_2) {
  const auto internet = describe("internet");
  EXPECT_EQ(internet.versions, "TLSv1.2 TLSv1.3");
  const auto ncsc = describe("ncsc");
  const std::set<std::string> all = as_set(internet.suites);
  for (const auto &suite : ncsc.suites) EXPECT_TRUE(all.contains(suite)) << suite;
  EXPECT_EQ(internet.suites.front(), "TLS_AES_256_GCM_SHA384");
  EXPECT_TRUE(all.contains("DHE-RSA-AES128-GCM-SHA256"));
  for (const auto &suite : internet.suites) {
    EXPECT_TRUE(suite.starts_with("TLS_") || suite.starts_with("ECDHE-") || suite.starts_with("DHE-")) << suite;
    EXPECT_FALSE(suite.ends_with("-SHA")) << suite << " is a suite of TLS 1.0";
  }
}

TEST(profile, internet_legacy_adds_old_versions_and_static_rsa_behind_the_rest) {
  const auto legacy = describe("internet-legacy");
  EXPECT_EQ(legacy.versions, "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3");
  EXPECT_EQ(legacy.suites.back(), "AES128-SHA");
  const auto internet = describe("internet");
  ASSERT_GT(legacy.suites.size(), internet.suites.size());
  EXPECT_TRUE(std::equal(internet.suites.begin(), internet.suites.end(), legacy.suites.begin()));
}

TEST(profile, no_profile_but_legacy_takes_sha1_or_md5_signatures) {
  for (const auto &profile : tls::all_profiles()) {
    const bool old =
        profile.signatures.find("SHA1") != std::string::npos || profile.signatures.find("MD5") != std::string::npos;
    EXPECT_EQ(old, profile.name == "internet-legacy") << profile.name;
    EXPECT_EQ(profile.security_level, profile.name == "internet-legacy" ? 0 : 2) << profile.name;
  }
}

TEST(profile, mozilla_profiles_fit_the_guidelines_6_0) {
  const std::string json = conformance_file("mozilla-guidelines/6.0.json");
  if (json.empty()) GTEST_SKIP() << "conformance data is absent: tls/mozilla-guidelines/6.0.json";
  for (const std::string which : {"intermediate", "modern"}) {
    const auto description = describe("mozilla-" + which);
    auto wanted = as_set(json_list(json, which, "ciphersuites"));
    const std::size_t begin = json.find('"' + which + '"');
    ASSERT_NE(begin, std::string::npos);
    if (which == "intermediate") wanted.merge(as_set(json_list(json.substr(begin), "ciphers", "openssl")));
    ASSERT_GE(wanted.size(), which == "intermediate" ? 9U : 3U) << "the file was read wrongly";
    EXPECT_EQ(as_set(description.suites), wanted) << which;

    std::string versions;
    for (const auto &version : json_list(json, which, "tls_versions"))
      versions += (versions.empty() ? "" : " ") + version;
    EXPECT_EQ(description.versions, versions) << which;

    std::vector<std::string> groups;
    for (std::string group : json_list(json, which, "tls_curves")) {
      if (group == "prime256v1") group = "P-256";
      if (group == "secp384r1") group = "P-384";
      groups.push_back(group);
    }
    EXPECT_EQ(tls::find_profile("mozilla-" + which)->groups, groups) << which;
  }
}

void expect_internetnl(const std::string &profile) {
  const std::string json = conformance_file("internetnl-mail-criteria.json");
  std::set<std::string> accepted = openssl_names(json_list(json, "", "CIPHERS_GOOD"));
  accepted.merge(openssl_names(json_list(json, "", "CIPHERS_SUFFICIENT")));
  ASSERT_GE(accepted.size(), 10U) << "the file was read wrongly";
  const auto description = describe(profile);
  for (const auto &suite : description.suites) EXPECT_TRUE(accepted.contains(suite)) << profile << ": " << suite;
  EXPECT_THAT(description.versions, AllOf(Not(testing::HasSubstr("TLSv1 ")), Not(testing::HasSubstr("TLSv1.1"))));
}

TEST(profile, ncsc_and_mozilla_have_only_suites_that_internet_nl_calls_good_or_sufficient) {
  if (conformance_file("internetnl-mail-criteria.json").empty()) {
    GTEST_SKIP() << "conformance data is absent: tls/internetnl-mail-criteria.json";
  }
  for (const char *profile : {"ncsc", "suite-b-1", "mozilla-intermediate", "mozilla-modern"})
    expect_internetnl(profile);
}

TEST(profile, internet_has_of_phase_out_suites_only_those_of_its_definition) {
  const std::string json = conformance_file("internetnl-mail-criteria.json");
  if (json.empty()) GTEST_SKIP() << "conformance data is absent: tls/internetnl-mail-criteria.json";
  std::set<std::string> accepted = openssl_names(json_list(json, "", "CIPHERS_GOOD"));
  accepted.merge(openssl_names(json_list(json, "", "CIPHERS_SUFFICIENT")));
  const std::set<std::string> phase_out = openssl_names(json_list(json, "", "CIPHERS_PHASE_OUT"));
  std::set<std::string> found;
  for (const auto &suite : describe("internet").suites) {
    if (accepted.contains(suite)) continue;
    EXPECT_TRUE(phase_out.contains(suite)) << suite << " is in none of the lists";
    found.insert(suite);
  }
  EXPECT_EQ(found, (std::set<std::string>{"ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-AES256-SHA384",
                                          "ECDHE-ECDSA-AES128-SHA256", "ECDHE-RSA-AES128-SHA256",
                                          "DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-AES128-GCM-SHA256"}));
  GTEST_SKIP()
      << "held back: profile internet keeps ECDHE with CBC-SHA256/384 and DHE-GCM for opportunistic peers that "
         "would else get clear text; internet.nl calls these six phase-out";
}

} // namespace profile_test
