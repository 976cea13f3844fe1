// The partner files: one object for each partner, both directions, and its dated exceptions.
#include <algorithm>

#include <fmt/format.h>

#include "mta/config/loading.hpp"
#include "mta/config/units.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::size_t partner_file_limit = 1024 * 1024;
constexpr std::size_t partner_limit = 100'000;

policy::OutboundRule read_outbound(Section &section, Loading &loading) {
  policy::OutboundRule rule;
  rule.place = section.place();
  read_mode(section, rule.mode);
  read_from(section, rule.mode, rule.from);
  read_level(section, "tls", rule.level, tls::Level::opportunistic, tls::Level::dane);
  read_name_patterns(section, "match", rule.match);
  read_trust(section, "trust", rule.trust, loading);
  read_crls(section, "crl", rule.crls, loading);
  read_pins(section, "pins", rule.pins);
  // A strict profile at this level would turn old TLS into clear text.
  if (rule.level == tls::Level::opportunistic) rule.profile = loading.config.outbound.profile;
  read_profile(section, "profile", rule.profile);
  read_route(section, rule.route, loading);
  check_dane(section, rule.level, rule.route ? &*rule.route : nullptr, loading);
  if (rule.level != tls::Level::authenticated) { // with "dane" the TLSA records alone say which certificate is good
    if (!rule.pins.empty()) section.error("pins", "are judged only with tls = \"authenticated\"");
    if (!rule.crls.empty()) section.error("crl", "is judged only with tls = \"authenticated\"");
    if (!rule.match.empty()) section.warning("match", "counts only with tls = \"authenticated\"");
  }
  section.finish();
  return rule;
}

policy::InboundRule read_inbound(Section &section, Loading &loading) {
  policy::InboundRule rule;
  rule.place = section.place();
  read_mode(section, rule.mode);
  read_from(section, rule.mode, rule.from);
  read_level(section, "tls", rule.level, tls::Level::encrypted, tls::Level::authenticated);
  if (auto certificate = section.table("certificate")) {
    read_name_patterns(*certificate, "names", rule.names);
    read_trust(*certificate, "trust", rule.trust, loading);
    read_crls(*certificate, "crl", rule.crls, loading);
    read_pins(*certificate, "pins", rule.pins);
    certificate->read("accept_server_auth", rule.accept_server_auth);
    certificate->finish();
  }
  read_networks(section, "networks", rule.networks);
  for (const auto &network : rule.networks)
    if (network.bits() == 0)
      section.error("networks", fmt::format("{} is every address and proves nothing", network.to_string()));
  section.read_word<policy::OnFailure>("on_failure", rule.on_failure,
                                       {{"reject", policy::OnFailure::reject}, {"defer", policy::OnFailure::defer}});
  section.read_strings("listeners", rule.listeners);
  for (const auto &name : rule.listeners)
    if (std::none_of(loading.config.listeners.begin(), loading.config.listeners.end(),
                     [&](const ListenerConfig &listener) { return listener.name == name; }))
      section.error("listeners", fmt::format("no [[listener]] is named \"{}\"", smtp::escape(name, 80)));
  section.read("authors", rule.authors);
  if (rule.level != tls::Level::authenticated)
    for (const char *key : {"certificate", "networks"})
      if (section.has(key)) section.error(key, "is judged only with tls = \"authenticated\"");
  section.finish();
  return rule;
}

/// True when every name that `inner` matches is matched by `outer` too.
bool covers(const smtp::DomainPattern &outer, const smtp::DomainPattern &inner) {
  if (!outer.is_wildcard()) return outer == inner;
  if (outer.base().empty()) return true;
  if (inner.is_wildcard() && inner.base() == outer.base()) return true;
  return inner.base().ends_with("." + outer.base());
}

void check_expiry(Section &section, std::chrono::sys_days expires, std::chrono::system_clock::time_point now) {
  const auto today = std::chrono::floor<std::chrono::days>(now); // the last day itself counts
  if (expires < today)
    section.warning("expires",
                    fmt::format("expired on {}: the exception no longer counts; remove it, or agree on a new date",
                                format_date(expires)));
  else if (expires - today <= std::chrono::days(30))
    section.warning("expires", fmt::format("expires on {}, within 30 days", format_date(expires)));
}

