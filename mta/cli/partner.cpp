// portcullis partner and simulate: what traffic showed of partners, and what a rule would have made of it.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/cli/command.hpp"
#include "mta/cli/evidence_text.hpp"
#include "mta/cli/simulation.hpp"
#include "mta/config/load.hpp"
#include "mta/log/printable.hpp"
#include "mta/report/report_settings.hpp"
#include "mta/tally/tls_evidence.hpp"
#include "smtp/base/text.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;
using policy::Direction;

constexpr unsigned longest = 3'660; ///< days that may be asked for

struct PartnerArguments {
  std::string name;
  unsigned days = 0; ///< 0: as many as are kept
  SimulationOptions simulation;
  bool probe = false;
  bool no_probe = false;
};

/// What every command begins with; null: the failure is told.
std::shared_ptr<const Config> load(GlobalOptions &global, PartnerArguments &arguments) {
  auto config = load_for_tool(global);
  if (config && arguments.days == 0) arguments.days = config->tls_evidence.keep_days;
  return config;
}

std::optional<StoredEvidence> read(GlobalOptions &global, const Config &config, const PartnerArguments &arguments,
                                   const std::function<bool(const policy::EvidenceRow &)> &wanted) {
  const auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  auto evidence = read_evidence(evidence_files(tally_folder(config)), today, arguments.days, wanted);
  if (!evidence) {
    fail(global, evidence.error().detail, 2);
    return std::nullopt;
  }
  if (evidence->damaged > 0 && !global.json)
    std::fprintf(stderr, "portcullis: %llu records could not be read and are not counted\n",
                 static_cast<unsigned long long>(evidence->damaged));
  if (evidence->omitted > 0 && !global.json)
    std::fprintf(stderr,
                 "portcullis: %llu sessions and messages are beyond the limit of distinct rows and not counted\n",
                 static_cast<unsigned long long>(evidence->omitted));
  return std::move(*evidence);
}

void print_exceptions(const policy::Partner &partner, std::chrono::system_clock::time_point now) {
  const auto today = std::chrono::floor<std::chrono::days>(now);
  for (const auto &exception : partner.exceptions) {
    const auto left = (exception.expires - today).count();
    std::printf("  %-16s%s: %s until %s (%s)%s\n", "exception", exception.domain.to_string().c_str(),
                tls::to_string(exception.level), format_day(exception.expires).c_str(), exception.owner.c_str(),
                left < 0     ? ": EXPIRED, it no longer counts"
                : left <= 30 ? fmt::format(": expires in {} days", left).c_str()
                             : "");
  }
}

json::array describe_exceptions(const policy::Partner &partner) {
  json::array array;
  for (const auto &exception : partner.exceptions)
    array.push_back(json::object{{"domain", exception.domain.to_string()},
                                 {"tls", tls::to_string(exception.level)},
                                 {"expires", format_day(exception.expires)},
                                 {"owner", exception.owner},
                                 {"reason", exception.reason},
                                 {"place", exception.place}});
  return array;
}

/// A partner by its name, without case, or by a domain of its own; then `domain` is set, and only its mail is told of.
const policy::Partner *find_partner(const policy::PartnerTable &table, const std::string &name,
                                    std::optional<smtp::Domain> &domain) {
  for (const policy::Partner &partner : table.partners())
    if (partner.name == name) return &partner;
  for (const policy::Partner &partner : table.partners())
    if (smtp::equals_ignoring_case(partner.name, name)) return &partner;
  const auto parsed = smtp::Domain::parse(name.starts_with("*.") ? name.substr(2) : name);
  if (!parsed) return nullptr;
  for (const policy::Partner &partner : table.partners()) // the pattern itself, as it stands in the file
    for (const auto &pattern : partner.domains)
      if (smtp::equals_ignoring_case(pattern.to_string(), name)) {
        if (!pattern.is_wildcard()) domain = *parsed;
        return &partner;
      }
  const policy::Partner *partner = table.find(*parsed);
  if (partner) domain = *parsed;
  return partner;
}

