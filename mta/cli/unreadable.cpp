// portcullis queue unreadable: what the daemon cannot read of its spool: listed, written into files, deleted.
#include <cstdio>
#include <memory>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/cli/command.hpp"
#include "mta/cli/files.hpp"
#include "mta/spool/spool.hpp"
#include "smtp/base/base64.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;

struct UnreadableArguments {
  std::string id;
  std::string export_to;
  std::string reason;
  bool remove = false;
};

json::object request_of(const char *action, const std::string &id) {
  json::object request;
  request["command"] = "unreadable";
  request["action"] = action;
  if (!id.empty()) request["id"] = id;
  return request;
}

/// A file of what recoveries set aside, under its own name.
bool export_damaged(GlobalOptions &global, const std::string &folder, const std::string &name) {
  json::object request = request_of("read", {});
  request["file"] = name;
  std::string octets;
  for (;;) {
    request["offset"] = octets.size();
    const auto answer = ask(global, request);
    if (!answer) return false;
    const auto part = smtp::from_base64(text_at(*answer, "body"));
    if (!part || part->empty()) break;
    octets += *part;
  }
  const auto written = write_new(folder + "/" + name, octets, 0600);
  if (!written) fail(global, written.error().detail, 1);
  return written.has_value();
}

/// The daemon's word names a file here: letters, digits, '-' and '.', and not hidden.
bool is_file_name(const std::string &name) {
  return !name.empty() && name.front() != '.' &&
         name.find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-.") ==
             std::string::npos;
}

/// ID.eml (the body as it was stored, without what we put in front), ID.envelope, ID.state and ID.txt.
bool export_one(GlobalOptions &global, const std::string &folder, const std::string &id) {
  json::object request = request_of("read", id);
  std::string body;
  std::string note;
  std::optional<json::object> first;
  for (;;) {
    request["offset"] = body.size();
    auto answer = ask(global, request);
    if (!answer) return false;
    if (const auto problem = text_at(*answer, "body_problem"); !problem.empty()) note = "\nbody: " + problem;
    const auto part = smtp::from_base64(text_at(*answer, "body"));
    if (!first) first = std::move(*answer);
    if (!part || part->empty() || !note.empty()) break;
    body += *part;
  }
  const std::string base = folder + "/" + id;
  const auto write = [&](const char *suffix, const std::string &octets) {
    const auto written = write_new(base + suffix, octets, 0600);
    if (!written) fail(global, written.error().detail, 1);
    return written.has_value();
  };
  return write(".eml", body) && write(".envelope", smtp::from_base64(text_at(*first, "envelope")).value_or("")) &&
         write(".state", smtp::from_base64(text_at(*first, "update")).value_or("")) &&
         write(".txt", text_at(*first, "problem") + note + "\n");
}

void run_unreadable(GlobalOptions &global, const UnreadableArguments &arguments) {
  if (arguments.remove) {
    if (arguments.id.empty()) return fail(global, "queue unreadable --delete needs a queue id, or a file's name", 2);
    const bool is_id = QueueId::parse(arguments.id).has_value();
    json::object request = request_of("delete", is_id ? arguments.id : std::string());
    if (!is_id) request["file"] = arguments.id;
    request["reason"] = arguments.reason;
    const auto answer = ask(global, request);
    if (!answer) return;
    if (global.json) return print_json(*answer);
    std::printf("deleted\n");
    return;
  }
  const auto answer = ask(global, request_of("list", {}));
  if (!answer) return;
  std::size_t exported = 0;
  for (const auto &entry : answer->at("messages").as_array()) {
    const auto &row = entry.as_object();
    const auto id = text_at(row, "id");
    if (!arguments.id.empty() && id != arguments.id) continue;
    if (!QueueId::parse(id))
      return fail(global, "the daemon's answer holds a name that is not a queue id", 1); // it names files
    if (!arguments.export_to.empty() && !export_one(global, arguments.export_to, id)) return;
    ++exported;
    if (!global.json)
      std::printf("%s  %s  %s\n", id.c_str(),
                  format_octets(static_cast<std::uint64_t>(number_at(row, "body_size"))).c_str(),
                  text_at(row, "problem").c_str());
  }
  std::size_t files = 0;
  for (const auto &entry : answer->at("damaged").as_array()) {
    const auto &row = entry.as_object();
    const auto name = text_at(row, "file");
    if (!arguments.id.empty() && name != arguments.id) continue;
    if (!is_file_name(name)) return fail(global, "the daemon's answer holds a name that is none of a file", 1);
    if (!arguments.export_to.empty() && !export_damaged(global, arguments.export_to, name)) return;
    ++files;
    if (!global.json)
      std::printf("%s  %s  %s  %s\n", name.c_str(), text_at(row, "time").c_str(),
                  format_octets(static_cast<std::uint64_t>(number_at(row, "size"))).c_str(),
                  text_at(row, "problem").c_str());
  }
  if (!arguments.id.empty() && exported + files == 0)
    return fail(global, fmt::format("no unreadable message \"{}\" is in the spool", arguments.id), 1);
  if (global.json) return print_json(*answer);
  std::printf("%zu messages, %zu files of what recoveries set aside%s\n", exported, files,
              arguments.export_to.empty() ? "" : (" written to " + arguments.export_to).c_str());
}

} // namespace

void add_queue_unreadable(CLI::App &queue, GlobalOptions &global) {
  auto arguments = std::make_shared<UnreadableArguments>();
  auto *action = queue.add_subcommand(
      "unreadable",
      "List the messages of the spool whose envelope the daemon cannot read, and what recoveries of the spool have set "
      "aside: nobody delivers them.");
  action->add_option("id", arguments->id, "a queue id, or the name of a file that was set aside");
  auto *out = action->add_option("--export", arguments->export_to,
                                 "write each into this folder: ID.eml, ID.envelope, ID.state, and ID.txt with the "
                                 "reason; files under their names");
  auto *remove = action->add_flag("--delete", arguments->remove, "remove it for ever");
  auto *reason = action->add_option("--reason", arguments->reason, "why: it is logged with your name");
  remove->needs(reason)->excludes(out);
  action->callback([&global, arguments] { run_unreadable(global, *arguments); });
}

} // namespace mta::cli
