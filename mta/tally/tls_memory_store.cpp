// What the TLS memory keeps in the store, and how it begins; see tls_memory.hpp.
#include <utility>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "mta/tally/tls_memory.hpp"
#include "smtp/base/text.hpp"

namespace mta {

using std::chrono::sys_seconds;

smtp::Result<std::unique_ptr<TlsMemory>> TlsMemory::open(TlsMemoryOptions options, store::Store &store,
                                                         const TlsMemoryConfig &config, MailLog &log) {
  std::unique_ptr<TlsMemory> memory(new TlsMemory(std::move(options), store, config, log));
  if (auto loaded = memory->load(); !loaded) return tl::unexpected(loaded.error());
  return memory;
}

smtp::Result<void> TlsMemory::load() {
  auto stored = store::read_tls_memory(store_.reader());
  if (!stored) return tl::unexpected(stored.error());
  const std::scoped_lock lock(mutex_);
  for (DomainMemory &memory : stored->domains) {
    Entry &entry = domains_[memory.domain];
    entry.written = memory.last_seen();
    entry.memory = std::move(memory);
  }
  forget_old(now());
  while (domains_.size() > options_.max_domains) make_room();
  note_damage(std::move(stored->damaged), stored->damage);
  return {};
}

/// Called with the mutex. The note of the damage is durable before the damaged rows go.
void TlsMemory::note_damage(std::vector<std::string> rows, std::optional<sys_seconds> noted) {
  if (rows.empty() && !noted) return;
  damaged_since_ = rows.empty() ? std::min(*noted, now()) : now();
  if (rows.empty() && config_.release_after != std::chrono::seconds(0) &&
      now() - damaged_since_ >= config_.release_after) {
    damaged_since_ = {};
    static_cast<void>(store::end_tls_memory_damage(store_)); // or with the next start
    return;
  }
  log_.write(Event("tls_memory", LogLevel::error)
                 .with("problem", "a part of the memory was lost")
                 .with("found", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(damaged_since_)))
                 .with("rows", static_cast<std::uint64_t>(rows.size()))
                 .with("note", "mail for protected domains that are not remembered waits for TLS, for release_after, "
                               "or for portcullis tls-memory release or accept-loss"));
  if (rows.empty()) return;
  // Where that cannot be noted the rows stay, and say so at the next start.
  if (store::note_tls_memory_damage(store_, damaged_since_)) store::forget_tls_memory(store_, std::move(rows));
}

smtp::Result<void> TlsMemory::accept_loss(std::string reason, std::string by) {
  if (smtp::trim(reason).empty())
    return smtp::fail(smtp::ErrorCode::bad_syntax, "this needs a reason, which is logged");
  if (!damaged_since()) return smtp::fail(smtp::ErrorCode::bad_syntax, "no part of the memory was lost");
  if (auto ended = store::end_tls_memory_damage(store_); !ended) return ended;
  const std::scoped_lock lock(mutex_);
  damaged_since_ = {};
  log_.write(Event("tls_memory_release", LogLevel::warning).with("domain", "*").with("by", by).with("reason", reason));
  return {};
}

smtp::Result<void> TlsMemory::release(std::string_view domain, std::string reason, std::string by) {
  const std::string name = smtp::to_lower(domain);
  if (smtp::trim(reason).empty())
    return smtp::fail(smtp::ErrorCode::bad_syntax, "a release needs a reason, which is kept and logged");
  if (reason.size() > MemoryLimits::reason)
    return smtp::fail(smtp::ErrorCode::too_long,
                      fmt::format("the reason is {} octets, limit is {}", reason.size(), MemoryLimits::reason));
  DomainMemory released;
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
    released = memory;
  }
  auto written = store::keep_tls_memory_now(store_, released);
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
