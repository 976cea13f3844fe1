// TlsFault: why a session did not reach what its policy wants, in the words of TLSRPT (RFC 8460 section 4.3).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace policy {

enum class TlsFault : std::uint8_t {
  none, ///< success
  // Section 4.3.1, negotiation
  starttls_not_supported,
  certificate_host_mismatch,
  certificate_expired,
  certificate_not_trusted,
  validation_failure, ///< everything else
  // Section 4.3.2.1, DANE
  tlsa_invalid,
  dnssec_invalid,
  dane_required,
  // Section 4.3.2.2, MTA-STS
  sts_policy_fetch_error,
  sts_policy_invalid,
  sts_webpki_invalid,
};

/// The report's word: "starttls-not-supported"; empty for none.
[[nodiscard]] std::string_view to_string(TlsFault fault) noexcept;
[[nodiscard]] std::optional<TlsFault> parse_tls_fault(std::string_view word) noexcept;

} // namespace policy
