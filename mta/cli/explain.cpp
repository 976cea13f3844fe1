// portcullis explain: what would happen to mail for a domain or mailbox and why; or what was decided for a message.
#include <cstdio>
#include <memory>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/cli/command.hpp"
#include "mta/cli/explain_sources.hpp"
#include "mta/cli/files.hpp"
#include "mta/config/load.hpp"
#include "mta/control/client.hpp"
#include "mta/log/printable.hpp"
#include "mta/outbound/decision_text.hpp"
#include "mta/outbound/explain.hpp"
#include "mta/report/report_settings.hpp"
#include "mta/spool/spool.hpp"
#include "mta/tally/decision_log.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;

constexpr std::size_t explain_zone_limit = std::size_t{64} * 1024 * 1024;

struct ExplainArguments {
  std::string subject;
  std::string message;
  std::string dns_file;
  std::string sts_folder;
  std::string wish;
  bool offline = false;
  bool probe = false;
};

std::optional<policy::Wish> parse_wish(const std::string &word) {
  for (const auto wish : {policy::Wish::none, policy::Wish::require_tls, policy::Wish::tls_optional,
                          policy::Wish::tls_optional_outside, policy::Wish::report})
    if (word == policy::to_string(wish)) return wish;
  return std::nullopt;
}

std::optional<Explanation> run_explain(std::shared_ptr<const Snapshot> snapshot, PolicySources sources,
                                       asio::io_context &context, const std::string &subject, MessageWish wish) {
  std::optional<Explanation> explanation;
  asio::co_spawn(context, explain(std::move(snapshot), std::move(sources), subject, std::move(wish)),
                 [&](const std::exception_ptr &thrown, Explanation result) {
                   if (!thrown) explanation = std::move(result);
                   context.stop();
                 });
  const auto work = asio::make_work_guard(context);
  context.run();
  return explanation;
}

void print(const GlobalOptions &global, const Explanation &explanation) {
  std::printf("%s\n", (global.json ? format_json(explanation) : format_text(explanation)).c_str());
}

/// Asks the configuration file here; the DNS and the policy hosts, or the files that stand for them.
void explain_offline(GlobalOptions &global, const ExplainArguments &arguments, MessageWish wish) {
  const auto config = load_for_tool(global);
  if (!config) return;
  const auto snapshot = Snapshot::build(config, std::make_shared<tls::TicketKeys>());
  if (!snapshot) return fail(global, snapshot.error().detail, 2);
  asio::io_context context{1};
  std::unique_ptr<Resolver> resolver;
  if (arguments.dns_file.empty()) {
    auto made = make_resolver(config->dns, context.get_executor());
    if (!made) return fail(global, made.error().detail, 2);
    resolver = std::move(*made);
  } else {
    const auto text = read_input(arguments.dns_file, explain_zone_limit);
    if (!text) return fail(global, text.error().detail, 2);
    auto zone = Zone::parse(*text);
    if (!zone) return fail(global, fmt::format("{}: {}", arguments.dns_file, zone.error().detail), 2);
    resolver = std::make_unique<ZoneResolver>(std::move(*zone));
  }
  std::unique_ptr<StsPolicies> sts;
  if (!arguments.sts_folder.empty() || !arguments.dns_file.empty())
    sts = std::make_unique<PolicyFolder>(*resolver, arguments.sts_folder); // with a zone file nothing leaves this host
  else
    sts = std::make_unique<FetchedPolicies>(*snapshot, *resolver);
  const auto explanation =
      run_explain(*snapshot, {*resolver, sts.get(), nullptr, {}}, context, arguments.subject, std::move(wish));
  if (!explanation) return fail(global, "the explanation failed", 2);
  print(global, *explanation);
}

std::string verdict_word(const std::optional<policy::VerdictKind> &verdict) {
  return verdict ? policy::to_string(*verdict) : "not_judged";
}

json::object to_json(const RecordedDecision &recorded) {
  const DecisionNote &note = recorded.note;
  json::object object{{"time", format_utc(note.time)},
                      {"domain", note.domain},
                      {"host", note.host},
                      {"address", note.address},
                      {"verdict", verdict_word(note.verdict)},
                      {"reason", note.reason},
                      {"result", note.result},
                      {"reply", note.reply},
                      {"certificate", note.certificate},
                      {"chain_digest", note.chain_digest},
                      {"observed_verdict", nullptr},
                      {"decision", nullptr}};
  if (note.observed) {
    object["observed_verdict"] = policy::to_string(*note.observed);
    object["observed_reason"] = note.observed_reason;
  }
  boost::system::error_code error;
  if (auto decision = json::parse(recorded.decision, error); !error) object["decision"] = std::move(decision);
  return object;
}

std::string list_at(const json::object &object, std::string_view key) {
  std::string text;
  if (const auto *values = object.if_contains(key); values != nullptr && values->is_array())
    for (const auto &value : values->get_array())
      if (value.is_string()) text += (text.empty() ? "" : ", ") + std::string(value.get_string());
  return text;
}

