// Fuzz target: the blobs of a queued message. The first two octets say where the envelope ends and the update begins.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mta/queue/message.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view octets(reinterpret_cast<const char *>(data) + 2, size - 2);
  const std::size_t cut = std::min<std::size_t>(data[0] + 256U * data[1], octets.size());
  const auto message = mta::decode_message({1}, octets.substr(0, cut), octets.substr(cut));
  if (!message) return 0;
  const auto again = mta::decode_message({1}, mta::encode_envelope(*message), mta::encode_update(*message));
  if (!again || !(*again == *message)) std::abort();
  return 0;
}
