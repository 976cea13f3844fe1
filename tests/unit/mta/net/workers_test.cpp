#include "mta/net/workers.hpp"

#include <atomic>
#include <future>
#include <set>
#include <thread>

#include <gtest/gtest.h>

namespace workers_test {

using mta::Workers;

TEST(Workers, EachHasAThreadOfItsOwn) {
  Workers workers(3);
  workers.start();
  std::set<std::thread::id> threads;
  for (std::size_t i = 0; i < workers.size(); ++i) {
    std::promise<std::thread::id> ran;
    boost::asio::post(workers[i].context, [&ran] { ran.set_value(std::this_thread::get_id()); });
    threads.insert(ran.get_future().get());
  }
  EXPECT_EQ(threads.size(), 3U);
  EXPECT_EQ(threads.count(std::this_thread::get_id()), 0U);
  workers.stop();
  workers.join();
}

TEST(Workers, JoinWaitsForWorkThatIsUnderWay) {
  Workers workers(2);
  workers.start();
  std::atomic<int> done{0};
  for (std::size_t i = 0; i < workers.size(); ++i) {
    boost::asio::post(workers[i].context, [&, i] { boost::asio::post(workers[i].context, [&done] { ++done; }); });
  }
  workers.join();
  EXPECT_EQ(done, 2);
}

TEST(Workers, WorkPostedBeforeTheStartIsDone) {
  Workers workers(1);
  bool done = false;
  boost::asio::post(workers[0].context, [&done] { done = true; });
  workers.start();
  workers.join();
  EXPECT_TRUE(done);
}

TEST(Workers, NoneAskedForMeansOne) {
  EXPECT_EQ(Workers(0).size(), 1U);
}

TEST(Workers, DestructionStopsThem) {
  {
    Workers workers(1);
    workers.start();
    std::promise<void> running;
    boost::asio::post(workers[0].context, [&running] { running.set_value(); });
    running.get_future().wait();
  }
  SUCCEED();
}

} // namespace workers_test