void append_demand(std::string &text, const char *title, const json::object &requirement) {
  const std::string level = text_at(requirement, "level");
  text += fmt::format("  {}: {} (profile {}) by {}\n", title, level, text_at(requirement, "profile"),
                      text_at(requirement, "rule"));
  const bool and_certificate = flag_at(requirement, "and_certificate");
  if (and_certificate) text += "    the certificate counts as well as the TLSA records\n";
  if (level == "authenticated" || and_certificate)
    text += fmt::format("    names compared: {}\n", list_at(requirement, "references"));
  else if (level == "dane")
    text += fmt::format("    names compared, with usage 2: {}\n", list_at(requirement, "dane_names"));
  const auto *also = requirement.if_contains("also");
  if (also == nullptr || !also->is_array()) return;
  for (const auto &demand : also->get_array())
    if (demand.is_object())
      text += fmt::format("    and as {} wants it, names compared: {}\n", text_at(demand.get_object(), "rule"),
                          list_at(demand.get_object(), "references"));
}

void append_dane(std::string &text, const json::object &dane) {
  text += fmt::format("  DANE: {}", text_at(dane, "state"));
  if (const auto base = text_at(dane, "base_domain"); !base.empty()) text += " at " + base;
  if (const auto detail = text_at(dane, "detail"); !detail.empty()) text += fmt::format(" ({})", detail);
  text += '\n';
  if (const auto *records = dane.if_contains("records"); records != nullptr && records->is_array())
    for (const auto &record : records->get_array())
      if (record.is_string()) text += fmt::format("    TLSA {}\n", std::string_view(record.get_string()));
}

void append_decision(std::string &text, const json::object &object) {
  append_demand(text, "TLS", object.at("requirement").as_object());
  if (const auto *observed = object.if_contains("observed"); observed != nullptr && observed->is_object())
    append_demand(text, "observed, not enforced", observed->get_object());
  if (object.at("unusable").is_object())
    text += fmt::format("  host not used, by {}: {}\n", text_at(object.at("unusable").as_object(), "source"),
                        text_at(object.at("unusable").as_object(), "reason"));
  if (const auto *dane = object.if_contains("dane"); dane != nullptr && dane->is_object())
    append_dane(text, dane->get_object());
  text += "  sources:\n";
  for (const auto &reason : object.at("reasons").as_array()) {
    const auto &row = reason.as_object();
    text += fmt::format("    {} {}: {} ({})\n", flag_at(row, "won") ? "*" : " ", text_at(row, "source"),
                        text_at(row, "said"), text_at(row, "rule"));
  }
}

std::string to_text(const RecordedDecision &recorded) {
  const DecisionNote &note = recorded.note;
  const std::string host = note.host.empty()      ? "(no host)"
                           : note.address.empty() ? note.host
                                                  : fmt::format("{}[{}]", note.host, note.address);
  std::string text = fmt::format("{} {} by {}: {}\n", format_utc(note.time), note.domain, host, note.result);
  text += fmt::format("  verdict: {}{}\n", note.verdict ? policy::to_string(*note.verdict) : "not judged",
                      note.reason.empty() ? "" : " (" + note.reason + ")");
  if (!note.reply.empty()) text += fmt::format("  reply: {}\n", note.reply);
  if (!note.certificate.empty()) text += fmt::format("  certificate: {}\n", note.certificate);
  if (!note.chain_digest.empty()) text += fmt::format("  chain: {}\n", note.chain_digest);
  if (note.observed)
    text += fmt::format("  the observing rule: {}{}\n", verdict_word(note.observed),
                        note.observed_reason.empty() ? "" : " (" + note.observed_reason + ")");
  boost::system::error_code error;
  const auto decision = json::parse(recorded.decision, error);
  if (!recorded.has_decision)
    text += "  no decision was made\n";
  else if (error || !decision.is_object())
    text += "  the decision is not kept\n";
  else
    append_decision(text, decision.get_object());
  return printable_lines(text); // replies, names and details are what strangers wrote
}

/// The message in the queue of the daemon, when one answers and has it.
std::optional<json::object> find_waiting(const std::string &socket, const std::string &id) {
  const json::object request{{"command", "queue"}, {"action", "show"}, {"id", id}};
  const auto answer = call_daemon(socket, request);
  if (!answer || !flag_at(*answer, "ok")) return std::nullopt;
  const auto *messages = answer->if_contains("messages");
  if (messages == nullptr || !messages->is_array() || messages->get_array().empty()) return std::nullopt;
  return messages->get_array().front().as_object();
}

