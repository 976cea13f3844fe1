#include "tls/certificate.hpp"

#include <filesystem>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "tests/support/test_ca.hpp"
#include "tls/context.hpp"

namespace certificate_test {

using smtp::ErrorCode;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

class Certificate : public testing::Test {
protected:
  test::TempFolder folder_;
  test::TestCa ca_;

  tls::CertificateFacts read_one(const test::LeafOptions &options) {
    const auto facts = tls::read_certificates(folder_.write("one.pem", ca_.issue(options).certificate));
    if (!facts || facts->size() != 1) throw std::runtime_error("one certificate");
    return facts->front();
  }
};

TEST_F(Certificate, facts_say_names_key_and_dates) {
  const auto facts = read_one({.names = {"MX.Example.Org", "*.Example.org"}, .common_name = "Mail, Inc"});
  EXPECT_EQ(facts.subject, "CN=Mail\\, Inc");
  EXPECT_EQ(facts.issuer, "CN=Test Root CA");
  EXPECT_THAT(facts.dns_names, ElementsAre("mx.example.org", "*.example.org"));
  EXPECT_EQ(facts.key_type, "EC");
  EXPECT_EQ(facts.key_bits, 256);
  EXPECT_EQ(facts.spki_sha256.size(), 44U);
  EXPECT_EQ(facts.fingerprint_sha256.size(), 64U);
  EXPECT_EQ(facts.fingerprint_sha256.find_first_not_of("0123456789abcdef"), std::string::npos);
  const auto now = std::chrono::system_clock::now();
  EXPECT_LT(facts.not_before, now);
  EXPECT_GT(facts.not_after, now + 24h * 29);
  EXPECT_LT(facts.not_after, now + 24h * 31);
}

TEST_F(Certificate, a_pin_is_of_the_key_and_a_fingerprint_of_the_certificate) {
  const auto first = read_one({.names = {"a.example.org"}, .key = test::Key::rsa_2048});
  const auto second = read_one({.names = {"b.example.org"}, .key = test::Key::rsa_2048});
  EXPECT_EQ(first.key_type, "RSA");
  EXPECT_EQ(first.key_bits, 2048);
  EXPECT_EQ(first.spki_sha256, second.spki_sha256) << "the same key";
  EXPECT_NE(first.fingerprint_sha256, second.fingerprint_sha256);
}

TEST_F(Certificate, the_common_name_is_no_name) {
  EXPECT_THAT(read_one({.names = {}, .common_name = "mx.example.org"}).dns_names, ElementsAre())
      << "RFC 9525 section 2";
  EXPECT_THAT(read_one({.names = {"a.example.org"}, .common_name = "mx.example.org"}).dns_names,
              ElementsAre("a.example.org"));
}

TEST_F(Certificate, a_name_with_an_embedded_nul_is_dropped_and_the_common_name_does_not_come_back) {
  const std::string trick("mx.example.org\0.evil.example", 28);
  EXPECT_THAT(read_one({.names = {trick, "b.example.org"}}).dns_names, ElementsAre("b.example.org"));
  EXPECT_THAT(read_one({.names = {trick}, .common_name = "mx.example.org"}).dns_names, ElementsAre());
  EXPECT_THAT(read_one({.names = {}, .common_name = trick}).dns_names, ElementsAre());
}

TEST_F(Certificate, every_name_is_there_to_be_compared) {
  test::LeafOptions options;
  for (int i = 0; i < 1500; ++i) options.names.push_back("n" + std::to_string(i) + ".example.org");
  const auto names = read_one(options).dns_names;
  ASSERT_EQ(names.size(), 1500U);
  EXPECT_EQ(names.back(), "n1499.example.org");
  EXPECT_THAT(read_one({.names = {std::string(256, 'a'), std::string(255, 'b')}}).dns_names,
              ElementsAre(std::string(255, 'b')))
      << "no host has a name as long as that";
}

TEST_F(Certificate, a_date_beyond_the_clocks_range_is_held_within_it) {
  const auto facts = read_one({.names = {"a.example.org"}, .ends = std::chrono::hours(24 * 365 * 1000)});
  EXPECT_GT(facts.not_after, std::chrono::system_clock::now() + 24h * 365 * 200);
}

TEST_F(Certificate, a_chain_file_gives_its_certificates_in_order) {
  const test::TestCa middle = ca_.intermediate("Test Intermediate");
  const auto facts =
      tls::read_certificates(folder_.write("chain.pem", middle.issue({.names = {"a.example.org"}}).chain));
  ASSERT_TRUE(facts);
  ASSERT_EQ(facts->size(), 2U);
  EXPECT_EQ((*facts)[0].issuer, "CN=Test Intermediate");
  EXPECT_EQ((*facts)[1].subject, "CN=Test Intermediate");
}

TEST_F(Certificate, files_that_cannot_be_read_are_told_apart) {
  const std::string good = folder_.write("good.pem", ca_.pem());
  struct Row {
    const char *name;
    std::string path;
    ErrorCode code;
    const char *text;
  };
  const Row rows[] = {
      {.name = "missing",
       .path = (folder_.path() / "none.pem").string(),
       .code = ErrorCode::not_found,
       .text = "no such file"},
      {.name = "below a file", .path = good + "/x", .code = ErrorCode::not_found, .text = "not a directory"},
      {.name = "a folder", .path = folder_.path().string(), .code = ErrorCode::io, .text = "not a regular file"},
      {.name = "empty",
       .path = folder_.write("empty.pem", ""),
       .code = ErrorCode::bad_syntax,
       .text = "no PEM certificate"},
      {.name = "text",
       .path = folder_.write("text.pem", "hello\n"),
       .code = ErrorCode::bad_syntax,
       .text = "no PEM certificate"},
      {.name = "damaged",
       .path = folder_.write("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
       .code = ErrorCode::bad_syntax,
       .text = "certificate 1 cannot be read"},
      {.name = "damaged behind a good one",
       .path = folder_.write("bad2.pem", ca_.pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
       .code = ErrorCode::bad_syntax,
       .text = "certificate 2 cannot be read"},
      {.name = "too large",
       .path = folder_.write("large.pem", std::string(4 * 1024 * 1024 + 1, ' ')),
       .code = ErrorCode::too_long,
       .text = "limit of 4194304 octets"},
  };
  EXPECT_TRUE(tls::read_certificates(good));
  for (const Row &row : rows) {
    const auto facts = tls::read_certificates(row.path);
    ASSERT_FALSE(facts) << row.name;
    EXPECT_EQ(facts.error().code, row.code) << row.name << ": " << facts.error().detail;
    EXPECT_THAT(facts.error().detail, HasSubstr(row.text)) << row.name;
    EXPECT_THAT(facts.error().detail, HasSubstr(row.path)) << row.name;
  }
}

TEST_F(Certificate, a_key_pair_must_belong_together) {
  test::Leaf mine = ca_.issue({.names = {"a.example.org"}});
  test::Leaf other = ca_.issue({.names = {"b.example.org"}});
  mine.write_to(folder_, "mine");
  other.write_to(folder_, "other");
  EXPECT_TRUE(tls::check_key_pair(mine.chain_file, mine.key_file));
  const auto wrong = tls::check_key_pair(mine.chain_file, other.key_file);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::tls);
  EXPECT_THAT(wrong.error().detail, HasSubstr("does not belong"));
  const auto missing = tls::check_key_pair(mine.chain_file, "/nonexistent.key");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  const auto no_key = tls::check_key_pair(mine.chain_file, mine.chain_file);
  ASSERT_FALSE(no_key);
  EXPECT_THAT(no_key.error().detail, HasSubstr("no PEM private key"));
}

TEST_F(Certificate, a_key_behind_a_passphrase_is_refused_without_asking) {
  test::Leaf leaf = ca_.issue({.names = {"a.example.org"}});
  leaf.write_to(folder_, "leaf");
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> in(
      BIO_new_mem_buf(leaf.key.data(), static_cast<int>(leaf.key.size())), BIO_free_all);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), BIO_free_all);
  ASSERT_EQ(PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), EVP_aes_128_cbc(), "secret", 6, nullptr, nullptr), 1);
  char *data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  const auto result = tls::check_key_pair(
      leaf.chain_file, folder_.write("locked.key", std::string(data, static_cast<std::size_t>(size))));
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().detail, HasSubstr("passphrase"));
}

