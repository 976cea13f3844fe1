// Fuzz target: read_tlsrpt(), and that what it read is stored and found again as it was.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mta/received/read_tlsrpt.hpp"
#include "mta/received/stored_report.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  auto report = mta::read_tlsrpt(text);
  if (!report) {
    if (report.error().detail.empty()) std::abort();
    return 0;
  }
  mta::StoredReport stored;
  stored.report = std::move(*report);
  const auto again = mta::decode_stored(mta::encode_stored(stored));
  if (!again || *again != stored) std::abort();
  return 0;
}
