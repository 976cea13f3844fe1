// Measures the spool: durable messages per second for 1, 16 and 64 writers, memory per stored message, and how long a
// recovery takes. Usage: spool_bench FOLDER [seconds for each figure]
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include <malloc.h>
#include <unistd.h>

#include "mta/spool/spool.hpp"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::unique_ptr<mta::Spool> open_or_exit(const std::string &path, mta::Recovery &recovery) {
  mta::SpoolOptions options;
  options.path = path;
  options.max_messages = 1'000'000'000;
  auto spool = mta::Spool::open(options, recovery);
  if (spool) return std::move(*spool);
  std::fprintf(stderr, "%s\n", spool.error().detail.c_str());
  std::exit(1);
}

/// One session after the other, each waiting for its 250, as a worker thread would see it.
bool store(mta::Spool &spool, const std::string &body, const std::string &envelope, std::binary_semaphore &done,
           mta::QueueId *id = nullptr) {
  auto writer = spool.begin();
  if (!writer || !(*writer)->append(body)) return false;
  bool good = false;
  (*writer)->commit(envelope, [&](smtp::Result<void> result) {
    good = result.has_value();
    done.release();
  });
  done.acquire();
  if (id != nullptr) *id = (*writer)->id();
  return good;
}

struct Load {
  int writers = 1;
  std::size_t size = 0;
  bool remove = false; ///< each message as soon as it is stored, as when delivery keeps up
};

void measure(const std::string &path, const Load &load, double seconds) {
  std::filesystem::remove_all(path);
  mta::Recovery recovery;
  const auto spool = open_or_exit(path, recovery);
  const std::string body(load.size, 'x');
  const std::string envelope(400, 'e');
  std::atomic<std::uint64_t> stored = 0;
  std::atomic<std::uint64_t> failed = 0;
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  const auto begin = Clock::now();
  for (int i = 0; i < load.writers; ++i) {
    threads.emplace_back([&] {
      std::binary_semaphore done(0);
      while (!stop.load(std::memory_order_relaxed)) {
        mta::QueueId id;
        if (!store(*spool, body, envelope, done, &id)) {
          ++failed;
          continue;
        }
        ++stored;
        if (load.remove) spool->remove(id);
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (auto &thread : threads) thread.join();
  const double elapsed = seconds_since(begin);
  const auto status = spool->status();
  std::printf("%3d writers, %6zu octets, %s: %8.0f messages/s, %5.1f messages/sync, %llu failed\n", load.writers,
              load.size, load.remove ? "removed" : "kept   ", static_cast<double>(stored) / elapsed,
              static_cast<double>(stored) / static_cast<double>(status.commits),
              static_cast<unsigned long long>(failed));
  std::fflush(stdout);
}

long resident_octets() {
  std::ifstream file("/proc/self/statm");
  long size = 0;
  long resident = 0;
  file >> size >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

void measure_memory(const std::string &path) {
  constexpr int messages = 100'000;
  std::filesystem::remove_all(path);
  const std::string body(5'120, 'x');
  const std::string envelope(400, 'e');
  {
    mta::Recovery recovery;
    const auto spool = open_or_exit(path, recovery);
    std::binary_semaphore done(0);
    static_cast<void>(store(*spool, body, envelope, done));
    ::malloc_trim(0);
    const long before = resident_octets();
    std::vector<std::thread> threads;
    for (int i = 0; i < 64; ++i) {
      threads.emplace_back([&] {
        std::binary_semaphore mine(0);
        for (int j = 0; j < messages / 64; ++j) static_cast<void>(store(*spool, body, envelope, mine));
      });
    }
    for (auto &thread : threads) thread.join();
    ::malloc_trim(0);
    const auto stored = static_cast<long>(spool->status().messages);
    std::printf("%ld messages stored: %ld octets of memory each\n", stored, (resident_octets() - before) / stored);
  }
  mta::Recovery recovery;
  const auto begin = Clock::now();
  const auto spool = open_or_exit(path, recovery);
  std::printf("recovery of %zu messages (5 KiB): %.2f s\n", recovery.messages.size(), seconds_since(begin));
}

} // namespace

int main(int count, char **arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: %s FOLDER [SECONDS]\nWorks in FOLDER/spool_bench.tmp and removes it.\n", arguments[0]);
    return 2;
  }
  const std::string path = std::string(arguments[1]) + "/spool_bench.tmp";
  const double seconds = count > 2 ? std::atof(arguments[2]) : 5;
  for (const bool remove : {false, true})
    for (const std::size_t size : {std::size_t{5'120}, std::size_t{102'400}})
      for (const int writers : {1, 16, 64}) measure(path, {writers, size, remove}, seconds);
  measure_memory(path);
  std::filesystem::remove_all(path);
  return 0;
}
