#include "tls/context.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/test_ca.hpp"

namespace context_test {

using smtp::ErrorCode;
using testing::HasSubstr;

class Context : public testing::Test {
protected:
  test::TempFolder folder_;
  test::TestCa ca_;

  tls::KeyPairFiles files(const char *name, const test::LeafOptions &options) {
    test::Leaf leaf = ca_.issue(options);
    leaf.write_to(folder_, name);
    return {leaf.chain_file, leaf.key_file};
  }

  static auto serve(const std::string &profile, std::vector<tls::KeyPairFiles> pairs) {
    return tls::Context::server({.profile = profile, .certificates = std::move(pairs), .client_ca_hints = ""},
                                std::make_shared<tls::TicketKeys>());
  }
};

TEST_F(Context, every_profile_loads_certificates_of_both_kinds) {
  const auto rsa = files("rsa", {.names = {"mx.example.org"}, .key = test::Key::rsa_2048});
  const auto ecdsa = files("ec", {.names = {"mx.example.org"}});
  for (const auto &profile : tls::all_profiles()) {
    const auto context = serve(profile.name, {rsa, ecdsa});
    EXPECT_TRUE(context) << profile.name << ": " << context.error().detail;
    EXPECT_TRUE(tls::Context::client({.profile = profile.name, .certificate = std::nullopt})) << profile.name;
  }
}

TEST_F(Context, a_profile_that_uses_no_key_of_the_kind_is_an_error) {
  const auto rsa = files("rsa", {.names = {"mx.example.org"}, .key = test::Key::rsa_2048});
  const auto ecdsa = files("ec", {.names = {"mx.example.org"}});
  for (const char *profile : {"suite-b-1", "mozilla-modern"}) {
    const auto context = serve(profile, {rsa});
    ASSERT_FALSE(context) << profile;
    EXPECT_THAT(context.error().detail, HasSubstr("does not use keys of this type"));
    EXPECT_THAT(context.error().detail, HasSubstr(rsa.certificate + " (RSA)"));
    EXPECT_FALSE(tls::Context::client({.profile = profile, .certificate = rsa})) << profile;
  }
  EXPECT_FALSE(serve("foundation", {ecdsa}));
  EXPECT_TRUE(tls::Context::client({.profile = "suite-b-1", .certificate = ecdsa}));
}

TEST_F(Context, what_is_wrong_with_a_certificate_is_said_with_its_file) {
  const auto good = files("good", {.names = {"mx.example.org"}});
  const auto small = files("small", {.names = {"mx.example.org"}, .key = test::Key::rsa_1024});
  const auto curve = files("curve", {.names = {"mx.example.org"}, .key = test::Key::ec_p384});
  const auto sha1 = files("sha1", {.names = {"mx.example.org"}, .signature = test::Signature::sha1});
  const auto other = files("other", {.names = {"mx.example.org"}});
  struct Row {
    const char *name;
    const char *profile;
    std::vector<tls::KeyPairFiles> pairs;
    ErrorCode code;
    std::vector<std::string> texts;
  };
  const Row rows[] = {
      {.name = "no certificate",
       .profile = "internet",
       .pairs = {},
       .code = ErrorCode::not_found,
       .texts = {"at least one"}},
      {.name = "no such profile",
       .profile = "intermet",
       .pairs = {good},
       .code = ErrorCode::not_found,
       .texts = {"\"intermet\"", "ncsc, suite-b-1, foundation"}},
      {.name = "no such file",
       .profile = "internet",
       .pairs = {{"/nonexistent.pem", good.key}},
       .code = ErrorCode::not_found,
       .texts = {"/nonexistent.pem"}},
      {.name = "no such key file",
       .profile = "internet",
       .pairs = {{good.certificate, "/nonexistent.key"}},
       .code = ErrorCode::not_found,
       .texts = {"/nonexistent.key"}},
      {.name = "another's key",
       .profile = "internet",
       .pairs = {{good.certificate, other.key}},
       .code = ErrorCode::tls,
       .texts = {other.key, "does not belong", good.certificate}},
      {.name = "the second pair is wrong",
       .profile = "internet",
       .pairs = {good, {good.certificate, other.key}},
       .code = ErrorCode::tls,
       .texts = {"does not belong"}},
      {.name = "RSA 1024",
       .profile = "internet",
       .pairs = {small},
       .code = ErrorCode::tls,
       .texts = {small.certificate, "1024 bits", "internet needs at least 2048"}},
      {.name = "RSA 1024 even with the legacy profile",
       .profile = "internet-legacy",
       .pairs = {small},
       .code = ErrorCode::tls,
       .texts = {"needs at least 2048"}},
      {.name = "a curve outside the profile",
       .profile = "suite-b-1",
       .pairs = {curve},
       .code = ErrorCode::tls,
       .texts = {curve.certificate, "secp384r1", "P-256"}},
      {.name = "a SHA-1 signature",
       .profile = "ncsc",
       .pairs = {sha1},
       .code = ErrorCode::tls,
       .texts = {sha1.certificate, "SHA1", "SHA-256 or better"}},
      {.name = "too many",
       .profile = "internet",
       .pairs = std::vector<tls::KeyPairFiles>(101, good),
       .code = ErrorCode::too_long,
       .texts = {"101 certificates", "limit is 100"}},
  };
  for (const Row &row : rows) {
    const auto context = serve(row.profile, row.pairs);
    ASSERT_FALSE(context) << row.name;
    EXPECT_EQ(context.error().code, row.code) << row.name;
    for (const std::string &text : row.texts) EXPECT_THAT(context.error().detail, HasSubstr(text)) << row.name;
  }
  EXPECT_TRUE(serve("internet-legacy", {sha1}));
  EXPECT_TRUE(serve("ncsc", {curve}));
}

TEST_F(Context, a_chain_longer_than_the_limit_is_refused) {
  test::Leaf leaf = ca_.issue({.names = {"mx.example.org"}});
  leaf.write_to(folder_, "leaf");
  std::string ten = leaf.certificate;
  for (int i = 0; i < 10; ++i) ten += ca_.pem();
  EXPECT_TRUE(serve("internet", {{folder_.write("ten.pem", ten), leaf.key_file}}));
  const auto eleven = serve("internet", {{folder_.write("eleven.pem", ten + ca_.pem()), leaf.key_file}});
  ASSERT_FALSE(eleven);
  EXPECT_EQ(eleven.error().code, ErrorCode::too_long);
}

TEST_F(Context, hints_must_be_readable) {
  const auto good = files("good", {.names = {"mx.example.org"}});
  const auto context = [&](const std::string &hints) {
    return tls::Context::server({.certificates = {good}, .ask_client_certificate = true, .client_ca_hints = hints},
                                nullptr);
  };
  EXPECT_TRUE(context(folder_.write("ca.pem", ca_.pem())));
  EXPECT_TRUE(context(""));
  EXPECT_EQ(context("/nonexistent.pem").error().code, ErrorCode::not_found);
  EXPECT_FALSE(context(folder_.write("none.pem", "")));
}

TEST_F(Context, a_clients_certificate_is_checked_too) {
  EXPECT_EQ(tls::Context::client({.profile = "none", .certificate = std::nullopt}).error().code, ErrorCode::not_found);
  const tls::KeyPairFiles missing = {"/nonexistent.pem", "/nonexistent.key"};
  EXPECT_EQ(tls::Context::client({.certificate = missing}).error().code, ErrorCode::not_found);
  const auto small = files("small", {.names = {"mx.example.org"}, .key = test::Key::rsa_1024});
  EXPECT_FALSE(tls::Context::client({.certificate = small}));
}

} // namespace context_test
