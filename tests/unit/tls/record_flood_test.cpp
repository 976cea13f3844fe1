// TLS records that carry no data: tickets and key updates without end are refused, in both directions, and a few do no
// harm.
#include <atomic>
#include <functional>
#include <thread>

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>
#include <poll.h>

#include "tests/support/test_ca.hpp"
#include "tests/unit/tls/raw_client.hpp"
#include "tls/context.hpp"

namespace record_flood_test {

using smtp::ErrorCode;
using test::finish;
using test::RawPair;
using test::run;
using test::socket_pair;
using test::start;

/// Sends by `step` until the other side ends the connection, or `times` steps are done; never reads what is not there.
std::size_t flood(SSL *ssl, int descriptor, std::size_t times, const std::atomic<bool> &over,
                  const std::function<int(SSL *)> &step) {
  std::size_t done = 0;
  while (done < times && !over) {
    const int result = step(ssl);
    if (result > 0) {
      ++done;
      continue;
    }
    const int error = SSL_get_error(ssl, result);
    if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ) break;
    pollfd event = {.fd = descriptor, .events = POLLOUT, .revents = 0};
    ::poll(&event, 1, 10);
  }
  return done;
}

int update_keys(SSL *ssl) {
  if (SSL_get_key_update_type(ssl) == SSL_KEY_UPDATE_NONE) (void)SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
  return SSL_do_handshake(ssl);
}

boost::asio::awaitable<smtp::Result<std::size_t>> read_to_the_end(tls::Stream &stream) {
  std::size_t sum = 0;
  std::string buffer(4096, '\0');
  for (;;) {
    auto got = co_await stream.read_some(buffer);
    if (!got) co_return tl::unexpected(got.error());
    sum += *got;
  }
}

class RecordFlood : public testing::Test {
protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<test::TempFolder>();
    const test::TestCa ca;
    leaf_ = std::make_unique<test::Leaf>(ca.issue({.names = {"mx.example.org"}}));
    leaf_->write_to(*folder_, "leaf");
    server_ = tls::Context::server({.certificates = {{leaf_->chain_file, leaf_->key_file}}, .client_ca_hints = ""},
                                   std::make_shared<tls::TicketKeys>())
                  .value();
    client_ = tls::Context::client({}).value();
  }
  static void TearDownTestSuite() {
    server_.reset();
    client_.reset();
    leaf_.reset();
    folder_.reset();
  }

  static std::unique_ptr<test::TempFolder> folder_;
  static std::unique_ptr<test::Leaf> leaf_;
  static std::shared_ptr<const tls::Context> server_;
  static std::shared_ptr<const tls::Context> client_;
};
std::unique_ptr<test::TempFolder> RecordFlood::folder_;
std::unique_ptr<test::Leaf> RecordFlood::leaf_;
std::shared_ptr<const tls::Context> RecordFlood::server_;
std::shared_ptr<const tls::Context> RecordFlood::client_;

TEST_F(RecordFlood, a_client_that_only_updates_its_keys_is_cut_off) {
  RawPair pair(server_, {});
  ASSERT_TRUE(pair.ok()) << pair.at_server.error().detail;
  std::atomic<bool> over{false};
  SSL *const ssl = pair.client->ssl();
  const int descriptor = pair.socket->native_handle();
  std::thread sender([&] { flood(ssl, descriptor, 1'000'000, over, update_keys); });
  const auto ended = run(pair.io, read_to_the_end(*pair.server));
  over = true;
  sender.join();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::tls) << ended.error().detail;
  EXPECT_NE(ended.error().detail.find("too many TLS records without data, limit is 64"), std::string::npos)
      << ended.error().detail;
}

TEST_F(RecordFlood, a_waiting_session_is_ended_by_such_a_client_too) {
  RawPair pair(server_, {});
  ASSERT_TRUE(pair.ok());
  std::atomic<bool> over{false};
  SSL *const ssl = pair.client->ssl();
  const int descriptor = pair.socket->native_handle();
  std::thread sender([&] { flood(ssl, descriptor, 1'000'000, over, update_keys); });
  const auto ended = run(pair.io, pair.server->wait_readable());
  over = true;
  sender.join();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::tls) << ended.error().detail;
}

