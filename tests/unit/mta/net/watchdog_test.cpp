#include "mta/net/watchdog.hpp"

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

namespace watchdog_test {

using mta::Task;
using mta::Watchdog;
using Clock = tls::Stream::Clock;
using Tcp = boost::asio::ip::tcp;
namespace asio = boost::asio;

constexpr std::chrono::milliseconds tick{5};

/// Two ends of a connection on loopback.
struct Pair {
  explicit Pair(asio::io_context &context) : near(context), far(context) {
    Tcp::acceptor acceptor(context, Tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    far.connect(acceptor.local_endpoint());
    acceptor.accept(near);
  }
  Tcp::socket near;
  Tcp::socket far;
};

struct Outcome {
  bool ended = false;
  std::optional<smtp::Error> error;
};

Task<> read_once(Watchdog &dog, tls::Stream &stream, Outcome &outcome) {
  const Watchdog::Watch watch(dog, stream);
  std::array<char, 16> buffer{};
  const auto octets = co_await stream.read_some(buffer);
  outcome.ended = true;
  if (!octets) outcome.error = octets.error();
}

TEST(Watchdog, ExpiresAReadPastItsDeadline) {
  asio::io_context context{1};
  Watchdog dog(context, tick);
  Pair pair(context);
  tls::Stream stream(std::move(pair.near));
  stream.set_deadline(Clock::now());
  Outcome outcome;
  asio::co_spawn(context, read_once(dog, stream, outcome), asio::detached);
  context.run(); // ends: nothing is watched any more
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, smtp::ErrorCode::timed_out);
}

TEST(Watchdog, LeavesAReadBeforeItsDeadlineAndOneWithoutDeadline) {
  asio::io_context context{1};
  Watchdog dog(context, tick);
  Pair later(context);
  Pair never(context);
  Pair due(context);
  tls::Stream later_stream(std::move(later.near));
  tls::Stream never_stream(std::move(never.near));
  tls::Stream due_stream(std::move(due.near));
  later_stream.set_deadline(Clock::now() + std::chrono::hours(1));
  due_stream.set_deadline(Clock::now() + 4 * tick);
  std::array<Outcome, 3> outcomes;
  asio::co_spawn(context, read_once(dog, later_stream, outcomes[0]), asio::detached);
  asio::co_spawn(context, read_once(dog, never_stream, outcomes[1]), asio::detached);
  asio::co_spawn(context, read_once(dog, due_stream, outcomes[2]), asio::detached);
  while (!outcomes[2].ended) context.run_one(); // several looks have been made by then
  EXPECT_FALSE(outcomes[0].ended);
  EXPECT_FALSE(outcomes[1].ended);
  asio::write(later.far, asio::buffer("x", 1));
  asio::write(never.far, asio::buffer("x", 1));
  context.run();
  EXPECT_TRUE(outcomes[0].ended && !outcomes[0].error);
  EXPECT_TRUE(outcomes[1].ended && !outcomes[1].error);
}

TEST(Watchdog, ADeadlineThatPassedBeforeTheOperationEndsItToo) {
  asio::io_context context{1};
  Watchdog dog(context, tick);
  Pair pair(context);
  Pair due(context);
  tls::Stream stream(std::move(pair.near));
  tls::Stream due_stream(std::move(due.near));
  const Watchdog::Watch watch(dog, stream);
  stream.set_deadline(Clock::now());
  due_stream.set_deadline(Clock::now() + 2 * tick);
  Outcome first;
  asio::co_spawn(context, read_once(dog, due_stream, first), asio::detached);
  while (!first.ended) context.run_one();
  Outcome second;
  asio::co_spawn(context, read_once(dog, stream, second), asio::detached);
  while (!second.ended) context.run_one();
  ASSERT_TRUE(second.error);
  EXPECT_EQ(second.error->code, smtp::ErrorCode::timed_out);
}

TEST(Watchdog, WatchesMayEndInAnyOrder) {
  asio::io_context context{1};
  Watchdog dog(context, tick);
  std::vector<std::unique_ptr<Pair>> pairs;
  std::vector<std::unique_ptr<tls::Stream>> streams;
  std::vector<std::unique_ptr<Watchdog::Watch>> watches;
  for (int i = 0; i < 5; ++i) {
    pairs.push_back(std::make_unique<Pair>(context));
    streams.push_back(std::make_unique<tls::Stream>(std::move(pairs.back()->near)));
    watches.push_back(std::make_unique<Watchdog::Watch>(dog, *streams.back()));
  }
  for (const std::size_t index : {2U, 0U, 4U, 1U, 3U}) {
    watches[index].reset();
    streams[index].reset();
    context.run_for(2 * tick); // looks at those that are left
  }
  SUCCEED() << "the sanitizer watches the list";
}

TEST(Watchdog, AContextWithNothingWatchedRunsOutOfWork) {
  asio::io_context context{1};
  const Watchdog dog(context, tick);
  EXPECT_EQ(context.run(), 0U);
}

TEST(Watchdog, AWatchMayOutliveTheWatchdog) {
  asio::io_context context{1};
  Pair pair(context);
  tls::Stream stream(std::move(pair.near));
  auto dog = std::make_unique<Watchdog>(context, tick);
  auto watch = std::make_unique<Watchdog::Watch>(*dog, stream);
  dog.reset();
  watch.reset();
  stream.set_deadline(Clock::now());
  Outcome outcome;
  auto second = std::make_unique<Watchdog>(context, tick);
  asio::co_spawn(context, read_once(*second, stream, outcome), asio::detached);
  context.run();
  EXPECT_TRUE(outcome.error);
}

TEST(Watchdog, StoppedItExpiresNothing) {
  asio::io_context context{1};
  Watchdog dog(context, tick);
  Pair pair(context);
  tls::Stream stream(std::move(pair.near));
  stream.set_deadline(Clock::now());
  dog.stop();
  Outcome outcome;
  asio::co_spawn(context, read_once(dog, stream, outcome), asio::detached);
  asio::write(pair.far, asio::buffer("x", 1));
  context.run();
  EXPECT_TRUE(outcome.ended);
  EXPECT_FALSE(outcome.error);
}

} // namespace watchdog_test
