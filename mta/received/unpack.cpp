#include "mta/received/unpack.hpp"

#include <array>

#include <fmt/format.h>
#include <zlib.h>

namespace mta {

namespace {

using smtp::ErrorCode;
using smtp::fail;
using smtp::Result;
using namespace std::string_view_literals;

constexpr int gzip_window = 15 + 16; ///< the largest window, with a gzip header
constexpr std::size_t piece_size = 65'536;
constexpr std::string_view gzip_magic = "\x1f\x8b";

struct InflateEnd {
  z_stream *stream;
  explicit InflateEnd(z_stream &given) : stream(&given) {}
  InflateEnd(const InflateEnd &) = delete;
  InflateEnd &operator=(const InflateEnd &) = delete;
  ~InflateEnd() { inflateEnd(stream); }
};

/// One member; `stream` stands behind it afterwards.
Result<void> inflate_member(z_stream &stream, std::uint64_t packed_size, const UnpackLimits &limits,
                            std::string &text) {
  std::array<char, piece_size> piece{};
  for (int code = Z_OK; code != Z_STREAM_END;) {
    stream.next_out = reinterpret_cast<Bytef *>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    code = inflate(&stream, Z_NO_FLUSH);
    if (code == Z_BUF_ERROR) return fail(ErrorCode::bad_syntax, "gzip data end too early");
    if (code != Z_OK && code != Z_STREAM_END)
      return fail(ErrorCode::bad_syntax,
                  fmt::format("gzip data are damaged: {}", stream.msg ? stream.msg : "zlib gives no reason"));
    const std::size_t made = piece.size() - stream.avail_out;
    if (auto checked = check_expansion(text.size() + made, packed_size, limits); !checked) return checked;
    text.append(piece.data(), made);
  }
  return {};
}

} // namespace

Packing sniff(std::string_view octets) noexcept {
  if (octets.starts_with(gzip_magic)) return Packing::gzip;
  if (octets.starts_with("PK\x03\x04"sv) || octets.starts_with("PK\x05\x06"sv)) return Packing::zip;
  // UTF-16 is XML's only; JSON is UTF-8 (RFC 8259 section 8.1).
  if (octets.starts_with("\xFF\xFE<"sv) || octets.starts_with("\xFE\xFF\0<"sv)) return Packing::xml;
  if (octets.starts_with("\xEF\xBB\xBF"sv)) octets.remove_prefix(3);
  const auto first = octets.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return Packing::unknown;
  if (octets[first] == '<') return Packing::xml;
  if (octets[first] == '{') return Packing::json;
  return Packing::unknown;
}

Result<void> check_expansion(std::uint64_t text_size, std::uint64_t packed_size, const UnpackLimits &limits) {
  if (text_size > limits.max_size)
    return fail(ErrorCode::too_long,
                fmt::format("report unpacks to more than the limit of {} octets", limits.max_size));
  if (text_size > limits.ratio_from && text_size / limits.max_ratio > packed_size)
    return fail(ErrorCode::too_long, fmt::format("report unpacks to more than {} times its {} octets, the limit",
                                                 limits.max_ratio, packed_size));
  return {};
}

Result<std::string> inflate_gzip(std::string_view octets, const UnpackLimits &limits) {
  if (octets.size() > std::numeric_limits<uInt>::max()) return fail(ErrorCode::too_long, "gzip data are over 4 GiB");
  z_stream stream{};
  if (inflateInit2(&stream, gzip_window) != Z_OK) return fail(ErrorCode::full, "no memory for zlib");
  const InflateEnd at_end(stream);
  // zlib's interface takes its input without const; it does not write there.
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(octets.data()));
  stream.avail_in = static_cast<uInt>(octets.size());
  std::string text;
  for (std::size_t members = 1;; ++members) {
    if (members > limits.members)
      return fail(ErrorCode::too_long, fmt::format("gzip file has more than the limit of {} members", limits.members));
    if (auto member = inflate_member(stream, octets.size(), limits, text); !member)
      return tl::unexpected(member.error());
    // RFC 1952 section 2.2: members follow one another. Some senders pad the last with zeros or a line end.
    if (!octets.substr(octets.size() - stream.avail_in).starts_with(gzip_magic)) return text;
    inflateReset(&stream);
  }
}

Result<std::string> unpack(std::string octets, const UnpackLimits &limits) {
  const auto once = [](Result<std::string> text) -> Result<std::string> {
    if (!text) return text;
    const Packing inner = sniff(*text);
    if (inner == Packing::gzip || inner == Packing::zip)
      return fail(ErrorCode::bad_syntax, "report is packed twice; an archive in an archive is not opened");
    return text;
  };
  switch (sniff(octets)) {
  case Packing::gzip: return once(inflate_gzip(octets, limits));
  case Packing::zip: return once(read_zip_entry(octets, limits));
  case Packing::xml:
  case Packing::json:
    if (octets.size() > limits.max_size)
      return fail(ErrorCode::too_long, fmt::format("report is over the limit of {} octets", limits.max_size));
    return octets;
  case Packing::unknown: break;
  }
  return fail(ErrorCode::bad_syntax,
              octets.empty() ? "report is empty" : "contents are neither gzip, zip, XML nor JSON");
}

} // namespace mta
