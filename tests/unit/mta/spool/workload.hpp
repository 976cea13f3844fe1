// Workload: drives a spool at random and remembers what it promised, to be held against what a recovery finds.
#pragma once

#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "mta/spool/spool.hpp"
#include "simulated_disk.hpp"

namespace mta::spool::test {

inline constexpr const char *folder = "/spool";

inline SpoolOptions small_options() {
  SpoolOptions options;
  options.path = folder;
  options.segment_size = 32'768;
  options.part_size = 4'096;
  options.min_free = 0;
  options.first_id = 1;
  return options;
}

/// Waits for what no event tells of.
template <typename Condition> void wait_until(Condition condition) {
  while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

/// Octets that differ from place to place and from message to message.
inline std::string make_octets(std::mt19937_64 &random, std::size_t size) {
  std::string octets(size, '\0');
  for (char &octet : octets) octet = static_cast<char>(random());
  return octets;
}

inline smtp::Result<std::string> read_all(Spool &spool, QueueId id, std::size_t room = 1'000) {
  auto reader = spool.read_body(id);
  if (!reader) return tl::unexpected(reader.error());
  std::string body;
  std::string buffer(room, '\0');
  while (true) {
    const auto got = (*reader)->read(body.size(), buffer);
    if (!got) return tl::unexpected(got.error());
    if (*got == 0) return body;
    body.append(buffer, 0, *got);
  }
}

inline smtp::Result<void> commit_and_wait(MessageWriter &writer, std::string envelope) {
  std::promise<smtp::Result<void>> promise;
  writer.commit(std::move(envelope), [&promise](smtp::Result<void> result) { promise.set_value(std::move(result)); });
  return promise.get_future().get();
}

inline smtp::Result<void> update_and_wait(Spool &spool, QueueId id, std::string blob) {
  std::promise<smtp::Result<void>> promise;
  spool.update_durably(id, std::move(blob),
                       [&promise](smtp::Result<void> result) { promise.set_value(std::move(result)); });
  return promise.get_future().get();
}

/// Stores one message; fails the test if that fails.
inline QueueId store(Spool &spool, std::string_view body, std::string envelope) {
  auto writer = spool.begin();
  EXPECT_TRUE(writer) << writer.error().detail;
  if (!writer) return {};
  EXPECT_TRUE((*writer)->append(body));
  const auto done = commit_and_wait(**writer, std::move(envelope));
  EXPECT_TRUE(done) << done.error().detail;
  return (*writer)->id();
}

/// What is known about a message.
struct Promised {
  std::string body;
  std::string envelope;
  std::vector<std::string> updates{""}; ///< that may be found after a crash: the last durable one and all since
  bool acknowledged = false;
  bool removed = false;
};

class Workload {
public:
  explicit Workload(std::uint64_t seed) : random_(seed) {}

  /// Does `steps` acts; after an error goes on when the spool is healthy again, and ends when the disk is off.
  void run(Spool &spool, const SimulatedDisk &disk, int steps) {
    for (int step = 0; step < steps && !disk.is_off(); ++step) {
      act(spool);
      wait_until([&] { return spool.status().healthy || disk.is_off(); });
    }
    open_.clear();
  }

  /// Holds what a recovery found, and what can be read, against the promises. `clean`: nothing was lost on the way.
  void check(Spool &spool, const Recovery &recovery, bool clean) {
    std::map<std::uint64_t, const RecoveredMessage *> found;
    for (const RecoveredMessage &message : recovery.messages) {
      EXPECT_TRUE(found.emplace(message.id.value, &message).second) << "twice: " << message.id.to_string();
      const auto promised = promised_.find(message.id.value);
      ASSERT_NE(promised, promised_.end()) << "never written: " << message.id.to_string();
      const Promised &promise = promised->second;
      EXPECT_FALSE(clean && (promise.removed || !promise.acknowledged)) << "is back: " << message.id.to_string();
      EXPECT_EQ(message.envelope, promise.envelope);
      EXPECT_EQ(message.body_size, promise.body.size());
      const auto body = read_all(spool, message.id);
      ASSERT_TRUE(body) << message.id.to_string() << ": " << body.error().detail;
      EXPECT_TRUE(*body == promise.body) << "wrong body: " << message.id.to_string();
      if (clean) {
        EXPECT_EQ(message.update, promise.updates.back()) << message.id.to_string();
      } else {
        EXPECT_NE(std::find(promise.updates.begin(), promise.updates.end(), message.update), promise.updates.end())
            << message.id.to_string() << " has update " << message.update;
      }
    }
    for (const auto &[id, promise] : promised_) {
      if (promise.acknowledged && !promise.removed) {
        EXPECT_TRUE(found.contains(id)) << "lost: " << QueueId{id}.to_string();
      }
    }
    EXPECT_EQ(recovery.damage, std::vector<std::string>{});
    for (const auto &[id, message] : found) EXPECT_LT(id, 1ULL << 40U);
  }

  /// After check(): goes on from what was found.
  void adopt(const Recovery &recovery) {
    std::map<std::uint64_t, Promised> kept;
    for (const RecoveredMessage &message : recovery.messages) {
      Promised promise = promised_.at(message.id.value);
      promise.acknowledged = true;
      promise.removed = false;
      promise.updates = {message.update};
      kept.emplace(message.id.value, std::move(promise));
    }
    for (const auto &[id, promise] : promised_) used_.insert(id);
    promised_ = std::move(kept);
  }

  [[nodiscard]] std::size_t live() const {
    std::size_t count = 0;
    for (const auto &[id, promise] : promised_) count += promise.acknowledged && !promise.removed ? 1 : 0;
    return count;
  }
  void remove_all(Spool &spool) {
    for (auto &[id, promise] : promised_) {
      promise.removed = true;
      spool.remove({id});
    }
  }

private:
  void act(Spool &spool) {
    const auto choice = random_() % 100;
    if (choice < 45) return write(spool);
    if (choice < 65) return update(spool);
    if (choice < 90) return remove(spool);
    if (choice < 95) return read(spool);
    begin_slow(spool);
  }

  void write(Spool &spool) {
    auto writer = spool.begin();
    if (!writer) return;
    const std::uint64_t id = (*writer)->id().value;
    EXPECT_FALSE(used_.contains(id) || promised_.contains(id)) << "id given twice: " << id;
    const auto kind = random_() % 20;
    const std::size_t size = kind == 0  ? 40'000 + random_() % 60'000
                             : kind < 5 ? random_() % 12'000
                                        : random_() % 1'500;
    Promised promise;
    promise.body = make_octets(random_, size);
    promise.envelope = make_octets(random_, kind == 1 ? 9'000 : 100 + random_() % 200);
    promised_[id] = promise;
    for (std::size_t at = 0; at < size; at += 1'000)
      if (!(*writer)->append(std::string_view(promise.body).substr(at, 1'000))) return;
    if (random_() % 10 == 0) return; // the client went away
    promised_[id].acknowledged = commit_and_wait(**writer, promise.envelope).has_value();
  }

  void begin_slow(Spool &spool) {
    // A body that stays open over many other messages, and is then committed or given up.
    if (open_.empty()) {
      auto writer = spool.begin();
      if (!writer) return;
      Promised promise;
      promise.body = make_octets(random_, 10'000);
      promise.envelope = "slow";
      promised_[(*writer)->id().value] = promise;
      if (!(*writer)->append(promise.body)) return;
      open_.push_back(std::move(*writer));
      return;
    }
    if (random_() % 4 != 0) {
      const std::uint64_t id = open_.back()->id().value;
      promised_[id].acknowledged = commit_and_wait(*open_.back(), promised_[id].envelope).has_value();
    }
    open_.pop_back();
  }

  Promised *pick(std::uint64_t &id) {
    std::vector<std::uint64_t> ids;
    for (const auto &[each, promise] : promised_)
      if (promise.acknowledged && !promise.removed) ids.push_back(each);
    if (ids.empty()) return nullptr;
    id = ids[random_() % ids.size()];
    return &promised_.at(id);
  }

  void update(Spool &spool) {
    std::uint64_t id = 0;
    Promised *promise = pick(id);
    if (promise == nullptr) return;
    const std::string blob = "update " + std::to_string(++updates_);
    promise->updates.push_back(blob);
    if (random_() % 4 != 0) {
      spool.update({id}, blob);
    } else if (update_and_wait(spool, {id}, blob)) {
      promise->updates = {blob};
    } else {
      // Not applied, though it may be found after a crash.
      promise->updates.pop_back();
      promise->updates.insert(promise->updates.begin(), blob);
    }
  }

  void remove(Spool &spool) {
    std::uint64_t id = 0;
    Promised *promise = pick(id);
    if (promise == nullptr) return;
    promise->removed = true;
    spool.remove({id});
  }

  void read(Spool &spool) {
    std::uint64_t id = 0;
    const Promised *promise = pick(id);
    if (promise == nullptr) return;
    const auto body = read_all(spool, {id}, 500 + random_() % 100'000);
    if (body) {
      EXPECT_TRUE(*body == promise->body) << QueueId{id}.to_string();
    }
  }

  std::mt19937_64 random_;
  std::map<std::uint64_t, Promised> promised_;
  std::set<std::uint64_t> used_;
  std::vector<std::unique_ptr<MessageWriter>> open_;
  std::uint64_t updates_ = 0;
};

} // namespace mta::spool::test
