// PartnerQueue: mail for partners that waits too long calls people (event=partner_waiting), whatever it waits for.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "mta/config/config.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/queue/message.hpp"

namespace mta {

/// One look at the queue: begin(), see() for each message, end(). On one thread.
class PartnerQueue {
public:
  using Now = std::chrono::steady_clock::time_point;

  /// False: nothing is to be watched. `config` must outlive the look.
  [[nodiscard]] bool begin(const Config &config);
  /// `waited` by the queue's clock.
  void see(const QueuedMessage &message, std::chrono::seconds waited);
  /// An alert for each partner whose oldest mail has waited for [tls_evidence] alert_waiting, once an hour.
  void end(MailLog &log, Now now);

private:
  struct Waiting {
    const policy::Partner *partner = nullptr;
    std::uint64_t messages = 0;
    std::chrono::seconds oldest{};
    std::string domain; ///< of the oldest, with the rest
    std::string cause;
    std::string detail;
    std::map<std::string_view, std::uint64_t> causes;
  };
  void see(const policy::Partner &partner, const smtp::Domain &domain, const RecipientState &state,
           std::chrono::seconds waited);

  const Config *config_ = nullptr;
  std::map<std::string, Waiting> waiting_; ///< by the partner's name
  std::map<std::string, Now> alerted_;     ///< the same
};

} // namespace mta
