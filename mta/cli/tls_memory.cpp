// portcullis tls-memory: what the daemon remembers of the TLS of other domains, and the release of mail that waits.
#include <cstdio>
#include <memory>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/cli/command.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;

struct TlsMemoryArguments {
  std::string domain;
  std::string reason;
  std::string by;
  std::size_t limit = 0;
  bool failing = false;
};

std::string or_never(const json::object &object, std::string_view key) {
  const std::string text = text_at(object, key);
  return text.empty() ? "never" : text;
}

void print_line(const json::object &memory) {
  std::string state = flag_at(memory, "always") ? "always TLS" : "not always TLS";
  if (const auto since = text_at(memory, "failing_since"); !since.empty())
    state = fmt::format("{} without TLS since {}: {}", flag_at(memory, "held") ? "MAIL WAITS," : "", since,
                        text_at(memory, "why"));
  std::printf("%s  %s%s, last %s  %s\n", text_at(memory, "domain").c_str(), text_at(memory, "best").c_str(),
              flag_at(memory, "authenticated") ? " authenticated" : "", or_never(memory, "last_tls").c_str(),
              state.c_str());
}

void print_memory(const json::object &memory) {
  print_line(memory);
  std::printf("  TLS since %s, last session without %s\n", or_never(memory, "first_tls").c_str(),
              or_never(memory, "last_clear").c_str());
  if (const auto rule = text_at(memory, "rule"); !rule.empty())
    std::printf("  %s by %s\n", flag_at(memory, "protected") ? "protected" : "released", rule.c_str());
  if (const auto *release = memory.if_contains("release"); release && release->is_object())
    std::printf("  released at %s by %s: %s\n", text_at(release->get_object(), "when").c_str(),
                text_at(release->get_object(), "by").c_str(), text_at(release->get_object(), "reason").c_str());
  if (const auto *hosts = memory.if_contains("hosts"); hosts && hosts->is_array())
    for (const auto &entry : hosts->get_array()) {
      const auto &host = entry.as_object();
      const auto best = text_at(host, "best");
      std::printf("  host %s: %s%s, last with TLS %s, without %s\n", text_at(host, "host").c_str(),
                  best.empty() ? "never TLS" : best.c_str(), flag_at(host, "authenticated") ? " authenticated" : "",
                  or_never(host, "last_tls").c_str(), or_never(host, "last_clear").c_str());
    }
}

void run(GlobalOptions &global, const std::string &action, const TlsMemoryArguments &arguments) {
  json::object request;
  request["command"] = "tls-memory";
  request["action"] = action;
  if (!arguments.domain.empty()) request["domain"] = arguments.domain;
  if (!arguments.reason.empty()) request["reason"] = arguments.reason;
  if (!arguments.by.empty()) request["by"] = arguments.by;
  if (arguments.limit != 0) request["limit"] = arguments.limit;
  if (arguments.failing) request["failing"] = true;
  const auto answer = ask(global, request);
  if (!answer) return;
  if (global.json) return print_json(*answer);
  if (action == "accept-loss") {
    std::printf("accepted: what was lost protects no more\n");
    return;
  }
  if (action != "list") return print_memory(answer->at("memory").as_object());
  const auto &domains = answer->at("domains").as_array();
  for (const auto &entry : domains) print_line(entry.as_object());
  std::printf("%zu of %lld remembered domains shown\n", domains.size(),
              static_cast<long long>(number_at(*answer, "total")));
}

} // namespace

void add_tls_memory(CLI::App &program, GlobalOptions &global) {
  auto *group = program.add_subcommand(
      "tls-memory",
      "What the daemon remembers of the TLS of the domains that we send to; release mail that waits for its return.");
  group->require_subcommand(1);
  auto arguments = std::make_shared<TlsMemoryArguments>();
  auto *list = group->add_subcommand("list", "List the domains, those that lost TLS first.");
  list->add_flag("--failing", arguments->failing, "only those that lost TLS");
  list->add_option("--limit", arguments->limit, "show at most so many domains");
  list->callback([&global, arguments] { run(global, "list", *arguments); });
  auto *show = group->add_subcommand("show", "Show one domain with its hosts.");
  show->add_option("domain", arguments->domain, "the domain")->required();
  show->callback([&global, arguments] { run(global, "show", *arguments); });
  auto *release = group->add_subcommand(
      "release", "Let mail for a domain that lost TLS leave without it, until TLS comes back. Kept and logged.");
  release->add_option("domain", arguments->domain, "the domain")->required();
  release->add_option("--reason", arguments->reason, "why it may")->required();
  release->add_option("--by", arguments->by, "who answers for it")->required();
  release->callback([&global, arguments] { run(global, "release", *arguments); });
  auto *accept = group->add_subcommand(
      "accept-loss", "After damage: mail for protected domains that are not remembered waits no longer. Logged.");
  accept->add_option("--reason", arguments->reason, "why it may")->required();
  accept->add_option("--by", arguments->by, "who answers for it")->required();
  accept->callback([&global, arguments] { run(global, "accept-loss", *arguments); });
}

} // namespace mta::cli
