#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/stream_pair.hpp"
#include "tests/support/test_ca.hpp"
#include "tls/certificate.hpp"
#include "tls/context.hpp"

namespace trust_test {

using tls::Purpose;
using namespace std::chrono_literals;

/// What verify_chain() says of a chain that a real server sent in a real handshake.
class Trust : public testing::Test {
protected:
  test::TempFolder folder_;
  test::TestCa ca_{"Test Root CA"};
  test::TestCa stranger_{"Unknown CA"};
  std::shared_ptr<const tls::TrustStore> trust_ =
      tls::TrustStore::from_file(folder_.write("ca.pem", ca_.pem())).value();

  std::shared_ptr<const tls::PeerChain> shown(test::Leaf leaf) {
    leaf.write_to(folder_, "shown");
    // The legacy profile lets the test serve certificates that others refuse to load.
    auto server = tls::Context::server(
        {.profile = "internet-legacy", .certificates = {{leaf.chain_file, leaf.key_file}}, .client_ca_hints = ""},
        nullptr);
    auto client = tls::Context::client({.profile = "internet-legacy", .certificate = std::nullopt});
    if (!server) throw std::runtime_error(server.error().detail);
    test::StreamPair pair;
    const auto done = pair.handshake(*client, *server);
    if (!done.ok()) throw std::runtime_error(done.text());
    return pair.client->peer_chain();
  }

