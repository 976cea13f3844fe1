// Hosts, replies, reuse and loss: what becomes of each recipient, and what the server saw of it.
#include "mta/outbound/delivery.hpp"

#include <thread>

#include "mta/outbound/load.hpp"
#include "mta/tally/decision_log.hpp"
#include "tests/unit/mta/outbound/outbound_fixture.hpp"

namespace test {
namespace delivery_test {

using mta::FailureCause;
using Kind = mta::RecipientResult::Kind;

class DeliveryTest : public OutboundTest {
protected:
  /// A plain server for domain.test, started with the script; the configuration is in force.
  SmtpFixture &serve(SmtpScript script = {}) {
    server_ = std::make_unique<SmtpFixture>(std::move(script));
    point("domain.test", "mx.domain.test", *server_);
    apply_config();
    return *server_;
  }
  std::unique_ptr<SmtpFixture> server_;
};

struct ReplyRow {
  const char *name;
  std::map<std::string, std::string> replies;
  Kind kind;
  FailureCause cause;
  std::uint16_t code;
  bool destination_failed;
  std::size_t message_octets_seen = 0; ///< 1: some
};

class DeliveryReplies : public DeliveryTest, public testing::WithParamInterface<ReplyRow> {};

TEST_P(DeliveryReplies, decide_what_becomes_of_the_recipient) {
  const auto &row = GetParam();
  config.outbound.greeting_timeout = config.outbound.hello_timeout = config.outbound.mail_timeout =
      config.outbound.recipient_timeout = config.outbound.data_start_timeout = config.outbound.data_end_timeout =
          std::chrono::seconds(1);
  SmtpScript script;
  script.replies = row.replies;
  auto &server = serve(std::move(script));
  const auto result = deliver_to("someone@domain.test");
  ASSERT_EQ(result.results.size(), 1U);
  const auto &one = result.results[0];
  EXPECT_EQ(one.kind, row.kind) << one.detail;
  EXPECT_EQ(one.cause, row.cause) << one.detail;
  EXPECT_EQ(one.reply.code, row.code) << one.reply.to_line();
  EXPECT_EQ(result.destination_failed, row.destination_failed);
  EXPECT_EQ(one.host, "mx.domain.test[127.0.0.1]");
  if (row.kind != Kind::delivered) {
    EXPECT_FALSE(one.detail.empty());
  }
  if (row.message_octets_seen == 0) {
    EXPECT_EQ(server.message_octets(), 0U);
  } else {
    EXPECT_GT(server.message_octets(), 0U);
  }
}

const ReplyRow reply_rows[] = {
    {"taken", {}, Kind::delivered, FailureCause::none, 250, false, 1},
    {"greeting_421", {{"CONNECT", "421 4.3.2 busy"}}, Kind::temporary, FailureCause::reply, 421, true},
    {"greeting_450", {{"CONNECT", "450 4.7.1 later"}}, Kind::temporary, FailureCause::reply, 450, true},
    {"greeting_554_of_the_only_host_is_permanent",
     {{"CONNECT", "554 5.7.1 no service"}},
     Kind::permanent,
     FailureCause::reply,
     554,
     true},
    {"greeting_that_never_comes", {{"CONNECT", "<silent>"}}, Kind::temporary, FailureCause::connect, 451, true},
    {"closed_at_once", {{"CONNECT", "<close>"}}, Kind::temporary, FailureCause::connect, 451, true},
    {"ehlo_closed", {{"EHLO", "<close>"}}, Kind::temporary, FailureCause::connect, 451, true},
    {"ehlo_silent", {{"EHLO", "<silent>"}}, Kind::temporary, FailureCause::connect, 451, true},
    {"ehlo_refused_for_now", {{"EHLO", "450 4.7.1 later"}}, Kind::temporary, FailureCause::reply, 450, true},
    {"ehlo_refused_but_helo_taken", {{"EHLO", "502 5.5.1 what"}}, Kind::delivered, FailureCause::none, 250, false, 1},
    {"mail_450", {{"MAIL", "450 4.7.1 greylisted"}}, Kind::temporary, FailureCause::reply, 450, false},
    {"mail_550", {{"MAIL", "550 5.7.1 not you"}}, Kind::permanent, FailureCause::reply, 550, false},
    {"mail_421", {{"MAIL", "421 4.3.2 closing"}}, Kind::temporary, FailureCause::reply, 421, false},
    {"mail_closed", {{"MAIL", "<close>"}}, Kind::temporary, FailureCause::connect, 451, false},
    {"mail_silent", {{"MAIL", "<silent>"}}, Kind::temporary, FailureCause::connect, 451, false},
    {"rcpt_450", {{"RCPT", "450 4.2.1 later"}}, Kind::temporary, FailureCause::reply, 450, false},
    {"rcpt_550", {{"RCPT", "550 5.1.1 unknown"}}, Kind::permanent, FailureCause::reply, 550, false},
    {"rcpt_421", {{"RCPT", "421 4.3.2 closing"}}, Kind::temporary, FailureCause::reply, 421, false},
    {"rcpt_closed", {{"RCPT", "<close>"}}, Kind::temporary, FailureCause::connect, 451, false},
    {"data_451", {{"DATA", "451 4.3.0 later"}}, Kind::temporary, FailureCause::reply, 451, false},
    {"data_554", {{"DATA", "554 5.7.1 no"}}, Kind::permanent, FailureCause::reply, 554, false},
    {"data_421", {{"DATA", "421 4.3.2 closing"}}, Kind::temporary, FailureCause::reply, 421, false},
    {"data_closed", {{"DATA", "<close>"}}, Kind::temporary, FailureCause::connect, 451, false},
    {"end_451", {{".", "451 4.3.0 disk"}}, Kind::temporary, FailureCause::reply, 451, false, 1},
    {"end_552", {{".", "552 5.3.4 too big"}}, Kind::permanent, FailureCause::reply, 552, false, 1},
    {"end_421", {{".", "421 4.3.2 closing"}}, Kind::temporary, FailureCause::reply, 421, false, 1},
    {"end_closed", {{".", "<close>"}}, Kind::temporary, FailureCause::connect, 451, false, 1},
    {"end_silent", {{".", "<silent>"}}, Kind::temporary, FailureCause::connect, 451, false, 1},
    {"end_that_is_no_smtp", {{".", "hello?"}}, Kind::temporary, FailureCause::connect, 451, false, 1},
    {"a_reply_that_is_no_smtp", {{"MAIL", "hello?"}}, Kind::temporary, FailureCause::connect, 451, false},
};
INSTANTIATE_TEST_SUITE_P(Replies, DeliveryReplies, testing::ValuesIn(reply_rows),
                         [](const auto &row) { return std::string(row.param.name); });

TEST_F(DeliveryTest, a_server_that_wants_data_without_a_recipient_gets_an_empty_message_only) {
  // RFC 2920 section 3.1: DATA was pipelined and is answered 354 although no recipient was accepted: a lone dot ends
  // it.
  SmtpScript script;
  script.replies = {{"RCPT", "550 5.1.1 unknown"}, {"DATA", "354 go on all the same"}};
  auto &server = serve(std::move(script));
  EXPECT_EQ(deliver_to("a@domain.test").results[0].kind, Kind::permanent);
  EXPECT_EQ(server.message_octets(), 3U);
  const auto messages = server.messages();
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(messages[0].body, "");
}

TEST_F(DeliveryTest, each_recipient_has_its_own_outcome) {
  SmtpScript script;
  script.replies = {{"RCPT <bad@", "550 5.1.1 unknown"}, {"RCPT <full@", "452 4.2.2 full"}};
  auto &server = serve(std::move(script));
  const auto result = deliver(make_job({"good@domain.test", "bad@domain.test", "full@domain.test"}));
  ASSERT_EQ(result.results.size(), 3U);
  std::map<std::size_t, Kind> kinds;
  for (const auto &one : result.results) kinds[one.index] = one.kind;
  EXPECT_EQ(kinds, (std::map<std::size_t, Kind>{{0, Kind::delivered}, {1, Kind::permanent}, {2, Kind::temporary}}));
  EXPECT_FALSE(result.destination_failed);
  EXPECT_EQ(server.messages().size(), 1U);
  EXPECT_EQ(log.events("delivery").size(), 1U);
  EXPECT_EQ(log.events("delivery")[0].at("result"), "partly");
  const auto lines = log.events("recipient");
  ASSERT_EQ(lines.size(), 3U) << "one for each";
  std::map<std::string, std::string> said;
  for (const auto &line : lines) said[line.at("to")] = line.at("status") + ' ' + line.at("reply").substr(0, 3);
  EXPECT_EQ(said, (std::map<std::string, std::string>{{"good@domain.test", "delivered 250"},
                                                      {"bad@domain.test", "failed 550"},
                                                      {"full@domain.test", "deferred 452"}}));
}

TEST_F(DeliveryTest, the_next_host_takes_over_where_one_cannot_be_used) {
  for (const char *greeting : {"421 4.3.2 busy", "554 5.7.1 no service", "<close>"}) {
    SCOPED_TRACE(greeting);
    SmtpScript script;
    script.replies = {{"CONNECT", greeting}};
    SmtpFixture first(script);
    SmtpScript second_script;
    second_script.address = "127.0.0.2";
    second_script.port = first.port();
    SmtpFixture second(second_script);
    const std::string domain = "domain" + std::to_string(first.port()) + ".test";
    point(domain, "mx1." + domain, first, "127.0.0.1", 10);
    point(domain, "mx2." + domain, second, "127.0.0.2", 20);
    apply_config();
    const auto result = deliver_to("a@" + domain);
    EXPECT_EQ(result.results[0].kind, Kind::delivered);
    EXPECT_EQ(result.results[0].host, "mx2." + domain + "[127.0.0.2]");
    EXPECT_FALSE(result.destination_failed);
  }
}

TEST_F(DeliveryTest, a_554_greeting_is_temporary_when_another_host_may_yet_take_the_mail) {
  SmtpScript refusing;
  refusing.replies = {{"CONNECT", "554 5.7.1 no service"}};
  SmtpFixture first(refusing);
  SmtpScript busy;
  busy.replies = {{"CONNECT", "421 4.3.2 busy"}};
  busy.address = "127.0.0.2";
  busy.port = first.port();
  SmtpFixture second(busy);
  point("domain.test", "mx1.domain.test", first, "127.0.0.1", 10);
  point("domain.test", "mx2.domain.test", second, "127.0.0.2", 20);
  apply_config();
  const auto result = deliver_to("a@domain.test");
  EXPECT_EQ(result.results[0].kind, Kind::temporary);
  EXPECT_EQ(result.results[0].reply.code, 421);
  EXPECT_NE(result.results[0].detail.find("mx1.domain.test"), std::string::npos);
  EXPECT_NE(result.results[0].detail.find("mx2.domain.test"), std::string::npos);
}

TEST_F(DeliveryTest, the_other_address_of_a_host_is_tried_when_one_turns_us_away) {
  SmtpScript busy;
  busy.replies = {{"CONNECT", "421 4.3.2 busy"}};
  SmtpFixture first(busy);
  SmtpScript good;
  good.address = "127.0.0.2";
  good.port = first.port();
  SmtpFixture second(good);
  point("domain.test", "mx.domain.test", first, "127.0.0.1");
  dns.add_address("mx.domain.test", "127.0.0.2");
  apply_config();
  EXPECT_EQ(deliver_to("a@domain.test").results[0].host, "mx.domain.test[127.0.0.2]");
}

TEST_F(DeliveryTest, a_host_where_nothing_listens_is_a_temporary_failure_of_the_destination) {
  {
    SmtpFixture gone(SmtpScript{});
    point("domain.test", "mx.domain.test", gone);
  }
  apply_config();
  const auto result = deliver_to("a@domain.test");
  EXPECT_EQ(result.results[0].kind, Kind::temporary);
  EXPECT_EQ(result.results[0].cause, FailureCause::connect);
  EXPECT_NE(result.results[0].detail.find("connection refused"), std::string::npos) << result.results[0].detail;
  EXPECT_TRUE(result.destination_failed);
}

/// Two MX hosts for domain.test, by two scripts.
class TwoHosts : public DeliveryTest {
protected:
  void serve_two(SmtpScript first, SmtpScript second, const std::string &domain = "domain.test") {
    first_ = std::make_unique<SmtpFixture>(std::move(first));
    second.address = "127.0.0.2";
    second.port = first_->port();
    second_ = std::make_unique<SmtpFixture>(std::move(second));
    point(domain, "mx1." + domain, *first_, "127.0.0.1", 10);
    point(domain, "mx2." + domain, *second_, "127.0.0.2", 20);
    apply_config();
  }
  std::unique_ptr<SmtpFixture> first_;
  std::unique_ptr<SmtpFixture> second_;
};

TEST_F(TwoHosts, a_4xx_at_any_step_goes_to_the_next_host) {
  int number = 0;
  for (const char *step : {"MAIL", "RCPT", "DATA", "."}) {
    SCOPED_TRACE(step);
    SmtpScript first;
    first.replies = {{step, "451 4.3.0 not now"}};
    const std::string domain = "domain" + std::to_string(++number) + ".test";
    serve_two(std::move(first), {}, domain);
    const auto result = deliver_to("a@" + domain);
    EXPECT_EQ(result.results[0].kind, Kind::delivered) << result.results[0].detail;
    EXPECT_EQ(second_->messages().size(), 1U);
    EXPECT_EQ(first_->connections(), 1U);
  }
}

TEST_F(TwoHosts, only_the_recipients_that_were_put_off_go_to_the_next_host) {
  SmtpScript first;
  first.replies = {{"RCPT <bad@", "550 5.1.1 unknown"}, {"RCPT <later@", "450 4.2.1 later"}};
  serve_two(std::move(first), {});
  const auto result = deliver(make_job({"good@domain.test", "bad@domain.test", "later@domain.test"}));
  std::map<std::size_t, Kind> kinds;
  for (const auto &one : result.results) kinds[one.index] = one.kind;
  EXPECT_EQ(kinds, (std::map<std::size_t, Kind>{{0, Kind::delivered}, {1, Kind::permanent}, {2, Kind::delivered}}));
  ASSERT_EQ(second_->messages().size(), 1U);
  EXPECT_EQ(second_->messages()[0].commands.size(), 2U) << "MAIL and one RCPT";
}

TEST_F(TwoHosts, what_the_first_host_lacks_the_second_may_have) {
  SmtpScript first;
  first.extensions = {"PIPELINING", "SIZE 10"};
  serve_two(std::move(first), {});
  EXPECT_EQ(deliver_to("a@domain.test").results[0].kind, Kind::delivered);
  EXPECT_EQ(first_->count("MAIL"), 0U);
  EXPECT_EQ(second_->messages().size(), 1U);
}

TEST_F(TwoHosts, what_both_hosts_lack_is_final) {
  SmtpScript small;
  small.extensions = {"SIZE 10"};
  serve_two(small, small);
  const auto result = deliver_to("a@domain.test");
  EXPECT_EQ(result.results[0].kind, Kind::permanent);
  EXPECT_EQ(result.results[0].reply.code, 552);
  EXPECT_EQ(result.results[0].cause, FailureCause::local);
  EXPECT_FALSE(result.destination_failed);
}

TEST_F(TwoHosts, an_unclear_answer_to_the_message_makes_no_second_copy_and_the_same_host_is_asked_first_later) {
  SmtpScript first;
  first.replies = {{".", "hello?"}};
  serve_two(std::move(first), {});
  auto job = make_job({"a@domain.test"});
  const auto result = deliver(job);
  EXPECT_EQ(result.results[0].kind, Kind::temporary);
  EXPECT_EQ(second_->connections(), 0U);
  EXPECT_NE(result.results[0].detail.find("may have arrived"), std::string::npos) << result.results[0].detail;

  // As the queue writes it down; meanwhile the preferences of the hosts have changed places.
  auto again = std::make_shared<mta::QueuedMessage>(*job.message);
  again->recipients[0].cause = result.results[0].cause;
  again->recipients[0].last_reply = result.results[0].reply;
  again->recipients[0].last_host = result.results[0].host;
  job.message = again;
  first_->set_replies({});
  for (const char *name : {"domain.test", "mx1.domain.test", "mx2.domain.test"}) dns.forget(name);
  point("domain.test", "mx1.domain.test", *first_, "127.0.0.1", 20);
  point("domain.test", "mx2.domain.test", *second_, "127.0.0.2", 10);
  delivery->close_idle();
  EXPECT_EQ(deliver(job).results[0].host, "mx1.domain.test[127.0.0.1]");
  EXPECT_EQ(second_->connections(), 0U);
}

TEST_F(DeliveryTest, five_hosts_where_nothing_listens_do_not_hide_the_sixth) {
  SmtpFixture server(SmtpScript{});
  for (int i = 1; i <= 5; ++i)
    point("domain.test", "mx" + std::to_string(i) + ".domain.test", server, "127.0.0." + std::to_string(100 + i),
          static_cast<std::uint16_t>(i));
  point("domain.test", "mx6.domain.test", server, "127.0.0.1", 6);
  apply_config();
  EXPECT_EQ(deliver_to("a@domain.test").results[0].host, "mx6.domain.test[127.0.0.1]");
}

struct PlaceRow {
  const char *name;
  std::function<void(mta::Config &, FakeResolver &, std::uint16_t port)> setup;
  const char *to;
  Kind kind;
  const char *reply;
};
class DeliveryPlaces : public DeliveryTest, public testing::WithParamInterface<PlaceRow> {};

TEST_P(DeliveryPlaces, strangers_may_not_send_us_inside_or_to_ourselves) {
  SmtpFixture server(SmtpScript{});
  config.outbound.port = server.port();
  config.outbound.allow_private_addresses = config.outbound.allow_loopback_addresses = false;
  GetParam().setup(config, dns, server.port());
  apply_config();
  const auto result = deliver_to(GetParam().to);
  EXPECT_EQ(result.results[0].kind, GetParam().kind) << result.results[0].detail;
  EXPECT_TRUE(result.results[0].reply.to_line().starts_with(GetParam().reply)) << result.results[0].reply.to_line();
  EXPECT_EQ(server.connections(), GetParam().kind == Kind::delivered ? 1U : 0U);
  EXPECT_FALSE(result.destination_failed && GetParam().kind == Kind::temporary);
}

void mx_at(FakeResolver &dns, const std::string &address) {
  dns.add_mx("domain.test", 10, "mx.domain.test");
  dns.add_address("mx.domain.test", address);
}
void listen_at(mta::Config &config, const std::string &address, std::uint16_t port) {
  mta::ListenerConfig listener;
  listener.name = "mx";
  listener.tls = mta::ListenerTls::none;
  listener.addresses.push_back({smtp::IpAddress::parse(address).value(), port});
  config.listeners.push_back(std::move(listener));
}

void route_own_domain(mta::Config &config, const std::string &host, std::uint16_t port) {
  mta::DomainConfig own{smtp::Domain::parse("domain.test").value(), false, {}, {}, std::nullopt, {}, {}};
  config.domains.emplace("domain.test", std::move(own));
  mta::RouteConfig route;
  route.domains.push_back(smtp::DomainPattern::parse("domain.test").value());
  route.route.hosts.push_back({host, port, 10});
  config.routes.push_back(std::move(route));
}

const PlaceRow place_rows[] = {
    {"loopback", [](auto &, auto &dns, auto) { mx_at(dns, "127.0.0.1"); }, "a@domain.test", Kind::permanent,
     "550 5.4.4"},
    {"unspecified", [](auto &, auto &dns, auto) { mx_at(dns, "0.0.0.0"); }, "a@domain.test", Kind::permanent,
     "550 5.4.4"},
    {"private", [](auto &, auto &dns, auto) { mx_at(dns, "10.1.2.3"); }, "a@domain.test", Kind::permanent, "550 5.4.4"},
    {"link_local", [](auto &, auto &dns, auto) { mx_at(dns, "169.254.1.1"); }, "a@domain.test", Kind::permanent,
     "550 5.4.4"},
    {"multicast", [](auto &, auto &dns, auto) { mx_at(dns, "224.0.0.1"); }, "a@domain.test", Kind::permanent,
     "550 5.4.4"},
    {"v6_loopback", [](auto &, auto &dns, auto) { mx_at(dns, "::1"); }, "a@domain.test", Kind::permanent, "550 5.4.4"},
    {"v6_link_local", [](auto &, auto &dns, auto) { mx_at(dns, "fe80::1"); }, "a@domain.test", Kind::permanent,
     "550 5.4.4"},
    {"a_mapped_loopback", [](auto &, auto &dns, auto) { mx_at(dns, "::ffff:127.0.0.1"); }, "a@domain.test",
     Kind::permanent, "550 5.4.4"},
    {"without_mx", [](auto &, auto &dns, auto) { dns.add_address("domain.test", "127.0.0.1"); }, "a@domain.test",
     Kind::permanent, "550 5.4.4"},
    {"a_literal", [](auto &, auto &, auto) {}, "root@[127.0.0.1]", Kind::permanent, "550 5.4.4"},
    {"a_private_literal", [](auto &, auto &, auto) {}, "root@[192.168.1.1]", Kind::permanent, "550 5.4.4"},
    {"the_switch_allows_loopback",
     [](auto &config, auto &dns, auto) {
       config.outbound.allow_loopback_addresses = true;
       mx_at(dns, "127.0.0.1");
     },
     "a@domain.test", Kind::delivered, "250"},
    {"the_switch_for_private_ones_does_not_allow_loopback",
     [](auto &config, auto &dns, auto) {
       config.outbound.allow_private_addresses = true;
       mx_at(dns, "127.0.0.1");
     },
     "a@domain.test", Kind::permanent,
     "550 5.4.4 its address 127.0.0.1 is not of the internet: loopback; [outbound] allow_loopback_addresses = false"},
    {"no_switch_allows_link_local",
     [](auto &config, auto &dns, auto) {
       config.outbound.allow_private_addresses = true;
       config.outbound.allow_loopback_addresses = true;
       mx_at(dns, "169.254.169.254");
     },
     "a@domain.test", Kind::permanent,
     "550 5.4.4 its address 169.254.169.254 is not of the internet: link-local, where no mail host is"},
    {"no_switch_allows_v6_link_local",
     [](auto &config, auto &dns, auto) {
       config.outbound.allow_private_addresses = true;
       mx_at(dns, "fe80::1");
     },
     "a@domain.test", Kind::permanent, "550 5.4.4"},
    {"the_switch_does_not_allow_unspecified",
     [](auto &config, auto &dns, auto) {
       config.outbound.allow_loopback_addresses = true;
       mx_at(dns, "0.0.0.0");
     },
     "a@domain.test", Kind::permanent, "550 5.4.4"},
    {"one_good_address_beside_a_bad_one",
     [](auto &config, auto &dns, auto) {
       config.outbound.allow_loopback_addresses = true;
       mx_at(dns, "0.0.0.0");
       dns.add_address("mx.domain.test", "127.0.0.1");
     },
     "a@domain.test", Kind::delivered, "250"},
    {"our_listener",
     [](auto &config, auto &dns, auto port) {
       config.outbound.allow_loopback_addresses = true;
       listen_at(config, "127.0.0.1", port);
       mx_at(dns, "127.0.0.1");
     },
     "a@domain.test", Kind::permanent, "550 5.4.6"},
    {"our_listener_for_all_addresses",
     [](auto &config, auto &dns, auto port) {
       config.outbound.allow_loopback_addresses = true;
       listen_at(config, "0.0.0.0", port);
       mx_at(dns, "127.0.0.1");
     },
     "a@domain.test", Kind::permanent, "550 5.4.6"},
    {"our_listener_at_another_port",
     [](auto &config, auto &dns, auto port) {
       config.outbound.allow_loopback_addresses = true;
       listen_at(config, "127.0.0.1", static_cast<std::uint16_t>(port - 1));
       mx_at(dns, "127.0.0.1");
     },
     "a@domain.test", Kind::delivered, "250"},
    {"our_outside_address",
     [](auto &config, auto &dns, auto) {
       config.server.outside_addresses.push_back(smtp::IpAddress::parse("192.0.2.9").value());
       mx_at(dns, "192.0.2.9");
     },
     "a@domain.test", Kind::permanent, "550 5.4.6"},
    {"our_outside_address_for_a_domain_of_ours_waits",
     [](auto &config, auto &dns, auto) {
       config.server.outside_addresses.push_back(smtp::IpAddress::parse("192.0.2.9").value());
       mta::DomainConfig own{smtp::Domain::parse("domain.test").value(), false, {}, {}, std::nullopt, {}, {}};
       config.domains.emplace("domain.test", std::move(own));
       mx_at(dns, "192.0.2.9");
     },
     "a@domain.test", Kind::temporary, "451 4.4.6"},
    {"a_route_of_our_own_domain_to_our_listener_waits",
     [](auto &config, auto &, auto port) {
       listen_at(config, "0.0.0.0", port);
       route_own_domain(config, "127.0.0.1", port);
     },
     "a@domain.test", Kind::temporary, "451 4.4.6"},
    {"by_a_name_too",
     [](auto &config, auto &dns, auto port) {
       listen_at(config, "127.0.0.1", port);
       dns.add_address("inner.test", "127.0.0.1");
       route_own_domain(config, "inner.test", port);
     },
     "a@domain.test", Kind::temporary, "451 4.4.6"},
    {"and_by_mx",
     [](auto &config, auto &dns, auto port) {
       listen_at(config, "127.0.0.1", port);
       mx_at(dns, "127.0.0.1");
       route_own_domain(config, "domain.test", port);
       config.routes.back().route.look_up_mx = true;
     },
     "a@domain.test", Kind::temporary, "451 4.4.6"},
    {"and_to_our_outside_address",
     [](auto &config, auto &, auto) {
       config.server.outside_addresses.push_back(smtp::IpAddress::parse("192.0.2.9").value());
       route_own_domain(config, "192.0.2.9", 25);
     },
     "a@domain.test", Kind::temporary, "451 4.4.6"},
    {"a_route_of_our_own_domain_to_an_inner_server_on_this_machine",
     [](auto &config, auto &, auto port) {
       listen_at(config, "0.0.0.0", static_cast<std::uint16_t>(port - 1));
       route_own_domain(config, "127.0.0.1", port);
     },
     "a@domain.test", Kind::delivered, "250"},
    {"an_outside_address_may_hand_another_port_on",
     [](auto &config, auto &, auto port) {
       config.server.outside_addresses.push_back(smtp::IpAddress::parse("127.0.0.1").value());
       listen_at(config, "0.0.0.0", static_cast<std::uint16_t>(port - 1));
       route_own_domain(config, "127.0.0.1", port);
     },
     "a@domain.test", Kind::delivered, "250"},
    {"a_numeric_mx_name",
     [](auto &config, auto &dns, auto) {
       config.outbound.allow_loopback_addresses = true;
       dns.add_mx("domain.test", 10, "127.0.0.1");
     },
     "a@domain.test", Kind::permanent, "550 5.4.4"},
    {"a_numeric_mx_name_beside_a_good_one",
     [](auto &config, auto &dns, auto) {
       config.outbound.allow_loopback_addresses = true;
       dns.add_mx("domain.test", 5, "10.1.2.3");
       mx_at(dns, "127.0.0.1");
     },
     "a@domain.test", Kind::delivered, "250"},
    {"a_route_may_lead_anywhere",
     [](auto &config, auto &, auto port) {
       mta::RouteConfig route;
       route.domains.push_back(smtp::DomainPattern::parse("domain.test").value());
       route.route.hosts.push_back({"127.0.0.1", port, 10});
       config.routes.push_back(std::move(route));
     },
     "a@domain.test", Kind::delivered, "250"},
};
INSTANTIATE_TEST_SUITE_P(Places, DeliveryPlaces, testing::ValuesIn(place_rows),
                         [](const auto &row) { return std::string(row.param.name); });

TEST_F(DeliveryTest, a_host_that_greets_with_our_name_is_a_loop_unless_a_route_leads_there) {
  SmtpScript ours;
  ours.replies = {{"CONNECT", "220 out.example ESMTP"}};
  SmtpFixture server(ours);
  point("domain.test", "mx.domain.test", server);
  mta::RouteConfig route;
  route.domains.push_back(smtp::DomainPattern::parse("routed.test").value());
  route.route.hosts.push_back({"127.0.0.1", server.port(), 10});
  config.routes.push_back(std::move(route));
  apply_config();
  const auto result = deliver_to("a@domain.test");
  EXPECT_EQ(result.results[0].kind, Kind::permanent);
  EXPECT_TRUE(result.results[0].reply.to_line().starts_with("550 5.4.6 mail loops back to us"))
      << result.results[0].detail;
  EXPECT_EQ(deliver_to("a@routed.test").results[0].kind, Kind::delivered);
}

TEST_F(DeliveryTest, a_greeting_with_our_name_is_a_loop_for_our_own_domains_where_we_may_listen) {
  SmtpScript ours;
  ours.replies = {{"CONNECT", "220 out.example ESMTP"}};
  SmtpFixture server(ours);
  route_own_domain(config, "127.0.0.1", server.port());
  apply_config();
  EXPECT_EQ(deliver_to("a@domain.test").results[0].kind, Kind::delivered)
      << "an inner server on this machine, with our name";
  SmtpFixture another(ours); // to which no connection is kept
  config.routes.clear();
  route_own_domain(config, "127.0.0.1", another.port());
  listen_at(config, "192.0.2.1", another.port()); // as behind a port that is handed on
  apply_config();
  const auto result = deliver_to("a@domain.test");
  EXPECT_EQ(result.results[0].kind, Kind::temporary);
  EXPECT_TRUE(result.results[0].reply.to_line().starts_with("451 4.4.6 mail loops back to us"))
      << result.results[0].detail;
}

TEST_F(DeliveryTest, an_address_takes_no_more_connections_than_configured_whatever_the_domains) {
  config.outbound.connections_per_address = 2;
  config.outbound.greeting_timeout = std::chrono::seconds(60);
  SmtpScript silent;
  silent.replies = {{"CONNECT", "<silent>"}};
  SmtpFixture server(silent);
  for (const char *name : {"a", "b", "c"}) point(std::string(name) + ".wild.test", "mx.wild.test", server);
  apply_config();
  auto first = start(make_job({"x@a.wild.test"}));
  auto second = start(make_job({"x@b.wild.test"}));
  for (int i = 0; i < 2000 && server.connections() < 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const auto third = deliver_to("x@c.wild.test");
  EXPECT_TRUE(third.put_off);
  EXPECT_EQ(third.results[0].kind, Kind::temporary);
  EXPECT_EQ(server.connections(), 2U);
  delivery->shut_down(std::chrono::seconds(0));
  first.wait();
  second.wait();
  EXPECT_EQ(delivery->load().jobs, 0U);
}

TEST_F(DeliveryTest, every_connection_is_counted_until_it_is_closed) {
  auto &server = serve();
  EXPECT_EQ(deliver_to("a@domain.test").results[0].kind, Kind::delivered);
  EXPECT_EQ(delivery->load().connections(), 1U);
  EXPECT_EQ(delivery->load().kept, 1U);
  delivery->close_idle();
  server.wait_until_ended(1);
  for (int i = 0; i < 1000 && delivery->load().connections() > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(delivery->load().connections(), 0U);
  EXPECT_EQ(delivery->load().closing, 0U);
  EXPECT_EQ(delivery->load().kept, 0U);
}

struct DnsRow {
  const char *name;
  std::function<void(FakeResolver &)> zone;
  Kind kind;
  const char *reply; ///< how our reply begins
  bool destination_failed;
};
class DeliveryDns : public DeliveryTest, public testing::WithParamInterface<DnsRow> {};

TEST_P(DeliveryDns, failures_are_temporary_or_permanent) {
  GetParam().zone(dns);
  mta::DecisionLogOptions options;
  options.folder = (folder.path() / "tally").string();
  auto recorded = mta::DecisionLog::open(options, log);
  ASSERT_TRUE(recorded);
  decisions = recorded->get();
  apply_config();
  const auto result = deliver_to("a@domain.test");
  EXPECT_EQ(result.results[0].kind, GetParam().kind) << result.results[0].detail;
  EXPECT_EQ(result.results[0].cause, FailureCause::dns);
  EXPECT_TRUE(result.results[0].reply.to_line().starts_with(GetParam().reply)) << result.results[0].reply.to_line();
  EXPECT_EQ(result.destination_failed, GetParam().destination_failed);
  EXPECT_EQ(log.events("delivery").size(), 1U);
  ASSERT_TRUE((*recorded)->flush());
  const auto id = mta::QueueId::parse(log.events("delivery")[0].at("id"));
  const auto found = mta::find_decisions((*recorded)->files(), id->value);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1U) << "an attempt that came to no host is recorded too";
  EXPECT_TRUE((*found)[0].note.reply.starts_with(GetParam().reply)) << (*found)[0].note.reply;
  // A host that is passed over is not yet the end of the recipient, though here no other host follows.
  const bool passed_over = std::string_view(GetParam().reply).starts_with("550 5.4.4");
  const std::string status = GetParam().kind == Kind::permanent && !passed_over ? "failed" : "deferred";
  EXPECT_EQ(log.events("delivery")[0].at("status"), status) << "as the lines of several recipients have it";
  ASSERT_EQ((*found)[0].note.recipients.size(), 1U);
  EXPECT_EQ((*found)[0].note.recipients[0].address, "a@domain.test");
  EXPECT_EQ((*found)[0].note.recipients[0].status, status);
  EXPECT_NE((*found)[0].decision.find(R"("requirement":{"level":"opportunistic")"), std::string::npos)
      << (*found)[0].decision;
  delivery->shut_down(std::chrono::seconds(0));
  workers->join();
  delivery.reset(); // before the record goes
}
const DnsRow dns_rows[] = {
    {"nxdomain", [](FakeResolver &) {}, Kind::permanent, "550 5.1.2", false},
    {"null_mx", [](FakeResolver &dns) { dns.add_mx("domain.test", 0, ""); }, Kind::permanent, "556 5.1.10", false},
    {"only_our_own_name", [](FakeResolver &dns) { dns.add_mx("domain.test", 10, "out.example"); }, Kind::permanent,
     "550 5.4.6", false},
    {"mx_servfail", [](FakeResolver &dns) { dns.fail("domain.test"); }, Kind::temporary, "451 4.4.3", true},
    {"mx_host_does_not_exist", [](FakeResolver &dns) { dns.add_mx("domain.test", 10, "mx.domain.test"); },
     Kind::permanent, "550 5.4.4", true},
    {"mx_host_servfail",
     [](FakeResolver &dns) { dns.add_mx("domain.test", 10, "mx.domain.test").fail("mx.domain.test"); }, Kind::temporary,
     "451 4.4.3", true},
};
INSTANTIATE_TEST_SUITE_P(Dns, DeliveryDns, testing::ValuesIn(dns_rows),
                         [](const auto &row) { return std::string(row.param.name); });

TEST_F(DeliveryTest, a_domain_without_mx_is_reached_at_its_own_address) {
  SmtpFixture server(SmtpScript{});
  config.outbound.port = server.port();
  dns.add_address("domain.test", "127.0.0.1");
  apply_config();
  EXPECT_EQ(deliver_to("a@domain.test").results[0].host, "domain.test[127.0.0.1]");
}

TEST_F(DeliveryTest, an_address_literal_is_reached_without_dns) {
  SmtpFixture server(SmtpScript{});
  config.outbound.port = server.port();
  apply_config();
  EXPECT_EQ(deliver_to("a@[127.0.0.1]").results[0].kind, Kind::delivered);
}

TEST_F(DeliveryTest, connections_are_kept_and_used_again) {
  auto &server = serve();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(deliver_to("a@domain.test").results[0].kind, Kind::delivered);
  EXPECT_EQ(server.connections(), 1U);
  EXPECT_EQ(server.messages().size(), 5U);
  EXPECT_EQ(log.events("delivery")[0].count("reused"), 0U);
  EXPECT_EQ(log.events("delivery")[1].at("reused"), "true");
  EXPECT_EQ(dns.asked("mx domain.test"), 1U); // the plan is cached
}

TEST_F(DeliveryTest, two_domains_with_one_host_share_a_kept_connection) {
  auto &server = serve();
  dns.add_mx("second.test", 10, "mx.domain.test");
  EXPECT_EQ(deliver_to("a@domain.test").results[0].kind, Kind::delivered);
  EXPECT_EQ(deliver_to("a@second.test").results[0].kind, Kind::delivered);
  EXPECT_EQ(server.connections(), 1U);
}

TEST_F(DeliveryTest, a_connection_serves_no_more_messages_than_configured) {
  config.outbound.messages_per_connection = 2;
  auto &server = serve();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(deliver_to("a@domain.test").results[0].kind, Kind::delivered);
  EXPECT_EQ(server.connections(), 2U);
}

TEST_F(DeliveryTest, the_servers_mailmax_is_kept) {
  SmtpScript script;
  script.extensions.push_back("LIMITS MAILMAX=1");
  auto &server = serve(std::move(script));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(deliver_to("a@domain.test").results[0].kind, Kind::delivered);
  EXPECT_EQ(server.connections(), 3U);
}

TEST_F(DeliveryTest, the_servers_rcptmax_splits_the_recipients) {
  SmtpScript script;
  script.extensions.push_back("LIMITS RCPTMAX=2");
  auto &server = serve(std::move(script));
  const auto result =
      deliver(make_job({"a@domain.test", "b@domain.test", "c@domain.test", "d@domain.test", "e@domain.test"}));
  for (const auto &one : result.results) EXPECT_EQ(one.kind, Kind::delivered) << one.detail;
  EXPECT_EQ(server.messages().size(), 3U);
  EXPECT_EQ(server.connections(), 1U);
}

TEST_F(DeliveryTest, a_kept_connection_that_the_peer_closed_is_not_used) {
  SmtpScript script;
  script.messages_per_connection = 1;
  auto &server = serve(std::move(script));
  EXPECT_EQ(deliver_to("a@domain.test").results[0].kind, Kind::delivered);
  server.wait_until_ended(1);
  EXPECT_EQ(deliver_to("b@domain.test").results[0].kind, Kind::delivered);
  EXPECT_EQ(server.connections(), 2U);
  for (const auto &event : log.events("delivery")) EXPECT_EQ(event.at("result"), "delivered");
}

TEST_F(DeliveryTest, a_kept_connection_that_dies_at_the_first_command_is_replaced_without_a_failure) {
  for (const char *last_word : {"<close>", "421 4.4.2 idle for too long"}) {
    SCOPED_TRACE(last_word);
    server_.reset();
    SmtpScript script;
    script.replies = {{"MAIL#2", last_word}};
    SmtpFixture server(std::move(script));
    const std::string domain = "domain" + std::to_string(server.port()) + ".test";
    point(domain, "mx." + domain, server);
    apply_config();
    EXPECT_EQ(deliver_to("a@" + domain).results[0].kind, Kind::delivered);
    const auto result = deliver_to("b@" + domain);
    EXPECT_EQ(result.results[0].kind, Kind::delivered) << result.results[0].detail;
    EXPECT_FALSE(result.destination_failed);
    EXPECT_EQ(server.connections(), 2U);
    for (const auto &event : log.events("delivery")) EXPECT_EQ(event.at("result"), "delivered");
  }
}

TEST_F(DeliveryTest, close_idle_says_quit) {
  auto &server = serve();
  EXPECT_EQ(deliver_to("a@domain.test").results[0].kind, Kind::delivered);
  delivery->close_idle();
  server.wait_until_ended(1);
  EXPECT_EQ(server.count("QUIT"), 1U);
}

TEST_F(DeliveryTest, an_idle_connection_ends_after_its_time) {
  config.outbound.idle_timeout = std::chrono::seconds(1);
  auto &server = serve();
  EXPECT_EQ(deliver_to("a@domain.test").results[0].kind, Kind::delivered);
  server.wait_until_ended(1);
  EXPECT_EQ(server.count("QUIT"), 1U);
}

TEST_F(DeliveryTest, a_connection_lost_in_the_midst_of_the_message_leads_to_the_next_host) {
  SmtpScript dying;
  dying.extensions = {"PIPELINING"};
  dying.replies = {{"BODY", "x"}};
  SmtpFixture first(dying);
  SmtpScript good;
  good.extensions = {"PIPELINING"};
  good.address = "127.0.0.2";
  good.port = first.port();
  SmtpFixture second(good);
  point("domain.test", "mx1.domain.test", first, "127.0.0.1", 10);
  point("domain.test", "mx2.domain.test", second, "127.0.0.2", 20);
  apply_config();
  std::string body = "Subject: long\r\n\r\n";
  for (int i = 0; i < 200'000; ++i) body += "a line of the message, .\r\n.dot\r\n";
  const auto result = deliver(make_job({"a@domain.test"}, body));
  EXPECT_EQ(first.messages().size(), 0U);
  EXPECT_EQ(result.results[0].kind, Kind::delivered) << result.results[0].detail;
  ASSERT_EQ(second.messages().size(), 1U);
  EXPECT_TRUE(second.messages()[0].body == "Received: by out.example\r\n" + body);
}

TEST_F(DeliveryTest, a_message_that_may_have_arrived_is_not_offered_to_another_host_at_once) {
  SmtpScript dying;
  dying.replies = {{".", "<close>"}};
  SmtpFixture first(dying);
  SmtpScript good;
  good.address = "127.0.0.2";
  good.port = first.port();
  SmtpFixture second(good);
  point("domain.test", "mx1.domain.test", first, "127.0.0.1", 10);
  point("domain.test", "mx2.domain.test", second, "127.0.0.2", 20);
  apply_config();
  EXPECT_EQ(deliver_to("a@domain.test").results[0].kind, Kind::temporary);
  EXPECT_EQ(second.connections(), 0U);
}

TEST_F(DeliveryTest, chunking_sends_the_same_octets) {
  SmtpScript script;
  script.extensions.push_back("CHUNKING");
  auto &server = serve(std::move(script));
  std::string body = "Subject: long\r\n\r\n";
  for (int i = 0; i < 20'000; ++i) body += ".a line with a dot in front\r\n";
  EXPECT_EQ(deliver(make_job({"a@domain.test"}, body)).results[0].kind, Kind::delivered);
  ASSERT_EQ(server.messages().size(), 1U);
  EXPECT_TRUE(server.messages()[0].body == "Received: by out.example\r\n" + body);
  EXPECT_EQ(server.count("DATA"), 0U);
}

TEST_F(DeliveryTest, a_body_that_cannot_be_read_ends_the_connection_and_is_never_completed) {
  auto &server = serve();
  auto job = make_job({"a@domain.test"}, std::string(200'000, 'x') + "\r\n");
  spool.break_reading_at(100'000);
  const auto result = deliver(std::move(job));
  EXPECT_EQ(result.results[0].kind, Kind::temporary);
  EXPECT_EQ(result.results[0].cause, FailureCause::local);
  EXPECT_NE(result.results[0].detail.find("cannot be read from the spool"), std::string::npos);
  server.wait_until_ended(1);
  EXPECT_TRUE(server.messages().empty());
}

TEST_F(DeliveryTest, a_message_that_is_gone_from_the_spool_is_a_local_failure) {
  auto &server = serve();
  auto job = make_job({"a@domain.test"});
  spool.remove(job.message->id);
  const auto result = deliver(std::move(job));
  EXPECT_EQ(result.results[0].cause, FailureCause::local);
  EXPECT_EQ(server.count("MAIL"), 0U);
}

TEST_F(DeliveryTest, what_the_hop_lacks_is_a_local_permanent_failure) {
  SmtpScript script;
  script.extensions = {"PIPELINING", "SIZE 10"};
  serve(std::move(script));
  const auto result = deliver_to("a@domain.test");
  EXPECT_EQ(result.results[0].kind, Kind::permanent);
  EXPECT_EQ(result.results[0].cause, FailureCause::local);
  EXPECT_EQ(result.results[0].reply.code, 552);
}

TEST_F(DeliveryTest, a_route_carries_several_domains_in_one_transaction) {
  SmtpFixture server(SmtpScript{});
  mta::RouteConfig route;
  route.domains.push_back(smtp::DomainPattern::parse("*").value());
  route.route.name = "smart";
  route.route.hosts.push_back({"127.0.0.1", server.port(), 10});
  config.routes.push_back(route);
  apply_config();
  const auto result = deliver(make_job({"a@one.test", "b@two.test"}));
  ASSERT_EQ(result.results.size(), 2U);
  for (const auto &one : result.results) EXPECT_EQ(one.kind, Kind::delivered) << one.detail;
  EXPECT_EQ(server.messages().size(), 1U);
}

TEST_F(DeliveryTest, a_route_parts_domains_whose_requirements_differ) {
  SmtpFixture server(SmtpScript{});
  mta::RouteConfig route;
  route.domains.push_back(smtp::DomainPattern::parse("*").value());
  route.route.name = "smart";
  route.route.hosts.push_back({"127.0.0.1", server.port(), 10});
  config.routes.push_back(route);
  add_partner("strict.test", tls::Level::encrypted);
  apply_config();
  const auto result = deliver(make_job({"a@plain.test", "b@strict.test"}));
  ASSERT_EQ(result.results.size(), 2U);
  for (const auto &one : result.results)
    EXPECT_EQ(one.kind, one.index == 0 ? Kind::delivered : Kind::temporary) << one.detail;
  const auto messages = server.messages();
  ASSERT_EQ(messages.size(), 1U);
  for (const auto &command : messages[0].commands) EXPECT_EQ(command.find("strict.test"), std::string::npos);
}

TEST_F(DeliveryTest, the_hard_stop_ends_a_transaction_as_temporary) {
  SmtpScript script;
  script.replies = {{"MAIL", "<silent>"}};
  auto &server = serve(std::move(script));
  auto running = start(make_job({"a@domain.test"}));
  server.wait_for("MAIL");
  delivery->shut_down(std::chrono::seconds(0));
  const auto result = running.get();
  EXPECT_EQ(result.results[0].kind, Kind::temporary);
  EXPECT_EQ(deliver_to("b@domain.test").results[0].kind, Kind::temporary); // no job begins any more
  EXPECT_EQ(server.count("MAIL"), 1U);
}

TEST_F(DeliveryTest, an_attempt_is_logged_with_its_facts) {
  serve();
  deliver_to("a@domain.test");
  const auto events = log.events("delivery");
  ASSERT_EQ(events.size(), 1U);
  const auto &event = events[0];
  EXPECT_EQ(event.at("to"), "a@domain.test");
  EXPECT_EQ(event.at("from"), "<from@sender.example>");
  EXPECT_EQ(event.at("host"), "mx.domain.test");
  EXPECT_EQ(event.at("ip"), "127.0.0.1");
  EXPECT_EQ(event.at("tls_wanted"), "opportunistic");
  EXPECT_EQ(event.at("tls_got"), "none");
  EXPECT_EQ(event.at("tls_problem"), "STARTTLS was not offered");
  EXPECT_EQ(event.at("rule"), "default");
  EXPECT_EQ(event.at("result"), "delivered");
  EXPECT_EQ(event.at("reply"), "250 2.0.0 taken");
}

TEST_F(DeliveryTest, destinations_are_domains_literals_and_routes) {
  mta::RouteConfig route;
  route.domains.push_back(smtp::DomainPattern::parse("*.routed.test").value());
  route.route.name = "smart";
  route.route.hosts.push_back({"127.0.0.1", 25, 10});
  config.routes.push_back(route);
  const struct {
    const char *mailbox;
    const char *destination;
  } rows[] = {{"a@domain.test", "domain.test"},
              {"a@DOMAIN.test", "domain.test"},
              {"a@b\u00fccher.test", "xn--bcher-kva.test"},
              {"a@[192.0.2.1]", "[192.0.2.1]"},
              {"a@[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"},
              {"a@x.routed.test", "route:smart"},
              {"a@routed.test", "routed.test"}};
  for (const auto &row : rows)
    EXPECT_EQ(mta::destination_of(config, smtp::Mailbox::parse(row.mailbox).value()), row.destination) << row.mailbox;
}

} // namespace delivery_test
} // namespace test