std::string known_partners(const policy::PartnerTable &table) {
  constexpr std::size_t most = 50;
  std::string text;
  for (std::size_t i = 0; i < table.partners().size() && i < most; ++i)
    text += fmt::format("{}\"{}\"", i == 0 ? "" : ", ", smtp::escape(table.partners()[i].name, 100));
  if (table.partners().size() > most) text += fmt::format(" and {} more", table.partners().size() - most);
  return text.empty() ? "there is none" : "there are " + text;
}

/// What only a look at the hosts as they are now can say: every address of every MX host, and how they answer.
void add_probe(policy::EvidenceSummary &summary, const Config &config, const policy::EvidenceQuestion &question,
               std::span<const policy::Evidence> rows, bool no_probe) {
  if (!summary.is_safe || summary.direction != Direction::outbound) return;
  const auto forbid = [&summary](std::string why) {
    if (std::exchange(summary.is_safe, false)) summary.because.clear();
    summary.because.push_back(std::move(why));
  };
  if (no_probe) return forbid("the addresses of its MX hosts were not probed (--no-probe)");
  const auto probed = probe_domains(config, question, rows);
  if (!probed) return forbid("the addresses of its MX hosts could not be probed: " + probed.error().detail);
  std::size_t addresses = 0;
  for (const ProbedDomain &domain : *probed) {
    if (domain.addresses.empty()) forbid(fmt::format("{} has no host that could be probed", domain.domain));
    for (const ProbedAddress &each : domain.addresses) {
      ++addresses;
      if (!each.is_good)
        forbid(fmt::format("the probe of {} ({}) of {}: {}{}{}", smtp::escape(each.host, 100),
                           each.address.empty() ? "no address" : each.address, domain.domain, each.verdict,
                           each.reason.empty() ? "" : ": ", smtp::escape(each.reason, 300)));
    }
  }
  if (summary.domains.size() > probed->size())
    forbid(fmt::format("only {} of {} domains were probed: ask for one of them by its name", probed->size(),
                       summary.domains.size()));
  if (summary.is_safe)
    summary.because.push_back(
        fmt::format("every one of {} addresses of its MX hosts met it in a probe now", addresses));
}

