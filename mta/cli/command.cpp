#include "mta/cli/command.hpp"

#include <cstdio>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/config/last_good.hpp"
#include "mta/config/load.hpp"
#include "mta/config/start_facts.hpp"
#include "mta/control/client.hpp"
#include "mta/log/printable.hpp"
#include "smtp/base/text.hpp"

namespace mta::cli {

namespace json = boost::json;

void print_json(json::object object) {
  make_utf8(object);
  std::printf("%s\n", json::serialize(object).c_str());
}

void fail(GlobalOptions &global, std::string_view text, int status) {
  global.status = status;
  if (global.json) {
    json::object answer;
    answer["ok"] = false;
    answer["error"] = text;
    print_json(answer);
  } else {
    std::fprintf(stderr, "portcullis: %s\n", printable_lines(text).c_str());
  }
}

int run(CLI::App &program, GlobalOptions &global, int count, const char *const *arguments) {
  constexpr int not_asked = 2;
  try {
    program.parse(count, arguments);
  } catch (const CLI::ParseError &error) {
    return program.exit(error) == 0 ? 0 : not_asked;
  } catch (const std::exception &error) {
    fail(global, error.what(), not_asked);
  }
  return global.status;
}

std::shared_ptr<const Config> load_or_last_good(const GlobalOptions &global) {
  const auto now = std::chrono::system_clock::now();
  const auto loaded = load_config(global.config, now);
  if (loaded.config) return loaded.config;
  const auto facts = read_start_facts(global.config);
  const auto kept = KeptFiles::open(last_good_folder(facts.spool_path), absolute_config_path(global.config));
  if (!kept) return nullptr;
  auto good = load_config(global.config, now, **kept);
  if (good.config && !global.json)
    std::fprintf(stderr,
                 "portcullis: %s has mistakes (see portcullis check): this is by the last good configuration, of %s\n",
                 printable(global.config).c_str(), printable((*kept)->saved()).c_str());
  return good.config;
}

std::shared_ptr<const Config> load_for_tool(GlobalOptions &global) {
  if (auto config = load_or_last_good(global)) return config;
  fail(global, fmt::format("{} has mistakes: see portcullis check", global.config), 2);
  return nullptr;
}

DaemonPlaces find_places(const GlobalOptions &global) {
  DaemonPlaces places;
  places.config = load_or_last_good(global);
  if (places.config) {
    places.socket = places.config->control.socket;
    places.spool = places.config->spool.path;
    places.log_file = places.config->log.file;
  } else {
    if (!global.json)
      std::fprintf(stderr,
                   "portcullis: %s cannot be read as a whole (see portcullis check): only [control], [spool] and [log] "
                   "are used\n",
                   printable(global.config).c_str());
    const auto facts = read_start_facts(global.config);
    places.socket = facts.control.socket;
    places.spool = facts.spool_path;
    places.log_file = facts.log_file;
  }
  if (!global.socket.empty()) places.socket = global.socket;
  return places;
}

std::optional<json::object> ask(GlobalOptions &global, const json::object &request) {
  std::string socket = global.socket;
  if (socket.empty()) {
    // [control] alone: whatever else is wrong with the configuration, the daemon that runs can be talked to.
    socket = read_start_facts(global.config).control.socket;
  }
  auto answer = call_daemon(socket, request);
  if (!answer) {
    fail(global, answer.error().detail, 2);
    return std::nullopt;
  }
  if (!flag_at(*answer, "ok")) {
    global.status = 1;
    if (global.json) {
      print_json(*answer);
    } else {
      std::fprintf(stderr, "portcullis: %s\n", text_at(*answer, "error").c_str());
      if (const auto *findings = answer->if_contains("findings"); findings && findings->is_array())
        for (const auto &finding : findings->get_array())
          std::fprintf(stderr, "  %s\n", printable(json::value_to<std::string>(finding)).c_str());
    }
    return std::nullopt;
  }
  return std::move(*answer);
}

std::optional<std::chrono::seconds> parse_age(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t unit = 1;
  switch (text.back()) {
  case 's': unit = 1; break;
  case 'm': unit = 60; break;
  case 'h': unit = 3600; break;
  case 'd': unit = 86400; break;
  default: return std::nullopt;
  }
  const auto number = smtp::parse_number(text.substr(0, text.size() - 1));
  if (!number || *number > 100'000'000) return std::nullopt;
  return std::chrono::seconds(*number * unit);
}

std::string format_age(std::chrono::seconds age) {
  const auto seconds = age.count();
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m", seconds / 60);
  if (seconds < 86400) return fmt::format("{}h {}m", seconds / 3600, seconds % 3600 / 60);
  return fmt::format("{}d {}h", seconds / 86400, seconds % 86400 / 3600);
}

std::string format_octets(std::uint64_t octets) {
  if (octets < 1024) return fmt::format("{} B", octets);
  const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(octets);
  std::size_t unit = 0;
  for (value /= 1024; value >= 1024 && unit < 3; ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string text_at(const json::object &object, std::string_view key) {
  const auto *value = object.if_contains(key);
  return value && value->is_string() ? printable(std::string_view(value->get_string())) : std::string();
}

std::string lines_at(const json::object &object, std::string_view key) {
  const auto *value = object.if_contains(key);
  return value && value->is_string() ? printable_lines(std::string_view(value->get_string())) : std::string();
}

std::int64_t number_at(const json::object &object, std::string_view key) {
  const auto *value = object.if_contains(key);
  if (!value) return 0;
  boost::system::error_code error;
  const auto number = value->to_number<std::int64_t>(error);
  return error ? 0 : number;
}

bool flag_at(const json::object &object, std::string_view key) {
  const auto *value = object.if_contains(key);
  return value && value->is_bool() && value->get_bool();
}

} // namespace mta::cli
