// sign_message: DKIM-Signature fields for mail whose author is ours, with the keys that the configuration has for it.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/header_fields.hpp"
#include "auth/dkim/sign.hpp"
#include "mta/config/config.hpp"
#include "smtp/base/result.hpp"

namespace mta {

/// The keys that sign a message with this header section. Empty when its author is not one domain of ours that has a
/// key: with several authors no key speaks for all of them (RFC 9989 section 11.5 looks at each).
[[nodiscard]] std::vector<auth::SigningIdentity> find_identities(const Config &config, const auth::HeaderFields &fields,
                                                                 std::chrono::system_clock::time_point now);

/// The fields to put in front of a whole message (CRLF line ends), each with its CRLF; empty when nothing signs it.
[[nodiscard]] smtp::Result<std::string> sign_message(const Config &config, std::string_view message,
                                                     std::chrono::system_clock::time_point now);

} // namespace mta
