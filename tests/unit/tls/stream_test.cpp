#include "tls/stream.hpp"

#include <atomic>
#include <vector>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/support/stream_pair.hpp"
#include "tests/support/test_ca.hpp"
#include "tls/context.hpp"

namespace stream_test {

using smtp::ErrorCode;
using test::finish;
using test::run;
using test::settle;
using test::StreamPair;
namespace asio = boost::asio;

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * 7 + i / 251) % 26);
  return text;
}

asio::awaitable<smtp::Result<std::size_t>> write_for_ever(tls::Stream &stream) {
  const std::string text = pattern(100'000);
  while (true) {
    const auto done = co_await stream.write(text);
    if (!done) co_return tl::unexpected(done.error());
  }
}

/// Contexts are made once: keys take long under the sanitizers.
class Stream : public testing::Test {
protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<test::TempFolder>();
    const test::TestCa ca;
    test::Leaf leaf = ca.issue({.names = {"mx.example.org"}});
    leaf.write_to(*folder_, "leaf");
    server_ = tls::Context::server({.certificates = {{leaf.chain_file, leaf.key_file}}, .client_ca_hints = ""},
                                   std::make_shared<tls::TicketKeys>())
                  .value();
    tls12_ = tls::Context::server(
                 {.profile = "suite-b-1", .certificates = {{leaf.chain_file, leaf.key_file}}, .client_ca_hints = ""},
                 std::make_shared<tls::TicketKeys>())
                 .value();
    client_ = tls::Context::client({}).value();
  }
  static void TearDownTestSuite() {
    server_.reset();
    tls12_.reset();
    client_.reset();
    folder_.reset();
  }
  static void secure(StreamPair &pair, const std::shared_ptr<const tls::Context> &server = server_) {
    const auto done = pair.handshake(client_, server);
    ASSERT_TRUE(done.ok()) << done.text();
  }

  static std::unique_ptr<test::TempFolder> folder_;
  static std::shared_ptr<const tls::Context> server_;
  static std::shared_ptr<const tls::Context> tls12_;
  static std::shared_ptr<const tls::Context> client_;
};
std::unique_ptr<test::TempFolder> Stream::folder_;
std::shared_ptr<const tls::Context> Stream::server_;
std::shared_ptr<const tls::Context> Stream::tls12_;
std::shared_ptr<const tls::Context> Stream::client_;

/// Each promise that does not depend on TLS is held to in clear, with TLS 1.2 and with TLS 1.3.
enum class Mode { clear, tls1_2, tls1_3 };
class AnyStream : public Stream, public testing::WithParamInterface<Mode> {
protected:
  static void prepare(StreamPair &pair) {
    switch (GetParam()) {
    case Mode::clear: break;
    case Mode::tls1_2: secure(pair, tls12_); break;
    case Mode::tls1_3: secure(pair); break;
    }
    EXPECT_EQ(pair.client->is_tls(), GetParam() != Mode::clear);
  }
};
INSTANTIATE_TEST_SUITE_P(mode, AnyStream, testing::Values(Mode::clear, Mode::tls1_2, Mode::tls1_3),
                         [](const auto &each) -> std::string {
                           return each.param == Mode::clear    ? "clear"
                                  : each.param == Mode::tls1_2 ? "tls_1_2"
                                                               : "tls_1_3";
                         });

TEST_P(AnyStream, carries_octets_both_ways_and_knows_the_end) {
  StreamPair pair;
  prepare(pair);
  ASSERT_TRUE(run(pair.io, pair.client->write("EHLO client.example\r\n")));
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.server, 21)).value(), "EHLO client.example\r\n");
  ASSERT_TRUE(run(pair.io, pair.server->write("250 hello\r\n")));
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.client, 11)).value(), "250 hello\r\n");
  ASSERT_TRUE(run(pair.io, pair.server->write("")));
  pair.server->close();
  EXPECT_FALSE(pair.server->is_open());
  const auto end = run(pair.io, test::read_exactly(*pair.client, 1));
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, ErrorCode::closed);
  EXPECT_EQ(end.error().detail, "the peer closed the connection");
}

TEST_P(AnyStream, a_read_waits_for_what_comes_later) {
  StreamPair pair;
  prepare(pair);
  for (int round = 0; round < 3; ++round) {
    auto reading = test::start(pair.io, test::read_exactly(*pair.server, 6));
    settle(pair.io);
    EXPECT_FALSE(reading->has_value());
    ASSERT_TRUE(run(pair.io, pair.client->write("NOOP\r\n")));
    EXPECT_EQ(finish(pair.io, reading).value(), "NOOP\r\n");
  }
}

