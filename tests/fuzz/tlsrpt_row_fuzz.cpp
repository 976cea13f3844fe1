// Fuzzes the rows of the TLSRPT tally: what can be read is written as the same octets.
#include "mta/tally/tlsrpt_row.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string octets(reinterpret_cast<const char *>(data), size);
  const auto row = mta::decode_tlsrpt_row(octets);
  if (!row) return 0;
  std::size_t policy = 0;
  for (const auto *list : {&row->policy.strings, &row->policy.mx_hosts})
    for (const std::string &text : *list) policy += text.size();
  // Only what passes the limit of the whole policy is shortened.
  const std::string again = mta::encode_tlsrpt_row(*row);
  if (policy <= mta::TlsrptRowLimits::policy && again != octets) std::abort();
  if (!mta::decode_tlsrpt_row(again)) std::abort();
  return 0;
}
