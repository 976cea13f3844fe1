// Whatever is stored and however it is cut: no bare CR, bare LF or NUL leaves, only the end looks like an end, and our
// own decoder gives the message back.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "smtp/wire/data_decoder.hpp"
#include "smtp/wire/data_encoder.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool is_clean(std::string_view wire) {
  for (std::size_t i = 0; i < wire.size(); ++i) {
    if (wire[i] == '\0') return false;
    if (wire[i] == '\r' && (i + 1 == wire.size() || wire[i + 1] != '\n')) return false;
    if (wire[i] == '\n' && (i == 0 || wire[i - 1] != '\r')) return false;
  }
  return true;
}

std::string decode(std::string_view wire) {
  smtp::DataDecoder decoder(smtp::Framing::dot, smtp::BareLf::refuse, wire.size() + 10);
  std::string message;
  for (;;) {
    const auto step = decoder.next(wire);
    if (step.event == smtp::DataEvent::octets) {
      message += step.octets;
      continue;
    }
    require(step.event == smtp::DataEvent::end && wire.empty());
    return message;
  }
}

/// False when the message was refused.
bool encode(std::string_view message, std::size_t cut, smtp::DataForm form, std::string &wire) {
  smtp::DataEncoder encoder(form);
  for (std::size_t at = 0; at < message.size(); at += cut)
    if (!encoder.encode(message.substr(at, cut), wire)) return false;
  return encoder.finish(wire).has_value();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size < 1) return 0;
  const std::size_t cut = data[0] % 9U + 1;
  const std::string_view message(reinterpret_cast<const char *>(data) + 1, size - 1);
  std::string whole, parts, counted;
  const bool sent = encode(message, message.size() + 1, smtp::DataForm::dot_stuffed, whole);
  require(encode(message, cut, smtp::DataForm::dot_stuffed, parts) == sent);
  require(encode(message, cut, smtp::DataForm::counted, counted) == sent);
  require(is_clean(whole) && is_clean(parts) && is_clean(counted));
  require(("\r\n" + parts).find("\r\n.\r\n") == (sent ? parts.size() - 3 : std::string::npos));
  if (!sent) return 0;
  require(whole == parts);
  require(counted == message || counted == std::string(message) + "\r\n");
  require(decode(whole) == counted);
  return 0;
}
