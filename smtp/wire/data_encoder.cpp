// Whole runs of lines are copied at once; only a line that begins with a dot cuts a
// run.
#include "smtp/wire/data_encoder.hpp"

#include <cstring>

#include <fmt/core.h>

namespace smtp {

namespace {

const char *find(const char *from, const char *end, char c) noexcept {
  return from == end ? nullptr : static_cast<const char *>(std::memchr(from, c, static_cast<std::size_t>(end - from)));
}

} // namespace

Result<void> DataEncoder::encode(std::string_view octets, std::string &out) {
  if (octets.empty()) return {};
  const char *const begin = octets.data();
  const char *const nul = find(begin, begin + octets.size(), '\0');
  const char *const end = nul ? nul : begin + octets.size();
  const char *run = begin; // what is not copied yet starts here
  const char *at = begin;
  const auto copy_until = [&](const char *stop) {
    out.append(run, static_cast<std::size_t>(stop - run));
    run = stop;
  };
  const auto refuse = [&](const char *place, const char *what) -> Result<void> {
    copy_until(place);
    return fail(ErrorCode::bad_syntax,
                fmt::format("message holds a {} at octet {}", what, size_ + static_cast<std::uint64_t>(place - begin)));
  };

  if (place_ == Place::after_cr) {
    if (at == end || *at != '\n')
      return fail(ErrorCode::bad_syntax, fmt::format("message holds a bare CR at octet {}", size_ - 1));
    out += '\r'; // it was held back at the end of the last part
    ++at;
    place_ = Place::line_start;
  }
  while (at != end) {
    if (place_ == Place::line_start && *at == '.' && form_ == DataForm::dot_stuffed) {
      // RFC 5321 section 4.5.2: a line that begins with a dot gets another in front.
      copy_until(at);
      out += '.';
    }
    place_ = Place::in_line;
    const char *const lf = find(at, end, '\n');
    const char *const line_end = lf ? lf : end;
    const char *const cr = find(at, line_end, '\r');
    if (cr && cr + 1 != line_end) return refuse(cr, "bare CR");
    if (!lf) {
      if (cr) place_ = Place::after_cr; // the cut lies between CR and LF
      break;
    }
    if (!cr) return refuse(lf, "bare LF");
    at = lf + 1;
    place_ = Place::line_start;
  }
  if (nul) return refuse(place_ == Place::after_cr ? end - 1 : end, place_ == Place::after_cr ? "bare CR" : "NUL");
  // A CR at the end is held back until its LF is seen, so that an error can never leave it bare on the wire.
  copy_until(place_ == Place::after_cr ? end - 1 : end);
  size_ += octets.size();
  return {};
}

Result<void> DataEncoder::finish(std::string &out) {
  if (place_ == Place::after_cr)
    return fail(ErrorCode::bad_syntax, fmt::format("message ends in a bare CR at octet {}", size_ - 1));
  if (place_ == Place::in_line) out += "\r\n";
  if (form_ == DataForm::dot_stuffed) out += ".\r\n";
  place_ = Place::line_start;
  return {};
}

} // namespace smtp
