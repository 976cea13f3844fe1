// Certificates as files: read the facts, make self-signed ones and certificate requests.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "smtp/base/result.hpp"
#include "tls/core/facts.hpp"

namespace tls {

/// All certificates of a PEM file, in order.
[[nodiscard]] smtp::Result<std::vector<CertificateFacts>> read_certificates(const std::string &path);
/// Fails with the reason when the key file cannot be read or does not belong to the first certificate of the file.
[[nodiscard]] smtp::Result<void> check_key_pair(const std::string &certificate_path, const std::string &key_path);

enum class KeyType { rsa_2048, rsa_3072, ec_p256 };

struct GeneratedPem {
  std::string key;         ///< PKCS#8 PEM
  std::string certificate; ///< or the request; PEM
};
/// Self-signed, SHA-256, subjectAltName with all names, serverAuth and clientAuth, basicConstraints CA:FALSE.
[[nodiscard]] smtp::Result<GeneratedPem> make_self_signed(KeyType type, const std::vector<std::string> &dns_names,
                                                          std::chrono::days lifetime);
/// PKCS#10 request with SHA-256, the names as subjectAltName, the first also as common name; organisation may be empty.
[[nodiscard]] smtp::Result<GeneratedPem> make_request(KeyType type, const std::vector<std::string> &dns_names,
                                                      const std::string &organisation, const std::string &country);

} // namespace tls
