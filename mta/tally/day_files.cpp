// A day has two files: `PREFIXYYYY-MM-DD.rows`, the records, and `PREFIXYYYY-MM-DD.done`,
// one mark a line: "sent REPORT CHECKSUM" or "complete CHECKSUM", the checksum in 16 hexadecimal digits.
#include "mta/tally/day_files.hpp"

#include <array>
#include <filesystem>

#include <fmt/format.h>

#include "mta/base/files.hpp"
#include "mta/tally/tally_file.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::string_view rows_ending = ".rows";
constexpr std::string_view marks_ending = ".done";
constexpr std::string_view sent_word = "sent ";
constexpr std::string_view complete_word = "complete";
/// Octets of a file of marks: some hundred thousand reports.
constexpr std::size_t longest_marks = 67'108'864;

/// Feeds the file to `take` in pieces. A file that is not there has no octets.
template <typename Take> smtp::Result<void> read_pieces(const std::string &path, Take take) {
  auto file = TallyFile::open_for_reading(path);
  if (!file && file.error().code == smtp::ErrorCode::not_found) return {};
  if (!file) return tl::unexpected(file.error());
  std::vector<char> piece(262'144);
  for (;;) {
    const auto size = file->read(piece);
    if (!size) return tl::unexpected(size.error());
    if (*size == 0) return {};
    take(std::string_view(piece.data(), *size));
  }
}

std::string mark_line(std::string_view text) {
  // The line end in front ends what a crash may have torn.
  return fmt::format("\n{} {:016x}\n", text, tally_checksum(text));
}

} // namespace

std::string format_day(UtcDay day) {
  const std::chrono::year_month_day date(day);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

std::optional<UtcDay> parse_day(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto year = smtp::parse_number(text.substr(0, 4));
  const auto month = smtp::parse_number(text.substr(5, 2));
  const auto day = smtp::parse_number(text.substr(8, 2));
  if (!year || !month || !day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return UtcDay(date);
}

std::string DayFiles::rows_file(UtcDay day) const {
  return fmt::format("{}/{}{}{}", folder_, prefix_, format_day(day), rows_ending);
}

std::string DayFiles::marks_file(UtcDay day) const {
  return fmt::format("{}/{}{}{}", folder_, prefix_, format_day(day), marks_ending);
}

/// The days that have a file with one of the endings.
smtp::Result<std::set<UtcDay>> DayFiles::days_with(const std::vector<std::string_view> &endings) const {
  std::set<UtcDay> days;
  std::error_code error;
  std::filesystem::directory_iterator entries(folder_, error);
  if (error == std::errc::no_such_file_or_directory) return days;
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    if (!name.starts_with(prefix_)) continue;
    const std::string_view rest = std::string_view(name).substr(prefix_.size());
    for (const std::string_view ending : endings) {
      if (!rest.ends_with(ending)) continue;
      if (const auto day = parse_day(rest.substr(0, rest.size() - ending.size()))) days.insert(*day);
    }
  }
  if (error) return smtp::fail(smtp::ErrorCode::io, fmt::format("cannot list {}: {}", folder_, error.message()));
  return days;
}

smtp::Result<std::vector<UtcDay>> DayFiles::list() const {
  const auto days = days_with({rows_ending});
  if (!days) return tl::unexpected(days.error());
  return std::vector<UtcDay>(days->begin(), days->end());
}

smtp::Result<std::uint64_t> DayFiles::scan(UtcDay day, const TallyRecordScanner::Visit &visit) const {
  TallyRecordScanner scanner;
  auto done = read_pieces(rows_file(day), [&](std::string_view piece) { scanner.feed(piece, visit); });
  if (!done) return tl::unexpected(done.error());
  scanner.finish(visit);
  return scanner.damaged();
}

smtp::Result<DayFiles::Marks> DayFiles::marks(UtcDay day) const {
  std::string text;
  bool too_long = false;
  auto done = read_pieces(marks_file(day), [&](std::string_view piece) {
    if (text.size() + piece.size() > longest_marks) too_long = true;
    if (!too_long) text += piece;
  });
  if (!done) return tl::unexpected(done.error());
  if (too_long)
    return smtp::fail(smtp::ErrorCode::too_long,
                      fmt::format("{} is over its limit of {} octets", marks_file(day), longest_marks));
  Marks marks;
  for (const std::string_view line : smtp::split(text, '\n')) {
    const auto space = line.rfind(' ');
    if (space == std::string_view::npos) continue;
    const std::string_view mark = line.substr(0, space);
    if (line.substr(space + 1) != fmt::format("{:016x}", tally_checksum(mark))) continue;
    if (mark == complete_word) marks.complete = true;
    if (mark.starts_with(sent_word)) marks.submitted.emplace(mark.substr(sent_word.size()));
  }
  return marks;
}

smtp::Result<void> DayFiles::append_mark(UtcDay day, std::string_view text) const {
  auto file = TallyFile::open_for_append(marks_file(day));
  if (!file) return tl::unexpected(file.error());
  return file->append(mark_line(text));
}

smtp::Result<void> DayFiles::mark_submitted(UtcDay day, std::string_view report) const {
  if (report.find_first_of("\r\n") != std::string_view::npos)
    return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("mark \"{}\" has a line end", smtp::escape(report)));
  return append_mark(day, std::string(sent_word).append(report));
}

smtp::Result<void> DayFiles::mark_complete(UtcDay day) const {
  return append_mark(day, complete_word);
}

smtp::Result<std::vector<UtcDay>> DayFiles::remove_old(UtcDay today, unsigned keep) const {
  const auto days = days_with({rows_ending, marks_ending});
  if (!days) return tl::unexpected(days.error());
  std::vector<UtcDay> removed;
  for (const UtcDay day : *days) {
    const auto age = today - day;
    if (age <= std::chrono::days(keep)) continue;
    if (age <= std::chrono::days(2 * keep)) {
      const auto known = marks(day);
      if (!known) return tl::unexpected(known.error());
      if (!known->complete) continue;
    }
    if (auto gone = remove(day); !gone) return tl::unexpected(gone.error());
    removed.push_back(day);
  }
  return removed;
}

smtp::Result<std::vector<UtcDay>> DayFiles::remove_older(UtcDay today, unsigned keep) const {
  const auto days = days_with({rows_ending, marks_ending});
  if (!days) return tl::unexpected(days.error());
  std::vector<UtcDay> removed;
  for (const UtcDay day : *days) {
    if (today - day <= std::chrono::days(keep)) continue;
    if (auto gone = remove(day); !gone) return tl::unexpected(gone.error());
    removed.push_back(day);
  }
  return removed;
}

smtp::Result<void> DayFiles::remove(UtcDay day) const {
  // The rows first: marks without rows are harmless, rows without marks would be reported again.
  for (const std::string &path : {rows_file(day), marks_file(day)})
    if (auto gone = remove_file(path); !gone) return gone;
  return {};
}

} // namespace mta
