// sink: an SMTP server that throws mail away and counts it by X-Load-Id, so that losses and duplicates show.
//
// Prints {"port": N} when it listens, and one JSON object with its counts when --expect messages have come or on
// SIGTERM.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "smtp/base/text.hpp"
#include "tests/bench/figures.hpp"
#include "tls/context.hpp"
#include "tls/stream.hpp"

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

/// What has come. One thread.
struct Counts {
  std::vector<std::uint8_t> seen; ///< by id, saturating
  std::uint64_t messages = 0;
  std::uint64_t unique = 0;
  std::uint64_t octets = 0;
  std::uint64_t connections = 0;
  std::uint64_t open = 0;
  std::uint64_t most_open = 0;
  std::uint64_t encrypted = 0;
  std::uint64_t without_id = 0;
  bench::Clock::time_point first, last;
  std::vector<std::uint32_t> order; ///< ids as they came, for --order

  void add(std::string_view header, std::size_t size, bool tls) {
    last = bench::Clock::now();
    if (messages++ == 0) first = last;
    octets += size;
    if (tls) ++encrypted;
    const auto at = header.find("X-Load-Id: ");
    if (at == std::string_view::npos) {
      ++without_id;
      return;
    }
    const auto id = std::strtoull(header.data() + at + 11, nullptr, 10);
    if (id >= 100'000'000) return;
    if (id >= seen.size()) seen.resize(id + 1'000);
    if (seen[id] == 0) {
      ++unique;
      order.push_back(static_cast<std::uint32_t>(id));
    }
    if (seen[id] < 255) ++seen[id];
  }
};

struct Sink {
  Counts counts;
  std::shared_ptr<const tls::Context> context;
  std::uint64_t expect = 0;
  asio::io_context io{1};
};

/// Takes the octets of one connection apart; replies are gathered and sent together.
class Session {
public:
  Session(Sink &sink, tcp::socket socket) : sink_(sink), stream_(std::move(socket)) {
    sink_.counts.connections++;
    sink_.counts.most_open = std::max(sink_.counts.most_open, ++sink_.counts.open);
  }
  ~Session() { --sink_.counts.open; }
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  asio::awaitable<void> run() {
    out_ = "220 sink.example ESMTP\r\n";
    while (!done_) {
      if (!out_.empty()) {
        const std::string out = std::move(out_);
        out_.clear();
        const auto sent = co_await stream_.write(out);
        if (!sent) co_return;
      }
      if (start_tls_) {
        start_tls_ = false;
        std::string name;
        const auto shaken = co_await stream_.handshake(sink_.context, tls::Role::server, std::move(name));
        if (!shaken) co_return;
        in_.clear();
      }
      char octets[65536];
      const auto count = co_await stream_.read_some(std::span<char>(octets, sizeof octets));
      if (!count) co_return;
      in_.append(octets, *count);
      consume();
    }
    if (!out_.empty()) co_await stream_.write(out_);
  }

private:
  void consume() {
    while (!done_ && !start_tls_) {
      if (chunk_ > 0) {
        if (!take_chunk()) return;
        continue;
      }
      if (in_data_) {
        if (!take_data()) return;
        continue;
      }
      const auto end = in_.find("\r\n");
      if (end == std::string::npos) return;
      const std::string line = in_.substr(0, end);
      in_.erase(0, end + 2);
      command(line);
    }
  }

  bool take_data() {
    const auto end = in_.starts_with(".\r\n") ? 0 : in_.find("\r\n.\r\n", scanned_);
    if (end == std::string::npos) {
      scanned_ = in_.size() < 4 ? 0 : in_.size() - 4;
      return false;
    }
    finish(std::string_view(in_).substr(0, end));
    in_.erase(0, end == 0 && in_.starts_with(".\r\n") ? 3 : end + 5);
    in_data_ = false;
    return true;
  }

  bool take_chunk() {
    if (in_.size() < chunk_) return false;
    body_.append(in_, 0, chunk_);
    in_.erase(0, chunk_);
    chunk_ = 0;
    end_of_chunk();
    return true;
  }

  void end_of_chunk() {
    if (!last_chunk_) {
      out_ += "250 2.0.0 chunk\r\n";
      return;
    }
    finish(body_);
    body_.clear();
  }

  void finish(std::string_view message) {
    const auto header = message.substr(0, std::min<std::size_t>(message.size(), 4096));
    sink_.counts.add(std::string(header), message.size(), stream_.is_tls());
    out_ += "250 2.0.0 taken\r\n";
    if (sink_.expect != 0 && sink_.counts.unique >= sink_.expect) sink_.io.stop();
  }

