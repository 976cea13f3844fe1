#include "policy/tls_fault.hpp"

#include <array>
#include <utility>

namespace policy {

namespace {

constexpr std::array<std::pair<TlsFault, std::string_view>, 11> words{{
    {TlsFault::starttls_not_supported, "starttls-not-supported"},
    {TlsFault::certificate_host_mismatch, "certificate-host-mismatch"},
    {TlsFault::certificate_expired, "certificate-expired"},
    {TlsFault::certificate_not_trusted, "certificate-not-trusted"},
    {TlsFault::validation_failure, "validation-failure"},
    {TlsFault::tlsa_invalid, "tlsa-invalid"},
    {TlsFault::dnssec_invalid, "dnssec-invalid"},
    {TlsFault::dane_required, "dane-required"},
    {TlsFault::sts_policy_fetch_error, "sts-policy-fetch-error"},
    {TlsFault::sts_policy_invalid, "sts-policy-invalid"},
    {TlsFault::sts_webpki_invalid, "sts-webpki-invalid"},
}};

} // namespace

std::string_view to_string(TlsFault fault) noexcept {
  for (const auto &[value, word] : words)
    if (value == fault) return word;
  return {};
}

std::optional<TlsFault> parse_tls_fault(std::string_view word) noexcept {
  for (const auto &[value, known] : words)
    if (known == word) return value;
  return std::nullopt;
}

} // namespace policy
