// portcullis explain: what would happen to mail for a domain or mailbox, and which rule says so.
#include <cstdio>
#include <memory>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/cli/command.hpp"
#include "mta/config/load.hpp"
#include "mta/outbound/explain.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;

/// Asks the configuration file and the DNS from here, for when no daemon runs.
void explain_offline(GlobalOptions &global, const std::string &subject) {
  const auto loaded = load_config(global.config, std::chrono::system_clock::now());
  if (!loaded.config) return fail(global, fmt::format("{} has mistakes: see portcullis check", global.config), 2);
  const auto snapshot = Snapshot::build(loaded.config, std::make_shared<tls::TicketKeys>());
  if (!snapshot) return fail(global, snapshot.error().detail, 2);
  asio::io_context context{1};
  auto resolver = make_resolver(loaded.config->dns, context.get_executor());
  if (!resolver) return fail(global, resolver.error().detail, 2);
  std::optional<Explanation> explanation;
  asio::co_spawn(context, explain(*snapshot, **resolver, subject),
                 [&](const std::exception_ptr &thrown, Explanation result) {
                   if (!thrown) explanation = std::move(result);
                   context.stop();
                 });
  const auto work = asio::make_work_guard(context);
  context.run();
  if (!explanation) return fail(global, "the explanation failed", 2);
  std::printf("%s\n", (global.json ? format_json(*explanation) : format_text(*explanation)).c_str());
}

} // namespace

void add_explain(CLI::App &program, GlobalOptions &global) {
  struct Arguments {
    std::string subject;
    bool offline = false;
  };
  auto arguments = std::make_shared<Arguments>();
  auto *command = program.add_subcommand(
      "explain", "Tell what would happen to mail for a DOMAIN or MAILBOX now: its hosts, the TLS that is demanded, which rule says "
                 "so, and what its own mail to us must show. Asks the daemon; with --offline the configuration file.");
  command->add_option("subject", arguments->subject, "a domain, or a mailbox")->required();
  command->add_flag("--offline", arguments->offline, "read the configuration file instead of asking the daemon");
  command->callback([&global, arguments] {
    if (arguments->offline) return explain_offline(global, arguments->subject);
    json::object request;
    request["command"] = "explain";
    request["subject"] = arguments->subject;
    const auto answer = ask(global, request);
    if (!answer) return;
    if (global.json)
      print_json(answer->at("explanation").as_object());
    else
      std::printf("%s\n", text_at(*answer, "text").c_str());
  });
}

} // namespace mta::cli
