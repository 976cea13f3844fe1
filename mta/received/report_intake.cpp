// Takes mail for report addresses out of the queue and puts its reports into the store.
#include "mta/received/report_intake.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "mta/queue/recipient_event.hpp"
#include "mta/received/own_results.hpp"
#include "mta/received/read_message.hpp"
#include "mta/received/report_text.hpp"
#include "mta/store/received_reports.hpp"

namespace mta {

namespace {

using smtp::ErrorCode;
using smtp::Result;

struct Waiting {
  Job job;
  std::function<void(JobResult)> done;
};

JobResult result_of(const Job &job, RecipientResult::Kind kind, FailureCause cause, const smtp::Reply &reply,
                    const std::string &detail) {
  JobResult result;
  result.number = job.number;
  result.destination = job.destination;
  for (const std::size_t index : job.recipients) {
    RecipientResult one;
    one.index = index;
    one.kind = kind;
    one.cause = cause;
    one.reply = reply;
    one.host = "reports";
    one.detail = detail;
    result.results.push_back(std::move(one));
  }
  return result;
}

JobResult delivered(const Job &job, const std::string &detail) {
  return result_of(job, RecipientResult::Kind::delivered, FailureCause::none,
                   {250, smtp::EnhancedCode{2, 0, 0}, "read as a report"}, detail);
}

JobResult temporary(const Job &job, const smtp::Error &error) {
  const smtp::EnhancedCode code =
      error.code == ErrorCode::full ? smtp::EnhancedCode{4, 3, 1} : smtp::EnhancedCode{4, 3, 0};
  return result_of(job, RecipientResult::Kind::temporary, FailureCause::local,
                   {451, code, "the report cannot be stored now"}, error.detail);
}

/// The stored body from its front; fails once `stopping` is set. `stopping` must outlive it.
OctetSource source_of_body(std::shared_ptr<BodyReader> body, const std::atomic<bool> &stopping) {
  return [body = std::move(body), offset = std::uint64_t{0},
          &stopping](std::span<char> into) mutable -> Result<std::size_t> {
    if (stopping) return smtp::fail(ErrorCode::stopping, "the daemon is shutting down");
    const auto size = body->read(offset, into);
    if (size) offset += *size;
    return size;
  };
}

using store::ReceivedReports;

const char *to_word(ReceivedReports::Outcome outcome) noexcept {
  switch (outcome) {
  case ReceivedReports::Outcome::stored: return "stored";
  case ReceivedReports::Outcome::duplicate: return "duplicate";
  case ReceivedReports::Outcome::replaced: return "replaced";
  case ReceivedReports::Outcome::no_room: return "no_room";
  }
  return "";
}

std::string join(const std::vector<std::string> &texts) {
  std::string all;
  for (const std::string &text : texts) all += (all.empty() ? "" : "; ") + text;
  return all;
}

} // namespace

struct ReportIntake::Impl {
  explicit Impl(Services given) : services(std::move(given)), reports(services.store) {
    reports.keep_since([&snapshot = services.snapshot, now = services.now] {
      return std::chrono::floor<std::chrono::seconds>(now()) -
             std::chrono::days(snapshot.get()->config().received_reports.keep_days);
    });
    thread = std::thread([this] { run(); });
  }

  void run() {
    std::unique_lock lock(mutex);
    for (;;) {
      wake.wait(lock, [this] { return stopping || !line.empty(); });
      if (stopping) return;
      Waiting next = std::move(line.front());
      line.pop_front();
      lock.unlock();
      JobResult result = carry_out(next.job);
      for (const RecipientResult &one : result.results) services.log.write(recipient_event(*next.job.message, one));
      next.done(std::move(result));
      lock.lock();
    }
  }

  JobResult carry_out(const Job &job) {
    // Whatever a report makes throw (no memory for it, say) must not keep its mail in the queue, or it would come back.
    try {
      return read_and_store(job);
    } catch (const std::exception &thrown) {
      return keep_unreadable(job, StoredReport{}, fmt::format("reading it failed: {}", thrown.what()));
    }
  }

