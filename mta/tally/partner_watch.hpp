// PartnerWatch: raises an alert when a partner's rule defers too much, and warns daily of what is about to expire.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "mta/config/config.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/tally/day_files.hpp"
#include "mta/tally/ending_certificates.hpp"
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
  /// Remembers the addresses that were proven to be a partner's.
  void messages(const std::shared_ptr<const TlsSession> &session, std::string_view domain,
                std::uint32_t count) override;

  /// A new configuration is in force: the certificates that it names are looked at with the next look. Any thread.
  void reconfigured();
  /// What start() does from time to time: the warnings, once a UTC day.
  void run_daily();
  /// What the last daily look found: certificates of ours and of partners that end within 30 days.
  [[nodiscard]] std::vector<EndingCertificate> ending() const;

private:
  struct Deferrals {
    std::deque<std::chrono::system_clock::time_point> times; ///< of the last hour, as many as the limit needs
    std::map<std::string, std::uint64_t> reasons;            ///< since the last alert, or the last quiet hour
    std::uint64_t count = 0;                                 ///< the same
    std::optional<std::chrono::system_clock::time_point> alerted;
  };
  Services services_;
  mutable std::mutex mutex_;
  std::map<std::string, Deferrals, std::less<>> partners_;
  std::set<std::string> proven_; ///< "partner\naddress": SPF, a network or a certificate said so of an earlier message
  std::optional<UtcDay> done_;
  bool is_new_config_ = false;
  std::vector<EndingCertificate> ending_;
  ToldSteps told_;  ///< of the daily task alone
  Periodic thread_; ///< last: ends first
};

} // namespace mta
