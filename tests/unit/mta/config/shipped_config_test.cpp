// etc/portcullis.toml: every key that the loader knows is in it, and what is commented out stands at its default.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "config_fakes.hpp"
#include "source_dir.hpp"

namespace shipped_config_test {

using namespace mta;

std::string read(const std::string &name) {
  std::ostringstream text;
  text << std::ifstream(std::filesystem::path(source_dir) / name).rdbuf();
  return text.str();
}

std::vector<std::string> lines_of(const std::string &text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// "#key = value" and "#[[section]]" without their "#"; prose has a space behind it.
std::string uncommented(const std::string &text) {
  std::string result;
  for (const auto &line : lines_of(text)) {
    const bool commented = line.size() > 1 && line[0] == '#' && (line[1] == '[' || (line[1] >= 'a' && line[1] <= 'z'));
    result += (commented ? line.substr(1) : line) + '\n';
  }
  return result;
}

/// "section.key" and "section" for everything in the text.
std::set<std::string> keys_of(const std::string &text) {
  std::set<std::string> keys;
  std::string section;
  for (const auto &line : lines_of(text)) {
    if (line.starts_with('[')) {
      const auto begin = line.find_first_not_of('[');
      section = line.substr(begin, line.find(']') - begin);
      keys.insert(section);
    } else if (const auto end = line.find(" = "); end != std::string::npos && !line.starts_with('#')) {
      keys.insert(section + '.' + line.substr(0, end));
    }
  }
  return keys;
}

struct Loaded {
  LoadedConfig result;
  std::set<std::string> asked;
};

Loaded load(const std::string &text) {
  config_fakes::MemoryFiles files;
  files.every_file_exists = true;
  const std::string signing_key = auth::SigningKey::generate_ed25519().value().to_pem();
  for (const char *name : {"s2026", "arc2026"})
    files.files[std::string("/etc/portcullis/dkim/example.org.") + name + ".key"] = signing_key;
  files.certificate.key_type = "EC";
  files.certificate.key_bits = 256;
  files.certificate.not_after = std::chrono::system_clock::time_point(std::chrono::hours(24 * 365 * 200));
  Loaded loaded;
  LoadTextOptions options;
  options.folder = "/etc/portcullis";
  options.now = std::chrono::system_clock::time_point(std::chrono::hours(24 * 365 * 57));
  options.asked = &loaded.asked;
  loaded.result = load_config_text(text, options, files);
  return loaded;
}

class ShippedConfig : public testing::Test {
protected:
  const std::string text = read("etc/portcullis.toml");
  const Loaded plain = load(text);
  const Loaded full = load(uncommented(text));

  void SetUp() override {
    ASSERT_TRUE(plain.result.config) << config_fakes::text_of(plain.result.findings);
    ASSERT_TRUE(full.result.config) << config_fakes::text_of(full.result.findings);
    EXPECT_EQ(config_fakes::text_of(plain.result.findings), "");
  }
};

TEST_F(ShippedConfig, WhatIsCommentedOutStandsAtItsDefault) {
  const Config &a = *plain.result.config;
  const Config &b = *full.result.config;
  EXPECT_EQ(a.server, b.server);
  EXPECT_EQ(a.log, b.log);
  EXPECT_EQ(a.spool, b.spool);
  EXPECT_EQ(a.control, b.control);
  EXPECT_EQ(a.limits, b.limits);
  DnsConfig dns = b.dns;
  EXPECT_TRUE(dns.truth_test.is_set()) << "its names have no default";
  dns.truth_test = {};
  EXPECT_EQ(a.dns, dns);
  EXPECT_EQ(a.outbound, b.outbound);
  EXPECT_EQ(a.queue, b.queue);
  EXPECT_EQ(a.certificates, b.certificates);
  auto listeners = b.listeners;
  EXPECT_EQ(listeners.at(0).allowed_senders.size(), 1U) << "its example has no default";
  listeners.at(0).allowed_senders.clear();
  EXPECT_EQ(a.listeners, listeners);
  ASSERT_EQ(a.domains.size(), 1U);
  auto domain = b.domains.at("example.org");
  EXPECT_TRUE(domain.route) << "without it mail would come back to us";
  EXPECT_TRUE(domain.mta_sts) << "nor has its policy";
  domain.mta_sts.reset();
  for (const char *name : {"dmarc-reports", "tls-reports"})
    EXPECT_EQ(domain.recipients.erase(name), 1U) << "the mailboxes of [received_reports] are recipients";
  EXPECT_EQ(a.domains.at("example.org").place, domain.place);
  EXPECT_EQ(a.domains.at("example.org"), domain);
  EXPECT_TRUE(a.routes.empty());
}

TEST_F(ShippedConfig, TheDefaultsAreThoseOfTheStructs) {
  const Config &config = *plain.result.config;
  ServerConfig server;
  server.hostname = "mx.example.org";
  EXPECT_EQ(config.server, server);
  EXPECT_EQ(config.log, LogConfig());
  EXPECT_EQ(config.spool, SpoolConfig());
  EXPECT_EQ(config.control, ControlConfig());
  EXPECT_EQ(config.limits, LimitConfig());
  EXPECT_EQ(config.dns, DnsConfig());
  EXPECT_EQ(config.outbound, OutboundConfig());
  QueueConfig queue;
  queue.postmaster = smtp::Mailbox::parse("mail-team@example.org").value();
  EXPECT_EQ(config.queue, queue);
  ListenerConfig listener;
  listener.name = "mx";
  listener.addresses = {smtp::SocketAddress::parse("0.0.0.0:25", 0).value(),
                        smtp::SocketAddress::parse("[::]:25", 0).value()};
  listener.place = config.listeners.at(0).place;
  EXPECT_EQ(config.listeners.at(0), listener);
}

TEST_F(ShippedConfig, TheRoutesKeysStandAtTheirDefaults) {
  ASSERT_EQ(full.result.config->routes.size(), 1U);
  RouteConfig route = full.result.config->routes.front();
  EXPECT_EQ(route.tls, tls::Level::opportunistic);
  EXPECT_EQ(route.route.hosts, (std::vector<policy::RouteHost>{{"smarthost.example.net", 25, 10}}));
  RouteConfig defaults;
  defaults.domains = route.domains;
  defaults.tls = route.tls;
  defaults.route.name = "smart-host";
  defaults.route.hosts = route.route.hosts;
  defaults.route.place = route.route.place;
  EXPECT_EQ(route, defaults);
}

TEST_F(ShippedConfig, TheChecksStandAtTheirDefaults) {
  for (const Config *config : {plain.result.config.get(), full.result.config.get()}) {
    const AuthenticationConfig &given = config->authentication;
    const AuthenticationConfig defaults;
    EXPECT_EQ(given.authserv_id, "mx.example.org");
    EXPECT_EQ(given.enabled, defaults.enabled);
    EXPECT_EQ(given.rules.mode, defaults.rules.mode);
    EXPECT_EQ(given.rules.own_domain_shield, defaults.rules.own_domain_shield);
    EXPECT_EQ(given.rules.refuse_several_authors, defaults.rules.refuse_several_authors);
    EXPECT_EQ(given.rules.refuse_unusable_from, defaults.rules.refuse_unusable_from);
    EXPECT_EQ(given.rules.refuse_missing_from, defaults.rules.refuse_missing_from);
    EXPECT_EQ(given.rules.on_spf_fail, defaults.rules.on_spf_fail);
    EXPECT_EQ(given.received_spf, defaults.received_spf);
    EXPECT_EQ(given.accept_partial_body, defaults.accept_partial_body);
    EXPECT_EQ(given.max_signatures, defaults.max_signatures);
    EXPECT_EQ(given.cpu_budget, defaults.cpu_budget);
    EXPECT_EQ(given.timeout, defaults.timeout);
    EXPECT_EQ(given.quarantine, defaults.quarantine);
  }
  const Config &config = *full.result.config;
  EXPECT_EQ(config.authentication.rules.overrides.size(), 1U);
  EXPECT_EQ(config.authentication.rules.trusted_sealers, (std::vector<std::string>{"lists.example.net"}));
  EXPECT_EQ(config.dkim_keys.size(), 1U);
  EXPECT_TRUE(config.arc.key);
  const DmarcReportConfig reports;
  EXPECT_EQ(config.dmarc_reports.hour, reports.hour);
  EXPECT_EQ(config.dmarc_reports.spread, reports.spread);
  EXPECT_EQ(config.dmarc_reports.max_size, reports.max_size);
  EXPECT_EQ(config.dmarc_reports.keep_days, reports.keep_days);
  EXPECT_EQ(config.dmarc_reports.form, reports.form);
  EXPECT_FALSE(plain.result.config->dmarc_reports.enabled);
}

TEST_F(ShippedConfig, ListsEveryKey) {
  const auto listed = keys_of(uncommented(text));
  EXPECT_GT(full.asked.size(), 100U);
  for (const auto &key : full.asked) EXPECT_TRUE(listed.contains(key)) << key << " is missing in etc/portcullis.toml";
}

TEST(SamplePartner, LoadsAsItStands) {
  config_fakes::MemoryFiles files;
  files.every_file_exists = true;
  files.certificate.not_after = std::chrono::system_clock::time_point(std::chrono::hours(24 * 365 * 200));
  files.folders["/etc/portcullis/partners.d"] = {"example.toml"};
  files.files["/etc/portcullis/partners.d/example.toml"] = read("etc/partners.d/example.toml.sample");
  LoadTextOptions options;
  options.folder = "/etc/portcullis";
  options.now = std::chrono::system_clock::time_point(std::chrono::hours(24 * 365 * 56));
  const auto loaded = load_config_text(read("etc/portcullis.toml"), options, files);
  ASSERT_TRUE(loaded.config) << config_fakes::text_of(loaded.findings);
  const auto *partner = loaded.config->partners.find(smtp::Domain::parse("a.example.gov.uk").value());
  ASSERT_TRUE(partner);
  EXPECT_EQ(partner->name, "Example Department");
  EXPECT_TRUE(partner->outbound && partner->inbound && partner->exceptions.size() == 1 && partner->review);
  files.files["/etc/portcullis/partners.d/example.toml"] = uncommented(read("etc/partners.d/example.toml.sample"));
  EXPECT_TRUE(load_config_text(read("etc/portcullis.toml"), options, files).config);
}

TEST(ShippedPartner, TheRuleForUkGovernmentObservesAndIsComplete) {
  config_fakes::MemoryFiles files;
  files.every_file_exists = true;
  files.certificate.not_after = std::chrono::system_clock::time_point(std::chrono::hours(24 * 365 * 200));
  files.folders["/etc/portcullis/partners.d"] = {"uk-government.toml"};
  std::string &text = files.files["/etc/portcullis/partners.d/uk-government.toml"];
  text = read("etc/partners.d/uk-government.toml.sample");
  LoadTextOptions options;
  options.folder = "/etc/portcullis";
  options.now = std::chrono::system_clock::time_point(std::chrono::hours(24 * 365 * 56));
  const auto loaded = load_config_text(read("etc/portcullis.toml"), options, files);
  ASSERT_TRUE(loaded.config) << config_fakes::text_of(loaded.findings);
  const auto *partner = loaded.config->partners.find(smtp::Domain::parse("service.example.gov.uk").value());
  ASSERT_TRUE(partner && partner->outbound);
  EXPECT_EQ(partner->outbound->mode, policy::Mode::observe);
  EXPECT_EQ(partner->outbound->level, tls::Level::encrypted);
  EXPECT_FALSE(partner->inbound);
  // With everything that is prepared in comments, once it is enforced.
  text = uncommented(text);
  text.replace(text.find("\"observe\""), 9, "\"enforce\"");
  const auto enforced = load_config_text(read("etc/portcullis.toml"), options, files);
  ASSERT_TRUE(enforced.config) << config_fakes::text_of(enforced.findings);
  const auto *rule = enforced.config->partners.find(smtp::Domain::parse("service.example.gov.uk").value());
  EXPECT_TRUE(rule->outbound->from && rule->exceptions.size() == 1);
}

} // namespace shipped_config_test
