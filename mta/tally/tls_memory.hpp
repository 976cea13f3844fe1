// TlsMemory: remembers the best TLS that each domain's hosts gave, and notices when a domain that had it has it no
// more.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mta/config/config.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/store/tls_memory.hpp"
#include "mta/tally/tls_recall.hpp"
#include "mta/tally/tls_session.hpp"
#include "smtp/base/result.hpp"

namespace mta {

struct TlsMemoryOptions {
  std::size_t max_domains = 200'000; ///< over it the oldest go, those that are protected last
  std::function<std::chrono::system_clock::time_point()> now = [] { return std::chrono::system_clock::now(); };
  std::function<std::chrono::steady_clock::time_point()> steady_now = [] { return std::chrono::steady_clock::now(); };
};

/// One domain as `portcullis tls-memory` shows it.
struct RememberedDomain {
  DomainMemory memory;
  policy::MemoryFacts facts;
};

/// Thread-safe; only release() and accept_loss() wait for the disk. A session is "without TLS" when STARTTLS was not
/// offered, was refused, or the handshake failed. Counted are outbound sessions by MX.
///
///   unknown ── TLS ──► always ── without TLS ──► failing ── TLS ──► always      (held mail goes on)
///                                                   │
///                             release, or time, or not protected: let go ── TLS ──► always, from this day on
///
/// When a part of the memory was lost with a damaged store, nobody knows which domains it was about: for
/// `release_after`, mail for every protected domain that is not remembered waits for TLS, or for an operator's release
/// (a write that a crash cut short, which costs the last second, does not count).
class TlsMemory final : public TlsObserver, public TlsRecall {
public:
  /// Reads what was remembered. Damage is passed over and logged. Errors: the store cannot be read. `store` and `log`
  /// must outlive it.
  [[nodiscard]] static smtp::Result<std::unique_ptr<TlsMemory>> open(TlsMemoryOptions options, store::Store &store,
                                                                     const TlsMemoryConfig &config, MailLog &log);
  ~TlsMemory() override = default;
  TlsMemory(const TlsMemory &) = delete;
  TlsMemory &operator=(const TlsMemory &) = delete;

  /// After each reload.
  void configure(const TlsMemoryConfig &config);

  void session(const std::shared_ptr<const TlsSession> &session) override;
  void messages(const std::shared_ptr<const TlsSession> &, std::string_view, std::uint32_t) override {}
  [[nodiscard]] policy::MemoryFacts recall(std::string_view domain) const override;

  /// An operator lets mail for the domain leave without TLS until TLS comes back. Durable when it returns. Errors:
  /// not_found when the domain is not remembered (and may not have been forgotten by damage), bad_syntax when nothing
  /// holds its mail, and those of the disk.
  [[nodiscard]] smtp::Result<void> release(std::string_view domain, std::string reason, std::string by);
  [[nodiscard]] std::optional<RememberedDomain> show(std::string_view domain) const;
  /// Those that fail now first, then by name; at most `limit`. `failing_only` leaves the others out.
  [[nodiscard]] std::vector<RememberedDomain> list(std::size_t limit, bool failing_only) const;
  [[nodiscard]] std::size_t size() const;
  struct Failing {
    std::size_t domains = 0;
    std::size_t held = 0; ///< of them: whose mail waits
  };
  [[nodiscard]] Failing count_failing() const;
  /// When a part of the memory was found damaged; nothing when that does not count (any more).
  [[nodiscard]] std::optional<std::chrono::sys_seconds> damaged_since() const;

  /// An operator says that what was lost protects no more. Durable when it returns. Errors: bad_syntax when nothing was
  /// lost, and those of the store.
  [[nodiscard]] smtp::Result<void> accept_loss(std::string reason, std::string by);

private:
  struct Entry {
    DomainMemory memory;
    std::chrono::sys_seconds written{}; ///< last activity that the store has
    std::chrono::sys_seconds warned{};  ///< the last tls_stripped
  };
  struct Stripped {
    std::chrono::sys_seconds time;
    std::string domain;
    std::string provider; ///< who runs its hosts, as far as their names tell
  };
  using Events = std::vector<Event>;

  TlsMemory(TlsMemoryOptions options, store::Store &store, const TlsMemoryConfig &config, MailLog &log);
  [[nodiscard]] smtp::Result<void> load();
  [[nodiscard]] std::chrono::sys_seconds now() const;
  void note_tls(Entry &entry, const TlsSession &session, std::chrono::sys_seconds now, Events &events);
  void note_clear(Entry &entry, const TlsSession &session, std::chrono::sys_seconds now, Events &events);
  void note_stripped(Entry &entry, const TlsSession &session, std::chrono::sys_seconds now, Events &events);
  void note_widely(const Entry &entry, std::chrono::sys_seconds now, Events &events);
  void make_room();
  void forget_old(std::chrono::sys_seconds now);
  [[nodiscard]] bool is_clock_settled(std::chrono::sys_seconds now);
  [[nodiscard]] const smtp::DomainPattern *protecting(std::string_view domain) const;
  [[nodiscard]] bool is_let_go(const DomainMemory &memory, std::chrono::sys_seconds now) const;
  [[nodiscard]] policy::MemoryFacts facts_of(const DomainMemory &memory, std::chrono::sys_seconds now) const;
  void mark(Entry &entry);
  void note_damage(std::vector<std::string> rows, std::optional<std::chrono::sys_seconds> noted);
  [[nodiscard]] bool may_be_forgotten(std::string_view domain, std::chrono::sys_seconds now) const;
  [[nodiscard]] policy::MemoryFacts facts_of_forgotten(std::string_view domain) const;
  [[nodiscard]] std::string rule_for(std::string_view domain) const;

  const TlsMemoryOptions options_;
  store::Store &store_;
  MailLog &log_;

  mutable std::mutex mutex_; ///< guards what follows
  TlsMemoryConfig config_;
  std::unordered_map<std::string, Entry> domains_;
  std::deque<Stripped> stripped_; ///< of the last hour
  std::chrono::sys_seconds widely_warned_{};
  std::chrono::sys_days cleaned_{}; ///< the day when old ones were last forgotten
  struct Moment {
    std::chrono::sys_seconds wall;
    std::chrono::steady_clock::time_point steady;
  };
  std::optional<Moment> even_since_; ///< from when on the two clocks have gone together
  std::chrono::sys_seconds damaged_since_{};
};

} // namespace mta
