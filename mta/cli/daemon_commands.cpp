// portcullis status, metrics, reload and drain: the running daemon as a whole.
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "mta/cli/check_system.hpp"
#include "mta/cli/command.hpp"
#include "mta/cli/metrics.hpp"
#include "mta/config/load.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;

json::object section(const json::object &answer, std::string_view key) {
  const auto *value = answer.if_contains(key);
  return value && value->is_object() ? value->get_object() : json::object{};
}

/// Our own certificates, and those of others that end soon.
void print_certificates(const json::object &answer) {
  const auto print = [&answer](std::string_view key, const char *whose, std::string_view name, bool ending_only) {
    const auto *list = answer.if_contains(key);
    if (!list || !list->is_array()) return;
    for (const auto &entry : list->get_array()) {
      const auto &row = entry.as_object();
      const auto days = static_cast<long long>(number_at(row, "days_left"));
      if (ending_only && days > 30) continue;
      std::printf("%-14s %s %s %s (%lld days)\n", whose, text_at(row, name).c_str(),
                  days < 0 ? "HAS EXPIRED:" : "expires", text_at(row, "not_after").c_str(), days);
    }
  };
  print("certificates", "certificate", "name", false);
  print("partner_certificates", "of a partner", "host", true);
  print("route_certificates", "of a route", "host", true);
  print("authorities", "of a CA", "subject", true);
}

void print_status(const json::object &answer) {
  const auto count = [](const json::object &object, std::string_view key) {
    return static_cast<long long>(number_at(object, key));
  };
  const auto inbound = section(answer, "inbound");
  const auto queue = section(answer, "queue");
  const auto spool = section(answer, "spool");
  std::printf("%s  Portcullis %s, up %s%s\n", text_at(answer, "hostname").c_str(), text_at(answer, "version").c_str(),
              format_age(std::chrono::seconds(number_at(answer, "uptime"))).c_str(),
              flag_at(answer, "draining") ? ", DRAINING: new mail is put off" : "");
  std::printf("configuration  %s, %lld partners\n", text_at(answer, "config").c_str(), count(answer, "partners"));
  if (const auto kept = text_at(answer, "last_good"); !kept.empty())
    std::printf(
        "               WRONG: this is the last good configuration, kept at %s; see portcullis check, mend the files "
        "and reload\n",
        kept.c_str());
  print_certificates(answer);
  if (const auto *listeners = inbound.if_contains("listeners"); listeners && listeners->is_array())
    for (const auto &entry : listeners->get_array())
      std::printf("listener       %s on %s\n", text_at(entry.as_object(), "listener").c_str(),
                  text_at(entry.as_object(), "address").c_str());
  std::printf("sessions       %lld open, %lld since start\n", count(inbound, "sessions"),
              count(inbound, "sessions_total"));
  std::printf("messages       %lld accepted, %lld refused\n", count(inbound, "accepted"), count(inbound, "refused"));
  std::printf("queue          %lld messages for %lld recipients, %lld held, %lld deliveries under way\n",
              count(queue, "messages"), count(queue, "recipients"), count(queue, "held"), count(queue, "active"));
  const std::string health = flag_at(spool, "healthy") ? std::string("healthy")
                             : flag_at(spool, "writable")
                                 ? "NOT ACCEPTING, FULL, mail is put off: " + text_at(spool, "problem")
                                 : "NOT ACCEPTING, NOT HEALTHY, mail is put off: " + text_at(spool, "problem");
  std::printf("spool          %s, %lld messages in %lld segments, %s free\n", health.c_str(), count(spool, "messages"),
              count(spool, "segments"),
              format_octets(static_cast<std::uint64_t>(number_at(spool, "free_octets"))).c_str());
  if (flag_at(spool, "on_reserve"))
    std::printf(flag_at(spool, "accepting")
                    ? "               the reserve for a full disk is used up to its end; there is room again\n"
                    : "               THE DISK IS FULL: what is written goes into the reserve\n");
  if (count(spool, "unreadable") != 0)
    std::printf("               %lld messages CANNOT BE READ and wait: portcullis queue unreadable\n",
                count(spool, "unreadable"));
  if (count(spool, "damaged") != 0)
    std::printf("               %lld files with what A RECOVERY COULD NOT READ: portcullis queue unreadable\n",
                count(spool, "damaged"));
  if (const auto resources = section(inbound, "resource_refusals"); !resources.empty()) {
    std::string text;
    for (const auto &[reason, value] : resources)
      if (const auto number = number_at(resources, reason); number != 0)
        text += (text.empty() ? "" : ", ") + std::to_string(number) + " for " + std::string(reason);
    if (!text.empty()) std::printf("put off        %s\n", text.c_str());
  }
  if (const auto lost = count(section(answer, "log"), "lost_lines"); lost != 0)
    std::printf("log            %lld lines LOST\n", lost);
  if (const auto store = section(answer, "store"); !store.empty() && !flag_at(store, "healthy"))
    std::printf("store          CANNOT BE WRITTEN, %lld changes wait in memory: %s\n", count(store, "waiting"),
                text_at(store, "problem").c_str());
  if (const auto dns = section(answer, "dns"); !dns.empty()) {
    if (!flag_at(dns, "answers"))
      std::printf("DNS            THE RESOLVER DOES NOT ANSWER, mail from outside is put off: %s\n",
                  text_at(dns, "problem").c_str());
    else if (const auto silent = text_at(dns, "silent"); !silent.empty())
      std::printf("DNS            of [dns] resolvers these do not answer: %s\n", silent.c_str());
  }
  if (const auto memory = section(answer, "tls_memory"); !memory.empty())
    std::printf("TLS memory     %lld domains, %lld of them without TLS now, mail for %lld waits\n",
                count(memory, "domains"), count(memory, "without_tls"), count(memory, "held"));
}