TEST_F(RecordFlood, an_octet_between_key_updates_does_not_make_them_free) {
  RawPair pair(server_, {});
  ASSERT_TRUE(pair.ok());
  std::atomic<bool> over{false};
  SSL *const ssl = pair.client->ssl();
  const int descriptor = pair.socket->native_handle();
  std::thread sender([&] {
    while (!over && flood(ssl, descriptor, 20, over, update_keys) == 20 &&
           flood(ssl, descriptor, 1, over, [](SSL *each) { return SSL_write(each, "x", 1); }) == 1) {
    }
  });
  const auto ended = run(pair.io, read_to_the_end(*pair.server));
  over = true;
  sender.join();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::tls) << ended.error().detail;
  EXPECT_NE(ended.error().detail.find("1024 in all"), std::string::npos) << ended.error().detail;
}

TEST_F(RecordFlood, a_few_key_updates_and_the_data_behind_them_pass) {
  RawPair pair(server_, {});
  ASSERT_TRUE(pair.ok());
  const std::atomic<bool> over{false};
  for (int round = 0; round < 20; ++round) {
    ASSERT_EQ(flood(pair.client->ssl(), pair.socket->native_handle(), 5, over, update_keys), 5U);
    pair.client->write("EHLO client.example\r\n");
    EXPECT_EQ(run(pair.io, test::read_exactly(*pair.server, 21)).value(), "EHLO client.example\r\n");
  }
  ASSERT_TRUE(run(pair.io, pair.server->write("250 hello\r\n")));
  EXPECT_EQ(pair.client->read(), "250 hello\r\n");
}

TEST_F(RecordFlood, a_server_that_only_sends_tickets_is_cut_off) {
  boost::asio::io_context io{1};
  auto [first, second] = socket_pair(io);
  tls::Stream client(std::move(first));
  second.non_blocking(true);
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  ASSERT_EQ(SSL_CTX_use_certificate_chain_file(context.get(), leaf_->chain_file.c_str()), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey_file(context.get(), leaf_->key_file.c_str(), SSL_FILETYPE_PEM), 1);
  const std::unique_ptr<SSL, decltype(&SSL_free)> server(SSL_new(context.get()), SSL_free);
  SSL_set_fd(server.get(), second.native_handle());
  SSL_set_accept_state(server.get());
  std::atomic<bool> over{false};
  const int descriptor = second.native_handle();
  std::thread sender([&] {
    if (flood(server.get(), descriptor, 1, over, SSL_do_handshake) != 1) return;
    flood(server.get(), descriptor, 1'000'000, over, [](SSL *ssl) {
      (void)SSL_new_session_ticket(ssl);
      return SSL_do_handshake(ssl);
    });
  });
  const auto shaken = run(io, client.handshake(client_, tls::Role::client, "mx.example.org"));
  const auto ended = shaken ? run(io, read_to_the_end(client)) : smtp::Result<std::size_t>(0);
  over = true;
  sender.join();
  ASSERT_TRUE(shaken) << shaken.error().detail;
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::tls) << ended.error().detail;
}

TEST_F(RecordFlood, others_on_the_thread_run_while_a_flood_is_read) {
  RawPair pair(server_, {});
  ASSERT_TRUE(pair.ok());
  std::atomic<bool> over{false};
  SSL *const ssl = pair.client->ssl();
  const int descriptor = pair.socket->native_handle();
  std::thread sender([&] { flood(ssl, descriptor, 1'000'000, over, update_keys); });
  const auto pending = start(pair.io, read_to_the_end(*pair.server));
  // A watchdog that expires the stream: its turn comes although octets never stop.
  boost::asio::post(pair.io, [&] { boost::asio::post(pair.io, [&] { pair.server->expire(); }); });
  const auto ended = finish(pair.io, pending);
  over = true;
  sender.join();
  ASSERT_FALSE(ended);
  EXPECT_TRUE(ended.error().code == ErrorCode::timed_out || ended.error().code == ErrorCode::tls);
}

