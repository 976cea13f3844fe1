// Loading: what the readers of the single sections share, and the readers themselves; private to mta/config.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mta/config/config.hpp"
#include "mta/config/config_files.hpp"
#include "mta/config/section.hpp"

namespace mta {

/// Editors of other systems begin a file with U+FEFF.
[[nodiscard]] inline std::string_view without_byte_order_mark(std::string_view text) noexcept {
  return text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text;
}

/// Refers to the files and lives for one load.
struct Loading {
  Loading(const ConfigFiles &config_files, std::chrono::system_clock::time_point time, std::string base,
          std::string main)
      : files(config_files), now(time), folder(std::move(base)), main_file(std::move(main)) {}

  const ConfigFiles &files;
  std::chrono::system_clock::time_point now;
  std::string folder;    ///< of the main file, absolute: relative paths start here
  std::string main_file; ///< its name as findings show it
  Ledger ledger;
  Config config;
  std::vector<policy::Partner> partners;                  ///< become config.partners at the end
  std::map<std::string, tls::CertificateFacts> leaves;    ///< by name of [[certificate]]: those that could be read
  std::map<std::string, std::string> claimed_by_partners; ///< pattern to the place that claims it
  std::map<std::string, std::string> partner_names;       ///< name to its place
  std::map<std::string, std::string> checked_trust;       ///< path to what is wrong, with its text; empty: good
  std::map<std::string, std::string> checked_crls;        ///< the same for files of revoked certificates

  [[nodiscard]] std::string absolute(std::string_view path) const; ///< relative to `folder`
  /// The same, where `files` has it.
  [[nodiscard]] std::string resolve(std::string_view path) const { return files.locate(absolute(path)); }
};

// Readers of the sections of portcullis.toml. Each reports into loading.ledger and fills loading.config.
void load_server(Section &root, Loading &loading);       // [server] [log] [spool] [control]
void load_limits(Section &root, Loading &loading);       // [limits]
void load_dns(Section &root, Loading &loading);          // [dns]
void load_outbound(Section &root, Loading &loading);     // [outbound]
void load_queue(Section &root, Loading &loading);        // [queue]
void load_certificates(Section &root, Loading &loading); // [[certificate]]
void load_listeners(Section &root, Loading &loading);    // [[listener]], after the certificates
/// A share of limits.connections for those that the limits for strangers do not hold; after [limits] and the listeners.
void reserve_for_exempt(Config &config);
void load_domains(Section &root, Loading &loading);          // [[domain]]
void load_routes(Section &root, Loading &loading);           // [[route]], after the certificates
void load_authentication(Section &root, Loading &loading);   // [authentication] [[dkim_key]] [arc] [dmarc_reports]
void load_tls_reports(Section &root, Loading &loading);      // [tls_reports], after the keys
void load_tls_memory(Section &root, Loading &loading);       // [tls_memory] [tls_evidence]
void load_mta_sts(Section &root, Loading &loading);          // [mta_sts]
void load_received_reports(Section &root, Loading &loading); // [received_reports], after the domains
void load_partner_folder(Loading &loading);
void load_partner(std::string_view text, const std::string &file, Loading &loading);
/// What only the whole can show: our own domains in the partner table, the postmaster's mailbox, …
void check_whole(Section &root, Loading &loading);

// Values that several sections have.
void read_path(Section &section, std::string_view key, std::string &out, const Loading &loading);
/// A path to a file that must be readable.
void read_file_path(Section &section, std::string_view key, std::string &out, Loading &loading);
/// "system" or a PEM file with certificates.
void read_trust(Section &section, std::string_view key, std::string &out, Loading &loading);
void read_pins(Section &section, std::string_view key, std::vector<std::string> &out);
/// Lists of revoked certificates: PEM or DER files that can be read now, or http addresses.
void read_crls(Section &section, std::string_view key, std::vector<std::string> &out, Loading &loading);
/// Key `from`: the day from which a rule is enforced.
void read_from(Section &section, policy::Mode mode, std::optional<std::chrono::sys_days> &out);
/// Certificate names: a domain, or "*." in front of one with two labels or more.
void read_name_patterns(Section &section, std::string_view key, std::vector<std::string> &out);
void read_profile(Section &section, std::string_view key, std::string &out);
/// `least` and `most` bound the levels that the key may have.
void read_level(Section &section, std::string_view key, tls::Level &out, tls::Level least, tls::Level most);
/// Reports a level "dane" that nothing could meet: DANE or DNSSEC is off, or the route names addresses. After [dns] and
/// [outbound].
void check_dane(Section &section, tls::Level level, const policy::Route *route, const Loading &loading);
void read_mode(Section &section, policy::Mode &out);
void read_networks(Section &section, std::string_view key, std::vector<smtp::Network> &out);
/// Key `route`: a list of hosts, or a table.
void read_route(Section &section, std::optional<policy::Route> &out, Loading &loading);
/// Key `mta_sts` of a [[domain]].
void read_own_mta_sts(Section &domain, std::optional<OwnStsConfig> &out);
/// The keys of a route in a table of its own.
void read_route_table(Section &section, policy::Route &route, Loading &loading);

[[nodiscard]] inline smtp::Result<std::optional<smtp::Mailbox>> parse_optional_mailbox(const std::string &text) {
  auto mailbox = smtp::Mailbox::parse(text);
  if (!mailbox) return tl::unexpected(mailbox.error());
  return std::optional<smtp::Mailbox>(std::move(*mailbox));
}

} // namespace mta
