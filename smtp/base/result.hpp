// Result<T> and Error: how every function that input, a peer, the network or a file can make fail reports it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace smtp {

/// What kind of failure it is. `mta` maps kinds to temporary or permanent in one place.
enum class ErrorCode : std::uint8_t {
  bad_syntax,    ///< the input does not follow its grammar
  too_long,      ///< a limit was passed; the detail states the limit
  not_found,     ///< a file, name or id does not exist
  not_permitted, ///< the operating system or the configuration forbids it
  io,            ///< reading or writing failed
  timed_out,     ///< a deadline passed
  closed,        ///< the peer closed the connection
  protocol,      ///< the peer broke the protocol
  tls,           ///< a TLS operation failed
  dns_temporary, ///< SERVFAIL, bogus or no answer: may work later
  dns_permanent, ///< the DNS says that it does not exist
  full,          ///< no room (disk, memory, a configured limit)
  stopping,      ///< the daemon is shutting down
};

/// A failure. `detail` is lower case, has no full stop, and contains the offending value (escaped) and the limit.
struct Error {
  ErrorCode code = ErrorCode::io;
  std::string detail;

  friend bool operator==(const Error &, const Error &) = default;
};

template <typename T> using Result = tl::expected<T, Error>;

/// Builds the unexpected side of a Result.
[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string detail) {
  return tl::unexpected<Error>(Error{code, std::move(detail)});
}

} // namespace smtp
