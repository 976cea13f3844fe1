// ReporterFixture: what the tests of the daily reports' makers share: who takes the reports, and what came of a run.
#pragma once

#include <exception>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <gtest/gtest.h>

#include "mta/report/daily_report.hpp"
#include "mta/report/gzip.hpp"
#include "smtp/base/base64.hpp"
#include "tests/support/fake_resolver.hpp"
#include "tests/support/mime_check.hpp"
#include "tests/support/temp_folder.hpp"

namespace support {

/// What is in the attachment of a report's mail, unpacked; a failure of the test when the mail is not well formed.
inline std::string decode_attachment(const std::string &mail) {
  const auto message = test::read_mime(mail);
  EXPECT_TRUE(message.faults.empty()) << testing::PrintToString(message.faults) << mail;
  EXPECT_EQ(message.parts.size(), 2U);
  if (message.parts.size() < 2) return {};
  return mta::gunzip(smtp::from_base64(message.parts[1].body).value_or("no base64"), 100'000'000).value_or("no gzip");
}

/// Texts that no compression makes small, the same in each run.
class Noise {
public:
  /// 16 hexadecimal digits a word.
  std::string text(int words) {
    std::string text;
    for (int i = 0; i < words; ++i) text += fmt::format("{:016x}", source_());
    return text;
  }

private:
  std::mt19937_64 source_{5};
};

class ReporterFixture : public testing::Test {
protected:
  /// Keeps each report in `made_`, and answers whether it was taken.
  [[nodiscard]] mta::TakeReport taker(bool taken) {
    made_.clear();
    return [this, taken](mta::ReadyReport report) { return keep(&made_, taken, std::move(report)); };
  }
  template <typename T> T await(mta::Task<T> task) {
    std::optional<T> result;
    mta::asio::io_context context;
    mta::asio::co_spawn(context, std::move(task), [&](std::exception_ptr error, T value) {
      if (error) std::rethrow_exception(error);
      result = std::move(value);
    });
    context.run();
    return std::move(result.value());
  }
  [[nodiscard]] std::vector<std::string> addresses() const {
    std::vector<std::string> to;
    for (const mta::ReadyReport &report : made_) to.push_back(report.to.to_string());
    return to;
  }
  static std::string notes(const mta::DayOutcome &outcome) {
    std::string text;
    for (const mta::ReportNote &note : outcome.notes) text += note.policy_domain + ": " + note.text + "\n";
    return text;
  }

  test::TempFolder folder_;
  test::FakeResolver resolver_;
  std::vector<mta::ReadyReport> made_;

private:
  static mta::Task<bool> keep(std::vector<mta::ReadyReport> *kept, bool answer, mta::ReadyReport report) {
    kept->push_back(std::move(report));
    co_return answer;
  }
};

} // namespace support
