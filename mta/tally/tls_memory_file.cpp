// The file of the TLS memory: one record for each change of a domain, the last one counts.
#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "mta/base/files.hpp"
#include "mta/tally/tally_record.hpp"
#include "mta/tally/tls_memory.hpp"
#include "smtp/base/text.hpp"

namespace mta {

using std::chrono::sys_seconds;

namespace {

/// Octets over which the file is looked at for records that count no more.
constexpr std::uint64_t rewrite_size = 16'777'216;
/// What a domain's record has on average, generously.
constexpr std::uint64_t record_size = 512;
constexpr std::size_t piece_size = 1'048'576;

void append_memory(std::string &out, const DomainMemory &memory) {
  append_record(out, {encode_memory(memory), 1, memory.last_seen()});
}

} // namespace

smtp::Result<std::unique_ptr<TlsMemory>> TlsMemory::open(TlsMemoryOptions options, const TlsMemoryConfig &config,
                                                         MailLog &log) {
  if (auto made = make_folder(options.folder); !made) return tl::unexpected(made.error());
  std::unique_ptr<TlsMemory> memory(new TlsMemory(std::move(options), config, log));
  if (auto loaded = memory->load(); !loaded) return tl::unexpected(loaded.error());
  memory->thread_.start(memory->options_.flush_interval, [&self = *memory] {
    static_cast<void>(self.flush()); // a failure is logged there
  });
  return memory;
}

TlsMemory::~TlsMemory() {
  thread_.stop();
}

smtp::Result<void> TlsMemory::load() {
  const std::scoped_lock files_lock(file_mutex_);
  const std::scoped_lock lock(mutex_);
  std::uint64_t records = 0;
  std::uint64_t unreadable = 0;
  TallyRecordScanner scanner;
  const auto visit = [&](const TallyRecord &record) {
    auto memory = decode_memory(record.row);
    if (!memory) {
      ++unreadable;
      return;
    }
    ++records;
    Entry &entry = domains_[memory->domain];
    entry.written = memory->last_seen();
    entry.memory = std::move(*memory);
  };
  auto file = TallyFile::open_for_reading(file_name());
  if (!file && file.error().code != smtp::ErrorCode::not_found) return tl::unexpected(file.error());
  if (file) {
    std::vector<char> piece(piece_size);
    for (;;) {
      const auto size = file->read(piece);
      if (!size) return tl::unexpected(size.error());
      if (*size == 0) break;
      scanner.feed({piece.data(), *size}, visit);
    }
    scanner.finish(visit);
  }
  static_cast<void>(forget_old(now()));
  while (domains_.size() > options_.max_domains) make_room();
  const std::uint64_t torn = scanner.is_torn() ? 1 : 0;
  if (auto noted = note_damage(scanner.damaged() - torn + unreadable); !noted) return noted;
  if (records > domains_.size() || scanner.damaged() + unreadable > 0) return rewrite();
  auto opened = TallyFile::open_for_append(file_name());
  if (!opened) return tl::unexpected(opened.error());
  file_ = std::move(*opened);
  return {};
}

/// Called with both mutexes. The note of the damage is durable before the damaged file is replaced.
smtp::Result<void> TlsMemory::note_damage(std::uint64_t stretches) {
  constexpr std::size_t limit = 20;
  if (stretches == 0) {
    const auto noted = read_whole_file(damage_file_name(), limit);
    if (!noted && noted.error().code == smtp::ErrorCode::not_found) return {};
    const auto seconds = noted ? smtp::parse_number(*noted) : std::nullopt;
    // A note that cannot be read counts from now: damage is never taken for health.
    damaged_since_ = seconds ? std::min(sys_seconds(std::chrono::seconds(*seconds)), now()) : now();
    if (config_.release_after == std::chrono::seconds(0) || now() - damaged_since_ < config_.release_after) return {};
    damaged_since_ = {};
    return remove_file(damage_file_name());
  }
  damaged_since_ = now();
  log_.write(Event("tls_memory", LogLevel::error)
                 .with("problem", "a part of the memory could not be read and is forgotten")
                 .with("file", file_name())
                 .with("stretches", stretches)
                 .with("note", "mail for protected domains that are not remembered waits for TLS, for release_after, "
                               "or for portcullis tls-memory release"));
  return replace_file(damage_file_name() + ".new", damage_file_name(),
                      fmt::to_string(damaged_since_.time_since_epoch().count()));
}

/// Called with both mutexes. The old file stays until the new one is whole on the disk.
smtp::Result<void> TlsMemory::rewrite() {
  const std::string fresh_name = file_name() + ".new";
  if (auto gone = remove_file(fresh_name); !gone) return gone;
  auto fresh = TallyFile::open_for_append(fresh_name);
  if (!fresh) return tl::unexpected(fresh.error());
  std::string piece;
  for (const auto &[name, entry] : domains_) {
    append_memory(piece, entry.memory);
    if (piece.size() < piece_size) continue;
    if (auto written = fresh->append(piece); !written) return written;
    piece.clear();
  }
  if (auto written = fresh->append(piece); !written) return written;
  if (auto replaced = rename_file(fresh_name, file_name()); !replaced) return replaced;
  file_ = std::move(*fresh);
  for (auto &[name, entry] : domains_) entry.is_dirty = false;
  dirty_.clear();
  return {};
}

smtp::Result<void> TlsMemory::flush() {
  const std::scoped_lock files_lock(file_mutex_);
  std::string records;
  std::vector<std::string> names;
  smtp::Result<void> result;
  {
    const std::scoped_lock lock(mutex_);
    const auto time = now();
    if (const auto today = std::chrono::floor<std::chrono::days>(time); today != cleaned_) {
      if (forget_old(time)) cleaned_ = today;
    }
    names.swap(dirty_);
    for (const std::string &name : names) {
      const auto found = domains_.find(name);
      if (found == domains_.end()) continue;
      found->second.is_dirty = false;
      append_memory(records, found->second.memory);
    }
    // Rare, and the only write that is made with the memory locked: sessions wait for it once in months.
    if (file_ && file_->size() > rewrite_size && file_->size() / (4 * record_size) > domains_.size()) {
      result = rewrite();
      if (result) records.clear();
    }
  }
  if (result && !records.empty()) {
    if (!file_) {
      auto opened = TallyFile::open_for_append(file_name());
      if (opened)
        file_ = std::move(*opened);
      else
        result = tl::unexpected(opened.error());
    }
    if (result) result = file_->append(records);
  }
  bool is_news = false;
  {
    const std::scoped_lock lock(mutex_);
    if (!result)
      for (const std::string &name : names)
        if (const auto found = domains_.find(name); found != domains_.end() && !found->second.is_dirty) {
          found->second.is_dirty = true;
          dirty_.push_back(name);
        }
    const std::string problem = result ? std::string() : result.error().detail;
    is_news = problem != problem_;
    problem_ = problem;
  }
  if (is_news && result) log_.write(Event("tls_memory").with("result", "the memory can be written again"));
  if (is_news && !result) log_.write(Event("tls_memory", LogLevel::error).with("problem", result.error().detail));
  return result;
}

smtp::Result<void> TlsMemory::release(std::string_view domain, std::string reason, std::string by) {
  const std::string name = smtp::to_lower(domain);
  if (smtp::trim(reason).empty())
    return smtp::fail(smtp::ErrorCode::bad_syntax, "a release needs a reason, which is kept and logged");
  if (reason.size() > MemoryLimits::reason)
    return smtp::fail(smtp::ErrorCode::too_long,
                      fmt::format("the reason is {} octets, limit is {}", reason.size(), MemoryLimits::reason));
  const std::scoped_lock files_lock(file_mutex_);
  std::string record;
  std::optional<MemoryRelease> before;
  {
    const std::scoped_lock lock(mutex_);
    auto found = domains_.find(name);
    if (found == domains_.end()) {
      if (!may_be_forgotten(name, now()))
        return smtp::fail(smtp::ErrorCode::not_found, fmt::format("{} is not remembered", smtp::escape(name)));
      found = domains_.try_emplace(name).first;
      DomainMemory &forgotten = found->second.memory;
      forgotten.domain = name;
      forgotten.failing_since = forgotten.last_clear = now();
      forgotten.failing_why = "the memory was damaged";
    }
    DomainMemory &memory = found->second.memory;
    if (memory.failing_since == sys_seconds{})
      return smtp::fail(smtp::ErrorCode::bad_syntax,
                        fmt::format("nothing holds mail for {}: its last session had TLS", smtp::escape(name)));
    before = memory.release;
    memory.release = MemoryRelease{now(), std::move(reason), by.substr(0, MemoryLimits::name)};
    append_memory(record, memory);
  }
  auto written = file_ ? file_->append(record) : smtp::fail(smtp::ErrorCode::io, "the memory's file is not open");
  const std::scoped_lock lock(mutex_);
  const auto found = domains_.find(name);
  if (!written) {
    if (found != domains_.end()) found->second.memory.release = std::move(before);
    return written;
  }
  log_.write(Event("tls_memory_release", LogLevel::warning)
                 .with("domain", name)
                 .with("by", by)
                 .with("reason", found == domains_.end() || !found->second.memory.release
                                     ? std::string()
                                     : found->second.memory.release->reason));
  return {};
}

} // namespace mta