std::optional<json::object> ask_for(GlobalOptions &global, std::string_view command) {
  json::object request;
  request["command"] = command;
  return ask(global, request);
}

/// Before a reload: what of the daemon's files this machine would not let a start do, which a reload does not notice (a
/// user that is not there, an address of another machine): a restart would end, and the last good configuration would
/// be that one. Sets the status; gives what is to be said beside the reload. What cannot be read here the daemon
/// judges.
std::vector<std::string> judge_files_of_daemon(GlobalOptions &global, bool force) {
  std::vector<std::string> notes;
  GlobalOptions quiet = global;
  const auto status = ask_for(quiet, "status");
  if (!status) {
    global.status = quiet.status;
    return notes;
  }
  const LoadedConfig loaded = load_config(text_at(*status, "config"), std::chrono::system_clock::now());
  if (!loaded.config) return notes;
  std::string errors;
  for (const Finding &finding : check_system(*loaded.config)) {
    if (finding.severity == Severity::error) errors += "\n  " + finding.to_string();
    if (finding.severity == Severity::warning && finding.file.starts_with(loaded.config->server.partners + "/"))
      notes.push_back(finding.to_string());
  }
  if (!errors.empty() && !force)
    fail(global, "not reloaded: the daemon would not start with this configuration (--force takes it for now)" + errors,
         1);
  return notes;
}

} // namespace

void add_daemon_commands(CLI::App &program, GlobalOptions &global) {
  auto *status =
      program.add_subcommand("status", "Show listeners, sessions, the queue and the spool of the running daemon.");
  status->callback([&global] {
    const auto answer = ask_for(global, "status");
    if (!answer) return;
    if (global.json)
      print_json(*answer);
    else
      print_status(*answer);
  });

  auto *metrics = program.add_subcommand(
      "metrics",
      "Print the daemon's figures, and how often each event of the log happened since the start, in the text "
      "form of Prometheus.");
  metrics->callback([&global] {
    const auto answer = ask_for(global, "status");
    if (!answer) return;
    if (global.json) return print_json(*answer);
    std::fputs(format_metrics(*answer).c_str(), stdout);
  });

  auto *reload = program.add_subcommand(
      "reload",
      "Read the configuration, partners, certificates and keys anew without dropping a session. When anything is "
      "wrong the configuration in force is kept, and the mistakes are listed.");
  auto force = std::make_shared<bool>(false);
  reload->add_flag(
      "--force", *force,
      "take a list of recipients although it is empty or lost half of its entries or more, and a configuration "
      "that this machine would not start with");
  reload->callback([&global, force] {
    const std::vector<std::string> notes = judge_files_of_daemon(global, *force);
    if (global.status != 0) return;
    json::object request;
    request["command"] = "reload";
    request["force"] = *force;
    const auto answer = ask(global, request);
    if (!answer) return;
    if (global.json) return print_json(*answer);
    std::printf("the new configuration is in force\n");
    if (const auto *findings = answer->if_contains("findings"); findings && findings->is_array())
      for (const auto &finding : findings->get_array())
        std::printf("  %s\n", json::value_to<std::string>(finding).c_str());
    for (const std::string &note : notes) std::printf("  %s\n", note.c_str());
  });

  auto off = std::make_shared<bool>(false);
  auto *drain = program.add_subcommand(
      "drain",
      "Put off new mail with 451 and go on delivering what is queued, before maintenance; --off takes mail again.");
  drain->add_flag("--off", *off, "accept mail again");
  drain->callback([&global, off] {
    json::object request;
    request["command"] = "drain";
    request["off"] = *off;
    const auto answer = ask(global, request);
    if (!answer) return;
    if (global.json)
      print_json(*answer);
    else
      print_status(*answer);
  });
}

} // namespace mta::cli
