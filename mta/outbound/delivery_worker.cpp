#include "mta/outbound/delivery_worker.hpp"

#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <fmt/format.h>

#include "mta/outbound/outcome.hpp"
#include "mta/outbound/session_io.hpp"

namespace mta {

namespace {

/// Kept connections of one worker, whatever the configuration's limits are.
constexpr std::size_t pool_limit = 1000;

/// Plans differ by what messages ask for. No host name holds a space.
std::string plan_key(std::string host, const MessageWish &wish) {
  if (wish.wish != policy::Wish::none) (host += ' ') += policy::to_string(wish.wish);
  if (wish.wish == policy::Wish::require_tls && wish.is_notice) host += " notice";
  return host;
}

std::string host_key(const Plan &plan, const NextHost &host) {
  return fmt::format("{} {} {}", plan_key(plan.domain, plan.wish), host.name, host.port);
}

} // namespace

DeliveryWorker::DeliveryWorker(const Delivery::Services &services, Worker &worker, std::shared_ptr<OutboundLoad> load,
                               std::size_t number)
    : services_(services), sources_{services.resolver, services.sts, services.memory, services.dns_validates},
      worker_(worker), load_(std::move(load)), number_(number), pool_(pool_limit), pool_timer_(worker.context),
      stop_timer_(worker.context), random_(std::random_device()()), random_index_([this](std::size_t n) {
        return n < 2 ? 0 : std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
      }) {}

DeliveryWorker::JobHandle DeliveryWorker::begin_job(Job job, std::function<void(JobResult)> done) {
  return jobs_.insert(jobs_.end(), ActiveJob{std::move(job), std::move(done), {}});
}

void DeliveryWorker::end_job(JobHandle handle, JobResult result) {
  auto done = std::move(handle->done);
  jobs_.erase(handle);
  if (stopping_ && jobs_.empty()) stop_timer_.cancel(); // the context need not wait for it
  if (done) done(std::move(result));
}

Task<GatheredPlan> DeliveryWorker::plan_for(smtp::Mailbox recipient, MessageWish wish) {
  auto snapshot = services_.snapshot.get();
  const std::string name = plan_key(recipient.host(), wish);
  // What an operator said for one message is nobody else's.
  const bool shared = !wish.override_;
  if (shared)
    if (const auto *cached = plans_.find(name, std::chrono::steady_clock::now());
        cached && (*cached)->snapshot == snapshot && is_current(sources_, **cached)) {
      GatheredPlan known{*cached, std::nullopt};
      co_return known;
    }
  auto gathered =
      co_await gather_plan(sources_, std::move(snapshot), std::move(recipient), std::move(wish), random_index_);
  if (shared && !gathered.failure)
    plans_.put(name, gathered.plan, lifetime_of(*gathered.plan), std::chrono::steady_clock::now());
  co_return gathered;
}

const std::shared_ptr<const HostPlan> *DeliveryWorker::find_host_plan(const Plan &plan, const NextHost &host) {
  if (plan.wish.override_) return nullptr;
  const auto *cached = host_plans_.find(host_key(plan, host), std::chrono::steady_clock::now());
  return cached != nullptr && (*cached)->plan.get() == &plan ? cached : nullptr;
}

Task<smtp::Result<std::shared_ptr<const HostPlan>>> DeliveryWorker::host_plan_for(std::shared_ptr<const Plan> plan,
                                                                                  NextHost host) {
  if (is_current(sources_, *plan))
    if (const auto *cached = find_host_plan(*plan, host)) co_return *cached;
  const std::string key = host_key(*plan, host);
  const bool shared = !plan->wish.override_;
  auto made = co_await gather_host_plan(sources_, std::move(plan), std::move(host));
  // What failed is asked for again at the next try.
  if (made && shared && !(*made)->addresses.addresses.empty() &&
      (*made)->dane.state != policy::DaneFacts::State::failed)
    host_plans_.put(key, *made, lifetime_of(**made), std::chrono::steady_clock::now());
  co_return made;
}

DeliveryWorker::Kept DeliveryWorker::take_kept(const Plan &plan) {
  if (pool_.size() == 0) return {};
  for (const auto &host : plan.hosts.hosts) {
    const auto *known = find_host_plan(plan, host);
    if (known == nullptr || (*known)->decision.unusable) continue;
    const std::shared_ptr<const HostPlan> host_plan = *known;
    if (auto connection = take_kept(*host_plan)) return {host_plan, std::move(connection)};
  }
  return {};
}

std::unique_ptr<Connection> DeliveryWorker::take_kept(const HostPlan &plan) {
  while (auto connection = pool_.take(plan.connection_key)) {
    load_->note_not_kept(connection->address.address, number_);
    if (is_alive(*connection)) return connection;
    connection->stream.close();
  }
  return nullptr;
}

void DeliveryWorker::put_back(const std::shared_ptr<DeliveryWorker> &self, std::unique_ptr<Connection> connection,
                              const OutboundConfig &config) {
  // A connection in clear after a failed STARTTLS was for one message: the next one tries TLS again. What is kept and
  // what says good-bye counts as connections do.
  const bool keep = !is_spent(*connection, config) && !connection->fallback && !stopping_ &&
                    config.idle_timeout.count() > 0 && load_->connections() <= config.connections;
  if (!keep) return dismiss(std::move(connection));
  load_->note_kept(connection->address.address, number_);
  if (auto evicted = pool_.keep(std::move(connection), std::chrono::steady_clock::now())) {
    load_->note_not_kept(evicted->address.address, number_);
    dismiss(std::move(evicted));
  }
  arm_pool_timer(self, config.idle_timeout);
}

namespace {

/// What says QUIT at once, of all workers; further connections end without it.
constexpr std::size_t closing_limit = 100;

Task<void> say_goodbye_counted(std::unique_ptr<Connection> connection, std::span<char> scratch,
                               std::shared_ptr<OutboundLoad> load) {
  co_await say_goodbye(std::move(connection), scratch);
  --load->closing;
}

} // namespace

void DeliveryWorker::dismiss(std::unique_ptr<Connection> connection) {
  load_->note_ended(connection->hold.address());
  connection->hold.release(); // it counts as closing now, whatever its host makes of QUIT
  if (load_->closing >= closing_limit) {
    connection->stream.close();
    return;
  }
  ++load_->closing;
  asio::co_spawn(worker_.context, say_goodbye_counted(std::move(connection), worker_.scratch, load_), asio::detached);
}

bool DeliveryWorker::make_room_at(const smtp::IpAddress &address) {
  auto idle = pool_.take_idle_at(address);
  if (!idle) return false;
  load_->note_not_kept(idle->address.address, number_);
  dismiss(std::move(idle));
  return true;
}

std::string DeliveryWorker::resume_at(const std::string &domain) {
  const auto *host = resume_at_.find(domain, std::chrono::steady_clock::now());
  return host != nullptr ? *host : std::string();
}

void DeliveryWorker::note_resume(const std::string &domain, std::string host) {
  if (host.empty() && resume_at(domain).empty()) return;
  resume_at_.put(domain, std::move(host), std::chrono::hours(24), std::chrono::steady_clock::now());
}

void DeliveryWorker::arm_pool_timer(const std::shared_ptr<DeliveryWorker> &self, std::chrono::seconds idle_timeout) {
  if (pool_timer_armed_) return;
  pool_timer_armed_ = true;
  pool_timer_.expires_after(std::min(idle_timeout, std::chrono::seconds(1)));
  pool_timer_.async_wait([self, idle_timeout](const boost::system::error_code &error) {
    self->pool_timer_armed_ = false;
    if (error) return;
    for (auto &idle : self->pool_.take_idle(std::chrono::steady_clock::now() - idle_timeout)) {
      self->load_->note_not_kept(idle->address.address, self->number_);
      self->dismiss(std::move(idle));
    }
    if (self->pool_.size() > 0) self->arm_pool_timer(self, idle_timeout);
  });
}

void DeliveryWorker::close_idle() {
  for (auto &idle : pool_.take_all()) {
    load_->note_not_kept(idle->address.address, number_);
    dismiss(std::move(idle));
  }
  pool_timer_.cancel();
  forget_plans();
}

void DeliveryWorker::forget_plans() {
  plans_.clear();
  host_plans_.clear();
}

void DeliveryWorker::forget_plans(const std::string &domain) {
  // As plan_key() and host_key() begin.
  const auto is_meant = [&](const std::string &name) {
    return name.starts_with(domain) && (name.size() == domain.size() || name[domain.size()] == ' ');
  };
  plans_.erase_if(is_meant);
  host_plans_.erase_if(is_meant);
}

void DeliveryWorker::stop(const std::shared_ptr<DeliveryWorker> &self, std::chrono::seconds grace) {
  stopping_ = true;
  close_idle();
  if (jobs_.empty()) return;
  stop_timer_.expires_after(grace);
  stop_timer_.async_wait([self](const boost::system::error_code &error) {
    if (!error) self->stop_hard();
  });
}

void DeliveryWorker::stop_hard() {
  stopped_hard_ = true;
  for (auto &active : jobs_) {
    if (active.active.connection != nullptr) {
      active.active.connection->stream.expire(); // its coroutine reports what came of it
      continue;
    }
    // It waits for an address or a connection, which may take longer than we have.
    JobResult result;
    result.number = active.job.number;
    result.destination = active.job.destination;
    for (const auto index : active.job.recipients)
      result.results.push_back(to_local_failure(index, "the daemon is shutting down"));
    if (auto done = std::exchange(active.done, nullptr)) done(std::move(result));
  }
}

} // namespace mta
