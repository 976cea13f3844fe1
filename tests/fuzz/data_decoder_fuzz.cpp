// Fuzzes DataDecoder against a plain model that looks at one octet after the other: same end, same body, in any cut.
#include "smtp/wire/data_decoder.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

namespace {

using smtp::BareLf;
using smtp::DataEvent;

struct Outcome {
  std::string body;
  DataEvent last = DataEvent::need_more;
  std::size_t used = 0;
  bool refused = false;
};

Outcome decode(smtp::Framing framing, BareLf bare_lf, std::size_t limit, std::string_view octets, std::size_t cut) {
  smtp::DataDecoder decoder(framing, bare_lf, limit);
  Outcome outcome;
  for (std::size_t at = 0; at < octets.size() && outcome.last == DataEvent::need_more; at += cut) {
    auto input = octets.substr(at, cut);
    const auto size = input.size();
    for (;;) {
      const auto step = decoder.next(input);
      outcome.last = step.event;
      if (step.event == DataEvent::octets) {
        if (outcome.refused) std::abort(); // nothing is handed out any more
        outcome.body += step.octets;
        continue;
      }
      if (step.event != DataEvent::line_too_long && step.event != DataEvent::nul) break;
      outcome.refused = true;
    }
    outcome.used += size - input.size();
  }
  return outcome;
}

/// What RFC 5321 sections 2.3.8 and 4.5.2 say, line by line.
Outcome model(BareLf bare_lf, std::size_t limit, std::string_view octets) {
  Outcome outcome;
  bool after_crlf = true;
  std::size_t at = 0;
  for (;;) {
    const auto end = octets.find('\n', at);
    const auto line = octets.substr(at, end - at);
    const bool complete = end != std::string_view::npos;
    const auto cr = line.find('\r');
    const bool crlf = cr != std::string_view::npos && cr + 1 == line.size();
    if (cr != std::string_view::npos && !crlf) {
      outcome.last = DataEvent::bare_cr;
      return outcome;
    }
    if (!complete) return outcome;
    if (!crlf && bare_lf == BareLf::refuse) {
      outcome.last = DataEvent::bare_lf;
      return outcome;
    }
    at = end + 1;
    auto text = crlf ? line.substr(0, line.size() - 1) : line;
    if (text == "." && crlf && after_crlf) {
      outcome.last = DataEvent::end;
      outcome.used = at;
      return outcome;
    }
    if (text.size() > 1 && text.front() == '.') text.remove_prefix(1);
    if (text.size() + 2 > limit && text != ".") outcome.refused = true;
    if (text.find('\0') != std::string_view::npos) outcome.refused = true;
    outcome.body += text;
    outcome.body += "\r\n";
    after_crlf = crlf;
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size < 1) return 0;
  const auto bare_lf = (data[0] & 1) != 0 ? BareLf::convert : BareLf::refuse;
  const std::size_t limit = (data[0] & 2) != 0 ? 12 : 1000;
  const std::size_t cut = (data[0] >> 2) % 16 + 1U;
  const std::string_view octets(reinterpret_cast<const char *>(data) + 1, size - 1);
  const auto wanted = model(bare_lf, limit, octets);
  for (const std::size_t pieces : {cut, std::size_t{4096}}) {
    const auto seen = decode(smtp::Framing::dot, bare_lf, limit, octets, pieces);
    if (seen.last != wanted.last) std::abort();
    if (seen.last != DataEvent::end) continue;
    if (seen.used != wanted.used || seen.refused != wanted.refused) std::abort();
    if (!seen.refused && seen.body != wanted.body) std::abort();
  }
  const auto counted = decode(smtp::Framing::counted, bare_lf, limit, octets, cut);
  if (counted.last == DataEvent::end) std::abort(); // only finish() says so
  if (counted.last == DataEvent::need_more && !counted.refused && bare_lf == BareLf::refuse && counted.body != octets)
    std::abort();
  return 0;
}
