// DeliveryWorker: one worker thread's part of outbound delivery: its jobs, kept connections and caches.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <random>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "mta/outbound/connection_pool.hpp"
#include "mta/outbound/delivery.hpp"
#include "mta/outbound/find_hosts.hpp"
#include "mta/outbound/open.hpp"
#include "mta/outbound/planning.hpp"

namespace mta {

/// Used on its worker's thread only, but for construction and destruction. The coroutines of its jobs share its
/// ownership.
class DeliveryWorker {
public:
  /// `number` is this worker's among those of the delivery, from 0.
  DeliveryWorker(const Delivery::Services &services, Worker &worker, std::shared_ptr<OutboundLoad> load,
                 std::size_t number);
  DeliveryWorker(const DeliveryWorker &) = delete;
  DeliveryWorker &operator=(const DeliveryWorker &) = delete;

  /// One job under way. `done` is called once, by whoever ends it first: its coroutine, or the hard stop.
  struct ActiveJob {
    Job job;
    std::function<void(JobResult)> done;
    ActiveConnection active;
  };
  using JobHandle = std::list<ActiveJob>::iterator;
  [[nodiscard]] JobHandle begin_job(Job job, std::function<void(JobResult)> done);
  void end_job(JobHandle handle, JobResult result);

  /// The plan for mail with this wish to this recipient under the configuration in force; from the cache while its time
  /// lasts. What failed is not kept.
  [[nodiscard]] Task<GatheredPlan> plan_for(smtp::Mailbox recipient, MessageWish wish);
  /// One host of the plan with its addresses, TLSA records and the decision; from the cache while its time lasts.
  [[nodiscard]] Task<smtp::Result<std::shared_ptr<const HostPlan>>> host_plan_for(std::shared_ptr<const Plan> plan,
                                                                                  NextHost host);

  /// A kept connection to one of the plan's hosts that satisfied the same requirement and lives, with what is settled
  /// for the host; nulls if there is none.
  struct Kept {
    std::shared_ptr<const HostPlan> plan;
    std::unique_ptr<Connection> connection;
  };
  [[nodiscard]] Kept take_kept(const Plan &plan);
  /// One that satisfied the same requirement at this host, perhaps for another domain.
  [[nodiscard]] std::unique_ptr<Connection> take_kept(const HostPlan &plan);
  /// Keeps it for the next message, or says goodbye when it has served enough.
  void put_back(const std::shared_ptr<DeliveryWorker> &self, std::unique_ptr<Connection> connection,
                const OutboundConfig &config);
  /// With QUIT, as far as not too many say it at once. Its place at its address is free at once.
  void dismiss(std::unique_ptr<Connection> connection);
  /// Dismisses an idle connection to this address that served other domains or demands; false: there is none.
  [[nodiscard]] bool make_room_at(const smtp::IpAddress &address);
  [[nodiscard]] std::size_t number() const noexcept { return number_; }

  void close_idle();
  /// Every plan is made anew; connections stay.
  void forget_plans();
  /// Those of mail to this domain.
  void forget_plans(const std::string &domain);
  /// No further job begins; those that run after `grace` are ended.
  void stop(const std::shared_ptr<DeliveryWorker> &self, std::chrono::seconds grace);
  [[nodiscard]] bool is_stopping() const noexcept { return stopping_; }
  /// mta::is_current() of the plan.
  [[nodiscard]] bool is_current(const Plan &plan) const { return mta::is_current(sources_, plan); }
  [[nodiscard]] bool is_stopped_hard() const noexcept { return stopped_hard_; }

  /// By which host the last try for the domain was cut short; empty: it was not.
  [[nodiscard]] std::string resume_at(const std::string &domain);
  void note_resume(const std::string &domain, std::string host);

  [[nodiscard]] const std::shared_ptr<OutboundLoad> &load() const noexcept { return load_; }
  [[nodiscard]] const Delivery::Services &services() const noexcept { return services_; }
  [[nodiscard]] Worker &worker() noexcept { return worker_; }

private:
  [[nodiscard]] const std::shared_ptr<const HostPlan> *find_host_plan(const Plan &plan, const NextHost &host);
  void stop_hard();
  void arm_pool_timer(const std::shared_ptr<DeliveryWorker> &self, std::chrono::seconds idle_timeout);

  const Delivery::Services services_;
  const PolicySources sources_;
  Worker &worker_;
  const std::shared_ptr<OutboundLoad> load_;
  const std::size_t number_;
  ConnectionPool pool_;
  asio::steady_timer pool_timer_;
  asio::steady_timer stop_timer_;
  bool pool_timer_armed_ = false;
  TimedCache<std::shared_ptr<const Plan>> plans_;
  TimedCache<std::shared_ptr<const HostPlan>> host_plans_;
  TimedCache<std::string> resume_at_;
  std::list<ActiveJob> jobs_;
  std::mt19937_64 random_;
  RandomIndex random_index_;
  bool stopping_ = false;
  bool stopped_hard_ = false;
};

} // namespace mta
