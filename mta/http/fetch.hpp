// fetch: one HTTP/1.1 request and its answer, over https or http; for policies, reports and revocation lists.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/async.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/http/url.hpp"
#include "smtp/names/ip_address.hpp"
#include "tls/context.hpp"
#include "tls/core/facts.hpp"

namespace mta {

enum class HttpMethod : std::uint8_t { get, post };

struct HttpRequest {
  Url url;
  HttpMethod method = HttpMethod::get;
  std::string body;                          ///< of a POST
  std::string content_type;                  ///< of the body: "application/tlsrpt+gzip"
  std::uint64_t max_body = 65'536;           ///< octets of the answer's body
  std::chrono::milliseconds timeout{60'000}; ///< for everything together
};

struct HttpAnswer {
  unsigned status = 0;      ///< 200 to 599; a 3xx is an answer like any other and is never followed
  std::string reason;       ///< the words behind the status, escaped by no one
  std::string content_type; ///< media type in lower case, without parameters; empty: none was given
  std::string body;         ///< of a 2xx; that of other answers is not read
  tls::Facts tls;           ///< of the connection, with its verdict; encrypted is false for http
};

/// What a fetch works with. The resolver must outlive it.
struct HttpServices {
  Resolver &resolver;
  std::shared_ptr<const tls::Context> context;  ///< of a client; may be null when only http is fetched
  std::shared_ptr<const tls::TrustStore> trust; ///< of the server's certificate; likewise
  std::vector<smtp::IpAddress> source_addresses = {};
  bool ipv4 = true;
  bool ipv6 = true;
  /// For hosts that a stranger names: his DNS must not make us connect into our own network. Addresses that are not
  /// globally reachable (smtp::special_scope) are then passed over.
  bool only_global = false;
};

/// The connection serves this one request. Runs on the coroutine's executor, which must run on one thread. Never
/// throws. Errors, each with the host and, where there is one, the limit:
///   dns_temporary, dns_permanent  the host's addresses
///   not_permitted  `only_global`, and the host has no address that is globally reachable
///   io         no address could be connected to, or the connection broke
///   tls        the certificate: its chain is not trusted, or it does not carry the host's name ("webpki")
///   protocol   the TLS handshake failed, or the answer is not HTTP/1.1 of known length
///   closed     the connection ended before the answer did
///   timed_out  the whole took longer than `timeout` (the look-up of the addresses ends by the resolver's own limit)
///   too_long   header over 16 KiB, body over `max_body`
[[nodiscard]] Task<smtp::Result<HttpAnswer>> fetch(HttpRequest request, HttpServices services);

inline constexpr std::uint32_t http_header_limit = 16'384; ///< octets of status line and header fields

} // namespace mta
