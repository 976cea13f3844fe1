// check_offline: all checks of one message outside of any SMTP session, as the JSON that `portcullis auth check`
// prints.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "auth/core/dns_facts.hpp"
#include "mta/auth/message_check.hpp"
#include "smtp/base/result.hpp"

namespace mta {

struct OfflineRequest {
  std::optional<smtp::IpAddress> ip; ///< nothing: SPF is "none", iprev is left out
  std::string helo;
  std::string mail_from;              ///< with or without "<>"
  std::optional<std::string> message; ///< nothing: only SPF is evaluated
  std::string receiver = "localhost"; ///< for %{r}, and the authserv-id
  std::int64_t time = 0;              ///< Unix seconds
  bool allow_weak_keys = false;
};

/// Answers everything that is missing in the facts.
using AnswerAll = std::function<void(auth::DnsFacts &)>;

/// Never fails: what is wrong with the message is in the results.
[[nodiscard]] boost::json::object check_offline(const OfflineRequest &request, const AnswerAll &answer);

/// A message as files keep it made into what SMTP carries: every line end becomes CRLF; a "From " line of a mailbox
/// file in front is left out.
[[nodiscard]] std::string with_crlf(std::string_view text);

} // namespace mta
