// [authentication], [[dkim_key]], [arc] and [dmarc_reports].
#include <algorithm>

#include <fmt/format.h>

#include "mta/config/loading.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t key_file_limit = 65'536;
constexpr std::size_t override_limit = 10'000;

void read_disposition(Section &section, std::string_view key, auth::DmarcPolicy &out) {
  section.read_word<auth::DmarcPolicy>(key, out,
                                       {{"none", auth::DmarcPolicy::none},
                                        {"quarantine", auth::DmarcPolicy::quarantine},
                                        {"reject", auth::DmarcPolicy::reject}});
}

void read_override(Section &section, std::vector<policy::DmarcOverride> &overrides) {
  policy::OverrideSubject subject = policy::OverrideSubject::author;
  section.read_word<policy::OverrideSubject>(
      "match", subject,
      {{"author", policy::OverrideSubject::author}, {"forwarder", policy::OverrideSubject::forwarder}});
  auth::DmarcPolicy disposition = auth::DmarcPolicy::none;
  section.require("disposition", "none, quarantine or reject");
  read_disposition(section, "disposition", disposition);
  std::string owner, reason;
  section.require("owner", "who answers for it");
  section.require("reason", "why, for the log and the reports");
  section.read("owner", owner);
  section.read("reason", reason);
  std::vector<smtp::DomainPattern> domains;
  section.require("domains", "whose mail, such as domains = [\"list.example\"]");
  section.read_list("domains", domains, [](std::string_view text) { return smtp::DomainPattern::parse(text); });
  section.finish();
  for (auto &domain : domains) {
    if (overrides.size() >= override_limit) {
      section.error("domains", fmt::format("more overrides than the limit of {}", override_limit));
      return;
    }
    overrides.push_back({std::move(domain), subject, disposition, owner, reason, section.place()});
  }
}

void read_quarantine(Section &section, AuthenticationConfig &out) {
  section.read_word<QuarantineAction>(
      "quarantine", out.quarantine,
      {{"mark", QuarantineAction::mark}, {"redirect", QuarantineAction::redirect}, {"hold", QuarantineAction::hold}});
  section.read_parsed("quarantine_recipient", out.quarantine_recipient, parse_optional_mailbox);
  if (out.quarantine == QuarantineAction::redirect && !section.has("quarantine_recipient"))
    section.error("quarantine", "\"redirect\" needs quarantine_recipient, the mailbox that gets such mail");
}

void load_checks(Section &root, Loading &loading) {
  AuthenticationConfig &out = loading.config.authentication;
  out.authserv_id = loading.config.server.hostname;
  auto section = root.table("authentication");
  if (!section) return;
  section->read("enabled", out.enabled);
  section->read_parsed("authserv_id", out.authserv_id, [](const std::string &text) -> smtp::Result<std::string> {
    const auto domain = smtp::Domain::parse(text);
    if (!domain) return tl::unexpected(domain.error());
    return domain->ascii();
  });
  policy::MessageRules &rules = out.rules;
  read_mode(*section, rules.mode);
  section->read("own_domain_shield", rules.own_domain_shield);
  section->read("refuse_several_authors", rules.refuse_several_authors);
  section->read("refuse_unusable_from", rules.refuse_unusable_from);
  section->read("refuse_missing_from", rules.refuse_missing_from);
  read_disposition(*section, "on_spf_fail", rules.on_spf_fail);
  section->read("received_spf", out.received_spf);
  section->read("accept_partial_body", out.accept_partial_body);
  section->read_count("max_signatures", out.max_signatures, 1, 100);
  section->read_duration("cpu_budget", out.cpu_budget, 10ms, 60s);
  section->read_duration("timeout", out.timeout, 1s, 5min);
  read_quarantine(*section, out);
  std::vector<smtp::Domain> sealers;
  section->read_list("trusted_sealers", sealers, [](std::string_view text) { return smtp::Domain::parse(text); });
  for (const auto &sealer : sealers) rules.trusted_sealers.push_back(sealer.ascii());
  for (auto &entry : section->tables("override")) read_override(entry, rules.overrides);
  section->finish();
}

