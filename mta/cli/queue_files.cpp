// portcullis queue: the content of messages, their export to files and import from them, and standing holds.
#include "mta/cli/queue_files.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/cli/files.hpp"
#include "mta/cli/queue_list.hpp"
#include "mta/log/printable.hpp"
#include "smtp/base/base64.hpp"
#include "smtp/base/text.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;

/// Octets of a message in one request: its base64 must fit into a request line of 64 KiB.
constexpr std::size_t import_part = 45'000;
constexpr std::size_t envelope_read_limit = 256U << 20U; // what the daemon's answer may be

/// The content, part by part.
std::optional<std::string> fetch_content(GlobalOptions &global, const std::string &id, const std::string &part,
                                         const std::string &reason) {
  std::string text;
  for (;;) {
    const json::object request{{"command", "message"}, {"action", "content"}, {"id", id},
                               {"part", part},         {"reason", reason},    {"offset", text.size()}};
    const auto answer = ask(global, request);
    if (!answer) return std::nullopt;
    const auto octets = smtp::from_base64(text_at(*answer, "data"));
    if (!octets) {
      fail(global, "the daemon's answer is not base64", 2);
      return std::nullopt;
    }
    text += *octets;
    if (octets->empty() || text.size() >= static_cast<std::uint64_t>(number_at(*answer, "total"))) return text;
  }
}

/// CRLF becomes LF for a person.
std::string with_lf(const std::string &text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] != '\r' || i + 1 >= text.size() || text[i + 1] != '\n') out += text[i];
  return out;
}

struct ExportArguments {
  std::string id, domain, recipient, sender, folder, reason;
  bool held = false;
  bool all = false;
};

/// New files only, readable for their owner alone: what is in them is other people's mail.
bool write_file(GlobalOptions &global, const std::string &path, const std::string &text) {
  const auto written = write_new(path, text, 0600);
  if (!written) fail(global, written.error().detail, 2);
  return written.has_value();
}

void export_messages(GlobalOptions &global, const ExportArguments &arguments) {
  if (!arguments.all && !arguments.held && arguments.id.empty() && arguments.domain.empty() &&
      arguments.recipient.empty() && arguments.sender.empty())
    return fail(global, "this would export every message: name an id or a filter, or say --all", 2);
  json::object request{{"command", "queue"}, {"action", "list"}};
  if (!arguments.id.empty()) request["id"] = arguments.id;
  if (!arguments.domain.empty()) request["domain"] = arguments.domain;
  if (!arguments.recipient.empty()) request["recipient"] = arguments.recipient;
  if (!arguments.sender.empty()) request["sender"] = arguments.sender;
  if (arguments.held) request["held"] = true;
  const auto answer =
      list_queue(request, usual_list_limit, [&global](const json::object &what) { return ask(global, what); });
  if (!answer) return;
  std::vector<std::string> ids;
  for (const auto &entry : answer->at("messages").as_array()) ids.push_back(text_at(entry.as_object(), "id"));
  if (ids.empty()) return fail(global, "no such message is in the queue", 1);
  std::error_code error;
  std::filesystem::create_directories(arguments.folder, error);
  if (error) return fail(global, fmt::format("{}: {}", arguments.folder, error.message()), 2);
  json::array files;
  for (const std::string &id : ids) {
    const auto envelope = ask(global, {{"command", "message"}, {"action", "envelope"}, {"id", id}});
    if (!envelope) return;
    const auto content = fetch_content(global, id, "all", arguments.reason);
    if (!content) return;
    const std::string base = arguments.folder + "/" + id;
    if (!write_file(global, base + ".eml", *content)) return;
    if (!write_file(global, base + ".json", json::serialize(envelope->at("envelope")) + "\n")) return;
    files.emplace_back(base + ".eml");
    if (!global.json) std::printf("%s.eml\n", base.c_str());
  }
  const auto total = static_cast<std::size_t>(number_at(*answer, "total"));
  if (global.json) return print_json({{"ok", true}, {"files", std::move(files)}, {"total", total}});
  std::printf("%zu messages; they are still in the queue\n", ids.size());
  if (total > ids.size()) std::printf("%zu more fit: export these, delete them, and go on\n", total - ids.size());
}

