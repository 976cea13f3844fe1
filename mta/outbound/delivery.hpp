// Delivery: carries out jobs: hosts, TLS decision, connection (new or kept), judgement before MAIL, transaction, outcome.
#pragma once

#include <functional>
#include <memory>

#include "mta/config/snapshot.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/net/workers.hpp"
#include "mta/queue/job.hpp"
#include "mta/spool/spool.hpp"

namespace mta {

/// Thread-safe. Everything referred to must outlive it; shut_down() and the end of the workers come before its destruction.
class Delivery {
public:
  struct Services {
    Workers &workers;
    CurrentSnapshot &snapshot;
    Resolver &resolver;
    Spool &spool;
    MailLog &log;
  };
  explicit Delivery(Services services);
  ~Delivery();

  /// mta::Deliver: runs on the worker that (destination, slot) chooses; `done` is called exactly once.
  void deliver(Job job, std::function<void(JobResult)> done);
  /// Forgets kept connections whose requirement no longer holds (reload) by closing all idle ones.
  void close_idle();
  /// Idle connections are closed with QUIT; running jobs end when their transaction does, or at `hard` time as temporary failures.
  void shut_down(std::chrono::seconds grace);

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The key under which recipients of one next hop are grouped (mta::DestinationOf).
[[nodiscard]] std::string destination_of(const Config &config, const smtp::Mailbox &recipient);

} // namespace mta
