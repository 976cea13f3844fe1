// Fuzzes is_usable(): octets of a stranger as TLSA records, among them whole certificates and keys in DER.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tls/dane.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size < 3) return 0;
  const smtp::TlsaRecord record{data[0], data[1], data[2],
                                std::string(reinterpret_cast<const char *>(data) + 3, size - 3)};
  const bool usable = tls::is_usable(record);
  if (usable && (record.usage < 2 || record.usage > 3 || record.selector > 1 || record.matching_type > 2)) std::abort();
  if (usable && record.matching_type != 0 && record.data.size() != (record.matching_type == 1 ? 32U : 64U))
    std::abort();
  if (tls::verify_dane(nullptr, {&record, 1}, {}, {}).matched) std::abort();
  return 0;
}
