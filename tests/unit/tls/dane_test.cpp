// verify_dane: which records can be used, which match, and what else RFC 7671 and 7672 ask for with each usage.
#include "tls/dane.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/dane_fixture.hpp"
#include "tests/support/test_ca.hpp"

namespace dane_test {

using namespace std::chrono_literals;
using smtp::TlsaRecord;
using testing::HasSubstr;

TlsaRecord record(int usage, int selector, int type, std::string data) {
  return {static_cast<std::uint8_t>(usage), static_cast<std::uint8_t>(selector), static_cast<std::uint8_t>(type),
          std::move(data)};
}

class Dane : public testing::Test {
protected:
  test::TestCa root_{"Test Root CA"};
  test::TestCa middle_ = root_.intermediate("Test Intermediate");
  test::Leaf leaf_ = middle_.issue({.names = {"mx.example.org", "*.mail.example.org"}});
  std::vector<std::string> names_{"mx.example.org"};
  std::chrono::system_clock::time_point now_ = std::chrono::system_clock::now();

  tls::DaneVerdict judge(const std::string &pem, const std::vector<TlsaRecord> &records) {
    return tls::verify_dane(test::chain_of(pem).get(), records, names_, now_);
  }
};

TEST_F(Dane, only_well_formed_records_of_usage_2_and_3_can_be_used) {
  const TlsaRecord certificate = test::tlsa_of(leaf_.certificate, 3, 0, 0);
  const TlsaRecord key = test::tlsa_of(leaf_.certificate, 3, 1, 0);
  const std::string d32(32, 'x'), d64(64, 'x');
  struct Row {
    const char *name;
    TlsaRecord record;
    bool usable;
  };
  const Row rows[] = {
      {"3 1 1 with 32 octets", record(3, 1, 1, d32), true},
      {"3 0 1 with 32 octets", record(3, 0, 1, d32), true},
      {"3 1 2 with 64 octets", record(3, 1, 2, d64), true},
      {"2 0 1 with 32 octets", record(2, 0, 1, d32), true},
      {"2 1 2 with 64 octets", record(2, 1, 2, d64), true},
      {"3 0 0 with a certificate", certificate, true},
      {"2 0 0 with a certificate", record(2, 0, 0, certificate.data), true},
      {"3 1 0 with a key", key, true},
      {"2 1 0 with a key", record(2, 1, 0, key.data), true},
      {"usage 0, RFC 7672 section 3.1.3", record(0, 1, 1, d32), false},
      {"usage 1, RFC 7672 section 3.1.3", record(1, 1, 1, d32), false},
      {"an unassigned usage", record(4, 1, 1, d32), false},
      {"the private usage", record(255, 1, 1, d32), false},
      {"an unassigned selector", record(3, 2, 1, d32), false},
      {"an unassigned matching type", record(3, 1, 3, d32), false},
      {"SHA-256 with 31 octets", record(3, 1, 1, std::string(31, 'x')), false},
      {"SHA-256 with 33 octets", record(3, 1, 1, std::string(33, 'x')), false},
      {"SHA-256 with 64 octets", record(3, 1, 1, d64), false},
      {"SHA-512 with 32 octets", record(3, 1, 2, d32), false},
      {"a digest of nothing", record(3, 1, 1, ""), false},
      {"an exact record of nothing", record(3, 0, 0, ""), false},
      {"a certificate cut short", record(3, 0, 0, certificate.data.substr(0, 100)), false},
      {"a certificate with an octet behind it", record(2, 0, 0, certificate.data + "x"), false},
      {"a key where a certificate belongs", record(3, 0, 0, key.data), false},
      {"a certificate where a key belongs", record(2, 1, 0, certificate.data), false},
      {"a key with an octet behind it", record(3, 1, 0, key.data + "x"), false},
  };
  for (const Row &row : rows) EXPECT_EQ(tls::is_usable(row.record), row.usable) << row.name;
}

TEST_F(Dane, every_selector_and_matching_type_matches_what_it_is_made_of) {
  struct Place {
    int usage;
    std::string pem;
    const char *where;
  };
  const Place places[] = {{3, leaf_.certificate, "at depth 0"}, {2, middle_.pem(), "at depth 1"}};
  for (const Place &place : places) {
    for (int selector : {0, 1}) {
      for (int type : {0, 1, 2}) {
        const TlsaRecord good = test::tlsa_of(place.pem, place.usage, selector, type);
        const std::string text = std::to_string(place.usage) + ' ' + std::to_string(selector) + ' ' +
                                 std::to_string(type) + ' ' + place.where;
        const auto verdict = judge(leaf_.chain, {good});
        EXPECT_TRUE(verdict.matched) << text << ": " << verdict.reason;
        EXPECT_EQ(verdict.reason, text);
        EXPECT_EQ(verdict.name, place.usage == 2 ? "mx.example.org" : "");

        const test::Leaf other = root_.issue({.names = {"mx.example.org"}});
        EXPECT_FALSE(judge(other.chain, {good}).matched) << text;
      }
    }
  }
}

TEST_F(Dane, usage_3_asks_for_neither_name_nor_date_nor_issuer) {
  const test::Leaf expired = test::self_signed({.names = {"another.example"}, .starts = -48h, .ends = -1h});
  EXPECT_TRUE(judge(expired.chain, {test::tlsa_of(expired.certificate, 3, 1, 1)}).matched);
  const test::Leaf future = test::self_signed({.names = {}, .common_name = "x", .starts = 24h});
  EXPECT_TRUE(judge(future.chain, {test::tlsa_of(future.certificate, 3, 0, 2)}).matched);
  names_.clear();
  EXPECT_TRUE(judge(leaf_.certificate, {test::tlsa_of(leaf_.certificate, 3, 1, 1)}).matched);
}

TEST_F(Dane, usage_2_asks_for_a_name_a_date_and_a_signature) {
  const TlsaRecord anchor = test::tlsa_of(middle_.pem(), 2, 1, 1);
  const std::string middle = middle_.pem();
  const test::TestCa impostor("Test Intermediate");
  struct Row {
    const char *name;
    std::string chain;
    std::vector<std::string> names;
    const char *reason;                              ///< null: good
    tls::DaneFault fault = tls::DaneFault::no_match; ///< when not good
  };
  const Row rows[] = {
      {"the name itself", leaf_.chain, {"mx.example.org"}, nullptr},
      {"the second of two references", leaf_.chain, {"example.org", "MX.example.org"}, nullptr},
      {"a wildcard of the certificate", leaf_.chain, {"a.mail.example.org"}, nullptr},
      {"a wildcard stands for one label",
       leaf_.chain,
       {"a.b.mail.example.org"},
       "not for a.b.mail.example.org",
       tls::DaneFault::wrong_name},
      {"another name",
       leaf_.chain,
       {"mx.example.net"},
       "2 1 1 at depth 1 matches, but the certificate is for mx.example.org, *.mail.example.org, not for "
       "mx.example.net",
       tls::DaneFault::wrong_name},
      {"no reference", leaf_.chain, {}, "not for no name", tls::DaneFault::wrong_name},
      {"a common name counts here, where there is no other name",
       middle_.issue({.names = {}, .common_name = "mx.example.org"}).chain,
       {"mx.example.org"},
       nullptr},
      {"expired",
       middle_.issue({.names = {"mx.example.org"}, .starts = -48h, .ends = -1h}).chain,
       {"mx.example.org"},
       "certificate has expired (depth 0, CN=mx.example.org)",
       tls::DaneFault::expired},
      {"not yet valid",
       middle_.issue({.names = {"mx.example.org"}, .starts = 48h}).chain,
       {"mx.example.org"},
       "certificate is not yet valid (depth 0, CN=mx.example.org)",
       tls::DaneFault::expired},
      {"for clients alone",
       middle_.issue({.names = {"mx.example.org"}, .usage = test::Usage::client}).chain,
       {"mx.example.org"},
       "(depth 0, CN=mx.example.org)"},
      {"not signed by the anchor that is shown behind it",
       impostor.issue({.names = {"mx.example.org"}}).certificate + middle,
       {"mx.example.org"},
       "certificate signature failure"},
      {"the anchor is not in the chain and only its digest is known",
       leaf_.certificate,
       {"mx.example.org"},
       "no record matches the chain (TLSA 2 1 1)"},
      {"a leaf that is its own anchor", middle, {"Test Intermediate"}, "no record matches the chain (TLSA 2 1 1)"},
  };
  for (const Row &row : rows) {
    names_ = row.names;
    const auto verdict = judge(row.chain, {anchor});
    EXPECT_EQ(verdict.matched, row.reason == nullptr) << row.name << ": " << verdict.reason;
    if (row.reason != nullptr) {
      EXPECT_THAT(verdict.reason, HasSubstr(row.reason)) << row.name;
    }
    EXPECT_EQ(verdict.fault, row.reason == nullptr ? tls::DaneFault::none : row.fault) << row.name;
  }
}

TEST_F(Dane, an_exact_anchor_need_not_be_sent) {
  auto verdict = judge(leaf_.certificate, {test::tlsa_of(middle_.pem(), 2, 0, 0)});
  EXPECT_TRUE(verdict.matched) << verdict.reason;
  EXPECT_EQ(verdict.reason, "2 0 0 at depth 1");
  EXPECT_EQ(verdict.name, "mx.example.org");

  verdict = judge(leaf_.certificate, {test::tlsa_of(middle_.pem(), 2, 1, 0)});
  EXPECT_TRUE(verdict.matched) << verdict.reason;
  EXPECT_EQ(verdict.reason, "2 1 0 above depth 0");

  verdict = judge(leaf_.chain, {test::tlsa_of(root_.pem(), 2, 1, 0)});
  EXPECT_TRUE(verdict.matched) << verdict.reason;
  EXPECT_EQ(verdict.reason, "2 1 0 above depth 1");

  EXPECT_FALSE(judge(leaf_.certificate, {test::tlsa_of(root_.pem(), 2, 0, 0)}).matched) << "one certificate is missing";
  EXPECT_FALSE(judge(leaf_.certificate, {test::tlsa_of(root_.pem(), 2, 1, 0)}).matched);
  const test::TestCa impostor("Test Intermediate");
  EXPECT_FALSE(judge(leaf_.certificate, {test::tlsa_of(impostor.pem(), 2, 0, 0)}).matched);
  EXPECT_FALSE(judge(leaf_.certificate, {test::tlsa_of(impostor.pem(), 2, 1, 0)}).matched);
}

TEST_F(Dane, a_bare_key_still_asks_for_name_and_date) {
  const TlsaRecord anchor = test::tlsa_of(middle_.pem(), 2, 1, 0);
  now_ += 24h * 40;
  EXPECT_THAT(judge(leaf_.certificate, {anchor}).reason, HasSubstr("certificate has expired"));
  now_ = std::chrono::system_clock::now();
  names_ = {"mx.example.net"};
  EXPECT_THAT(judge(leaf_.certificate, {anchor}).reason,
              HasSubstr("2 1 0 above depth 0 matches, but the certificate is for"));
}

TEST_F(Dane, the_strongest_digest_of_a_usage_and_selector_counts) {
  const auto good = [this](int selector, int type) { return test::tlsa_of(leaf_.certificate, 3, selector, type); };
  const TlsaRecord bad_512 = record(3, 1, 2, std::string(64, 'x'));
  const TlsaRecord bad_256 = record(3, 1, 1, std::string(32, 'x'));
  struct Row {
    const char *name;
    std::vector<TlsaRecord> records;
    bool matched;
  };
  const Row rows[] = {
      {"a good SHA-256 under a bad SHA-512 is not looked at", {good(1, 1), bad_512}, false},
      {"in any order", {bad_512, good(1, 1)}, false},
      {"a good SHA-512 over a bad SHA-256", {bad_256, good(1, 2)}, true},
      {"one of two SHA-512", {bad_512, good(1, 2)}, true},
      {"selectors are apart", {bad_512, good(0, 1)}, true},
      {"usages are apart", {record(2, 1, 2, std::string(64, 'x')), good(1, 1)}, true},
      {"the exact record always counts", {bad_512, good(1, 0)}, true},
      {"a malformed SHA-512 has no say", {record(3, 1, 2, std::string(63, 'x')), good(1, 1)}, true},
      {"an unknown type has no say", {record(3, 1, 9, std::string(99, 'x')), good(1, 1)}, true},
      {"usage 1 has no say", {record(1, 1, 2, std::string(64, 'x')), good(1, 1)}, true},
  };
  for (const Row &row : rows) {
    const auto verdict = judge(leaf_.chain, row.records);
    EXPECT_EQ(verdict.matched, row.matched) << row.name << ": " << verdict.reason;
  }
  // Usage 2 is OpenSSL's: the same rule.
  const TlsaRecord anchor = test::tlsa_of(middle_.pem(), 2, 1, 1);
  EXPECT_FALSE(judge(leaf_.chain, {anchor, record(2, 1, 2, std::string(64, 'x'))}).matched);
  EXPECT_TRUE(judge(leaf_.chain, {anchor, record(2, 0, 2, std::string(64, 'x'))}).matched);
}

TEST_F(Dane, either_usage_is_enough) {
  const TlsaRecord wrong_leaf = record(3, 1, 1, std::string(32, 'x'));
  const TlsaRecord wrong_anchor = record(2, 1, 1, std::string(32, 'x'));
  EXPECT_EQ(judge(leaf_.chain, {wrong_leaf, test::tlsa_of(root_.pem(), 2, 0, 0)}).reason, "2 0 0 at depth 2");
  EXPECT_EQ(judge(leaf_.chain, {wrong_anchor, test::tlsa_of(leaf_.certificate, 3, 1, 1)}).reason, "3 1 1 at depth 0");
  EXPECT_EQ(judge(leaf_.chain, {wrong_leaf}).reason, "no record matches the certificate (TLSA 3 1 1)");
  EXPECT_EQ(judge(leaf_.chain, {wrong_leaf, wrong_leaf, wrong_anchor}).reason,
            "no record matches the chain (TLSA 3 1 1, 2 1 1)");
  EXPECT_EQ(judge(leaf_.chain, {test::tlsa_of(middle_.pem(), 3, 1, 1)}).matched, false) << "usage 3 is the leaf's";
  EXPECT_EQ(judge(leaf_.chain, {test::tlsa_of(leaf_.certificate, 2, 1, 1)}).matched, false) << "usage 2 is not";
}

TEST_F(Dane, nothing_matches_without_a_certificate_or_a_usable_record) {
  const std::vector<TlsaRecord> good{test::tlsa_of(leaf_.certificate, 3, 1, 1)};
  EXPECT_EQ(tls::verify_dane(nullptr, good, names_, now_).reason, "no certificate was presented");
  EXPECT_EQ(judge(leaf_.chain, {}).reason, "none of 0 TLSA records can be used");
  EXPECT_EQ(
      judge(leaf_.chain, {test::tlsa_of(leaf_.certificate, 1, 1, 1), test::tlsa_of(middle_.pem(), 0, 0, 1)}).reason,
      "none of 2 TLSA records can be used");
}

TEST_F(Dane, hostile_sets_end) {
  // Anchors that all bear the name of the leaf's issuer, and keys that all could have signed it.
  std::vector<TlsaRecord> hostile;
  for (int i = 0; i < 25; ++i) {
    const test::TestCa impostor("Test Intermediate");
    for (int selector : {0, 1})
      for (int type : {0, 2}) hostile.push_back(test::tlsa_of(impostor.pem(), 2, selector, type));
  }
  ASSERT_EQ(hostile.size(), tls::max_tlsa_records);
  EXPECT_FALSE(judge(leaf_.chain, hostile).matched);
  hostile.back() = test::tlsa_of(leaf_.certificate, 3, 1, 1);
  EXPECT_TRUE(judge(leaf_.chain, hostile).matched) << "the good one is found among them";

  hostile.push_back(hostile.back());
  EXPECT_EQ(judge(leaf_.chain, hostile).reason, "101 TLSA records, the limit is 100");
  EXPECT_FALSE(judge(leaf_.chain, std::vector<TlsaRecord>(5000, hostile.back())).matched);
}

} // namespace dane_test
