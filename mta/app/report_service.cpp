// ReportService: see the header.
#include "mta/app/report_service.hpp"

#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "mta/auth/sign_message.hpp"
#include "mta/report/post_report.hpp"
#include "mta/report/report_settings.hpp"

namespace mta {

namespace {

/// The DKIM-Signature fields of a report; a report that cannot be signed goes unsigned, and that is said. `event` is a
/// literal.
std::string sign_report(const CurrentSnapshot &snapshot, MailLog &log, std::string_view event, std::string_view message,
                        WallTime now) {
  auto fields = sign_message(snapshot.get()->config(), message, now);
  if (fields) return std::move(*fields);
  log.write(Event(event, LogLevel::error).with("problem", "not signed: " + fields.error().detail));
  return {};
}

/// For both DNS walks and the consent of one destination.
constexpr auto destination_timeout = std::chrono::seconds(60);

CheckDestination check_with(Resolver &resolver) {
  return [resolver = &resolver](std::string policy_domain, auth::DmarcUri uri) {
    return check_report_destination(resolver, destination_timeout, std::move(policy_domain), std::move(uri));
  };
}

HttpServices http_services(const Snapshot &snapshot, Resolver &resolver) {
  const Config &config = snapshot.config();
  HttpServices services{resolver, snapshot.client_context(config.outbound.profile, ""),
                        snapshot.trust_store(config.tls_reports.https_trust)};
  services.source_addresses = config.outbound.source_addresses;
  services.ipv4 = config.outbound.ipv4;
  services.ipv6 = config.outbound.ipv6;
  services.only_global = !config.tls_reports.allow_private_addresses;
  return services;
}

} // namespace

smtp::Result<std::unique_ptr<ReportService>> ReportService::open(Services services, const std::string &folder) {
  DmarcTallyOptions options;
  options.folder = folder;
  auto dmarc = DmarcTally::open(std::move(options), services.log);
  if (!dmarc) return tl::unexpected(dmarc.error());
  TlsrptTallyOptions tls_options;
  tls_options.folder = folder;
  tls_options.is_counting = [snapshot = &services.snapshot] { return snapshot->get()->config().tls_reports.enabled; };
  auto tls = TlsrptTally::open(std::move(tls_options), services.log);
  if (!tls) return tl::unexpected(tls.error());
  return std::unique_ptr<ReportService>(new ReportService(std::move(services), std::move(*dmarc), std::move(*tls)));
}

ReportService::ReportService(Services services, std::unique_ptr<DmarcTally> dmarc, std::unique_ptr<TlsrptTally> tls)
    : services_(std::move(services)), dmarc_(std::move(dmarc)), tls_(std::move(tls)),
      dmarc_timer_(ReportTimer::create(context_.get_executor())),
      tls_timer_(ReportTimer::create(context_.get_executor())),
      dmarc_reporter_({dmarc_->days(), check_with(services_.resolver), services_.now}),
      tls_reporter_({tls_->days(),
                     [resolver = &services_.resolver](std::string name) { return resolver->txt(std::move(name)); },
                     services_.now}),
      dmarc_submit_(make_submit("dmarc_report")), tls_submit_(make_submit("tls_report")), dmarc_daily_(make_dmarc()),
      tls_daily_(make_tls()) {
  thread_ = std::thread([this] { run(); });
}

ReportService::~ReportService() {
  stop();
}

std::unique_ptr<SubmitServices> ReportService::make_submit(std::string_view event) {
  return std::make_unique<SubmitServices>(
      SubmitServices{.spool = services_.spool,
                     .log = services_.log,
                     .submit = services_.submit,
                     .now = services_.now,
                     .sign =
                         [this, event](std::string_view message) {
                           return sign_report(services_.snapshot, services_.log, event, message, services_.now());
                         },
                     .lifetime = [this] { return services_.snapshot.get()->config().queue.retry.give_up_after; }});
}

std::unique_ptr<DailyReportServices> ReportService::make_dmarc() {
  const auto settings = [this] { return make_report_settings(services_.snapshot.get()->config()); };
  return std::make_unique<DailyReportServices>(DailyReportServices{
      .kind = ReportKind::dmarc,
      .tally = dmarc_->tally(),
      .run = [this, settings](UtcDay day, ReportScope scope,
                              TakeReport take) { return dmarc_reporter_.run(day, settings(), scope, std::move(take)); },
      .submit = *dmarc_submit_,
      .post = {},
      .log = services_.log,
      .timer = *dmarc_timer_,
      .settings = settings,
      .now = services_.now,
      .random = services_.random});
}

std::unique_ptr<DailyReportServices> ReportService::make_tls() {
  const auto settings = [this] { return make_tls_report_settings(services_.snapshot.get()->config()); };
  return std::make_unique<DailyReportServices>(DailyReportServices{
      .kind = ReportKind::tls,
      .tally = tls_->tally(),
      .run = [this, settings](UtcDay day, ReportScope scope,
                              TakeReport take) { return tls_reporter_.run(day, settings(), scope, std::move(take)); },
      .submit = *tls_submit_,
      .post =
          [this](Url url, std::string body) {
            const auto snapshot = services_.snapshot.get();
            return post_report(http_services(*snapshot, services_.resolver), std::move(url), std::move(body));
          },
      .log = services_.log,
      .timer = *tls_timer_,
      .settings = settings,
      .now = services_.now,
      .random = services_.random});
}

void ReportService::run() {
  asio::co_spawn(context_, run_daily_reports(*dmarc_daily_), asio::detached);
  asio::co_spawn(context_, run_daily_reports(*tls_daily_), asio::detached);
  context_.run();
}

void ReportService::stop() {
  if (!thread_.joinable()) return;
  dmarc_timer_->cancel();
  tls_timer_->cancel();
  context_.stop(); // a question under way may never be answered any more
  thread_.join();
}

} // namespace mta
