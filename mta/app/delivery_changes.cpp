// DeliveryChanges: see delivery_changes.hpp.
#include "mta/app/delivery_changes.hpp"

#include <algorithm>

namespace mta {

namespace {

/// Where in a file something stands is no change of it.
policy::OutboundRule without_place(policy::OutboundRule rule) {
  rule.place.clear();
  if (rule.route) rule.route->place.clear();
  return rule;
}

bool same_rule(const policy::Partner *left, const policy::Partner *right) {
  const auto *before = left != nullptr && left->outbound ? &*left->outbound : nullptr;
  const auto *after = right != nullptr && right->outbound ? &*right->outbound : nullptr;
  if (before == nullptr || after == nullptr) return before == after;
  return without_place(*before) == without_place(*after);
}

bool same_exceptions(const std::vector<const policy::Exception *> &left,
                     const std::vector<const policy::Exception *> &right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const policy::Exception *one, const policy::Exception *other) {
                      return one->level == other->level && one->expires == other->expires &&
                             one->domain == other->domain;
                    });
}

bool same_route(const policy::Route *left, const policy::Route *right) {
  if (left == nullptr || right == nullptr) return left == right;
  policy::Route before = *left;
  policy::Route after = *right;
  before.place.clear();
  after.place.clear();
  return before == after;
}

policy::OutboundDefaults defaults_of(const Config &config, const smtp::Domain &domain) {
  auto defaults = config.outbound_defaults(domain);
  defaults.rule.clear(); // says where it stands
  return defaults;
}

/// What holds for the delivery of all mail: limits of the queue and of connections do not change what is tried.
OutboundConfig demands_of(OutboundConfig outbound) {
  const OutboundConfig usual;
  outbound.connections = usual.connections;
  outbound.connections_per_destination = usual.connections_per_destination;
  outbound.idle_timeout = usual.idle_timeout;
  outbound.messages_per_connection = usual.messages_per_connection;
  return outbound;
}

} // namespace

DeliveryChanges::DeliveryChanges(std::shared_ptr<const Config> before, std::shared_ptr<const Config> after)
    : before_(std::move(before)), after_(std::move(after)),
      all_(!(demands_of(before_->outbound) == demands_of(after_->outbound)) ||
           before_->server.hostname != after_->server.hostname || before_->mta_sts.enabled != after_->mta_sts.enabled) {
}

bool DeliveryChanges::differs(const smtp::Domain &domain) const {
  return !same_route(before_->find_route(domain), after_->find_route(domain)) ||
         !(defaults_of(*before_, domain) == defaults_of(*after_, domain)) ||
         !same_rule(before_->partners.find(domain), after_->partners.find(domain)) ||
         !same_exceptions(before_->partners.find_exceptions(domain), after_->partners.find_exceptions(domain));
}

bool DeliveryChanges::concern(const smtp::Mailbox &mailbox) {
  if (all_) return true;
  if (before_->is_report_mailbox(mailbox) != after_->is_report_mailbox(mailbox)) return true;
  const smtp::Domain *domain = mailbox.domain();
  if (domain == nullptr) return false;
  if (const auto found = known_.find(domain->ascii()); found != known_.end()) return found->second;
  const bool changed = differs(*domain);
  known_.emplace(domain->ascii(), changed);
  return changed;
}

} // namespace mta
