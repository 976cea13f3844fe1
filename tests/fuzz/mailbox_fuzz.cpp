// Fuzzes names: mailboxes, paths, domains, patterns, addresses and networks; what parses is written in a form that
// parses to the same.
#include "smtp/names/mailbox.hpp"

#include <cstdlib>

namespace {

template <typename T> void require_round_trip(std::string_view text) {
  const auto first = T::parse(text);
  if (!first) {
    if (first.error().detail.empty()) std::abort();
    return;
  }
  const auto second = T::parse(first->to_string());
  if (!second || *second != *first) std::abort();
  for (const char c : first->to_string())
    if ((c >= 0 && c < 32) || c == 127) std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  require_round_trip<smtp::Mailbox>(text);
  require_round_trip<smtp::ReversePath>(text);
  require_round_trip<smtp::ForwardPath>(text);
  require_round_trip<smtp::DomainPattern>(text);
  require_round_trip<smtp::IpAddress>(text);
  require_round_trip<smtp::Network>(text);
  const auto domain = smtp::Domain::parse(text);
  if (domain) {
    const auto again = smtp::Domain::parse(domain->unicode());
    if (!again || *again != *domain) std::abort();
  }
  const auto socket = smtp::SocketAddress::parse(text, 25);
  if (socket && smtp::SocketAddress::parse(socket->to_string(), 1) != *socket) std::abort();
  return 0;
}
