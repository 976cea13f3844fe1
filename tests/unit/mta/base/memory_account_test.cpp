// The account of memory: what is charged counts at once, and what is refused comes in a fixed order.
#include "mta/base/memory_account.hpp"

#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace memory_account_test {

using mta::MemoryAccount;
using mta::MemoryNeed;
using Charge = MemoryAccount::Charge;
constexpr std::uint64_t mebi = 1'048'576;
const MemoryAccount::Clock::time_point now{std::chrono::hours(1)};

TEST(MemoryAccount, TheProcessIsCountedAndWhatIsChargedAfterTheLook) {
  MemoryAccount account;
  const std::uint64_t before = account.used(now);
  EXPECT_GT(before, mebi) << "this test alone is larger";
  Charge first(account, 100 * mebi);
  EXPECT_EQ(account.used(now), before + 100 * mebi);
  first.set(40 * mebi);
  EXPECT_EQ(account.used(now), before + 40 * mebi);
  {
    const Charge second(account, 5 * mebi);
    EXPECT_EQ(account.charged(), 45 * mebi);
  }
  first.set(0);
  EXPECT_EQ(account.used(now), before);
  EXPECT_EQ(account.charged(), 0U);
}

TEST(MemoryAccount, WhatWasChargedBeforeALookIsInTheResidentMemory) {
  MemoryAccount account;
  const Charge charge(account, 1000 * mebi);
  EXPECT_LT(account.used(now), 1000 * mebi) << "charged without being there, which nobody does";
}

TEST(MemoryAccount, LargeHeadersGoFirstThenStrangersThenMessages) {
  MemoryAccount account;
  const std::uint64_t base = account.used(now);
  const std::uint64_t budget = base * 16;
  Charge charge(account);
  struct Row {
    std::uint64_t sixteenths;
    bool header, stranger, message;
  };
  for (const Row &row : {Row{11, true, true, true}, Row{13, false, true, true}, Row{15, false, false, true},
                         Row{17, false, false, false}}) {
    charge.set((row.sixteenths - 1) * base);
    EXPECT_EQ(account.has_room(MemoryNeed::large_header, budget, 0, now), row.header) << row.sixteenths;
    EXPECT_EQ(account.has_room(MemoryNeed::stranger, budget, 0, now), row.stranger) << row.sixteenths;
    EXPECT_EQ(account.has_room(MemoryNeed::message, budget, 0, now), row.message) << row.sixteenths;
    EXPECT_TRUE(account.has_room(MemoryNeed::large_header, 0, 0, now)) << "no budget";
  }
  charge.set(0);
  EXPECT_TRUE(account.has_room(MemoryNeed::large_header, budget, base, now));
  EXPECT_FALSE(account.has_room(MemoryNeed::message, budget, budget, now)) << "what is wanted counts";
  EXPECT_FALSE(account.has_room(MemoryNeed::message, 1, 0, now));
}

TEST(MemoryAccount, ManyThreadsLoseNothing) {
  MemoryAccount account;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&account] {
      for (std::uint64_t j = 0; j < 10'000; ++j) {
        Charge charge(account, j);
        charge.set(j / 2);
      }
    });
  for (auto &thread : threads) thread.join();
  EXPECT_EQ(account.charged(), 0U);
}

} // namespace memory_account_test
