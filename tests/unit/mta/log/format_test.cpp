// format_logfmt and format_json: what a peer says can neither break a line nor forge a field.
#include "mta/log/mail_log.hpp"

#include <ostream>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "mta/log/time_stamp.hpp"

namespace format_test {

struct Row {
  std::string name;
  std::string value;
  std::string logfmt; ///< as it stands behind "key="
  std::string json;   ///< as it stands behind "\"key\":"
  friend std::ostream &operator<<(std::ostream &out, const Row &row) { return out << row.name; }
};

class FormatTest : public testing::TestWithParam<Row> {};

TEST_P(FormatTest, escapes_the_value) {
  const Row &row = GetParam();
  const mta::Event event = mta::Event("e").with("key", row.value).with("last", "x");
  const std::string line = mta::format_logfmt(event, "T");
  EXPECT_EQ(line, "time=T level=info event=e key=" + row.logfmt + " last=x");
  const std::string json = mta::format_json(event, "T");
  EXPECT_EQ(json, R"({"time":"T","level":"info","event":"e","key":)" + row.json + R"(,"last":"x"})");
  for (const std::string *text : {&line, &json})
    for (const char c : *text) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  boost::system::error_code error;
  const auto parsed = boost::json::parse(json, error);
  ASSERT_FALSE(error) << json;
  EXPECT_EQ(parsed.as_object().size(), 5U) << "a field was forged";
}

INSTANTIATE_TEST_SUITE_P(
    Rows, FormatTest,
    testing::Values(
        Row{"a plain word stays bare", "mx1.example.org[192.0.2.1]", "mx1.example.org[192.0.2.1]",
            R"("mx1.example.org[192.0.2.1]")"},
        Row{"nothing is quoted", "", R"("")", R"("")"},
        Row{"a space needs quotes", "250 2.0.0 ok", R"("250 2.0.0 ok")", R"("250 2.0.0 ok")"},
        Row{"an equals sign needs quotes", "a=b", R"("a=b")", R"("a=b")"},
        Row{"a forged field stays inside the value", "x\" event=\"accepted", R"("x\" event=\"accepted")",
            R"("x\" event=\"accepted")"},
        Row{"a line feed cannot break the line", "x\r\ntime=now event=forged", R"("x\r\ntime=now event=forged")",
            R"("x\r\ntime=now event=forged")"},
        Row{"a backslash is doubled", "a\\", R"("a\\")", R"("a\\")"},
        Row{"a tab is named", "a\tb", R"("a\tb")", R"("a\tb")"},
        Row{"NUL is escaped", std::string("a\0b", 3), R"("a\x00b")", R"("a\u0000b")"},
        Row{"escape and delete are escaped", "\x1b[31m\x7f", R"("\x1b[31m\x7f")", R"("\u001b[31m\u007f")"},
        Row{"UTF-8 is kept",
            "b\xc3\xbc"
            "cher@b\xc3\xbc"
            "cher.example",
            "\"b\xc3\xbc"
            "cher@b\xc3\xbc"
            "cher.example\"",
            "\"b\xc3\xbc"
            "cher@b\xc3\xbc"
            "cher.example\""},
        Row{"four octets of UTF-8 are kept", "\xf0\x9f\x93\xac", "\"\xf0\x9f\x93\xac\"", "\"\xf0\x9f\x93\xac\""},
        Row{"Latin-1 is escaped",
            "b\xfc"
            "cher",
            R"("b\xfccher")", R"("b\\xfccher")"},
        Row{"a cut sequence is escaped", "\xe2\x82", R"("\xe2\x82")", R"("\\xe2\\x82")"},
        Row{"an overlong form is escaped", "\xc0\xaf", R"("\xc0\xaf")", R"("\\xc0\\xaf")"},
        Row{"a surrogate is escaped", "\xed\xa0\x80", R"("\xed\xa0\x80")", R"("\\xed\\xa0\\x80")"},
        Row{"U+0085 next line is escaped", "\xc2\x85", R"("\xc2\x85")", R"("\\xc2\\x85")"},
        Row{"U+2028 line separator is escaped", "\xe2\x80\xa8", R"("\xe2\x80\xa8")", R"("\\xe2\\x80\\xa8")"},
        Row{"U+202E right-to-left override is escaped", "\xe2\x80\xae", R"("\xe2\x80\xae")", R"("\\xe2\\x80\\xae")"},
        Row{"U+2066 isolate is escaped", "\xe2\x81\xa6", R"("\xe2\x81\xa6")", R"("\\xe2\\x81\\xa6")"},
        Row{"a long value is cut", std::string(5000, 'a'), '"' + std::string(2000, 'a') + "...\"",
            '"' + std::string(2000, 'a') + "...\""}));

TEST(FormatTest, numbers_and_truth_values_stand_bare_in_json) {
  const mta::Event event = mta::Event("e", mta::LogLevel::warning)
                               .with("count", std::uint64_t{18446744073709551615ULL})
                               .with("delta", -5)
                               .with("reused", true)
                               .with_if("absent", "")
                               .with_if("present", "p");
  EXPECT_EQ(
      mta::format_json(event, "T"),
      R"({"time":"T","level":"warning","event":"e","count":18446744073709551615,"delta":-5,"reused":true,"present":"p"})");
  EXPECT_EQ(mta::format_logfmt(event, "T"),
            "time=T level=warning event=e count=18446744073709551615 delta=-5 reused=true present=p");
}

TEST(FormatTest, time_stamps_are_utc_with_milliseconds) {
  using namespace std::chrono;
  struct Case {
    milliseconds since;
    const char *text;
  };
  for (const Case &row : {Case{milliseconds(0), "1970-01-01T00:00:00.000Z"},
                          Case{milliseconds(951'782'400'007), "2000-02-29T00:00:00.007Z"},
                          Case{milliseconds(1'795'318'740'042), "2026-11-22T03:39:00.042Z"},
                          Case{milliseconds(4'102'444'799'999), "2099-12-31T23:59:59.999Z"}})
    EXPECT_EQ(mta::format_time_stamp(system_clock::time_point(row.since)), row.text);
}

} // namespace format_test
