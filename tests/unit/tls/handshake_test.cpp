#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/stream_pair.hpp"
#include "tests/support/test_ca.hpp"
#include "tests/unit/tls/raw_client.hpp"
#include "tls/context.hpp"

namespace handshake_test {

using testing::ElementsAre;
using testing::HasSubstr;

class Handshake : public testing::Test {
protected:
  test::TempFolder folder_;
  test::TestCa ca_;
  tls::KeyPairFiles rsa_ = files("rsa", {.names = {"mx.example.org"}, .key = test::Key::rsa_2048});
  tls::KeyPairFiles ecdsa_ = files("ec", {.names = {"mx.example.org"}});

  tls::KeyPairFiles files(const std::string &name, const test::LeafOptions &options) {
    test::Leaf leaf = ca_.issue(options);
    leaf.write_to(folder_, name);
    return {leaf.chain_file, leaf.key_file};
  }
  static std::shared_ptr<const tls::Context> serve(tls::ServerContextOptions options) {
    auto context = tls::Context::server(options, std::make_shared<tls::TicketKeys>());
    if (!context) throw std::runtime_error(context.error().detail);
    return *context;
  }
  static std::shared_ptr<const tls::Context> serve(const std::string &profile, std::vector<tls::KeyPairFiles> pairs) {
    return serve({.profile = profile, .certificates = std::move(pairs), .client_ca_hints = ""});
  }
  static std::shared_ptr<const tls::Context> ask(const std::string &profile,
                                                 std::optional<tls::KeyPairFiles> certificate = std::nullopt) {
    auto context = tls::Context::client({.profile = profile, .certificate = std::move(certificate)});
    if (!context) throw std::runtime_error(context.error().detail);
    return *context;
  }
};

struct Row {
  const char *client;
  const char *server;
  bool with_rsa;
  bool with_ecdsa;
  const char *version;
  const char *suite;
  const char *group;
  const char *key;
};

TEST_F(Handshake, profiles_agree_on_the_servers_first_choice) {
  const Row rows[] = {
      {"ncsc", "ncsc", true, true, "TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519", "EC"},
      {"ncsc", "ncsc", true, false, "TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519", "RSA"},
      {"ncsc", "ncsc", false, true, "TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519", "EC"},
      {"suite-b-1", "suite-b-1", false, true, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", "prime256v1", "EC"},
      {"suite-b-1", "suite-b-1", true, true, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", "prime256v1", "EC"},
      {"foundation", "foundation", true, false, "TLSv1.2", "DHE-RSA-AES128-SHA256", "modp_2048", "RSA"},
      {"foundation", "foundation", true, true, "TLSv1.2", "DHE-RSA-AES128-SHA256", "modp_2048", "RSA"},
      {"mozilla-intermediate", "mozilla-intermediate", true, false, "TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519",
       "RSA"},
      {"mozilla-intermediate", "mozilla-intermediate", true, true, "TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519", "EC"},
      {"mozilla-modern", "mozilla-modern", true, true, "TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519", "EC"},
      {"internet", "internet", true, false, "TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519", "RSA"},
      {"internet", "internet", true, true, "TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519", "EC"},
      {"internet-legacy", "internet-legacy", true, false, "TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519", "RSA"},
      {"internet-legacy", "internet-legacy", false, true, "TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519", "EC"},
      {"internet", "foundation", true, false, "TLSv1.2", "DHE-RSA-AES128-GCM-SHA256", "modp_2048", "RSA"},
      {"foundation", "internet", true, true, "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", "prime256v1", "RSA"},
      {"foundation", "ncsc", true, true, "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", "prime256v1", "RSA"},
      {"internet", "suite-b-1", false, true, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", "prime256v1", "EC"},
      {"mozilla-intermediate", "ncsc", true, true, "TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519", "EC"},
  };
  for (const Row &row : rows) {
    const std::string which = std::string(row.client) + " to " + row.server;
    std::vector<tls::KeyPairFiles> pairs;
    if (row.with_rsa) pairs.push_back(rsa_);
    if (row.with_ecdsa) pairs.push_back(ecdsa_);
    test::StreamPair pair;
    const auto done = pair.handshake(ask(row.client), serve(row.server, pairs));
    ASSERT_TRUE(done.ok()) << which << ": " << done.text();
    const tls::Facts &facts = pair.client->facts();
    EXPECT_TRUE(facts.encrypted);
    EXPECT_STREQ(tls::to_string(facts.version), row.version) << which;
    EXPECT_EQ(facts.suite, row.suite) << which;
    EXPECT_EQ(facts.group, row.group) << which;
    EXPECT_GE(facts.bits, 128) << which;
    EXPECT_FALSE(facts.resumed);
    EXPECT_FALSE(facts.verdict);
    ASSERT_EQ(facts.chain.size(), 1U) << which;
    EXPECT_EQ(facts.chain.front().key_type, row.key) << which;
    EXPECT_THAT(facts.chain.front().dns_names, ElementsAre("mx.example.org"));
    EXPECT_NE(pair.client->peer_chain(), nullptr);
    const tls::Facts &at_server = pair.server->facts();
    EXPECT_EQ(at_server.suite, facts.suite);
    EXPECT_EQ(at_server.group, facts.group);
    EXPECT_TRUE(at_server.chain.empty());
    EXPECT_EQ(pair.server->peer_chain(), nullptr);
  }
}

TEST_F(Handshake, profiles_without_anything_in_common_fail_on_both_sides_with_a_reason) {
  struct Failing {
    const char *client;
    const char *server;
    const char *at_server;
  };
  const Failing rows[] = {
      {"foundation", "suite-b-1", "no shared signature algorithms"},
      {"suite-b-1", "foundation", "no shared signature algorithms"},
      {"mozilla-modern", "foundation", "unsupported protocol"},
      {"foundation", "mozilla-modern", "unsupported protocol"},
  };
  for (const Failing &row : rows) {
    test::StreamPair pair;
    const auto done = pair.handshake(ask(row.client), serve(row.server, {rsa_, ecdsa_}));
    ASSERT_FALSE(done.server) << row.client << " to " << row.server;
    EXPECT_EQ(done.server.error().code, smtp::ErrorCode::tls);
    EXPECT_EQ(done.server.error().detail, std::string("handshake failed: ") + row.at_server);
    ASSERT_FALSE(done.client) << row.client << " to " << row.server;
    EXPECT_EQ(done.client.error().code, smtp::ErrorCode::tls);
    EXPECT_THAT(done.client.error().detail, HasSubstr("handshake failed: "));
    EXPECT_FALSE(pair.client->is_tls());
    EXPECT_FALSE(pair.client->facts().encrypted);
  }
}

TEST_F(Handshake, old_versions_are_for_the_legacy_profile_alone) {
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION}) {
    const test::RawOptions options{.lowest = version, .highest = version, .certificate = "", .key = ""};
    const bool old = version < TLS1_2_VERSION;
    for (const char *profile : {"internet", "ncsc", "mozilla-intermediate"}) {
      EXPECT_EQ(test::RawPair(serve(profile, {rsa_}), options).ok(), !old) << profile << ' ' << version;
    }
    const test::RawPair legacy(serve("internet-legacy", {rsa_}), options);
    EXPECT_TRUE(legacy.ok()) << version;
  }
}

TEST_F(Handshake, weak_suites_are_refused_by_every_profile) {
  for (const auto &profile : tls::all_profiles()) {
    for (const char *suites : {"NULL:@SECLEVEL=0", "aNULL:@SECLEVEL=0"}) {
      const test::RawOptions options{
          .lowest = TLS1_2_VERSION, .highest = TLS1_2_VERSION, .certificate = "", .key = "", .suites = suites};
      EXPECT_FALSE(test::RawPair(serve(profile.name, {rsa_, ecdsa_}), options).ok()) << profile.name << ' ' << suites;
    }
    const test::RawOptions fixed_rsa{.lowest = TLS1_2_VERSION,
                                     .highest = TLS1_2_VERSION,
                                     .certificate = "",
                                     .key = "",
                                     .suites = "kRSA:@SECLEVEL=0"};
    EXPECT_EQ(test::RawPair(serve(profile.name, {rsa_, ecdsa_}), fixed_rsa).ok(), profile.name == "internet-legacy");
  }
}

TEST_F(Handshake, a_client_with_other_suites_alone_is_told_that_there_is_no_shared_one) {
  const test::RawOptions options{.lowest = TLS1_2_VERSION,
                                 .highest = TLS1_2_VERSION,
                                 .certificate = "",
                                 .key = "",
                                 .suites = "AES128-SHA:@SECLEVEL=0"};
  const test::RawPair pair(serve("internet", {rsa_, ecdsa_}), options);
  ASSERT_FALSE(pair.at_server);
  EXPECT_EQ(pair.at_server.error(), (smtp::Error{smtp::ErrorCode::tls, "handshake failed: no shared cipher"}));
}

TEST_F(Handshake, the_servers_order_beats_a_client_that_puts_the_weakest_first) {
  const test::RawOptions weakest{
      .lowest = TLS1_2_VERSION,
      .highest = TLS1_2_VERSION,
      .certificate = "",
      .key = "",
      .suites =
          "AES128-SHA:ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0"};
  for (const char *profile : {"internet", "ncsc", "internet-legacy"}) {
    const test::RawPair pair(serve(profile, {rsa_}), weakest);
    ASSERT_TRUE(pair.ok());
    EXPECT_EQ(pair.server->facts().suite, "ECDHE-RSA-AES256-GCM-SHA384") << profile;
  }
}

TEST_F(Handshake, extended_master_secret_is_used_and_renegotiation_and_compression_are_not) {
  const test::RawOptions options{.highest = TLS1_2_VERSION, .certificate = "", .key = ""};
  test::RawPair pair(serve("internet", {rsa_}), options);
  ASSERT_TRUE(pair.ok());
  EXPECT_EQ(SSL_get_extms_support(pair.client->ssl()), 1);
  EXPECT_EQ(SSL_get_secure_renegotiation_support(pair.client->ssl()), 1);
  EXPECT_EQ(SSL_get_current_compression(pair.client->ssl()), nullptr);
  auto reading = test::start(pair.io, test::read_exactly(*pair.server, 1));
  ASSERT_EQ(SSL_renegotiate(pair.client->ssl()), 1);
  EXPECT_FALSE(pair.client->handshake()) << "the server must refuse";
}

TEST_F(Handshake, sni_chooses_the_certificate_and_the_first_is_the_default) {
  const auto both_rsa = files("both_rsa", {.names = {"mx.two.example"}, .key = test::Key::rsa_2048});
  const auto both_ec = files("both_ec", {.names = {"mx.two.example", "mail.two.example"}});
  const auto wild = files("wild", {.names = {"*.three.example"}});
  const auto exact = files("exact", {.names = {"special.three.example"}});
  const auto server = serve("ncsc", {rsa_, both_rsa, both_ec, wild, exact});
  struct Chosen {
    const char *asked;
    const char *client; ///< profile; foundation can use RSA alone
    const char *name;
    const char *key;
  };
  const Chosen rows[] = {
      {"mx.example.org", "ncsc", "mx.example.org", "RSA"},
      {"", "ncsc", "mx.example.org", "RSA"},
      {"192.0.2.1", "ncsc", "mx.example.org", "RSA"},
      {"2001:db8::1", "ncsc", "mx.example.org", "RSA"},
      {"nobody.example", "ncsc", "mx.example.org", "RSA"},
      {"mx.two.example", "ncsc", "mx.two.example", "EC"},
      {"mx.two.example", "foundation", "mx.two.example", "RSA"},
      {"MX.Two.Example", "ncsc", "mx.two.example", "EC"},
      {"mx.two.example.", "ncsc", "mx.two.example", "EC"},
      {"mail.two.example", "ncsc", "mx.two.example", "EC"},
      {"any.three.example", "ncsc", "*.three.example", "EC"},
      {"special.three.example", "ncsc", "special.three.example", "EC"},
      {"a.b.three.example", "ncsc", "mx.example.org", "RSA"},
      {"three.example", "ncsc", "mx.example.org", "RSA"},
  };
  for (const Chosen &row : rows) {
    test::StreamPair pair;
    const auto done = pair.handshake(ask(row.client), server, row.asked);
    ASSERT_TRUE(done.ok()) << row.asked << ": " << done.text();
    const auto &leaf = pair.client->facts().chain.front();
    EXPECT_EQ(leaf.dns_names.front(), row.name) << row.asked;
    EXPECT_EQ(leaf.key_type, row.key) << row.asked;
  }
}

TEST_F(Handshake, without_sni_the_default_is_of_both_kinds_when_they_share_the_name) {
  const auto server = serve("internet", {ecdsa_, rsa_});
  test::StreamPair modern;
  ASSERT_TRUE(modern.handshake(ask("internet"), server, "").ok());
  EXPECT_EQ(modern.client->facts().chain.front().key_type, "EC");
  test::StreamPair old;
  ASSERT_TRUE(old.handshake(ask("foundation"), server, "").ok());
  EXPECT_EQ(old.client->facts().chain.front().key_type, "RSA");
}

TEST_F(Handshake, the_whole_chain_is_sent) {
  const test::TestCa middle = ca_.intermediate("Test Intermediate");
  test::Leaf leaf = middle.issue({.names = {"mx.example.org"}});
  leaf.write_to(folder_, "chain");
  test::StreamPair pair;
  ASSERT_TRUE(pair.handshake(ask("internet"), serve("internet", {{leaf.chain_file, leaf.key_file}})).ok());
  ASSERT_EQ(pair.client->facts().chain.size(), 2U);
  EXPECT_EQ(pair.client->facts().chain[1].subject, "CN=Test Intermediate");
}

TEST_F(Handshake, a_client_certificate_is_asked_for_but_never_demanded) {
  const auto client_files = files("client", {.names = {"gateway.example.net"}, .usage = test::Usage::client});
  struct Shown {
    const char *name;
    bool asked, has;
    const char *profile;
  };
  const Shown rows[] = {
      {"asked and shown", true, true, "ncsc"},
      {"asked and not shown", true, false, "ncsc"},
      {"not asked, so not shown", false, true, "ncsc"},
      {"asked and shown with TLS 1.2", true, true, "suite-b-1"},
      {"asked and not shown with TLS 1.2", true, false, "suite-b-1"},
  };
  for (const Shown &row : rows) {
    test::StreamPair pair;
    const auto server = serve({.profile = row.profile,
                               .certificates = {ecdsa_},
                               .ask_client_certificate = row.asked,
                               .client_ca_hints = folder_.write("hints.pem", ca_.pem())});
    const auto client = ask(row.profile, row.has ? std::optional(client_files) : std::nullopt);
    const auto done = pair.handshake(client, server);
    ASSERT_TRUE(done.ok()) << row.name << ": " << done.text();
    const bool shown = row.asked && row.has;
    EXPECT_EQ(pair.server->peer_chain() != nullptr, shown) << row.name;
    ASSERT_EQ(pair.server->facts().chain.size(), shown ? 1U : 0U) << row.name;
    if (shown) {
      EXPECT_THAT(pair.server->facts().chain.front().dns_names, ElementsAre("gateway.example.net"));
    }
  }
}

TEST_F(Handshake, a_client_certificate_that_nobody_trusts_does_not_end_the_handshake) {
  test::Leaf bad = test::self_signed(
      {.names = {"gateway.example.net"}, .starts = std::chrono::hours(-48), .ends = std::chrono::hours(-24)});
  bad.write_to(folder_, "bad");
  test::StreamPair pair;
  const auto server =
      serve({.profile = "ncsc", .certificates = {ecdsa_}, .ask_client_certificate = true, .client_ca_hints = ""});
  const auto done = pair.handshake(ask("ncsc", tls::KeyPairFiles{bad.chain_file, bad.key_file}), server);
  ASSERT_TRUE(done.ok()) << done.text();
  const auto trust = tls::TrustStore::from_file(folder_.write("ca.pem", ca_.pem())).value();
  const auto verdict = tls::verify_chain(pair.server->peer_chain().get(), *trust, tls::Purpose::client,
                                         std::chrono::system_clock::now());
  EXPECT_FALSE(verdict.trusted);
  EXPECT_THAT(verdict.reason, HasSubstr("CN=gateway.example.net"));
}

TEST_F(Handshake, a_client_may_show_many_names_and_not_without_end) {
  for (const int names : {500, 3000}) { // about 13 and 80 KiB
    test::LeafOptions options;
    for (int i = 0; i < names; ++i) options.names.push_back("n" + std::to_string(i) + ".gateway.example.net");
    test::Leaf leaf = ca_.issue(options);
    leaf.write_to(folder_, "many");
    test::StreamPair pair;
    const auto server =
        serve({.profile = "ncsc", .certificates = {ecdsa_}, .ask_client_certificate = true, .client_ca_hints = ""});
    const auto done = pair.handshake(ask("ncsc", tls::KeyPairFiles{leaf.chain_file, leaf.key_file}), server);
    EXPECT_EQ(pair.server->is_tls(), names == 500) << done.text();
    if (pair.server->is_tls()) {
      EXPECT_EQ(pair.server->facts().chain.front().dns_names.size(), 500U);
    }
  }
}

TEST_F(Handshake, a_server_can_forget_what_the_client_showed) {
  test::Leaf leaf = ca_.intermediate("Test Intermediate").issue({.names = {"gateway.example.net"}});
  leaf.write_to(folder_, "forgotten");
  test::StreamPair pair;
  const auto server =
      serve({.profile = "ncsc", .certificates = {ecdsa_}, .ask_client_certificate = true, .client_ca_hints = ""});
  ASSERT_TRUE(pair.handshake(ask("ncsc", tls::KeyPairFiles{leaf.chain_file, leaf.key_file}), server).ok());
  ASSERT_EQ(pair.server->facts().chain.size(), 2U);
  EXPECT_GT(pair.server->certificate_octets(), 500U);
  pair.server->forget_client_certificates();
  EXPECT_TRUE(pair.server->facts().chain.empty());
  EXPECT_TRUE(pair.server->facts().encrypted);
  EXPECT_EQ(pair.server->peer_chain(), nullptr);
  EXPECT_EQ(pair.client->facts().chain.size(), 1U);
}

TEST_F(Handshake, hints_name_the_cas) {
  for (const bool with : {true, false}) {
    const auto server = serve({.profile = "ncsc",
                               .certificates = {ecdsa_},
                               .ask_client_certificate = true,
                               .client_ca_hints = with ? folder_.write("hints.pem", ca_.pem()) : ""});
    test::RawPair pair(server, {.certificate = "", .key = ""});
    ASSERT_TRUE(pair.ok());
    const STACK_OF(X509_NAME) *names = SSL_get0_peer_CA_list(pair.client->ssl());
    EXPECT_EQ(names == nullptr ? 0 : sk_X509_NAME_num(names), with ? 1 : 0);
  }
}

TEST_F(Handshake, a_context_for_the_other_side_is_refused) {
  test::StreamPair pair;
  const auto result = test::run(pair.io, pair.client->handshake(serve("internet", {rsa_}), tls::Role::client, ""));
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().detail, HasSubstr("for the other side"));
}

} // namespace handshake_test
