// A scheduler with a clock that stands still, a delivery that waits for the test's word, and a spool in memory.
#pragma once

#include <algorithm>
#include <deque>
#include <map>

#include <gtest/gtest.h>

#include "mta/queue/scheduler.hpp"
#include "tests/support/memory_log.hpp"
#include "tests/support/memory_spool.hpp"

namespace queue_test {

using namespace mta;
using namespace std::chrono_literals;
using Kind = RecipientResult::Kind;
using NoticeKind = NotificationRequest::Kind;

inline const WallTime start_time{std::chrono::hours(500'000)};

class SchedulerTest : public testing::Test {
protected:
  struct Running {
    Job job;
    std::function<void(JobResult)> done;
  };
  struct Asked {
    NotificationRequest request;
    std::function<void(bool)> stored;
  };

  void make(Scheduler::Options options = {}) {
    scheduler_ = std::make_unique<Scheduler>(
        context_.get_executor(), spool_, log_, std::move(options),
        Scheduler::Hooks{.deliver =
                             [this](Job job, std::function<void(JobResult)> done) {
                               running_.push_back({std::move(job), std::move(done)});
                             },
                         .notify =
                             [this](NotificationRequest request, std::function<void(bool)> stored) {
                               asked_.push_back({std::move(request), std::move(stored)});
                             },
                         .destination_of =
                             [this](const smtp::Mailbox &mailbox) {
                               const auto route = routes_.find(mailbox.host());
                               return route == routes_.end() ? mailbox.host() : route->second;
                             },
                         .is_ours = is_ours_,
                         .now = [this] { return now_; },
                         .random = [] { return 0.5; },
                         .hold_for = [this](const QueuedMessage &message) -> std::string {
                           const bool fits = message.recipients[0].recipient.mailbox.host() == standing_hold_;
                           return fits ? "hold-rule 1: why" : "";
                         }});
  }
  void start(std::vector<QueuedMessage> recovered = {}, Scheduler::Options options = {}) {
    make(std::move(options));
    scheduler_->start(std::move(recovered));
    settle();
  }
  static QueuedMessage message(std::uint64_t id, const std::vector<std::string> &recipients,
                               const std::string &sender = "alice@example.org") {
    QueuedMessage message;
    message.id = {id};
    if (!sender.empty()) message.envelope.sender.path = smtp::ReversePath(smtp::Mailbox::parse(sender).value());
    message.envelope.arrival = start_time;
    message.expires = start_time + 120h;
    for (const auto &recipient : recipients)
      message.recipients.push_back(RecipientState{smtp::Recipient{smtp::Mailbox::parse(recipient).value(), {}}});
    return message;
  }
  void submit(QueuedMessage message) {
    message.envelope.arrival = now_;
    message.expires = now_ + 120h;
    spool_.put(message.id, encode_envelope(message), "body");
    scheduler_->submit(std::make_shared<QueuedMessage>(std::move(message)));
    settle();
  }
  void settle() {
    context_.restart();
    context_.poll();
  }
  void advance(std::chrono::seconds time) {
    now_ += time;
    scheduler_->wake();
    settle();
  }
  /// Ends the oldest running job, all recipients alike.
  void finish(Kind kind, FailureCause cause = FailureCause::none, bool destination_failed = false) {
    ASSERT_FALSE(running_.empty());
    finish_at(0, std::vector<Kind>(running_.front().job.recipients.size(), kind), cause, destination_failed);
  }
  void finish_at(std::size_t at, const std::vector<Kind> &kinds, FailureCause cause = FailureCause::reply,
                 bool destination_failed = false) {
    ASSERT_LT(at, running_.size());
    Running running = std::move(running_[at]);
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(at));
    JobResult result{.number = running.job.number, .destination = running.job.destination, .results = {}};
    result.destination_failed = destination_failed;
    for (std::size_t i = 0; i < kinds.size(); ++i)
      result.results.push_back(
          {.index = running.job.recipients.at(i),
           .kind = kinds[i],
           .cause = kinds[i] == Kind::delivered ? FailureCause::none : cause,
           .reply = {static_cast<std::uint16_t>(kinds[i] == Kind::delivered ? 250 : 450), std::nullopt, "said"},
           .host = "mx",
           .detail = "why"});
    running.done(std::move(result));
    settle();
  }
  void store_notice(bool ok) {
    ASSERT_FALSE(asked_.empty());
    auto stored = std::move(asked_.front().stored);
    asked_.pop_front();
    stored(ok);
    settle();
  }
  /// "1>example.net[0] 2>…": id, destination and recipients of the running jobs.
  [[nodiscard]] std::string running() const {
    std::string text;
    for (const Running &one : running_) {
      if (!text.empty()) text += ' ';
      text += std::to_string(one.job.message->id.value) + '>' + one.job.destination + '[';
      for (const std::size_t index : one.job.recipients) text += std::to_string(index);
      text += ']';
    }
    return text;
  }
  /// What a restart would find of the message.
  [[nodiscard]] QueuedMessage on_disk(std::uint64_t id) {
    const auto stored = spool_.stored(id);
    return decode_message({id}, stored.envelope, stored.update).value();
  }
  [[nodiscard]] std::string acts() const {
    std::string text;
    for (const auto &act : spool_.acts()) text += (text.empty() ? "" : ", ") + act;
    return text;
  }

  asio::io_context context_;
  support::MemorySpool spool_;
  support::MemoryLog log_;
  WallTime now_ = start_time;
  std::map<std::string, std::string> routes_;
  std::function<bool(std::string_view)> is_ours_;
  std::string standing_hold_; ///< mail to this domain is held when it comes
  std::deque<Running> running_;
  std::deque<Asked> asked_;
  std::unique_ptr<Scheduler> scheduler_;
};

} // namespace queue_test
