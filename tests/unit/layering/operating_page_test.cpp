// Reads the sources against docs/operating.md: every limit says what a client hears, every alarm what to do.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "source_dir.hpp"

namespace operating_page_test {

namespace fs = std::filesystem;

std::string read_whole(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\n") - first + 1));
}

/// The product's sources, with a literal that goes on in the next line made one.
std::string all_sources() {
  static const std::string whole = [] {
    std::string text;
    for (const auto *top : {"smtp", "tls", "auth", "policy", "mta"})
      for (const auto &entry : fs::recursive_directory_iterator(fs::path(source_dir) / top))
        if (entry.path().extension() == ".hpp" || entry.path().extension() == ".cpp")
          text += read_whole(entry.path()) + '\n';
    std::string joined;
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (text[at] == '"' && (at == 0 || text[at - 1] != '\\')) {
        const auto next = text.find_first_not_of(" \t\n", at + 1);
        if (next != std::string::npos && text[next] == '"' && text.find('\n', at + 1) < next) {
          at = next;
          continue;
        }
      }
      joined += text[at];
    }
    return joined;
  }();
  return whole;
}

/// The arguments of a call, from behind its opening bracket on.
std::vector<std::string> arguments_at(const std::string &text, std::size_t at) {
  std::vector<std::string> arguments(1);
  bool quoted = false;
  for (int depth = 1; at < text.size(); ++at) {
    const char octet = text[at];
    if (quoted && octet == '\\') {
      arguments.back() += octet;
      arguments.back() += text[++at];
      continue;
    }
    if (octet == '"') quoted = !quoted;
    if (!quoted) {
      if (std::string_view("([{").find(octet) != std::string_view::npos) ++depth;
      if (std::string_view(")]}").find(octet) != std::string_view::npos && --depth == 0) break;
      if (octet == ',' && depth == 1) {
        arguments.emplace_back();
        continue;
      }
    }
    arguments.back() += octet;
  }
  for (auto &argument : arguments) argument = trim(argument);
  return arguments;
}

std::vector<std::string> literals_of(const std::string &expression) {
  std::vector<std::string> found;
  for (auto open = expression.find('"'); open != std::string::npos;) {
    const auto close = expression.find('"', open + 1);
    if (close == std::string::npos) break;
    found.push_back(expression.substr(open + 1, close - open - 1));
    open = expression.find('"', close + 1);
  }
  return found;
}

/// Where an event's name is a value: which names it has.
const std::map<std::string, std::vector<std::string>> named_elsewhere = {
    {"words.report", {"dmarc_report", "tls_report"}},
    {"words.note", {"dmarc_report_note", "tls_report_note"}},
    {"words_of(services.kind).reports", {"dmarc_reports", "tls_reports"}},
    {"words_of(services->kind).reports", {"dmarc_reports", "tls_reports"}},
    {"options_.event", {"dmarc_tally", "tlsrpt_tally"}},
    {"event", {"dmarc_report", "tls_report"}},
    {"std::string_view name", {}}, // the constructor
};

/// No level but info and debug; a value whose level is not seen here may be any.
bool is_quiet(const std::string &level) {
  return level.find("LogLevel::") != std::string::npos && level.find("warning") == std::string::npos &&
         level.find("error") == std::string::npos;
}

/// Every event that may be a warning or an error.
std::set<std::string> alarms() {
  const std::string text = all_sources();
  std::set<std::string> found;
  constexpr std::string_view call = "Event(";
  for (auto at = text.find(call); at != std::string::npos; at = text.find(call, at + 1)) {
    if (at > 0 && (std::isalnum(static_cast<unsigned char>(text[at - 1])) != 0 || text[at - 1] == '_')) continue;
    const auto arguments = arguments_at(text, at + call.size());
    if (arguments.size() < 2 || is_quiet(arguments[1])) continue;
    const auto elsewhere = named_elsewhere.find(arguments[0]);
    const auto names = elsewhere != named_elsewhere.end() ? elsewhere->second : literals_of(arguments[0]);
    EXPECT_TRUE(elsewhere != named_elsewhere.end() || !names.empty())
        << "Event(" << arguments[0] << ", " << arguments[1] << "): say in named_elsewhere which names it has";
    found.insert(names.begin(), names.end());
  }
  return found;
}

std::string operating_page() {
  return read_whole(fs::path(source_dir) / "docs" / "operating.md");
}

/// The cells of the rows of the first table below a heading.
std::vector<std::vector<std::string>> table_below(const std::string &heading) {
  const std::string page = operating_page();
  std::vector<std::vector<std::string>> rows;
  auto at = page.find("\n" + heading + "\n");
  EXPECT_NE(at, std::string::npos) << heading;
  if (at == std::string::npos) return rows;
  at = page.find("\n|", at + 1);
  while (at != std::string::npos && page.compare(at, 2, "\n|") == 0) {
    const auto end = page.find('\n', at + 1);
    const std::string line = page.substr(at + 2, end - at - 2);
    std::vector<std::string> cells;
    for (std::size_t from = 0, bar = line.find('|'); bar != std::string::npos;
         from = bar + 1, bar = line.find('|', from))
      cells.push_back(trim(std::string_view(line).substr(from, bar - from)));
    rows.push_back(std::move(cells));
    at = end;
  }
  if (rows.size() > 2) rows.erase(rows.begin(), rows.begin() + 2); // the head and the rule below it
  return rows;
}

