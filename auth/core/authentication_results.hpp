// Authentication-Results (RFC 8601) and Received-SPF (RFC 7208 section 9.1) written from verdicts; foreign text cannot
// leave its place in them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/results.hpp"
#include "smtp/names/ip_address.hpp"

namespace auth {

/// RFC 8601 section 2.7.3.
enum class IprevResult : std::uint8_t { pass, fail, temperror, permerror };
[[nodiscard]] std::string_view to_string(IprevResult result) noexcept;

struct Iprev {
  IprevResult result = IprevResult::permerror;
  std::string name; ///< what the PTR record says; empty: nothing
};

/// What was checked; absent: was not. Pointers must outlive the call.
struct CheckedMessage {
  std::string authserv_id;
  std::optional<smtp::IpAddress> client;
  std::string helo;      ///< what the client said
  std::string mail_from; ///< the address without "<>"; empty: the null reverse-path
  const SpfVerdicts *spf = nullptr;
  bool dkim_checked = false; ///< true without any verdict: "dkim=none"
  std::span<const DkimVerdict> dkim;
  const DmarcVerdict *dmarc = nullptr;
  const ArcVerdict *arc = nullptr;
  const Iprev *iprev = nullptr;
  std::string tls; ///< the comment: "TLSv1.3 TLS_AES_256_GCM_SHA384 verified=no"; empty: none
};

/// The whole field with its CRLF, folded: one result a line, lines of at most 78 octets where words allow it, and never
/// over 998. Always ASCII.
[[nodiscard]] std::string format_authentication_results(const CheckedMessage &message);

/// The same value in one line, without name and CRLF: what ARC-Authentication-Results has behind its "i=N; ".
[[nodiscard]] std::string format_results_payload(const CheckedMessage &message);

/// "NAME: VALUE" folded as format_authentication_results() does, with CRLF. `value`: one line.
[[nodiscard]] std::string fold_results(std::string_view name, std::string_view value);

enum class SpfIdentity : std::uint8_t { helo, mail_from };
/// The field of one identity, folded, with its CRLF. `message.spf` must be set.
[[nodiscard]] std::string format_received_spf(const CheckedMessage &message, SpfIdentity identity);

} // namespace auth
