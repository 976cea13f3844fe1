// load_config_text: what is written arrives in Config; warnings; files that cannot be read.
#include <gtest/gtest.h>

#include "config_fakes.hpp"

namespace load_test {

using namespace mta;
using namespace std::chrono_literals;

const std::string minimal = R"(
[server]
hostname = "mx.example.org"
[[certificate]]
name = "main"
certificate = "mx.pem"
key = "mx.key"
[[listener]]
name = "mx"
addresses = ["127.0.0.1:0"]
[[domain]]
domain = "example.org"
recipients = ["alice"]
[queue]
postmaster = "alice@example.org"
)";

class Load : public testing::Test {
protected:
  config_fakes::MemoryFiles files;
  std::chrono::system_clock::time_point now = std::chrono::sys_days(2027y / 1 / 15) + 12h;

  Load() {
    files.files = {{"/etc/p/mx.pem", ""}, {"/etc/p/mx.key", ""}, {"/etc/p/ca.pem", ""}, {"/ca.pem", ""}};
    files.certificate.key_type = "EC";
    files.certificate.key_bits = 256;
    files.certificate.not_after = std::chrono::sys_days(2030y / 1 / 1);
  }
  void add_partner(const std::string &name, const std::string &text) {
    files.folders["/etc/p/partners.d"].push_back(name);
    files.files["/etc/p/partners.d/" + name] = text;
  }
  LoadedConfig load(const std::string &text) {
    LoadTextOptions options;
    options.folder = "/etc/p";
    options.now = now;
    return load_config_text(text, options, files);
  }
  std::shared_ptr<const Config> good(const std::string &text) {
    auto loaded = load(text);
    EXPECT_EQ(config_fakes::text_of(loaded.findings), "");
    return loaded.config;
  }
};

TEST_F(Load, AMinimalConfiguration) {
  const auto config = good(minimal);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->file, "/etc/p/portcullis.toml");
  EXPECT_EQ(config->certificates.at(0).files.key, "/etc/p/mx.key") << "relative paths start at the file";
  EXPECT_EQ(config->certificates.at(0).place, "portcullis.toml:4");
  EXPECT_EQ(config->listeners.at(0).place, "portcullis.toml:8");
  EXPECT_EQ(config->domains.at("example.org").recipients, std::unordered_set<std::string>{"alice"});
}

