// One pass over lines; a line longer than the buffer comes in pieces.
#include "mta/received/mime_walk.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "mta/received/mime_fields.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

using smtp::ErrorCode;
using smtp::fail;
using smtp::Result;

constexpr std::size_t block_size = 65'536;
constexpr std::size_t longest_boundary = 200; ///< RFC 2046 section 5.1.1 has 70
constexpr std::size_t longest_fact = 320;

/// A line, or a piece of one that is longer than a block. `text` is without its line end.
struct Line {
  std::string_view text;
  bool starts = true;        ///< at the beginning of a line
  std::string_view end = {}; ///< "\r\n", "\n", or nothing: the line goes on, or the source ends
};

class LineReader {
public:
  LineReader(const OctetSource &source, std::uint64_t limit) : source_(source), limit_(limit) {}

  /// Nothing at the end. The views live until the next call.
  Result<std::optional<Line>> next() {
    for (;;) {
      const std::string_view held(buffer_.data() + begin_, end_ - begin_);
      const auto feed = held.find('\n', searched_);
      if (feed != std::string_view::npos) return take(feed, feed + 1);
      searched_ = held.size();
      if (at_end_ || held.size() >= block_size) {
        if (held.empty()) return std::optional<Line>();
        // A CR at the end of a piece may belong to the line end behind it.
        const bool keep = !at_end_ && held.back() == '\r';
        return take(held.size() - (keep ? 1 : 0), held.size() - (keep ? 1 : 0));
      }
      if (auto filled = fill(); !filled) return tl::unexpected(filled.error());
    }
  }

private:
  std::optional<Line> take(std::size_t size, std::size_t with_end) {
    Line line;
    line.starts = starts_;
    line.text = std::string_view(buffer_.data() + begin_, size);
    line.end = std::string_view(buffer_.data() + begin_ + size, with_end - size);
    if (!line.end.empty() && line.text.ends_with('\r')) {
      line.text.remove_suffix(1);
      line.end = std::string_view(line.end.data() - 1, 2);
    }
    starts_ = !line.end.empty();
    begin_ += with_end;
    searched_ = 0;
    return line;
  }

  Result<void> fill() {
    if (begin_ != 0) {
      std::copy(buffer_.data() + begin_, buffer_.data() + end_, buffer_.data());
      end_ -= begin_;
      begin_ = 0;
    }
    const auto read = source_(std::span<char>(buffer_).subspan(end_));
    if (!read) return tl::unexpected(read.error());
    at_end_ = *read == 0;
    end_ += *read;
    total_ += *read;
    if (total_ > limit_)
      return fail(ErrorCode::too_long, fmt::format("message is over the limit of {} octets", limit_));
    return {};
  }

  const OctetSource &source_;
  std::uint64_t limit_;
  std::vector<char> buffer_ = std::vector<char>(2 * block_size);
  std::size_t begin_ = 0, end_ = 0;
  std::size_t searched_ = 0; ///< octets from begin_ that hold no LF
  std::uint64_t total_ = 0;
  bool starts_ = true;
  bool at_end_ = false;
};

/// The fields of a header section that count here; each with its folds, the first of its name.
struct HeaderSection {
  std::string content_type, disposition, encoding, from, subject, message_id, tls_report_domain;

  std::string *find(std::string_view name) {
    if (smtp::equals_ignoring_case(name, "content-type")) return &content_type;
    if (smtp::equals_ignoring_case(name, "content-disposition")) return &disposition;
    if (smtp::equals_ignoring_case(name, "content-transfer-encoding")) return &encoding;
    if (smtp::equals_ignoring_case(name, "from")) return &from;
    if (smtp::equals_ignoring_case(name, "subject")) return &subject;
    if (smtp::equals_ignoring_case(name, "message-id")) return &message_id;
    if (smtp::equals_ignoring_case(name, "tls-report-domain")) return &tls_report_domain;
    return nullptr;
  }
};

/// What the lines that come next are:
///
///   header --empty line--> contents   of a leaf part
///                          header     of a message in a message
///                          skipped    preamble of a multipart
///   contents, skipped --boundary line--> header, or skipped behind the last one
class Walk {
public:
  Walk(const MimeLimits &limits, PartVisitor &visitor) : limits_(limits), visitor_(visitor) {}

  Result<void> take(const Line &line) {
    if (line.starts && line.text.starts_with("--"))
      if (const auto closing = match_boundary(line.text)) return pass_boundary(*closing);
    switch (state_) {
    case State::header: return take_header(line);
    case State::contents: take_contents(line); return {};
    case State::skipped: return {};
    }
    return {};
  }

  Result<void> finish() {
    // A message may end within its header.
    if (state_ == State::header && any_line_)
      if (auto ended = end_header(); !ended) return ended;
    end_part();
    return {};
  }

private:
  enum class State : std::uint8_t { header, contents, skipped };
  struct Level {
    std::string boundary; ///< empty: a message in a message
  };

  /// The innermost multipart whose boundary the line is; what is inside of it ends here. True: it is the last one.
  std::optional<bool> match_boundary(std::string_view line) {
    line.remove_prefix(2);
    for (std::size_t level = levels_.size(); level-- > 0;) {
      const std::string &boundary = levels_[level].boundary;
      if (boundary.empty() || !line.starts_with(boundary)) continue;
      std::string_view rest = smtp::trim(line.substr(boundary.size())); // RFC 2046: transport padding
      const bool closing = rest == "--";
      if (!rest.empty() && !closing) continue;
      levels_.resize(closing ? level : level + 1);
      return closing;
    }
    return std::nullopt;
  }

