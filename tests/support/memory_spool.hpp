// MemorySpool: a spool in memory that records what the queue asks of it, in order, and can fail or delay it.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mta/spool/spool.hpp"

namespace support {

/// For tests on one thread. Callbacks run on the calling thread, or on that of release() while held.
class MemorySpool : public mta::Spool {
public:
  struct Stored {
    std::string envelope;
    std::string update;
    std::string body;
  };

  // ---- what a test sets
  std::optional<smtp::Error> begin_error, append_error, commit_error, read_error, durable_error;
  /// Commits and durable updates wait until release().
  bool holding = false;
  void release() {
    holding = false;
    std::deque<std::function<void()>> calls;
    calls.swap(held_);
    for (auto &call : calls) call();
  }
  void put(mta::QueueId id, std::string envelope, std::string body) {
    stored[id.value] = {std::move(envelope), {}, std::move(body)};
    last_id = std::max(last_id, id.value);
  }

  // ---- what a test looks at
  std::map<std::uint64_t, Stored> stored;
  std::vector<std::string> acts; ///< "update 5", "durable 5", "remove 5", "commit 7"
  std::uint64_t last_id = 1000;
  bool keep_acts = true;

  // ---- Spool
  smtp::Result<std::unique_ptr<mta::MessageWriter>> begin() override {
    if (begin_error) return tl::unexpected(*begin_error);
    return std::make_unique<Writer>(*this, mta::QueueId{++last_id});
  }
  smtp::Result<std::unique_ptr<mta::BodyReader>> read_body(mta::QueueId id) override {
    if (read_error) return tl::unexpected(*read_error);
    const auto found = stored.find(id.value);
    if (found == stored.end()) return smtp::fail(smtp::ErrorCode::not_found, "no message " + id.to_string());
    return std::make_unique<Reader>(found->second.body);
  }
  void update(mta::QueueId id, std::string blob) override {
    note("update", id);
    stored[id.value].update = std::move(blob);
  }
  void update_durably(mta::QueueId id, std::string blob, std::function<void(smtp::Result<void>)> done) override {
    note("durable", id);
    if (durable_error) return later([done, error = *durable_error] { done(tl::unexpected(error)); });
    stored[id.value].update = std::move(blob);
    later([done] { done({}); });
  }
  void remove(mta::QueueId id) override {
    note("remove", id);
    stored.erase(id.value);
  }
  mta::SpoolStatus status() const override { return {}; }
  void close() override {}

private:
  class Reader : public mta::BodyReader {
  public:
    explicit Reader(std::string body) : body_(std::move(body)) {}
    std::uint64_t size() const noexcept override { return body_.size(); }
    smtp::Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
      if (offset >= body_.size()) return std::size_t{0};
      // Short reads, as the real one may give them.
      const std::size_t count =
          std::min<std::size_t>({into.size(), body_.size() - static_cast<std::size_t>(offset), 100});
      std::memcpy(into.data(), body_.data() + offset, count);
      return count;
    }

  private:
    std::string body_;
  };
  class Writer : public mta::MessageWriter {
  public:
    Writer(MemorySpool &spool, mta::QueueId id) : spool_(spool), id_(id) {}
    mta::QueueId id() const noexcept override { return id_; }
    smtp::Result<void> append(std::string_view octets) override {
      if (spool_.append_error) return tl::unexpected(*spool_.append_error);
      body_.append(octets);
      return {};
    }
    bool wants_pause() const noexcept override { return false; }
    void when_ready(std::function<void()> ready) override { ready(); }
    void commit(std::string envelope, std::function<void(smtp::Result<void>)> done) override {
      if (spool_.commit_error)
        return spool_.later([done, error = *spool_.commit_error] { done(tl::unexpected(error)); });
      spool_.later([&spool = spool_, id = id_, body = body_, envelope = std::move(envelope), done] {
        spool.note("commit", id);
        spool.stored[id.value] = {envelope, {}, body};
        done({});
      });
    }

  private:
    MemorySpool &spool_;
    mta::QueueId id_;
    std::string body_;
  };

  void note(const char *act, mta::QueueId id) {
    if (keep_acts) acts.push_back(std::string(act) + " " + std::to_string(id.value));
  }
  void later(std::function<void()> call) {
    if (holding)
      held_.push_back(std::move(call));
    else
      call();
  }
  std::deque<std::function<void()>> held_;
};

} // namespace support
