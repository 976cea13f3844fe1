// submit_report: hands a ready report to the queue as mail from <>, durable before it counts.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "mta/log/mail_log.hpp"
#include "mta/queue/message.hpp"
#include "mta/report/daily_report.hpp"
#include "mta/spool/spool.hpp"

namespace mta {

/// What submit_report() needs; must outlive the spool's commits.
struct SubmitServices {
  Spool &spool;
  MailLog &log;
  /// Thread-safe: tells the queue of a stored message.
  std::function<void(std::shared_ptr<QueuedMessage>)> submit;
  std::function<WallTime()> now;
  /// The fields to put in front of the message, each with its CRLF: DKIM-Signature. RFC 9990 section 3.5.2: the mail
  /// must pass DMARC, aligned; RFC 8460 section 3: it must be signed. May be empty: then the mail goes unsigned.
  std::function<std::string(std::string_view message)> sign;
  /// How long the queue tries (the queue's give_up_after).
  std::function<std::chrono::seconds()> lifetime;
};

/// A message of our own with one recipient: from <>, with NOTIFY=NEVER, so that no hop answers it (RFC 5321
/// section 6.1, RFC 3461 section 6). `mail` has CRLF line ends. `done` is called once, perhaps on the spool's commit
/// thread, with the id or why not (full, io). A TLS report is marked as one: no mandate of TLS keeps it from its way
/// (RFC 8460 section 3), and its own sessions are not counted.
void submit_report(const SubmitServices &services, ReportKind kind, const smtp::Mailbox &to, std::string mail,
                   std::function<void(smtp::Result<QueueId>)> done);

} // namespace mta
