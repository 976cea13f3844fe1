// MemorySpool: a spool in memory that records what is asked of it, and that a test can make slow or faulty.
#pragma once

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstring>
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

/// Thread-safe. Callbacks run on the calling thread; while held, on the one that calls release().
class MemorySpool : public mta::Spool {
public:
  struct Stored {
    mta::QueueId id;
    std::string envelope;
    std::string update;
    std::string body;
  };
  enum class Step { begin, append, commit, read, update_durably };

  // ---- what a test sets
  /// The step fails with this error from now on, or works again.
  void fail(Step step, std::optional<smtp::Error> error) {
    const std::scoped_lock lock(mutex_);
    fault(step) = std::move(error);
  }
  void repair(Step step) { fail(step, std::nullopt); }
  void set_status(mta::SpoolStatus status) {
    const std::scoped_lock lock(mutex_);
    status_ = std::move(status);
  }
  /// Places a committed message under this id.
  void put(mta::QueueId id, std::string envelope, std::string body) {
    const std::scoped_lock lock(mutex_);
    stored_[id.value] = {id, std::move(envelope), {}, std::move(body)};
    last_id_ = std::max(last_id_, id.value);
  }
  /// Places a committed message under the next id.
  mta::QueueId add(std::string body) {
    const mta::QueueId id = next_id();
    put(id, {}, std::move(body));
    return id;
  }
  /// Bodies opened from now on can be read up to this offset; then reading fails.
  void break_reading_at(std::uint64_t offset) {
    const std::scoped_lock lock(mutex_);
    breaks_at_ = offset;
  }
  /// Commits and durable updates wait until release().
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
  /// Floods keep no list of acts.
  void keep_no_acts() {
    const std::scoped_lock lock(mutex_);
    keeps_acts_ = false;
  }

  // ---- what a test looks at
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
  /// By id, which is the order of arrival.
  [[nodiscard]] std::map<std::uint64_t, Stored> stored() const {
    const std::scoped_lock lock(mutex_);
    return stored_;
  }
  [[nodiscard]] Stored stored(std::uint64_t id) const {
    const std::scoped_lock lock(mutex_);
    return stored_.at(id);
  }
  [[nodiscard]] std::size_t count() const {
    const std::scoped_lock lock(mutex_);
    return stored_.size();
  }
  /// Messages begun by writers so far.
  [[nodiscard]] mta::Admission last_admission() const {
    const std::scoped_lock lock(mutex_);
    return last_admission_;
  }
  [[nodiscard]] std::size_t begun() const {
    const std::scoped_lock lock(mutex_);
    return begun_;
  }
  /// "update 5", "durable 5", "remove 5", "commit 7", in the order of the calls.
  [[nodiscard]] std::vector<std::string> acts() const {
    const std::scoped_lock lock(mutex_);
    return acts_;
  }
  void forget_acts() {
    const std::scoped_lock lock(mutex_);
    acts_.clear();
  }

