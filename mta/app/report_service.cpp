// ReportService: see the header.
#include "mta/app/report_service.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "mta/auth/sign_message.hpp"
#include "mta/report/report_settings.hpp"

namespace mta {

namespace {

/// The DKIM-Signature fields of a report; a report that cannot be signed goes unsigned, and that is said.
std::string sign_report(const CurrentSnapshot &snapshot, MailLog &log, std::string_view message, WallTime now) {
  auto fields = sign_message(snapshot.get()->config(), message, now);
  if (fields) return std::move(*fields);
  log.write(Event("dmarc_report", LogLevel::error).with("problem", "not signed: " + fields.error().detail));
  return {};
}

/// For both DNS walks and the consent of one destination.
constexpr auto destination_timeout = std::chrono::seconds(60);

CheckDestination check_with(Resolver &resolver) {
  return [resolver = &resolver](std::string policy_domain, auth::DmarcUri uri) {
    return check_report_destination(resolver, destination_timeout, std::move(policy_domain), std::move(uri));
  };
}

} // namespace

smtp::Result<std::unique_ptr<ReportService>> ReportService::open(Services services, const std::string &folder) {
  DmarcTallyOptions options;
  options.folder = folder;
  auto tally = DmarcTally::open(std::move(options), services.log);
  if (!tally) return tl::unexpected(tally.error());
  return std::unique_ptr<ReportService>(new ReportService(std::move(services), std::move(*tally)));
}

ReportService::ReportService(Services services, std::unique_ptr<DmarcTally> tally)
    : services_(std::move(services)), tally_(std::move(tally)), timer_(ReportTimer::create(context_.get_executor())) {
  reporter_ = std::make_unique<DmarcReporter>(
      DmarcReporter::Services{tally_->days(), check_with(services_.resolver), services_.now});
  submit_ = std::make_unique<SubmitServices>(SubmitServices{
      .spool = services_.spool,
      .log = services_.log,
      .submit = services_.submit,
      .now = services_.now,
      .sign = [this](std::string_view message) {
        return sign_report(services_.snapshot, services_.log, message, services_.now());
      },
      .lifetime = [this] { return services_.snapshot.get()->config().queue.retry.give_up_after; }});
  daily_ = std::make_unique<DailyReportServices>(
      DailyReportServices{.tally = *tally_,
                          .reporter = *reporter_,
                          .submit = *submit_,
                          .log = services_.log,
                          .timer = *timer_,
                          .settings = [this] { return make_report_settings(services_.snapshot.get()->config()); },
                          .now = services_.now,
                          .random = services_.random});
  thread_ = std::thread([this] { run(); });
}

ReportService::~ReportService() {
  stop();
}

void ReportService::run() {
  asio::co_spawn(context_, run_daily_reports(*daily_), asio::detached);
  context_.run();
}

void ReportService::stop() {
  if (!thread_.joinable()) return;
  timer_->cancel();
  context_.stop(); // a question under way may never be answered any more
  thread_.join();
}

} // namespace mta
