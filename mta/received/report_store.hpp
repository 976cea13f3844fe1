// ReportStore: the reports received, one file each in a folder of the spool; bounded, deduplicated, durable.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mta/received/stored_report.hpp"
#include "mta/spool/file_system.hpp"
#include "smtp/base/result.hpp"

namespace mta {

struct ReportStoreLimits {
  std::chrono::days keep{400};
  std::size_t entries = 50'000;
  std::size_t unreadable = 1'000;        ///< of them; a new one pushes out the oldest
  std::uint64_t octets = 4'294'967'296;  ///< of all files
  std::uint64_t file_size = 134'217'728; ///< that is read
  std::uint64_t min_free = 0;            ///< octets of the disk that reports leave free
};

/// "<spool.path>/reports".
[[nodiscard]] std::string reports_folder(std::string_view spool_path);

/// A file's name tells what the bounds and the duplicates need, so that no file is read to open the store:
/// 20261122T033900Z.dmarc.pass.0123456789abcdef.json, with "none" in place of "pass" when DMARC did not pass for the
/// mail that brought it. A file is written under a name that ends in .new, synced, and renamed.
///
/// Over a bound the oldest entry that was not authenticated goes, then the oldest: a flood of forged reports cannot
/// push out real ones, as long as these are authenticated. Holds the folder for one writer; any number may read (free
/// functions below). Every member blocks on the disk. Not thread-safe.
class ReportStore {
public:
  enum class Outcome : std::uint8_t {
    stored,
    duplicate, ///< the same report is there already; nothing changed
    replaced,  ///< it was there, from mail that was not authenticated; this one is
    no_room,   ///< not authenticated, and the disk is short of room: nothing changed
  };

  /// Makes the folder (0700) when it is not there, and removes files that a crash left half-written.
  [[nodiscard]] static smtp::Result<ReportStore> open(std::string folder, const ReportStoreLimits &limits,
                                                      std::shared_ptr<FileSystem> files);

  /// Durable when it returns. Where the disk is short of room entries that were not authenticated go first. Errors:
  /// full, io, not_permitted; then nothing was stored.
  [[nodiscard]] smtp::Result<Outcome> add(const StoredReport &stored);
  /// Removes what is older than `keep`. Gives how many.
  std::size_t remove_old(std::chrono::sys_seconds now);
  void set_keep(std::chrono::days keep) noexcept { limits_.keep = keep; }
  void set_min_free(std::uint64_t octets) noexcept { limits_.min_free = octets; }

  [[nodiscard]] std::size_t size() const noexcept { return by_age_.size(); }
  [[nodiscard]] std::uint64_t octets() const noexcept { return octets_; }

  struct Name {
    std::chrono::sys_seconds received{};
    std::string kind;
    bool authenticated = false;
    std::string id;
    friend auto operator<=>(const Name &, const Name &) = default;
  };
  [[nodiscard]] static std::string format_name(const Name &name);
  /// Nothing: not one of ours.
  [[nodiscard]] static std::optional<Name> parse_name(std::string_view file);

private:
  ReportStore(std::string folder, const ReportStoreLimits &limits, std::shared_ptr<FileSystem> files)
      : folder_(std::move(folder)), limits_(limits), files_(std::move(files)) {}
  [[nodiscard]] std::string path_of(const Name &name) const { return folder_ + "/" + format_name(name); }
  [[nodiscard]] smtp::Result<void> write(const Name &name, std::string_view text);
  void insert(const Name &name, std::uint64_t size);
  void drop(const Name &name); ///< a failed removal is tried again when the store is opened next
  void make_room(std::uint64_t size, bool unreadable);
  [[nodiscard]] bool is_short_of_room(std::uint64_t size) const;

  std::string folder_;
  ReportStoreLimits limits_;
  std::shared_ptr<FileSystem> files_;
  std::map<Name, std::uint64_t> by_age_;   ///< to the file's size
  std::map<Name, std::uint64_t> doubtful_; ///< those not authenticated, by age
  std::map<Name, std::uint64_t> unreadable_;
  std::unordered_map<std::string, Name> by_id_;
  std::uint64_t octets_ = 0;
};

/// An entry as a list shows it, or the file that cannot be read.
struct ListedReport {
  std::string file;
  smtp::Result<ReportSummary> summary;
};

struct ReportFilter {
  std::string kind;                              ///< empty: all
  std::string domain;                            ///< A-label form: any of a report's domains; empty: all
  std::optional<std::chrono::sys_seconds> since; ///< received
};

/// The oldest first; damage in one file hides none of the others. A folder that is not there has no entries.
[[nodiscard]] smtp::Result<std::vector<ListedReport>> list_reports(FileSystem &files, const std::string &folder,
                                                                   const ReportFilter &filter);
/// Errors: not_found, bad_syntax, io.
[[nodiscard]] smtp::Result<StoredReport> find_report(FileSystem &files, const std::string &folder, std::string_view id);

} // namespace mta
