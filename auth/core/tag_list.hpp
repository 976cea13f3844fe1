// TagList: the "tag=value; tag=value" grammar that DKIM, ARC and DMARC share (RFC 6376 section 3.2).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.hpp"

namespace auth {

/// Keeps the order of the tags. Values are as sent, without white space (and folds) around them; inner white space is
/// kept: remove_folds() for base64 and names.
class TagList {
public:
  struct Tag {
    std::string name; ///< as sent: tag names tell case (RFC 6376 section 3.2)
    std::string value;
  };

  /// Errors (bad_syntax, with the tag): a part without '=', a bad tag name, a tag given twice, an octet that no value
  /// may hold. One ';' at the end is allowed.
  [[nodiscard]] static smtp::Result<TagList> parse(std::string_view text);
  /// For DMARC records: a part that is not a tag is passed over, the first of two equal tags counts (names without
  /// case).
  [[nodiscard]] static TagList parse_tolerant(std::string_view text);

  /// Nothing when the tag is absent.
  [[nodiscard]] std::optional<std::string_view> get(std::string_view name) const noexcept;
  [[nodiscard]] const std::vector<Tag> &tags() const noexcept { return tags_; }
  /// Of parse_tolerant(): the tag was given more than once.
  [[nodiscard]] bool is_repeated(std::string_view name) const noexcept;

private:
  std::vector<std::string> repeated_;
  std::vector<Tag> tags_;
};

/// `text` without spaces, tabs, CR and LF.
[[nodiscard]] std::string remove_folds(std::string_view text);

} // namespace auth
