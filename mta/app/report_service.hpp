// ReportService: the daemon's DMARC aggregate reports: the tally that sessions count into, and the thread that sends.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "mta/base/async.hpp"
#include "mta/config/snapshot.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/queue/message.hpp"
#include "mta/report/daily_reports.hpp"
#include "mta/spool/spool.hpp"
#include "mta/tally/dmarc_tally.hpp"

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
  /// Opens the tally in the folder and starts the thread. Errors: the folder cannot be made.
  [[nodiscard]] static smtp::Result<std::unique_ptr<ReportService>> open(Services services, const std::string &folder);
  ~ReportService();

  [[nodiscard]] DmarcTally *tally() noexcept { return tally_.get(); }
  /// Ends the thread and writes out what was counted. The resolver may be gone afterwards.
  void stop();

private:
  ReportService(Services services, std::unique_ptr<DmarcTally> tally);
  void run();

  Services services_;
  std::unique_ptr<DmarcTally> tally_;
  asio::io_context context_{1}; ///< of the thread: building a large report blocks it for seconds
  std::unique_ptr<ReportTimer> timer_;
  std::unique_ptr<DmarcReporter> reporter_;
  std::unique_ptr<SubmitServices> submit_;
  std::unique_ptr<DailyReportServices> daily_;
  std::thread thread_;
};

} // namespace mta
