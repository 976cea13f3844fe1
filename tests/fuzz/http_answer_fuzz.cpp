// Fuzzes the reader of HTTP answers: cut anywhere it says the same, and no limit is passed.
#include "mta/http/answer_parser.hpp"

#include <cstdlib>
#include <string>

namespace {

constexpr std::uint64_t body_limit = 4096;

struct Outcome {
  bool failed = false;
  bool done = false;
  unsigned status = 0;
  std::string body;
};

Outcome run(std::string_view octets, std::size_t step) {
  mta::HttpAnswerParser parser(body_limit);
  Outcome outcome;
  for (std::size_t at = 0; at < octets.size() && !outcome.done; at += step) {
    const auto fed = parser.feed(octets.substr(at, step));
    if (!fed) {
      if (fed.error().detail.empty()) std::abort();
      outcome.failed = true;
      return outcome;
    }
    outcome.done = *fed;
  }
  if (!outcome.done) {
    if (parser.cut().detail.empty()) std::abort();
    return outcome;
  }
  const auto answer = parser.take();
  if (answer.status < 200 || answer.status > 599 || answer.body.size() > body_limit) std::abort();
  outcome.status = answer.status;
  outcome.body = answer.body;
  return outcome;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string text(reinterpret_cast<const char *>(data), size);
  if (size > mta::http_header_limit) return 0; // longer lines are refused at a place that depends on the cut
  const Outcome whole = run(text, size + 1);
  const Outcome small = run(text, 1);
  // Fed in pieces, an answer may be complete, or a limit met, before a fault that comes behind it is seen.
  if (whole.done && (!small.done || small.body != whole.body || small.status != whole.status)) std::abort();
  if (!whole.done && !whole.failed && small.done) std::abort();
  if (const auto url = mta::parse_url(text)) {
    const auto again = mta::parse_url(url->to_string());
    if (!again || *again != *url) std::abort();
  }
  return 0;
}