  JobResult read_and_store(const Job &job) {
    const QueuedMessage &message = *job.message;
    const auto snapshot = services.snapshot.get();
    const Config &config = snapshot->config();
    auto body = services.spool.read_body(message.id);
    if (!body) return temporary(job, body.error());
    ReadLimits limits;
    limits.unpack.max_size = config.received_reports.max_size;
    auto read = read_report_message(source_of_body(std::move(*body), stopping), limits);
    if (!read) return temporary(job, read.error());

    StoredReport entry;
    entry.from = std::move(read->mail.from);
    entry.subject = std::move(read->mail.subject);
    entry.authenticated = describe_own_results(message.envelope.trace, config.authentication.authserv_id);
    entry.mail_domain = read->mail.tls_report_domain.empty() ? domain_of_subject(entry.subject)
                                                             : clean_report_domain(read->mail.tls_report_domain);
    if (read->reports.empty()) return keep_unreadable(job, std::move(entry), join(read->problems));
    entry.queue_id = message.id.to_string();
    entry.received = received_at(message);
    std::string told;
    for (ReceivedReport &report : read->reports) {
      entry.report = std::move(report);
      const auto outcome = reports.add(entry, limits_now());
      if (!outcome && outcome.error().code == ErrorCode::too_long) {
        read->problems.push_back(outcome.error().detail);
        continue;
      }
      if (!outcome) return failed(job, outcome.error());
      log_report(entry, to_word(*outcome));
      told += fmt::format("{}{} {}", told.empty() ? "" : ", ", to_word(*outcome), id_of(entry));
    }
    if (told.empty()) {
      entry.report.reset();
      return keep_unreadable(job, std::move(entry), join(read->problems));
    }
    if (!read->problems.empty()) log_problem(entry, "incomplete", join(read->problems));
    return delivered(job, told);
  }

  JobResult keep_unreadable(const Job &job, StoredReport entry, std::string problem) {
    entry.queue_id = job.message->id.to_string();
    entry.received = received_at(*job.message);
    entry.problem = std::move(problem);
    const auto outcome = reports.add(entry, limits_now());
    if (!outcome) return failed(job, outcome.error());
    log_problem(entry, "unreadable", entry.problem);
    return delivered(job, "no readable report: " + entry.problem);
  }

  /// Ours: the disk.
  JobResult failed(const Job &job, const smtp::Error &error) {
    services.log.write(Event("report_received", LogLevel::error)
                           .with("id", job.message->id.to_string())
                           .with("result", "deferred")
                           .with("error", error.detail));
    return temporary(job, error);
  }

  [[nodiscard]] store::ReportLimits limits_now() const {
    store::ReportLimits limits;
    // Strangers' reports are not to be why mail is put off.
    limits.min_free = 2 * services.snapshot.get()->config().spool.min_free;
    return limits;
  }

  void log_report(const StoredReport &entry, const char *result) {
    const ReportSummary summary = summarize(entry);
    services.log.write(Event("report_received")
                           .with("id", entry.queue_id)
                           .with("result", result)
                           .with("kind", summary.kind)
                           .with("report", summary.id)
                           .with("organisation", summary.organisation)
                           .with("report_id", summary.report_id)
                           .with("domain", summary.domain)
                           .with("good", summary.totals.good)
                           .with("bad", summary.totals.bad)
                           .with_if("from", entry.from)
                           .with_if("authenticated", entry.authenticated));
  }

  void log_problem(const StoredReport &entry, const char *result, std::string_view problem) {
    services.log.write(Event("report_received", LogLevel::warning)
                           .with("id", entry.queue_id)
                           .with("result", result)
                           .with("reason", problem)
                           .with_if("from", entry.from)
                           .with_if("authenticated", entry.authenticated));
  }

  static std::chrono::sys_seconds received_at(const QueuedMessage &message) {
    return std::chrono::floor<std::chrono::seconds>(message.envelope.arrival);
  }

  Services services;
  ReceivedReports reports;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Waiting> line;           ///< as long as the scheduler allows jobs for one destination
  std::atomic<bool> stopping = false; ///< set under the mutex
  std::thread thread;
};

ReportIntake::ReportIntake(Services services) : impl_(std::make_unique<Impl>(std::move(services))) {}

ReportIntake::~ReportIntake() {
  shut_down();
}

void ReportIntake::take(Job job, std::function<void(JobResult)> done) {
  {
    const std::scoped_lock lock(impl_->mutex);
    if (!impl_->stopping) {
      impl_->line.push_back({std::move(job), std::move(done)});
      impl_->wake.notify_one();
      return;
    }
  }
  done(temporary(job, {ErrorCode::stopping, "the daemon is shutting down"}));
}

void ReportIntake::shut_down() {
  std::deque<Waiting> left;
  {
    const std::scoped_lock lock(impl_->mutex);
    if (impl_->stopping) return;
    impl_->stopping = true;
    left.swap(impl_->line);
    impl_->wake.notify_one();
  }
  impl_->thread.join();
  for (Waiting &waiting : left)
    waiting.done(temporary(waiting.job, {ErrorCode::stopping, "the daemon is shutting down"}));
}

} // namespace mta
