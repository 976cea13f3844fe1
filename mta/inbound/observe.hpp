// observe: makes the TlsSession of a client that says MAIL for a partner's domain.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "mta/inbound/judge.hpp"
#include "mta/tally/tls_session.hpp"

namespace mta::inbound {

struct ObservedSender {
  const policy::SenderVerdict &verdict;
  std::string client; ///< address
  std::string helo;
};

/// `sender` has a domain.
[[nodiscard]] std::shared_ptr<const TlsSession> make_session(ClientJudge &judge, const Config &config,
                                                             const smtp::ReversePath &sender,
                                                             const ObservedSender &observed, ClientJudge::Now now);

} // namespace mta::inbound