TEST_P(AnyStream, large_writes_both_ways_at_once_through_small_socket_buffers) {
  StreamPair pair;
  for (tls::Stream *stream : {&*pair.client, &*pair.server}) {
    stream->socket().set_option(asio::socket_base::send_buffer_size(4096));
  }
  prepare(pair);
  const std::string text = pattern(1'500'000);
  auto up = test::start(pair.io, pair.client->write(text));
  auto down = test::start(pair.io, pair.server->write(text));
  auto at_server = test::start(pair.io, test::read_exactly(*pair.server, text.size()));
  auto at_client = test::start(pair.io, test::read_exactly(*pair.client, text.size()));
  EXPECT_TRUE(finish(pair.io, up));
  EXPECT_TRUE(finish(pair.io, down));
  EXPECT_TRUE(finish(pair.io, at_server).value() == text);
  EXPECT_TRUE(finish(pair.io, at_client).value() == text);
}

TEST_P(AnyStream, expire_ends_a_pending_read_and_every_later_operation) {
  StreamPair pair;
  prepare(pair);
  auto reading = test::start(pair.io, test::read_exactly(*pair.server, 1));
  settle(pair.io);
  pair.server->expire();
  const auto result = finish(pair.io, reading);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::timed_out);
  ASSERT_TRUE(run(pair.io, pair.client->write("late")));
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.server, 4)).error().code, ErrorCode::timed_out);
  EXPECT_EQ(run(pair.io, pair.server->write("x")).error().code, ErrorCode::timed_out);
  EXPECT_EQ(run(pair.io, pair.server->wait_readable()).error().code, ErrorCode::timed_out);
  EXPECT_FALSE(pair.server->readable_now());
  pair.server->close();
}

TEST_P(AnyStream, expire_ends_a_wait) {
  StreamPair pair;
  prepare(pair);
  auto waiting = test::start(pair.io, pair.server->wait_readable());
  settle(pair.io);
  EXPECT_FALSE(waiting->has_value());
  pair.server->expire();
  EXPECT_EQ(finish(pair.io, waiting).error().code, ErrorCode::timed_out);
}

TEST_P(AnyStream, expire_ends_a_write_to_a_peer_that_stalls) {
  StreamPair pair;
  prepare(pair);
  auto writing = test::start(pair.io, write_for_ever(*pair.server));
  settle(pair.io);
  EXPECT_FALSE(writing->has_value()) << "the peer reads nothing";
  pair.server->expire();
  EXPECT_EQ(finish(pair.io, writing).error().code, ErrorCode::timed_out);
  pair.server->close();
}

TEST_P(AnyStream, close_ends_a_pending_read_and_every_later_operation) {
  StreamPair pair;
  prepare(pair);
  auto reading = test::start(pair.io, test::read_exactly(*pair.server, 1));
  settle(pair.io);
  pair.server->close();
  EXPECT_EQ(finish(pair.io, reading).error().code, ErrorCode::closed);
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.server, 1)).error().code, ErrorCode::closed);
  EXPECT_EQ(run(pair.io, pair.server->write("x")).error().code, ErrorCode::closed);
  pair.server->close();
  pair.server->expire();
  EXPECT_FALSE(pair.server->is_open());
}

TEST_P(AnyStream, a_write_to_a_peer_that_is_gone_is_an_error_and_no_signal) {
  StreamPair pair;
  prepare(pair);
  pair.client->close();
  const auto result = run(pair.io, write_for_ever(*pair.server));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::closed) << result.error().detail;
}