/// domain, selector and file of a key that signs for us.
std::optional<SigningKeyConfig> read_key(Section &section, Loading &loading) {
  std::optional<smtp::Domain> domain;
  section.require("domain", "the domain that signs (d=), one of ours");
  section.read_parsed("domain", domain, [](const std::string &text) -> smtp::Result<std::optional<smtp::Domain>> {
    auto parsed = smtp::Domain::parse(text);
    if (!parsed) return tl::unexpected(parsed.error());
    return std::optional<smtp::Domain>(std::move(*parsed));
  });
  std::string selector, file;
  section.require("selector", "the name of the key in the DNS (s=)");
  section.read_parsed("selector", selector, [](const std::string &text) { return auth::parse_selector(text); });
  section.require("file", "the private key, PEM, as `portcullis dkim keygen` writes it");
  std::string shown;
  section.read("file", shown);
  file = shown.empty() ? std::string() : loading.resolve(shown);
  if (domain && !loading.config.is_within_own_domain(domain->ascii()))
    section.error(
        "domain",
        fmt::format("{} is not a domain of ours, nor below one: add a [[domain]], or remove the key", domain->ascii()));
  if (!domain || selector.empty() || file.empty()) return std::nullopt;
  const auto pem = loading.files.read(file, key_file_limit);
  if (!pem) {
    section.error("file", fmt::format("{}: {}", smtp::escape(shown), pem.error().detail));
    return std::nullopt;
  }
  auto key = auth::SigningKey::parse(*pem);
  if (!key) {
    section.error("file", fmt::format("{}: {}", smtp::escape(shown), key.error().detail));
    return std::nullopt;
  }
  if (key->type() == auth::KeyType::rsa && key->bits() < 2048)
    section.warning("file", fmt::format("{}: an RSA key of {} bits; make one of 2048 with `portcullis dkim keygen`",
                                        smtp::escape(shown), key->bits()));
  return SigningKeyConfig{.domain = std::move(*domain),
                          .selector = std::move(selector),
                          .file = std::move(file),
                          .key = std::make_shared<const auth::SigningKey>(std::move(*key)),
                          .place = section.place()};
}

void load_dkim_keys(Section &root, Loading &loading) {
  auto &keys = loading.config.dkim_keys;
  for (auto &section : root.tables("dkim_key")) {
    auto key = read_key(section, loading);
    section.finish();
    if (!key) continue;
    const auto same = std::find_if(keys.begin(), keys.end(), [&](const SigningKeyConfig &other) {
      return other.domain == key->domain && other.selector == key->selector;
    });
    if (same != keys.end())
      section.error("selector",
                    fmt::format("{} of {} is already listed at {}", key->selector, key->domain.ascii(), same->place));
    else
      keys.push_back(std::move(*key));
  }
}

void load_arc(Section &root, Loading &loading) {
  auto section = root.table("arc");
  if (!section) return;
  ArcConfig &out = loading.config.arc;
  out.key = read_key(*section, loading);
  out.recipients = {smtp::DomainPattern::parse("*").value()};
  section->read_list("recipients", out.recipients,
                     [](std::string_view text) { return smtp::DomainPattern::parse(text); });
  section->finish();
}

void load_reports(Section &root, Loading &loading) {
  DmarcReportConfig &out = loading.config.dmarc_reports;
  out.org_name = loading.config.server.hostname;
  auto section = root.table("dmarc_reports");
  if (!section) return;
  out.enabled = true;
  section->read("enabled", out.enabled);
  section->read("org_name", out.org_name);
  section->read("extra_contact", out.extra_contact);
  section->read_parsed("from", out.from, parse_optional_mailbox);
  if (out.enabled && !section->has("from"))
    section->error("from", "must be there: the author of the reports, such as from = \"dmarc-reports@example.org\"");
  if (out.from && (!out.from->domain() || !loading.config.is_within_own_domain(out.from->domain()->ascii())))
    section->error(
        "from", fmt::format("{} is not an address of ours; reports must pass DMARC themselves", out.from->to_string()));
  section->read_count("hour", out.hour, 0, 23);
  section->read_duration("spread", out.spread, 0s, 20h);
  section->read_size("max_size", out.max_size, 65'536, 1ULL << 30U);
  section->read_count("keep_days", out.keep_days, 2, 366);
  section->read_word<DmarcReportForm>("form", out.form,
                                      {{"automatic", DmarcReportForm::automatic},
                                       {"rfc9990", DmarcReportForm::rfc9990},
                                       {"rfc7489", DmarcReportForm::rfc7489}});
  section->finish();
}

} // namespace

void load_authentication(Section &root, Loading &loading) {
  load_checks(root, loading);
  load_dkim_keys(root, loading);
  load_arc(root, loading);
  load_reports(root, loading);
}

} // namespace mta
