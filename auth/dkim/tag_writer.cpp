// TagWriter: see the header.
#include "auth/dkim/tag_writer.hpp"

namespace auth {

namespace {
constexpr std::size_t margin = 76;
constexpr std::string_view fold = "\r\n ";
} // namespace

TagWriter::TagWriter(std::string_view field_name) : name_(field_name), line_(field_name.size() + 1) {}

/// The space in front of a tag, or a fold where the tag does not fit the line any more.
void TagWriter::begin_tag(std::size_t width) {
  if (!value_.empty()) {
    value_ += ';';
    ++line_;
  }
  if (!value_.empty() && line_ + 1 + width > margin) {
    value_ += fold;
    line_ = 1;
  } else {
    value_ += ' ';
    ++line_;
  }
}

void TagWriter::tag(std::string_view name, std::string_view value) {
  begin_tag(name.size() + 1 + value.size() + 1);
  value_.append(name).append("=").append(value);
  line_ += name.size() + 1 + value.size();
}

void TagWriter::list(std::string_view name, const std::vector<std::string> &names, std::size_t fold_over) {
  std::size_t width = name.size() + 1;
  for (const std::string &one : names) width += one.size() + 1;
  begin_tag(width);
  value_.append(name).append("=");
  line_ += name.size() + 1;
  bool first = true;
  for (const std::string &one : names) {
    if (!first) {
      value_ += ':';
      ++line_;
      if (width > fold_over && line_ + one.size() + 1 > margin) {
        value_ += fold;
        line_ = 1;
      }
    }
    first = false;
    value_ += one;
    line_ += one.size();
  }
}

void TagWriter::signature_tag(std::string_view name) {
  begin_tag(margin); // on a line of its own
  value_.append(name).append("=");
  line_ = name.size() + 2;
  signature_ = value_.size();
}

std::string TagWriter::field(std::string_view signature, SignatureFolds folds) const {
  std::string field = name_ + ':';
  field.append(value_, 0, signature_);
  const std::size_t width = folds == SignatureFolds::short_lines ? margin - 4 : signature.size();
  for (std::size_t at = 0; at < signature.size(); at += width) {
    if (at != 0) field += fold;
    field.append(signature.substr(at, width));
  }
  field.append(value_, signature_);
  return field.append("\r\n");
}

} // namespace auth
