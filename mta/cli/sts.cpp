// portcullis sts: publish (our own policies), show and list (kept ones of others), fetch (live discovery).
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/cli/command.hpp"
#include "mta/config/load.hpp"
#include "mta/log/printable.hpp"
#include "mta/log/time_stamp.hpp"
#include "mta/store/sts_policies.hpp"
#include "mta/sts/discovery.hpp"
#include "mta/sts/kept_policy.hpp"
#include "mta/sts/publication.hpp"
#include "mta/sts/sts_service.hpp"
#include "smtp/base/text.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;
using std::chrono::system_clock;

/// The absolute form of a domain, with a dot at its end, is the same domain.
std::string_view without_final_dot(std::string_view name) {
  if (name.size() > 1 && name.ends_with('.')) name.remove_suffix(1);
  return name;
}

std::optional<std::string> parse_domain(GlobalOptions &global, const std::string &text) {
  const auto domain = smtp::Domain::parse(without_final_dot(text));
  if (domain) return domain->ascii();
  fail(global, domain.error().detail, 2);
  return std::nullopt;
}

json::array json_list(const std::vector<std::string> &texts) {
  return json::array(texts.begin(), texts.end());
}

json::object json_of(const policy::StsPolicy &policy) {
  return {{"mode", policy::to_string(policy.mode)}, {"mx", json_list(policy.mx)}, {"max_age", policy.max_age.count()}};
}

// publish

json::object json_of(const StsPublication &publication) {
  return {{"domain", publication.domain},
          {"url", publication.url},
          {"policy_text", publication.text},
          {"policy", json_of(publication.policy)},
          {"record_name", publication.record_name},
          {"record", publication.record},
          {"place", publication.place}};
}

void run_publish(GlobalOptions &global, const std::string &only) {
  const auto config = load_for_tool(global);
  if (!config) return;
  std::vector<StsPublication> publications;
  for (const auto &[name, domain] : config->domains)
    if (domain.mta_sts && (only.empty() || smtp::equals_ignoring_case(name, without_final_dot(only))))
      publications.push_back(make_sts_publication(domain));
  if (publications.empty())
    return fail(global,
                only.empty()
                    ? "no [[domain]] has a policy: add [domain.mta_sts] to one"
                    : fmt::format("{} is not a domain of ours with a policy: add [domain.mta_sts] to its [[domain]]",
                                  smtp::escape(only)),
                1);
  std::sort(publications.begin(), publications.end(),
            [](const auto &left, const auto &right) { return left.domain < right.domain; });
  if (global.json) {
    json::array list;
    for (const auto &publication : publications) list.push_back(json_of(publication));
    return print_json({{"ok", true}, {"domains", std::move(list)}});
  }
  bool first = true;
  for (const auto &publication : publications) {
    std::printf("%s%s", first ? "" : "\n", format_text(publication).c_str());
    first = false;
  }
}

// show, list

json::object json_of(const KeptPolicy &kept) {
  return {{"domain", kept.domain},
          {"id", kept.id},
          {"fetched", format_time_stamp(kept.fetched)},
          {"expires", format_time_stamp(kept.expires)},
          {"expired", kept.expires <= system_clock::now()},
          {"policy", json_of(kept.policy)},
          {"policy_text", kept.text}};
}

/// "expires in 6d 3h", or that it has expired.
std::string life_of(const KeptPolicy &kept) {
  const auto left = std::chrono::duration_cast<std::chrono::seconds>(kept.expires - system_clock::now());
  return left.count() > 0 ? fmt::format("expires in {}", format_age(left)) : "has expired";
}

/// Foreign text for a terminal: line by line, escaped.
std::string indented(const std::string &text) {
  std::string result;
  for (std::string_view line : smtp::split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) result += fmt::format("  {}\n", smtp::escape(line, 300));
  }
  return result;
}

void show_policy(GlobalOptions &global, const std::string &text) {
  const auto domain = parse_domain(global, text);
  if (!domain) return;
  store::Reader reader(store::store_folder(find_places(global).spool));
  auto row = store::read_sts_policy(reader, *domain);
  if (!row && row.error().code == smtp::ErrorCode::not_found)
    return fail(global, fmt::format("no policy of {} is kept", *domain), 1);
  if (!row) return fail(global, row.error().detail, 2);
  const auto kept = from_row(std::move(*row));
  if (!kept) return fail(global, fmt::format("{}: {}", *domain, kept.error().detail), 2);
  if (global.json) return print_json({{"ok", true}, {"policy", json_of(*kept)}});
  std::printf("%s: mode %s, id %s, fetched %s, %s\n%s", kept->domain.c_str(), policy::to_string(kept->policy.mode),
              smtp::escape(kept->id).c_str(), format_time_stamp(kept->fetched).c_str(), life_of(*kept).c_str(),
              indented(kept->text).c_str());
}