TEST_F(Certificate, a_key_without_permission_is_not_permitted) {
  test::Leaf leaf = ca_.issue({.names = {"a.example.org"}});
  leaf.write_to(folder_, "leaf");
  std::filesystem::permissions(leaf.key_file, std::filesystem::perms::none);
  std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
  const bool is_root = ::geteuid() == 0; // who may read every file
  if (is_root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  const auto certificate = tls::read_certificates(leaf.chain_file);
  const auto result = tls::check_key_pair(leaf.chain_file, leaf.key_file);
  if (is_root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_TRUE(certificate);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::not_permitted);
  EXPECT_THAT(result.error().detail, HasSubstr("permission denied"));
}

TEST_F(Certificate, self_signed_is_usable_at_once) {
  for (const tls::KeyType type : {tls::KeyType::rsa_2048, tls::KeyType::rsa_3072, tls::KeyType::ec_p256}) {
    const auto made = tls::make_self_signed(type, {"MX.example.org", "*.example.org"}, std::chrono::days(90));
    ASSERT_TRUE(made) << made.error().detail;
    EXPECT_THAT(made->key, testing::StartsWith("-----BEGIN PRIVATE KEY-----"));
    const std::string certificate = folder_.write("self.pem", made->certificate);
    const std::string key = folder_.write("self.key", made->key);
    EXPECT_TRUE(tls::check_key_pair(certificate, key));
    const auto facts = tls::read_certificates(certificate);
    ASSERT_TRUE(facts);
    EXPECT_THAT(facts->front().dns_names, ElementsAre("mx.example.org", "*.example.org"));
    EXPECT_EQ(facts->front().key_bits, type == tls::KeyType::ec_p256    ? 256
                                       : type == tls::KeyType::rsa_2048 ? 2048
                                                                        : 3072);
    const auto now = std::chrono::system_clock::now();
    EXPECT_LT(facts->front().not_before, now);
    EXPECT_GT(facts->front().not_after, now + std::chrono::days(89));
    EXPECT_LT(facts->front().not_after, now + std::chrono::days(91));
    EXPECT_TRUE(tls::Context::server({.profile = "ncsc", .certificates = {{certificate, key}}, .client_ca_hints = ""},
                                     nullptr));
  }
}

TEST_F(Certificate, what_cannot_be_a_name_or_a_lifetime_is_refused) {
  struct Row {
    const char *name;
    std::vector<std::string> names;
    int days;
    const char *text;
  };
  const std::vector<std::string> many(101, "a.example.org");
  const Row rows[] = {
      {.name = "no names", .names = {}, .days = 90, .text = "at least one name"},
      {.name = "an empty name", .names = {""}, .days = 90, .text = "not a host name"},
      {.name = "a space", .names = {"a b.example"}, .days = 90, .text = "not a host name"},
      {.name = "configuration language",
       .names = {"a.example,DNS:evil.example"},
       .days = 90,
       .text = "not a host name"},
      {.name = "a NUL", .names = {std::string("a\0b", 3)}, .days = 90, .text = "not a host name"},
      {.name = "a trailing dot", .names = {"a.example."}, .days = 90, .text = "not a host name"},
      {.name = "a star inside", .names = {"a.*.example"}, .days = 90, .text = "not a host name"},
      {.name = "a long label", .names = {std::string(64, 'a') + ".example"}, .days = 90, .text = "not a host name"},
      {.name = "a long name", .names = {std::string(254, 'a')}, .days = 90, .text = "limit is 253"},
      {.name = "too many names", .names = many, .days = 90, .text = "limit is 100"},
      {.name = "no days", .names = {"a.example"}, .days = 0, .text = "lifetime of 0 days"},
      {.name = "too many days", .names = {"a.example"}, .days = 36'501, .text = "limits are 1 and 36500"},
  };
  for (const Row &row : rows) {
    const auto made = tls::make_self_signed(tls::KeyType::ec_p256, row.names, std::chrono::days(row.days));
    ASSERT_FALSE(made) << row.name;
    EXPECT_THAT(made.error().detail, HasSubstr(row.text)) << row.name;
  }
}

TEST_F(Certificate, a_name_too_long_for_a_common_name_stands_in_the_alternative_names_alone) {
  const std::string name = std::string(60, 'a') + ".mail.example.org";
  const auto made = tls::make_self_signed(tls::KeyType::ec_p256, {name}, std::chrono::days(1));
  ASSERT_TRUE(made) << made.error().detail;
  const auto facts = tls::read_certificates(folder_.write("long.pem", made->certificate));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->front().subject, "");
  EXPECT_THAT(facts->front().dns_names, ElementsAre(name));
}

TEST_F(Certificate, a_request_carries_names_organisation_and_a_sha_256_signature) {
  const auto made =
      tls::make_request(tls::KeyType::ec_p256, {"mx.example.org", "mx2.example.org"}, "Exämple Dept", "GB");
  ASSERT_TRUE(made) << made.error().detail;
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> in(
      BIO_new_mem_buf(made->certificate.data(), static_cast<int>(made->certificate.size())), BIO_free_all);
  const std::unique_ptr<X509_REQ, decltype(&X509_REQ_free)> request(
      PEM_read_bio_X509_REQ(in.get(), nullptr, nullptr, nullptr), X509_REQ_free);
  ASSERT_TRUE(request);
  EXPECT_EQ(X509_REQ_verify(request.get(), X509_REQ_get0_pubkey(request.get())), 1);
  EXPECT_EQ(X509_REQ_get_signature_nid(request.get()), NID_ecdsa_with_SHA256);
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), BIO_free_all);
  ASSERT_EQ(X509_REQ_print(out.get(), request.get()), 1);
  char *data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  const std::string text(data, static_cast<std::size_t>(size));
  EXPECT_THAT(text, HasSubstr("DNS:mx.example.org, DNS:mx2.example.org"));
  EXPECT_THAT(text, testing::ContainsRegex("CN ?= ?mx.example.org"));
  EXPECT_THAT(text, testing::ContainsRegex("C ?= ?GB"));
}

TEST_F(Certificate, a_request_may_leave_organisation_and_country_out) {
  EXPECT_TRUE(tls::make_request(tls::KeyType::rsa_2048, {"mx.example.org"}, "", ""));
  EXPECT_FALSE(tls::make_request(tls::KeyType::ec_p256, {"mx.example.org"}, "", "gb"));
  EXPECT_FALSE(tls::make_request(tls::KeyType::ec_p256, {"mx.example.org"}, "", "GBR"));
  EXPECT_FALSE(tls::make_request(tls::KeyType::ec_p256, {"mx.example.org"}, std::string(65, 'x'), ""));
  EXPECT_FALSE(tls::make_request(tls::KeyType::ec_p256, {"mx.example.org"}, "\xff", ""));
  EXPECT_FALSE(tls::make_request(tls::KeyType::ec_p256, {}, "", ""));
}

} // namespace certificate_test
