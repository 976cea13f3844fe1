#include "mta/outbound/planning.hpp"

#include <algorithm>

#include "mta/outbound/find_dane.hpp"

namespace mta {

namespace {
/// A burst of messages asks once; what failed is asked for again by the next.
constexpr std::chrono::seconds failed_lifetime{5};
} // namespace

Task<GatheredPlan> gather_plan(const PolicySources &sources, std::shared_ptr<const Snapshot> snapshot,
                               smtp::Mailbox recipient, MessageWish wish, const RandomIndex &random) {
  GatheredPlan gathered;
  PlanSources known;
  known.wish = std::move(wish);
  if (const smtp::Domain *domain = recipient.domain()) {
    auto found = co_await find_hosts(snapshot->config(), sources.resolver, *domain, random);
    if (found)
      known.hosts = std::move(*found);
    else
      gathered.failure = std::move(found.error());
    if (known.hosts.route == nullptr) {
      // RFC 8461 section 3.1: the recipient's domain, never a CNAME target or an MX.
      if (sources.sts != nullptr && snapshot->config().mta_sts.enabled) {
        auto sts = co_await sources.sts->find(domain->ascii());
        known.sts = std::move(sts);
      }
      if (sources.memory != nullptr) known.memory = sources.memory->recall(domain->ascii());
    }
  } else {
    known.hosts = hosts_of_literal(snapshot->config(), *recipient.literal());
  }
  gathered.plan = make_plan(std::move(snapshot), recipient, std::move(known), std::chrono::system_clock::now());
  co_return gathered;
}

bool is_current(const PolicySources &sources, const Plan &plan) {
  if (sources.memory == nullptr || plan.hosts.route != nullptr || !plan.recipient_domain) return true;
  // The memory says nothing of domains that it does not protect; to ask it for each message would cost a lock.
  const auto &patterns = plan.config().tls_memory.protect;
  if (!plan.memory.protect && std::none_of(patterns.begin(), patterns.end(), [&](const smtp::DomainPattern &pattern) {
        return pattern.matches(*plan.recipient_domain);
      }))
    return true;
  return sources.memory->recall(plan.recipient_domain->ascii()).protect == plan.memory.protect;
}

Task<smtp::Result<std::shared_ptr<const HostPlan>>> gather_host_plan(const PolicySources &sources,
                                                                     std::shared_ptr<const Plan> plan, NextHost host) {
  const Config &config = plan->config();
  auto addresses = co_await find_addresses(config, sources.resolver, host);
  policy::DaneFacts dane;
  if (config.outbound.dane && config.dns.dnssec && !addresses.addresses.empty()) {
    if (sources.dns_validates && !sources.dns_validates()) {
      dane.detail = "the resolver does not validate DNSSEC";
    } else {
      DaneQuestion question{host, plan->hosts.trust, addresses, plan->domain};
      auto found = co_await find_dane(sources.resolver, std::move(question));
      dane = std::move(found);
    }
  }
  if (!is_current(sources, *plan))
    plan =
        with_memory(*plan, sources.memory->recall(plan->recipient_domain->ascii()), std::chrono::system_clock::now());
  auto made = make_host_plan(std::move(plan), std::move(host), std::move(addresses), std::move(dane),
                             std::chrono::system_clock::now());
  co_return made;
}

std::chrono::seconds lifetime_of(const Plan &plan) noexcept {
  if (plan.sts.state == policy::StsFacts::State::failed) return failed_lifetime;
  return cache_lifetime(plan.hosts.ttl);
}

std::chrono::seconds lifetime_of(const HostPlan &plan) noexcept {
  if (plan.addresses.partial) return failed_lifetime;
  auto ttl = plan.addresses.ttl;
  if (plan.dane.ttl.count() > 0) ttl = std::min(ttl, plan.dane.ttl);
  return cache_lifetime(ttl);
}

} // namespace mta
