// queue_look: what one answer about the queue holds is bounded, says what is missing, and is made in steps.
#include "mta/control/queue_look.hpp"

#include <future>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/json.hpp>

#include "tests/unit/mta/queue/scheduler_fixture.hpp"

namespace queue_test {
namespace queue_look_test {

namespace json = boost::json;

class QueueLookTest : public SchedulerTest {
protected:
  void submit_many(std::uint64_t first, std::uint64_t count, const std::vector<std::string> &recipients) {
    QueuedMessage sample = message(first, recipients);
    for (std::uint64_t i = 0; i < count; ++i) {
      sample.id = {first + i};
      scheduler_->submit(std::make_shared<QueuedMessage>(sample));
    }
    settle();
  }
  static std::vector<std::string> many(std::size_t count) {
    std::vector<std::string> addresses;
    for (std::size_t i = 0; i < count; ++i)
      addresses.push_back("p" + std::to_string(i) + "@d" + std::to_string(i % 10) + ".example");
    return addresses;
  }
  /// Runs the task; `turns_` is how often others had their turn meanwhile.
  template <typename T> T run(Task<T> task) {
    auto result = asio::co_spawn(context_, std::move(task), asio::use_future);
    context_.restart();
    turns_ = 0;
    while (result.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      bool had_turn = false;
      asio::post(context_, [&] { had_turn = true; });
      while (!had_turn) context_.poll_one();
      ++turns_;
    }
    return result.get();
  }
  json::object list(json::object request, QueueFilter filter = {}) {
    return run(answer_queue_list(*scheduler_, std::move(request), std::move(filter), now_));
  }
  std::size_t turns_ = 0;
};

const Scheduler::Options one_connection{.retry = {}, .connections = 1, .connections_per_destination = 1};

TEST_F(QueueLookTest, a_long_list_comes_in_parts) {
  start({}, one_connection);
  submit_many(1, 1'200, {"p@a.example"});
  json::object answer = list({});
  EXPECT_EQ(answer.at("messages").as_array().size(), listed_messages);
  EXPECT_EQ(answer.at("total").to_number<std::size_t>(), 1'200U);
  EXPECT_EQ(answer.at("more").to_number<std::size_t>(), 700U);
  std::size_t seen = listed_messages;
  while (answer.contains("next") && seen < 10'000) {
    const json::object request{{"from", answer.at("next")}};
    answer = list(request);
    EXPECT_FALSE(answer.contains("total")) << "counted once";
    EXPECT_LE(answer.at("messages").as_array().size(), listed_messages);
    seen += answer.at("messages").as_array().size();
  }
  EXPECT_EQ(seen, 1'200U);
  EXPECT_EQ(list({{"limit", 3}}).at("messages").as_array().size(), 3U);
  EXPECT_FALSE(list({{"from", "no id"}}).at("ok").as_bool());
}

TEST_F(QueueLookTest, messages_of_many_recipients_do_not_make_it_large) {
  start({}, one_connection);
  submit_many(1, 200, many(1'000));
  const json::object answer = list({});
  const auto &messages = answer.at("messages").as_array();
  std::size_t rows = 0;
  for (const auto &message : messages) {
    rows += message.at("recipients").as_array().size();
    EXPECT_EQ(message.at("more_recipients").to_number<std::size_t>(), 1'000 - recipients_shown);
  }
  EXPECT_EQ(rows, listed_rows);
  EXPECT_EQ(answer.at("more").to_number<std::size_t>(), 200 - messages.size());
  EXPECT_LT(json::serialize(answer).size(), 2'000'000U);
}

TEST_F(QueueLookTest, filters_show_those_recipients_that_they_mean) {
  start({}, one_connection);
  submit(message(1, many(3'000)));
  QueueFilter filter;
  filter.recipient_domain = "d7.example";
  const json::object listed = list({}, filter);
  for (const auto &row : listed.at("messages").as_array()[0].at("recipients").as_array())
    EXPECT_TRUE(row.at("address").as_string().ends_with("@d7.example"));
  filter.id = QueueId{1};
  filter.recipient_domain.clear();
  filter.recipient = "p2999@d9.example";
  const json::object alone = answer_queue_show(*scheduler_, filter, now_);
  const auto &shown = alone.at("messages").as_array()[0].at("recipients").as_array();
  ASSERT_EQ(shown.size(), 1U);
  EXPECT_EQ(shown[0].at("address"), "p2999@d9.example");
  filter.recipient.clear();
  const json::object whole = answer_queue_show(*scheduler_, filter, now_);
  EXPECT_EQ(whole.at("messages").as_array()[0].at("recipients").as_array().size(), recipients_shown_alone);
  EXPECT_EQ(whole.at("messages").as_array()[0].at("more_recipients").to_number<std::size_t>(), 2'000U);
  filter.id = QueueId{2};
  EXPECT_FALSE(answer_queue_show(*scheduler_, filter, now_).at("ok").as_bool());
}

TEST_F(QueueLookTest, counting_and_searching_go_in_steps) {
  start({}, one_connection);
  submit_many(1, 50'000, {"p@a.example"});
  submit_many(50'001, 1, {"p@b.example", "q@b.example"});
  QueueFilter filter;
  filter.recipient_domain = "b.example";
  const QueueCounts counts = run(count_in_steps(*scheduler_, filter));
  EXPECT_EQ(counts.messages, 1U);
  EXPECT_EQ(counts.recipients, 2U);
  EXPECT_GE(turns_, 2 * 50'000 / Scheduler::step);
  EXPECT_EQ(list({}, filter).at("messages").as_array().size(), 1U);
  EXPECT_GE(turns_, 2 * 50'000 / Scheduler::step);
  EXPECT_EQ(run(count_in_steps(*scheduler_, {})).messages, 50'001U);
  EXPECT_LE(turns_, 2U) << "without a filter it is known";
}

} // namespace queue_look_test
} // namespace queue_test
