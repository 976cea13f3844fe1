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
#include "mta/cli/queue_list.hpp"
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
/// Attempts from the daemon's record.
constexpr std::size_t recorded_limit = 1'000;

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
json::array find_queued(const std::string &socket, const std::string &subject) {
  json::object request{{"command", "queue"}, {"action", "list"}};
  request[QueueId::parse(subject) ? "id" : "recipient"] = subject;
  const auto answer =
      list_queue(std::move(request), 1'000, [&](const json::object &what) -> std::optional<json::object> {
        auto part = call_daemon(socket, what);
        if (!part || !flag_at(*part, "ok")) return std::nullopt;
        return std::move(*part);
      });
  if (!answer) return {};
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

/// What the daemon's own record has of a message, or of the mail of an address: each attempt with its outcome, the
/// newest first. It stands in for a log that is not there.
AddressDecisions find_recorded(const DaemonPlaces &places, const std::string &subject,
                               std::chrono::system_clock::time_point since, std::vector<std::string> &problems) {
  const DayFiles files = decision_files(tally_folder(places.spool));
  AddressDecisions found;
  if (const auto id = QueueId::parse(subject)) {
    auto all = find_decisions(files, id->value);
    if (!all) problems.push_back(all.error().detail);
    if (all)
      for (RecordedDecision &one : *all)
        if (one.note.time >= since) found.notes.push_back(std::move(one.note));
  } else if (auto of_address = find_attempts(files, subject, since, recorded_limit)) {
    found = std::move(*of_address);
  } else {
    problems.push_back(of_address.error().detail);
  }
  return found;
}

json::array describe_recorded(const std::vector<DecisionNote> &recorded) {
  json::array rows;
  for (const DecisionNote &note : recorded) {
    json::array recipients;
    for (const NotedRecipient &one : note.recipients)
      recipients.push_back(json::object{
          {"address", one.address}, {"status", one.status}, {"reply", one.reply.empty() ? note.reply : one.reply}});
    rows.push_back(json::object{{"id", QueueId{note.id}.to_string()},
                                {"time", format_time_stamp(note.time)},
                                {"sender", note.sender},
                                {"domain", note.domain},
                                {"host", note.host},
                                {"result", note.result},
                                {"reply", note.reply},
                                {"recipients", std::move(recipients)},
                                {"recipients_left_out", note.recipients_left_out}});
  }
  return rows;
}

void print_attempt(const DecisionNote &note, std::string_view whom, std::string_view status, const std::string &reply) {
  std::printf("  %s %s: %s by %s%s%s\n", format_time_stamp(note.time).c_str(), printable(whom).c_str(),
              printable(status).c_str(), note.host.empty() ? "no host" : printable(note.host).c_str(),
              reply.empty() ? "" : ": ", printable(reply).c_str());
}

void print_recorded(const AddressDecisions &recorded) {
  std::vector<std::uint64_t> ids; // in the order of their newest attempts
  for (const DecisionNote &note : recorded.notes)
    if (std::find(ids.begin(), ids.end(), note.id) == ids.end()) ids.push_back(note.id);
  for (const std::uint64_t id : ids) {
    bool first = true;
    for (const DecisionNote &note : recorded.notes) {
      if (note.id != id) continue;
      if (std::exchange(first, false))
        std::printf(
            "%s  from %s: attempts that are recorded, the newest first (portcullis explain --message tells more)\n",
            QueueId{id}.to_string().c_str(), note.sender.empty() ? "?" : printable(note.sender).c_str());
      if (note.recipients.empty()) print_attempt(note, note.domain, note.result, note.reply);
      for (const NotedRecipient &one : note.recipients)
        print_attempt(note, one.address, one.status, one.reply.empty() ? note.reply : one.reply);
      if (note.recipients_left_out > 0)
        std::printf("  … and %llu more recipients, for whom there was no room\n",
                    static_cast<unsigned long long>(note.recipients_left_out));
    }
  }
  if (recorded.is_cut)
    std::printf("there are more attempts than the limit of %zu: narrow it with --since\n", recorded_limit);
}

void trace(GlobalOptions &global, const TraceArguments &arguments) {
  const std::string subject = arguments.subject;
  if (!QueueId::parse(subject) && subject.find('@') == std::string::npos)
    return fail(global, fmt::format("\"{}\" is neither a queue id nor an address", smtp::escape(subject, 100)), 2);
  std::string since;
  std::chrono::system_clock::time_point recorded_since{};
  if (!arguments.since.empty()) {
    const auto age = parse_age(arguments.since);
    if (!age)
      return fail(global, fmt::format("--since {}: give a number with a unit, such as 2h or 3d", arguments.since), 2);
    since = time_before(*age);
    recorded_since = std::chrono::system_clock::now() - *age;
  }
  const DaemonPlaces places = find_places(global);
  std::vector<std::string> files;
  if (!arguments.logs.empty()) {
    for (const std::string &log : arguments.logs) {
      const auto found = find_log_files(log);
      if (found.empty()) return fail(global, fmt::format("there is no log file {}", smtp::escape(log)), 2);
      files.insert(files.end(), found.begin(), found.end());
    }
  } else if (!places.log_file.empty()) {
    files = find_log_files(places.log_file);
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
  const json::array queued = find_queued(places.socket, subject);
  if (files.empty())
    problems.push_back(
        places.log_file.empty()
            ? "log.file is not set: the log goes to standard error, so look there (journalctl), or name a "
              "copy with --log; the daemon's record has attempts alone, no refusals and no acts"
            : fmt::format("{}: there is no such log file", smtp::escape(places.log_file)));
  if (search.unnamed() > 0)
    problems.push_back(fmt::format("{} refusals are counted in the log (event=refused_more) without naming every "
                                   "recipient",
                                   search.unnamed()));
  const auto recorded = found.empty() ? find_recorded(places, subject, recorded_since, problems) : AddressDecisions();
  if (found.empty() && queued.empty() && recorded.notes.empty()) {
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
                       {"recorded", describe_recorded(recorded.notes)},
                       {"queued", queued},
                       {"problems", std::move(texts)}});
  }
  for (const TracedMessage &message : found) print_message(message);
  print_recorded(recorded);
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
