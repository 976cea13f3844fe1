// Fuzzes ReplyParser: however the octets are cut, the same replies and the same error come out, and they can be
// written.
#include "smtp/wire/reply.hpp"

#include <cstdlib>
#include <vector>

namespace {

struct Outcome {
  std::vector<smtp::Reply> replies;
  bool error = false;
  friend bool operator==(const Outcome &, const Outcome &) = default;
};

Outcome parse(std::string_view octets, std::size_t cut) {
  smtp::ReplyParser parser;
  Outcome outcome;
  for (; !octets.empty() && !outcome.error; octets.remove_prefix(std::min(cut, octets.size()))) {
    parser.feed(octets.substr(0, cut));
    for (;;) {
      const auto reply = parser.next();
      outcome.error = !reply;
      if (!reply || !*reply) break;
      outcome.replies.push_back(**reply);
    }
  }
  return outcome;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view octets(reinterpret_cast<const char *>(data), size);
  const auto whole = parse(octets, 4096);
  if (parse(octets, 1) != whole || parse(octets, 7) != whole) std::abort();
  for (const auto &reply : whole.replies) {
    const auto again = parse(smtp::format_reply(reply), 4096);
    if (again.replies.size() != 1 && !again.error) std::abort(); // very long replies may pass the parser's limits
    if (reply.to_line().find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