  // ---- mta::Spool
  smtp::Result<std::unique_ptr<mta::MessageWriter>>
  begin(mta::Admission admission = mta::Admission::ordinary) override {
    const std::scoped_lock lock(mutex_);
    last_admission_ = admission;
    if (const auto &error = fault(Step::begin)) return tl::unexpected<smtp::Error>(*error);
    ++writers_;
    ++begun_;
    return std::make_unique<Writer>(*this, mta::QueueId{++last_id_});
  }
  smtp::Result<std::unique_ptr<mta::BodyReader>> read_body(mta::QueueId id) override {
    const std::scoped_lock lock(mutex_);
    if (const auto &error = fault(Step::read)) return tl::unexpected<smtp::Error>(*error);
    const auto found = stored_.find(id.value);
    if (found == stored_.end()) return smtp::fail(smtp::ErrorCode::not_found, "no message " + id.to_string());
    return std::make_unique<Reader>(found->second.body, breaks_at_);
  }
  void update(mta::QueueId id, std::string blob) override {
    const std::scoped_lock lock(mutex_);
    note("update", id);
    set_update(id, std::move(blob));
  }
  void update_durably(mta::QueueId id, std::string blob, std::function<void(smtp::Result<void>)> done) override {
    std::optional<smtp::Error> error;
    {
      const std::scoped_lock lock(mutex_);
      note("durable", id);
      error = fault(Step::update_durably);
      if (!error) set_update(id, std::move(blob));
    }
    call_or_hold([done = std::move(done), error = std::move(error)] { finish(done, error); });
  }
  void remove(mta::QueueId id) override {
    const std::scoped_lock lock(mutex_);
    note("remove", id);
    stored_.erase(id.value);
  }
  [[nodiscard]] mta::SpoolStatus status() const override {
    const std::scoped_lock lock(mutex_);
    mta::SpoolStatus status = status_;
    status.messages = std::max<std::uint64_t>(status.messages, stored_.size());
    return status;
  }
  void close() override {}

private:
  class Reader : public mta::BodyReader {
  public:
    Reader(std::string body, std::uint64_t breaks_at) : body_(std::move(body)), breaks_at_(breaks_at) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return body_.size(); }
    [[nodiscard]] bool is_whole() const noexcept override { return true; }
    smtp::Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
      if (offset >= breaks_at_) return smtp::fail(smtp::ErrorCode::io, "the checksum of the body is wrong");
      const std::uint64_t readable = std::min<std::uint64_t>(body_.size(), breaks_at_);
      if (offset >= readable) return std::size_t{0};
      // Short reads, as the real one may give them.
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>({into.size(), readable - offset, 5000}));
      std::memcpy(into.data(), body_.data() + offset, count);
      return count;
    }

  private:
    std::string body_;
    std::uint64_t breaks_at_;
  };

  class Writer : public mta::MessageWriter {
  public:
    Writer(MemorySpool &spool, mta::QueueId id) : spool_(spool), id_(id) {}
    ~Writer() override {
      const std::scoped_lock lock(spool_.mutex_);
      --spool_.writers_;
      spool_.changed_.notify_all();
    }
    [[nodiscard]] mta::QueueId id() const noexcept override { return id_; }
    smtp::Result<void> append(std::string_view octets) override {
      const std::scoped_lock lock(spool_.mutex_);
      if (const auto &error = spool_.fault(Step::append)) return tl::unexpected<smtp::Error>(*error);
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
                           done = std::move(done)] { spool.keep(id, envelope, body, done); });
    }

  private:
    MemorySpool &spool_;
    mta::QueueId id_;
    std::string body_;
  };

  static void finish(const std::function<void(smtp::Result<void>)> &done, const std::optional<smtp::Error> &error) {
    if (error) {
      done(tl::unexpected<smtp::Error>(*error));
    } else {
      done({});
    }
  }
  void keep(mta::QueueId id, const std::string &envelope, const std::string &body,
            const std::function<void(smtp::Result<void>)> &done) {
    std::optional<smtp::Error> error;
    {
      const std::scoped_lock lock(mutex_);
      error = fault(Step::commit);
      if (!error) {
        note("commit", id);
        stored_[id.value] = {id, envelope, {}, body};
      }
    }
    finish(done, error);
  }
  mta::QueueId next_id() {
    const std::scoped_lock lock(mutex_);
    return mta::QueueId{++last_id_};
  }
  void set_update(mta::QueueId id, std::string blob) {
    if (const auto found = stored_.find(id.value); found != stored_.end()) found->second.update = std::move(blob);
  }
  void note(const char *act, mta::QueueId id) {
    if (keeps_acts_) acts_.push_back(std::string(act) + " " + std::to_string(id.value));
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
  std::optional<smtp::Error> &fault(Step step) { return faults_.at(static_cast<std::size_t>(step)); }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::array<std::optional<smtp::Error>, 5> faults_;
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
  bool keeps_acts_ = true;
  std::vector<std::function<void()>> held_;
  std::map<std::uint64_t, Stored> stored_;
  std::vector<std::string> acts_;
  std::uint64_t last_id_ = 0;
  std::uint64_t breaks_at_ = UINT64_MAX;
  std::size_t begun_ = 0;
  mta::Admission last_admission_ = mta::Admission::ordinary;
  std::size_t writers_ = 0;
};

} // namespace support
