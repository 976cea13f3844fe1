// load: an SMTP load generator; counts, rates and latency percentiles as one JSON object.
//
// Every message carries "X-Load-Id: NUMBER", by which the sink (sink.cpp) finds losses and duplicates. The commands of
// one message go out one by one, as smtp-source of Postfix sends them, or pipelined with --pipeline.
#include <atomic>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "tests/bench/figures.hpp"
#include "tls/context.hpp"
#include "tls/stream.hpp"

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

struct Options {
  std::string host = "127.0.0.1";
  std::uint16_t port = 25;
  std::size_t sessions = 1;
  std::uint64_t messages = 1000;
  std::uint64_t first_id = 0;
  std::size_t per_connection = 0; ///< 0: as many as there are
  std::size_t size = 5120;
  std::size_t threads = 1;
  bool starttls = false;
  bool pipeline = false;
  std::string sender = "load@source.example";
  std::string recipient = "user@sink.example";
  std::string message;     ///< a whole message with CRLF ends and stuffed dots, sent behind X-Load-Id; empty: made here
  std::size_t domains = 1; ///< recipient domains d0.… to dN-1.…; 1: as given
  double idle_seconds = 0; ///< open the sessions (greeted, in TLS) and hold them so long, sending nothing
  std::shared_ptr<const tls::Context> context;
};

struct Totals {
  std::atomic<std::uint64_t> next{0};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> broken{0};
  std::atomic<std::uint64_t> idle{0};
};

/// One connection with a reader of replies.
class Client {
public:
  explicit Client(tcp::socket socket) : stream_(std::move(socket)) {}

  /// The code of the next reply, 0 when the connection broke.
  asio::awaitable<int> reply() {
    for (;;) {
      std::size_t start = 0;
      for (;;) {
        const auto end = buffer_.find("\r\n", start);
        if (end == std::string::npos) break;
        if (end - start >= 4 && buffer_[start + 3] == '-') {
          start = end + 2;
          continue;
        }
        const int code = std::atoi(buffer_.substr(start, 3).c_str());
        buffer_.erase(0, end + 2);
        co_return code;
      }
      char octets[4096];
      const auto count = co_await stream_.read_some(std::span<char>(octets, sizeof octets));
      if (!count) co_return 0;
      buffer_.append(octets, *count);
    }
  }

  asio::awaitable<bool> send(std::string_view octets) {
    const auto sent = co_await stream_.write(octets);
    co_return sent.has_value();
  }

  asio::awaitable<bool> greet(const Options &options) {
    const int banner = co_await reply();
    if (banner != 220) co_return false;
    co_await send("EHLO load.source.example\r\n");
    int code = co_await reply();
    if (code != 250) co_return false;
    if (!options.starttls) co_return true;
    co_await send("STARTTLS\r\n");
    code = co_await reply();
    if (code != 220) co_return false;
    std::string name; // no SNI
    const auto shaken = co_await stream_.handshake(options.context, tls::Role::client, std::move(name));
    if (!shaken) co_return false;
    co_await send("EHLO load.source.example\r\n");
    code = co_await reply();
    co_return code == 250;
  }

private:
  tls::Stream stream_;
  std::string buffer_;
};

std::string make_body(std::size_t size) {
  std::string body;
  const std::string line = "The quick brown fox jumps over the lazy dog, again and again and again.\r\n";
  while (body.size() + line.size() <= size) body += line;
  return body;
}

std::string recipient_of(const Options &options, std::uint64_t id) {
  if (options.domains <= 1) return options.recipient;
  const auto at = options.recipient.find('@');
  return fmt::format("{}@d{}.{}", options.recipient.substr(0, at), id % options.domains,
                     options.recipient.substr(at + 1));
}

/// One message; 250 when taken, another code when refused, 0 when the connection broke.
asio::awaitable<int> send_message(Client &client, const Options &options, std::uint64_t id, const std::string &body) {
  const std::string mail = fmt::format("MAIL FROM:<{}>\r\n", options.sender);
  const std::string rcpt = fmt::format("RCPT TO:<{}>\r\n", recipient_of(options, id));
  std::string message =
      options.message.empty() ? std::string() : fmt::format("X-Load-Id: {}\r\n{}", id, options.message);
  if (message.empty())
    message = fmt::format("From: <{}>\r\nTo: <{}>\r\nSubject: load {}\r\nX-Load-Id: {}\r\n"
                          "Date: Sun, 22 Nov 2026 00:00:00 +0000\r\nMessage-ID: <{}@source.example>\r\n\r\n",
                          options.sender, recipient_of(options, id), id, id, id);
  if (options.message.empty()) message += body;
  message += ".\r\n";
  int worst = 0;
  if (options.pipeline) {
    const std::string all = mail + rcpt + "DATA\r\n";
    co_await client.send(all);
    const int first = co_await client.reply();
    const int second = co_await client.reply();
    const int third = co_await client.reply();
    if (first != 250 || second != 250 || third != 354) co_return first != 250 ? first : second != 250 ? second : third;
  } else {
    co_await client.send(mail);
    worst = co_await client.reply();
    if (worst != 250) co_return worst;
    co_await client.send(rcpt);
    worst = co_await client.reply();
    if (worst != 250) co_return worst;
    co_await client.send("DATA\r\n");
    worst = co_await client.reply();
    if (worst != 354) co_return worst;
  }
  co_await client.send(message);
  co_return co_await client.reply();
}

