// How sessions end: timeouts, the floor for slow clients, shutdown; and what an idle one costs.
#include <cstdio>
#include <fstream>
#include <future>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/inbound_fixture.hpp"

namespace end_test {

using support::base_config;
using support::InboundFixture;
using support::SmtpClient;

bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

void say_envelope(SmtpClient &client) {
  client.ask("MAIL FROM:<ann@sender.example>\r\n");
  client.ask("RCPT TO:<alice@example.org>\r\n");
}

// ---- timeouts: the least that the configuration can say is a second

TEST(InboundEnd, NoCommandInTime) {
  auto config = base_config();
  config.limits.command_timeout = std::chrono::seconds(1);
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.greeted();
  const std::string reply = client.reply();
  EXPECT_EQ(reply.substr(0, 9), "421 4.4.2") << reply;
  EXPECT_TRUE(contains(reply, "limit is 1 s")) << reply;
  EXPECT_TRUE(client.is_closed());
}

TEST(InboundEnd, NoCommandInTimeInsideTls) {
  auto config = base_config();
  config.limits.command_timeout = std::chrono::seconds(1);
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.encrypted();
  EXPECT_EQ(client.reply().substr(0, 9), "421 4.4.2");
  EXPECT_TRUE(client.is_closed());
}

TEST(InboundEnd, AMessageThatStops) {
  auto config = base_config();
  config.limits.data_timeout = std::chrono::seconds(1);
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.greeted();
  say_envelope(client);
  client.ask("DATA\r\n");
  client.send("Subject: hi\r\n");
  const std::string reply = client.reply();
  EXPECT_EQ(reply.substr(0, 9), "421 4.4.2") << reply;
  EXPECT_TRUE(contains(reply, "message")) << reply;
  fixture.spool.wait_until_no_writers();
  EXPECT_TRUE(fixture.spool.stored().empty());
}

TEST(InboundEnd, ASessionThatLastsTooLong) {
  auto config = base_config();
  config.limits.session_timeout = std::chrono::seconds(1);
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.greeted();
  const std::string reply = client.reply();
  EXPECT_EQ(reply.substr(0, 9), "421 4.4.2") << reply;
  EXPECT_TRUE(contains(reply, "session")) << reply;
}

TEST(InboundEnd, TheTimeOfACommitIsNotTheClients) {
  auto config = base_config();
  config.limits.command_timeout = std::chrono::seconds(1);
  config.limits.data_timeout = std::chrono::seconds(1);
  InboundFixture fixture(std::move(config), {}, 1);
  fixture.spool.hold_commits();
  SmtpClient client = fixture.greeted();
  say_envelope(client);
  client.ask("DATA\r\n");
  client.send("Subject: hi\r\n\r\n.\r\n");
  fixture.spool.wait_until_held(1);
  SmtpClient clock = fixture.greeted(); // its timeout on the same worker shows that the time is over
  EXPECT_EQ(clock.reply().substr(0, 3), "421");
  fixture.spool.release();
  EXPECT_EQ(client.reply().substr(0, 9), "250 2.0.0");
}

TEST(InboundEnd, AClientBelowTheFloor) {
  auto config = base_config();
  config.limits.minimum_rate = 1'000'000;
  mta::InboundOptions options;
  options.rate_window = std::chrono::milliseconds(20);
  options.listen_on_timeout = std::chrono::milliseconds(300); // this client never stops by itself
  InboundFixture fixture(std::move(config), options);
  SmtpClient client = fixture.greeted();
  say_envelope(client);
  client.ask("DATA\r\n");
  std::thread trickle([&client] {
    while (client.send("X: y\r\n")) std::this_thread::yield();
  });
  const auto event = fixture.log.wait_for("disconnect");
  EXPECT_TRUE(contains(event.fields.at("reason"), "421 4.4.2")) << event.fields.at("reason");
  EXPECT_TRUE(contains(event.fields.at("reason"), "1000000 octets a second")) << event.fields.at("reason");
  trickle.join();
  EXPECT_TRUE(fixture.spool.stored().empty());
}

TEST(InboundEnd, TheFloorIsOnlyForMessages) {
  auto config = base_config();
  config.limits.minimum_rate = 1'000'000;
  mta::InboundOptions options;
  options.rate_window = std::chrono::milliseconds(1);
  InboundFixture fixture(std::move(config), options);
  SmtpClient client = fixture.greeted();
  for (int i = 0; i < 50; ++i) ASSERT_EQ(client.ask("NOOP\r\n").substr(0, 3), "250");
}

// ---- shutdown

TEST(InboundEnd, IdleSessionsHear421AtShutdown) {
  InboundFixture fixture;
  std::vector<SmtpClient> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(i % 2 == 0 ? fixture.greeted() : fixture.encrypted());
  std::promise<void> done;
  fixture.server().shut_down(std::chrono::seconds(30), [&done] { done.set_value(); });
  for (SmtpClient &client : clients) {
    EXPECT_EQ(client.reply().substr(0, 9), "421 4.3.2");
    EXPECT_TRUE(client.is_closed());
  }
  done.get_future().wait();
  EXPECT_EQ(fixture.server().status().sessions, 0U);
  EXPECT_THROW(SmtpClient(fixture.port()), std::runtime_error) << "nobody listens any more";
}

TEST(InboundEnd, AMessageUnderWayIsFinishedBeforeShutdown) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  say_envelope(client);
  client.ask("DATA\r\n");
  client.send("Subject: hi\r\n\r\n");
  std::promise<void> done;
  fixture.server().shut_down(std::chrono::seconds(30), [&done] { done.set_value(); });
  EXPECT_EQ(client.ask("hello\r\n.\r\n").substr(0, 9), "250 2.0.0");
  EXPECT_EQ(client.reply().substr(0, 9), "421 4.3.2");
  done.get_future().wait();
  EXPECT_EQ(fixture.submitted().size(), 1U);
}

