// Durations, sizes, dates and the nearest word.
#include "mta/config/units.hpp"

#include <gtest/gtest.h>

namespace units_test {

using namespace mta;
using namespace std::chrono_literals;

TEST(Units, Durations) {
  const std::vector<std::pair<const char *, std::optional<std::chrono::milliseconds>>> rows = {
      {"250ms", 250ms},
      {"30s", 30s},
      {"5m", 5min},
      {"1h30m", 90min},
      {"5d", 120h},
      {"2w", 336h},
      {"0s", 0ms},
      {"3650d", 87600h},
      {"", std::nullopt},
      {"5", std::nullopt},
      {"m", std::nullopt},
      {"-5m", std::nullopt},
      {"5 m", std::nullopt},
      {"5M", std::nullopt},
      {"5min", std::nullopt},
      {"1.5h", std::nullopt},
      {"5m ", std::nullopt},
      {"4000d", std::nullopt},
      {"3650d3650d", std::nullopt},
      {"99999999999999999999s", std::nullopt},
      {"18446744073709551615w", std::nullopt},
      {"1h30", std::nullopt}};
  for (const auto &[text, wanted] : rows) EXPECT_EQ(parse_duration(text), wanted) << text;
}

TEST(Units, Sizes) {
  const std::vector<std::pair<const char *, std::optional<std::uint64_t>>> rows = {{"0B", 0},
                                                                                   {"512B", 512},
                                                                                   {"64KiB", 65'536},
                                                                                   {"25MiB", 26'214'400},
                                                                                   {"2GiB", 2'147'483'648},
                                                                                   {"1TiB", 1'099'511'627'776},
                                                                                   {"", std::nullopt},
                                                                                   {"512", std::nullopt},
                                                                                   {"25MB", std::nullopt},
                                                                                   {"25mib", std::nullopt},
                                                                                   {"1.5MiB", std::nullopt},
                                                                                   {"1MiB1KiB", std::nullopt},
                                                                                   {"-1B", std::nullopt},
                                                                                   {"25 MiB", std::nullopt},
                                                                                   {"99999999TiB", std::nullopt},
                                                                                   {"KiB", std::nullopt}};
  for (const auto &[text, wanted] : rows) EXPECT_EQ(parse_size(text), wanted) << text;
}

TEST(Units, WhatIsWrittenIsReadBack) {
  for (const auto duration : {0ms, 1ms, 999ms, 1000ms, 90000ms, 3'600'000ms, 694'861'001ms})
    EXPECT_EQ(parse_duration(format_duration(duration)), duration) << format_duration(duration);
  for (const std::uint64_t size : {0ULL, 1ULL, 1023ULL, 1024ULL, 1025ULL, 1ULL << 40U})
    EXPECT_EQ(parse_size(format_size(size)), size) << format_size(size);
  EXPECT_EQ(format_duration(90min), "1h30m");
  EXPECT_EQ(format_limit(90min), "1h30m");
  EXPECT_EQ(format_limit(std::chrono::days(7)), "1w");
  EXPECT_EQ(format_limit(std::chrono::days(30)), "30d");
  EXPECT_EQ(format_limit(31'557'600s), "365d6h (a year)");
  EXPECT_EQ(format_date(2027y / 4 / 1), "2027-04-01");
}

TEST(Units, NearestWord) {
  const std::vector<std::string> words{"hostname", "user", "warning", "shutdown_grace"};
  EXPECT_EQ(nearest_word("hostnam", words), "hostname");
  EXPECT_EQ(nearest_word("HOSTNAME", words), "hostname");
  EXPECT_EQ(nearest_word("warn", words), "warning");
  EXPECT_EQ(nearest_word("shutdown-grace", words), "shutdown_grace");
  EXPECT_EQ(nearest_word("zzzzzz", words), "");
  EXPECT_EQ(nearest_word("", words), "");
  EXPECT_EQ(nearest_word(std::string(100'000, 'a'), words), "");
}

} // namespace units_test
