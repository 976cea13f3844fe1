#include "mta/received/report_store.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

using smtp::ErrorCode;
using smtp::fail;
using smtp::Result;

constexpr std::string_view half_written = ".new";
constexpr std::size_t summary_size = 65'536; ///< octets of a first line; its texts are bounded far below
constexpr std::size_t id_size = 16;

bool is_id(std::string_view text) {
  return text.size() == id_size && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<std::string> read_start(FileSystem &files, const std::string &path, std::uint64_t most, bool cut) {
  const auto file = files.open(path, FileSystem::Access::read_only);
  if (!file) return tl::unexpected(file.error());
  const auto size = (*file)->size();
  if (!size) return tl::unexpected(size.error());
  if (*size > most && !cut)
    return fail(ErrorCode::too_long, fmt::format("{} has {} octets, limit is {}", path, *size, most));
  std::string text(static_cast<std::size_t>(std::min(*size, most)), '\0');
  if (auto read = spool::read_exactly(**file, 0, text); !read) return tl::unexpected(read.error());
  return text;
}

/// Names of entries, the oldest first.
Result<std::vector<ReportStore::Name>> read_names(FileSystem &files, const std::string &folder) {
  const auto listed = files.list(folder);
  if (!listed && listed.error().code == ErrorCode::not_found) return std::vector<ReportStore::Name>();
  if (!listed) return tl::unexpected(listed.error());
  std::vector<ReportStore::Name> names;
  for (const std::string &file : *listed)
    if (auto name = ReportStore::parse_name(file)) names.push_back(std::move(*name));
  std::sort(names.begin(), names.end());
  return names;
}

bool has(const std::vector<std::string> &domains, const std::string &domain) {
  return std::find(domains.begin(), domains.end(), domain) != domains.end();
}

/// Whether the report is about the domain. A summary that is full does not tell: then the whole file does.
bool is_about(FileSystem &files, const std::string &path, const ReportSummary &summary, const std::string &domain) {
  if (summary.domain == domain || has(summary.other_domains, domain)) return true;
  if (summary.other_domains.size() < most_other_domains) return false;
  const auto text = read_start(files, path, ReportStoreLimits{}.file_size, false);
  const auto stored = text ? decode_stored(*text) : Result<StoredReport>(tl::unexpected(text.error()));
  return !stored || has(other_domains_of(*stored), domain); // what is damaged is shown
}

} // namespace

std::string reports_folder(std::string_view spool_path) {
  return std::string(spool_path) + "/reports";
}

std::string ReportStore::format_name(const Name &name) {
  const auto day = std::chrono::floor<std::chrono::days>(name.received);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(name.received - day);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z.{}.{}.{}.json", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), name.kind, name.authenticated ? "pass" : "none",
                     name.id);
}