  tls::ChainVerdict judge(test::Leaf leaf, Purpose purpose = Purpose::server) {
    return tls::verify_chain(shown(std::move(leaf)).get(), *trust_, purpose, std::chrono::system_clock::now());
  }
};

TEST_F(Trust, a_good_certificate_is_trusted) {
  const auto verdict = judge(ca_.issue({.names = {"mx.example.org"}}));
  EXPECT_TRUE(verdict.trusted) << verdict.reason;
  EXPECT_EQ(verdict.reason, "");
  EXPECT_EQ(verdict.fault, tls::ChainFault::none);
}

TEST_F(Trust, faults_are_named_with_their_place) {
  const test::TestCa middle = ca_.intermediate("Test Intermediate");
  test::Leaf incomplete = middle.issue({.names = {"mx.example.org"}});
  incomplete.chain = incomplete.certificate;
  struct Row {
    const char *name;
    test::Leaf leaf;
    const char *reason;
    tls::ChainFault fault = tls::ChainFault::untrusted;
  };
  const Row rows[] = {
      {.name = "expired",
       .leaf = ca_.issue({.names = {"mx.example.org"}, .starts = -48h, .ends = -1h}),
       .reason = "certificate has expired (depth 0, CN=mx.example.org)",
       .fault = tls::ChainFault::expired},
      {.name = "not yet valid",
       .leaf = ca_.issue({.names = {"mx.example.org"}, .starts = 24h}),
       .reason = "certificate is not yet valid (depth 0, CN=mx.example.org)",
       .fault = tls::ChainFault::expired},
      {.name = "self-signed",
       .leaf = test::self_signed({.names = {"mx.example.org"}}),
       .reason = "self-signed certificate (depth 0, CN=mx.example.org)"},
      {.name = "a CA that is not ours",
       .leaf = stranger_.issue({.names = {"mx.example.org"}}),
       .reason = "unable to get local issuer certificate (depth 0, CN=mx.example.org)"},
      {.name = "an impostor with our CA's name",
       .leaf = test::TestCa("Test Root CA").issue({.names = {"mx.example.org"}}),
       .reason = "certificate signature failure (depth 0, CN=mx.example.org)"},
      {.name = "the intermediate is missing",
       .leaf = incomplete,
       .reason = "unable to get local issuer certificate (depth 0, CN=mx.example.org)"},
      {.name = "for clients alone",
       .leaf = ca_.issue({.names = {"mx.example.org"}, .usage = test::Usage::client}),
       .reason = "(depth 0, CN=mx.example.org)"},
      {.name = "a SHA-1 signature",
       .leaf = ca_.issue({.names = {"mx.example.org"}, .signature = test::Signature::sha1}),
       .reason = "CA signature digest algorithm too weak (depth 0, CN=mx.example.org)"},
  };
  for (const Row &row : rows) {
    const tls::ChainVerdict verdict = judge(row.leaf);
    EXPECT_FALSE(verdict.trusted) << row.name;
    EXPECT_THAT(verdict.reason, testing::HasSubstr(row.reason)) << row.name;
    EXPECT_EQ(verdict.fault, row.fault) << row.name;
  }
}

TEST_F(Trust, an_intermediate_that_is_sent_completes_the_chain) {
  const test::TestCa middle = ca_.intermediate("Test Intermediate");
  const test::TestCa lower = middle.intermediate("Test Lower Intermediate");
  EXPECT_TRUE(judge(middle.issue({.names = {"mx.example.org"}})).trusted);
  EXPECT_TRUE(judge(lower.issue({.names = {"mx.example.org"}})).trusted);
}

TEST_F(Trust, what_the_operator_names_is_the_anchor) {
  const test::TestCa middle = stranger_.intermediate("Stranger's Intermediate");
  const test::TestCa lower = middle.intermediate("Lower");
  const test::Leaf leaf = middle.issue({.names = {"mx.example.org"}});
  const test::Leaf below = lower.issue({.names = {"mx.example.org"}});
  const test::Leaf other = stranger_.issue({.names = {"mx.example.org"}});
  trust_ = tls::TrustStore::from_file(folder_.write("middle.pem", middle.pem())).value();
  for (const auto purpose : {Purpose::server, Purpose::client}) {
    const auto verdict = judge(leaf, purpose);
    EXPECT_TRUE(verdict.trusted) << verdict.reason;
    EXPECT_EQ(verdict.keys.size(), 2U) << "the path ends at the anchor";
    EXPECT_TRUE(judge(below, purpose).trusted);
    EXPECT_FALSE(judge(other, purpose).trusted) << "of the root above the anchor";
  }
  EXPECT_FALSE(judge(middle.issue({.names = {"mx.example.org"}, .starts = -48h, .ends = -1h})).trusted);
  trust_ = tls::TrustStore::from_file(folder_.write("leaf.pem", leaf.certificate)).value();
  EXPECT_TRUE(judge(leaf).trusted) << "a bare leaf";
  EXPECT_TRUE(judge(leaf, Purpose::client).trusted);
  EXPECT_FALSE(judge(middle.issue({.names = {"mx.example.org"}})).trusted) << "another of the same issuer";
}

TEST_F(Trust, beside_an_intermediate_anchor_lists_are_needed_below_it_only) {
  const test::TestCa middle = stranger_.intermediate("Stranger's Intermediate");
  const test::Leaf leaf = middle.issue({.names = {"mx.example.org"}});
  const std::string anchor = folder_.write("middle.pem", middle.pem());
  const auto load = [&](const std::string &lists) {
    trust_ = tls::TrustStore::load(anchor, {{folder_.write("lists.pem", lists), {}}}).value();
  };
  load(middle.crl({}));
  EXPECT_TRUE(judge(leaf).trusted) << "the root's list is not asked for";
  load(middle.crl({}) + stranger_.crl({}));
  EXPECT_TRUE(judge(leaf).trusted) << "a list of the root, which cannot be verified here, is no fault";
  load(middle.crl({.revoked = {leaf.certificate}}));
  EXPECT_EQ(judge(leaf).fault, tls::ChainFault::revoked);
  load(stranger_.crl({}));
  EXPECT_EQ(judge(leaf).fault, tls::ChainFault::no_revocation);
  trust_ = tls::TrustStore::load(folder_.write("leaf.pem", leaf.certificate),
                                 {{folder_.write("lists.pem", middle.crl({})), {}}})
               .value();
  EXPECT_TRUE(judge(leaf).trusted) << "nothing lies below a bare leaf";
}

TEST_F(Trust, the_verified_chain_is_told_and_not_what_was_sent_beside_it) {
  const test::TestCa middle = ca_.intermediate("Test Intermediate");
  const test::TestCa forged = stranger_.intermediate("Test Intermediate"); // of that name, with another key
  test::Leaf leaf = middle.issue({.names = {"mx.example.org"}});
  const auto key_of = [&](const std::string &pem) {
    return tls::read_certificates(folder_.write("one.pem", pem)).value().front().spki_sha256;
  };
  const std::vector<std::string> expected = {key_of(leaf.certificate), key_of(middle.pem()), key_of(ca_.pem())};
  EXPECT_EQ(judge(leaf).keys, expected) << "with the root, which was not sent";
  leaf.chain = leaf.certificate + middle.pem() + forged.pem();
  const auto verdict = judge(leaf);
  ASSERT_TRUE(verdict.trusted) << verdict.reason;
  EXPECT_EQ(verdict.keys, expected);
  EXPECT_TRUE(judge(stranger_.issue({.names = {"mx.example.org"}})).keys.empty()) << "nothing was verified";
}

TEST_F(Trust, the_purpose_is_checked_as_asked) {
  struct Row {
    test::Usage usage;
    bool server, client, either;
  };
  const Row rows[] = {
      {.usage = test::Usage::server, .server = true, .client = false, .either = true},
      {.usage = test::Usage::client, .server = false, .client = true, .either = true},
      {.usage = test::Usage::both, .server = true, .client = true, .either = true},
      {.usage = test::Usage::unlimited, .server = true, .client = true, .either = true},
  };
  for (const Row &row : rows) {
    const auto chain = shown(ca_.issue({.names = {"mx.example.org"}, .usage = row.usage}));
    const auto now = std::chrono::system_clock::now();
    EXPECT_EQ(tls::verify_chain(chain.get(), *trust_, Purpose::server, now).trusted, row.server);
    EXPECT_EQ(tls::verify_chain(chain.get(), *trust_, Purpose::client, now).trusted, row.client);
    EXPECT_EQ(tls::verify_chain(chain.get(), *trust_, Purpose::client_or_server, now).trusted, row.either);
  }
}

TEST_F(Trust, a_clients_certificate_is_judged_as_the_partner_rule_says) {
  // The public CAs stopped issuing clientAuth: accept_server_auth makes Purpose::client_or_server of Purpose::client.
  struct Row {
    test::Usage usage;
    bool client, either;
  };
  const Row rows[] = {
      {.usage = test::Usage::server, .client = false, .either = true},
      {.usage = test::Usage::client, .client = true, .either = true},
      {.usage = test::Usage::both, .client = true, .either = true},
      {.usage = test::Usage::unlimited, .client = true, .either = true},
  };
  test::Leaf own = ca_.issue({.names = {"mx.our.example"}});
  own.write_to(folder_, "own");
  for (const Row &row : rows) {
    test::Leaf theirs = ca_.issue({.names = {"out.example.org"}, .usage = row.usage});
    theirs.write_to(folder_, "theirs");
    auto server = tls::Context::server({.profile = "ncsc",
                                        .certificates = {{own.chain_file, own.key_file}},
                                        .ask_client_certificate = true,
                                        .client_ca_hints = ""},
                                       nullptr);
    auto client =
        tls::Context::client({.profile = "ncsc", .certificate = tls::KeyPairFiles{theirs.chain_file, theirs.key_file}});
    ASSERT_TRUE(server && client);
    test::StreamPair pair;
    const auto done = pair.handshake(*client, *server);
    ASSERT_TRUE(done.ok()) << done.text();
    const auto chain = pair.server->peer_chain();
    ASSERT_TRUE(chain) << "the handshake takes any certificate: policy judges it";
    const auto now = std::chrono::system_clock::now();
    EXPECT_EQ(tls::verify_chain(chain.get(), *trust_, Purpose::client, now).trusted, row.client);
    EXPECT_EQ(tls::verify_chain(chain.get(), *trust_, Purpose::client_or_server, now).trusted, row.either);
    trust_ = tls::TrustStore::from_file(folder_.write("stranger.pem", stranger_.pem())).value();
    EXPECT_FALSE(tls::verify_chain(chain.get(), *trust_, Purpose::client_or_server, now).trusted) << "another CA";
    trust_ = tls::TrustStore::from_file(folder_.write("ca.pem", ca_.pem())).value();
  }
}

TEST_F(Trust, time_is_the_callers) {
  const auto chain = shown(ca_.issue({.names = {"mx.example.org"}, .ends = 48h}));
  const auto now = std::chrono::system_clock::now();
  EXPECT_TRUE(tls::verify_chain(chain.get(), *trust_, Purpose::server, now + 47h).trusted);
  EXPECT_FALSE(tls::verify_chain(chain.get(), *trust_, Purpose::server, now + 49h).trusted);
  EXPECT_FALSE(tls::verify_chain(chain.get(), *trust_, Purpose::server, now - 2h).trusted);
}

TEST_F(Trust, no_chain_is_no_certificate) {
  const auto verdict = tls::verify_chain(nullptr, *trust_, Purpose::client, std::chrono::system_clock::now());
  EXPECT_FALSE(verdict.trusted);
  EXPECT_EQ(verdict.reason, "no certificate was presented");
  EXPECT_EQ(verdict.fault, tls::ChainFault::untrusted);
}

TEST_F(Trust, a_self_signed_certificate_in_the_store_is_trusted) {
  test::Leaf leaf = test::self_signed({.names = {"mx.example.org"}});
  trust_ = tls::TrustStore::from_file(folder_.write("pinned.pem", leaf.certificate)).value();
  const auto verdict = judge(leaf);
  EXPECT_TRUE(verdict.trusted) << verdict.reason;
}

TEST_F(Trust, the_systems_store_does_not_know_a_test_ca) {
  const auto system = tls::TrustStore::system();
  ASSERT_TRUE(system) << system.error().detail;
  trust_ = *system;
  EXPECT_FALSE(judge(ca_.issue({.names = {"mx.example.org"}})).trusted);
}

TEST_F(Trust, a_store_needs_a_readable_file_with_certificates) {
  EXPECT_EQ(tls::TrustStore::from_file("/nonexistent.pem").error().code, smtp::ErrorCode::not_found);
  EXPECT_FALSE(tls::TrustStore::from_file(folder_.write("empty.pem", "")));
  EXPECT_TRUE(tls::TrustStore::from_file(folder_.write("twice.pem", ca_.pem() + ca_.pem() + stranger_.pem())));
}

} // namespace trust_test
