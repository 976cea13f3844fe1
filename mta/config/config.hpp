// Config: everything that the configuration files say, as plain structs; const after load.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "auth/core/results.hpp"
#include "auth/dkim/signing_key.hpp"
#include "policy/allowed_senders.hpp"
#include "policy/decide.hpp"
#include "policy/message.hpp"
#include "policy/partner.hpp"
#include "policy/relay.hpp"
#include "policy/retry.hpp"
#include "smtp/base/result.hpp"
#include "smtp/names/domain.hpp"
#include "smtp/names/ip_address.hpp"
#include "smtp/names/mailbox.hpp"
#include "smtp/session/server_session.hpp"
#include "smtp/wire/limits.hpp"
#include "tls/context.hpp"

namespace mta {

/// [server]
struct ServerConfig {
  std::string hostname;            ///< our name in greeting, EHLO, Received and reports; must be a domain name
  std::string user = "portcullis"; ///< after binding and reading keys; empty: stay (not as root)
  std::string group;               ///< empty: the user's own
  unsigned threads = 0;            ///< 0: one per core
  std::chrono::seconds shutdown_grace{30};
  /// Octets of memory for sessions, headers and the queue (mta/base/memory_account.hpp); 0: none. Not given: 1 GiB, and
  /// 2 GiB for each million of spool.max_messages, so that the queue fills before the memory.
  std::uint64_t memory_budget = 3'221'225'472;
  std::string partners = "partners.d"; ///< folder with one file for each partner
  /// Addresses under which others reach us, where they are not those of a listener (NAT, a load balancer): an MX host
  /// with one of them is ourselves.
  std::vector<smtp::IpAddress> outside_addresses;
  bool start_with_last_good = true; ///< a start with a wrong configuration runs on the last good one, kept in the spool
  std::string origin{}; ///< the domain of senders without one on relay listeners (MAIL FROM:<root>); empty: hostname
  [[nodiscard]] const std::string &origin_in_force() const noexcept { return origin.empty() ? hostname : origin; }
  friend bool operator==(const ServerConfig &, const ServerConfig &) = default;
};

/// [log]
enum class LogFormat : std::uint8_t { logfmt, json };
struct LogConfig {
  LogFormat format = LogFormat::logfmt;
  std::string level = "info"; ///< debug, info, warning, error
  std::string file;           ///< empty: standard error
  friend bool operator==(const LogConfig &, const LogConfig &) = default;
};

/// [spool]
struct SpoolConfig {
  std::string path = "/var/spool/portcullis";
  std::uint64_t segment_size = 67'108'864;
  std::uint64_t min_free = 268'435'456;   ///< octets free on the disk under which mail is answered 452
  std::uint64_t max_messages = 1'000'000; ///< queued messages over which mail is answered 452
  friend bool operator==(const SpoolConfig &, const SpoolConfig &) = default;
};

/// [control]
struct ControlConfig {
  std::string socket = "/run/portcullis/control.sock";
  std::string group; ///< group that may use it; empty: the daemon's user only
  friend bool operator==(const ControlConfig &, const ControlConfig &) = default;
};

/// [[certificate]]
struct CertificateConfig {
  std::string name;
  tls::KeyPairFiles files;
  std::string place;
  /// Of the leaf; nothing where the file could not be read.
  std::vector<std::string> dns_names{};
  std::optional<std::chrono::system_clock::time_point> not_after{};
  bool is_self_signed = false;
  std::string fingerprint{}; ///< of the leaf: the files may have other content after a reload
  friend bool operator==(const CertificateConfig &, const CertificateConfig &) = default;
};

enum class ListenerTls : std::uint8_t { none, starttls, implicit };

/// A header section from outside in which a line is not a field.
enum class MalformedHeader : std::uint8_t {
  refuse, ///< 550
  split,  ///< the body begins there, and the empty line is put in
};

/// [[listener]]
struct ListenerConfig {
  std::string name;
  std::vector<smtp::SocketAddress> addresses; ///< port 0: chosen by the system and logged
  policy::ListenerRole role = policy::ListenerRole::mx;
  ListenerTls tls = ListenerTls::starttls;
  std::string profile = "internet";
  std::vector<std::string> certificates; ///< names of [[certificate]]; empty with tls on: all of them
  bool request_client_certificate = true;
  std::string client_ca_hints;
  bool tickets = true;
  bool refuse_early_talkers = true;
  std::chrono::milliseconds greeting_delay{0}; ///< waited before the banner to see early talkers; 0: only looks
  smtp::BareLf bare_lf = smtp::BareLf::refuse;
  bool dsn = true;           ///< offer DSN (RFC 3461); off: senders hear of failures only
  bool hide_clients = false; ///< relay role: our Received field names neither the client that may relay nor its address
  MalformedHeader malformed_header = MalformedHeader::refuse;
  bool check_senders =
      true; ///< SPF, DKIM, DMARC, ARC of mail from outside; off for listeners in a network without public DNS
  std::vector<smtp::Network> trusted_networks; ///< relay role
  /// relay role: client certificates that may relay.
  std::vector<std::string> trusted_names; ///< certificate names (patterns of one label)
  std::vector<std::string> trusted_pins;
  std::string trusted_ca;          ///< PEM file; names count only when the chain leads here; "system" allowed
  bool accept_server_auth = false; ///< trusted_names: also certificates that are meant for servers alone
  /// relay role: which senders a trusted client may use; empty: any.
  std::vector<policy::AllowedSenders> allowed_senders;
  /// Who may send here at all, MAIL FROM:<> included; both roles.
  bool require_tls = false;
  bool require_client_certificate = false; ///< one that the next three accept; they default to trusted_…
  std::vector<std::string> required_names; ///< certificate names (patterns of one label); empty with required_ca: any
  std::vector<std::string> required_pins;  ///< keys of certificates that need no name and no CA
  std::string required_ca;                 ///< PEM file
  /// Lists of revoked certificates (files and http URLs) that the chains to trusted_ca and required_ca are checked
  /// against; beside them a pinned key counts in such a chain only.
  std::vector<std::string> crls;
  std::string place;
  friend bool operator==(const ListenerConfig &, const ListenerConfig &) = default;
};

/// [domain.mta_sts]: the policy that a domain of ours publishes.
struct OwnStsConfig {
  enum class Mode : std::uint8_t { none, testing, enforce };
  Mode mode = Mode::testing;
  std::vector<std::string> mx; ///< patterns; at least one unless mode is none
  std::chrono::seconds max_age{1'209'600};
  std::string place;
  friend bool operator==(const OwnStsConfig &, const OwnStsConfig &) = default;
};

/// [[domain]]: a domain of ours.
struct DomainConfig {
  smtp::Domain domain;
  bool catch_all = false;
  std::unordered_set<std::string> recipients; ///< lower-case local parts (of this domain) from the list file
  std::string recipients_file;
  std::optional<policy::Route> route; ///< where its mail goes; without one: by MX with our own name removed
  std::optional<OwnStsConfig> mta_sts{};
  std::string place;
  bool requiretls = false; ///< the hosts behind us promise REQUIRETLS (RFC 8689), so that such mail may be taken
  std::string recipient_delimiter{}; ///< one octet: "user+tag" is taken where "user" is known; empty: not
  std::size_t listed = 0;            ///< recipients that the list file gave
  friend bool operator==(const DomainConfig &, const DomainConfig &) = default;
};

/// [limits]: smtp::Limits plus those of the edge.
struct LimitConfig {
  smtp::Limits smtp;
  std::size_t connections = 20'000;
  std::size_t connections_per_address = 50;
  std::size_t connections_per_network = 200; ///< per /24 or /64; twice that per /56, four times per /48
  std::size_t connection_rate = 120;         ///< new connections per address and minute
  std::size_t connection_rate_per_network =
      0;                               ///< per network and minute, in the same steps; 0: five times connection_rate
  std::size_t recipient_rate = 10'000; ///< taken from one address and minute; of a network five times as many
  /// Neither counted per address or network nor held to limits.idle_commands and limits.refused_recipients; trusted
  /// networks and certificates of relay listeners are exempt as well.
  std::vector<smtp::Network> exempt_networks;
  /// DNS questions of the checks of one address's or network's mail: under way at one time (more of them wait for
  /// these), and without an answer within ten minutes, over which MAIL is answered 451. A network is a /24 or a /48, an
  /// address of IPv6 a /64.
  std::size_t questions_per_address = 64;
  std::size_t questions_per_network = 256;
  std::size_t unanswered_per_address = 100;
  std::size_t unanswered_per_network = 400;
  std::size_t minimum_rate = 64;             ///< octets per second over 60 s while a message is read; 0: no floor
  std::chrono::seconds command_timeout{300}; ///< RFC 5321 section 4.5.3.2.7
  std::chrono::seconds data_timeout{180};    ///< between reads in DATA (4.5.3.2.5)
  std::chrono::seconds session_timeout{3600};
  /// Of `connections`, for exempt and trusted networks alone; made from them: a sixteenth where there are any.
  std::size_t reserved_for_exempt = 0;
  [[nodiscard]] std::size_t rate_per_network() const noexcept {
    return connection_rate_per_network != 0 ? connection_rate_per_network : 5 * connection_rate;
  }
  friend bool operator==(const LimitConfig &, const LimitConfig &) = default;
};

/// [dns.truth_test]: names whose DNSSEC state is known; all empty: no test.
struct TruthTestConfig {
  std::string signed_name;   ///< validates
  std::string unsigned_name; ///< resolves, insecure
  std::string bogus_name;    ///< signed wrongly
  [[nodiscard]] bool is_set() const noexcept { return !signed_name.empty(); }
  friend bool operator==(const TruthTestConfig &, const TruthTestConfig &) = default;
};

/// [dns]
struct DnsConfig {
  std::vector<smtp::SocketAddress> resolvers; ///< empty: full recursion from the root
  bool dnssec = true;
  std::string trust_anchor = "/usr/share/dns/root.key"; ///< file with DS or DNSKEY of the root; empty string: none
  std::vector<std::string> extra_anchors;               ///< further anchor lines, e.g. of a private root
  std::chrono::milliseconds timeout{10'000};
  std::size_t questions = 1000;              ///< under way at one time: of deliveries, and as many of inbound checks
  std::string hosts_file;                    ///< static names (private networks); empty: none
  std::vector<std::string> insecure_domains; ///< names below which DNSSEC is not expected
  std::vector<std::string> health_names;     ///< asked about to see that the resolver answers; empty: names of ours
  TruthTestConfig truth_test;
  friend bool operator==(const DnsConfig &, const DnsConfig &) = default;
};

/// [outbound]
struct OutboundConfig {
  std::string profile = "internet";
  tls::Level level = tls::Level::opportunistic;
  std::size_t connections = 1000;
  std::size_t connections_per_destination = 20;
  std::chrono::seconds idle_timeout{5}; ///< how long a connection waits for the next message
  std::size_t messages_per_connection = 1000;
  std::chrono::seconds connect_timeout{30};
  std::chrono::milliseconds ipv6_head_start{250};
  bool ipv6 = true;
  bool ipv4 = true;
  std::uint16_t port = 25; ///< of MX hosts; other than 25 only for tests and private networks
  std::vector<smtp::IpAddress> source_addresses;
  bool dane = true;
  bool requiretls = true; ///< offer REQUIRETLS to clients and keep to it (RFC 8689)
  /// RFC 5321 section 4.5.3.2.
  std::chrono::seconds greeting_timeout{300}, hello_timeout{300}, starttls_timeout{120}, mail_timeout{300},
      recipient_timeout{300}, data_start_timeout{120}, data_block_timeout{180}, data_end_timeout{600};
  bool allow_private_addresses = false; ///< MX hosts and address literals at addresses that the internet does not reach
  bool allow_loopback_addresses = false;      ///< and on this machine: for demonstrations and tests
  std::size_t connections_per_address = 20;   ///< to one address of MX hosts, whatever the domains
  unsigned reserved_percent = 20;             ///< of `connections`: kept for our own domains and routes
  unsigned notices_percent = 25;              ///< at most so many for messages from <> to others
  unsigned unreached_percent = 50;            ///< at most so many for destinations that were never reached
  std::uint64_t minimum_rate = 1024;          ///< octets per second of a message; 0: no floor
  std::chrono::seconds session_timeout{3600}; ///< for an opening, and for a message beside the time of its octets
  friend bool operator==(const OutboundConfig &, const OutboundConfig &) = default;
};

/// [queue]
struct QueueConfig {
  policy::RetrySchedule retry;
  std::optional<smtp::Mailbox>
      postmaster; ///< who gets mail for postmaster and abuse where a domain lists none; always set after load_config
  std::chrono::seconds hold_reminder{86'400}; ///< how often the log and the postmaster are told of held mail; 0: never
  std::string bounce_sender_name = "Mail Delivery System";
  std::uint64_t bounce_full_limit = 51'200; ///< whole message returned up to this size when RET=FULL
  friend bool operator==(const QueueConfig &, const QueueConfig &) = default;
};

/// [[route]]: by recipient domain, for those who are not partners; "*" is a smart host for everything.
struct RouteConfig {
  std::vector<smtp::DomainPattern> domains;
  policy::Route route;
  std::string tls_trust = "system"; ///< for level authenticated by [[route]] itself
  std::optional<tls::Level> tls;    ///< raises the default for these domains
  std::vector<std::string> match;   ///< reference identifiers; default: the route's host names
  std::string profile = "internet";
  std::vector<std::string> pins;
  friend bool operator==(const RouteConfig &, const RouteConfig &) = default;
};

/// What becomes of a message that DMARC wants in quarantine.
enum class QuarantineAction : std::uint8_t {
  mark,     ///< delivered with a field that says so
  redirect, ///< the same, to quarantine_recipient instead of its recipients
  hold,     ///< kept in the queue until an operator releases or deletes it
};

/// [authentication]: the checks of mail from outside, and what follows from them.
struct AuthenticationConfig {
  bool enabled = true;
  std::string authserv_id; ///< of our Authentication-Results fields; default: server.hostname
  policy::MessageRules rules;
  bool received_spf = false;
  bool accept_partial_body = false;
  std::size_t max_signatures = 8;
  std::chrono::milliseconds cpu_budget{250}; ///< of one message's checks; over it the signatures left are "policy"
  std::chrono::seconds timeout{30};          ///< for all DNS questions of one message
  QuarantineAction quarantine = QuarantineAction::mark;
  std::optional<smtp::Mailbox> quarantine_recipient;
};

/// [[dkim_key]], and the key of [arc].
struct SigningKeyConfig {
  smtp::Domain domain;
  std::string selector;
  std::string file;
  std::shared_ptr<const auth::SigningKey> key; ///< never null
  std::string place;
};

/// [arc]
struct ArcConfig {
  std::optional<SigningKeyConfig> key;         ///< nothing: nothing is sealed
  std::vector<smtp::DomainPattern> recipients; ///< mail to these is sealed
};

/// Which document a report is.
///   rfc9990    namespace urn:ietf:params:xml:ns:dmarc-2.0
///   rfc7489    RFC 7489 appendix C, without a namespace, as it is commonly sent
///   automatic  RFC 9990 says nothing of how to choose. A record that uses a tag of RFC 9989 (np, psd, t) comes from an
///              owner who reads today's documents and gets RFC 9990's; one that asks for nothing newer gets RFC 7489's,
///              which every consumer reads.
enum class DmarcReportForm : std::uint8_t { automatic, rfc9990, rfc7489 };

/// [dmarc_reports]
struct DmarcReportConfig {
  bool enabled = false;
  std::string org_name;              ///< default: server.hostname
  std::optional<smtp::Mailbox> from; ///< set when enabled
  std::string extra_contact;
  unsigned hour = 1; ///< UTC
  std::chrono::seconds spread{3600};
  std::uint64_t max_size = 10'485'760;
  unsigned keep_days = 14;
  DmarcReportForm form = DmarcReportForm::automatic;
};

/// [mta_sts]: the policies of the domains that we send to.
struct StsConfig {
  bool enabled = true;
  std::string trust = "system";            ///< CAs of the policy hosts
  std::uint16_t port = 443;                ///< other than 443 only for tests and private networks
  std::chrono::seconds timeout{60};        ///< for one fetch, RFC 8461 section 3.3
  std::uint64_t max_size = 65'536;         ///< of a policy, section 3.3
  std::chrono::seconds unknown_wait{3600}; ///< for a record that cannot be looked up, with no policy kept; 0: not
  std::chrono::seconds refresh{86'400};    ///< how often a kept policy is looked after without mail, section 3.3
  std::size_t max_policies = 100'000;      ///< kept; over it the one that expires first goes
  bool allow_private_addresses = false;    ///< policy hosts at addresses that the internet does not reach
};

/// [tls_memory]
struct TlsMemoryConfig {
  bool enabled = true;
  std::vector<smtp::DomainPattern> protect; ///< default "*.gov.uk"
  std::chrono::seconds release_after{0}; ///< how long such mail waits for TLS to come back; 0: until an operator acts
  unsigned keep_days = 400;              ///< without any session
  unsigned many_domains = 10;            ///< this many unrelated domains that stop within an hour: the fault is near us
  std::string place;                     ///< of `protect`
};

/// [tls_evidence]: what partner status, simulate, suggest and `explain --message` answer from.
struct TlsEvidenceConfig {
  bool enabled = true;
  unsigned keep_days = 30;
  std::uint64_t day_limit = 268'435'456; ///< octets of a day's file
  unsigned alert_deferrals = 10; ///< proven sessions of a partner refused within an hour that raise an alert; 0: none
  std::chrono::seconds alert_waiting{1800}; ///< mail for a partner that waits so long raises an alert; 0: none
};

/// [tls_reports]: TLSRPT, sent (RFC 8460).
struct TlsReportConfig {
  bool enabled = false;
  std::string org_name;                ///< default: server.hostname
  std::optional<smtp::Mailbox> from;   ///< set when enabled
  std::string contact;                 ///< "contact-info"; default: the address of `from`
  unsigned hour = 1;                   ///< UTC
  std::chrono::seconds spread{14'400}; ///< RFC 8460 section 4.1: a random delay of up to four hours
  std::uint64_t max_size = 10'485'760;
  unsigned keep_days = 14;
  bool https = true; ///< also to https: addresses
  std::string https_trust = "system";
  bool allow_private_addresses = false; ///< hosts of https: addresses that the internet does not reach
};

/// [received_reports]: reports of others about us.
struct ReceivedReportsConfig {
  std::vector<smtp::Mailbox> recipients; ///< mailboxes of our domains whose mail is read as reports; empty: none
  std::vector<smtp::Mailbox> copy_to;    ///< also delivered there; empty: not
  std::uint64_t max_size = 52'428'800;   ///< unpacked, of one report
  unsigned keep_days = 400;
};

struct Config {
  std::string file;
  ServerConfig server;
  LogConfig log;
  SpoolConfig spool;
  ControlConfig control;
  std::vector<CertificateConfig> certificates;
  std::vector<ListenerConfig> listeners;
  std::unordered_map<std::string, DomainConfig> domains; ///< by Domain::ascii()
  bool some_domain_keeps_requiretls = false;             ///< of `domains`
  LimitConfig limits;
  DnsConfig dns;
  OutboundConfig outbound;
  QueueConfig queue;
  std::vector<RouteConfig> routes;
  policy::PartnerTable partners;
  AuthenticationConfig authentication;
  std::vector<SigningKeyConfig> dkim_keys;
  ArcConfig arc;
  DmarcReportConfig dmarc_reports;
  StsConfig mta_sts;
  TlsMemoryConfig tls_memory;
  TlsEvidenceConfig tls_evidence;
  TlsReportConfig tls_reports;
  ReceivedReportsConfig received_reports;
  /// Files that only a start reads, by their key ("dns.hosts_file"), with a hash of what was in them.
  std::map<std::string, std::size_t> start_files;

