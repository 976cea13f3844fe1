// Delivery: carries out jobs: hosts, TLS decision, connection (new or kept), judgement before MAIL, transaction,
// outcome.
#pragma once

#include <functional>
#include <memory>

#include "mta/config/snapshot.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/net/workers.hpp"
#include "mta/queue/job.hpp"
#include "mta/spool/spool.hpp"
#include "mta/sts/sts_policies.hpp"
#include "mta/tally/tls_recall.hpp"
#include "mta/tally/tls_session.hpp"

namespace mta {

class DecisionLog;
class OutboundLoad;

/// Thread-safe. Everything referred to must outlive it; shut_down() and the end of the workers come before its
/// destruction.
class Delivery {
public:
  struct Services {
    Workers &workers;
    CurrentSnapshot &snapshot;
    Resolver &resolver;
    Spool &spool;
    MailLog &log;
    StsPolicies *sts = nullptr;            ///< null: MTA-STS is not asked
    TlsRecall *memory = nullptr;           ///< null: nothing is remembered
    TlsObserver *observer = nullptr;       ///< null: nobody counts
    DecisionLog *decisions = nullptr;      ///< null: no record for `explain --message`
    std::function<bool()> dns_validates{}; ///< false: DANE is off; none: it does
    std::function<void(Job, std::function<void(JobResult)>)>
        reports{}; ///< takes the mail of the destination "reports:"
  };
  explicit Delivery(Services services);
  ~Delivery();

  /// mta::Deliver: runs on the worker that (destination, slot) chooses; `done` is called exactly once.
  void deliver(Job job, std::function<void(JobResult)> done);
  /// Forgets kept connections whose requirement no longer holds (new revocation lists, an operator's release) by
  /// closing all idle ones, and every plan.
  void close_idle();
  /// Forgets every plan, and so what failed in one: the next message asks the DNS and the policies anew. Jobs that are
  /// handed over afterwards see it.
  void forget_plans();
  /// Those of mail to this domain; everybody else's stay, and so do kept connections.
  void forget_plans(const std::string &domain);
  /// Idle connections are closed with QUIT; running jobs end when their transaction does, or at `hard` time as
  /// temporary failures.
  void shut_down(std::chrono::seconds grace);

  [[nodiscard]] const OutboundLoad &load() const noexcept;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The destination of mailboxes whose mail is read as reports of others ([received_reports]).
inline constexpr std::string_view reports_destination = "reports:";

/// True for the keys of routes, of [received_reports] and of our own domains.
[[nodiscard]] bool is_own_destination(const Config &config, std::string_view key);

/// The key under which recipients of one next hop are grouped (mta::DestinationOf).
[[nodiscard]] std::string destination_of(const Config &config, const smtp::Mailbox &recipient);

} // namespace mta
