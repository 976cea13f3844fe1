// find_losses: what mail would lose between the configuration in force and a new one that loads: recipients, and the
// protection that partners' rules demand. A slip looks like this, and so does a change that is meant.
#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include "mta/config/load.hpp"

namespace mta {

struct Losses {
  /// Domains of ours that are gone, and lists that became empty or lost half of their recipients or more: mail for
  /// those who are missing would be refused for good.
  std::vector<Finding> recipients;
  /// Rules in force that are gone, only observed, or demand less, be it by a rule that is closer to some of their
  /// domains; the same of routes and listeners, and checks that are switched off: mail could leave, or come in, with
  /// less protection.
  std::vector<Finding> protection;
  [[nodiscard]] bool empty() const noexcept { return recipients.empty() && protection.empty(); }
};

/// All of severity error, at the place of the new configuration, or at the old one of what is gone.
[[nodiscard]] Losses find_losses(const Config &before, const Config &loaded, std::chrono::system_clock::time_point now);

/// The findings with that severity, and with a sentence behind each that says what to do.
[[nodiscard]] std::vector<Finding> with_remedy(std::vector<Finding> findings, Severity severity,
                                               std::string_view remedy);

} // namespace mta
