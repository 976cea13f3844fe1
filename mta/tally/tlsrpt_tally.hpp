// TlsrptTally: counts outbound sessions for the TLS reports of their recipient domains.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "mta/tally/day_tally.hpp"
#include "mta/tally/tls_session.hpp"
#include "mta/tally/tlsrpt_row.hpp"

namespace mta {

/// One day; `total` counts sessions, once for each policy of their domain.
using TlsrptDay = DayRows<TlsrptRow>;

/// The files `tlsrpt-YYYY-MM-DD.rows` and `.done`.
class TlsrptDays : public DayFiles {
public:
  explicit TlsrptDays(std::string folder) : DayFiles(std::move(folder), "tlsrpt-") {}
  [[nodiscard]] smtp::Result<TlsrptDay> read(UtcDay day, std::size_t row_limit = default_row_limit) const {
    return DayFiles::read<TlsrptRow>(day, decode_tlsrpt_row, row_limit);
  }
};

struct TlsrptTallyOptions {
  std::string folder;
  std::uint64_t day_limit = DayTallyOptions{}.day_limit;
  std::uint64_t memory_limit = DayTallyOptions{}.memory_limit;
  std::chrono::milliseconds flush_interval = DayTallyOptions{}.flush_interval;
  /// Thread-safe; false: no reports are sent, so that nothing is counted. Empty: always true.
  std::function<bool()> is_counting;
};

/// Thread-safe, as DayTally. Rows are made on the caller's thread, once for each session.
class TlsrptTally final : public TlsObserver {
public:
  /// Errors: the folder cannot be made. `log` must outlive the tally.
  [[nodiscard]] static smtp::Result<std::unique_ptr<TlsrptTally>> open(TlsrptTallyOptions options, MailLog &log);

  void session(const std::shared_ptr<const TlsSession> &session) override;
  void messages(const std::shared_ptr<const TlsSession> &, std::string_view, std::uint32_t) override {}

  [[nodiscard]] smtp::Result<void> flush() { return tally_->flush(); }
  [[nodiscard]] DayTally::Status status() const { return tally_->status(); }
  [[nodiscard]] const TlsrptDays &days() const noexcept { return days_; }
  [[nodiscard]] DayTally &tally() noexcept { return *tally_; }

private:
  TlsrptTally(std::unique_ptr<DayTally> tally, std::string folder, std::function<bool()> is_counting)
      : tally_(std::move(tally)), days_(std::move(folder)), is_counting_(std::move(is_counting)) {}
  std::unique_ptr<DayTally> tally_;
  TlsrptDays days_;
  std::function<bool()> is_counting_;
};

} // namespace mta
