// [[domain]]: our own domains and their recipient lists.
#include <fmt/format.h>

#include "mta/config/loading.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::size_t list_file_limit = 64 * 1024 * 1024;
constexpr std::size_t recipient_limit = 1'000'000; ///< per domain
constexpr std::size_t shown_errors = 20;           ///< per list file

/// `text`: an address of this domain, or a local part alone (quoted where it must be). Gives the lower-case local part.
smtp::Result<std::string> parse_recipient(std::string_view text, const smtp::Domain &domain) {
  const bool quoted = text.size() > 1 && text.front() == '"' && text.back() == '"';
  const bool alone = quoted || text.find('@') == std::string_view::npos;
  const auto mailbox = smtp::Mailbox::parse(alone ? fmt::format("{}@{}", text, domain.ascii()) : std::string(text));
  if (!mailbox) return tl::unexpected(mailbox.error());
  if (!mailbox->domain() || *mailbox->domain() != domain)
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("\"{}\" is not an address of {}", smtp::escape(text, 100), domain.ascii()));
  return smtp::to_lower(mailbox->local_part());
}

/// list-file = *( [ address / local-part ] [ "#" comment ] LF ); a "#" inside a local part must stand in a quoted
/// string.
void read_list_file(Section &section, const std::string &shown, DomainConfig &domain, Loading &loading) {
  const auto text = loading.files.read(domain.recipients_file, list_file_limit);
  if (!text) {
    section.error("recipients_file", fmt::format("{}: {}", smtp::escape(shown), text.error().detail));
    return;
  }
  std::size_t errors = 0;
  // One stray line of an export must not take the mail server down; whoever it was meant for is refused, as before.
  const auto error = [&](std::size_t line, std::string message) {
    if (++errors <= shown_errors)
      loading.ledger.findings.add(
          {Severity::warning, shown, line, "", std::move(message) + "; the line is passed over"});
  };
  std::string_view rest = without_byte_order_mark(*text);
  for (std::size_t line = 1; !rest.empty(); ++line) {
    const auto end = rest.find('\n');
    std::string_view entry = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (entry.ends_with('\r')) entry.remove_suffix(1);
    if (!entry.starts_with('"')) entry = entry.substr(0, entry.find('#'));
    entry = smtp::trim(entry);
    if (entry.empty()) continue;
    auto recipient = parse_recipient(entry, domain.domain);
    if (!recipient) {
      error(line, recipient.error().detail);
      continue;
    }
    if (domain.recipients.size() >= recipient_limit) {
      loading.ledger.findings.add(
          {Severity::error, shown, line, "", fmt::format("more recipients than the limit of {}", recipient_limit)});
      break;
    }
    ++domain.listed;
    domain.recipients.insert(std::move(*recipient));
  }
  if (errors > shown_errors)
    loading.ledger.findings.add(
        {Severity::warning, shown, 0, "", fmt::format("{} further lines are wrong", errors - shown_errors)});
  if (domain.listed == 0 && !domain.catch_all)
    section.warning("recipients_file", fmt::format("{} holds no recipient", smtp::escape(shown)));
}

void read_domain(Section &section, Loading &loading) {
  section.require("domain", "the name of a domain of ours, such as domain = \"example.org\"");
  std::optional<smtp::Domain> name;
  section.read_parsed("domain", name, [](const std::string &text) -> smtp::Result<std::optional<smtp::Domain>> {
    auto domain = smtp::Domain::parse(text);
    if (!domain) return tl::unexpected(domain.error());
    return std::optional<smtp::Domain>(std::move(*domain));
  });
  bool catch_all = false;
  std::string list_file;
  std::optional<policy::Route> route;
  section.read("catch_all", catch_all);
  bool requiretls = false;
  section.read("requiretls", requiretls);
  section.read("recipients_file", list_file);
  read_route(section, route, loading);
  std::optional<OwnStsConfig> mta_sts;
  read_own_mta_sts(section, mta_sts);
  std::string delimiter;
  section.read("recipient_delimiter", delimiter);
  if (delimiter.size() > 1 ||
      (!delimiter.empty() && std::string_view("+-=_#~&*/").find(delimiter[0]) == std::string_view::npos)) {
    section.error("recipient_delimiter", "must be one of + - = _ # ~ & * /, such as \"+\", or empty");
    delimiter.clear();
  }
  if (!name) {
    (void)section.value("recipients");
    section.finish();
    return;
  }
  DomainConfig domain{.domain = *name,
                      .catch_all = catch_all,
                      .recipients = {},
                      .recipients_file = loading.resolve(list_file),
                      .route = std::move(route),
                      .mta_sts = std::move(mta_sts),
                      .place = section.place(),
                      .requiretls = requiretls,
                      .recipient_delimiter = std::move(delimiter)};
  std::vector<std::string> listed;
  section.read_list("recipients", listed, [&](std::string_view text) { return parse_recipient(text, *name); });
  domain.recipients.insert(listed.begin(), listed.end());
  if (!list_file.empty()) read_list_file(section, list_file, domain, loading);
  section.finish();
  if (!catch_all && listed.empty() && list_file.empty())
    section.warning(
        "domain",
        fmt::format("{} has neither recipients, recipients_file nor catch_all: only postmaster and abuse are accepted",
                    name->ascii()));
  loading.config.some_domain_keeps_requiretls = loading.config.some_domain_keeps_requiretls || requiretls;
  const auto [first, inserted] = loading.config.domains.try_emplace(name->ascii(), std::move(domain));
  if (!inserted) section.error("domain", fmt::format("{} is already listed at {}", name->ascii(), first->second.place));
}

} // namespace

void load_domains(Section &root, Loading &loading) {
  for (auto &section : root.tables("domain")) read_domain(section, loading);
}

} // namespace mta
