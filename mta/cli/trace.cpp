// portcullis trace: what happened to a message, or to the mail of an address, from the log and what the daemon keeps.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <zlib.h>

#include "mta/cli/command.hpp"
#include "mta/cli/log_search.hpp"
#include "mta/config/load.hpp"
#include "mta/control/client.hpp"
#include "mta/log/printable.hpp"
#include "mta/log/time_stamp.hpp"
#include "mta/report/report_settings.hpp"
#include "mta/spool/spool.hpp"
#include "mta/tally/decision_log.hpp"
#include "smtp/base/text.hpp"
#include "smtp/names/mailbox.hpp"

namespace mta::cli {

namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

/// A longer line is none of ours.
constexpr std::size_t longest_log_line = 262'144;

struct TraceArguments {
  std::string subject;
  std::vector<std::string> logs;
  std::string since;
};

/// The log and what logrotate made of it ("mail.log.1", "mail.log-20261129.gz"), the oldest first.
std::vector<std::string> find_log_files(const std::string &log) {
  std::vector<std::pair<fs::file_time_type, std::string>> found;
  const fs::path path(log);
  const std::string name = path.filename();
  std::error_code error;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  for (const auto &entry : fs::directory_iterator(folder, error)) {
    const std::string other = entry.path().filename();
    const bool is_rotated = other.size() > name.size() + 1 && other.starts_with(name) &&
                            (other[name.size()] == '.' || other[name.size()] == '-');
    std::error_code ignored;
    if ((other == name || is_rotated) && entry.is_regular_file(ignored))
      found.emplace_back(entry.last_write_time(ignored), entry.path().string());
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> files;
  for (auto &one : found) files.push_back(std::move(one.second));
  return files;
}

/// Hands on each line; packed files are unpacked on the way. The problem, or nothing.
template <typename Take> std::string read_log(const std::string &path, Take take) {
  const auto close = [](gzFile file) { gzclose(file); };
  errno = 0;
  const std::unique_ptr<gzFile_s, decltype(close)> file(gzopen(path.c_str(), "rb"), close);
  if (!file) return fmt::format("{}: {}", path, std::strerror(errno));
  gzbuffer(file.get(), 262'144);
  std::string line;
  std::array<char, 65'536> part{};
  bool skipping = false;
  while (gzgets(file.get(), part.data(), static_cast<int>(part.size())) != nullptr) {
    const std::string_view text(part.data());
    const bool ends = text.ends_with('\n');
    if (!skipping) line += text;
    if (line.size() > longest_log_line) {
      line.clear();
      skipping = true;
    }
    if (!ends) continue;
    if (!std::exchange(skipping, false)) take(std::string_view(line));
    line.clear();
  }
  if (!line.empty()) take(std::string_view(line));
  int status = Z_OK;
  const char *const problem = gzerror(file.get(), &status);
  if (status != Z_OK && status != Z_STREAM_END) return fmt::format("{}: {}", path, problem);
  return {};
}

/// "2026-11-22T03:39:00": what lines are compared with as text.
std::string time_before(std::chrono::seconds age) {
  const auto time = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() - age);
  std::tm parts{};
  gmtime_r(&time, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  return text.data();
}

bool is_recent(std::string_view line, std::string_view since) {
  if (since.empty()) return true;
  const auto at = line.find("time");
  if (at == std::string_view::npos) return false;
  const auto digit = line.find_first_of("0123456789", at);
  return digit != std::string_view::npos && line.substr(digit, since.size()) >= since;
}

/// What of it waits in the queue now, when a daemon answers.
json::array find_queued(const GlobalOptions &global, const std::optional<Config> &config, const std::string &subject) {
  const std::string socket = !global.socket.empty() ? global.socket : config ? config->control.socket : std::string();
  if (socket.empty()) return {};
  json::object request{{"command", "queue"}, {"action", "list"}, {"limit", 1000}};
  request[QueueId::parse(subject) ? "id" : "recipient"] = subject;
  const auto answer = call_daemon(socket, request);
  if (!answer || !flag_at(*answer, "ok")) return {};
  const auto *messages = answer->if_contains("messages");
  return messages != nullptr && messages->is_array() ? messages->get_array() : json::array();
}

void print_queued(const json::array &queued) {
  for (const auto &entry : queued) {
    const json::object &message = entry.as_object();
    std::printf("%s  waits in the queue%s\n", text_at(message, "id").c_str(),
                flag_at(message, "held") ? (", HELD: " + text_at(message, "hold_reason")).c_str() : "");
    for (const auto &one : message.at("recipients").as_array()) {
      const json::object &row = one.as_object();
      const std::string next = text_at(row, "next_attempt");
      std::printf("  %s: %s, %lld attempts%s\n    %s: %s\n", text_at(row, "address").c_str(),
                  text_at(row, "status").c_str(), static_cast<long long>(number_at(row, "attempts")),
                  next.empty() ? "" : (", next " + next).c_str(), text_at(row, "cause").c_str(),
                  text_at(row, "reason").c_str());
    }
  }
}

void print_message(const TracedMessage &message) {
  std::printf("%s  from %s\n", message.id.empty() ? "refused" : message.id.c_str(), printable(message.sender).c_str());
  for (const auto &[address, one] : message.recipients)
    std::printf("  %s: %s %s%s%s%s\n", printable(address).c_str(), one.status.c_str(), one.time.c_str(),
                one.host.empty() ? "" : (" by " + printable(one.host)).c_str(), one.reply.empty() ? "" : ": ",
                printable(one.reply).c_str());
  for (const std::string &line : message.lines) std::printf("    %s\n", printable(line).c_str());
  if (message.cut) std::printf("    … and more lines, limit is %zu\n", LogSearch::line_limit);
}

json::object to_json(const TracedMessage &message) {
  json::array recipients, lines;
  for (const auto &[address, one] : message.recipients)
    recipients.push_back(json::object{
        {"address", address}, {"status", one.status}, {"time", one.time}, {"host", one.host}, {"reply", one.reply}});
  for (const std::string &line : message.lines) lines.emplace_back(line);
  return {{"id", message.id},
          {"sender", message.sender},
          {"recipients", std::move(recipients)},
          {"lines", std::move(lines)}};
}

/// What the daemon's own record has of a message: each attempt with its outcome. It stands in for a log that is not
/// there.
std::vector<RecordedDecision> find_recorded(const std::optional<Config> &config, const std::string &subject) {
  const auto id = QueueId::parse(subject);
  if (!id || !config) return {};
  auto found = find_decisions(decision_files(tally_folder(*config)), id->value);
  return found ? std::move(*found) : std::vector<RecordedDecision>();
}

json::array describe_recorded(const std::vector<RecordedDecision> &recorded) {
  json::array rows;
  for (const RecordedDecision &one : recorded)
    rows.push_back(json::object{{"time", format_time_stamp(one.note.time)},
                                {"domain", one.note.domain},
                                {"host", one.note.host},
                                {"result", one.note.result},
                                {"reply", one.note.reply}});
  return rows;
}

void print_recorded(const std::string &id, const std::vector<RecordedDecision> &recorded) {
  if (recorded.empty()) return;
  std::printf("%s  attempts that are recorded, the newest first (portcullis explain --message tells more)\n",
              id.c_str());
  for (const RecordedDecision &one : recorded)
    std::printf("  %s %s by %s: %s%s%s\n", format_time_stamp(one.note.time).c_str(), printable(one.note.domain).c_str(),
                one.note.host.empty() ? "no host" : printable(one.note.host).c_str(),
                printable(one.note.result).c_str(), one.note.reply.empty() ? "" : ": ",
                printable(one.note.reply).c_str());
}

void trace(GlobalOptions &global, const TraceArguments &arguments) {
  const std::string subject = arguments.subject;
  if (!QueueId::parse(subject) && subject.find('@') == std::string::npos)
    return fail(global, fmt::format("\"{}\" is neither a queue id nor an address", smtp::escape(subject, 100)), 2);
  std::string since;
  if (!arguments.since.empty()) {
    const auto age = parse_age(arguments.since);
    if (!age)
      return fail(global, fmt::format("--since {}: give a number with a unit, such as 2h or 3d", arguments.since), 2);
    since = time_before(*age);
  }
  const auto loaded = load_config(global.config, std::chrono::system_clock::now());
  const std::optional<Config> config = loaded.config ? std::optional<Config>(*loaded.config) : std::nullopt;
  std::vector<std::string> files;
  if (!arguments.logs.empty()) {
    for (const std::string &log : arguments.logs) {
      const auto found = find_log_files(log);
      if (found.empty()) return fail(global, fmt::format("there is no log file {}", smtp::escape(log)), 2);
      files.insert(files.end(), found.begin(), found.end());
    }
  } else if (config && !config->log.file.empty()) {
    files = find_log_files(config->log.file);
  }

  LogSearch search(subject);
  std::vector<std::string> problems;
  for (const bool first : {true, false})
    for (const std::string &file : files) {
      auto problem = read_log(file, [&](std::string_view line) {
        if (!is_recent(line, since)) return;
        first ? search.look(line) : search.collect(line);
      });
      if (first && !problem.empty()) problems.push_back(std::move(problem));
    }
  const auto found = search.take();
  const json::array queued = find_queued(global, config, subject);
  if (files.empty())
    problems.emplace_back(
        config ? "log.file is not set: the log goes to standard error, so look there (journalctl), or "
                 "name a copy with --log"
               : "the configuration cannot be read, so that the log file is not known: name it with --log");
  const auto recorded = found.empty() ? find_recorded(config, subject) : std::vector<RecordedDecision>();
  if (found.empty() && queued.empty() && recorded.empty()) {
    std::string text = fmt::format("nothing is known of {}", smtp::escape(subject, 300));
    for (const std::string &problem : problems) text += "; " + problem;
    return fail(global, text, 1);
  }
  if (global.json) {
    json::array messages, texts;
    for (const TracedMessage &message : found) messages.push_back(to_json(message));
    for (const std::string &problem : problems) texts.emplace_back(problem);
    return print_json({{"ok", true},
                       {"messages", std::move(messages)},
                       {"recorded", describe_recorded(recorded)},
                       {"queued", queued},
                       {"problems", std::move(texts)}});
  }
  for (const TracedMessage &message : found) print_message(message);
  print_recorded(subject, recorded);
  print_queued(queued);
  if (search.is_full())
    std::printf("there are more messages than the limit of %zu: narrow it with --since\n", LogSearch::message_limit);
  for (const std::string &problem : problems) std::fprintf(stderr, "portcullis: %s\n", printable(problem).c_str());
}

} // namespace

void add_trace(CLI::App &program, GlobalOptions &global) {
  auto arguments = std::make_shared<TraceArguments>();
  auto *command = program.add_subcommand(
      "trace",
      "Tell what happened to a message by its queue ID, or to all mail from and to an ADDRESS: what became of each "
      "recipient, and the lines of the log, from the log file and the rotated ones beside it (.gz too), and what waits "
      "in the queue.");
  command->add_option("subject", arguments->subject, "an address, or a queue id")->required();
  command->add_option("--log", arguments->logs, "this log file, with the rotated ones beside it, instead of log.file");
  command->add_option("--since", arguments->since, "only lines younger than 2h, 3d, …");
  command->callback([&global, arguments] { trace(global, *arguments); });
}

} // namespace mta::cli
