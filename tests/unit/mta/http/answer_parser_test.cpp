// HttpAnswerParser: good answers, and every way in which an answer can be bad; whole and octet by octet.
#include "mta/http/answer_parser.hpp"

#include <gtest/gtest.h>

namespace answer_parser_test {

using mta::HttpAnswer;
using mta::HttpAnswerParser;
using smtp::ErrorCode;

constexpr std::uint64_t body_limit = 100;

/// The answer, or the error; `cut` when the octets end before either.
smtp::Result<HttpAnswer> parse(const std::string &octets, std::size_t step) {
  HttpAnswerParser parser(body_limit);
  for (std::size_t at = 0; at < octets.size(); at += step) {
    const auto done = parser.feed(std::string_view(octets).substr(at, step));
    if (!done) return tl::unexpected(done.error());
    if (*done) return parser.take();
  }
  return tl::unexpected(parser.cut());
}

TEST(HttpAnswerParser, good_answers) {
  const struct {
    const char *name;
    std::string octets;
    unsigned status;
    std::string content_type;
    std::string body;
  } rows[] = {
      {"a body of known length", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello", 200,
       "text/plain", "hello"},
      {"what follows the body is dropped", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello", 200, "", "he"},
      {"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 200, "",
       "hello"},
      {"chunks with extensions and a trailer",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", 200, "", "hello"},
      {"no chunk but the last, with a trailer",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n", 200, "", ""},
      {"an empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", ""},
      {"204 has no body", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", ""},
      {"the media type without its parameters, in lower case",
       "HTTP/1.1 200 OK\r\nContent-Type: Text/Plain ; charset=utf-8\r\nContent-Length: 0\r\n\r\n", 200, "text/plain",
       ""},
      {"the body at its limit", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + std::string(100, 'x'), 200, "",
       std::string(100, 'x')},
      {"an interim answer before the real one",
       "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "", "ok"},
      {"a redirect is an answer, its body unread",
       "HTTP/1.1 301 Moved\r\nLocation: https://example.net/\r\nContent-Length: 9\r\n\r\n", 301, "", ""},
      {"the body of an error is not read, whatever its size",
       "HTTP/1.1 404 Not Found\r\nContent-Length: 999999\r\n\r\n", 404, "", ""},
      {"an error whose body ends with the connection", "HTTP/1.1 503 Busy\r\nContent-Type: text/html\r\n\r\n<html>",
       503, "text/html", ""},
      {"identity is not a coding", "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 1\r\n\r\nx", 200,
       "", "x"},
      {"HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "", "x"},
  };
  for (const auto &row : rows)
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, row.octets.size()}) {
      SCOPED_TRACE(row.name);
      const auto answer = parse(row.octets, step);
      ASSERT_TRUE(answer) << answer.error().detail;
      EXPECT_EQ(answer->status, row.status);
      EXPECT_EQ(answer->content_type, row.content_type);
      EXPECT_EQ(answer->body, row.body);
    }
}

TEST(HttpAnswerParser, bad_answers) {
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
  const struct {
    const char *name;
    std::string octets;
    ErrorCode code;
    std::string why;
  } rows[] = {
      {"SMTP", "220 mx.example.org ESMTP\r\n\r\n", ErrorCode::protocol, "not HTTP/1.1"},
      {"HTTP/2", "HTTP/2 200 OK\r\n\r\n", ErrorCode::protocol, "not HTTP/1.1"},
      {"a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", ErrorCode::protocol, "not HTTP/1.1"},
      {"a status over 599", "HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n", ErrorCode::protocol,
       "600 is not a status"},
      {"a status under 100", "HTTP/1.1 042 What\r\nContent-Length: 0\r\n\r\n", ErrorCode::protocol,
       "42 is not a status"},
      {"another protocol", "HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", ErrorCode::protocol,
       "changes the protocol"},
      {"a field without a colon", "HTTP/1.1 200 OK\r\nContent\r\n\r\n", ErrorCode::protocol, "not HTTP/1.1"},
      {"a bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n", ErrorCode::protocol, "not HTTP/1.1"},
      {"no length at all", "HTTP/1.1 200 OK\r\n\r\nhello", ErrorCode::protocol, "neither Content-Length nor"},
      {"a length that is not a number", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", ErrorCode::protocol,
       "not HTTP/1.1"},
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", ErrorCode::protocol,
       "not HTTP/1.1"},
      {"a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       ErrorCode::protocol, "not HTTP/1.1"},
      {"a chunk without a size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n", ErrorCode::protocol,
       "not HTTP/1.1"},
      {"gzip", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", ErrorCode::protocol,
       "Content-Encoding gzip"},
      {"gzip chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", ErrorCode::protocol,
       "Transfer-Encoding gzip, chunked"},
      {"a body over its limit by its length", "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", ErrorCode::too_long,
       "over 100 octets, the limit"},
      {"a body over its limit by its chunks",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + std::string(101, 'x') + "\r\n0\r\n\r\n",
       ErrorCode::too_long, "over 100 octets, the limit"},
      {"a length of 2^64", "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n", ErrorCode::protocol,
       "not HTTP/1.1"},
      {"a header that never ends", "HTTP/1.1 200 OK\r\n" + std::string(20'000, 'a'), ErrorCode::too_long,
       "16384 octets, the limit"},
      {"fields that never end",
       "HTTP/1.1 200 OK\r\n" +
           [] {
             std::string text;
             for (int i = 0; i < 2000; ++i) text += "X-Field: 12345\r\n";
             return text;
           }(),
       ErrorCode::too_long, "16384 octets, the limit"},
      {"a chunk line that never ends",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(40'000, 'a'), ErrorCode::too_long,
       "32768 octets, the limit"},
      {"interim answers without end", interim + interim + interim + interim + interim, ErrorCode::protocol,
       "more than 4 interim answers"},
      {"nothing", "", ErrorCode::closed, "before the header"},
      {"half a header", "HTTP/1.1 200 OK\r\nContent-", ErrorCode::closed, "before the header"},
      {"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", ErrorCode::closed, "after 5 octets"},
      {"chunks without the last", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
       ErrorCode::closed, "after 5 octets"},
      {"an interim answer alone", interim, ErrorCode::closed, "before the header"},
  };
  for (const auto &row : rows)
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, row.octets.size() + 1}) {
      SCOPED_TRACE(row.name);
      const auto answer = parse(row.octets, step);
      ASSERT_FALSE(answer) << answer->status << ' ' << answer->body;
      EXPECT_EQ(answer.error().code, row.code) << answer.error().detail;
      EXPECT_NE(answer.error().detail.find(row.why), std::string::npos) << answer.error().detail;
    }
}

TEST(HttpAnswerParser, a_body_that_ends_with_the_connection_where_that_cannot_be_forged) {
  const struct {
    const char *name;
    std::string octets;
    bool is_whole;
    std::string body;
  } rows[] = {
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello", true, "hello"},
      {"HTTP/1.1 with close", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", true, "hello"},
      {"an empty body", "HTTP/1.1 200 OK\r\n\r\n", true, ""},
      {"a body of its length is whole by that alone", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", false, ""},
      {"chunks without the last", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false, ""},
      {"half a header", "HTTP/1.1 200 OK\r\nConn", false, ""},
      {"an interim answer alone", "HTTP/1.1 103 Early Hints\r\n\r\n", false, ""},
  };
  for (const auto &row : rows)
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, row.octets.size()}) {
      SCOPED_TRACE(row.name);
      HttpAnswerParser parser(body_limit, mta::HttpBodyEnd::with_connection);
      for (std::size_t at = 0; at < row.octets.size(); at += step) {
        const auto done = parser.feed(std::string_view(row.octets).substr(at, step));
        ASSERT_TRUE(done) << done.error().detail;
        ASSERT_FALSE(*done);
      }
      ASSERT_EQ(parser.end(), row.is_whole);
      if (row.is_whole) {
        EXPECT_EQ(parser.take().body, row.body);
      }
    }
  HttpAnswerParser parser(body_limit, mta::HttpBodyEnd::with_connection);
  const auto over = parser.feed("HTTP/1.1 200 OK\r\n\r\n" + std::string(101, 'x'));
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, ErrorCode::too_long) << "the limit holds";
}

} // namespace answer_parser_test