void run_status(GlobalOptions &global, PartnerArguments arguments) {
  const auto config = load(global, arguments);
  if (!config) return;
  const auto now = std::chrono::system_clock::now();
  const auto enforced = enforced_table(config->partners);
  if (!enforced) return fail(global, enforced.error().detail, 2);
  std::optional<smtp::Domain> only;
  if (!arguments.name.empty()) {
    const policy::Partner *found = find_partner(config->partners, arguments.name, only);
    if (!found)
      return fail(global,
                  fmt::format("no partner is named \"{}\", and none has that domain; {}", smtp::escape(arguments.name),
                              known_partners(config->partners)),
                  2);
    arguments.name = found->name;
  }
  std::map<std::pair<std::string, Direction>, std::vector<policy::Evidence>> rows;
  const auto owner = [&](const policy::EvidenceRow &row) -> const policy::Partner * {
    const auto domain = smtp::Domain::parse(row.domain);
    const policy::Partner *partner = domain && (!only || *only == *domain) ? enforced->find(*domain) : nullptr;
    return partner && (arguments.name.empty() || partner->name == arguments.name) ? partner : nullptr;
  };
  auto evidence = read(global, *config, arguments, [&](const auto &row) { return owner(row) != nullptr; });
  if (!evidence) return;
  for (auto &each : evidence->rows) {
    const policy::Partner *partner = owner(each.row);
    rows[{partner->name, each.row.direction}].push_back(std::move(each));
  }
  json::array partners;
  for (const policy::Partner &partner : config->partners.partners()) {
    if (!arguments.name.empty() && partner.name != arguments.name) continue;
    json::object object{{"name", partner.name}, {"file", partner.file}};
    if (only) object["domain"] = only->ascii();
    if (!global.json)
      std::printf("%s (%s)%s\n", partner.name.c_str(), partner.file.c_str(),
                  only ? fmt::format(", mail of {} alone", only->ascii()).c_str() : "");
    for (const Direction direction : {Direction::outbound, Direction::inbound}) {
      const bool is_outbound = direction == Direction::outbound;
      if (is_outbound ? !partner.outbound : !partner.inbound) continue;
      auto question = question_for(*config, *enforced, partner.name, direction, arguments.days, now);
      const auto &seen = rows[{partner.name, direction}];
      auto summary = policy::summarise(question, seen);
      add_probe(summary, *config, question, seen, arguments.no_probe);
      const auto mode = is_outbound ? policy::mode_at(partner.outbound->mode, partner.outbound->from, now)
                                    : policy::mode_at(partner.inbound->mode, partner.inbound->from, now);
      if (global.json) {
        auto described = describe_summary(summary, now);
        described["mode"] = policy::to_string(mode);
        object[policy::to_string(direction)] = std::move(described);
      } else {
        std::printf(" %s: %s, mode %s, by %s\n%s", policy::to_string(direction), tls::to_string(summary.level),
                    policy::to_string(mode), summary.rule.c_str(), format_summary(summary, now).c_str());
      }
    }
    if (global.json)
      object["exceptions"] = describe_exceptions(partner);
    else
      print_exceptions(partner, now);
    partners.push_back(std::move(object));
  }
  if (global.json) print_json({{"ok", true}, {"days", arguments.days}, {"partners", std::move(partners)}});
}

void run_suggest(GlobalOptions &global, PartnerArguments arguments) {
  const auto config = load(global, arguments);
  if (!config) return;
  const auto now = std::chrono::system_clock::now();
  auto evidence = read(global, *config, arguments,
                       [](const policy::EvidenceRow &row) { return row.direction == Direction::outbound; });
  if (!evidence) return;
  const auto question = question_for(*config, config->partners, {}, Direction::outbound, arguments.days, now);
  const auto suggestions = policy::suggest(question, evidence->rows);
  json::array array;
  for (const auto &suggestion : suggestions) {
    if (global.json) {
      json::array match;
      for (const auto &name : suggestion.match) match.emplace_back(name);
      array.push_back(json::object{{"domain", suggestion.domain},
                                   {"match", std::move(match)},
                                   {"summary", describe_summary(suggestion.summary, now)}});
      continue;
    }
    std::printf("%s: %llu messages, %llu sessions on %llu days%s%s\n", smtp::escape(suggestion.domain).c_str(),
                static_cast<unsigned long long>(suggestion.summary.messages),
                static_cast<unsigned long long>(suggestion.summary.sessions),
                static_cast<unsigned long long>(suggestion.summary.distinct_days),
                suggestion.match.empty()
                    ? ""
                    : printable(fmt::format("; with match = [\"{}\"], if the partner confirms these names",
                                            fmt::join(suggestion.match, "\", \"")))
                          .c_str(),
                suggestion.summary.is_safe ? "" : "; not yet safe to enforce");
  }
  if (global.json)
    print_json({{"ok", true}, {"days", arguments.days}, {"domains", std::move(array)}});
  else
    std::printf("%zu domains would pass tls = \"authenticated\" with every session of the last %u days\n",
                suggestions.size(), arguments.days);
}

