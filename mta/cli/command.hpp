// What the operator's commands share: global options, calling the daemon, printing its answer, units on the command
// line.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <CLI/App.hpp>
#include <boost/json/object.hpp>

#include "mta/config/config.hpp"

namespace mta::cli {

/// Options before or behind every command.
struct GlobalOptions {
  std::string config = "/etc/portcullis/portcullis.toml";
  std::string socket; ///< empty: control.socket of the configuration
  bool json = false;
  int status =
      0; ///< exit status that the command chose: 0 done, 1 the daemon or the check said no, 2 it could not be asked
};

/// Each adds its command (with subcommands) to the program.
void add_check(CLI::App &program, GlobalOptions &global);
void add_explain(CLI::App &program, GlobalOptions &global);
void add_queue(CLI::App &program, GlobalOptions &global);
void add_queue_unreadable(CLI::App &queue, GlobalOptions &global);
void add_daemon_commands(CLI::App &program, GlobalOptions &global); ///< status, metrics, reload, drain
void add_certificate(CLI::App &program, GlobalOptions &global);
void add_auth(CLI::App &program, GlobalOptions &global);
void add_dkim(CLI::App &program, GlobalOptions &global);
void add_report(CLI::App &program, GlobalOptions &global);
void add_partner(CLI::App &program, GlobalOptions &global); ///< partner, simulate
void add_tls_memory(CLI::App &program, GlobalOptions &global);
void add_sts(CLI::App &program, GlobalOptions &global);
void add_crl(CLI::App &program, GlobalOptions &global);
void add_reports(CLI::App &program, GlobalOptions &global);
void add_trace(CLI::App &program, GlobalOptions &global);

/// Parses the arguments and so runs the command. Gives the exit status: 2 for arguments that are wrong (CLI11 has a
/// number of its own for each mistake) and for a command that threw; 0 for --help and --version; else what the command
/// chose.
[[nodiscard]] int run(CLI::App &program, GlobalOptions &global, int count, const char *const *arguments);

/// Sends the request; prints an error and sets the status when it fails. Nothing: no answer, or the answer was no
/// (already printed, as JSON when that was asked for).
[[nodiscard]] std::optional<boost::json::object> ask(GlobalOptions &global, const boost::json::object &request);

/// The configuration for a command that reads it; where the files are wrong the last good one, which is said. Null:
/// neither can be had, which is printed.
[[nodiscard]] std::shared_ptr<const Config> load_for_tool(GlobalOptions &global);

/// The same without an end: null where neither can be had, which is not said. For commands that have use for less.
[[nodiscard]] std::shared_ptr<const Config> load_or_last_good(const GlobalOptions &global);

/// Where the daemon's things are, also when the files are wrong: then as the last good configuration says, or as those
/// few keys do that can be read (read_start_facts).
struct DaemonPlaces {
  std::shared_ptr<const Config> config; ///< null: the files are wrong, and the last good ones cannot be had
  std::string socket;                   ///< --socket, or control.socket
  std::string spool;
  std::string log_file;
};
[[nodiscard]] DaemonPlaces find_places(const GlobalOptions &global);

/// Prints "portcullis: TEXT" to standard error (or {"ok":false,"error":TEXT} to standard output with --json).
void fail(GlobalOptions &global, std::string_view text, int status);
/// Strings that strangers wrote are made UTF-8, so that the line is JSON.
void print_json(boost::json::object object);

/// "90s", "15m", "2h", "3d".
[[nodiscard]] std::optional<std::chrono::seconds> parse_age(std::string_view text);
/// "1d 2h", "15m", "42s".
[[nodiscard]] std::string format_age(std::chrono::seconds age);
/// "1.5 MiB".
[[nodiscard]] std::string format_octets(std::uint64_t octets);

/// The members of answers, whose shape the daemon of the same version guarantees; missing ones read as empty or 0.
/// Texts are printable(): what a stranger wrote does nothing to a terminal.
[[nodiscard]] std::string text_at(const boost::json::object &object, std::string_view key);
/// Of several lines.
[[nodiscard]] std::string lines_at(const boost::json::object &object, std::string_view key);
[[nodiscard]] std::int64_t number_at(const boost::json::object &object, std::string_view key);
[[nodiscard]] bool flag_at(const boost::json::object &object, std::string_view key);

} // namespace mta::cli