TEST_F(Load, EveryKeyArrives) {
  files.folders["/friends"] = {};
  const auto config = good(R"(
[server]
hostname = "MX.Example.org"
user = "u"
group = "g"
threads = 3
shutdown_grace = "1m"
memory_budget = "64MiB"
partners = "/friends"
outside_addresses = ["192.0.2.77"]
[log]
format = "json"
level = "debug"
file = "log/mail"
[spool]
path = "spool"
segment_size = "4MiB"
min_free = "1GiB"
max_messages = 7
[control]
socket = "/run/x.sock"
group = "ops"
[limits]
command_line = "600B"
text_line = "2KiB"
recipients = 101
message_size = "1MiB"
header_size = "32KiB"
received_hops = 20
errors = 3
idle_commands = 11
refused_recipients = 12
transactions = 4
connections = 5
connections_per_address = 6
connections_per_network = 7
connection_rate = 8
connection_rate_per_network = 9
recipient_rate = 10
exempt_networks = ["10.0.0.0/8", "2001:db8::/32"]
questions_per_address = 31
questions_per_network = 32
unanswered_per_address = 33
unanswered_per_network = 34
minimum_rate = "1KiB"
command_timeout = "1m"
data_timeout = "2m"
session_timeout = "3m"
[dns]
resolvers = ["192.0.2.53", "[2001:db8::53]:5353"]
dnssec = false
trust_anchor = ""
extra_anchors = [". IN DS 1 8 2 AA"]
timeout = "1500ms"
questions = 35
hosts_file = "/ca.pem"
insecure_domains = ["Internal.example"]
health_names = ["Known.example"]
[outbound]
profile = "ncsc"
tls = "encrypted"
connections = 1
connections_per_destination = 2
idle_timeout = "3s"
messages_per_connection = 4
dane = false
requiretls = false
connect_timeout = "5s"
ipv6_head_start = "6ms"
ipv6 = false
ipv4 = true
port = 2525
source_addresses = ["192.0.2.9", "2001:db8::9"]
greeting_timeout = "11s"
hello_timeout = "12s"
starttls_timeout = "13s"
mail_timeout = "14s"
recipient_timeout = "15s"
data_start_timeout = "16s"
data_block_timeout = "17s"
data_end_timeout = "18s"
allow_private_addresses = true
allow_loopback_addresses = true
connections_per_address = 5
reserved_percent = 6
notices_percent = 7
unreached_percent = 8
minimum_rate = "9KiB"
session_timeout = "20s"
[queue]
retry = ["10s", "1h"]
give_up_after = "2d"
delay_notice_after = "0s"
full_mailbox_give_up_after = "12h"
jitter = 0.5
postmaster = "Ops@other.example"
bounce_sender_name = "Post"
hold_reminder = "3h"
bounce_full_limit = "1KiB"
[[certificate]]
name = "main"
certificate = "/etc/p/mx.pem"
key = "mx.key"
[[listener]]
name = "in"
addresses = ["127.0.0.1:0", "[::1]:2525", "192.0.2.1"]
role = "relay"
tls = "implicit"
profile = "ncsc"
certificates = ["main"]
request_client_certificate = true
client_ca_hints = "ca.pem"
tickets = false
refuse_early_talkers = false
greeting_delay = "250ms"
bare_lf = "convert"
dsn = false
hide_clients = true
trusted_networks = ["10.0.0.0/8"]
trusted_names = ["*.Relay.example.org"]
trusted_pins = ["sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
trusted_ca = "/ca.pem"
accept_server_auth = true
)");
  ASSERT_TRUE(config);
  EXPECT_EQ(
      config->server,
      (ServerConfig{
          "mx.example.org", "u", "g", 3, 60s, 67'108'864, "/friends", {smtp::IpAddress::parse("192.0.2.77").value()}}));
  EXPECT_EQ(config->log, (LogConfig{LogFormat::json, "debug", "/etc/p/log/mail"}));
  EXPECT_EQ(config->spool, (SpoolConfig{"/etc/p/spool", 4'194'304, 1'073'741'824, 7}));
  EXPECT_EQ(config->control, (ControlConfig{"/run/x.sock", "ops"}));
  EXPECT_EQ(config->limits,
            (LimitConfig{smtp::Limits{600, 2048, 101, 1'048'576, 32'768, 20, 3, 11, 12, 4},
                         5,
                         6,
                         7,
                         8,
                         9,
                         10,
                         {smtp::Network::parse("10.0.0.0/8").value(), smtp::Network::parse("2001:db8::/32").value()},
                         31,
                         32,
                         33,
                         34,
                         1024,
                         60s,
                         120s,
                         180s}));
  EXPECT_EQ(config->dns, (DnsConfig{{smtp::SocketAddress::parse("192.0.2.53:53", 0).value(),
                                     smtp::SocketAddress::parse("[2001:db8::53]:5353", 0).value()},
                                    false,
                                    "",
                                    {". IN DS 1 8 2 AA"},
                                    1500ms,
                                    35,
                                    "/ca.pem",
                                    {"internal.example"},
                                    {"known.example"},
                                    {}}));
  EXPECT_EQ(config->outbound,
            (OutboundConfig{
                "ncsc", tls::Level::encrypted,
                1,      2,
                3s,     4,
                5s,     6ms,
                false,  true,
                2525,   {smtp::IpAddress::parse("192.0.2.9").value(), smtp::IpAddress::parse("2001:db8::9").value()},
                false,  false,
                11s,    12s,
                13s,    14s,
                15s,    16s,
                17s,    18s,
                true,   true,
                5,      6,
                7,      8,
                9216,   20s}));
  EXPECT_EQ(config->queue.retry, (policy::RetrySchedule{{10s, 1h}, 48h, 0s, 0.5, 12h}));
  EXPECT_EQ(config->queue.postmaster->to_string(), "Ops@other.example");
  EXPECT_EQ(config->queue.bounce_sender_name, "Post");
  EXPECT_EQ(config->queue.hold_reminder, 3h);
  EXPECT_EQ(config->queue.bounce_full_limit, 1024U);
  ListenerConfig listener;
  listener.name = "in";
  for (const char *address : {"127.0.0.1:0", "[::1]:2525", "192.0.2.1:25"})
    listener.addresses.push_back(smtp::SocketAddress::parse(address, 0).value());
  listener.role = policy::ListenerRole::relay;
  listener.tls = ListenerTls::implicit;
  listener.profile = "ncsc";
  listener.certificates = {"main"};
  listener.client_ca_hints = "/etc/p/ca.pem";
  listener.tickets = false;
  listener.refuse_early_talkers = false;
  listener.greeting_delay = 250ms;
  listener.bare_lf = smtp::BareLf::convert;
  listener.dsn = false;
  listener.hide_clients = true;
  listener.trusted_networks = {smtp::Network::parse("10.0.0.0/8").value()};
  listener.trusted_names = {"*.relay.example.org"};
  listener.trusted_pins = {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
  listener.trusted_ca = "/ca.pem";
  listener.accept_server_auth = true;
  listener.place = config->listeners.at(0).place;
  EXPECT_EQ(config->listeners.at(0), listener);
}

TEST_F(Load, RoutesInTheirForms) {
  const auto config = good(minimal + R"(
[[domain]]
domain = "second.example"
catch_all = true
route = ["store.example", "192.0.2.1:2525", "[2001:db8::1]:26", "2001:db8::2"]
[[domain]]
domain = "third.example"
catch_all = true
requiretls = true
[domain.route]
hosts = [{ host = "a.example", port = 465, preference = 5 }, { host = "b.example" }]
implicit_tls = true
client_certificate = "main"
[[route]]
name = "smart"
domains = ["*", "*.net.example"]
hosts = ["net.example:2525"]
look_up_mx = true
tls = "authenticated"
trust = "ca.pem"
match = ["*.net.example"]
profile = "ncsc"
pins = ["sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
)");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->domains.at("second.example").route->hosts,
            (std::vector<policy::RouteHost>{
                {"store.example", 25, 10}, {"192.0.2.1", 2525, 20}, {"2001:db8::1", 26, 30}, {"2001:db8::2", 25, 40}}))
      << "strings are tried in their order";
  const auto &third = *config->domains.at("third.example").route;
  EXPECT_EQ(third.hosts, (std::vector<policy::RouteHost>{{"a.example", 465, 5}, {"b.example", 25, 10}}));
  EXPECT_TRUE(third.implicit_tls);
  EXPECT_EQ(third.client_certificate, "main");
  EXPECT_TRUE(config->some_domain_keeps_requiretls);
  const auto keeps = [&](const char *address) {
    return config->keeps_requiretls(smtp::Mailbox::parse(address).value());
  };
  EXPECT_TRUE(keeps("a@third.example"));
  EXPECT_FALSE(keeps("a@second.example"));
  EXPECT_TRUE(keeps("a@elsewhere.example")) << "not ours to say";
  EXPECT_EQ(third.name, third.place);
  const auto &route = config->routes.at(0);
  EXPECT_EQ(route.route.name, "smart");
  EXPECT_TRUE(route.route.look_up_mx);
  EXPECT_EQ(route.tls, tls::Level::authenticated);
  EXPECT_EQ(route.tls_trust, "/etc/p/ca.pem");
  EXPECT_EQ(route.match, std::vector<std::string>{"*.net.example"});
  EXPECT_EQ(route.profile, "ncsc");
  EXPECT_EQ(route.pins.size(), 1U);
}

TEST_F(Load, APartnerAsTheDesignWritesIt) {
  add_partner("example.toml", R"(name      = "Example Department"
domains   = ["example.gov.uk", "*.example.gov.uk"]
contact   = "postmaster@example.gov.uk"
reference = "CHG-0042"
review    = 2027-06-30

[outbound]
mode    = "enforce"
tls     = "authenticated"
match   = ["mx1.example.gov.uk", "*.mail.example.gov.uk"]
trust   = "ca.pem"
pins    = ["sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
profile = "suite-b-1"
route   = ["relay.psn.example:25"]

[inbound]
mode        = "observe"
tls         = "authenticated"
certificate = { names = ["*.mail.example.gov.uk"], trust = "/ca.pem", accept_server_auth = true, pins = ["sha256//BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] }
networks    = ["192.0.2.0/24"]
on_failure  = "defer"

[[exception]]
domain = "legacy.example.gov.uk"
tls    = "none"
owner  = "mail team"
reason = "their gateway is replaced in March"
expires = 2027-04-01
)");
  const auto config = good(minimal);
  ASSERT_TRUE(config);
  const auto *partner = config->partners.find(smtp::Domain::parse("a.example.gov.uk").value());
  ASSERT_TRUE(partner);
  EXPECT_EQ(partner->name, "Example Department");
  EXPECT_EQ(partner->contact, "postmaster@example.gov.uk");
  EXPECT_EQ(partner->reference, "CHG-0042");
  EXPECT_EQ(partner->review, std::chrono::sys_days(2027y / 6 / 30));
  EXPECT_EQ(partner->file, "partners.d/example.toml");
  const auto &out = *partner->outbound;
  EXPECT_EQ(out.mode, policy::Mode::enforce);
  EXPECT_EQ(out.level, tls::Level::authenticated);
  EXPECT_EQ(out.match, (std::vector<std::string>{"mx1.example.gov.uk", "*.mail.example.gov.uk"}));
  EXPECT_EQ(out.trust, "/etc/p/ca.pem");
  EXPECT_EQ(out.pins, std::vector<std::string>{"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="});
  EXPECT_EQ(out.profile, "suite-b-1");
  EXPECT_EQ(out.place, "partners.d/example.toml:7");
  ASSERT_TRUE(out.route);
  EXPECT_EQ(out.route->hosts, (std::vector<policy::RouteHost>{{"relay.psn.example", 25, 10}}));
  EXPECT_EQ(out.route->place, "partners.d/example.toml:14");
  const auto &in = *partner->inbound;
  EXPECT_EQ(in.mode, policy::Mode::observe);
  EXPECT_EQ(in.level, tls::Level::authenticated);
  EXPECT_EQ(in.names, std::vector<std::string>{"*.mail.example.gov.uk"});
  EXPECT_EQ(in.trust, "/ca.pem");
  EXPECT_TRUE(in.accept_server_auth);
  EXPECT_EQ(in.pins, std::vector<std::string>{"BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="});
  EXPECT_EQ(in.networks.size(), 1U);
  EXPECT_EQ(in.on_failure, policy::OnFailure::defer);
  EXPECT_EQ(in.place, "partners.d/example.toml:16");
  ASSERT_EQ(partner->exceptions.size(), 1U);
  EXPECT_EQ(partner->exceptions[0].level, tls::Level::none);
  EXPECT_EQ(partner->exceptions[0].owner, "mail team");
  EXPECT_EQ(partner->exceptions[0].reason, "their gateway is replaced in March");
  EXPECT_EQ(partner->exceptions[0].expires, std::chrono::sys_days(2027y / 4 / 1));
  EXPECT_EQ(partner->exceptions[0].place, "partners.d/example.toml:23");
}

TEST_F(Load, AnOpportunisticPartnerGetsTheProfileOfStrangers) {
  add_partner("p.toml", "name = \"P\"\ndomains = [\"p.example\"]\n[outbound]\ntls = \"opportunistic\"\n");
  add_partner("q.toml", "name = \"Q\"\ndomains = [\"q.example\"]\n[outbound]\n");
  const auto config = good(minimal);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->partners.find(smtp::Domain::parse("p.example").value())->outbound->profile, "internet");
  EXPECT_EQ(config->partners.find(smtp::Domain::parse("q.example").value())->outbound->profile, "ncsc");
  EXPECT_EQ(config->partners.find(smtp::Domain::parse("q.example").value())->outbound->level,
            tls::Level::authenticated);
}

TEST_F(Load, TheListFileOfRecipients) {
  const auto text = "[[domain]]\ndomain = \"list.example.org\"\nrecipients_file = \"people\"\n";
  files.files["/etc/p/people"] =
      "# people\r\nAlice\r\n\r\nbob@List.example.org # Bob\nalice\n\"two words\"\n\"a#b\"@list.example.org\nlast";
  const auto listed = good(minimal + text);
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->domains.at("list.example.org").recipients,
            (std::unordered_set<std::string>{"alice", "bob", "two words", "a#b", "last"}));
  EXPECT_EQ(listed->domains.at("list.example.org").recipients_file, "/etc/p/people");
}

TEST_F(Load, WarningsDoNotStopTheDaemon) {
  struct Row {
    const char *name;
    std::string text;
    std::string partner;
    std::string wanted;
  };
  const std::string head = "name = \"P\"\ndomains = [\"p.example\"]\n";
  const std::string exception =
      "[[exception]]\ndomain = \"p.example\"\ntls = \"opportunistic\"\nowner = \"o\"\nreason = \"r\"\nexpires = ";
  std::string one_label = minimal;
  one_label.replace(one_label.find("mx.example.org"), 14, "mailhost");
  const std::vector<Row> rows = {
      {"a host name of one label", one_label, "",
       "portcullis.toml:3: warning: server.hostname: \"mailhost\" has one label; others expect a full name such as "
       "\"mx.example.org\"\n"},
      {"an expired exception", minimal, head + exception + "2027-01-14\n",
       "partners.d/p.toml:8: warning: exception.expires: expired on 2027-01-14: the exception no longer counts; remove "
       "it, or agree on a new date\n"},
      {"an exception in its last days", minimal, head + exception + "2027-01-15\n",
       "partners.d/p.toml:8: warning: exception.expires: expires on 2027-01-15, within 30 days\n"},
      {"an exception on its thirtieth day from now", minimal, head + exception + "2027-02-14\n",
       "partners.d/p.toml:8: warning: exception.expires: expires on 2027-02-14, within 30 days\n"},
      {"an exception with time to run", minimal, head + exception + "2027-02-15\n", ""},
      {"a review that is due", minimal, head + "review = 2027-01-14\n[outbound]\n",
       "partners.d/p.toml:3: warning: review: the review was due on 2027-01-14\n"},
      {"a review today", minimal, head + "review = 2027-01-15\n[outbound]\n", ""},
      {"a domain of ours in the partner table", minimal,
       "name = \"P\"\ndomains = [\"*.org\", \"example.org\"]\n[outbound]\n",
       "partners.d/p.toml:3: warning: outbound: example.org is a domain of ours (portcullis.toml:11): is mail to it "
       "really to follow this rule?\n"},
      {"a partner file that does nothing", minimal, head,
       "partners.d/p.toml:1: warning: name: the file has neither [outbound], [inbound] nor [[exception]] and so "
       "changes nothing\n"},
      {"a domain without recipients", minimal + "[[domain]]\ndomain = \"empty.example\"\n", "",
       "portcullis.toml:17: warning: domain.domain: empty.example has neither recipients, recipients_file nor "
       "catch_all: only postmaster and abuse are accepted\n"},
      {"limits under those of the RFC", minimal + "[limits]\nrecipients = 5\nmessage_size = \"2KiB\"\n", "",
       "portcullis.toml:17: warning: limits.recipients: is under the 100 that RFC 5321 section 4.5.3.1.8 "
       "demands\nportcullis.toml:18: warning: limits.message_size: is under the 64KiB that RFC 5321 section 4.5.3.1.7 "
       "demands\n"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    files.folders.clear();
    if (!row.partner.empty()) add_partner("p.toml", row.partner);
    const auto loaded = load(row.text);
    EXPECT_TRUE(loaded.config);
    EXPECT_EQ(config_fakes::text_of(loaded.findings), row.wanted);
  }
}

TEST_F(Load, DatesOfCertificates) {
  files.certificate.not_after = now;
  auto loaded = load(minimal);
  EXPECT_TRUE(loaded.config);
  EXPECT_EQ(config_fakes::text_of(loaded.findings), "") << "find_faults() tells of what has ended";
  files.certificate.not_after = now + 29 * 24h;
  EXPECT_EQ(config_fakes::text_of(load(minimal).findings),
            "portcullis.toml:6: warning: certificate.certificate: mx.pem: expires on 2027-02-13, in 29 days\n");
  files.certificate.not_after = now + 30 * 24h;
  EXPECT_EQ(config_fakes::text_of(load(minimal).findings), "");
  files.certificate.not_before = now + 24h;
  EXPECT_EQ(config_fakes::text_of(load(minimal).findings),
            "portcullis.toml:6: warning: certificate.certificate: mx.pem: is not valid before 2027-01-16\n");
}

TEST_F(Load, AKeyThatOnlyRootMayReadIsExplained) {
  files.failures["/etc/p/mx.key"] = {smtp::ErrorCode::not_permitted, "permission denied"};
  const auto loaded = load(minimal);
  EXPECT_FALSE(loaded.config);
  EXPECT_EQ(
      config_fakes::text_of(loaded.findings),
      "portcullis.toml:7: certificate.key: mx.key: permission denied; keys are read as root at start, a reload reads "
      "them as the daemon's user: give its group read access\n");
}

TEST_F(Load, ABrokenPartnerFileIsReportedAndTheRestIsRead) {
  files.folders["/etc/p/partners.d"] = {"a.toml", "b.toml", "c.toml"};
  files.failures["/etc/p/partners.d/a.toml"] = {smtp::ErrorCode::not_permitted, "permission denied"};
  files.files["/etc/p/partners.d/b.toml"] = "name = ";
  files.files["/etc/p/partners.d/c.toml"] = "nam = 1\n";
  const auto loaded = load(minimal);
  EXPECT_FALSE(loaded.config);
  ASSERT_EQ(loaded.findings.size(), 6U) << config_fakes::text_of(loaded.findings);
  EXPECT_EQ(loaded.findings[0].to_string(), "partners.d/a.toml: permission denied");
  EXPECT_EQ(loaded.findings[1].file, "partners.d/b.toml");
  EXPECT_EQ(loaded.findings[1].line, 1U);
}

TEST_F(Load, FindingsAreLimited) {
  std::string text = minimal + "[limits]\n";
  for (int i = 0; i < 3000; ++i) text += "k" + std::to_string(i) + " = 1\n";
  const auto loaded = load(text);
  EXPECT_FALSE(loaded.config);
  ASSERT_EQ(loaded.findings.size(), 1001U);
  EXPECT_EQ(loaded.findings.back().to_string(),
            "portcullis.toml: 2000 further findings are not shown; the limit is 1000");
}

TEST_F(Load, TenThousandPartners) {
  for (int i = 0; i < 10'000; ++i) {
    const auto n = std::to_string(i);
    add_partner("p" + n + ".toml", "name = \"P" + n + "\"\ndomains = [\"p" + n + ".example\", \"*.p" + n +
                                       ".example\"]\n[outbound]\nmode = \"observe\"\n");
  }
  const auto config = good(minimal);
  ASSERT_TRUE(config);
  for (int i = 0; i < 10'000; i += 7) {
    const auto *partner = config->partners.find(smtp::Domain::parse("x.p" + std::to_string(i) + ".example").value());
    ASSERT_TRUE(partner && partner->name == "P" + std::to_string(i)) << i;
  }
}

} // namespace load_test