std::optional<ReportStore::Name> ReportStore::parse_name(std::string_view file) {
  using namespace std::chrono;
  const auto parts = smtp::split(file, '.');
  if (parts.size() != 5 || parts[4] != "json" || !is_id(parts[3])) return std::nullopt;
  const std::string_view time = parts[0];
  if (time.size() != 16 || time[8] != 'T' || time[15] != 'Z') return std::nullopt;
  const auto date = smtp::parse_number(time.substr(0, 8)), clock = smtp::parse_number(time.substr(9, 6));
  if (!date || !clock) return std::nullopt;
  const year_month_day day(year(static_cast<int>(*date / 10'000)), month(static_cast<unsigned>(*date / 100 % 100)),
                           std::chrono::day(static_cast<unsigned>(*date % 100)));
  if (!day.ok() || *clock / 10'000 > 23 || *clock / 100 % 100 > 59 || *clock % 100 > 59) return std::nullopt;
  if (parts[1] != "dmarc" && parts[1] != "tlsrpt" && parts[1] != "unreadable") return std::nullopt;
  if (parts[2] != "pass" && parts[2] != "none") return std::nullopt;
  Name name;
  name.received = sys_days(day) + hours(*clock / 10'000) + minutes(*clock / 100 % 100) + seconds(*clock % 100);
  name.kind = parts[1];
  name.authenticated = parts[2] == "pass";
  name.id = parts[3];
  return name;
}

Result<ReportStore> ReportStore::open(std::string folder, const ReportStoreLimits &limits,
                                      std::shared_ptr<FileSystem> files) {
  if (auto made = files->make_folder(folder); !made) return tl::unexpected(made.error());
  const auto listed = files->list(folder);
  if (!listed) return tl::unexpected(listed.error());
  ReportStore store(std::move(folder), limits, std::move(files));
  for (const std::string &file : *listed) {
    if (file.ends_with(half_written)) {
      // Left by a crash; the queue still has its message. What cannot be removed now is tried again next time.
      static_cast<void>(store.files_->remove(store.folder_ + "/" + file));
      continue;
    }
    const auto name = parse_name(file);
    if (!name) continue;
    const auto opened = store.files_->open(store.folder_ + "/" + file, FileSystem::Access::read_only);
    const auto size = opened ? (*opened)->size() : Result<std::uint64_t>(0);
    store.insert(*name, size.value_or(0));
  }
  return store;
}

void ReportStore::insert(const Name &name, std::uint64_t size) {
  by_age_.emplace(name, size);
  if (!name.authenticated) doubtful_.emplace(name, size);
  if (name.kind == "unreadable") unreadable_.emplace(name, size);
  by_id_[name.id] = name;
  octets_ += size;
}

void ReportStore::drop(const Name &given) {
  const Name name = given; // `given` may stand in one of the maps
  const auto found = by_age_.find(name);
  if (found == by_age_.end()) return;
  static_cast<void>(files_->remove(path_of(name)));
  octets_ -= found->second;
  by_age_.erase(found);
  doubtful_.erase(name);
  unreadable_.erase(name);
  if (const auto known = by_id_.find(name.id); known != by_id_.end() && known->second == name) by_id_.erase(known);
}

void ReportStore::make_room(std::uint64_t size, bool unreadable) {
  if (unreadable)
    while (!unreadable_.empty() && unreadable_.size() >= limits_.unreadable) drop(unreadable_.begin()->first);
  while (!by_age_.empty() && (by_age_.size() >= limits_.entries || octets_ + size > limits_.octets))
    drop(doubtful_.empty() ? by_age_.begin()->first : doubtful_.begin()->first);
}

bool ReportStore::is_short_of_room(std::uint64_t size) const {
  if (limits_.min_free == 0) return false;
  const auto space = files_->free_space(folder_);
  return space && *space < limits_.min_free + size;
}

Result<void> ReportStore::write(const Name &name, std::string_view text) {
  const std::string path = path_of(name), unfinished = path + std::string(half_written);
  const auto put = [&]() -> Result<void> {
    const auto file = files_->open(unfinished, FileSystem::Access::create_new);
    if (!file) return tl::unexpected(file.error());
    if (auto written = spool::write_all(**file, 0, text); !written) return written;
    if (auto synced = (*file)->sync_data(); !synced) return synced;
    if (auto renamed = files_->rename(unfinished, path); !renamed) return renamed;
    return files_->sync_folder(folder_);
  };
  auto done = put();
  if (!done) {
    static_cast<void>(files_->remove(unfinished));
    static_cast<void>(files_->remove(path));
  }
  return done;
}

Result<ReportStore::Outcome> ReportStore::add(const StoredReport &stored) {
  const std::string text = encode_stored(stored);
  if (text.size() > limits_.file_size)
    return fail(ErrorCode::too_long, fmt::format("report has {} octets, limit is {}", text.size(), limits_.file_size));
  const Name name{std::chrono::floor<std::chrono::seconds>(stored.received),
                  stored.report ? to_string(stored.report->kind()) : "unreadable", stored.is_authenticated(),
                  id_of(stored)};
  const auto known = by_id_.find(name.id);
  std::optional<Name> old;
  if (known != by_id_.end()) {
    // A forged copy that came first must not keep the real one out.
    if (!name.authenticated || known->second.authenticated) return Outcome::duplicate;
    old = known->second;
  }
  if (is_short_of_room(text.size())) {
    if (!name.authenticated) return Outcome::no_room;
    while (!doubtful_.empty() && is_short_of_room(text.size())) drop(doubtful_.begin()->first);
    if (is_short_of_room(text.size()))
      return fail(ErrorCode::full, fmt::format("reports leave {} octets of the disk free", limits_.min_free));
    old.reset(); // it may be among them
    if (const auto left = by_id_.find(name.id); left != by_id_.end()) old = left->second;
  }
  if (auto written = write(name, text); !written) return tl::unexpected(written.error());
  if (old) drop(*old);
  make_room(text.size(), !stored.report);
  insert(name, text.size());
  return old ? Outcome::replaced : Outcome::stored;
}

std::size_t ReportStore::remove_old(std::chrono::sys_seconds now) {
  std::size_t removed = 0;
  while (!by_age_.empty() && by_age_.begin()->first.received < now - limits_.keep) {
    drop(by_age_.begin()->first);
    ++removed;
  }
  return removed;
}

Result<std::vector<ListedReport>> list_reports(FileSystem &files, const std::string &folder,
                                               const ReportFilter &filter) {
  const auto names = read_names(files, folder);
  if (!names) return tl::unexpected(names.error());
  std::vector<ListedReport> listed;
  for (const ReportStore::Name &name : *names) {
    if (!filter.kind.empty() && name.kind != filter.kind) continue;
    if (filter.since && name.received < *filter.since) continue;
    std::string file = ReportStore::format_name(name);
    const auto start = read_start(files, folder + "/" + file, summary_size, true);
    if (!start && start.error().code == ErrorCode::not_found) continue; // removed since
    auto summary = start ? decode_summary(*start) : Result<ReportSummary>(tl::unexpected(start.error()));
    if (summary && !filter.domain.empty() && !is_about(files, folder + "/" + file, *summary, filter.domain)) continue;
    listed.push_back({std::move(file), std::move(summary)});
  }
  return listed;
}

Result<StoredReport> find_report(FileSystem &files, const std::string &folder, std::string_view id) {
  if (!is_id(id))
    return fail(ErrorCode::bad_syntax,
                fmt::format("\"{}\" is not an id of a report: 16 digits of 0-9 and a-f", smtp::escape(id, 100)));
  const auto names = read_names(files, folder);
  if (!names) return tl::unexpected(names.error());
  const auto found = std::find_if(names->begin(), names->end(), [&](const auto &name) { return name.id == id; });
  if (found == names->end()) return fail(ErrorCode::not_found, fmt::format("there is no report {}", id));
  const std::string file = ReportStore::format_name(*found);
  const auto text = read_start(files, folder + "/" + file, ReportStoreLimits{}.file_size, false);
  if (!text) return tl::unexpected(text.error());
  auto stored = decode_stored(*text);
  if (!stored) return fail(stored.error().code, fmt::format("{}: {}", file, stored.error().detail));
  return stored;
}

} // namespace mta
