// Fuzzes the readers of DNS record data: whatever the octets, what comes out keeps its limits.
#include "mta/dns/rdata.hpp"

#include <cstdint>
#include <cstdlib>

namespace {

void check_name(const std::string &name) {
  if (name.size() > 255) std::abort();
  for (const char c : name)
    if (c < 0x21 || c > 0x7e || (c >= 'A' && c <= 'Z')) std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const mta::Rdata rdata(data, size);
  if (const auto name = mta::parse_wire_name(rdata)) check_name(*name);
  if (const auto mx = mta::parse_mx(rdata)) check_name(mx->host);
  if (const auto text = mta::parse_txt(rdata); text && text->size() >= size && size != 0)
    std::abort(); // each string has a length octet
  // Whatever cannot be used stays in the set, for the host to be judged by (RFC 7672 section 2.2).
  if (const auto tlsa = mta::parse_tlsa(rdata); !tlsa || tlsa->data.size() != (size < 3 ? 0 : size - 3)) std::abort();
  if (mta::parse_a(rdata).has_value() != (size == 4)) std::abort();
  const auto v6 = mta::parse_aaaa(rdata);
  if (v6.has_value() && size != 16) std::abort();
  return 0;
}
