// portcullis report: what the daily reports would say (dmarc --dry-run).
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

namespace mta::cli {

namespace {

constexpr auto destination_timeout = std::chrono::seconds(30);

void run_dmarc(GlobalOptions &global, const std::string &day_text, bool dry_run) {
  const auto day = parse_day(day_text);
  if (!day) return fail(global, fmt::format("\"{}\" is no day: write YYYY-MM-DD", day_text), 2);
  if (!dry_run) return fail(global, "the daemon sends the reports; say --dry-run to see what it would send", 2);
  const auto loaded = load_config(global.config, std::chrono::system_clock::now());
  if (!loaded.config) return fail(global, fmt::format("{} has mistakes: see portcullis check", global.config), 2);
  const DmarcDays days(tally_folder(*loaded.config));
  asio::io_context context{1};
  auto resolver = make_resolver(loaded.config->dns, context.get_executor());
  if (!resolver) return fail(global, resolver.error().detail, 2);
  Resolver *asked = resolver->get();
  DmarcReporter reporter({days,
                          [asked](std::string policy_domain, auth::DmarcUri uri) {
                            return check_report_destination(asked, destination_timeout, std::move(policy_domain),
                                                            std::move(uri));
                          },
                          [] { return std::chrono::system_clock::now(); }});
  std::optional<smtp::Result<std::string>> text;
  asio::co_spawn(context, reporter.dry_run(*day, make_report_settings(*loaded.config)),
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

} // namespace

void add_report(CLI::App &program, GlobalOptions &global) {
  struct Arguments {
    std::string day;
    bool dry_run = false;
  };
  auto arguments = std::make_shared<Arguments>();
  auto *group = program.add_subcommand("report", "Show the reports that are sent to the owners of other domains.");
  group->require_subcommand(1);
  auto *dmarc = group->add_subcommand("dmarc", "The DMARC aggregate reports of a UTC day, as they would be sent.");
  dmarc->add_option("--day", arguments->day, "the UTC day, YYYY-MM-DD")->required();
  dmarc->add_flag("--dry-run", arguments->dry_run, "print them, send nothing");
  dmarc->callback([&global, arguments] { run_dmarc(global, arguments->day, arguments->dry_run); });
}

} // namespace mta::cli