void run_sts_list(GlobalOptions &global) {
  store::Reader reader(store::store_folder(find_places(global).spool));
  const auto found = read_kept_policies(reader);
  if (!found) return fail(global, found.error().detail, 2);
  if (!found->damaged.empty()) global.status = 1;
  if (global.json) {
    json::array policies, damaged;
    for (const auto &kept : found->policies) policies.push_back(json_of(kept));
    for (const auto &one : found->damaged)
      damaged.push_back(json::object{{"domain", one.domain}, {"detail", one.detail}});
    return print_json(
        {{"ok", found->damaged.empty()}, {"policies", std::move(policies)}, {"damaged", std::move(damaged)}});
  }
  for (const auto &kept : found->policies)
    std::printf("%-40s %-8s %-34s %s\n", kept.domain.c_str(), policy::to_string(kept.policy.mode),
                smtp::escape(kept.id).c_str(), life_of(kept).c_str());
  for (const auto &one : found->damaged)
    std::printf("%-40s %s\n", printable(one.domain).c_str(), printable(one.detail).c_str());
}

void run_forget(GlobalOptions &global, const std::string &text) {
  const auto domain = parse_domain(global, text);
  if (!domain) return;
  const auto done = store::forget_sts_policy(store::store_folder(find_places(global).spool), *domain);
  if (!done) return fail(global, done.error().detail, done.error().code == smtp::ErrorCode::not_found ? 1 : 2);
  if (global.json) return print_json({{"ok", true}});
  std::printf("forgotten; a running daemon goes on with a policy that it could read, until that ends\n");
}

// fetch

struct Discovered {
  StsRecordAnswer record;
  std::optional<StsFetchOutcome> fetched; ///< nothing: there was no record to fetch for
};

Task<Discovered> discover(std::shared_ptr<const Snapshot> snapshot, Resolver &resolver, std::string domain) {
  Discovered found;
  found.record = co_await look_up_sts_record(resolver, domain);
  if (found.record.state != StsRecordAnswer::State::found) co_return found;
  found.fetched = co_await fetch_sts_policy(std::move(snapshot), resolver, std::move(domain));
  co_return found;
}

void print_discovered(GlobalOptions &global, const std::string &domain, const Discovered &found) {
  const bool good = found.fetched && found.fetched->policy;
  const std::string detail = found.fetched ? found.fetched->detail : found.record.detail;
  global.status = good ? 0 : 1;
  if (global.json) {
    json::object answer{{"ok", good}, {"domain", domain}};
    if (found.fetched) answer["id"] = found.record.id;
    if (good) {
      answer["policy"] = json_of(*found.fetched->policy);
      answer["policy_text"] = found.fetched->text;
    } else {
      answer["error"] = detail;
      if (found.fetched) answer["fault"] = policy::to_string(found.fetched->fault);
    }
    return print_json(answer);
  }
  if (found.fetched) std::printf("_mta-sts.%s: id %s\n", domain.c_str(), printable(found.record.id).c_str());
  if (good)
    std::printf("%s: mode %s\n%s", sts_policy_url(domain).to_string().c_str(),
                policy::to_string(found.fetched->policy->mode), indented(found.fetched->text).c_str());
  else
    std::fprintf(stderr, "portcullis: %s%s\n", printable(detail).c_str(),
                 found.fetched ? fmt::format(" ({})", policy::to_string(found.fetched->fault)).c_str() : "");
}

void run_fetch(GlobalOptions &global, const std::string &text) {
  const auto config = load_for_tool(global);
  if (!config) return;
  const auto domain = parse_domain(global, text);
  if (!domain) return;
  const auto snapshot = Snapshot::build(config, std::make_shared<tls::TicketKeys>());
  if (!snapshot) return fail(global, snapshot.error().detail, 2);
  asio::io_context context{1};
  auto resolver = make_resolver(config->dns, context.get_executor());
  if (!resolver) return fail(global, resolver.error().detail, 2);
  std::optional<Discovered> found;
  asio::co_spawn(context, discover(*snapshot, **resolver, *domain),
                 [&](const std::exception_ptr &thrown, Discovered result) {
                   if (!thrown) found = std::move(result);
                   context.stop();
                 });
  const auto work = asio::make_work_guard(context);
  context.run();
  if (!found) return fail(global, "the discovery failed", 2);
  print_discovered(global, *domain, *found);
}

} // namespace

void add_sts(CLI::App &program, GlobalOptions &global) {
  auto domain = std::make_shared<std::string>();
  auto *group = program.add_subcommand("sts", "MTA-STS: what our domains publish, and the policies of others.");
  group->require_subcommand(1);
  auto *publish = group->add_subcommand(
      "publish", "Print the policy file and the DNS record of our DOMAIN, or of all that have [domain.mta_sts].");
  publish->add_option("domain", *domain, "a domain of ours");
  publish->callback([&global, domain] { run_publish(global, *domain); });
  auto *show = group->add_subcommand("show", "The kept policy of a DOMAIN.");
  show->add_option("domain", *domain, "a recipient domain")->required();
  show->callback([&global, domain] { show_policy(global, *domain); });
  group->add_subcommand("list", "All kept policies.")->callback([&global] { run_sts_list(global); });
  auto *forget = group->add_subcommand("forget", "Remove the kept policy of a DOMAIN that is damaged.");
  forget->add_option("domain", *domain, "a recipient domain")->required();
  forget->callback([&global, domain] { run_forget(global, *domain); });
  auto *fetch =
      group->add_subcommand("fetch", "Look up the record of a DOMAIN and fetch its policy now; nothing is kept.");
  fetch->add_option("domain", *domain, "a recipient domain")->required();
  fetch->callback([&global, domain] { run_fetch(global, *domain); });
}

} // namespace mta::cli
