// ReportIntake: mail for the configured report addresses, taken out of the queue, read and stored on a thread of its
// own.
#pragma once

#include <functional>
#include <memory>

#include "mta/config/snapshot.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/queue/job.hpp"
#include "mta/spool/spool.hpp"
#include "mta/store/store.hpp"

namespace mta {

/// Thread-safe. Everything referred to must outlive it. What a sender can cause never bounces and never stays in the
/// queue: a message without a readable report is stored as an entry that says why, logged as event=report_received
/// result=unreadable, and counts as delivered. Only trouble of ours (the disk) is a temporary failure. What is older
/// than [received_reports] keep_days is removed.
class ReportIntake {
public:
  struct Services {
    CurrentSnapshot &snapshot;
    Spool &spool;
    MailLog &log;
    std::function<WallTime()> now;
    store::Store &store;
  };
  explicit ReportIntake(Services services);
  /// As shut_down().
  ~ReportIntake();
  ReportIntake(const ReportIntake &) = delete;
  ReportIntake &operator=(const ReportIntake &) = delete;

  /// mta::Deliver for mail of Config::is_report_mailbox(). Returns at once; `done` is called exactly once, on
  /// the intake's thread, or on the caller's after shut_down().
  void take(Job job, std::function<void(JobResult)> done);
  /// Ends the thread after the part at hand of the message at hand; that one, those that wait, and later ones, are
  /// answered as temporary failures.
  void shut_down();

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace mta
