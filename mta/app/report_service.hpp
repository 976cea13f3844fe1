// ReportService: the daemon's daily reports, of DMARC and of TLS: the tallies that sessions count into, and the thread
// that sends.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "mta/base/async.hpp"
#include "mta/config/snapshot.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/queue/message.hpp"
#include "mta/report/daily_reports.hpp"
#include "mta/report/dmarc_reporter.hpp"
#include "mta/report/tls_reporter.hpp"
#include "mta/spool/spool.hpp"
#include "mta/tally/dmarc_tally.hpp"
#include "mta/tally/tlsrpt_tally.hpp"

namespace mta {

class ReportService {
public:
  /// All must outlive the service.
  struct Services {
    CurrentSnapshot &snapshot;
    Spool &spool;
    MailLog &log;
    Resolver &resolver;
    std::function<void(std::shared_ptr<QueuedMessage>)> submit;
    std::function<WallTime()> now;
    std::function<double()> random;
  };
  /// Opens the tallies in the folder and starts the thread. Errors: the folder cannot be made.
  [[nodiscard]] static smtp::Result<std::unique_ptr<ReportService>> open(Services services, const std::string &folder);
  ~ReportService();

  [[nodiscard]] DmarcTally *tally() noexcept { return dmarc_.get(); }
  /// What delivery tells of its sessions.
  [[nodiscard]] TlsObserver *tls_observer() noexcept { return tls_.get(); }
  /// Ends the thread and writes out what was counted. The resolver may be gone afterwards.
  void stop();

private:
  ReportService(Services services, std::unique_ptr<DmarcTally> dmarc, std::unique_ptr<TlsrptTally> tls);
  [[nodiscard]] std::unique_ptr<SubmitServices> make_submit(std::string_view event);
  [[nodiscard]] std::unique_ptr<DailyReportServices> make_dmarc();
  [[nodiscard]] std::unique_ptr<DailyReportServices> make_tls();
  void run();

  Services services_;
  std::unique_ptr<DmarcTally> dmarc_;
  std::unique_ptr<TlsrptTally> tls_;
  asio::io_context context_{1}; ///< of the thread: building a large report blocks it for seconds
  std::unique_ptr<ReportTimer> dmarc_timer_;
  std::unique_ptr<ReportTimer> tls_timer_;
  DmarcReporter dmarc_reporter_;
  TlsReporter tls_reporter_;
  std::unique_ptr<SubmitServices> dmarc_submit_;
  std::unique_ptr<SubmitServices> tls_submit_;
  std::unique_ptr<DailyReportServices> dmarc_daily_;
  std::unique_ptr<DailyReportServices> tls_daily_;
  std::thread thread_;
};

} // namespace mta
