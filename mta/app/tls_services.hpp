// TlsServices: what the daemon knows of others' TLS: MTA-STS policies, memory, evidence, decisions, the resolver's
// truth test.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "mta/config/snapshot.hpp"
#include "mta/crl/crl_fetcher.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/dns/resolver_health.hpp"
#include "mta/dns/truth_test.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/outbound/planning.hpp"
#include "mta/sts/sts_service.hpp"
#include "mta/tally/decision_log.hpp"
#include "mta/tally/partner_watch.hpp"
#include "mta/tally/tls_evidence.hpp"
#include "mta/tally/tls_memory.hpp"

namespace mta {

/// Hands each session to all who count.
class ObserverList final : public TlsObserver {
public:
  /// Before the first session; it must outlive the list.
  void add(TlsObserver *observer) {
    if (observer != nullptr) observers_.push_back(observer);
  }
  void session(const std::shared_ptr<const TlsSession> &session) override;
  void messages(const std::shared_ptr<const TlsSession> &session, std::string_view domain,
                std::uint32_t count) override;

private:
  std::vector<TlsObserver *> observers_;
};

class TlsServices {
public:
  /// All must outlive the services; `executor` runs on one thread, which strangers' servers may keep busy.
  struct Needs {
    CurrentSnapshot &snapshot;
    Resolver &resolver;
    MailLog &log;
    asio::any_io_executor executor;
    store::Store &store;
    /// Files of revocation lists have changed: the trust stores are to be read anew. On the executor.
    std::function<void()> lists_changed;
    /// The MTA-STS record of the domain was waited for in vain: its mail may go on. On the executor.
    std::function<void(std::string domain)> sts_passed_over;
    /// Of the checks: it uses the same forwarders. May be null.
    Resolver *check_resolver = nullptr;
  };
  /// Reads what the spool's folders keep. Errors: a folder, a file, or a store that cannot be used.
  [[nodiscard]] static smtp::Result<std::unique_ptr<TlsServices>> open(Needs needs);
  ~TlsServices();

  /// Background work begins.
  void start();
  /// It ends, and what was counted is written out. The resolver may be gone afterwards.
  void stop();
  /// A new configuration is in force.
  void reconfigure(const Config &config);

  [[nodiscard]] PolicySources sources() noexcept;
  [[nodiscard]] ObserverList &observers() noexcept { return observers_; }
  /// Null: not kept.
  [[nodiscard]] DecisionLog *decisions() noexcept { return decisions_.get(); }
  [[nodiscard]] TlsMemory *memory() noexcept { return memory_.get(); }
  /// Of partners, those that end within 30 days, as the daily look found them.
  [[nodiscard]] std::vector<EndingCertificate> ending_certificates() const { return watch_->ending(); }

  /// What is known of the resolver; nothing before the first round.
  [[nodiscard]] std::optional<HealthReport> resolver_health() const { return health_->last(); }

private:
  explicit TlsServices(Needs needs);

  Needs needs_;
  std::unique_ptr<TruthTest> truth_;
  std::unique_ptr<ResolverHealth> health_;
  std::unique_ptr<StsService> sts_;
  std::unique_ptr<TlsMemory> memory_;
  std::unique_ptr<TlsEvidence> evidence_;
  std::unique_ptr<DecisionLog> decisions_;
  std::unique_ptr<PartnerWatch> watch_;
  std::unique_ptr<CrlFetcher> lists_;
  ObserverList observers_;
};

} // namespace mta
