// [limits], [dns], [outbound] and [queue].
#include <fmt/format.h>

#include "mta/config/dns_files.hpp"
#include "mta/config/loading.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kibi = 1024;
constexpr std::uint64_t mebi = kibi * 1024;
constexpr std::uint64_t gibi = mebi * 1024;

/// All three names or none: one alone proves nothing.
void read_truth_test(Section &section, const DnsConfig &dns, TruthTestConfig &out) {
  const auto read_name = [&section](std::string_view key, std::string &name) {
    section.require(key, "the test needs all three names: signed, unsigned and bogus");
    section.read_parsed(key, name, [](const std::string &text) -> smtp::Result<std::string> {
      const auto domain = smtp::Domain::parse(text);
      if (!domain) return tl::unexpected(domain.error());
      return domain->ascii();
    });
  };
  TruthTestConfig names;
  read_name("signed", names.signed_name);
  read_name("unsigned", names.unsigned_name);
  read_name("bogus", names.bogus_name);
  if (!names.signed_name.empty() && names.signed_name == names.unsigned_name)
    section.error("unsigned", "is the signed name: the test needs a name whose zone is not signed");
  if (!names.bogus_name.empty() && (names.bogus_name == names.signed_name || names.bogus_name == names.unsigned_name))
    section.error("bogus", "is one of the other names: the test needs a name that is signed wrongly");
  section.finish();
  if (!dns.dnssec) section.warning("", "dnssec = false: the resolver will never pass this test, and DANE stays off");
  if (!names.signed_name.empty() && !names.unsigned_name.empty() && !names.bogus_name.empty()) out = std::move(names);
}

} // namespace