void run_simulate(GlobalOptions &global, PartnerArguments arguments) {
  const auto config = load(global, arguments);
  if (!config) return;
  const auto now = std::chrono::system_clock::now();
  auto simulation = build_simulation(*config, arguments.simulation);
  if (!simulation) return fail(global, simulation.error().detail, 2);
  const Direction direction = arguments.simulation.direction;
  const auto question = question_for(*config, simulation->table, simulation->partner, direction, arguments.days, now);
  auto evidence = read(global, *config, arguments, [&](const policy::EvidenceRow &row) {
    const auto domain = smtp::Domain::parse(row.domain);
    return row.direction == direction && domain && simulation->table.find(*domain) == question.partner;
  });
  if (!evidence) return;
  auto summary = policy::summarise(question, evidence->rows);
  std::vector<ProbedDomain> probed;
  if (arguments.probe) {
    auto result = probe_domains(*config, question, evidence->rows);
    if (!result) return fail(global, result.error().detail, 2);
    probed = std::move(*result);
  }
  const bool is_probe_good = std::all_of(probed.begin(), probed.end(), [](const auto &each) { return each.is_good; });
  if (summary.is_safe && direction == Direction::outbound && !arguments.probe) {
    summary.is_safe = false;
    summary.because = {"the addresses of the MX hosts were not probed: add --probe"};
  }
  global.status = summary.is_safe && is_probe_good ? 0 : 1;
  if (global.json) {
    json::object object{{"ok", true}, {"partner", simulation->partner}, {"summary", describe_summary(summary, now)}};
    if (arguments.probe) object["probe"] = describe_probe(probed);
    return print_json(object);
  }
  std::printf("%s, %s: if tls = \"%s\" were enforced\n%s", simulation->partner.c_str(), policy::to_string(direction),
              tls::to_string(summary.level), format_summary(summary, now).c_str());
  if (arguments.probe) std::printf("%s", format_probe(probed).c_str());
}

void add_days(CLI::App &command, unsigned &days) {
  command.add_option("--days", days, "UTC days up to today (default: all that are kept)")
      ->check(CLI::Range(1U, longest));
}

} // namespace

void add_partner(CLI::App &program, GlobalOptions &global) {
  auto *group =
      program.add_subcommand("partner", "Show what live traffic proved of partners, and who could become one.");
  group->require_subcommand(1);
  auto arguments = std::make_shared<PartnerArguments>();
  auto *status = group->add_subcommand(
      "status",
      "For each partner and direction: messages, TLS, certificates, what enforce would have refused, and whether it is "
      "safe to enforce.");
  status->add_option("name", arguments->name, "one partner only, by its name or one of its domains");
  status->add_flag("--no-probe", arguments->no_probe,
                   "do not connect to the partner's MX hosts; then nothing is called safe to enforce");
  add_days(*status, arguments->days);
  status->callback([&global, arguments] { run_status(global, *arguments); });
  auto *suggest = group->add_subcommand(
      "suggest", "List domains that are not in the table although every session would have been authenticated.");
  add_days(*suggest, arguments->days);
  suggest->callback([&global, arguments] { run_suggest(global, *arguments); });

  auto simulated = std::make_shared<PartnerArguments>();
  auto *simulate = program.add_subcommand(
      "simulate",
      "Tell what a rule that does not exist yet would have refused, from stored handshake facts. Exit status 0: "
      "safe to enforce; 1: not.");
  SimulationOptions &options = simulated->simulation;
  simulate->add_option("--partner", options.partner, "a partner of the table, with its other keys as they are");
  simulate->add_option("--domain", options.domain, "a domain, or *.domain");
  simulate->add_option("--tls", options.level, "encrypted or authenticated")->required();
  simulate->add_option("--match", options.match, "names of which the certificate must carry one");
  simulate->add_option("--trust", options.trust, "\"system\", or a PEM file of CAs that sessions were judged against");
  simulate->add_option("--direction", options.direction_word, "outbound (the default) or inbound");
  simulate->add_flag("--probe", simulated->probe, "connect to every address of every MX host now, too");
  add_days(*simulate, simulated->days);
  simulate->callback([&global, simulated] { run_simulate(global, *simulated); });
}

} // namespace mta::cli
