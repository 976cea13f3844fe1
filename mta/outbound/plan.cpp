// Plan: see plan.hpp.
#include "mta/outbound/plan.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace mta {

std::string Plan::connection_key(const NextHost &host) const {
  return fmt::format("{}:{}\n{}", host.name, host.port, requirement_key);
}

bool Plan::may_fall_back() const noexcept {
  return required().level == tls::Level::opportunistic && !required().implicit_tls;
}

std::chrono::seconds cache_lifetime(std::chrono::seconds ttl) noexcept {
  return std::clamp(ttl, std::chrono::seconds(5), std::chrono::seconds(300));
}

namespace {

smtp::StartTlsUse starttls_use(const policy::Requirement &requirement) {
  if (requirement.implicit_tls) return smtp::StartTlsUse::never;
  switch (requirement.level) {
  case tls::Level::none: return smtp::StartTlsUse::never;
  case tls::Level::opportunistic: return smtp::StartTlsUse::if_offered;
  case tls::Level::encrypted:
  case tls::Level::authenticated:
  case tls::Level::dane: return smtp::StartTlsUse::required;
  }
  return smtp::StartTlsUse::required;
}

} // namespace

smtp::Result<std::shared_ptr<const Plan>> make_plan(std::shared_ptr<const Snapshot> snapshot,
                                                    const smtp::Mailbox &recipient, HostList hosts,
                                                    std::chrono::system_clock::time_point now) {
  auto plan = std::make_shared<Plan>();
  plan->snapshot = std::move(snapshot);
  plan->domain = recipient.host();
  plan->hosts = std::move(hosts);
  if (const smtp::Domain *domain = recipient.domain()) {
    plan->decision = decide_for(plan->config(), *domain, plan->hosts, now);
  } else {
    plan->decision = decide_for_literal(plan->config());
  }
  const auto &required = plan->required();
  plan->requirement_key = policy::requirement_key(required);
  plan->starttls = starttls_use(required);
  if (required.level != tls::Level::none || required.implicit_tls) {
    plan->context = plan->snapshot->client_context(required.profile, required.client_certificate);
    if (!plan->context)
      return smtp::fail(smtp::ErrorCode::not_found, fmt::format("no TLS context for profile {} and certificate \"{}\"",
                                                                required.profile, required.client_certificate));
    plan->trust = plan->snapshot->trust_store(required.trust);
    if (!plan->trust)
      return smtp::fail(smtp::ErrorCode::not_found, fmt::format("trust store {} is not loaded", required.trust));
  }
  if (plan->decision.observed) plan->observed_trust = plan->snapshot->trust_store(plan->decision.observed->trust);
  return std::shared_ptr<const Plan>(std::move(plan));
}

} // namespace mta
