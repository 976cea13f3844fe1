// Measures the store: microseconds of CPU for a row of 20 columns and 300 octets with one index, in batches of 5,000,
// with statements prepared as the product's are. Usage: store_bench FOLDER [rows, 500000]
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <sys/resource.h>

#include "mta/store/connection.hpp"
#include "mta/store/store.hpp"

namespace {

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval &time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// 20 columns: four numbers and sixteen texts.
std::string schema() {
  std::string text =
      "CREATE TABLE rows (number BIGINT NOT NULL, time BIGINT NOT NULL, a BIGINT NOT NULL, b BIGINT NOT NULL";
  for (int i = 0; i < 16; ++i) text += fmt::format(", t{} TEXT NOT NULL", i);
  return text + "); CREATE INDEX rows_by_time ON rows (time, t0);";
}

struct Row {
  std::int64_t number = 0, time = 0, a = 0, b = 0;
  std::string texts[16];
};

} // namespace

int main(int count, char **arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: store_bench FOLDER [rows]\n");
    return 2;
  }
  const std::int64_t rows = count > 2 ? std::atoll(arguments[2]) : 500'000;
  constexpr std::int64_t batch = 5'000;
  const std::string text = schema();
  mta::store::StoreOptions options;
  options.folder = arguments[1];
  options.schema = {text};
  options.commit_every = std::chrono::hours(1);
  options.tell = [](const mta::store::News &news) {
    std::fprintf(stderr, "%s: %s\n", to_string(news.kind), news.detail.c_str());
  };
  auto store = mta::store::Store::open(std::move(options));
  if (!store) {
    std::fprintf(stderr, "%s\n", store.error().detail.c_str());
    return 1;
  }
  std::shared_ptr<SQLite::Statement> insert; // of the writer's connection
  const double before = cpu_seconds();
  for (std::int64_t done = 0; done < rows; done += batch) {
    for (std::int64_t i = done; i < done + batch; ++i) {
      Row row;
      row.number = i;
      row.time = 1'795'000'000 + i / 100;
      row.a = i % 7;
      for (auto &one : row.texts) one = fmt::format("value-{:010}", i * 7'919 % 1'000'003);
      (*store)->add(
          [row = std::move(row), &insert](mta::store::Connection &connection) {
            if (!insert)
              insert = std::make_shared<SQLite::Statement>(
                  connection.database(),
                  "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
            mta::store::Query query(*insert);
            const auto &t = row.texts;
            query.bind(row.number, row.time, row.a, row.b, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9],
                       t[10], t[11], t[12], t[13], t[14], t[15]);
            query.run();
          },
          300, mta::store::Store::Weight::kept);
    }
    (*store)->flush();
  }
  const double used = cpu_seconds() - before;
  const auto status = (*store)->status();
  insert.reset();
  (*store)->stop();
  std::printf("%lld rows, %llu batches: %.1f microseconds of CPU for each row; the file has %.0f octets for each\n",
              static_cast<long long>(rows), static_cast<unsigned long long>(status.batches),
              used * 1e6 / static_cast<double>(rows),
              static_cast<double>(std::filesystem::file_size(mta::store::store_file(arguments[1]))) /
                  static_cast<double>(rows));
  return status.committed == static_cast<std::uint64_t>(rows) ? 0 : 1;
}