/// The envelope with as many recipients as one request takes; the others are in `more`, a part for each request.
json::object first_request(const json::object &envelope, std::vector<json::array> &more) {
  const auto *all = envelope.if_contains("recipients");
  if (all == nullptr || !all->is_array()) return envelope;
  json::array part;
  json::object first = envelope;
  first["recipients"] = json::array();
  std::size_t size = json::serialize(first).size();
  std::vector<json::array> parts;
  for (const json::value &recipient : all->get_array()) {
    const std::size_t octets = json::serialize(recipient).size() + 1;
    if (!part.empty() && size + octets > import_part) {
      parts.push_back(std::exchange(part, {}));
      size = 0;
    }
    part.push_back(recipient);
    size += octets;
  }
  parts.push_back(std::move(part));
  first["recipients"] = std::move(parts.front());
  more.assign(std::make_move_iterator(parts.begin() + 1), std::make_move_iterator(parts.end()));
  return first;
}

/// The queue id that the message got, or nothing (the problem was printed).
std::optional<std::string> import_one(GlobalOptions &global, const std::string &path, const std::string &reason) {
  std::filesystem::path beside(path);
  beside.replace_extension(".json");
  const auto text = read_input(beside.string(), envelope_read_limit);
  if (!text) {
    fail(global, text.error().detail, 2);
    return std::nullopt;
  }
  boost::system::error_code error;
  const auto envelope = json::parse(*text, error);
  if (error || !envelope.is_object()) {
    fail(global, fmt::format("{} is not a JSON object", beside.string()), 2);
    return std::nullopt;
  }
  std::vector<json::array> more;
  const json::object first = first_request(envelope.get_object(), more);
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    fail(global, fmt::format("{} cannot be read", path), 2);
    return std::nullopt;
  }
  const auto begun =
      ask(global, {{"command", "message"}, {"action", "import-begin"}, {"envelope", first}, {"reason", reason}});
  if (!begun) return std::nullopt;
  const std::string token = text_at(*begun, "token");
  for (json::array &recipients : more)
    if (!ask(global, {{"command", "message"},
                      {"action", "import-recipients"},
                      {"token", token},
                      {"recipients", std::move(recipients)}}))
      return std::nullopt;
  std::string part(import_part, '\0');
  for (;;) {
    file.read(part.data(), static_cast<std::streamsize>(part.size()));
    const auto count = static_cast<std::size_t>(file.gcount());
    if (count == 0) break;
    const auto taken = ask(global, {{"command", "message"},
                                    {"action", "import-data"},
                                    {"token", token},
                                    {"data", smtp::to_base64(std::string_view(part).substr(0, count))}});
    if (!taken) return std::nullopt;
  }
  const auto ended = ask(global, {{"command", "message"}, {"action", "import-end"}, {"token", token}});
  if (!ended) return std::nullopt;
  return text_at(*ended, "id");
}

void import_messages(GlobalOptions &global, const std::vector<std::string> &paths, const std::string &reason) {
  json::array ids;
  for (const std::string &path : paths) {
    const auto id = import_one(global, path, reason);
    if (!id) return;
    ids.emplace_back(*id);
    if (!global.json) std::printf("%s  %s\n", id->c_str(), path.c_str());
  }
  if (global.json) print_json({{"ok", true}, {"ids", std::move(ids)}});
}

struct RuleArguments {
  std::string domain, recipient, sender, client, reason;
  std::uint32_t number = 0;
  bool release = false;
};

void list_rules(GlobalOptions &global) {
  const auto answer = ask(global, {{"command", "hold-rule"}, {"action", "list"}});
  if (!answer) return;
  if (global.json) return print_json(*answer);
  const auto &rules = answer->at("rules").as_array();
  for (const auto &entry : rules) {
    const auto &rule = entry.as_object();
    std::printf("%lld  since %s by %s, holds %lld messages\n", static_cast<long long>(number_at(rule, "number")),
                text_at(rule, "since").c_str(), text_at(rule, "by").c_str(),
                static_cast<long long>(number_at(rule, "messages")));
    for (const char *part : {"domain", "recipient", "sender", "client", "reason"})
      if (const auto text = text_at(rule, part); !text.empty()) std::printf("    %s: %s\n", part, text.c_str());
  }
  std::printf("%zu standing holds\n", rules.size());
}

