// Fuzz target: the MIME walk, unpacking and parsing of a whole message; octets in any cut give the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mta/received/read_message.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  mta::ReadLimits limits;
  limits.unpack.max_size = 1'048'576;
  const auto whole = mta::read_report_message(mta::source_of(text), limits);
  const mta::OctetSource dripping =
      [rest = std::string_view(text)](std::span<char> into) mutable -> smtp::Result<std::size_t> {
    const std::size_t taken = rest.copy(into.data(), 7);
    rest.remove_prefix(taken);
    return taken;
  };
  const auto cut = mta::read_report_message(dripping, limits);
  if (!whole || !cut || whole->reports != cut->reports || whole->problems != cut->problems) std::abort();
  if (whole->reports.empty() && whole->problems.empty()) std::abort(); // there is always a reason
  return 0;
}
