#include "mta/config/section.hpp"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "mta/config/units.hpp"
#include "smtp/base/text.hpp"

namespace mta {

using toml_tree::Array;
using toml_tree::Entry;
using toml_tree::Table;
using toml_tree::Value;

void Findings::add(Finding finding) {
  if (finding.severity == Severity::error) errors_ = true;
  if (findings_.size() < limit)
    findings_.push_back(std::move(finding));
  else
    ++dropped_;
}

std::vector<Finding> Findings::sorted(std::string_view main_file) const {
  std::vector<Finding> result = findings_;
  std::stable_sort(result.begin(), result.end(), [main_file](const Finding &left, const Finding &right) {
    const bool left_other = left.file != main_file;
    const bool right_other = right.file != main_file;
    return std::tie(left_other, left.file, left.line) < std::tie(right_other, right.file, right.line);
  });
  if (dropped_ != 0)
    result.push_back({Severity::error, std::string(main_file), 0, "",
                      fmt::format("{} further findings are not shown; the limit is {}", dropped_, limit)});
  return result;
}

Section::Section(const Table &table, std::string file, std::string prefix, Ledger &ledger)
    : table_(&table), file_(std::move(file)), prefix_(std::move(prefix)), ledger_(&ledger) {}

std::size_t Section::line(std::string_view key) const noexcept {
  const Entry *entry = table_->find(key);
  return entry ? entry->line : table_->line;
}

std::string Section::place(std::string_view key) const {
  return fmt::format("{}:{}", file_, line(key));
}
std::string Section::place() const {
  return fmt::format("{}:{}", file_, table_->line);
}

std::string Section::dotted(std::string_view key) const {
  if (prefix_.empty()) return std::string(key);
  return key.empty() ? prefix_ : fmt::format("{}.{}", prefix_, key);
}

void Section::error_at(std::size_t at, std::string_view key, std::string message) {
  ledger_->findings.add({Severity::error, file_, at, dotted(key), std::move(message)});
}

void Section::error(std::string_view key, std::string message) {
  error_at(line(key), key, std::move(message));
}

void Section::warning(std::string_view key, std::string message) {
  ledger_->findings.add({Severity::warning, file_, line(key), dotted(key), std::move(message)});
}

void Section::require(std::string_view key, std::string_view what_for) {
  if (!ask(key)) error(key, fmt::format("is missing: {}", what_for));
}

const Entry *Section::ask(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
    known_.emplace_back(key);
    ledger_->asked.insert(dotted(key));
  }
  return table_->find(key);
}

void Section::wrong_kind(std::string_view key, const Value &value, std::string_view expected) {
  error_at(value.line, key, fmt::format("expected {}, found {}", expected, value.kind()));
}

void Section::unknown_word(std::string_view key, std::string_view word, const std::vector<std::string> &known) {
  std::string message = fmt::format("unknown word \"{}\"", smtp::escape(word, 80));
  if (const auto nearest = nearest_word(word, known); !nearest.empty())
    message += fmt::format(", did you mean \"{}\"?", nearest);
  error(key, fmt::format("{}{} known: {}", message, message.back() == '?' ? "" : ";", fmt::join(known, ", ")));
}

bool Section::take_string(std::string_view key, std::string &out) {
  const Entry *entry = ask(key);
  if (!entry) return false;
  const auto *text = std::get_if<std::string>(&entry->value.data);
  if (!text) {
    wrong_kind(key, entry->value, "a string");
    return false;
  }
  if (text->find_first_of(std::string_view("\0\r\n", 3)) != std::string::npos) {
    error(key, "must be one line without control characters");
    return false;
  }
  out = *text;
  return true;
}

std::optional<std::vector<std::pair<std::string, std::size_t>>> Section::take_strings(std::string_view key) {
  const Entry *entry = ask(key);
  if (!entry) return std::nullopt;
  const auto *array = std::get_if<Array>(&entry->value.data);
  if (!array) {
    wrong_kind(key, entry->value, "a list of strings");
    return std::nullopt;
  }
  std::vector<std::pair<std::string, std::size_t>> texts;
  for (const auto &element : *array) {
    if (const auto *text = std::get_if<std::string>(&element.data))
      texts.emplace_back(*text, element.line);
    else
      wrong_kind(key, element, "a string in the list");
  }
  return texts;
}

void Section::read(std::string_view key, std::string &out) {
  (void)take_string(key, out);
}

void Section::read(std::string_view key, bool &out) {
  const Entry *entry = ask(key);
  if (!entry) return;
  if (const auto *truth = std::get_if<bool>(&entry->value.data))
    out = *truth;
  else
    wrong_kind(key, entry->value, "true or false");
}

void Section::read(std::string_view key, double &out, double least, double most) {
  const Entry *entry = ask(key);
  if (!entry) return;
  double number = 0;
  if (const auto *fraction = std::get_if<double>(&entry->value.data))
    number = *fraction;
  else if (const auto *integer = std::get_if<std::int64_t>(&entry->value.data))
    number = static_cast<double>(*integer);
  else {
    wrong_kind(key, entry->value, "a number");
    return;
  }
  if (number >= least && number <= most)
    out = number;
  else
    error(key, fmt::format("{} is outside {} to {}", number, least, most));
}

