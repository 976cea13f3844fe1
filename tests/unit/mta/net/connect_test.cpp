// connect_to: the first address that answers wins, failures are listed, and the order is that of RFC 8305.
#include "mta/net/connect.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

namespace connect_test {

namespace asio = boost::asio;
using asio::ip::tcp;

mta::ConnectResult run(std::vector<smtp::SocketAddress> addresses, mta::ConnectOptions options,
                       asio::io_context &context) {
  std::optional<mta::ConnectResult> result;
  asio::co_spawn(context, mta::connect_to(std::move(addresses), std::move(options)),
                 [&](std::exception_ptr error, mta::ConnectResult got) {
                   if (error) std::rethrow_exception(error);
                   result = std::move(got);
                 });
  context.restart();
  context.run();
  return std::move(result.value());
}

smtp::SocketAddress address(const char *text) {
  return smtp::SocketAddress::parse(text, 25).value();
}

smtp::SocketAddress address_of(const tcp::acceptor &acceptor) {
  return {smtp::IpAddress::parse(acceptor.local_endpoint().address().to_string()).value(),
          acceptor.local_endpoint().port()};
}

class ConnectTest : public testing::Test {
protected:
  asio::io_context context{1};
  tcp::acceptor listening{context, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0)};
  /// A port where nobody listens.
  smtp::SocketAddress closed_port() {
    tcp::acceptor gone(context, tcp::endpoint(asio::ip::make_address("127.0.0.3"), 0));
    return address_of(gone);
  }
};

TEST_F(ConnectTest, gives_the_socket_and_its_address) {
  const auto result = run({address_of(listening)}, {}, context);
  ASSERT_TRUE(result.socket);
  EXPECT_TRUE(result.failures.empty());
  EXPECT_EQ(result.address, address_of(listening));
  EXPECT_EQ(result.socket->remote_endpoint(), listening.local_endpoint());
}

TEST_F(ConnectTest, a_refused_address_starts_the_next_at_once) {
  mta::ConnectOptions options;
  options.head_start = std::chrono::hours(1); // the next one may only start because the first has failed
  options.timeout = std::chrono::hours(2);
  const auto result = run({closed_port(), address_of(listening)}, options, context);
  ASSERT_TRUE(result.socket);
  EXPECT_EQ(result.address, address_of(listening));
  ASSERT_EQ(result.failures.size(), 1U);
  EXPECT_EQ(result.failures[0].reason, "connection refused");
}

TEST_F(ConnectTest, every_failure_is_listed) {
  const auto first = closed_port();
  const auto second = closed_port();
  const auto result = run({first, second}, {}, context);
  EXPECT_FALSE(result.socket);
  ASSERT_EQ(result.failures.size(), 2U);
  EXPECT_EQ(mta::format_failures(result.failures), "127.0.0.3: connection refused; 127.0.0.3: connection refused");
}

TEST_F(ConnectTest, no_address_at_all_is_a_failure_without_reasons) {
  const auto result = run({}, {}, context);
  EXPECT_FALSE(result.socket);
  EXPECT_TRUE(result.failures.empty());
}

/// A listener whose queue is full never answers: the kernel drops what comes.
class FullListener {
public:
  explicit FullListener(asio::io_context &context) : acceptor(context) {
    const tcp::endpoint endpoint(asio::ip::make_address("127.0.0.4"), 0);
    acceptor.open(endpoint.protocol());
    acceptor.bind(endpoint);
    acceptor.listen(0);
    for (int i = 0; i < 4; ++i) {
      waiting.emplace_back(context);
      waiting.back().open(tcp::v4());
      waiting.back().native_non_blocking(true);
      // Not Asio's connect(), which waits.
      const auto target = acceptor.local_endpoint();
      ::connect(waiting.back().native_handle(), target.data(), static_cast<socklen_t>(target.size()));
    }
  }
  tcp::acceptor acceptor;
  std::vector<tcp::socket> waiting;
};

TEST_F(ConnectTest, an_address_that_never_answers_loses_to_the_next_after_its_head_start) {
  FullListener silent(context);
  mta::ConnectOptions options;
  options.head_start = std::chrono::milliseconds(1);
  const auto result = run({address_of(silent.acceptor), address_of(listening)}, options, context);
  ASSERT_TRUE(result.socket);
  EXPECT_EQ(result.address, address_of(listening));
}

TEST_F(ConnectTest, the_deadline_ends_it) {
  FullListener silent(context);
  mta::ConnectOptions options;
  options.timeout = std::chrono::milliseconds(200);
  const auto result = run({address_of(silent.acceptor)}, options, context);
  EXPECT_FALSE(result.socket);
  ASSERT_EQ(result.failures.size(), 1U);
  EXPECT_EQ(result.failures[0].reason, "no answer in 0.2 s");
}

TEST_F(ConnectTest, the_source_address_is_ours_and_of_the_peers_family) {
  mta::ConnectOptions options;
  options.source_addresses = {smtp::IpAddress::parse("::1").value(), smtp::IpAddress::parse("127.0.0.9").value()};
  const auto result = run({address_of(listening)}, options, context);
  ASSERT_TRUE(result.socket);
  EXPECT_EQ(result.socket->local_endpoint().address().to_string(), "127.0.0.9");
}

TEST_F(ConnectTest, a_source_address_that_is_not_ours_is_a_failure) {
  mta::ConnectOptions options;
  options.source_addresses = {smtp::IpAddress::parse("192.0.2.9").value()};
  const auto result = run({address_of(listening)}, options, context);
  EXPECT_FALSE(result.socket);
  ASSERT_EQ(result.failures.size(), 1U);
  EXPECT_NE(result.failures[0].reason.find("assign"), std::string::npos) << result.failures[0].reason;
}

TEST(AlternateFamilies, begins_with_the_first_family_and_keeps_each_order) {
  const struct {
    std::vector<const char *> in;
    std::vector<const char *> out;
  } rows[] = {
      {{}, {}},
      {{"192.0.2.1"}, {"192.0.2.1"}},
      {{"[2001:db8::1]", "[2001:db8::2]", "192.0.2.1", "192.0.2.2"},
       {"[2001:db8::1]", "192.0.2.1", "[2001:db8::2]", "192.0.2.2"}},
      {{"192.0.2.1", "192.0.2.2", "[2001:db8::1]"}, {"192.0.2.1", "[2001:db8::1]", "192.0.2.2"}},
      {{"[2001:db8::1]", "[2001:db8::2]", "[2001:db8::3]"}, {"[2001:db8::1]", "[2001:db8::2]", "[2001:db8::3]"}},
  };
  for (const auto &row : rows) {
    std::vector<smtp::SocketAddress> in;
    std::vector<smtp::SocketAddress> out;
    for (const auto *text : row.in) in.push_back(address(text));
    for (const auto *text : row.out) out.push_back(address(text));
    EXPECT_EQ(mta::alternate_families(in), out);
  }
}

} // namespace connect_test