  Result<void> pass_boundary(bool closing) {
    if (state_ == State::header)
      if (auto ended = end_header_at_boundary(); !ended) return ended;
    end_part();
    state_ = closing ? State::skipped : State::header;
    start_header();
    return {};
  }

  void start_header() {
    section_ = {};
    field_ = nullptr;
    header_octets_ = 0;
    any_line_ = false;
  }

  Result<void> take_header(const Line &line) {
    any_line_ = true;
    header_octets_ += line.text.size() + line.end.size();
    if (header_octets_ > limits_.header_size)
      return fail(ErrorCode::too_long,
                  fmt::format("a header section is over the limit of {} octets", limits_.header_size));
    if (line.starts && line.text.empty()) return end_header();
    std::string_view value = line.text;
    if (line.starts && !value.starts_with(' ') && !value.starts_with('\t')) {
      const auto colon = value.find(':');
      field_ = colon == std::string_view::npos ? nullptr : section_.find(smtp::trim(value.substr(0, colon)));
      if (field_ && !field_->empty()) field_ = nullptr; // the first counts
      if (colon != std::string_view::npos) value.remove_prefix(colon + 1);
    }
    if (!field_) return {};
    if (field_->size() + value.size() > limits_.field_size)
      return fail(ErrorCode::too_long,
                  fmt::format("a header field is over the limit of {} octets", limits_.field_size));
    field_->append(value);
    return {};
  }

  /// A part that has no empty line has no contents.
  Result<void> end_header_at_boundary() { return any_line_ ? count_part() : Result<void>{}; }

  Result<void> count_part() {
    if (++parts_ > limits_.parts)
      return fail(ErrorCode::too_long, fmt::format("message has more than the limit of {} parts", limits_.parts));
    return {};
  }

  Result<void> push(std::string boundary) {
    if (levels_.size() >= limits_.depth)
      return fail(ErrorCode::too_long, fmt::format("parts are nested deeper than the limit of {}", limits_.depth));
    levels_.push_back({std::move(boundary)});
    return {};
  }

  Result<void> end_header() {
    if (!outermost_done_) {
      outermost_done_ = true;
      visitor_.begin_message({decode_header_text(section_.from, longest_fact),
                              decode_header_text(section_.subject, longest_fact),
                              decode_header_text(section_.message_id, longest_fact),
                              decode_header_text(section_.tls_report_domain, longest_fact)});
    }
    MimeFields fields = parse_mime_fields(section_.content_type, section_.disposition);
    if (fields.type.starts_with("multipart/") && !fields.boundary.empty() &&
        fields.boundary.size() <= longest_boundary) {
      state_ = State::skipped;
      return push(std::move(fields.boundary));
    }
    const std::string encoding(smtp::trim(section_.encoding));
    const bool plain =
        !smtp::equals_ignoring_case(encoding, "base64") && !smtp::equals_ignoring_case(encoding, "quoted-printable");
    if (plain && (fields.type == "message/rfc822" || fields.type == "message/global")) {
      start_header();
      return push({});
    }
    if (auto counted = count_part(); !counted) return counted;
    state_ = State::contents;
    held_end_.clear();
    taking_ = visitor_.begin_part({std::move(fields.type), std::move(fields.name)});
    in_part_ = taking_;
    decoder_.emplace(encoding);
    return {};
  }

  void take_contents(const Line &line) {
    if (!taking_) return;
    // The line end in front of a boundary belongs to the boundary (RFC 2046 section 5.1.1).
    decoded_.clear();
    if (!held_end_.empty()) decoder_->decode(held_end_, decoded_);
    decoder_->decode(line.text, decoded_);
    held_end_.assign(line.end);
    if (!decoded_.empty()) taking_ = visitor_.take(decoded_);
  }

  void end_part() {
    if (!in_part_) return;
    // At the end of the message the last line end is the contents'.
    decoded_.clear();
    if (taking_ && levels_.empty() && !held_end_.empty()) decoder_->decode(held_end_, decoded_);
    if (!decoded_.empty()) visitor_.take(decoded_);
    visitor_.end_part();
    in_part_ = false;
    taking_ = false;
  }

  const MimeLimits &limits_;
  PartVisitor &visitor_;
  State state_ = State::header;
  std::vector<Level> levels_;
  HeaderSection section_;
  std::string *field_ = nullptr; ///< that folded lines go on with
  std::size_t header_octets_ = 0;
  bool any_line_ = false;
  bool outermost_done_ = false;
  std::size_t parts_ = 0;
  bool in_part_ = false; ///< the visitor was told of a part whose end it waits for
  bool taking_ = false;
  std::optional<TransferDecoder> decoder_;
  std::string held_end_;
  std::string decoded_;
};

} // namespace

Result<void> walk_mime(const OctetSource &source, const MimeLimits &limits, PartVisitor &visitor) {
  LineReader reader(source, limits.message_size);
  Walk walk(limits, visitor);
  for (;;) {
    const auto line = reader.next();
    if (!line) return tl::unexpected(line.error());
    if (!*line) break;
    if (auto taken = walk.take(**line); !taken) return tl::unexpected(taken.error());
  }
  return walk.finish();
}

} // namespace mta
