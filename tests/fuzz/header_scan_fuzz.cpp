// The header scanner sees the same facts whole and in parts, within its limits.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "smtp/message/header_scan.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size < 1) return 0;
  const std::size_t cut = data[0] % 17U + 1;
  const std::string_view message(reinterpret_cast<const char *>(data) + 1, size - 1);
  smtp::HeaderScanner whole(2000, 5), parts(2000, 5);
  const bool good = whole.feed(message).has_value();
  bool good_in_parts = true;
  for (std::size_t at = 0; at < message.size(); at += cut)
    good_in_parts = parts.feed(message.substr(at, cut)).has_value() && good_in_parts;
  require(good == good_in_parts);
  if (!good) return 0;
  const auto &a = whole.facts();
  const auto &b = parts.facts();
  require(a.size == message.size() && b.size == message.size());
  require(a.header_size == b.header_size && a.header_size <= a.size && a.header_size <= 2000);
  require(a.received_hops == b.received_hops && a.received_hops <= 5);
  require(a.has_8bit == b.has_8bit && a.header_has_8bit == b.header_has_8bit);
  require(a.has_date == b.has_date && a.has_from == b.has_from && a.has_message_id == b.has_message_id);
  require(a.tls_optional == b.tls_optional);
  require(a.message_id == b.message_id && a.message_id.size() <= 998);
  require(a.subject_excerpt == b.subject_excerpt && a.subject_excerpt.size() <= 100);
  require(a.longest_line == b.longest_line);
  return 0;
}