void load_limits(Section &root, Loading &loading) {
  auto section = root.table("limits");
  if (!section) return;
  LimitConfig &limits = loading.config.limits;
  // The lower bounds of the line lengths are those of RFC 5321 section 4.5.3.1.
  section->read_size("command_line", limits.smtp.command_line, 512, 64 * kibi);
  section->read_size("text_line", limits.smtp.text_line, 1000, mebi);
  section->read_count("recipients", limits.smtp.recipients, 1, smtp::most_recipients);
  if (limits.smtp.recipients < 100)
    section->warning("recipients", "is under the 100 that RFC 5321 section 4.5.3.1.8 demands");
  section->read_size("message_size", limits.smtp.message_size, kibi, 4 * gibi);
  if (limits.smtp.message_size < 64 * kibi)
    section->warning("message_size", "is under the 64KiB that RFC 5321 section 4.5.3.1.7 demands");
  section->read_size("header_size", limits.smtp.header_size, kibi, 16 * mebi);
  section->read_count("received_hops", limits.smtp.received_hops, 1, 1000);
  section->read_count("errors", limits.smtp.errors, 1, 10'000);
  section->read_count("idle_commands", limits.smtp.idle_commands, 10, 1'000'000);
  section->read_count("refused_recipients", limits.smtp.refused_recipients, 10, 1'000'000);
  section->read_count("transactions", limits.smtp.transactions, 0, 1'000'000);
  section->read_count("connections", limits.connections, 1, 1'000'000);
  section->read_count("connections_per_address", limits.connections_per_address, 1, 1'000'000);
  section->read_count("connections_per_network", limits.connections_per_network, 1, 1'000'000);
  section->read_count("connection_rate", limits.connection_rate, 1, 1'000'000);
  section->read_count("connection_rate_per_network", limits.connection_rate_per_network, 0, 1'000'000);
  section->read_count("recipient_rate", limits.recipient_rate, 1, 100'000'000);
  read_networks(*section, "exempt_networks", limits.exempt_networks);
  section->read_count("questions_per_address", limits.questions_per_address, 1, 100'000);
  section->read_count("questions_per_network", limits.questions_per_network, 1, 100'000);
  section->read_count("unanswered_per_address", limits.unanswered_per_address, 1, 1'000'000);
  section->read_count("unanswered_per_network", limits.unanswered_per_network, 1, 1'000'000);
  section->read_size("minimum_rate", limits.minimum_rate, 0, 64 * kibi);
  section->read_duration("command_timeout", limits.command_timeout, 1s, 1h);
  section->read_duration("data_timeout", limits.data_timeout, 1s, 1h);
  section->read_duration("session_timeout", limits.session_timeout, 1s, 24h);
  section->finish();
}

namespace {

/// What libunbound would refuse at its start, or take for no anchor at all, is a mistake here.
void check_dns_files(Section &section, const Loading &loading) {
  constexpr std::size_t limit = 16 * 1024 * 1024;
  const DnsConfig &dns = loading.config.dns;
  // One that cannot be read was told where the key was read; the default may not be there where it is not needed.
  if (const auto hosts = loading.files.read(dns.hosts_file, limit); !dns.hosts_file.empty() && hosts)
    if (const auto good = check_hosts_file(*hosts); !good)
      section.error("hosts_file", fmt::format("{}: {}", smtp::escape(dns.hosts_file), good.error().detail));
  for (const std::string &anchor : dns.extra_anchors)
    if (const auto count = count_trust_anchors(anchor); !count || *count != 1)
      section.error("extra_anchors",
                    fmt::format("\"{}\" is not a DS or DNSKEY record, such as \"example.org. DS 12345 8 2 49FD…\": {}",
                                smtp::escape(anchor, 80), count ? "it is empty" : count.error().detail));
  if (!dns.dnssec) return;
  if (dns.trust_anchor.empty()) {
    if (dns.extra_anchors.empty())
      section.warning("trust_anchor", "no trust anchor is left: nothing is proven by DNSSEC, and DANE is never used; "
                                      "dnssec = false says so");
    return;
  }
  const auto anchors = loading.files.read(dns.trust_anchor, limit);
  if (!anchors) return;
  if (const auto count = count_trust_anchors(*anchors); !count)
    section.error("trust_anchor", fmt::format("{}: {}", smtp::escape(dns.trust_anchor), count.error().detail));
  else if (*count == 0)
    section.error("trust_anchor", fmt::format("{} holds no DS or DNSKEY record: nothing would be proven by DNSSEC, and "
                                              "DANE never used; trust_anchor = \"\" says so",
                                              smtp::escape(dns.trust_anchor)));
}

} // namespace

void load_dns(Section &root, Loading &loading) {
  auto section = root.table("dns");
  if (!section) return;
  DnsConfig &dns = loading.config.dns;
  section->read_list("resolvers", dns.resolvers, [](std::string_view text) -> smtp::Result<smtp::SocketAddress> {
    auto address = smtp::SocketAddress::parse(text, 53);
    if (address && address->port == 0) return smtp::fail(smtp::ErrorCode::bad_syntax, "a resolver has no port 0");
    return address;
  });
  section->read("dnssec", dns.dnssec);
  read_file_path(*section, "trust_anchor", dns.trust_anchor, loading);
  section->read_strings("extra_anchors", dns.extra_anchors);
  section->read_duration("timeout", dns.timeout, 100ms, 2min);
  section->read_count("questions", dns.questions, 16, 100'000);
  read_file_path(*section, "hosts_file", dns.hosts_file, loading);
  const auto read_domain = [](std::string_view text) -> smtp::Result<std::string> {
    const auto domain = smtp::Domain::parse(text);
    if (!domain) return tl::unexpected(domain.error());
    return domain->ascii();
  };
  section->read_list("insecure_domains", dns.insecure_domains, read_domain);
  section->read_list("health_names", dns.health_names, read_domain);
  if (dns.health_names.size() > 10)
    section->error("health_names", fmt::format("{} names, the limit is 10", dns.health_names.size()));
  if (auto truth_test = section->table("truth_test")) read_truth_test(*truth_test, dns, dns.truth_test);
  check_dns_files(*section, loading);
  section->finish();
}

void load_outbound(Section &root, Loading &loading) {
  auto section = root.table("outbound");
  if (!section) return;
  OutboundConfig &outbound = loading.config.outbound;
  read_profile(*section, "profile", outbound.profile);
  read_level(*section, "tls", outbound.level, tls::Level::opportunistic, tls::Level::dane);
  section->read_count("connections", outbound.connections, 1, 100'000);
  section->read_count("connections_per_destination", outbound.connections_per_destination, 1, 10'000);
  section->read_duration("idle_timeout", outbound.idle_timeout, 0s, 1h);
  section->read_count("messages_per_connection", outbound.messages_per_connection, 1, 1'000'000);
  section->read_duration("connect_timeout", outbound.connect_timeout, 1s, 1h);
  section->read_duration("ipv6_head_start", outbound.ipv6_head_start, 0ms, 10s);
  section->read("dane", outbound.dane);
  section->read("requiretls", outbound.requiretls);
  section->read("ipv6", outbound.ipv6);
  section->read("ipv4", outbound.ipv4);
  if (!outbound.ipv4 && !outbound.ipv6) section->error("ipv4", "is off as ipv6 is, so that nothing could be delivered");
  section->read("allow_private_addresses", outbound.allow_private_addresses);
  section->read("allow_loopback_addresses", outbound.allow_loopback_addresses);
  section->read_count("connections_per_address", outbound.connections_per_address, 1, 100'000);
  section->read_count("reserved_percent", outbound.reserved_percent, 0, 90);
  section->read_count("notices_percent", outbound.notices_percent, 1, 100);
  section->read_count("unreached_percent", outbound.unreached_percent, 1, 100);
  section->read_size("minimum_rate", outbound.minimum_rate, 0, mebi);
  section->read_duration("session_timeout", outbound.session_timeout, 10s, 24h);
  section->read_count("port", outbound.port, 1, 65'535);
  section->read_list("source_addresses", outbound.source_addresses,
                     [](std::string_view text) { return smtp::IpAddress::parse(text); });
  section->read_duration("greeting_timeout", outbound.greeting_timeout, 1s, 1h);
  section->read_duration("hello_timeout", outbound.hello_timeout, 1s, 1h);
  section->read_duration("starttls_timeout", outbound.starttls_timeout, 1s, 1h);
  section->read_duration("mail_timeout", outbound.mail_timeout, 1s, 1h);
  section->read_duration("recipient_timeout", outbound.recipient_timeout, 1s, 1h);
  section->read_duration("data_start_timeout", outbound.data_start_timeout, 1s, 1h);
  section->read_duration("data_block_timeout", outbound.data_block_timeout, 1s, 1h);
  section->read_duration("data_end_timeout", outbound.data_end_timeout, 1s, 1h);
  check_dane(*section, outbound.level, nullptr, loading);
  section->finish();
}

void load_queue(Section &root, Loading &loading) {
  root.require("queue", "[queue] with postmaster must be there");
  auto section = root.table("queue");
  if (!section) return;
  QueueConfig &queue = loading.config.queue;
  section->read_durations("retry", queue.retry.waits, 1s, 24h * 7);
  if (queue.retry.waits.empty()) section->error("retry", "is empty; write at least one wait, such as [\"5m\"]");
  if (queue.retry.waits.size() > 100)
    section->error("retry", fmt::format("has {} waits, the limit is 100", queue.retry.waits.size()));
  section->read_duration("give_up_after", queue.retry.give_up_after, 1s, 24h * 60);
  section->read_duration("delay_notice_after", queue.retry.delay_notice_after, 0s, 24h * 60);
  section->read_duration("full_mailbox_give_up_after", queue.retry.full_mailbox_after, 0s, 24h * 60);
  section->read("jitter", queue.retry.jitter, 0.0, 0.9);
  section->require("postmaster",
                   "who gets mail for postmaster and abuse, such as postmaster = \"mail-team@example.org\"");
  section->read_parsed("postmaster", queue.postmaster,
                       [](const std::string &text) -> smtp::Result<std::optional<smtp::Mailbox>> {
                         auto mailbox = smtp::Mailbox::parse(text);
                         if (!mailbox) return tl::unexpected(mailbox.error());
                         if (!mailbox->domain())
                           return smtp::fail(smtp::ErrorCode::bad_syntax, "must have a domain, not an address literal");
                         return std::optional<smtp::Mailbox>(std::move(*mailbox));
                       });
  section->read_duration("hold_reminder", queue.hold_reminder, 0s, 24h * 60);
  section->read("bounce_sender_name", queue.bounce_sender_name);
  if (queue.bounce_sender_name.size() > 200 || !smtp::is_ascii(queue.bounce_sender_name))
    section->error("bounce_sender_name", "must be at most 200 octets of ASCII");
  section->read_size("bounce_full_limit", queue.bounce_full_limit, 0, 64 * mebi);
  section->finish();
}

} // namespace mta