/// What stands between backticks.
std::vector<std::string> code_spans(const std::string &cell) {
  std::vector<std::string> spans;
  for (auto open = cell.find('`'); open != std::string::npos;) {
    const auto close = cell.find('`', open + 1);
    if (close == std::string::npos) break;
    spans.push_back(cell.substr(open + 1, close - open - 1));
    open = cell.find('`', close + 1);
  }
  return spans;
}

TEST(OperatingPage, SaysOfEveryAlarmWhatToDo) {
  const auto events = alarms();
  EXPECT_GT(events.size(), 50U) << "the events were not found";
  for (const char *known : {"partner_waiting", "destination_still_dead", "dmarc_tally", "log_lost", "refused"})
    EXPECT_TRUE(events.contains(known)) << known << " was not found";
  std::set<std::string> told;
  for (const auto &row : table_below("### What each alarm asks for")) {
    ASSERT_EQ(row.size(), 3U) << row.front();
    EXPECT_FALSE(row[1].empty() || row[2].empty()) << row.front() << ": what it means, and what to do";
    for (const auto &span : code_spans(row.front())) told.insert(span);
  }
  for (const auto &event : events)
    EXPECT_TRUE(told.contains(event)) << "docs/operating.md does not say what to do at event=" << event;
}

/// The keys of [limits] that the loader reads.
std::set<std::string> limit_keys() {
  const std::string text = read_whole(fs::path(source_dir) / "mta" / "config" / "load_delivery.cpp");
  const auto begin = text.find("void load_limits(");
  const std::string loader = text.substr(begin, text.find("\n}\n", begin) - begin);
  std::set<std::string> keys;
  for (const std::string call : {"section->read", "read_networks("})
    for (auto at = loader.find(call); at != std::string::npos; at = loader.find(call, at + 1))
      if (const auto names = literals_of(loader.substr(at, loader.find(';', at) - at)); !names.empty())
        keys.insert(names.front());
  return keys;
}

/// `#key = default` of a section of the shipped file; without quotes.
std::string shipped_default(const std::string &section, const std::string &key) {
  const std::string text = read_whole(fs::path(source_dir) / "etc" / "portcullis.toml");
  const auto begin = text.find("\n" + section + "\n");
  if (begin == std::string::npos) return {};
  const auto at = text.find("\n#" + key + " = ", begin);
  if (at == std::string::npos) return {};
  std::string value = trim(std::string_view(text).substr(at, text.find('\n', at + 1) - at));
  value = value.substr(value.find('=') + 2);
  std::erase(value, '"');
  return value;
}

TEST(OperatingPage, SaysOfEveryLimitItsDefaultAndWhatAClientHears) {
  const auto keys = limit_keys();
  EXPECT_GT(keys.size(), 20U) << "the keys were not found";
  EXPECT_TRUE(keys.contains("idle_commands") && keys.contains("exempt_networks") && keys.contains("session_timeout"));
  std::map<std::string, std::vector<std::string>> rows;
  for (const auto &row : table_below("### What a client hears at each limit")) {
    ASSERT_EQ(row.size(), 5U) << row.front();
    const auto spans = code_spans(row.front());
    if (!spans.empty()) rows.emplace(spans.front(), row);
  }
  for (const auto &key : keys) {
    const auto found = rows.find("limits." + key);
    ASSERT_NE(found, rows.end()) << "docs/operating.md does not say what a client hears at limits." << key;
    EXPECT_EQ(found->second[1], shipped_default("[limits]", key)) << "the default of limits." << key;
    EXPECT_TRUE(key == "exempt_networks" || !found->second[2].empty()) << key;
  }
  for (const char *key : {"server.memory_budget", "spool.max_messages", "spool.min_free", "listener.require_tls",
                          "listener.require_client_certificate"})
    EXPECT_TRUE(rows.contains(key)) << key;
}

/// Pieces of a documented reply between what stands for values: HOST, NET, ADDRESS, N, M, "…".
std::vector<std::string> fixed_pieces(std::string text) {
  text.insert(0, 1, ' ');
  for (const std::string word : {" HOST", " NET", " ADDRESS", " N", " M"})
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
      const auto behind = at + word.size();
      if (behind < text.size() && std::isalnum(static_cast<unsigned char>(text[behind])) != 0) continue;
      text.replace(at, word.size(), "\n");
    }
  for (auto at = text.find("…"); at != std::string::npos; at = text.find("…"))
    text.replace(at, std::string("…").size(), "\n");
  for (const std::string whose : {"your address", "your network"}) // chosen by the case
    if (const auto at = text.find(whose); at != std::string::npos) text.replace(at, whose.size(), "\n");
  std::vector<std::string> pieces;
  for (std::size_t from = 0; from <= text.size();) {
    const auto end = std::min(text.find('\n', from), text.size());
    if (auto piece = trim(std::string_view(text).substr(from, end - from)); piece.size() >= 8)
      pieces.push_back(std::move(piece));
    from = end + 1;
  }
  return pieces;
}

TEST(OperatingPage, QuotesTheRepliesThatAreGiven) {
  const std::string sources = all_sources();
  std::size_t quoted = 0;
  for (const auto &row : table_below("### What a client hears at each limit")) {
    ASSERT_EQ(row.size(), 5U) << row.front();
    for (const auto &span : code_spans(row[2])) {
      if (span.size() < 12 || span[3] != ' ' || (span[0] != '4' && span[0] != '5')) continue;
      for (const auto &piece : fixed_pieces(span.substr(span.find(' ', 4) + 1))) {
        ++quoted;
        EXPECT_NE(sources.find(piece), std::string::npos) << row.front() << ": no reply says \"" << piece << '"';
      }
    }
  }
  EXPECT_GT(quoted, 30U) << "the replies were not found";
}

} // namespace operating_page_test
