// Fuzz target: read_tlsrpt() and the sums of what it read.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mta/received/read_tlsrpt.hpp"
#include "mta/store/received_report.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  const auto report = mta::read_tlsrpt(text);
  if (!report) {
    if (report.error().detail.empty()) std::abort();
    return 0;
  }
  const auto totals = mta::totals_of(*report);
  if (report->report_id.empty() || totals.rows == 0) std::abort();
  return 0;
}
