// FactCache: what is kept for how long, what never, and the limit in octets.
#include "mta/auth/fact_cache.hpp"

#include <gtest/gtest.h>

namespace mta {
namespace fact_cache_test {

using namespace std::chrono_literals;
using auth::RecordType;

std::shared_ptr<const auth::DnsFact> fact_of(smtp::DnsStatus status, const std::string &text = "v=spf1 -all") {
  auth::DnsFact fact;
  fact.status = status;
  if (status == smtp::DnsStatus::ok) fact.texts = {text};
  return std::make_shared<const auth::DnsFact>(std::move(fact));
}

const auth::DnsQuestion question{"example.org", RecordType::txt};
const FactCache::Clock::time_point start{1h};

TEST(FactCache, AnAnswerLivesAsLongAsItsTtlAndAtMostFiveMinutes) {
  FactCache cache;
  cache.put(question, fact_of(smtp::DnsStatus::ok), 60s, start);
  ASSERT_NE(cache.find(question, start + 59s), nullptr);
  EXPECT_EQ(cache.find(question, start + 59s)->texts.at(0), "v=spf1 -all");
  EXPECT_EQ(cache.find(question, start + 60s), nullptr);
  cache.put(question, fact_of(smtp::DnsStatus::ok), 24h, start);
  EXPECT_NE(cache.find(question, start + 299s), nullptr);
  EXPECT_EQ(cache.find(question, start + 300s), nullptr);
  EXPECT_EQ(cache.find({"example.org", RecordType::mx}, start), nullptr) << "another type";
}

TEST(FactCache, AbsenceIsKeptShorterAndFailureNever) {
  FactCache cache;
  cache.put(question, fact_of(smtp::DnsStatus::no_name), 1h, start);
  EXPECT_NE(cache.find(question, start + 59s), nullptr);
  EXPECT_EQ(cache.find(question, start + 60s), nullptr);
  FactCache other;
  other.put(question, fact_of(smtp::DnsStatus::temporary), 1h, start);
  other.put(question, fact_of(smtp::DnsStatus::ok), 0s, start);
  EXPECT_EQ(other.size(), 0U);
}

TEST(FactCache, ItStaysUnderItsLimitWhateverIsPut) {
  FactCache cache(100'000);
  for (int i = 0; i < 5'000; ++i)
    cache.put({"n" + std::to_string(i) + ".example", RecordType::txt},
              fact_of(smtp::DnsStatus::ok, std::string(500, 'x')), 60s, start + std::chrono::milliseconds(i));
  EXPECT_LE(cache.octets(), 100'000U);
  EXPECT_GT(cache.size(), 10U);
  cache.put(question, fact_of(smtp::DnsStatus::ok, std::string(50'000, 'x')), 60s, start + 6s);
  EXPECT_EQ(cache.find(question, start + 6s), nullptr) << "one answer never takes a large part";
  cache.put({"n4999.example", RecordType::txt}, fact_of(smtp::DnsStatus::ok, "new"), 60s, start + 6s);
  EXPECT_EQ(cache.find({"n4999.example", RecordType::txt}, start + 7s)->texts.at(0), "new");
}

} // namespace fact_cache_test
} // namespace mta
