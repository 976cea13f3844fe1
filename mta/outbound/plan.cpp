#include "mta/outbound/plan.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "mta/outbound/decision_text.hpp"
#include "policy/chain_judgement.hpp"

namespace mta {

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

policy::OutboundDefaults defaults_of(const Plan &plan) {
  if (plan.recipient_domain) return plan.config().outbound_defaults(*plan.recipient_domain);
  policy::OutboundDefaults defaults;
  defaults.level = plan.config().outbound.level;
  defaults.profile = plan.config().outbound.profile;
  return defaults;
}

} // namespace

MessageWish wish_of(const QueuedMessage &message) {
  MessageWish wish;
  wish.override_ = message.tls_override;
  wish.is_notice = message.envelope.sender.path.is_null();
  if (message.envelope.is_tls_report)
    wish.wish = policy::Wish::report;
  else if (message.envelope.sender.parameters.requiretls)
    wish.wish = policy::Wish::require_tls; // RFC 8689 section 4.1: it outranks the header field
  else if (message.envelope.tls_optional)
    wish.wish = message.envelope.from_outside ? policy::Wish::tls_optional_outside : policy::Wish::tls_optional;
  return wish;
}

std::chrono::seconds cache_lifetime(std::chrono::seconds ttl) noexcept {
  return std::clamp(ttl, std::chrono::seconds(5), std::chrono::seconds(300));
}

policy::Decision decide_for(const Plan &plan, const std::string &host, const policy::DaneFacts &dane,
                            std::chrono::system_clock::time_point now) {
  policy::TlsSources sources;
  sources.partners = &plan.config().partners;
  sources.domain = plan.recipient_domain ? &*plan.recipient_domain : nullptr;
  sources.defaults = defaults_of(plan);
  sources.route = plan.hosts.route;
  sources.host = host;
  sources.mx_trust = plan.hosts.trust;
  sources.dane = dane;
  sources.sts = plan.sts;
  sources.memory = plan.memory;
  sources.wish = plan.wish.wish;
  sources.override_ = plan.wish.override_;
  sources.now = now;
  policy::Decision decision = policy::decide_tls(sources);
  if (plan.wish.is_notice) decision.enforced.requiretls = false;
  return decision;
}

namespace {

/// What the configuration, the domain's policy and the memory say, over the first host.
void decide(Plan &plan, std::chrono::system_clock::time_point now) {
  plan.decision = decide_for(plan, plan.hosts.hosts.empty() ? std::string() : plan.hosts.hosts.front().name, {}, now);
  plan.requirement_key = policy::requirement_key(plan.required());
}

} // namespace

std::shared_ptr<const Plan> make_plan(std::shared_ptr<const Snapshot> snapshot, const smtp::Mailbox &recipient,
                                      PlanSources sources, std::chrono::system_clock::time_point now) {
  auto plan = std::make_shared<Plan>();
  plan->snapshot = std::move(snapshot);
  if (const smtp::Domain *domain = recipient.domain()) plan->recipient_domain = *domain;
  plan->domain = recipient.host();
  plan->hosts = std::move(sources.hosts);
  plan->wish = std::move(sources.wish);
  plan->sts = std::move(sources.sts);
  plan->memory = std::move(sources.memory);
  decide(*plan, now);
  return plan;
}

std::shared_ptr<const Plan> with_memory(const Plan &plan, policy::MemoryFacts memory,
                                        std::chrono::system_clock::time_point now) {
  auto changed = std::make_shared<Plan>(plan);
  changed->memory = std::move(memory);
  decide(*changed, now);
  return changed;
}

bool HostPlan::may_fall_back() const noexcept {
  return policy::allows_clear_text(required()) && starttls == smtp::StartTlsUse::if_offered;
}

namespace {

bool may_use_tls(const policy::Requirement &required) {
  return required.level != tls::Level::none || required.implicit_tls;
}

/// The stores of everyone whose proof must hold beside that of the requirement itself.
NamedStores find_stores(const policy::Decision &decision, const Snapshot &snapshot) {
  NamedStores stores;
  const auto add = [&](const policy::CertificateDemand &demand) {
    std::string key = policy::trust_key(demand.trust, demand.crls);
    for (const auto &known : stores)
      if (known.first == key) return;
    stores.emplace_back(std::move(key), snapshot.trust_store(demand.trust, demand.crls));
  };
  for (const auto &demand : decision.enforced.also) add(demand);
  if (decision.observed)
    for (const auto &demand : decision.observed->also) add(demand);
  if (decision.partner_level >= tls::Level::authenticated) add(decision.partner_demand);
  return stores;
}

/// Sets what connections are made with, as `required()` has it; the context is null where the snapshot has none.
void set_connection(HostPlan &made) {
  const auto &required = made.required();
  made.connection_key = fmt::format("{}:{}\n{}", made.host.name, made.host.port, policy::requirement_key(required));
  made.starttls = starttls_use(required);
  if (may_use_tls(required))
    made.context = made.plan->snapshot->client_context(required.profile, required.client_certificate);
}

} // namespace

smtp::Result<std::shared_ptr<const HostPlan>> make_host_plan(std::shared_ptr<const Plan> plan, NextHost host,
                                                             HostAddresses addresses, policy::DaneFacts dane,
                                                             std::chrono::system_clock::time_point now) {
  auto made = std::make_shared<HostPlan>();
  made->plan = std::move(plan);
  made->host = std::move(host);
  made->addresses = std::move(addresses);
  made->dane = std::move(dane);
  made->decision = decide_for(*made->plan, made->host.name, made->dane, now);
  made->decision_text = std::make_shared<const std::string>(format_decision(*made));
  const auto &required = made->required();
  set_connection(*made);
  const Snapshot &snapshot = *made->plan->snapshot;
  made->system_trust = snapshot.trust_store("system", {});
  if (may_use_tls(required)) {
    if (!made->context)
      return smtp::fail(smtp::ErrorCode::not_found, fmt::format("no TLS context for profile {} and certificate \"{}\"",
                                                                required.profile, required.client_certificate));
    made->trust = snapshot.trust_store(required.trust, required.crls);
    if (!made->trust)
      return smtp::fail(smtp::ErrorCode::not_found, fmt::format("trust store {} is not loaded", required.trust));
  }
  if (const auto &observed = made->decision.observed)
    made->observed_trust = snapshot.trust_store(observed->trust, observed->crls);
  made->stores = find_stores(made->decision, snapshot);
  return std::shared_ptr<const HostPlan>(std::move(made));
}

std::shared_ptr<const HostPlan> make_observed_plan(const HostPlan &plan) {
  const policy::Decision &decision = plan.decision;
  if (!decision.observed || decision.observed_unusable || decision.observed->level < tls::Level::encrypted ||
      decision.observed->profile == decision.enforced.profile)
    return nullptr;
  auto made = std::make_shared<HostPlan>(plan);
  made->decision.enforced = *decision.observed;
  made->decision.observed.reset();
  set_connection(*made);
  made->trust = plan.observed_trust;
  if (!made->context || !made->trust) return nullptr;
  return made;
}

} // namespace mta