asio::awaitable<void> hold_idle(Client &client, const Options &options, Totals &totals) {
  totals.idle.fetch_add(1);
  auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor, std::chrono::milliseconds(static_cast<std::int64_t>(options.idle_seconds * 1000)));
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_await client.send("QUIT\r\n");
  co_await client.reply();
}

asio::awaitable<void> run_session(const Options &options, Totals &totals, bench::Latencies &latencies,
                                  const std::string &body) {
  auto executor = co_await asio::this_coro::executor;
  const auto target = tcp::endpoint(asio::ip::make_address(options.host), options.port);
  while (options.idle_seconds > 0 || totals.next.load() < options.messages) {
    tcp::socket socket(executor);
    const auto [error] = co_await socket.async_connect(target, asio::as_tuple(asio::use_awaitable));
    if (error) {
      totals.broken.fetch_add(1);
      co_return;
    }
    Client client(std::move(socket));
    const bool greeted = co_await client.greet(options);
    if (!greeted) {
      totals.broken.fetch_add(1);
      co_return;
    }
    if (options.idle_seconds > 0) {
      co_await hold_idle(client, options, totals);
      co_return;
    }
    for (std::size_t sent = 0; options.per_connection == 0 || sent < options.per_connection; ++sent) {
      const auto number = totals.next.fetch_add(1);
      if (number >= options.messages) break;
      const auto started = bench::Clock::now();
      const int code = co_await send_message(client, options, options.first_id + number, body);
      if (code == 250) {
        totals.accepted.fetch_add(1);
        latencies.add(bench::Clock::now() - started);
      } else if (code == 0) {
        totals.broken.fetch_add(1);
        co_return;
      } else {
        totals.refused.fetch_add(1);
        if (code == 421) co_return;
        co_await client.send("RSET\r\n");
        co_await client.reply();
      }
    }
    co_await client.send("QUIT\r\n");
    co_await client.reply();
  }
}

} // namespace

int main(int count, char **arguments) {
  Options options;
  std::string id_note;
  CLI::App app{"Sends messages over SMTP as fast as the server takes them, and prints figures as JSON."};
  app.add_option("--host", options.host, "address");
  app.add_option("--port", options.port, "port")->required();
  app.add_option("--sessions", options.sessions, "connections at once");
  app.add_option("--messages", options.messages, "in total");
  app.add_option("--first-id", options.first_id, "number of the first message");
  app.add_option("--per-connection", options.per_connection, "messages per connection; 0: no limit");
  app.add_option("--size", options.size, "octets of body");
  app.add_option("--threads", options.threads, "threads");
  app.add_flag("--starttls", options.starttls, "upgrade each connection");
  app.add_flag("--pipeline", options.pipeline, "MAIL, RCPT and DATA in one write");
  app.add_option("--sender", options.sender, "envelope sender");
  app.add_option("--recipient", options.recipient, "envelope recipient");
  std::string message_file;
  app.add_option("--message", message_file, "a file with the message to send: CRLF ends, dots stuffed");
  app.add_option("--domains", options.domains, "spread over d0. to dN-1. of the recipient's domain");
  app.add_option("--idle", options.idle_seconds, "hold the sessions idle for so many seconds instead of sending");
  CLI11_PARSE(app, count, arguments);
  if (options.starttls) {
    auto context = tls::Context::client({"internet", std::nullopt});
    if (!context) {
      std::fprintf(stderr, "load: %s\n", context.error().detail.c_str());
      return 2;
    }
    options.context = *context;
  }
  if (!message_file.empty()) {
    std::ifstream file(message_file, std::ios::binary);
    options.message.assign(std::istreambuf_iterator<char>(file), {});
    if (options.message.empty()) {
      std::fprintf(stderr, "load: %s: cannot be read\n", message_file.c_str());
      return 2;
    }
  }
  const std::string body = make_body(options.size);
  Totals totals;
  std::vector<bench::Latencies> latencies(options.sessions);
  const auto started = bench::Clock::now();
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<asio::io_context>> contexts;
  for (std::size_t i = 0; i < options.threads; ++i) contexts.push_back(std::make_unique<asio::io_context>(1));
  for (std::size_t i = 0; i < options.sessions; ++i)
    asio::co_spawn(*contexts[i % contexts.size()], run_session(options, totals, latencies[i], body), asio::detached);
  if (options.idle_seconds > 0) { // tells the script when all sessions are open
    threads.emplace_back([&totals, &options] {
      while (totals.idle.load() + totals.broken.load() < options.sessions)
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      std::printf("{\"idle\": %llu}\n", static_cast<unsigned long long>(totals.idle.load()));
      std::fflush(stdout);
    });
  }
  for (auto &context : contexts) threads.emplace_back([&context] { context->run(); });
  for (auto &thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(bench::Clock::now() - started).count();
  bench::Latencies all;
  for (const auto &part : latencies) all.merge(part);
  fmt::print("{{\"accepted\": {}, \"refused\": {}, \"broken\": {}, \"seconds\": {:.3f}, \"per_second\": {:.1f}, "
             "\"p50_ms\": {:.2f}, \"p95_ms\": {:.2f}, \"p99_ms\": {:.2f}, \"max_ms\": {:.2f}}}\n",
             totals.accepted.load(), totals.refused.load(), totals.broken.load(), seconds,
             static_cast<double>(totals.accepted.load()) / seconds, all.percentile(0.5), all.percentile(0.95),
             all.percentile(0.99), all.percentile(1.0));
  return totals.broken.load() == 0 ? 0 : 1;
}