  /// The keys that sign mail from an author of this domain: its own, or those of the nearest domain above it that has
  /// some. Empty: the mail goes unsigned.
  [[nodiscard]] std::vector<const SigningKeyConfig *> find_dkim_keys(std::string_view author_domain) const;
  /// A domain of ours, or a name below one. Lower-case A-labels.
  [[nodiscard]] bool is_within_own_domain(std::string_view domain) const;

  /// A mailbox whose mail is read as reports of others; the local part without case.
  [[nodiscard]] bool is_report_mailbox(const smtp::Mailbox &mailbox) const;

  /// Mail with REQUIRETLS may be taken for this recipient: it is not ours to answer for, is read here, or goes on to
  /// hosts that keep it.
  [[nodiscard]] bool keeps_requiretls(const smtp::Mailbox &mailbox) const;

  /// The route of a recipient domain: of our own domain, of the partner, or the best [[route]]; null: by MX.
  [[nodiscard]] const policy::Route *find_route(const smtp::Domain &domain) const noexcept;
  [[nodiscard]] const RouteConfig *find_route_config(const smtp::Domain &domain) const noexcept;
  /// What decide_tls gets for a domain: [outbound], raised and detailed by the [[route]] that find_route() takes, if it
  /// is one.
  [[nodiscard]] policy::OutboundDefaults outbound_defaults(const smtp::Domain &domain) const;
  [[nodiscard]] const CertificateConfig *find_certificate(std::string_view name) const noexcept;
  [[nodiscard]] policy::LocalRecipient classify(const smtp::ForwardPath &path) const;
  /// If it is known, then not by its whole name: its domain takes everything, or everything behind a delimiter.
  [[nodiscard]] bool is_caught(const smtp::ForwardPath &path) const;
  /// <Postmaster> and postmaster@/abuse@ of our domains where none is listed become the configured postmaster.
  [[nodiscard]] smtp::Mailbox resolve_recipient(const smtp::ForwardPath &path) const;
};

} // namespace mta
