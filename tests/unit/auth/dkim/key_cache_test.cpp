// KeyCache: the same text gives the same key, a wrong one the same fault, and it stays within its limit.
#include "auth/dkim/key_cache.hpp"

#include <gtest/gtest.h>

#include "smtp/base/base64.hpp"

namespace key_cache_test {

const std::string ed25519 = "v=DKIM1; k=ed25519; p=" + smtp::to_base64(std::string(32, 'k'));

TEST(KeyCache, ARecordIsPreparedOnce) {
  auth::KeyCache cache;
  const auto first = cache.find(ed25519);
  ASSERT_TRUE(first->record && first->key && *first->key);
  EXPECT_EQ(cache.find(ed25519).get(), first.get());
  EXPECT_EQ(cache.size(), 1U);
}

TEST(KeyCache, FaultsAreKeptAsTheyAre) {
  auth::KeyCache cache;
  EXPECT_FALSE(cache.find("p=Q*JD")->record);
  EXPECT_EQ(cache.find("p=Q*JD")->record.error().detail, auth::KeyRecord::parse("p=Q*JD").error().detail);
  EXPECT_FALSE(cache.find("p=")->key) << "a revoked key has none";
  EXPECT_FALSE(*cache.find("k=ed25519; p=QUJD")->key) << "three octets are no key";
}

TEST(KeyCache, TextsThatDifferInOneOctetAreDifferentRecords) {
  auth::KeyCache cache;
  EXPECT_NE(cache.find(ed25519).get(), cache.find(ed25519 + " ").get());
}

TEST(KeyCache, OverItsLimitItBeginsAnewAndWhatWasGivenOutStaysGood) {
  auth::KeyCache cache(2);
  const auto kept = cache.find(ed25519);
  for (int i = 0; i < 10; ++i) (void)cache.find("n=" + std::to_string(i) + "; p=QUJD");
  EXPECT_LE(cache.size(), 2U);
  EXPECT_TRUE(*kept->key);
}

} // namespace key_cache_test
