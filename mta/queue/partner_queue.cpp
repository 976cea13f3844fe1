#include "mta/queue/partner_queue.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace mta {

namespace {

constexpr auto between_alerts = std::chrono::hours(1);

/// A rule for a whole group: that one of its domains is dead is daily life. Only what the rule itself keeps is told
/// there.
bool is_named(const policy::Partner &partner, const smtp::Domain &domain) {
  return std::any_of(
             partner.domains.begin(), partner.domains.end(),
             [&](const smtp::DomainPattern &pattern) { return !pattern.is_wildcard() && pattern.matches(domain); }) ||
         std::any_of(partner.domains.begin(), partner.domains.end(),
                     [](const auto &pattern) { return !pattern.is_wildcard(); });
}

} // namespace

bool PartnerQueue::begin(const Config &config) {
  config_ = &config;
  waiting_.clear();
  return config.tls_evidence.alert_waiting.count() > 0 && !config.partners.partners().empty();
}

void PartnerQueue::see(const QueuedMessage &message, std::chrono::seconds waited) {
  if (message.held) return; // an operator keeps it
  const policy::Partner *last = nullptr;
  for (const RecipientState &state : message.recipients) {
    if (state.status != RecipientStatus::pending) continue;
    const smtp::Domain *domain = state.recipient.mailbox.domain();
    const policy::Partner *partner = domain ? config_->partners.find(*domain) : nullptr;
    if (!partner || partner == last) continue; // a message counts once for a partner
    const bool kept_by_rule = partner->outbound && state.cause == FailureCause::tls;
    if (!kept_by_rule && !is_named(*partner, *domain)) continue;
    last = partner;
    see(*partner, *domain, state, waited);
  }
}

void PartnerQueue::see(const policy::Partner &partner, const smtp::Domain &domain, const RecipientState &state,
                       std::chrono::seconds waited) {
  Waiting &waiting = waiting_[partner.name];
  waiting.partner = &partner;
  ++waiting.messages;
  const std::string_view cause = state.cause == FailureCause::none ? "waits its turn" : to_string(state.cause);
  ++waiting.causes[cause];
  // The oldest says when it began; whoever was tried says why.
  if (waiting.messages == 1 || waited > waiting.oldest) {
    waiting.oldest = waited;
    waiting.domain = domain.ascii();
  }
  if (waiting.detail.empty())
    waiting.detail = !state.detail.empty()        ? state.detail
                     : state.last_reply.code != 0 ? state.last_reply.to_line()
                                                  : std::string();
}

void PartnerQueue::end(MailLog &log, Now now) {
  std::erase_if(alerted_, [&](const auto &entry) { return now - entry.second >= between_alerts; });
  for (const auto &[name, waiting] : waiting_) {
    if (waiting.oldest < config_->tls_evidence.alert_waiting || alerted_.contains(name)) continue;
    alerted_[name] = now;
    std::string causes;
    for (const auto &[cause, count] : waiting.causes)
      causes += fmt::format("{}{} x {}", causes.empty() ? "" : "; ", count, cause);
    log.write(
        Event("partner_waiting", LogLevel::error)
            .with("partner", name)
            .with("messages", waiting.messages)
            .with("oldest_s", static_cast<std::int64_t>(waiting.oldest.count()))
            .with("limit_s", static_cast<std::int64_t>(config_->tls_evidence.alert_waiting.count()))
            .with("domain", waiting.domain)
            .with("causes", causes)
            .with_if("reason", waiting.detail)
            .with("contact", waiting.partner->contact)
            .with("note", "mail for this partner waits: see `portcullis queue list --domain`, and call the partner"));
  }
  waiting_.clear();
}

} // namespace mta
