// ReceivedReports: the reports of others about our domains, as tables; bounded, deduplicated, durable.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/store/store.hpp"
#include "mta/store/stored_report.hpp"
#include "smtp/base/result.hpp"

namespace mta::store {

struct ReportLimits {
  std::size_t entries = 50'000;
  std::size_t unreadable = 1'000;            ///< of them; a new one pushes out the oldest
  std::uint64_t octets = 4'294'967'296;      ///< of all texts
  std::uint64_t report_octets = 134'217'728; ///< of one report's
  std::uint64_t min_free = 0;                ///< octets of the disk that reports leave free
};

/// Over a limit the oldest entry that was not authenticated goes, then the oldest: a flood of forged reports cannot
/// push out real ones, as long as these are authenticated. Thread-safe; members block on the disk.
class ReceivedReports {
public:
  enum class Outcome : std::uint8_t {
    stored,
    duplicate, ///< the same report is there already; nothing changed
    replaced,  ///< it was there, from mail that was not authenticated; this one is
    no_room,   ///< not authenticated, and the disk is short of room: nothing changed
  };
  using FreeSpace = std::function<std::optional<std::uint64_t>()>;
  /// `free_space`: of the disk; by itself it asks the system for that of the store's folder.
  explicit ReceivedReports(Store &store, FreeSpace free_space = {});

  /// Durable when it returns. Where the disk is short of room entries that were not authenticated go first. Errors:
  /// too_long, full, and those of the store; then it was not stored.
  [[nodiscard]] smtp::Result<Outcome> add(const StoredReport &stored, const ReportLimits &limits);
  /// From now on what came before `oldest()` is removed, by the store's thread.
  void keep_since(std::function<std::chrono::sys_seconds()> oldest);

private:
  Store &store_;
  FreeSpace free_space_;
};

/// What the limits count of one report.
[[nodiscard]] std::uint64_t octets_of(const StoredReport &stored);

struct ReportFilter {
  std::string kind;                              ///< empty: all
  std::string domain;                            ///< A-label form: any of a report's domains; empty: all
  std::optional<std::chrono::sys_seconds> since; ///< received
};
struct ReportList {
  std::vector<ReportSummary> reports; ///< the oldest first
  std::string problem;                ///< damage ended the list; empty: it is whole
};
/// A store that is not there has no entries.
[[nodiscard]] smtp::Result<ReportList> list_reports(Reader &reader, const ReportFilter &filter);
/// Errors: not_found, bad_syntax (no id, or damage), and those of the reader.
[[nodiscard]] smtp::Result<StoredReport> find_report(Reader &reader, std::string_view id);

} // namespace mta::store
