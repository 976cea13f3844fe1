#include "mta/config/delivery_changes.hpp"

#include <algorithm>
#include <vector>

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
  outbound.connections_per_address = usual.connections_per_address;
  outbound.reserved_percent = usual.reserved_percent;
  outbound.notices_percent = usual.notices_percent;
  outbound.unreached_percent = usual.unreached_percent;
  return outbound;
}

bool same_memory(const TlsMemoryConfig &left, const TlsMemoryConfig &right, const smtp::Domain &domain) {
  const auto protects = [&](const TlsMemoryConfig &memory) {
    return memory.enabled && std::any_of(memory.protect.begin(), memory.protect.end(),
                                         [&](const smtp::DomainPattern &pattern) { return pattern.matches(domain); });
  };
  if (protects(left) != protects(right)) return false;
  return !protects(right) || left.release_after == right.release_after;
}

/// By what mail for the domain proves its hosts and itself, as it stands in the files: their names may be the same.
std::vector<std::string> material_of(const Snapshot &snapshot, const smtp::Domain &domain) {
  const Config &config = snapshot.config();
  std::vector<std::string> material;
  const auto add_trust = [&](const std::string &name, const std::vector<std::string> &crls) {
    const auto store = snapshot.trust_store(name, crls);
    material.push_back(store ? std::to_string(store->digest()) : std::string());
  };
  const auto add_certificate = [&](const std::string &name) {
    const CertificateConfig *certificate = config.find_certificate(name);
    material.push_back(certificate != nullptr ? certificate->fingerprint : std::string());
  };
  add_trust("system", {}); // of MTA-STS
  add_trust(config.outbound_defaults(domain).trust, {});
  if (const policy::Route *route = config.find_route(domain)) add_certificate(route->client_certificate);
  if (const policy::Partner *partner = config.partners.find(domain); partner != nullptr && partner->outbound)
    add_trust(partner->outbound->trust, partner->outbound->crls);
  return material;
}

} // namespace

DeliveryChanges::DeliveryChanges(std::shared_ptr<const Snapshot> before, std::shared_ptr<const Snapshot> after)
    : before_(std::move(before)), after_(std::move(after)), all_([this] {
        const Config &was = before_->config();
        const Config &is = after_->config();
        return !(demands_of(was.outbound) == demands_of(is.outbound)) || was.server.hostname != is.server.hostname ||
               was.server.outside_addresses != is.server.outside_addresses ||
               was.mta_sts.enabled != is.mta_sts.enabled ||
               before_->trust_store(was.mta_sts.trust)->digest() != after_->trust_store(is.mta_sts.trust)->digest();
      }()) {}

bool DeliveryChanges::differs(const smtp::Domain &domain) const {
  const Config &was = before_->config();
  const Config &is = after_->config();
  return !same_route(was.find_route(domain), is.find_route(domain)) ||
         was.domains.contains(domain.ascii()) != is.domains.contains(domain.ascii()) || // ours may not lead back to us
         !(defaults_of(was, domain) == defaults_of(is, domain)) ||
         !same_rule(was.partners.find(domain), is.partners.find(domain)) ||
         !same_exceptions(was.partners.find_exceptions(domain), is.partners.find_exceptions(domain)) ||
         !same_memory(was.tls_memory, is.tls_memory, domain) ||
         material_of(*before_, domain) != material_of(*after_, domain);
}

bool DeliveryChanges::concern(const smtp::Mailbox &mailbox) {
  if (all_) return true;
  if (before_->config().is_report_mailbox(mailbox) != after_->config().is_report_mailbox(mailbox)) return true;
  const smtp::Domain *domain = mailbox.domain();
  if (domain == nullptr) return false;
  if (const auto found = known_.find(domain->ascii()); found != known_.end()) return found->second;
  const bool changed = differs(*domain);
  known_.emplace(domain->ascii(), changed);
  return changed;
}

} // namespace mta