TEST(InboundEnd, ACommitUnderWayIsFinishedBeforeShutdown) {
  InboundFixture fixture;
  fixture.spool.hold_commits();
  SmtpClient client = fixture.greeted();
  say_envelope(client);
  client.ask("DATA\r\n");
  client.send("Subject: hi\r\n\r\n.\r\n");
  fixture.spool.wait_until_held(1);
  std::promise<void> done;
  fixture.server().shut_down(std::chrono::seconds(30), [&done] { done.set_value(); });
  fixture.spool.release();
  EXPECT_EQ(client.reply().substr(0, 9), "250 2.0.0");
  EXPECT_EQ(client.reply().substr(0, 9), "421 4.3.2");
  done.get_future().wait();
}

TEST(InboundEnd, WhatIsLeftAfterTheGraceIsCut) {
  InboundFixture fixture;
  SmtpClient in_data = fixture.greeted();
  say_envelope(in_data);
  in_data.ask("DATA\r\n");
  in_data.send("Subject: hi\r\n");
  SmtpClient in_handshake = fixture.greeted();
  in_handshake.ask("STARTTLS\r\n");
  std::promise<void> done;
  fixture.server().shut_down(std::chrono::seconds(0), [&done] { done.set_value(); });
  done.get_future().wait();
  EXPECT_TRUE(in_data.is_closed());
  EXPECT_TRUE(in_handshake.is_closed());
  EXPECT_EQ(fixture.server().status().sessions, 0U);
  EXPECT_TRUE(fixture.spool.stored().empty());
}

TEST(InboundEnd, AServerWithOpenSessionsCanBeDestroyed) {
  std::vector<SmtpClient> clients;
  {
    InboundFixture fixture;
    clients.push_back(fixture.greeted());
    clients.push_back(fixture.encrypted());
    clients.push_back(fixture.greeted());
    say_envelope(clients.back());
    clients.back().ask("DATA\r\n");
    clients.back().send("Subject: hi\r\n");
  }
  for (SmtpClient &client : clients) EXPECT_TRUE(client.is_closed());
}

// ---- what an idle session costs

std::int64_t resident_kib() {
  std::ifstream file("/proc/self/statm");
  std::int64_t size = 0;
  std::int64_t pages = 0;
  file >> size >> pages;
  return pages * 4;
}

TEST(InboundEnd, MemoryOfIdleSessionsIsPrinted) {
  InboundFixture fixture;
  for (const bool encrypted : {false, true}) {
    std::vector<SmtpClient> clients;
    clients.reserve(1050);
    for (int i = 0; i < 50; ++i) clients.push_back(encrypted ? fixture.encrypted() : fixture.greeted());
    const std::int64_t before = resident_kib();
    constexpr int sessions = 1000;
    for (int i = 0; i < sessions; ++i) clients.push_back(encrypted ? fixture.encrypted() : fixture.greeted());
    const std::int64_t after = resident_kib();
    ASSERT_EQ(fixture.server().status().sessions, static_cast<std::uint64_t>(clients.size()));
    // Client and server share this process, and a sanitizer's quarantine adds to it: not the number that counts.
    std::cout << (encrypted ? "STARTTLS" : "plain") << ": " << (after - before) / sessions
              << " KiB for an idle session with its client\n";
    for (SmtpClient &client : clients) client.hang_up();
    while (fixture.server().status().sessions != 0) std::this_thread::yield();
  }
}

} // namespace end_test
