// Digests as text, against the values of FIPS 180-2 and of coreutils.
#include "tls/digest.hpp"

#include <gtest/gtest.h>

namespace digest_test {

TEST(Digest, sha256_is_lower_case_hex) {
  EXPECT_EQ(tls::sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(tls::sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Digest, a_chain_is_known_by_its_fingerprints_in_their_order) {
  tls::CertificateFacts first, second;
  first.fingerprint_sha256 = "ab";
  second.fingerprint_sha256 = "c";
  EXPECT_EQ(tls::chain_digest({first, second}), tls::sha256_hex("abc"));
  EXPECT_NE(tls::chain_digest({second, first}), tls::chain_digest({first, second}));
  first.subject = "CN=anything";
  EXPECT_EQ(tls::chain_digest({first, second}), tls::sha256_hex("abc")) << "nothing else counts";
  EXPECT_EQ(tls::chain_digest({}), "");
}

} // namespace digest_test
