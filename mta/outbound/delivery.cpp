#include "mta/outbound/delivery.hpp"

#include <functional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "mta/outbound/deliver_job.hpp"
#include "mta/outbound/load.hpp"

namespace mta {

struct Delivery::Impl {
  explicit Impl(Services given) : services(given) {
    for (std::size_t i = 0; i < services.workers.size(); ++i)
      parts.push_back(std::make_shared<DeliveryWorker>(services, services.workers[i], load, i));
  }

  /// Equal (destination, slot) pairs meet on one worker, so that kept connections are found again; unless the queue
  /// knows where there is one.
  [[nodiscard]] std::size_t choose(const Job &job) const noexcept {
    if (job.worker) return *job.worker % parts.size();
    return (std::hash<std::string>()(job.destination) + job.slot) % parts.size();
  }
  template <typename Act> void on_each(Act act) {
    for (const auto &part : parts) asio::post(part->worker().context, [part, act] { act(part); });
  }

  Services services;
  const std::shared_ptr<OutboundLoad> load = std::make_shared<OutboundLoad>();
  std::vector<std::shared_ptr<DeliveryWorker>> parts; ///< one for each worker
};

Delivery::Delivery(Services services) : impl_(std::make_unique<Impl>(services)) {}
Delivery::~Delivery() = default;

void Delivery::deliver(Job job, std::function<void(JobResult)> done) {
  if (job.destination == reports_destination && impl_->services.reports)
    return impl_->services.reports(std::move(job), std::move(done));
  const auto &part = impl_->parts[impl_->choose(job)];
  ++impl_->load->jobs;
  auto counted = [load = impl_->load, done = std::move(done)](JobResult result) {
    --load->jobs;
    done(std::move(result));
  };
  asio::co_spawn(part->worker().context, deliver_job(part, std::move(job), std::move(counted)), asio::detached);
}

void Delivery::close_idle() {
  impl_->on_each([](const std::shared_ptr<DeliveryWorker> &part) { part->close_idle(); });
}

void Delivery::forget_plans() {
  impl_->on_each([](const std::shared_ptr<DeliveryWorker> &part) { part->forget_plans(); });
}

void Delivery::forget_plans(const std::string &domain) {
  impl_->on_each([domain](const std::shared_ptr<DeliveryWorker> &part) { part->forget_plans(domain); });
}

const OutboundLoad &Delivery::load() const noexcept {
  return *impl_->load;
}

void Delivery::shut_down(std::chrono::seconds grace) {
  impl_->on_each([grace](const std::shared_ptr<DeliveryWorker> &part) { part->stop(part, grace); });
}

bool is_own_destination(const Config &config, std::string_view key) {
  return key.starts_with("route:") || key == reports_destination || config.domains.contains(std::string(key));
}

std::string destination_of(const Config &config, const smtp::Mailbox &recipient) {
  const smtp::Domain *domain = recipient.domain();
  if (domain == nullptr) return recipient.host();
  if (config.is_report_mailbox(recipient)) return std::string(reports_destination);
  if (const policy::Route *route = config.find_route(*domain))
    return "route:" + (route->name.empty() ? route->place : route->name);
  return domain->ascii();
}

} // namespace mta
