#include "tls/digest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tls/openssl.hpp"

namespace tls {

std::string sha256_hex(std::string_view octets) {
  std::array<unsigned char, 32> digest{};
  if (EVP_Digest(octets.data(), octets.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    ERR_clear_error();
    return {};
  }
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

std::string chain_digest(const std::vector<CertificateFacts> &chain) {
  if (chain.empty()) return {};
  std::string fingerprints;
  fingerprints.reserve(chain.size() * 64);
  for (const CertificateFacts &certificate : chain) fingerprints += certificate.fingerprint_sha256;
  return sha256_hex(fingerprints);
}

} // namespace tls
