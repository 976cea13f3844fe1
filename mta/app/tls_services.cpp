#include "mta/app/tls_services.hpp"

#include "mta/report/report_settings.hpp"

namespace mta {

void ObserverList::session(const std::shared_ptr<const TlsSession> &session) {
  for (TlsObserver *observer : observers_) observer->session(session);
}

void ObserverList::messages(const std::shared_ptr<const TlsSession> &session, std::string_view domain,
                            std::uint32_t count) {
  for (TlsObserver *observer : observers_) observer->messages(session, domain, count);
}

TlsServices::TlsServices(Needs needs) : needs_(std::move(needs)) {}
TlsServices::~TlsServices() = default;

smtp::Result<std::unique_ptr<TlsServices>> TlsServices::open(Needs needs) {
  auto services = std::unique_ptr<TlsServices>(new TlsServices(std::move(needs)));
  const Needs &with = services->needs_;
  const auto config = with.snapshot.get()->config_pointer();
  const std::string folder = tally_folder(*config);
  services->truth_ = std::make_unique<TruthTest>(with.resolver, config->dns.truth_test, with.log, with.executor);
  CurrentSnapshot &in_force = with.snapshot;
  std::vector<Resolver *> followers{&with.resolver};
  if (with.check_resolver != nullptr) followers.push_back(with.check_resolver);
  services->health_ = std::make_unique<ResolverHealth>(
      ResolverHealth::Services{with.resolver, with.log, with.executor, config->dns.resolvers, std::move(followers),
                               [&in_force] { return health_names(in_force.get()->config()); }});
  const auto now = [] { return std::chrono::system_clock::now(); };
  StsService::Services sts_needs{with.snapshot, with.resolver, with.log, with.executor, with.store, now};
  sts_needs.passed_over = with.sts_passed_over;
  auto sts = StsService::open(std::move(sts_needs));
  if (!sts) return tl::unexpected(std::move(sts.error()));
  services->sts_ = std::move(*sts);
  if (config->tls_memory.enabled) {
    auto memory = TlsMemory::open({}, with.store, config->tls_memory, with.log);
    if (!memory) return tl::unexpected(std::move(memory.error()));
    services->memory_ = std::move(*memory);
    services->observers_.add(services->memory_.get());
  }
  if (config->tls_evidence.enabled) {
    auto evidence = TlsEvidence::open({.folder = folder, .day_limit = config->tls_evidence.day_limit}, with.log);
    if (!evidence) return tl::unexpected(std::move(evidence.error()));
    services->evidence_ = std::move(*evidence);
    services->observers_.add(services->evidence_.get());
    auto decisions = DecisionLog::open({.folder = folder, .day_limit = config->tls_evidence.day_limit}, with.log);
    if (!decisions) return tl::unexpected(std::move(decisions.error()));
    services->decisions_ = std::move(*decisions);
  }
  CurrentSnapshot &snapshot = with.snapshot;
  services->watch_ = std::make_unique<PartnerWatch>(
      PartnerWatch::Services{with.log, [&snapshot] { return snapshot.get()->config_pointer(); }, folder});
  services->observers_.add(services->watch_.get());
  services->lists_ = std::make_unique<CrlFetcher>(
      CrlFetcher::Services{with.snapshot, with.resolver, with.log, with.executor, with.store, now, with.lists_changed});
  return services;
}

void TlsServices::start() {
  truth_->start();
  health_->start();
  sts_->start();
  watch_->start();
  lists_->start();
}

void TlsServices::stop() {
  truth_->stop();
  health_->stop();
  sts_->stop();
  lists_->stop();
  watch_->stop();
  if (evidence_) (void)evidence_->flush();   // what fails is in the log
  if (decisions_) (void)decisions_->flush(); // likewise
}

void TlsServices::reconfigure(const Config &config) {
  if (memory_) memory_->configure(config.tls_memory);
  watch_->reconfigured();
}

PolicySources TlsServices::sources() noexcept {
  return {needs_.resolver, sts_.get(), memory_.get(), [this] { return truth_->validates(); }};
}

} // namespace mta
