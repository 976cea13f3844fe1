// fetch: addresses, connection, TLS, request, answer; each step with the time that is left.
#include "mta/http/fetch.hpp"

#include <algorithm>
#include <optional>
#include <span>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "mta/base/version.hpp"
#include "mta/http/answer_parser.hpp"
#include "mta/net/connect.hpp"
#include "smtp/base/text.hpp"
#include "smtp/names/address_scope.hpp"
#include "tls/core/name_match.hpp"
#include "tls/stream.hpp"

namespace mta {

using smtp::DnsStatus;
using smtp::ErrorCode;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t address_limit = 8; ///< more addresses of one host are not tried
constexpr std::size_t read_size = 16'384;
constexpr unsigned reads_in_a_row = 8;

tl::unexpected<smtp::Error> fail_at(const HttpRequest &request, ErrorCode code, std::string_view why) {
  return smtp::fail(code, fmt::format("{}: {}", request.url.host, why));
}

double seconds_of(std::chrono::milliseconds time) {
  return std::chrono::duration<double>(time).count();
}

tl::unexpected<smtp::Error> too_late(const HttpRequest &request, std::string_view during) {
  return fail_at(request, ErrorCode::timed_out,
                 fmt::format("not done in {:g} s, the limit; {}", seconds_of(request.timeout), during));
}

/// Expires the stream when the time has come. The stream must outlive it; its timer may fire later and finds nothing.
class Deadline {
public:
  Deadline(const asio::any_io_executor &executor, tls::Stream &stream, Clock::time_point time)
      : stream_(std::make_shared<tls::Stream *>(&stream)), timer_(executor, time) {
    timer_.async_wait([stream = stream_](const boost::system::error_code &error) {
      if (!error && *stream != nullptr) (*stream)->expire();
    });
  }
  ~Deadline() { *stream_ = nullptr; }
  Deadline(const Deadline &) = delete;
  Deadline &operator=(const Deadline &) = delete;

private:
  std::shared_ptr<tls::Stream *> stream_;
  asio::steady_timer timer_;
};

using AddressAnswer = smtp::DnsAnswer<smtp::IpAddress>;

/// Both answers as one list, or the failure that weighs most: a look-up that failed may succeed later.
smtp::Result<std::vector<smtp::SocketAddress>> collect(const HttpRequest &request,
                                                       const std::vector<AddressAnswer> &answers) {
  std::vector<smtp::SocketAddress> addresses;
  std::string temporary;
  bool exists = false;
  for (const auto &answer : answers) {
    if (answer.status == DnsStatus::temporary) temporary = answer.detail;
    exists = exists || answer.status != DnsStatus::no_name;
    for (const auto &address : answer.records)
      if (answer.status == DnsStatus::ok && addresses.size() < address_limit)
        addresses.push_back({address, request.url.port});
  }
  if (!addresses.empty()) return addresses;
  if (!temporary.empty())
    return fail_at(request, ErrorCode::dns_temporary,
                   fmt::format("the address cannot be looked up now: {}", smtp::escape(temporary)));
  return fail_at(request, ErrorCode::dns_permanent, exists ? "the host has no address" : "the host does not exist");
}

/// What is left of the addresses without those that `only_global` forbids.
smtp::Result<std::vector<smtp::SocketAddress>> permit(const HttpRequest &request, const HttpServices &services,
                                                      std::vector<smtp::SocketAddress> addresses) {
  if (!services.only_global) return addresses;
  const smtp::IpAddress first = addresses.front().address;
  std::erase_if(addresses, [](const auto &one) { return !smtp::special_scope(one.address).empty(); });
  if (!addresses.empty()) return addresses;
  return fail_at(request, ErrorCode::not_permitted,
                 fmt::format("its address {} is not of the internet: {}; allow_private_addresses = false forbids it",
                             first.to_string(), smtp::special_scope(first)));
}

Task<smtp::Result<std::vector<smtp::SocketAddress>>> find_addresses(const HttpRequest &request,
                                                                    HttpServices &services) {
  using namespace asio::experimental::awaitable_operators;
  if (const auto literal = smtp::IpAddress::parse(request.url.host)) {
    std::vector<smtp::SocketAddress> one(1, smtp::SocketAddress{*literal, request.url.port});
    co_return permit(request, services, std::move(one));
  }
  std::vector<AddressAnswer> answers;
  const std::string &host = request.url.host;
  if (services.ipv4 && services.ipv6) {
    auto both = services.resolver.addresses_v6(host) && services.resolver.addresses_v4(host);
    auto [v6, v4] = co_await std::move(both);
    answers.push_back(std::move(v6));
    answers.push_back(std::move(v4));
  } else {
    auto question = services.ipv6 ? services.resolver.addresses_v6(host) : services.resolver.addresses_v4(host);
    auto answer = co_await std::move(question);
    answers.push_back(std::move(answer));
  }
  auto addresses = collect(request, answers);
  if (!addresses) co_return tl::unexpected(addresses.error());
  co_return permit(request, services, std::move(*addresses));
}

/// RFC 9110 section 4.3.4: the certificate must be valid for the host of the address, as RFC 6125 says.
smtp::Result<void> judge_certificate(const HttpRequest &request, const HttpServices &services,
                                     const tls::Stream &stream, tls::Facts &facts) {
  facts = stream.facts();
  facts.verdict = tls::verify_chain(stream.peer_chain().get(), *services.trust, tls::Purpose::server,
                                    std::chrono::system_clock::now());
  if (!facts.verdict->trusted)
    return fail_at(request, ErrorCode::tls, fmt::format("the certificate is not trusted: {}", facts.verdict->reason));
  const auto &names = facts.chain.front().dns_names;
  if (std::any_of(names.begin(), names.end(),
                  [&](const auto &name) { return tls::name_covers(name, request.url.host); }))
    return {};
  std::string carried;
  for (const auto &name : names) {
    if (carried.size() > 200) {
      carried += ", …";
      break;
    }
    carried += fmt::format("{}{}", carried.empty() ? "" : ", ", smtp::escape(name, 100));
  }
  return fail_at(request, ErrorCode::tls,
                 fmt::format("the certificate is not for this host but for {}", carried.empty() ? "no name" : carried));
}

/// RFC 9112 section 3: Connection: close, because the connection serves one request; nothing is asked for in a coding.
std::string format_head(const HttpRequest &request) {
  const bool post = request.method == HttpMethod::post;
  const Url &url = request.url;
  const bool v6 = url.host.find(':') != std::string::npos;
  const bool usual = url.port == (url.scheme == Url::Scheme::https ? 443 : 80);
  std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: {}{}{}", post ? "POST" : "GET", url.target, v6 ? "[" : "",
                                 url.host, v6 ? "]" : "");
  if (!usual) head += fmt::format(":{}", url.port);
  head += fmt::format("\r\nUser-Agent: Portcullis/{}\r\nAccept: */*\r\nConnection: close\r\n", version);
  if (post)
    head += fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", request.content_type, request.body.size());
  return head + "\r\n";
}

tl::unexpected<smtp::Error> wire_failure(const HttpRequest &request, const smtp::Error &error,
                                         std::string_view during) {
  if (error.code == ErrorCode::timed_out) return too_late(request, during);
  // A failure of TLS here is no verdict on the certificate.
  const auto code = error.code == ErrorCode::tls ? ErrorCode::protocol : error.code;
  return fail_at(request, code, fmt::format("{}: {}", during, smtp::escape(error.detail)));
}

Task<smtp::Result<HttpAnswer>> exchange(const HttpRequest &request, tls::Stream &stream) {
  const std::string head = format_head(request);
  auto written = co_await stream.write(head);
  if (written && request.method == HttpMethod::post) written = co_await stream.write(request.body);
  // A server may answer and close before it has read all of a body: its answer is still wanted.
  if (!written && (written.error().code == ErrorCode::timed_out || request.method == HttpMethod::get))
    co_return wire_failure(request, written.error(), "while the request was sent");

  HttpAnswerParser parser(request.max_body, stream.is_tls() ? HttpBodyEnd::with_connection : HttpBodyEnd::counted);
  std::vector<char> octets(read_size);
  const auto executor = co_await asio::this_coro::executor;
  for (unsigned reads = 1;; ++reads) {
    // A server that always has more must not keep the thread from others, nor from the deadline.
    if (reads % reads_in_a_row == 0) co_await asio::post(executor, asio::use_awaitable);
    const std::span<char> room(octets);
    auto got = co_await stream.read_some(room);
    if (!got && got.error().code == ErrorCode::closed) {
      if (stream.ended_in_order() && parser.end()) co_return parser.take();
      const auto cut = parser.cut();
      co_return fail_at(request, cut.code, cut.detail);
    }
    if (!got) co_return wire_failure(request, got.error(), "while the answer was read");
    auto done = parser.feed(std::string_view(octets.data(), *got));
    if (!done) co_return fail_at(request, done.error().code, done.error().detail);
    if (*done) co_return parser.take();
  }
}

Task<smtp::Result<HttpAnswer>> run(const HttpRequest &request, HttpServices &services) {
  const auto executor = co_await asio::this_coro::executor;
  const auto end = Clock::now() + request.timeout;
  const bool https = request.url.scheme == Url::Scheme::https;
  if (https && (!services.context || !services.trust))
    co_return fail_at(request, ErrorCode::not_permitted, "https is not set up here");

  auto addresses = co_await find_addresses(request, services);
  if (!addresses) co_return tl::unexpected(addresses.error());
  ConnectOptions options;
  options.timeout = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
  options.source_addresses = services.source_addresses;
  if (options.timeout <= std::chrono::milliseconds(0)) co_return too_late(request, "while its address was looked up");
  auto connected = co_await connect_to(std::move(*addresses), std::move(options));
  if (!connected.socket) {
    if (Clock::now() >= end)
      co_return too_late(request, fmt::format("no connection: {}", format_failures(connected.failures)));
    co_return fail_at(request, ErrorCode::io, fmt::format("no connection: {}", format_failures(connected.failures)));
  }

  tls::Stream stream(std::move(*connected.socket));
  const Deadline deadline(executor, stream, end);
  tls::Facts facts;
  if (https) {
    auto done = co_await stream.handshake(services.context, tls::Role::client, request.url.host);
    if (!done) co_return wire_failure(request, done.error(), "in the TLS handshake");
    auto good = judge_certificate(request, services, stream, facts);
    if (!good) co_return tl::unexpected(good.error());
  }
  auto answer = co_await exchange(request, stream);
  if (answer) answer->tls = std::move(facts);
  stream.close();
  co_return answer;
}

} // namespace

Task<smtp::Result<HttpAnswer>> fetch(HttpRequest request, HttpServices services) {
  std::string thrown;
  try {
    auto answer = co_await run(request, services);
    co_return answer;
  } catch (const std::exception &error) {
    thrown = error.what();
  }
  co_return fail_at(request, ErrorCode::io, smtp::escape(thrown));
}

} // namespace mta
