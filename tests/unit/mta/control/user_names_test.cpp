// UserNames: a user database that takes its time keeps nobody waiting for long.
#include "mta/control/user_names.hpp"

#include <future>

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

namespace user_names_test {

using namespace mta;
using Clock = std::chrono::steady_clock;

std::string ask(asio::io_context &context, UserNames &names, unsigned uid) {
  auto answer = asio::co_spawn(context, names.name(uid), asio::use_future);
  context.restart();
  context.run();
  return answer.get();
}

TEST(UserNamesTest, a_name_that_comes_at_once_is_said_and_asked_once) {
  auto count = std::make_shared<std::atomic<int>>(0);
  UserNames names([count](unsigned uid) {
    ++*count;
    return uid == 7 ? std::string("alice") : std::string();
  });
  asio::io_context context;
  names.prepare(7);
  EXPECT_EQ(ask(context, names, 7), "alice");
  EXPECT_EQ(ask(context, names, 7), "alice");
  EXPECT_EQ(ask(context, names, 8), "8") << "it has none";
  EXPECT_EQ(*count, 2);
}

TEST(UserNamesTest, the_number_stands_for_a_name_that_does_not_come_in_time) {
  std::promise<void> let_go;
  const std::shared_future<void> going = let_go.get_future().share();
  asio::io_context context;
  UserNames names([going](unsigned) {
    going.wait();
    return std::string("late");
  });
  const auto began = Clock::now();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(context, names, 7), "7");
  EXPECT_GE(Clock::now() - began, 3 * UserNames::patience);
  EXPECT_LT(Clock::now() - began, std::chrono::seconds(20));
  let_go.set_value();
  std::string name;
  for (int i = 0; i < 100 && name != "late"; ++i) name = ask(context, names, 7);
  EXPECT_EQ(name, "late") << "it is known when it has come";
}

TEST(UserNamesTest, the_system_knows_root) {
  asio::io_context context;
  UserNames names;
  std::string name;
  for (int i = 0; i < 100 && name != "root"; ++i) name = ask(context, names, 0);
  EXPECT_EQ(name, "root");
}

} // namespace user_names_test