TEST_P(AnyStream, what_was_said_before_the_close_arrives_though_the_other_side_was_still_talking) {
  StreamPair pair;
  prepare(pair);
  ASSERT_TRUE(run(pair.io, pair.client->write(pattern(50'000))));
  ASSERT_TRUE(run(pair.io, pair.server->write("421 too much\r\n")));
  pair.server->close();
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.client, 14)).value(), "421 too much\r\n");
  int reset = -1;
  socklen_t size = sizeof reset;
  ASSERT_EQ(::getsockopt(pair.client->socket().native_handle(), SOL_SOCKET, SO_ERROR, &reset, &size), 0);
  EXPECT_EQ(reset, 0) << "a reset could have overtaken the reply and destroyed it";
}

TEST_P(AnyStream, readable_now_sees_only_what_could_be_read) {
  StreamPair pair;
  prepare(pair);
  EXPECT_FALSE(pair.server->readable_now());
  EXPECT_FALSE(pair.client->readable_now());
  ASSERT_TRUE(run(pair.io, pair.client->write("early")));
  EXPECT_TRUE(pair.server->readable_now());
  EXPECT_TRUE(pair.server->readable_now()) << "looking takes nothing away";
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.server, 2)).value(), "ea");
  EXPECT_TRUE(pair.server->readable_now()) << "the rest may be in the record that was already read";
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.server, 3)).value(), "rly");
  EXPECT_FALSE(pair.server->readable_now());
}

TEST_P(AnyStream, wait_readable_returns_at_once_for_the_rest_of_a_record) {
  StreamPair pair;
  prepare(pair);
  ASSERT_TRUE(run(pair.io, pair.client->write("NOOP\r\n")));
  ASSERT_TRUE(run(pair.io, pair.client->write("RSET\r\n")));
  ASSERT_TRUE(run(pair.io, pair.server->wait_readable()));
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.server, 1)).value(), "N");
  ASSERT_TRUE(run(pair.io, pair.server->wait_readable()));
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.server, 5)).value(), "OOP\r\n");
  ASSERT_TRUE(run(pair.io, pair.server->wait_readable()));
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.server, 6)).value(), "RSET\r\n");
  auto waiting = test::start(pair.io, pair.server->wait_readable());
  settle(pair.io);
  EXPECT_FALSE(waiting->has_value());
  ASSERT_TRUE(run(pair.io, pair.client->write("QUIT\r\n")));
  EXPECT_TRUE(finish(pair.io, waiting));
}

TEST_P(AnyStream, the_end_wakes_a_wait) {
  StreamPair pair;
  prepare(pair);
  auto waiting = test::start(pair.io, pair.server->wait_readable());
  settle(pair.io);
  pair.client->close();
  (void)finish(pair.io, waiting);
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.server, 1)).error().code, ErrorCode::closed);
}

asio::awaitable<smtp::Result<int>> count_turns(asio::io_context &io, std::shared_ptr<bool> stop) {
  int turns = 0;
  while (!*stop) {
    co_await asio::post(io, asio::use_awaitable);
    ++turns;
  }
  co_return turns;
}

asio::awaitable<smtp::Result<void>> read_slowly(tls::Stream &stream, std::size_t size, std::shared_ptr<bool> stop) {
  char octet = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const std::span<char> one(&octet, 1);
    const auto got = co_await stream.read_some(one);
    if (!got) co_return tl::unexpected(got.error());
  }
  *stop = true;
  co_return smtp::Result<void>();
}

TEST_P(AnyStream, a_stream_that_never_has_to_wait_lets_others_run) {
  StreamPair pair;
  prepare(pair);
  ASSERT_TRUE(run(pair.io, pair.client->write(pattern(2000))));
  auto stop = std::make_shared<bool>(false);
  auto reading = test::start(pair.io, read_slowly(*pair.server, 2000, stop));
  auto turns = test::start(pair.io, count_turns(pair.io, stop));
  ASSERT_TRUE(finish(pair.io, reading));
  EXPECT_GE(finish(pair.io, turns).value(), 10);
}

TEST_P(AnyStream, moves_with_its_state) {
  StreamPair pair;
  prepare(pair);
  ASSERT_TRUE(run(pair.io, pair.client->write("abcdef")));
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.server, 2)).value(), "ab");
  tls::Stream moved(std::move(*pair.server));
  EXPECT_EQ(run(pair.io, test::read_exactly(moved, 2)).value(), "cd");
  auto [first, second] = test::socket_pair(pair.io);
  tls::Stream target(std::move(first));
  target = std::move(moved);
  EXPECT_EQ(run(pair.io, test::read_exactly(target, 2)).value(), "ef");
  EXPECT_EQ(target.is_tls(), GetParam() != Mode::clear);
  EXPECT_EQ(target.facts().encrypted, GetParam() != Mode::clear);
  ASSERT_TRUE(run(pair.io, target.write("250 ok\r\n")));
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.client, 8)).value(), "250 ok\r\n");
}

