#include "mta/report/gzip.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>
#include <zlib.h>

namespace mta {

namespace {

constexpr int gzip_window = 15 + 16; ///< the largest window, with a gzip header
constexpr std::size_t piece_size = 65'536;

Bytef *octets_of(std::string_view text) {
  // zlib's interface takes its input without const; it does not write there.
  return reinterpret_cast<Bytef *>(const_cast<char *>(text.data()));
}

/// Runs `step` until the stream ends; `step` returns zlib's code.
template <typename Step>
smtp::Result<std::string> pump(z_stream &stream, std::string_view text, std::size_t limit, Step step) {
  std::string out;
  std::array<char, piece_size> piece{};
  for (int code = Z_OK; code != Z_STREAM_END;) {
    if (stream.avail_in == 0) {
      const auto size = std::min<std::size_t>(text.size(), std::numeric_limits<uInt>::max());
      stream.next_in = octets_of(text);
      stream.avail_in = static_cast<uInt>(size);
      text.remove_prefix(size);
    }
    stream.next_out = reinterpret_cast<Bytef *>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    code = step(text.empty() ? Z_FINISH : Z_NO_FLUSH);
    const std::size_t made = piece.size() - stream.avail_out;
    if (code != Z_OK && code != Z_STREAM_END && (code != Z_BUF_ERROR || made == 0))
      return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("zlib says {}", code));
    if (made > limit - out.size())
      return smtp::fail(smtp::ErrorCode::too_long, fmt::format("text is over its limit of {} octets", limit));
    out.append(piece.data(), made);
  }
  return out;
}

} // namespace

smtp::Result<std::string> gzip(std::string_view text) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip_window, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return smtp::fail(smtp::ErrorCode::full, "no memory for zlib");
  auto out =
      pump(stream, text, std::numeric_limits<std::size_t>::max(), [&](int flush) { return deflate(&stream, flush); });
  deflateEnd(&stream);
  return out;
}

smtp::Result<std::string> gunzip(std::string_view octets, std::size_t limit) {
  z_stream stream{};
  if (inflateInit2(&stream, gzip_window) != Z_OK) return smtp::fail(smtp::ErrorCode::full, "no memory for zlib");
  auto out = pump(stream, octets, limit, [&](int) { return inflate(&stream, Z_NO_FLUSH); });
  inflateEnd(&stream);
  return out;
}

} // namespace mta
