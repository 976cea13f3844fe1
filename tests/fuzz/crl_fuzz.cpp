// Fuzzes the reader of revocation lists: what is read has its limits, and DER that is read is one list.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tls/crl.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const auto facts = tls::read_crl({reinterpret_cast<const char *>(data), size});
  if (!facts) {
    if (facts.error().detail.empty()) std::abort();
    return 0;
  }
  if (facts->lists == 0 || facts->lists > tls::max_crls_in_file || facts->issuer.size() > 1024) std::abort();
  if (facts->revoked > size) std::abort(); // each entry has octets of its own
  return 0;
}