std::optional<policy::Exception> read_exception(Section &section, const policy::Partner &partner,
                                                const Loading &loading) {
  std::optional<smtp::DomainPattern> domain;
  section.require("domain", "an exception names its domain");
  section.read_parsed("domain", domain,
                      [](const std::string &text) -> smtp::Result<std::optional<smtp::DomainPattern>> {
                        auto pattern = smtp::DomainPattern::parse(text);
                        if (!pattern) return tl::unexpected(pattern.error());
                        return std::optional<smtp::DomainPattern>(std::move(*pattern));
                      });
  tls::Level level = tls::Level::opportunistic;
  section.require("tls", "the level that counts instead");
  read_level(section, "tls", level, tls::Level::none, tls::Level::authenticated);
  std::string owner;
  std::string reason;
  std::optional<std::chrono::sys_days> expires;
  section.require("owner", "an exception names who answers for it");
  section.read("owner", owner);
  section.require("reason", "an exception says why");
  section.read("reason", reason);
  section.require("expires", "an exception has an end date, such as expires = 2027-04-01");
  section.read_date("expires", expires);
  for (const char *key : {"owner", "reason"})
    if (const auto *value = section.value(key)) {
      const auto *text = std::get_if<std::string>(&value->data);
      if (text && smtp::trim(*text).empty()) section.error(key, "is empty");
    }
  section.finish();
  if (expires) check_expiry(section, *expires, loading.now);
  if (!domain || !expires) return std::nullopt;
  if (std::none_of(partner.domains.begin(), partner.domains.end(),
                   [&](const auto &own) { return covers(own, *domain); }))
    section.error("domain", fmt::format("{} is not among the domains of this partner", domain->to_string()));
  return policy::Exception{.domain = *domain,
                           .level = level,
                           .owner = std::move(owner),
                           .reason = std::move(reason),
                           .expires = *expires,
                           .place = section.place()};
}

void claim_patterns(Section &root, const policy::Partner &partner, Loading &loading) {
  const std::string place = root.place("domains");
  for (const auto &pattern : partner.domains) {
    const auto [first, fresh] = loading.claimed_by_partners.try_emplace(pattern.to_string(), place);
    if (!fresh)
      root.error("domains",
                 fmt::format("overlapping rules: {} is already claimed at {}", pattern.to_string(), first->second));
  }
}

} // namespace

void load_partner(std::string_view text, const std::string &file, Loading &loading) {
  const auto tree = toml_tree::parse_toml(text);
  if (!tree) {
    loading.ledger.findings.add({Severity::error, file, tree.error().line, "",
                                 fmt::format("column {}: {}", tree.error().column, tree.error().message)});
    return;
  }
  Section root(*tree, file, "", loading.ledger);
  policy::Partner partner;
  partner.file = file;
  root.require("name", "the partner's name, for logs and reports");
  root.read("name", partner.name);
  root.require("domains", "the partner's mail domains, such as domains = [\"example.gov.uk\", \"*.example.gov.uk\"]");
  root.read_list("domains", partner.domains,
                 [](std::string_view pattern) { return smtp::DomainPattern::parse(pattern); });
  if (root.has("domains") && partner.domains.empty()) root.error("domains", "holds no usable domain");
  root.read("contact", partner.contact);
  root.read("reference", partner.reference);
  root.read_date("review", partner.review);
  if (partner.review && *partner.review < std::chrono::floor<std::chrono::days>(loading.now))
    root.warning("review", fmt::format("the review was due on {}", format_date(*partner.review)));
  if (auto outbound = root.table("outbound")) partner.outbound = read_outbound(*outbound, loading);
  if (auto inbound = root.table("inbound")) partner.inbound = read_inbound(*inbound, loading);
  const auto exceptions = root.tables("exception");
  for (auto section : exceptions)
    if (auto exception = read_exception(section, partner, loading)) partner.exceptions.push_back(std::move(*exception));
  root.finish();
  if (!root.has("outbound") && !root.has("inbound") && !root.has("exception"))
    root.warning("name", "the file has neither [outbound], [inbound] nor [[exception]] and so changes nothing");
  if (!partner.name.empty())
    if (const auto [first, fresh] = loading.partner_names.try_emplace(partner.name, root.place("name")); !fresh)
      root.error("name", fmt::format("\"{}\" is already the name of the partner at {}", smtp::escape(partner.name, 80),
                                     first->second));
  claim_patterns(root, partner, loading);
  loading.partners.push_back(std::move(partner));
}

void load_partner_folder(Loading &loading) {
  const std::string &folder = loading.config.server.partners;
  const auto names = loading.files.list(loading.resolve(folder));
  if (!names) {
    // Without the key the folder need not be there.
    if (names.error().code == smtp::ErrorCode::not_found && folder == ServerConfig().partners) return;
    loading.ledger.findings.add({Severity::error, smtp::escape(folder), 0, "", names.error().detail});
    return;
  }
  if (names->size() > partner_limit) {
    loading.ledger.findings.add({Severity::error, smtp::escape(folder), 0, "",
                                 fmt::format("{} partner files, the limit is {}", names->size(), partner_limit)});
    return;
  }
  for (const auto &name : *names) {
    const std::string file = fmt::format("{}{}{}", folder, folder.ends_with('/') ? "" : "/", name);
    const auto text = loading.files.read(loading.resolve(file), partner_file_limit);
    if (text)
      load_partner(*text, file, loading);
    else
      loading.ledger.findings.add({Severity::error, file, 0, "", text.error().detail});
  }
}

} // namespace mta
