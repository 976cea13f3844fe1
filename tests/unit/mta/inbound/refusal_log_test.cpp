// RefusalLog: some lines, a sum, and lines again; and whom a refused command names.
#include "mta/inbound/refusal_log.hpp"

#include <gtest/gtest.h>

namespace refusal_log_test {

using mta::LogLevel;
using mta::inbound::named_path;
using mta::inbound::RefusalLog;

TEST(RefusalLog, SumsUpWhatHasNoLineAndBeginsAnew) {
  RefusalLog log;
  EXPECT_FALSE(log.close()) << "nothing was refused";
  EXPECT_TRUE(log.takes(2, LogLevel::warning, "a@x.example"));
  EXPECT_TRUE(log.takes(2, LogLevel::info, ""));
  EXPECT_FALSE(log.takes(2, LogLevel::info, "b@x.example"));
  EXPECT_FALSE(log.takes(2, LogLevel::warning, ""));
  EXPECT_FALSE(log.takes(2, LogLevel::info, "c@x.example,d@x.example"));
  const auto rest = log.close();
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->count, 3U);
  EXPECT_EQ(rest->level, LogLevel::warning) << "the most serious of them";
  EXPECT_EQ(rest->recipients, "b@x.example,c@x.example,d@x.example");
  EXPECT_FALSE(log.close()) << "told once";
  EXPECT_TRUE(log.takes(2, LogLevel::info, "e@x.example")) << "lines again";
  EXPECT_EQ(log.total(), 6U);
}

TEST(RefusalLog, NamesAsManyRecipientsAsALineHolds) {
  RefusalLog log;
  for (int i = 0; i < 1000; ++i)
    EXPECT_FALSE(log.takes(0, LogLevel::info, "someone" + std::to_string(i) + "@x.example"));
  const auto rest = log.close();
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->count, 1000U);
  EXPECT_LE(rest->recipients.size(), RefusalLog::recipients_limit + 4);
  EXPECT_TRUE(rest->recipients.starts_with("someone0@x.example,someone1@x.example,"));
  EXPECT_TRUE(rest->recipients.ends_with(",..."));
}

TEST(NamedPath, IsWhatStandsBehindTheColon) {
  struct Row {
    const char *line, *path;
  };
  for (const Row &row :
       {Row{"RCPT TO:<a@b@c>", "a@b@c"}, Row{"RCPT TO: <a@b> NOTIFY=x", "a@b"}, Row{"rcpt to:a@b X=<y>", "a@b"},
        Row{"RCPT TO:<\"a> b\"@c>", "\"a"}, Row{"RCPT TO:<a@b", "a@b"}, Row{"RCPT <a@b>", "a@b"}, Row{"RCPT TO:", ""},
        Row{"RCPT TO:<>", ""}, Row{"RCPT", ""}, Row{"MAIL FROM:<x y@z>", "x y@z"}})
    EXPECT_EQ(named_path(row.line), row.path) << row.line;
}

} // namespace refusal_log_test
