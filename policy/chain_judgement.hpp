// ChainJudgement: what one store of CAs said of a peer's chain, under a name that finds it again when a rule is
// simulated.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tls/core/facts.hpp"

namespace policy {

using ChainJudgement = tls::StoreVerdict; ///< `store`: trust_key() of what the chain was judged against

/// "system", "/etc/portcullis/ca/psn.pem", with " crl FILE" for each list and " server-auth" where a client may show a
/// certificate that is meant for servers: equal for rules by which a chain is judged alike.
[[nodiscard]] std::string trust_key(std::string_view trust, const std::vector<std::string> &crls,
                                    bool accept_server_auth = false);

} // namespace policy
