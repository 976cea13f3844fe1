// is_automatic_mail: whether a header says that a program or a list sent the message, which then hears of failures
// only.
#pragma once

#include <string>

namespace mta {

/// Auto-Submitted with anything but "no" (RFC 3834 section 5), Precedence bulk, list or junk, or List-Id (RFC 2919).
/// `header`: the header section with CRLF line ends.
[[nodiscard]] bool is_automatic_mail(std::string header);

} // namespace mta
