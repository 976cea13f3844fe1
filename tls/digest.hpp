// Digests as text: SHA-256 of octets, and the one by which a peer's chain is known in logs and evidence.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tls/core/facts.hpp"

namespace tls {

/// Lower-case hex, 64 characters.
[[nodiscard]] std::string sha256_hex(std::string_view octets);

/// SHA-256 over the certificates' fingerprints (as hex, in the order sent), lower-case hex; empty for an empty chain.
[[nodiscard]] std::string chain_digest(const std::vector<CertificateFacts> &chain);

} // namespace tls
