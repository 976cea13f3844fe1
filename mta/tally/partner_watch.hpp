// PartnerWatch: raises an alert when a partner's rule defers too much, and warns daily of what is about to expire.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "mta/config/config.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/tally/day_files.hpp"
#include "mta/tally/periodic.hpp"
#include "mta/tally/tls_session.hpp"

namespace mta {

/// Warns of exceptions that expire within 30 days or have expired (event=exception_expires) and of pins on a leaf that
/// expires within 60 days (event=pin_expires). Reads the evidence of the last week; blocks on the disk.
void write_partner_warnings(const Config &config, const DayFiles &evidence, MailLog &log,
                            std::chrono::system_clock::time_point now);

/// Removes the days of both kinds that are older than they are to be kept.
void remove_old_evidence(const Config &config, const std::string &folder, MailLog &log,
                         std::chrono::system_clock::time_point now);

/// Thread-safe. Nothing is relaxed by it: event=partner_deferrals calls people, once an hour for each partner.
class PartnerWatch final : public TlsObserver {
public:
  struct Services {
    MailLog &log;
    std::function<std::shared_ptr<const Config>()> config; ///< in force
    std::string folder;                                    ///< "…/spool/tally"
    std::function<std::chrono::system_clock::time_point()> now = [] { return std::chrono::system_clock::now(); };
  };
  explicit PartnerWatch(Services services) : services_(std::move(services)) {}

  /// The daily task: at the start, and with each new UTC day.
  void start();
  void stop() { thread_.stop(); }

  void session(const std::shared_ptr<const TlsSession> &session) override;
  void messages(const std::shared_ptr<const TlsSession> &, std::string_view, std::uint32_t) override {}

  /// What start() does from time to time: the warnings, once a UTC day.
  void run_daily();

private:
  struct Deferrals {
    std::deque<std::chrono::system_clock::time_point> times; ///< of the last hour, as many as the limit needs
    std::map<std::string, std::uint64_t> reasons;            ///< since the last alert, or the last quiet hour
    std::uint64_t count = 0;                                 ///< the same
    std::optional<std::chrono::system_clock::time_point> alerted;
  };
  Services services_;
  std::mutex mutex_;
  std::map<std::string, Deferrals, std::less<>> partners_;
  std::optional<UtcDay> done_;
  Periodic thread_; ///< last: ends first
};

} // namespace mta
