// Key records: RFC 6376 section 3.6.1, RFC 8463, and limits.
#include "auth/dkim/key_record.hpp"

#include <gtest/gtest.h>

#include "auth/dkim/public_key.hpp"
#include "tests/support/dkim_fixture.hpp"

namespace key_record_test {

using auth::KeyRecord;
using auth::KeyType;

TEST(KeyRecord, WhatItSays) {
  const auto plain = KeyRecord::parse("p=QUJD").value();
  EXPECT_EQ(plain.type, KeyType::rsa);
  EXPECT_EQ(plain.public_key, "ABC");
  EXPECT_TRUE(plain.allows_sha1 && plain.allows_sha256 && plain.allows_email);
  EXPECT_FALSE(plain.testing || plain.no_subdomain || plain.granularity);

  const auto full =
      KeyRecord::parse("v=DKIM1; k=ed25519; h=SHA256:x; s=web : email; t=s:y:z; n=a note; p= QU\r\n JD ;").value();
  EXPECT_EQ(full.type, KeyType::ed25519);
  EXPECT_EQ(full.public_key, "ABC");
  EXPECT_FALSE(full.allows_sha1);
  EXPECT_TRUE(full.allows_sha256 && full.allows_email && full.testing && full.no_subdomain);

  EXPECT_TRUE(KeyRecord::parse("v=DKIM1; p=").value().public_key.empty()) << "a revoked key is a record";
  EXPECT_FALSE(KeyRecord::parse("s=chat; p=QUJD").value().allows_email);
  EXPECT_TRUE(KeyRecord::parse("s=*; p=QUJD").value().allows_email);
  EXPECT_FALSE(KeyRecord::parse("h=md5; p=QUJD").value().allows_sha256);
  EXPECT_EQ(KeyRecord::parse("g=jo*; p=QUJD").value().granularity, "jo*");
}

struct BadRow {
  std::string name;
  std::string record;
  std::string detail; ///< a part of it
};

TEST(KeyRecord, WhatIsNone) {
  const std::vector<BadRow> rows = {
      {"an empty record", "", "without a key"},
      {"no key", "v=DKIM1; k=rsa", "without a key"},
      {"another version", "v=DKIM2; p=QUJD", "version \"DKIM2\""},
      {"the version tells case", "v=dkim1; p=QUJD", "version"},
      {"the version comes second", "k=rsa; v=DKIM1; p=QUJD", "does not begin"},
      {"an unknown type", "k=dsa; p=QUJD", "type \"dsa\""},
      {"a part without '='", "t; p=QUJD", "no '='"},
      {"a tag twice", "p=QUJD; p=QUJD", "twice"},
      {"no base64", "p=Q*JD", "base64"},
      {"a lone character of base64", "p=QUJDQ", "base64"},
      {"text behind the padding", "p=QQ==QUJD", "base64"},
      {"a SPF record", "v=spf1 -all", "version"},
      {"octets that are not UTF-8", "v=DKIM1; n=\xff; p=QUJD", "not text"},
      {"a NUL", std::string("v=DKIM1; n=\0; p=QUJD", 20), "control character"},
      {"one octet over the limit", "p=" + std::string(4095, 'A'), "4097 octets, limit is 4096"},
  };
  for (const auto &row : rows) {
    const auto record = KeyRecord::parse(row.record);
    ASSERT_FALSE(record.has_value()) << row.name;
    EXPECT_NE(record.error().detail.find(row.detail), std::string::npos) << row.name << ": " << record.error().detail;
  }
  EXPECT_TRUE(KeyRecord::parse("p=" + std::string(4092, 'A')).has_value()) << "under the limit";
}

TEST(PublicKey, ReadsBothFormsOfRsaKeys) {
  const std::string info = test::rsa_key()->public_key();
  const auto numbers = auth::parse_rsa_key(info).value();
  EXPECT_EQ(numbers.bits(), 2048U);
  EXPECT_EQ(numbers.exponent, std::string_view("\x01\x00\x01", 3));
  EXPECT_EQ(auth::format_rsa_key(numbers), info) << "and writes the one";
  const std::string bare = info.substr(24); // behind the AlgorithmIdentifier and the head of the BIT STRING
  const auto same = auth::parse_rsa_key(bare).value();
  EXPECT_EQ(same.modulus, numbers.modulus);
  EXPECT_TRUE(auth::PublicKey::make(KeyType::rsa, bare).has_value());
}

TEST(PublicKey, ShortenedAndChangedKeysNeverCrash) {
  const std::string info = test::rsa_key(1024)->public_key();
  for (std::size_t size = 0; size < info.size(); ++size)
    EXPECT_FALSE(auth::PublicKey::make(KeyType::rsa, std::string_view(info).substr(0, size)).has_value()) << size;
  for (std::size_t at = 0; at < 32; ++at) {
    for (const int value : {0x00, 0x7f, 0x80, 0xff}) {
      std::string changed = info;
      changed[at] = static_cast<char>(value);
      (void)auth::PublicKey::make(KeyType::rsa, changed);
    }
  }
}

TEST(PublicKey, RefusesNumbersThatAreNoKey) {
  const std::string modulus(128, '\xf1');
  const auto make = [](const std::string &n, const std::string &e) {
    return auth::PublicKey::make(KeyType::rsa, auth::format_rsa_key({n, e}));
  };
  EXPECT_TRUE(make(modulus, "\x03").has_value());
  EXPECT_FALSE(make(modulus.substr(1) + '\x02', "\x03").has_value()) << "even";
  EXPECT_FALSE(make(modulus, "\x02").has_value()) << "even exponent";
  EXPECT_FALSE(make(modulus, "\x01").has_value()) << "exponent 1: every text is its own signature";
  EXPECT_FALSE(make(modulus, std::string(9, '\x03')).has_value()) << "an exponent that makes checks slow";
  EXPECT_FALSE(make("\xf1", "\x03").has_value()) << "8 bits";
  const auto huge = make(std::string(513, '\xf1'), "\x03");
  ASSERT_FALSE(huge.has_value());
  EXPECT_EQ(huge.error().detail, "RSA key is 4104 bits, limit is 4096");
  const auto seven = auth::RsaNumbers{std::string_view("\x7f\xff"), "\x03"};
  EXPECT_EQ(seven.bits(), 15U) << "bits are counted, not octets";
}

TEST(PublicKey, ChecksSignaturesOfDigests) {
  const std::string digest(32, 'd');
  for (const auto &key : {test::rsa_key(), test::ed25519_key()}) {
    const auto signature = key->sign_digest(digest).value();
    const auto checker = auth::PublicKey::make(key->type(), key->public_key()).value();
    EXPECT_TRUE(checker.verify(auth::HashKind::sha256, digest, signature)) << key->algorithm();
    EXPECT_FALSE(checker.verify(auth::HashKind::sha256, std::string(32, 'e'), signature)) << key->algorithm();
    EXPECT_FALSE(checker.verify(auth::HashKind::sha256, digest, signature.substr(1))) << key->algorithm();
    EXPECT_FALSE(checker.verify(auth::HashKind::sha256, digest, "")) << key->algorithm();
  }
  const auto short_key = auth::PublicKey::make(KeyType::ed25519, std::string(31, 'x'));
  ASSERT_FALSE(short_key.has_value());
  EXPECT_EQ(short_key.error().detail, "ed25519 key is 31 octets, not 32");
}

TEST(SigningKey, PemGoesBothWays) {
  for (const auto &key : {test::rsa_key(), test::ed25519_key()}) {
    const auto again = auth::SigningKey::parse(key->to_pem()).value();
    EXPECT_EQ(again.public_record(), key->public_record());
    EXPECT_EQ(again.bits(), key->bits());
    EXPECT_EQ(again.algorithm(), key->algorithm());
    const auto record = KeyRecord::parse(key->public_record()).value();
    EXPECT_EQ(record.public_key, key->public_key());
    EXPECT_EQ(record.type, key->type());
  }
}

TEST(SigningKey, RefusesWhatIsNoUsableKey) {
  const std::string pem = test::rsa_key()->to_pem();
  for (const std::string &text : {std::string(), std::string("no key"), pem.substr(0, pem.size() / 2),
                                  std::string("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n")})
    EXPECT_FALSE(auth::SigningKey::parse(text).has_value()) << text;
  // An EC key: right form, wrong kind.
  const auto ec = auth::SigningKey::parse("-----BEGIN PRIVATE KEY-----\n"
                                          "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\n"
                                          "OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n"
                                          "1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G\n"
                                          "-----END PRIVATE KEY-----\n");
  ASSERT_FALSE(ec.has_value());
  EXPECT_EQ(ec.error().detail, "private key is neither RSA nor Ed25519");
  const auto small = auth::SigningKey::generate_rsa(512);
  ASSERT_FALSE(small.has_value());
  EXPECT_EQ(small.error().detail, "RSA key of 512 bits, limits are 1024 and 4096");
}

} // namespace key_record_test
