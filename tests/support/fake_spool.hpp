// FakeSpool: the Spool in memory, everything committed at once; for tests of what reads and updates messages.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "mta/spool/spool.hpp"

namespace test {

/// Thread-safe. Callbacks are called before the call returns.
class FakeSpool : public mta::Spool {
public:
  struct Stored {
    std::string body;
    std::string envelope;
    std::string update;
  };

  /// Places a committed message.
  mta::QueueId add(std::string body, std::string envelope = {}) {
    const std::lock_guard lock(mutex_);
    const mta::QueueId id{++last_};
    messages_[id.value] = {std::move(body), std::move(envelope), {}};
    return id;
  }
  [[nodiscard]] std::map<std::uint64_t, Stored> messages() const {
    const std::lock_guard lock(mutex_);
    return messages_;
  }
  /// Bodies opened with read_body() can be read up to this offset; then reading fails.
  void break_reading_at(std::uint64_t offset) {
    const std::lock_guard lock(mutex_);
    breaks_at_ = offset;
  }

  smtp::Result<std::unique_ptr<mta::MessageWriter>> begin() override {
    const std::lock_guard lock(mutex_);
    return std::make_unique<Writer>(*this, mta::QueueId{++last_});
  }
  smtp::Result<std::unique_ptr<mta::BodyReader>> read_body(mta::QueueId id) override {
    const std::lock_guard lock(mutex_);
    const auto found = messages_.find(id.value);
    if (found == messages_.end()) return smtp::fail(smtp::ErrorCode::not_found, "no message " + id.to_string());
    return std::make_unique<Reader>(found->second.body, breaks_at_);
  }
  void update(mta::QueueId id, std::string blob) override {
    const std::lock_guard lock(mutex_);
    if (const auto found = messages_.find(id.value); found != messages_.end()) found->second.update = std::move(blob);
  }
  void update_durably(mta::QueueId id, std::string blob, std::function<void(smtp::Result<void>)> done) override {
    update(id, std::move(blob));
    done({});
  }
  void remove(mta::QueueId id) override {
    const std::lock_guard lock(mutex_);
    messages_.erase(id.value);
  }
  [[nodiscard]] mta::SpoolStatus status() const override {
    const std::lock_guard lock(mutex_);
    mta::SpoolStatus status;
    status.messages = messages_.size();
    return status;
  }
  void close() override {}

private:
  class Writer : public mta::MessageWriter {
  public:
    Writer(FakeSpool &spool, mta::QueueId id) : spool_(spool), id_(id) {}
    [[nodiscard]] mta::QueueId id() const noexcept override { return id_; }
    smtp::Result<void> append(std::string_view octets) override {
      body_ += octets;
      return {};
    }
    [[nodiscard]] bool wants_pause() const noexcept override { return false; }
    void when_ready(std::function<void()> ready) override { ready(); }
    void commit(std::string envelope, std::function<void(smtp::Result<void>)> done) override {
      {
        const std::lock_guard lock(spool_.mutex_);
        spool_.messages_[id_.value] = {std::move(body_), std::move(envelope), {}};
      }
      done({});
    }

  private:
    FakeSpool &spool_;
    mta::QueueId id_;
    std::string body_;
  };

  class Reader : public mta::BodyReader {
  public:
    Reader(std::string body, std::uint64_t breaks_at) : body_(std::move(body)), breaks_at_(breaks_at) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return body_.size(); }
    smtp::Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
      if (offset >= breaks_at_) return smtp::fail(smtp::ErrorCode::io, "the checksum of the body is wrong");
      const auto readable = std::min<std::uint64_t>(body_.size(), breaks_at_);
      const auto count = std::min<std::uint64_t>(into.size(), readable - std::min(readable, offset));
      std::copy_n(body_.begin() + static_cast<std::ptrdiff_t>(offset), static_cast<std::ptrdiff_t>(count),
                  into.begin());
      return static_cast<std::size_t>(count);
    }

  private:
    std::string body_;
    std::uint64_t breaks_at_;
  };

  mutable std::mutex mutex_;
  std::map<std::uint64_t, Stored> messages_;
  std::uint64_t last_ = 0;
  std::uint64_t breaks_at_ = UINT64_MAX;
};

} // namespace test
