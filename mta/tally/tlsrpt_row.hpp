// TlsrptRow: what one outbound session adds to the TLS report of its recipient domain, and its form in the tally's
// files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mta/tally/tls_session.hpp"
#include "policy/tls_fault.hpp"
#include "smtp/base/result.hpp"

namespace mta {

/// RFC 8460 section 4.4, "policy-type".
enum class TlsPolicyType : std::uint8_t { no_policy_found, sts, tlsa };
/// "no-policy-found", "sts", "tlsa".
[[nodiscard]] std::string_view to_string(TlsPolicyType type) noexcept;

/// A policy of the recipient domain, or its lack.
struct TlsrptPolicy {
  TlsPolicyType type = TlsPolicyType::no_policy_found;
  std::string domain;                ///< "policy-domain"; tlsa: the TLSA base domain (section 1.1)
  std::vector<std::string> strings;  ///< "policy-string": the policy's lines, or the TLSA records, sorted
  std::vector<std::string> mx_hosts; ///< "mx-host": the patterns of an sts policy
  friend bool operator==(const TlsrptPolicy &, const TlsrptPolicy &) = default;
};

/// Sessions with equal rows are counted together.
struct TlsrptRow {
  std::string domain; ///< of the recipient, who gets the report
  TlsrptPolicy policy;
  policy::TlsFault fault = policy::TlsFault::none; ///< none: success, and everything below is empty
  std::string sending_address;
  std::string receiving_host;
  std::string receiving_address;
  std::string reason; ///< "failure-reason-code": for people, printable
  friend bool operator==(const TlsrptRow &, const TlsrptRow &) = default;
};

/// The limits of a row's fields; longer text is cut, further entries are left out.
struct TlsrptRowLimits {
  static constexpr std::size_t name = 255;
  static constexpr std::size_t address = 64;
  static constexpr std::size_t reason = 200;
  static constexpr std::size_t string = 1024;
  static constexpr std::size_t strings = 100;
  static constexpr std::size_t mx_hosts = 100;
  /// Octets of all the policy's strings and of all its patterns together.
  static constexpr std::size_t policy = 16'384;
};

/// One row for each policy that the domain has, as each judges the session: DANE and MTA-STS are both reported where
/// both exist (section 4.4); without either, one of no-policy-found. A fault in fetching the MTA-STS policy is a
/// failure of the policy `sts` beside them (section 4.3.2.2). What a rule of ours demands beyond the domain's own
/// policy does not count, but for "dane-required". Nothing for inbound sessions, for hosts by route, for the second
/// attempt in clear text (the failure before it has been counted), and where we did not try TLS.
[[nodiscard]] std::vector<TlsrptRow> make_tlsrpt_rows(const TlsSession &session);

/// The row as octets, equal for equal rows. Any octet may occur in its texts.
[[nodiscard]] std::string encode_tlsrpt_row(const TlsrptRow &row);
/// Errors (bad_syntax): damage, an unknown version, a limit passed; the text names the field.
[[nodiscard]] smtp::Result<TlsrptRow> decode_tlsrpt_row(std::string_view octets);

} // namespace mta