TEST_F(Stream, clear_text_before_tls_stays_apart) {
  StreamPair pair;
  ASSERT_TRUE(run(pair.io, pair.client->write("STARTTLS\r\n")));
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.server, 10)).value(), "STARTTLS\r\n");
  EXPECT_FALSE(pair.server->readable_now());
  ASSERT_TRUE(run(pair.io, pair.server->write("220 go\r\n")));
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.client, 8)).value(), "220 go\r\n");
  secure(pair);
  ASSERT_TRUE(run(pair.io, pair.client->write("EHLO x\r\n")));
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.server, 8)).value(), "EHLO x\r\n");
}

TEST_F(Stream, octets_injected_behind_starttls_are_seen_before_the_handshake) {
  StreamPair pair;
  ASSERT_TRUE(run(pair.io, pair.client->write("STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n")));
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.server, 10)).value(), "STARTTLS\r\n");
  EXPECT_TRUE(pair.server->readable_now());
}

TEST_F(Stream, truncation_is_told_apart_from_an_orderly_end) {
  for (const auto &server : {server_, tls12_}) {
    StreamPair pair;
    secure(pair, server);
    ASSERT_TRUE(run(pair.io, pair.server->write("250 half")));
    EXPECT_EQ(run(pair.io, test::read_exactly(*pair.client, 8)).value(), "250 half");
    pair.server->socket().close(); // an attacker's FIN, without close_notify
    const auto end = run(pair.io, test::read_exactly(*pair.client, 1));
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, ErrorCode::closed);
    EXPECT_THAT(end.error().detail, testing::HasSubstr("without close_notify"));
  }
}

TEST_F(Stream, clear_text_within_tls_is_an_error) {
  StreamPair pair;
  secure(pair);
  asio::write(pair.client->socket(), asio::buffer(std::string("QUIT in clear\r\n")));
  const auto result = run(pair.io, test::read_exactly(*pair.server, 1));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::tls);
  EXPECT_THAT(result.error().detail, testing::HasSubstr("reading failed: wrong version number"));
  EXPECT_EQ(run(pair.io, pair.server->write("x")).error().code, ErrorCode::tls);
}

TEST_F(Stream, a_second_handshake_is_refused) {
  StreamPair pair;
  secure(pair);
  const auto again = run(pair.io, pair.client->handshake(client_, tls::Role::client, "mx.example.org"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::protocol);
}

TEST_F(Stream, a_peer_that_does_not_speak_tls_fails_the_handshake_and_nothing_follows_in_clear) {
  const struct {
    const char *said;
    ErrorCode code;
    const char *detail;
  } rows[] = {
      {"TLS is not here\r\n", ErrorCode::tls, "handshake failed: wrong version number"},
      {"454 TLS not available\r\n", ErrorCode::protocol, "the peer sent a reply in clear where TLS begins"},
  };
  for (const auto &row : rows) {
    StreamPair pair;
    auto handshake = test::start(pair.io, pair.client->handshake(client_, tls::Role::client, "mx.example.org"));
    ASSERT_TRUE(run(pair.io, pair.server->write(row.said)));
    const auto result = finish(pair.io, handshake);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, row.code);
    EXPECT_EQ(result.error().detail, row.detail);
    EXPECT_FALSE(pair.client->is_tls());
    EXPECT_EQ(run(pair.io, pair.client->write("MAIL FROM:<>\r\n")).error().code, ErrorCode::tls);
    EXPECT_EQ(run(pair.io, test::read_exactly(*pair.client, 1)).error().code, ErrorCode::tls);
  }
}

TEST_F(Stream, expire_ends_a_handshake_with_a_silent_peer) {
  for (const bool as_server : {true, false}) {
    StreamPair pair;
    auto handshake = as_server
                         ? test::start(pair.io, pair.server->handshake(server_, tls::Role::server, ""))
                         : test::start(pair.io, pair.server->handshake(client_, tls::Role::client, "mx.example.org"));
    settle(pair.io);
    EXPECT_FALSE(handshake->has_value());
    pair.server->expire();
    EXPECT_EQ(finish(pair.io, handshake).error().code, ErrorCode::timed_out);
    EXPECT_FALSE(pair.server->is_tls());
  }
}

TEST_F(Stream, close_ends_a_handshake) {
  StreamPair pair;
  auto handshake = test::start(pair.io, pair.server->handshake(server_, tls::Role::server, ""));
  settle(pair.io);
  pair.server->close();
  EXPECT_EQ(finish(pair.io, handshake).error().code, ErrorCode::closed);
}

