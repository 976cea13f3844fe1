// Chains against revocation lists: a listed certificate fails, and so does one that no valid list covers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/dane_fixture.hpp"
#include "tests/support/test_ca.hpp"
#include "tls/context.hpp"
#include "tls/crl.hpp"

namespace revocation_test {

using namespace std::chrono_literals;
using smtp::ErrorCode;
using testing::HasSubstr;
using tls::ChainFault;

class Revocation : public testing::Test {
protected:
  test::TempFolder folder_;
  test::TestCa root_{"Test Root CA"};
  test::TestCa middle_ = root_.intermediate("Test Intermediate");
  test::Leaf leaf_ = middle_.issue({.names = {"mx.example.org"}});
  std::string ca_file_ = folder_.write("ca.pem", root_.pem());
  std::chrono::system_clock::time_point now_ = std::chrono::system_clock::now();

  tls::ChainVerdict judge(const std::string &chain, const std::vector<std::string> &lists) {
    std::vector<tls::CrlSource> files;
    for (const auto &list : lists)
      files.push_back({folder_.write("list" + std::to_string(files.size()) + ".crl", list), {}});
    const auto store = tls::TrustStore::load(ca_file_, files);
    if (!store) throw std::runtime_error(store.error().detail);
    return tls::verify_chain(test::chain_of(chain).get(), **store, tls::Purpose::server, now_);
  }
};

TEST_F(Revocation, every_certificate_below_the_anchor_needs_a_list_that_does_not_name_it) {
  const test::Leaf other = middle_.issue({.names = {"other.example.org"}});
  const std::string of_root = root_.crl({}), of_middle = middle_.crl({.revoked = {other.certificate}});
  const test::TestCa impostor("Test Intermediate");
  struct Row {
    const char *name;
    std::string chain;
    std::vector<std::string> lists;
    ChainFault fault;
    const char *reason = "";
  };
  const Row rows[] = {
      {"lists of both CAs", leaf_.chain, {of_root, of_middle}, ChainFault::none},
      {"both in one file", leaf_.chain, {of_root + of_middle}, ChainFault::none},
      {"DER", leaf_.chain, {test::der_of(of_root), test::der_of(of_middle)}, ChainFault::none},
      {"words before the PEM", leaf_.chain, {"Lists\n\n" + of_root + "and\n" + of_middle}, ChainFault::none},
      {"no list is asked for", leaf_.chain, {}, ChainFault::none},
      {"the leaf is listed",
       other.chain,
       {of_root, of_middle},
       ChainFault::revoked,
       "certificate revoked (depth 0, CN=other.example.org)"},
      {"the intermediate is listed",
       leaf_.chain,
       {root_.crl({.revoked = {middle_.pem()}}), of_middle},
       ChainFault::revoked,
       "certificate revoked (depth 1, CN=Test Intermediate)"},
      {"no list of the leaf's issuer",
       leaf_.chain,
       {of_root},
       ChainFault::no_revocation,
       "there is no valid CRL of CN=Test Intermediate: unable to get certificate CRL (depth 0, CN=mx.example.org)"},
      {"no list of the root",
       leaf_.chain,
       {of_middle},
       ChainFault::no_revocation,
       "there is no valid CRL of CN=Test Root CA: unable to get certificate CRL (depth 1, CN=Test Intermediate)"},
      {"the list has expired",
       leaf_.chain,
       {of_root, middle_.crl({.starts = -48h, .ends = -1h})},
       ChainFault::no_revocation,
       "there is no valid CRL of CN=Test Intermediate: CRL has expired (depth 0, CN=mx.example.org)"},
      {"the list is not yet valid",
       leaf_.chain,
       {of_root, middle_.crl({.starts = 1h})},
       ChainFault::no_revocation,
       "CRL is not yet valid"},
      {"the newest of several lists counts",
       other.chain,
       {of_root, middle_.crl({.starts = -48h, .ends = -1h}), of_middle},
       ChainFault::revoked,
       "certificate revoked"},
      {"the list is another CA's with the same name",
       leaf_.chain,
       {of_root, impostor.crl({})},
       ChainFault::no_revocation,
       "there is no valid CRL of CN=Test Intermediate"},
      {"the list covers only certificates of CAs",
       leaf_.chain,
       {of_root, middle_.crl({.only_for = "onlyCA:TRUE"})},
       ChainFault::no_revocation,
       "there is no valid CRL of CN=Test Intermediate"},
      {"partitioned lists: one for users, one for CAs",
       leaf_.chain,
       {root_.crl({.only_for = "onlyCA:TRUE"}), middle_.crl({.only_for = "onlyuser:TRUE"})},
       ChainFault::none},
      {"a chain without the root's list, of one certificate",
       root_.issue({.names = {"mx.example.org"}}).chain,
       {of_middle},
       ChainFault::no_revocation,
       "there is no valid CRL of CN=Test Root CA"},
      {"the anchor alone needs none", root_.issue({.names = {"mx.example.org"}}).chain, {of_root}, ChainFault::none},
      {"an unknown CA stays untrusted",
       test::TestCa("Unknown CA").issue({.names = {"mx.example.org"}}).chain,
       {of_root, of_middle},
       ChainFault::untrusted,
       "unable to get local issuer certificate"},
      {"an expired certificate stays expired",
       middle_.issue({.names = {"mx.example.org"}, .starts = -48h, .ends = -1h}).chain,
       {of_root, of_middle},
       ChainFault::expired,
       "certificate has expired"},
  };
  for (const Row &row : rows) {
    const auto verdict = judge(row.chain, row.lists);
    EXPECT_EQ(verdict.trusted, row.fault == ChainFault::none) << row.name << ": " << verdict.reason;
    EXPECT_EQ(verdict.fault, row.fault) << row.name << ": " << verdict.reason;
    EXPECT_THAT(verdict.reason, HasSubstr(row.reason)) << row.name;
  }
}

TEST_F(Revocation, a_pinned_self_signed_certificate_is_its_own_anchor) {
  const test::Leaf pinned = test::self_signed({.names = {"mx.example.org"}});
  ca_file_ = folder_.write("pinned.pem", pinned.certificate);
  const auto verdict = judge(pinned.chain, {root_.crl({})});
  EXPECT_TRUE(verdict.trusted) << verdict.reason;
}

TEST_F(Revocation, a_list_that_ends_while_the_store_is_in_use_ends) {
  const std::vector<std::string> lists{root_.crl({}), middle_.crl({.ends = 2h})};
  EXPECT_EQ(judge(leaf_.chain, lists).fault, ChainFault::none);
  now_ += 3h;
  EXPECT_EQ(judge(leaf_.chain, lists).fault, ChainFault::no_revocation);
}

TEST_F(Revocation, a_fetched_list_may_be_missing_or_damaged_and_then_its_chains_fail) {
  const std::string good = folder_.write("root.crl", root_.crl({}));
  const std::string missing, damaged = "<html>not here</html>";
  for (const auto &fetched : {missing, damaged}) {
    const auto store = tls::TrustStore::load(ca_file_, {{good, {}}, {"http://crl.example/x", fetched}});
    ASSERT_TRUE(store) << store.error().detail;
    const auto verdict = tls::verify_chain(test::chain_of(leaf_.chain).get(), **store, tls::Purpose::server, now_);
    EXPECT_EQ(verdict.fault, ChainFault::no_revocation) << fetched << verdict.reason;
  }
  const auto alone = tls::TrustStore::load(ca_file_, {{"http://crl.example/x", missing}});
  ASSERT_TRUE(alone);
  EXPECT_EQ(tls::verify_chain(test::chain_of(leaf_.chain).get(), **alone, tls::Purpose::server, now_).fault,
            ChainFault::no_revocation)
      << "a store without any list yet fails closed too";
}

TEST_F(Revocation, a_local_list_must_be_there_and_be_one) {
  const auto absent = tls::TrustStore::load(ca_file_, {{"/nonexistent.crl", {}}});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ErrorCode::not_found);
  EXPECT_THAT(absent.error().detail, HasSubstr("/nonexistent.crl: "));
  const std::string wrong = folder_.write("wrong.crl", "hello");
  const auto refused = tls::TrustStore::load(ca_file_, {{wrong, {}}});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, testing::StartsWith(wrong + ": not a revocation list: "));
  EXPECT_EQ(tls::TrustStore::load("/nonexistent.pem", {}).error().code, ErrorCode::not_found);
  EXPECT_TRUE(tls::TrustStore::load("system", {{folder_.write("root.crl", root_.crl({})), {}}}));
}