/// A message behind a destination that is dead has no attempt of its own: what it waits for is said here.
void print_waiting(const json::object &message) {
  std::printf("it waits in the queue%s\n",
              flag_at(message, "held") ? fmt::format(", HELD: {}", text_at(message, "hold_reason")).c_str() : "");
  for (const auto &entry : message.at("recipients").as_array()) {
    const json::object &row = entry.as_object();
    const std::string next = text_at(row, "next_attempt");
    std::printf("  %s: %s, %lld attempts of its own%s\n", text_at(row, "address").c_str(),
                text_at(row, "status").c_str(), static_cast<long long>(number_at(row, "attempts")),
                next.empty() ? "" : (", next " + next).c_str());
    if (const std::string reason = text_at(row, "reason"); !reason.empty())
      std::printf("    %s: %s\n", text_at(row, "cause").c_str(), reason.c_str());
  }
}

/// What was recorded of each attempt, from the files of the daemon's tally.
void explain_message(GlobalOptions &global, const std::string &text) {
  const auto id = QueueId::parse(text);
  if (!id) return fail(global, fmt::format("\"{}\" is not a queue id", text), 2);
  const DaemonPlaces places = find_places(global);
  const auto found = find_decisions(decision_files(tally_folder(places.spool)), id->value);
  if (!found) return fail(global, found.error().detail, 2);
  const auto waiting = find_waiting(places.socket, text);
  if (found->empty() && !waiting)
    return fail(
        global,
        fmt::format("nothing is recorded of {}: no attempt was made, or it was in the last second or longer ago than "
                    "tls_evidence.keep_days{}",
                    text, places.config ? fmt::format(", {} days", places.config->tls_evidence.keep_days) : ""),
        1);
  if (global.json) {
    json::array attempts;
    for (const auto &recorded : *found) attempts.push_back(to_json(recorded));
    json::object answer{{"ok", true}, {"id", text}, {"attempts", std::move(attempts)}};
    if (waiting) answer["waiting"] = *waiting;
    return print_json(std::move(answer));
  }
  if (waiting) print_waiting(*waiting);
  for (const auto &recorded : *found) std::printf("%s", to_text(recorded).c_str());
}

void ask_daemon(GlobalOptions &global, const ExplainArguments &arguments) {
  json::object request;
  request["command"] = "explain";
  request["subject"] = arguments.subject;
  request["wish"] = arguments.wish;
  request["probe"] = arguments.probe;
  const auto answer = ask(global, request);
  if (!answer) return;
  if (global.json)
    print_json(answer->at("explanation").as_object());
  else
    std::printf("%s\n", lines_at(*answer, "text").c_str());
}

} // namespace

void add_explain(CLI::App &program, GlobalOptions &global) {
  auto arguments = std::make_shared<ExplainArguments>();
  arguments->wish = policy::to_string(policy::Wish::none);
  auto *command = program.add_subcommand(
      "explain",
      "Tell what would happen to mail for a DOMAIN or MAILBOX now: its hosts, every source of TLS policy with its "
      "evidence, the TLS that is demanded and which rule says so, and what its own mail to us must show. Asks the "
      "daemon; with --offline the configuration file. With --message: what was decided for a message at each attempt.");
  auto *subject = command->add_option("subject", arguments->subject, "a domain, or a mailbox");
  command->add_option("--message", arguments->message, "a queue id: what was decided for it, and why")
      ->excludes(subject);
  command->add_flag("--offline", arguments->offline, "read the configuration file instead of asking the daemon");
  command->add_flag(
      "--probe", arguments->probe,
      "also connect to every host as a delivery would, as far as the judgement of its TLS; asks the daemon");
  command->add_option("--dns-file", arguments->dns_file,
                      "DNS answers from this JSON file, with their DNSSEC state; implies --offline, and no network");
  command->add_option("--sts-dir", arguments->sts_folder,
                      "MTA-STS policies from this folder: a file mta-sts.DOMAIN each; implies --offline");
  command->add_option(
      "--wish", arguments->wish,
      "what the message itself asks for: none, requiretls, tls-required-no, tls-required-no-outside (of a "
      "stranger's message) or report");
  command->callback([&global, arguments] {
    if (!arguments->message.empty()) return explain_message(global, arguments->message);
    if (arguments->subject.empty()) return fail(global, "explain needs a domain, a mailbox, or --message ID", 2);
    const auto wish = parse_wish(arguments->wish);
    if (!wish)
      return fail(global,
                  fmt::format("--wish is none, {}, {}, {} or {}", policy::to_string(policy::Wish::require_tls),
                              policy::to_string(policy::Wish::tls_optional),
                              policy::to_string(policy::Wish::tls_optional_outside),
                              policy::to_string(policy::Wish::report)),
                  2);
    if (const auto subject_read = parse_subject(arguments->subject); !subject_read)
      return fail(global, subject_read.error().detail, 2);
    const bool offline = arguments->offline || !arguments->dns_file.empty() || !arguments->sts_folder.empty();
    if (offline && arguments->probe) return fail(global, "--probe is the daemon's to do: leave --offline away", 2);
    if (offline) return explain_offline(global, *arguments, {.wish = *wish, .override_ = {}});
    ask_daemon(global, *arguments);
  });
}

} // namespace mta::cli