std::optional<std::uint64_t> Section::find_count(std::string_view key, std::uint64_t least, std::uint64_t most) {
  const Entry *entry = ask(key);
  if (!entry) return std::nullopt;
  const auto *number = std::get_if<std::int64_t>(&entry->value.data);
  if (!number) {
    wrong_kind(key, entry->value, "a whole number");
    return std::nullopt;
  }
  if (*number < 0 || static_cast<std::uint64_t>(*number) < least || static_cast<std::uint64_t>(*number) > most) {
    error(key, fmt::format("{} is outside {} to {}", *number, least, most));
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(*number);
}

std::optional<std::uint64_t> Section::find_size(std::string_view key, std::uint64_t least, std::uint64_t most) {
  constexpr std::string_view expected = "a size with its unit, such as \"512B\" or \"25MiB\"";
  const Entry *entry = ask(key);
  if (!entry) return std::nullopt;
  const auto *text = std::get_if<std::string>(&entry->value.data);
  if (!text) {
    wrong_kind(key, entry->value, expected);
    return std::nullopt;
  }
  const auto size = parse_size(*text);
  if (!size) {
    error(key,
          fmt::format("expected {}, found \"{}\"; units: B, KiB, MiB, GiB, TiB", expected, smtp::escape(*text, 80)));
    return std::nullopt;
  }
  if (*size < least || *size > most) {
    error(key, fmt::format("{} is outside {} to {}", *text, format_size(least), format_size(most)));
    return std::nullopt;
  }
  return size;
}

namespace {

constexpr std::string_view expected_duration = "a duration with its unit, such as \"30s\" or \"5m\"";

/// The duration, or what is wrong with it.
smtp::Result<std::chrono::milliseconds> check_duration(const std::string &text, std::chrono::milliseconds least,
                                                       std::chrono::milliseconds most, std::chrono::milliseconds step) {
  const auto duration = parse_duration(text);
  if (!duration)
    return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("expected {}, found \"{}\"; units: ms, s, m, h, d, w",
                                                               expected_duration, smtp::escape(text, 80)));
  if (*duration < least || *duration > most)
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("{} is outside {} to {}", text, format_limit(least), format_limit(most)));
  if (duration->count() % step.count() != 0)
    return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("{} is not a whole number of seconds", text));
  return *duration;
}

} // namespace

std::optional<std::chrono::milliseconds> Section::find_duration(std::string_view key, std::chrono::milliseconds least,
                                                                std::chrono::milliseconds most,
                                                                std::chrono::milliseconds step) {
  const Entry *entry = ask(key);
  if (!entry) return std::nullopt;
  const auto *text = std::get_if<std::string>(&entry->value.data);
  if (!text) {
    wrong_kind(key, entry->value, expected_duration);
    return std::nullopt;
  }
  const auto duration = check_duration(*text, least, most, step);
  if (duration) return *duration;
  error(key, duration.error().detail);
  return std::nullopt;
}

void Section::read_durations(std::string_view key, std::vector<std::chrono::seconds> &out, std::chrono::seconds least,
                             std::chrono::seconds most) {
  read_list(key, out, [&](std::string_view text) -> smtp::Result<std::chrono::seconds> {
    const auto duration = check_duration(std::string(text), least, most, std::chrono::seconds(1));
    if (!duration) return tl::unexpected(duration.error());
    return std::chrono::duration_cast<std::chrono::seconds>(*duration);
  });
}

void Section::read_date(std::string_view key, std::optional<std::chrono::sys_days> &out) {
  const Entry *entry = ask(key);
  if (!entry) return;
  if (const auto *date = std::get_if<std::chrono::sys_days>(&entry->value.data))
    out = *date;
  else
    wrong_kind(key, entry->value, "a date without quotes, such as 2027-04-01");
}

void Section::read_strings(std::string_view key, std::vector<std::string> &out) {
  read_list(key, out, [](std::string_view text) { return smtp::Result<std::string>(std::string(text)); });
}

Section Section::section_of(std::string_view key, const Table &table) const {
  return {table, file_, dotted(key), *ledger_};
}

std::optional<Section> Section::table(std::string_view key) {
  const Entry *entry = ask(key);
  if (!entry) return std::nullopt;
  const auto *found = std::get_if<Table>(&entry->value.data);
  if (!found) {
    const auto *array = std::get_if<Array>(&entry->value.data);
    if (array && !array->empty() && std::holds_alternative<Table>(array->front().data))
      error(key, fmt::format("there is only one: write [{0}], not [[{0}]]", dotted(key)));
    else
      wrong_kind(key, entry->value, fmt::format("a table [{}]", dotted(key)));
    return std::nullopt;
  }
  return section_of(key, *found);
}

std::vector<Section> Section::tables(std::string_view key) {
  std::vector<Section> sections;
  const Entry *entry = ask(key);
  if (!entry) return sections;
  const auto *array = std::get_if<Array>(&entry->value.data);
  if (!array) {
    if (std::holds_alternative<Table>(entry->value.data))
      error(key, fmt::format("there may be several: write [[{0}]], not [{0}]", dotted(key)));
    else
      wrong_kind(key, entry->value, fmt::format("tables [[{}]]", dotted(key)));
    return sections;
  }
  for (const auto &element : *array) {
    if (const auto *found = std::get_if<Table>(&element.data))
      sections.push_back(section_of(key, *found));
    else
      wrong_kind(key, element, fmt::format("a table [[{}]]", dotted(key)));
  }
  return sections;
}

const Value *Section::value(std::string_view key) {
  const Entry *entry = ask(key);
  return entry ? &entry->value : nullptr;
}

void Section::finish() {
  for (const auto &entry : table_->entries) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    const auto nearest = nearest_word(entry.key, known_);
    const std::string shown = smtp::escape(entry.key, 80);
    std::string message = nearest.empty()
                              ? fmt::format("unknown key \"{}\"; known here: {}", shown, fmt::join(known_, ", "))
                              : fmt::format("unknown key \"{}\", did you mean \"{}\"?", shown, nearest);
    ledger_->findings.add({Severity::error, file_, entry.line, dotted(shown), std::move(message)});
  }
}

} // namespace mta