TEST_F(Revocation, the_facts_of_a_list_are_read) {
  const test::Leaf other = middle_.issue({.names = {"other.example.org"}});
  const std::string list = middle_.crl({.revoked = {leaf_.certificate, other.certificate}, .starts = -2h, .ends = 30h});
  for (const auto &octets : {list, test::der_of(list)}) {
    const auto facts = tls::read_crl(octets);
    ASSERT_TRUE(facts) << facts.error().detail;
    EXPECT_EQ(facts->issuer, "CN=Test Intermediate");
    EXPECT_EQ(facts->revoked, 2U);
    EXPECT_EQ(facts->lists, 1U);
    EXPECT_LT(facts->this_update, now_ - 1h);
    ASSERT_TRUE(facts->next_update);
    EXPECT_GT(*facts->next_update, now_ + 29h);
    EXPECT_LT(*facts->next_update, now_ + 31h);
  }
  const auto both = tls::read_crl(root_.crl({.ends = 100h}) + list);
  ASSERT_TRUE(both);
  EXPECT_EQ(both->lists, 2U);
  EXPECT_EQ(both->issuer, "CN=Test Intermediate") << "the one that ends first";
}

TEST_F(Revocation, what_is_no_list_is_refused) {
  const std::string pem = root_.crl({}), der = test::der_of(pem);
  std::string many;
  for (std::size_t i = 0; i <= tls::max_crls_in_file; ++i) many += pem;
  struct Row {
    const char *name;
    std::string octets;
    ErrorCode code;
    const char *detail;
  };
  const Row rows[] = {
      {"nothing", "", ErrorCode::bad_syntax, "not a revocation list"},
      {"a web page", "<html>-----BEGIN", ErrorCode::bad_syntax, "not a revocation list"},
      {"a certificate in PEM", root_.pem(), ErrorCode::bad_syntax, "contains no revocation list"},
      {"a certificate in DER", test::der_of(root_.pem()), ErrorCode::bad_syntax, "not a revocation list"},
      {"DER cut short", der.substr(0, der.size() - 1), ErrorCode::bad_syntax, "not a revocation list"},
      {"octets behind the DER", der + "xy", ErrorCode::bad_syntax, "2 octets follow the revocation list"},
      {"PEM cut short", pem.substr(0, pem.size() / 2), ErrorCode::bad_syntax, "revocation list 1 cannot be read"},
      {"a second list that is damaged", pem + "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n",
       ErrorCode::bad_syntax, "revocation list 2 cannot be read"},
      {"too many lists", many, ErrorCode::too_long, "more than 100 revocation lists"},
      {"too many octets", std::string(tls::max_crl_octets + 1, 'x'), ErrorCode::too_long,
       "33554433 octets, the limit is 33554432"},
  };
  for (const Row &row : rows) {
    const auto facts = tls::read_crl(row.octets);
    ASSERT_FALSE(facts) << row.name;
    EXPECT_EQ(facts.error().code, row.code) << row.name;
    EXPECT_THAT(facts.error().detail, HasSubstr(row.detail)) << row.name;
  }
}

TEST_F(Revocation, a_listed_certificate_is_found_among_many) {
  std::vector<std::string> revoked;
  for (int i = 0; i < 200; ++i)
    revoked.push_back(middle_.issue({.names = {"x"}, .key = test::Key::rsa_2048}).certificate);
  revoked.push_back(leaf_.certificate);
  const std::string list = middle_.crl({.revoked = revoked});
  EXPECT_EQ(judge(leaf_.chain, {root_.crl({}), list}).fault, ChainFault::revoked);
  EXPECT_EQ(judge(middle_.issue({.names = {"mx.example.org"}}).chain, {root_.crl({}), list}).fault, ChainFault::none);
}

} // namespace revocation_test