void add_hold_rules(CLI::App &queue, GlobalOptions &global) {
  auto *rules = queue.add_subcommand(
      "hold-rule", "Standing holds: mail that fits one is held when it comes, and what waits already.");
  rules->require_subcommand(1);
  auto arguments = std::make_shared<RuleArguments>();
  auto *add = rules->add_subcommand("add", "Hold such mail from now on. All that is named must fit.");
  add->add_option("--domain", arguments->domain, "recipients in this domain (or *.domain, or * for all)");
  add->add_option("--recipient", arguments->recipient, "this recipient");
  add->add_option("--sender", arguments->sender, "this sender's mailbox or domain; <> for notifications");
  add->add_option("--client", arguments->client, "from this address or network");
  add->add_option("--reason", arguments->reason, "why: it is logged with your name, and stands in the queue's list")
      ->required();
  add->callback([&global, arguments] {
    const json::object request{{"command", "hold-rule"},      {"action", "add"},
                               {"domain", arguments->domain}, {"recipient", arguments->recipient},
                               {"sender", arguments->sender}, {"client", arguments->client},
                               {"reason", arguments->reason}};
    const auto answer = ask(global, request);
    if (!answer) return;
    if (global.json) return print_json(*answer);
    std::printf("hold-rule %lld: %lld messages that wait are held\n",
                static_cast<long long>(number_at(*answer, "number")),
                static_cast<long long>(number_at(*answer, "messages")));
  });
  auto *list = rules->add_subcommand("list", "Show the standing holds, and how much mail each holds.");
  list->callback([&global] { list_rules(global); });
  auto *remove =
      rules->add_subcommand("remove", "Take a standing hold back. What it holds stays held unless --release is said.");
  remove->add_option("number", arguments->number, "of the rule")->required();
  remove->add_flag("--release", arguments->release, "let the mail that it holds go on");
  remove->add_option("--reason", arguments->reason, "why: it is logged with your name")->required();
  remove->callback([&global, arguments] {
    const auto answer = ask(global, {{"command", "hold-rule"},
                                     {"action", "remove"},
                                     {"number", static_cast<std::int64_t>(arguments->number)},
                                     {"release", arguments->release},
                                     {"reason", arguments->reason}});
    if (!answer) return;
    if (global.json) return print_json(*answer);
    std::printf("removed: %lld messages released, %lld still held\n",
                static_cast<long long>(number_at(*answer, "messages")),
                static_cast<long long>(number_at(*answer, "still_held")));
  });
}

} // namespace

void print_content(GlobalOptions &global, const std::string &id, const std::string &part, const std::string &reason) {
  const auto text = fetch_content(global, id, part, reason);
  if (!text) return;
  if (global.json) return print_json({{"ok", true}, {"id", id}, {"content", *text}});
  std::printf("%s", printable_lines(with_lf(*text)).c_str());
}

void add_queue_files(CLI::App &queue, GlobalOptions &global) {
  auto exported = std::make_shared<ExportArguments>();
  auto *save = queue.add_subcommand(
      "export", "Write messages into a folder: ID.eml with the message, ID.json with its envelope. They stay in the "
                "queue: hold them "
                "first and delete them afterwards to move them. Demands a reason, which is logged.");
  save->add_option("folder", exported->folder, "made when it is not there; no file is overwritten")->required();
  save->add_option("--id", exported->id, "this message");
  save->add_option("--domain", exported->domain, "messages with a waiting recipient in this domain (or *.domain)");
  save->add_option("--recipient", exported->recipient, "messages that wait for this mailbox");
  save->add_option("--sender", exported->sender, "messages from this mailbox or domain; <> for notifications");
  save->add_flag("--held", exported->held, "held messages");
  save->add_flag("--all", exported->all, "every message");
  save->add_option("--reason", exported->reason, "why: it is logged with your name")->required();
  save->callback([&global, exported] { export_messages(global, *exported); });

  auto paths = std::make_shared<std::vector<std::string>>();
  auto why = std::make_shared<std::string>();
  auto *load = queue.add_subcommand(
      "import", "Take exported messages into the queue, each under a new id and with the whole time to "
                "be delivered. Demands a reason, which is logged.");
  load->add_option("files", *paths, "ID.eml files; each has its ID.json beside it")->required();
  load->add_option("--reason", *why, "why: it is logged with your name")->required();
  load->callback([&global, paths, why] { import_messages(global, *paths, *why); });
  add_hold_rules(queue, global);
}

} // namespace mta::cli
