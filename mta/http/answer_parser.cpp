// HttpAnswerParser: Boost.Beast's parser, fed by hand; the one file that compiles it.
#include "mta/http/answer_parser.hpp"

#include <optional>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace mta {

namespace http = boost::beast::http;
using smtp::ErrorCode;

namespace {

using Parser = http::response_parser<http::string_body>;

/// RFC 9110 section 15.2: any number of them is allowed; more than this is no honest server.
constexpr int interim_limit = 4;
/// Of what Beast has not yet consumed: a header, or the line of a chunk with its extensions.
constexpr std::size_t pending_limit = std::size_t{2} * http_header_limit;
/// "0\r\n\r\n": until a body in chunks is complete, at least that much is still to come. Beast asserts that it never
/// sees less of a last chunk, which an answer with an empty body and a trailer brings about.
constexpr std::size_t shortest_chunk_end = 5;

tl::unexpected<smtp::Error> refuse(std::string text) {
  return smtp::fail(ErrorCode::protocol, std::move(text));
}

std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

/// The media type without parameters, RFC 9110 section 8.3.1.
std::string media_type(std::string_view field) {
  return smtp::to_lower(smtp::trim(field.substr(0, field.find(';'))));
}

} // namespace

struct HttpAnswerParser::Impl {
  Impl(std::uint64_t limit, bool by_connection) : max_body(limit), may_end_with_connection(by_connection) { start(); }

  void start() {
    parser.emplace();
    parser->header_limit(http_header_limit);
    parser->body_limit(max_body);
    parser->eager(false); // stops behind the header
  }

  [[nodiscard]] smtp::Error describe(const boost::system::error_code &error) const {
    if (error == http::error::header_limit)
      return {ErrorCode::too_long,
              fmt::format("the header of the answer is over {} octets, the limit", http_header_limit)};
    if (error == http::error::body_limit || error == http::error::buffer_overflow)
      return {ErrorCode::too_long, fmt::format("the body of the answer is over {} octets, the limit", max_body)};
    return {ErrorCode::protocol, fmt::format("the answer is not HTTP/1.1: {}", smtp::escape(error.message()))};
  }

  smtp::Result<bool> accept_header();

  std::uint64_t max_body;
  bool may_end_with_connection;
  std::optional<Parser> parser;
  std::string pending;
  int interim = 0;
  bool header_seen = false;
};

/// Behind the header: true when the answer is complete with it.
smtp::Result<bool> HttpAnswerParser::Impl::accept_header() {
  const auto &message = parser->get();
  const unsigned status = message.result_int();
  if (status < 200) {
    if (status == 101) return refuse("the server changes the protocol, which was not asked for");
    if (status < 100) return refuse(fmt::format("{} is not a status of HTTP", status));
    if (++interim > interim_limit) return refuse(fmt::format("more than {} interim answers, the limit", interim_limit));
    start();
    return false;
  }
  if (status > 599) return refuse(fmt::format("{} is not a status of HTTP", status));
  header_seen = true;
  if (status > 299) return true;
  // Neither was asked for; a body in a coding would be taken for the text itself.
  const auto coding = view(message[http::field::content_encoding]);
  if (!coding.empty() && !smtp::equals_ignoring_case(coding, "identity"))
    return refuse(
        fmt::format("the body comes with Content-Encoding {}, which was not asked for", smtp::escape(coding, 40)));
  const auto transfer = view(message[http::field::transfer_encoding]);
  if (!transfer.empty() && !smtp::equals_ignoring_case(transfer, "chunked"))
    return refuse(
        fmt::format("the body comes with Transfer-Encoding {}, which was not asked for", smtp::escape(transfer, 40)));
  if (parser->need_eof() && !may_end_with_connection)
    return refuse(
        "the answer has neither Content-Length nor Transfer-Encoding: a cut body could not be told from a whole one");
  parser->eager(true);
  return parser->is_done();
}

HttpAnswerParser::HttpAnswerParser(std::uint64_t max_body, HttpBodyEnd end)
    : impl_(std::make_unique<Impl>(max_body, end == HttpBodyEnd::with_connection)) {}
HttpAnswerParser::~HttpAnswerParser() = default;
HttpAnswerParser::HttpAnswerParser(HttpAnswerParser &&) noexcept = default;
HttpAnswerParser &HttpAnswerParser::operator=(HttpAnswerParser &&) noexcept = default;

smtp::Result<bool> HttpAnswerParser::feed(std::string_view octets) {
  Impl &impl = *impl_;
  impl.pending.append(octets);
  std::size_t used = 0;
  bool done = false;
  while (!done && used < impl.pending.size()) {
    if (impl.header_seen && impl.parser->chunked() && impl.pending.size() - used < shortest_chunk_end) break;
    boost::system::error_code error;
    const auto rest = boost::asio::buffer(impl.pending.data() + used, impl.pending.size() - used);
    used += impl.parser->put(rest, error);
    if (error == http::error::body_limit && !impl.header_seen && impl.parser->get().result_int() > 299 &&
        impl.parser->get().result_int() < 600) {
      impl.header_seen = true; // a body that nobody reads may be of any length
      return true;
    }
    const bool more = error == http::error::need_more;
    if (error && !more) return tl::unexpected(impl.describe(error));
    if (!impl.header_seen && impl.parser->is_header_done()) {
      const auto complete = impl.accept_header();
      if (!complete) return complete;
      done = *complete;
      continue;
    }
    done = impl.header_seen && impl.parser->is_done();
    if (more) break;
  }
  impl.pending.erase(0, used);
  if (!done && impl.pending.size() > pending_limit)
    return smtp::fail(ErrorCode::too_long,
                      fmt::format("a line of the answer is over {} octets, the limit", pending_limit));
  return done;
}

bool HttpAnswerParser::end() {
  Impl &impl = *impl_;
  if (!impl.header_seen || !impl.pending.empty() || !impl.parser->need_eof()) return false;
  boost::system::error_code error;
  impl.parser->put_eof(error);
  return !error && impl.parser->is_done();
}

HttpAnswer HttpAnswerParser::take() {
  auto &message = impl_->parser->get();
  HttpAnswer answer;
  answer.status = message.result_int();
  answer.reason = std::string(view(message.reason()));
  answer.content_type = media_type(view(message[http::field::content_type]));
  if (answer.status <= 299) answer.body = std::move(message.body());
  return answer;
}

smtp::Error HttpAnswerParser::cut() const {
  if (!impl_->header_seen) return {ErrorCode::closed, "the connection ended before the header of the answer did"};
  return {ErrorCode::closed, fmt::format("the connection ended within the body of the answer, after {} octets",
                                         impl_->parser->get().body().size())};
}

} // namespace mta
