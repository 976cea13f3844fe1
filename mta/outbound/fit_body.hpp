// fit_body: makes a message one that a host can take which does not offer 8BITMIME.
#pragma once

#include <span>

#include "mta/base/async.hpp"
#include "mta/outbound/body_source.hpp"
#include "smtp/session/client_session.hpp"

namespace mta {

/// RFC 6152 section 3: converts 8-bit content where the host does not offer 8BITMIME, and says so in `transaction`;
/// nothing changes where it does. Once, before `body` is read; lets others of the thread in while it reads. `body` and
/// `scratch` outlive it. Errors: the body cannot be read.
[[nodiscard]] Task<smtp::Result<void>> fit_body(BodySource &body, smtp::Transaction &transaction,
                                                const smtp::Capabilities &offered, std::span<char> scratch);

} // namespace mta
