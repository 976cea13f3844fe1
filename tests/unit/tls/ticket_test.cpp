#include <memory>

#include <gtest/gtest.h>
#include <sys/ioctl.h>

#include "tests/support/segments.hpp"
#include "tests/support/test_ca.hpp"
#include "tests/unit/tls/raw_client.hpp"
#include "tls/context.hpp"

namespace ticket_test {

using SessionPtr = std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)>;

class Tickets : public testing::TestWithParam<int> {
protected:
  test::TempFolder folder_;
  test::TestCa ca_;
  std::shared_ptr<tls::TicketKeys> keys_ = std::make_shared<tls::TicketKeys>();
  tls::KeyPairFiles server_files_ = files("server", {.names = {"mx.example.org"}});
  tls::KeyPairFiles other_files_ = files("other", {.names = {"mx.other.example"}});
  tls::KeyPairFiles client_files_ = files("client", {.names = {"gateway.example.net"}});

  tls::KeyPairFiles files(const std::string &name, const test::LeafOptions &options) {
    test::Leaf leaf = ca_.issue(options);
    leaf.write_to(folder_, name);
    return {leaf.chain_file, leaf.key_file};
  }
  std::shared_ptr<const tls::Context> serve(const std::string &profile = "internet", bool ask = false,
                                            bool tickets = true) {
    return tls::Context::server({.profile = profile,
                                 .certificates = {server_files_, other_files_},
                                 .ask_client_certificate = ask,
                                 .client_ca_hints = "",
                                 .tickets = tickets},
                                keys_)
        .value();
  }
  test::RawOptions options(bool with_certificate = false) const {
    return {.lowest = GetParam(),
            .highest = GetParam(),
            .certificate = with_certificate ? client_files_.certificate : "",
            .key = with_certificate ? client_files_.key : ""};
  }
  static void say_something(test::RawPair &pair) {
    ASSERT_TRUE(test::run(pair.io, pair.server->write("220 hello\r\n")));
    ASSERT_EQ(pair.client->read(), "220 hello\r\n");
  }
  /// The newest ticket of a first connection; null when there is none.
  SessionPtr first_session(std::shared_ptr<const tls::Context> context, bool with_certificate = false) {
    test::RawPair pair(std::move(context), options(with_certificate));
    EXPECT_TRUE(pair.ok());
    EXPECT_FALSE(pair.server->facts().resumed);
    say_something(pair);
    SSL_SESSION *session = pair.client->sessions().empty() ? nullptr : pair.client->sessions().back();
    if (session != nullptr) SSL_SESSION_up_ref(session);
    return {session, SSL_SESSION_free};
  }
  bool resumes(std::shared_ptr<const tls::Context> context, SSL_SESSION *session, bool with_certificate = false) {
    // A copy: OpenSSL marks a session as used up when its server sends another ticket.
    const SessionPtr copy(SSL_SESSION_dup(session), SSL_SESSION_free);
    test::RawPair pair(std::move(context), options(with_certificate), copy.get());
    EXPECT_TRUE(pair.ok()) << pair.at_server.error().detail;
    say_something(pair);
    EXPECT_EQ(pair.server->facts().resumed, pair.client->resumed());
    return pair.client->resumed();
  }
};

TEST_P(Tickets, resumption_works_and_gives_a_new_ticket) {
  const auto context = serve();
  const SessionPtr session = first_session(context);
  ASSERT_TRUE(session);
  EXPECT_TRUE(resumes(context, session.get()));
  EXPECT_TRUE(resumes(serve(), session.get())) << "a reload keeps the keys";
}

TEST_P(Tickets, live_through_two_rotations_and_not_a_third) {
  const auto context = serve();
  const SessionPtr session = first_session(context);
  ASSERT_TRUE(session);
  keys_->rotate();
  EXPECT_TRUE(resumes(context, session.get()));
  keys_->rotate();
  EXPECT_TRUE(resumes(context, session.get()));
  keys_->rotate();
  EXPECT_FALSE(resumes(context, session.get()));
}

