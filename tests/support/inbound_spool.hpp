// InboundSpool: a spool in memory that a test can make slow or faulty, for the receiving side.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mta/spool/spool.hpp"

namespace support {

/// Thread-safe. Callbacks run on the thread that calls commit(), or, while held, on the one that calls release().
class InboundSpool : public mta::Spool {
public:
  struct Stored {
    mta::QueueId id;
    std::string envelope;
    std::string body;
  };

  // ---- faults, set before the operation they concern
  void fail_begin(std::optional<smtp::Error> error) { set(begin_error_, std::move(error)); }
  void fail_append(std::optional<smtp::Error> error) { set(append_error_, std::move(error)); }
  void fail_commit(std::optional<smtp::Error> error) { set(commit_error_, std::move(error)); }
  void set_status(mta::SpoolStatus status) {
    const std::scoped_lock lock(mutex_);
    status_ = std::move(status);
  }
  /// Commits wait until release().
  void hold_commits() {
    const std::scoped_lock lock(mutex_);
    holding_ = true;
  }
  /// Writers want a pause after each append until release().
  void pause_writers() {
    const std::scoped_lock lock(mutex_);
    pausing_ = true;
  }
  void release() {
    std::vector<std::function<void()>> ready;
    {
      const std::scoped_lock lock(mutex_);
      holding_ = false;
      pausing_ = false;
      ready.swap(held_);
    }
    for (auto &call : ready) call();
  }
  /// Blocks until `count` commits or pauses are held.
  void wait_until_held(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return held_.size() >= count; });
  }
  /// Blocks until every writer that began is gone.
  void wait_until_no_writers() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return writers_ == 0; });
  }
  [[nodiscard]] std::vector<Stored> stored() const {
    const std::scoped_lock lock(mutex_);
    return stored_;
  }
  [[nodiscard]] std::size_t begun() const {
    const std::scoped_lock lock(mutex_);
    return begun_;
  }

  // ---- mta::Spool
  smtp::Result<std::unique_ptr<mta::MessageWriter>> begin() override {
    const std::scoped_lock lock(mutex_);
    if (begin_error_) return tl::unexpected<smtp::Error>(*begin_error_);
    ++writers_;
    return std::make_unique<Writer>(*this, mta::QueueId{++begun_});
  }
  smtp::Result<std::unique_ptr<mta::BodyReader>> read_body(mta::QueueId /*id*/) override {
    return smtp::fail(smtp::ErrorCode::not_found, "this spool is only written to");
  }
  void update(mta::QueueId /*id*/, std::string /*blob*/) override {}
  void update_durably(mta::QueueId /*id*/, std::string /*blob*/,
                      std::function<void(smtp::Result<void>)> done) override {
    done({});
  }
  void remove(mta::QueueId /*id*/) override {}
  [[nodiscard]] mta::SpoolStatus status() const override {
    const std::scoped_lock lock(mutex_);
    return status_;
  }
  void close() override {}

private:
  class Writer : public mta::MessageWriter {
  public:
    Writer(InboundSpool &spool, mta::QueueId id) : spool_(spool), id_(id) {}
    ~Writer() override {
      const std::scoped_lock lock(spool_.mutex_);
      --spool_.writers_;
      spool_.changed_.notify_all();
    }
    [[nodiscard]] mta::QueueId id() const noexcept override { return id_; }
    smtp::Result<void> append(std::string_view octets) override {
      const std::scoped_lock lock(spool_.mutex_);
      if (spool_.append_error_) return tl::unexpected<smtp::Error>(*spool_.append_error_);
      body_ += octets;
      return {};
    }
    [[nodiscard]] bool wants_pause() const noexcept override {
      const std::scoped_lock lock(spool_.mutex_);
      return spool_.pausing_;
    }
    void when_ready(std::function<void()> ready) override { spool_.call_or_hold(std::move(ready)); }
    void commit(std::string envelope, std::function<void(smtp::Result<void>)> done) override {
      spool_.call_or_hold([&spool = spool_, id = id_, envelope = std::move(envelope), body = std::move(body_),
                           done = std::move(done)]() mutable {
        std::optional<smtp::Error> error;
        {
          const std::scoped_lock lock(spool.mutex_);
          error = spool.commit_error_;
          if (!error) spool.stored_.push_back({id, std::move(envelope), std::move(body)});
        }
        if (error) {
          done(tl::unexpected<smtp::Error>(std::move(*error)));
        } else {
          done({});
        }
      });
    }

  private:
    InboundSpool &spool_;
    mta::QueueId id_;
    std::string body_;
  };

  void set(std::optional<smtp::Error> &which, std::optional<smtp::Error> error) {
    const std::scoped_lock lock(mutex_);
    which = std::move(error);
  }
  void call_or_hold(std::function<void()> call) {
    {
      const std::scoped_lock lock(mutex_);
      if (holding_ || pausing_) {
        held_.push_back(std::move(call));
        changed_.notify_all();
        return;
      }
    }
    call();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<smtp::Error> begin_error_, append_error_, commit_error_;
  mta::SpoolStatus status_{.healthy = true,
                           .problem = "",
                           .messages = 0,
                           .octets = 0,
                           .segments = 1,
                           .free_octets = 1'000'000'000'000,
                           .commits = 0,
                           .committed = 0};
  bool holding_ = false;
  bool pausing_ = false;
  std::vector<std::function<void()>> held_;
  std::vector<Stored> stored_;
  std::size_t begun_ = 0;
  std::size_t writers_ = 0;
};

} // namespace support