TEST_F(RecordFlood, our_side_ends_and_what_the_peer_still_sends_is_read_away) {
  RawPair pair(server_, {});
  ASSERT_TRUE(pair.ok());
  ASSERT_TRUE(run(pair.io, pair.server->write("554 no\r\n")));
  pair.server->finish_writing();
  EXPECT_FALSE(run(pair.io, pair.server->write("more")));
  const std::atomic<bool> over{false};
  const std::string chunk(16'000, 'x');
  std::thread sender([&] {
    flood(pair.client->ssl(), pair.socket->native_handle(), 60, over,
          [&](SSL *each) { return SSL_write(each, chunk.data(), static_cast<int>(chunk.size())); });
    pair.socket->shutdown(boost::asio::ip::tcp::socket::shutdown_send);
  });
  const auto ended = run(pair.io, read_to_the_end(*pair.server));
  sender.join();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::closed);
  pair.server->close();
  EXPECT_EQ(pair.client->read(), "554 no\r\n");
}

/// HelloRequest, to which our side says no_renegotiation: OpenSSL's own client ends at the first refusal, its server
/// does not while it does not read.
int ask_to_renegotiate(SSL *ssl) {
  (void)SSL_renegotiate(ssl);
  return SSL_do_handshake(ssl);
}

TEST_F(RecordFlood, a_peer_that_renegotiates_again_and_again_is_cut_off) {
  boost::asio::io_context io{1};
  auto [first, second] = socket_pair(io);
  tls::Stream client(std::move(first));
  second.non_blocking(true);
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  ASSERT_EQ(SSL_CTX_use_certificate_chain_file(context.get(), leaf_->chain_file.c_str()), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey_file(context.get(), leaf_->key_file.c_str(), SSL_FILETYPE_PEM), 1);
  const std::unique_ptr<SSL, decltype(&SSL_free)> server(SSL_new(context.get()), SSL_free);
  SSL_set_fd(server.get(), second.native_handle());
  SSL_set_accept_state(server.get());
  std::atomic<bool> over{false};
  const int descriptor = second.native_handle();
  std::thread sender([&] {
    if (flood(server.get(), descriptor, 1, over, SSL_do_handshake) != 1) return;
    // Data between them, so that no limit of records in a row is met.
    for (int i = 0; i < 100 && !over; ++i) {
      flood(server.get(), descriptor, 1, over, ask_to_renegotiate);
      flood(server.get(), descriptor, 1, over, [](SSL *each) { return SSL_write(each, "x", 1); });
    }
    second.shutdown(boost::asio::ip::tcp::socket::shutdown_send);
  });
  const auto shaken = run(io, client.handshake(client_, tls::Role::client, "mx.example.org"));
  const auto ended = shaken ? run(io, read_to_the_end(client)) : smtp::Result<std::size_t>(0);
  over = true;
  sender.join();
  ASSERT_TRUE(shaken) << shaken.error().detail;
  ASSERT_FALSE(ended);
  EXPECT_NE(ended.error().detail.find("asked to renegotiate TLS more than 3 times, the limit"), std::string::npos)
      << ended.error().detail;
}

TEST_F(RecordFlood, a_reply_in_clear_where_tls_begins_is_told_apart_from_a_failed_handshake) {
  for (const std::string text : {"250 injected\r\n", "25", "this is not TLS\r\n"}) {
    boost::asio::io_context io{1};
    auto [first, second] = socket_pair(io);
    tls::Stream client(std::move(first));
    const auto pending = start(io, client.handshake(client_, tls::Role::client, "mx.example.org"));
    boost::asio::write(second, boost::asio::buffer(text));
    second.shutdown(boost::asio::ip::tcp::socket::shutdown_send);
    const auto done = finish(io, pending);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code == ErrorCode::protocol, text.front() == '2') << text << ": " << done.error().detail;
    EXPECT_FALSE(client.is_tls());
  }
}

} // namespace record_flood_test