/// Passes octets on in one direction; when `budget` is used up, both connections end.
asio::awaitable<smtp::Result<void>> relay(test::tcp::socket &from, test::tcp::socket &to,
                                          std::shared_ptr<long> budget) {
  std::vector<char> buffer(8192);
  while (true) {
    boost::system::error_code error;
    const std::size_t got =
        co_await from.async_read_some(asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error) break;
    const long pass = std::min<long>(*budget, static_cast<long>(got));
    *budget -= pass;
    if (pass > 0) {
      co_await asio::async_write(to, asio::buffer(buffer, static_cast<std::size_t>(pass)),
                                 asio::redirect_error(asio::use_awaitable, error));
    }
    if (error || *budget <= 0) break;
  }
  boost::system::error_code ignored;
  from.close(ignored);
  to.close(ignored);
  co_return smtp::Result<void>();
}

asio::awaitable<smtp::Result<void>> whole_session(tls::Stream &stream, std::shared_ptr<const tls::Context> context,
                                                  tls::Role role) {
  auto done = co_await stream.handshake(context, role, "mx.example.org");
  if (done) {
    const std::string greeting =
        role == tls::Role::server ? "250 a longer reply from the server\r\n" : "EHLO client\r\n";
    const std::size_t expected = role == tls::Role::server ? 13 : 36;
    done = co_await stream.write(greeting);
    if (done) {
      const auto heard = co_await test::read_exactly(stream, expected);
      if (!heard) done = tl::unexpected(heard.error());
    }
  }
  if (!done) stream.close();
  co_return done;
}

TEST_F(Stream, a_connection_cut_after_any_number_of_octets_ends_both_sides_with_an_error) {
  for (const auto &server : {server_, tls12_}) {
    bool complete = false;
    int cuts = 0;
    for (long octets = 1; !complete; octets += 37) {
      ASSERT_LT(octets, 20'000) << "the session never came to its end";
      asio::io_context io(1);
      auto [client_end, near] = test::socket_pair(io);
      auto [far, server_end] = test::socket_pair(io);
      tls::Stream client(std::move(client_end));
      tls::Stream acceptor(std::move(server_end));
      auto budget = std::make_shared<long>(octets);
      auto up = test::start(io, relay(near, far, budget));
      auto down = test::start(io, relay(far, near, budget));
      auto at_client = test::start(io, whole_session(client, client_, tls::Role::client));
      auto at_server = test::start(io, whole_session(acceptor, server, tls::Role::server));
      const auto first = finish(io, at_client);
      const auto second = finish(io, at_server);
      for (const auto *result : {&first, &second}) {
        if (!*result) {
          EXPECT_TRUE(result->error().code == ErrorCode::closed || result->error().code == ErrorCode::tls)
              << octets << ": " << result->error().detail;
        }
      }
      complete = first.has_value() && second.has_value();
      if (!complete) ++cuts;
      client.close();
      acceptor.close();
      (void)finish(io, up);
      (void)finish(io, down);
    }
    EXPECT_GT(cuts, 20);
  }
}

TEST_F(Stream, a_session_ticket_is_no_mail) {
  StreamPair pair;
  secure(pair);
  // The server's ticket reaches the client before its first reply is complete; the wait must go on past it.
  auto waiting = test::start(pair.io, pair.client->wait_readable());
  settle(pair.io);
  EXPECT_FALSE(waiting->has_value());
  ASSERT_TRUE(run(pair.io, pair.server->write("220 ready\r\n")));
  ASSERT_TRUE(finish(pair.io, waiting));
  EXPECT_EQ(run(pair.io, test::read_exactly(*pair.client, 11)).value(), "220 ready\r\n");
}

TEST_F(Stream, no_delay_is_set) {
  StreamPair pair;
  asio::ip::tcp::no_delay option;
  pair.server->socket().get_option(option);
  EXPECT_TRUE(option.value());
}

TEST_F(Stream, without_tls_the_facts_are_empty) {
  StreamPair pair;
  EXPECT_EQ(pair.client->facts(), tls::Facts{});
  EXPECT_EQ(pair.client->peer_chain(), nullptr);
  EXPECT_TRUE(pair.client->is_open());
  EXPECT_FALSE(pair.client->deadline());
}

} // namespace stream_test
