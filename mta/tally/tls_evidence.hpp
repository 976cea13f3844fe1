// TlsEvidence: keeps what each TLS session showed, by day, for partner status, suggest and simulate.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mta/log/mail_log.hpp"
#include "mta/tally/day_tally.hpp"
#include "mta/tally/evidence_row.hpp"
#include "mta/tally/periodic.hpp"
#include "mta/tally/tls_session.hpp"
#include "smtp/base/result.hpp"
#include "smtp/base/text_map.hpp"

namespace mta {

struct TlsEvidenceOptions {
  std::string folder;                             ///< "…/spool/tally"
  std::uint64_t day_limit = 268'435'456;          ///< octets of a day's file
  std::chrono::milliseconds flush_interval{1000}; ///< what a crash may lose, twice
  std::size_t pending_limit = 100'000;            ///< sessions counted between two flushes; further ones are dropped
};

/// Thread-safe. session() and messages() count in memory; the rows are made, and written, by threads of its own.
class TlsEvidence final : public TlsObserver {
public:
  /// Errors: the folder cannot be made. `log` must outlive it.
  [[nodiscard]] static smtp::Result<std::unique_ptr<TlsEvidence>> open(TlsEvidenceOptions options, MailLog &log);
  ~TlsEvidence() override;
  TlsEvidence(const TlsEvidence &) = delete;
  TlsEvidence &operator=(const TlsEvidence &) = delete;

  void session(const std::shared_ptr<const TlsSession> &session) override;
  void messages(const std::shared_ptr<const TlsSession> &session, std::string_view domain,
                std::uint32_t count) override;

  /// Writes out what was counted; blocks on the disk.
  [[nodiscard]] smtp::Result<void> flush();
  [[nodiscard]] const DayFiles &files() const noexcept { return tally_->files(); }
  /// Sessions and messages that a limit dropped.
  [[nodiscard]] std::uint64_t dropped() const;

private:
  struct Pending {
    std::shared_ptr<const TlsSession> session;
    std::uint64_t sessions = 0;
    std::uint64_t messages = 0;          ///< for the session's own domain
    smtp::TextMap<std::uint64_t> others; ///< by domain; a smart host's session carries mail for any number of them
    std::chrono::system_clock::time_point last;
  };
  TlsEvidence(TlsEvidenceOptions options, std::unique_ptr<DayTally> tally);
  void hand_on();
  [[nodiscard]] Pending *find_pending(const std::shared_ptr<const TlsSession> &session);

  const TlsEvidenceOptions options_;
  const std::unique_ptr<DayTally> tally_;
  mutable std::mutex mutex_;
  std::unordered_map<const TlsSession *, Pending> pending_;
  std::uint64_t dropped_ = 0;
  Periodic thread_; ///< last: ends first
};

/// What was read of the days asked for.
struct StoredEvidence {
  std::vector<policy::Evidence> rows;
  std::uint64_t damaged = 0; ///< stretches and rows that could not be read
  std::uint64_t omitted = 0; ///< occurrences beyond the limit of distinct rows
};

/// The evidence of the `days` UTC days up to today, of rows that `wanted` takes. Blocks on the disk.
[[nodiscard]] smtp::Result<StoredEvidence> read_evidence(const DayFiles &files, UtcDay today, unsigned days,
                                                         const std::function<bool(const policy::EvidenceRow &)> &wanted,
                                                         std::size_t row_limit = 1'000'000);

/// The evidence in a tally's folder.
[[nodiscard]] DayFiles evidence_files(std::string folder);

} // namespace mta
