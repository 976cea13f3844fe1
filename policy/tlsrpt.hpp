// TlsrptRecord: where a domain wants reports on TLS sent, from its TXT record at _smtp._tls (RFC 8460 section 3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.hpp"

namespace policy {

struct TlsrptDestination {
  enum class Scheme : std::uint8_t { mailto, https };
  Scheme scheme = Scheme::mailto;
  std::string address; ///< mailto: a mailbox at a domain; https: the URL as published
  friend bool operator==(const TlsrptDestination &, const TlsrptDestination &) = default;
};

struct TlsrptRecord {
  std::vector<TlsrptDestination> rua; ///< in the order given, each once; empty: none can be served
  std::vector<std::string> problems;  ///< for people, printable ASCII: what was passed over and why
};

inline constexpr std::size_t longest_tlsrpt_record = 4096;
/// Of rua; the rest is passed over.
inline constexpr std::size_t most_tlsrpt_uris = 16;

/// "_smtp._tls.example.org"
[[nodiscard]] std::string tlsrpt_name(std::string_view domain);

/// True when the text begins with "v=TLSRPTv1" and a delimiter: others are no records at all.
[[nodiscard]] bool is_tlsrpt_record(std::string_view text) noexcept;

/// Errors: not_found (no TLSRPT record), bad_syntax (no rua), too_long. A URI or a field that is bad loses only itself.
[[nodiscard]] smtp::Result<TlsrptRecord> parse_tlsrpt_record(std::string_view text);

/// The one TLSRPT record among the TXT records at the name. Errors, besides those of the parser: not_found when there
/// is none; bad_syntax when there are several, which count as none.
[[nodiscard]] smtp::Result<TlsrptRecord> choose_tlsrpt_record(std::span<const std::string> texts);

} // namespace policy
