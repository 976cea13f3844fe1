// What never passes, but in the mode for old test corpora: weak algorithms and keys, drafts' signatures, and g=.
#include <memory>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "tests/support/dkim_fixture.hpp"

namespace weak_test {

using auth::DkimResult;
using auth::HashKind;
using test::body;
using test::header;
using test::noon;

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

std::string record_of(EVP_PKEY *key) {
  unsigned char *der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  const std::string text = smtp::to_base64({reinterpret_cast<const char *>(der), static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  return "v=DKIM1; p=" + text;
}

std::string sign_with(EVP_PKEY *key, HashKind hash, const std::string &digest) {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(EVP_PKEY_CTX_new(key, nullptr),
                                                                            EVP_PKEY_CTX_free);
  std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(key)), '\0');
  std::size_t size = signature.size();
  if (EVP_PKEY_sign_init(context.get()) != 1 || EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) != 1 ||
      EVP_PKEY_CTX_set_signature_md(context.get(), hash == HashKind::sha1 ? EVP_sha1() : EVP_sha256()) != 1 ||
      EVP_PKEY_sign(context.get(), reinterpret_cast<unsigned char *>(signature.data()), &size,
                    reinterpret_cast<const unsigned char *>(digest.data()), digest.size()) != 1)
    throw std::runtime_error("cannot sign");
  signature.resize(size);
  return signature;
}

struct Row {
  std::string name;
  unsigned bits;
  HashKind hash;
  std::string tags;
  std::string record_tags;
  DkimResult strict;
  std::string strict_reason;
  DkimResult weak;
};

TEST(WeakKeys, PassOnlyInTheModeForOldCorpora) {
  const std::string base = "d=example.org; s=weak; h=from";
  const std::vector<Row> rows = {
      {"1024 bits", 1024, HashKind::sha256, "v=1; a=rsa-sha256; " + base, "", DkimResult::pass, "1024-bit key",
       DkimResult::pass},
      {"1023 bits, which fill 128 octets too", 1023, HashKind::sha256, "v=1; a=rsa-sha256; " + base, "",
       DkimResult::policy, "1023-bit key, at least 1024 are needed", DkimResult::pass},
      {"512 bits", 512, HashKind::sha256, "v=1; a=rsa-sha256; " + base, "", DkimResult::policy,
       "512-bit key, at least 1024 are needed", DkimResult::pass},
      {"SHA-1", 1024, HashKind::sha1, "v=1; a=rsa-sha1; " + base, "", DkimResult::policy, "rsa-sha1 is not accepted",
       DkimResult::pass},
      {"SHA-1 and a key for SHA-256 only", 1024, HashKind::sha1, "v=1; a=rsa-sha1; " + base, "; h=sha256",
       DkimResult::permerror, "key does not allow this hash algorithm", DkimResult::permerror},
      {"no version", 1024, HashKind::sha256, "a=rsa-sha256; " + base, "", DkimResult::permerror, "no v= tag",
       DkimResult::pass},
      {"g= of another identity", 1024, HashKind::sha256, "v=1; a=rsa-sha256; i=jo@example.org; " + base, "; g=ann",
       DkimResult::pass, "1024-bit key", DkimResult::permerror},
      {"g= in other case", 1024, HashKind::sha256, "v=1; a=rsa-sha256; i=jo@example.org; " + base, "; g=Jo",
       DkimResult::pass, "1024-bit key", DkimResult::permerror},
      {"g= with a star that fits", 1024, HashKind::sha256, "v=1; a=rsa-sha256; i=john@example.org; " + base, "; g=j*n",
       DkimResult::pass, "1024-bit key", DkimResult::pass},
      {"an empty g=", 1024, HashKind::sha256, "v=1; a=rsa-sha256; i=jo@example.org; " + base, "; g=", DkimResult::pass,
       "1024-bit key", DkimResult::permerror},
  };
  for (const auto &row : rows) {
    const Key key(EVP_RSA_gen(row.bits), EVP_PKEY_free);
    const std::string section =
        test::hand_signed(row.tags, row.hash, header, body,
                          [&](const std::string &digest) { return sign_with(key.get(), row.hash, digest); }) +
        header;
    auth::DnsFacts facts;
    test::put_text(facts, "weak._domainkey.example.org", {record_of(key.get()) + row.record_tags});
    const auto strict = test::verify(section, body, facts).at(0);
    EXPECT_EQ(strict.result, row.strict) << row.name << ": " << strict.reason;
    EXPECT_EQ(strict.reason, row.strict_reason) << row.name;
    const auto weak = test::verify(section, body, facts, {.allow_weak_keys = true, .now = noon}).at(0);
    EXPECT_EQ(weak.result, row.weak) << row.name << ": " << weak.reason;
    EXPECT_NE(test::verify(section, "x" + body, facts, {.allow_weak_keys = true, .now = noon}).at(0).result,
              DkimResult::pass)
        << row.name;
  }
}

} // namespace weak_test