  void command(const std::string &line) {
    if (smtp::starts_with_ignoring_case(line, "EHLO")) {
      out_ += "250-sink.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-"
              "ENHANCEDSTATUSCODES\r\n";
      if (sink_.context && !stream_.is_tls()) out_ += "250-STARTTLS\r\n";
      out_ += "250 HELP\r\n";
    } else if (smtp::starts_with_ignoring_case(line, "STARTTLS") && sink_.context && !stream_.is_tls()) {
      out_ += "220 2.0.0 go\r\n";
      start_tls_ = true;
    } else if (smtp::starts_with_ignoring_case(line, "DATA")) {
      out_ += "354 go on\r\n";
      in_data_ = true;
      scanned_ = 0;
    } else if (smtp::starts_with_ignoring_case(line, "BDAT ")) {
      chunk_ = std::strtoull(line.c_str() + 5, nullptr, 10);
      last_chunk_ = line.size() > 5 && line.find("LAST") != std::string::npos;
      if (chunk_ == 0) end_of_chunk();
    } else if (smtp::starts_with_ignoring_case(line, "QUIT")) {
      out_ += "221 2.0.0 bye\r\n";
      done_ = true;
    } else {
      out_ += "250 2.0.0 ok\r\n";
    }
  }

  Sink &sink_;
  tls::Stream stream_;
  std::string in_, out_, body_;
  std::size_t chunk_ = 0, scanned_ = 0;
  bool last_chunk_ = false, in_data_ = false, done_ = false, start_tls_ = false;
};

asio::awaitable<void> serve(Sink &sink, tcp::socket socket) {
  Session session(sink, std::move(socket));
  co_await session.run();
}

asio::awaitable<void> accept_loop(Sink &sink, tcp::acceptor &acceptor) {
  for (;;) {
    auto [error, socket] = co_await acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
    if (error == asio::error::operation_aborted) co_return;
    if (!error) asio::co_spawn(sink.io, serve(sink, std::move(socket)), asio::detached);
  }
}

void print(const Counts &counts, std::uint64_t expect) {
  std::uint64_t duplicates = 0;
  std::uint64_t missing = 0;
  for (std::size_t id = 0; id < counts.seen.size(); ++id) {
    if (counts.seen[id] > 1) duplicates += counts.seen[id] - 1U;
    if (id < expect && counts.seen[id] == 0) ++missing;
  }
  if (expect > counts.seen.size()) missing += expect - counts.seen.size();
  const double seconds = std::chrono::duration<double>(counts.last - counts.first).count();
  fmt::print(
      "{{\"messages\": {}, \"unique\": {}, \"duplicates\": {}, \"missing\": {}, \"without_id\": {}, \"encrypted\": {}, "
      "\"octets\": {}, \"connections\": {}, \"most_open\": {}, \"seconds\": {:.3f}, \"per_second\": {:.1f}}}\n",
      counts.messages, counts.unique, duplicates, missing, counts.without_id, counts.encrypted, counts.octets,
      counts.connections, counts.most_open, seconds,
      seconds > 0 ? static_cast<double>(counts.messages) / seconds : 0.0);
}

} // namespace

int main(int count, char **arguments) {
  Sink sink;
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
  std::string certificate;
  std::string key;
  std::string order;
  CLI::App app{"Takes mail over SMTP, throws it away and counts it by X-Load-Id."};
  app.add_option("--address", address, "where to listen");
  app.add_option("--port", port, "0: any");
  app.add_option("--certificate", certificate, "offers STARTTLS with this chain");
  app.add_option("--key", key, "its key");
  app.add_option("--order", order, "write the ids here in the order in which they came, one a line");
  app.add_option("--expect", sink.expect, "end when messages 0 to N-1 have all come");
  CLI11_PARSE(app, count, arguments);
  if (!certificate.empty()) {
    tls::ServerContextOptions options;
    options.certificates.push_back({certificate, key});
    auto context = tls::Context::server(options, std::make_shared<tls::TicketKeys>());
    if (!context) {
      std::fprintf(stderr, "sink: %s\n", context.error().detail.c_str());
      return 2;
    }
    sink.context = *context;
  }
  std::signal(SIGPIPE, SIG_IGN);
  tcp::acceptor acceptor(sink.io, tcp::endpoint(asio::ip::make_address(address), port));
  fmt::print("{{\"port\": {}}}\n", acceptor.local_endpoint().port());
  std::fflush(stdout);
  asio::signal_set signals(sink.io, SIGTERM, SIGINT);
  signals.async_wait([&sink](const boost::system::error_code &, int) { sink.io.stop(); });
  asio::co_spawn(sink.io, accept_loop(sink, acceptor), asio::detached);
  sink.io.run();
  // Replies that are under way still go out, so that no message is sent again for the want of its 250.
  for (int i = 0; i < 50 && sink.counts.open > 0; ++i) {
    sink.io.restart();
    sink.io.run_for(std::chrono::milliseconds(20));
  }
  print(sink.counts, sink.expect);
  if (!order.empty()) {
    std::FILE *file = std::fopen(order.c_str(), "w");
    if (!file) return 2;
    for (const auto id : sink.counts.order) std::fprintf(file, "%u\n", id);
    std::fclose(file);
  }
  return 0;
}
