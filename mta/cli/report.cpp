// portcullis report: what the daily reports would say (dmarc --dry-run, tlsrpt --dry-run).
#include <cstdio>
#include <memory>

#include <boost/asio/co_spawn.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/cli/command.hpp"
#include "mta/config/load.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/report/dmarc_reporter.hpp"
#include "mta/report/report_settings.hpp"
#include "mta/report/tls_reporter.hpp"

namespace mta::cli {

namespace {

constexpr auto destination_timeout = std::chrono::seconds(30);

/// Prints what `make`, given the configuration and a resolver, says of the day. `make` runs on this thread.
template <typename Make> void run_report(GlobalOptions &global, const std::string &day_text, bool dry_run, Make make) {
  const auto day = parse_day(day_text);
  if (!day) return fail(global, fmt::format("\"{}\" is not a day: write YYYY-MM-DD", day_text), 2);
  if (!dry_run) return fail(global, "the daemon sends the reports; say --dry-run to see what it would send", 2);
  const auto config = load_for_tool(global);
  if (!config) return;
  asio::io_context context{1};
  auto resolver = make_resolver(config->dns, context.get_executor());
  if (!resolver) return fail(global, resolver.error().detail, 2);
  std::optional<smtp::Result<std::string>> text;
  asio::co_spawn(context, make(*config, resolver->get(), *day),
                 [&](const std::exception_ptr &thrown, smtp::Result<std::string> made) {
                   if (!thrown) text = std::move(made);
                   context.stop();
                 });
  const auto work = asio::make_work_guard(context);
  context.run();
  if (!text) return fail(global, "the reports could not be made", 2);
  if (!*text) return fail(global, text->error().detail, 2);
  if (global.json) return print_json({{"ok", true}, {"day", day_text}, {"text", **text}});
  std::printf("%s\n", (*text)->c_str());
}

Task<smtp::Result<std::string>> make_dmarc(const Config &config, Resolver *resolver, UtcDay day) {
  const DmarcDays days(tally_folder(config));
  const DmarcReporter::Services services{days,
                                         [resolver](std::string policy_domain, auth::DmarcUri uri) {
                                           return check_report_destination(resolver, destination_timeout,
                                                                           std::move(policy_domain), std::move(uri));
                                         },
                                         [] { return std::chrono::system_clock::now(); }};
  DmarcReporter reporter(services);
  co_return co_await reporter.dry_run(day, make_report_settings(config));
}

Task<smtp::Result<std::string>> make_tlsrpt(const Config &config, Resolver *resolver, UtcDay day) {
  const TlsrptDays days(tally_folder(config));
  const TlsReporter::Services services{days, [resolver](std::string name) { return resolver->txt(std::move(name)); },
                                       [] { return std::chrono::system_clock::now(); }};
  const TlsReporter reporter(services);
  co_return co_await reporter.dry_run(day, make_tls_report_settings(config));
}

} // namespace

void add_report(CLI::App &program, GlobalOptions &global) {
  struct Arguments {
    std::string day;
    bool dry_run = false;
  };
  auto arguments = std::make_shared<Arguments>();
  auto *group = program.add_subcommand("report", "Show the reports that are sent to the owners of other domains.");
  group->require_subcommand(1);
  const auto add_kind = [&](const char *name, const char *what, auto make) {
    auto *command = group->add_subcommand(name, what);
    command->add_option("--day", arguments->day, "the UTC day, YYYY-MM-DD")->required();
    command->add_flag("--dry-run", arguments->dry_run, "print them, send nothing");
    command->callback([&global, arguments, make] { run_report(global, arguments->day, arguments->dry_run, make); });
  };
  add_kind("dmarc", "The DMARC aggregate reports of a UTC day, as they would be sent.", make_dmarc);
  add_kind("tlsrpt", "The SMTP TLS reports of a UTC day, as they would be sent.", make_tlsrpt);
}

} // namespace mta::cli
