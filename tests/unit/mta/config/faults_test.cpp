// find_faults: domains and routes that lead back to us, certificates that have ended.
#include <gtest/gtest.h>

#include "config_fakes.hpp"
#include "mta/config/faults.hpp"

namespace faults_test {

using namespace mta;
using namespace std::chrono_literals;

const auto today = std::chrono::sys_days(2027y / 1 / 15) + 12h;

/// `listeners` and `more` around our domain, whose own keys are `domain`.
LoadedConfig load(const std::string &listeners, const std::string &domain, const std::string &more = {},
                  const std::string &server = {}) {
  config_fakes::MemoryFiles files;
  files.every_file_exists = true;
  LoadTextOptions options;
  options.folder = "/etc/p";
  options.now = today;
  return load_config_text("[server]\nhostname = \"mx.example.org\"\n" + server +
                              "[queue]\npostmaster = \"alice@example.org\"\n" + listeners +
                              "[[domain]]\ndomain = \"example.org\"\nrecipients = [\"alice\"]\n" + domain + more,
                          options, files);
}

const std::string mx =
    "[[listener]]\nname = \"mx\"\naddresses = [\"192.0.2.1:25\", \"127.0.0.1:2525\"]\ntls = \"none\"\n";
const std::string relay = "[[listener]]\nname = \"relay\"\naddresses = [\"127.0.0.1:25\"]\nrole = \"relay\"\ntls = "
                          "\"none\"\ntrusted_networks = [\"10.0.0.0/8\"]\n";

const std::string everywhere =
    "[[listener]]\nname = \"mx\"\naddresses = [\"0.0.0.0:25\", \"[::]:25\"]\ntls = \"none\"\n";
const std::string everywhere_v4 = "[[listener]]\nname = \"mx\"\naddresses = [\"0.0.0.0:25\"]\ntls = \"none\"\n";
const std::string submission = "[[listener]]\nname = \"inside\"\naddresses = [\"0.0.0.0:2587\"]\nrole = \"relay\"\ntls "
                               "= \"none\"\ntrusted_networks = [\"10.0.0.0/8\"]\n";
const std::string outside = "outside_addresses = [\"203.0.113.9\"]\n";

struct RouteRow {
  const char *name;
  std::string listeners, domain, more;
  std::string found; ///< part of the fault; empty: none
  std::string server{};
};

TEST(FindFaults, DomainsThatLeadBackToUs) {
  const std::vector<RouteRow> rows = {
      {"no route at all", mx, "", "", "example.org has no route"},
      {"catch_all makes no difference", mx, "catch_all = true\n", "", "example.org has no route"},
      {"a route of its own", mx, "route = [\"store.example.org:25\"]\n", "", ""},
      {"a [[route]] that names it", mx, "", "[[route]]\ndomains = [\"example.org\"]\nhosts = [\"store.example.org\"]\n",
       ""},
      {"a smart host for everything", mx, "", "[[route]]\ndomains = [\"*\"]\nhosts = [\"hub.example.org\"]\n", ""},
      {"a [[route]] for others", mx, "", "[[route]]\ndomains = [\"other.example\"]\nhosts = [\"hub.example.org\"]\n",
       "no route"},
      {"a second MX says so", mx, "route = { hosts = [\"example.org\"], look_up_mx = true }\n", "", ""},
      {"a route to our own name", mx, "route = [\"MX.example.org:25\"]\n", "", "our own listener"},
      {"a route to our own name at a port that is not ours", mx, "route = [\"mx.example.org:2626\"]\n", "", ""},
      {"a route to our own address", mx, "route = [\"192.0.2.1:25\"]\n", "", "our own listener"},
      {"a route to a server on this host", mx, "route = [\"127.0.0.1:25\"]\n", "", ""},
      {"a wildcard listener takes the loopback address", everywhere, "route = [\"127.0.0.1\"]\n", "",
       "our own listener \"mx\""},
      {"and all of its network", everywhere, "route = [\"127.0.0.5:25\"]\n", "", "our own listener"},
      {"and of IPv6", everywhere, "route = [\"[::1]:25\"]\n", "", "our own listener"},
      {"an address of IPv6 is not taken at 0.0.0.0", everywhere_v4, "route = [\"[::1]:25\"]\n", "", ""},
      {"the address that stands for all", everywhere, "route = [\"0.0.0.0\"]\n", "", "our own listener"},
      {"localhost", everywhere, "route = [\"localhost\"]\n", "", "our own listener"},
      {"localhost in full", everywhere_v4, "route = [\"LOCALHOST.localdomain:25\"]\n", "", "our own listener"},
      {"an inner server on this machine, at another port", everywhere, "route = [\"127.0.0.1:2525\"]\n", "", ""},
      {"by its name", everywhere, "route = [\"localhost:2525\"]\n", "", ""},
      {"our own name there", everywhere, "route = [\"mx.example.org:2525\"]\n", "", ""},
      {"a relay listener of ours goes the same way again", everywhere + submission, "route = [\"127.0.0.1:2587\"]\n",
       "", "our own listener \"inside\""},
      {"another machine", everywhere, "route = [\"198.51.100.7\"]\n", "", ""},
      {"our address outside", everywhere, "route = [\"203.0.113.9\"]\n", "", "server.outside_addresses", outside},
      {"our address outside, at a port that may be handed on to another", everywhere,
       "route = [\"203.0.113.9:2525\"]\n", "", "", outside},
      {"a port that is handed on to us", mx, "route = [\"mx.example.org\"]\n", "", "our own listener", outside},
      {"port 25 is handed on to our own",
       relay + "[[listener]]\nname = \"mx\"\naddresses = [\"10.0.0.2:10025\"]\ntls = \"none\"\n",
       "route = [\"203.0.113.9\"]\n", "", "server.outside_addresses", outside},
      {"the second of two hosts", everywhere, "route = [\"store.example.org\", \"127.0.0.1\"]\n", "",
       "our own listener"},
      {"a [[route]] for all that leads back", everywhere, "", "[[route]]\ndomains = [\"*\"]\nhosts = [\"localhost\"]\n",
       "our own listener"},
      {"a [[route]] for others that leads back", relay, "",
       "[[route]]\ndomains = [\"*.there.example\"]\nhosts = [\"127.0.0.1\"]\n", "*.there.example"},
      {"a [[route]] for others elsewhere", relay, "",
       "[[route]]\ndomains = [\"there.example\"]\nhosts = [\"127.0.0.1:2626\"]\n", ""},
      {"localhost has no MX", everywhere, "route = { hosts = [\"localhost\"], look_up_mx = true }\n", "",
       "our own listener"},
      {"our own name by MX may be another host", everywhere,
       "route = { hosts = [\"mx.example.org\"], look_up_mx = true }\n", "", ""},
      {"no mx listener: the domain only signs here", relay, "", "", ""},
      {"every mailbox is read as reports", mx, "", "[received_reports]\nrecipients = [\"alice@example.org\"]\n", ""},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto loaded = load(row.listeners, row.domain, row.more, row.server);
    ASSERT_TRUE(loaded.config) << config_fakes::text_of(loaded.findings);
    const auto faults = find_faults(*loaded.config, today);
    EXPECT_EQ(faults.size(), row.found.empty() ? 0U : 1U) << config_fakes::text_of(faults);
    if (row.found.empty() || faults.empty()) continue;
    EXPECT_EQ(faults.front().severity, Severity::fault);
    EXPECT_NE(faults.front().message.find(row.found), std::string::npos) << faults.front().to_string();
    EXPECT_EQ(faults.front().file, "portcullis.toml");
    EXPECT_GT(faults.front().line, 0U);
  }
}

TEST(FindFaults, APartnersRouteThatLeadsBack) {
  auto loaded = load(relay, "");
  ASSERT_TRUE(loaded.config);
  Config config = *loaded.config;
  policy::Partner partner;
  partner.name = "there";
  partner.domains = {smtp::DomainPattern::parse("there.example").value()};
  partner.outbound.emplace();
  partner.outbound->place = "partners.d/there.toml:4";
  partner.outbound->route.emplace();
  for (const char *host : {"198.51.100.1", "127.0.0.1"}) {
    policy::RouteHost one;
    one.host = host;
    partner.outbound->route->hosts.push_back(one);
  }
  config.partners = policy::PartnerTable::build({partner}).value();
  const auto faults = find_faults(config, today);
  ASSERT_EQ(faults.size(), 1U) << config_fakes::text_of(faults);
  EXPECT_EQ(faults.front().file, "partners.d/there.toml");
  EXPECT_NE(faults.front().message.find("the partner \"there\" would go to 127.0.0.1 port 25"), std::string::npos)
      << faults.front().message;
}

TEST(FindFaults, AnInboundRuleThatNoClientCanKeep) {
  Config config;
  ListenerConfig listener;
  listener.name = "mx";
  config.listeners.push_back(listener);
  policy::Partner partner;
  partner.name = "there";
  partner.domains = {smtp::DomainPattern::parse("there.example").value()};
  partner.inbound.emplace();
  partner.inbound->level = tls::Level::authenticated;
  partner.inbound->place = "partners.d/there.toml:7";
  const auto faults_of = [&] {
    config.partners = policy::PartnerTable::build({partner}).value();
    return find_faults(config, today);
  };
  EXPECT_TRUE(faults_of().empty());
  config.listeners[0].request_client_certificate = false;
  ASSERT_EQ(faults_of().size(), 1U);
  EXPECT_NE(faults_of()[0].message.find("asks for no client certificate"), std::string::npos);
  partner.inbound->level = tls::Level::encrypted;
  EXPECT_TRUE(faults_of().empty());
  config.listeners[0].tls = ListenerTls::none;
  ASSERT_EQ(faults_of().size(), 1U);
  EXPECT_NE(faults_of()[0].message.find("offers no TLS"), std::string::npos);
  partner.inbound->listeners = {"other"};
  EXPECT_TRUE(faults_of().empty()) << "it does not hold there";
  partner.inbound->listeners.clear();
  partner.inbound->mode = policy::Mode::observe;
  EXPECT_TRUE(faults_of().empty());
}

TEST(FindFaults, CertificatesThatHaveEnded) {
  for (const int days : {-1, 0, 1}) {
    SCOPED_TRACE(days);
    Config config;
    config.certificates.push_back({.name = "main",
                                   .files = {},
                                   .place = "portcullis.toml:3",
                                   .dns_names = {},
                                   .not_after = today + std::chrono::days(days),
                                   .is_self_signed = false});
    const auto faults = find_faults(config, today);
    EXPECT_EQ(config_fakes::text_of(faults),
              days > 0 ? ""
                       : "portcullis.toml:3: certificate: the certificate \"main\" expired on 2027-01-1" +
                             std::to_string(5 + days) + ": who demands authentication sends us no mail\n");
  }
}

} // namespace faults_test