TEST_P(Tickets, of_another_process_are_not_known) {
  const SessionPtr session = first_session(serve());
  ASSERT_TRUE(session);
  keys_ = std::make_shared<tls::TicketKeys>();
  EXPECT_FALSE(resumes(serve(), session.get()));
}

TEST_P(Tickets, do_not_carry_over_to_other_rules) {
  const SessionPtr session = first_session(serve("internet"));
  ASSERT_TRUE(session);
  EXPECT_FALSE(resumes(serve("ncsc"), session.get())) << "another profile";
  EXPECT_FALSE(resumes(serve("internet", true), session.get())) << "one listener asks for certificates";
}

TEST_P(Tickets, are_none_when_switched_off) {
  const auto context = serve("internet", false, false);
  EXPECT_FALSE(first_session(context));
  const SessionPtr session = first_session(serve());
  ASSERT_TRUE(session);
  EXPECT_FALSE(resumes(context, session.get()));
}

TEST_P(Tickets, never_replace_a_client_certificate) {
  const auto context = serve("internet", true);
  const SessionPtr anonymous = first_session(context, false);
  ASSERT_TRUE(anonymous) << "a client that showed nothing may resume";
  EXPECT_TRUE(resumes(context, anonymous.get()));

  const SessionPtr known = first_session(context, true);
  if (GetParam() == TLS1_3_VERSION) {
    EXPECT_FALSE(known) << "no ticket is sent at all";
    return;
  }
  ASSERT_TRUE(known) << "TLS 1.2 has promised a ticket before it sees the certificate";
  test::RawPair pair(context, options(true), known.get());
  ASSERT_TRUE(pair.ok());
  EXPECT_FALSE(pair.client->resumed());
  EXPECT_NE(pair.server->peer_chain(), nullptr) << "the chain is there to be judged";
}

TEST_P(Tickets, work_for_names_that_sni_chose) {
  const auto context = serve();
  test::RawOptions by_name = options();
  by_name.name = "mx.other.example";
  test::RawPair first(context, by_name);
  ASSERT_TRUE(first.ok());
  say_something(first);
  ASSERT_FALSE(first.client->sessions().empty());
  test::RawPair second(context, by_name, first.client->sessions().back());
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE(second.client->resumed());
}

INSTANTIATE_TEST_SUITE_P(version, Tickets, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto &each) { return each.param == TLS1_2_VERSION ? "tls_1_2" : "tls_1_3"; });

class Tickets13 : public Tickets {};

TEST_P(Tickets13, leave_with_the_first_write_in_one_segment) {
  test::RawPair pair(serve(), options());
  ASSERT_TRUE(pair.ok());
  const int descriptor = pair.socket->native_handle();
  int waiting = -1;
  ASSERT_EQ(::ioctl(descriptor, FIONREAD, &waiting), 0);
  EXPECT_EQ(waiting, 0) << "the handshake has ended on both sides, and no ticket was sent by itself";

  // Reading must not send it either: the client speaks first after STARTTLS.
  pair.client->write("EHLO client.example\r\n");
  const auto heard = test::run(pair.io, test::read_exactly(*pair.server, 21));
  ASSERT_TRUE(heard);
  ASSERT_EQ(::ioctl(descriptor, FIONREAD, &waiting), 0);
  EXPECT_EQ(waiting, 0);

  const auto before = test::data_segments_in(descriptor);
  ASSERT_TRUE(test::run(pair.io, pair.server->write("250 hello\r\n")));
  EXPECT_EQ(pair.client->read(), "250 hello\r\n");
  EXPECT_EQ(test::data_segments_in(descriptor) - before, 1U);
  EXPECT_EQ(pair.client->sessions().size(), 1U);

  ASSERT_TRUE(test::run(pair.io, pair.server->write("250 again\r\n")));
  EXPECT_EQ(pair.client->read(), "250 again\r\n");
  EXPECT_EQ(pair.client->sessions().size(), 1U) << "one ticket, once";
}

INSTANTIATE_TEST_SUITE_P(version, Tickets13, testing::Values(TLS1_3_VERSION));

} // namespace ticket_test
