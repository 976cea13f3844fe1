// DeliveryChanges: whose delivery a new configuration changes, so that a reload tries those at once and leaves the
// others.
#pragma once

#include <memory>
#include <string>

#include "mta/config/snapshot.hpp"
#include "smtp/base/text_map.hpp"

namespace mta {

/// Asked for each recipient of the queue; remembers what it found for a domain.
class DeliveryChanges {
public:
  DeliveryChanges(std::shared_ptr<const Snapshot> before, std::shared_ptr<const Snapshot> after);

  /// True when how mail for the mailbox is delivered may differ: its route, what is demanded of its hosts (defaults,
  /// the partner's rule, exceptions, the memory's protection), by what files that these name it is proven (CAs, lists
  /// of revoked certificates, our certificate), or something that holds for all deliveries.
  [[nodiscard]] bool concern(const smtp::Mailbox &mailbox);
  [[nodiscard]] bool concern_all() const noexcept { return all_; }

private:
  [[nodiscard]] bool differs(const smtp::Domain &domain) const;
  std::shared_ptr<const Snapshot> before_;
  std::shared_ptr<const Snapshot> after_;
  bool all_;
  smtp::TextMap<bool> known_;
};

} // namespace mta
