#include "mta/received/mime_fields.hpp"

#include <mutex>

#include <gmime/gmime.h>

#include "smtp/base/text.hpp"
#include "smtp/message/plain_text.hpp"

namespace mta {

namespace {

constexpr std::size_t longest_name = 255;

/// GMime's tables are made once for the process, as it demands; there is nothing of ours in them.
void start_gmime() {
  static std::once_flag started;
  std::call_once(started, g_mime_init);
}

struct Unref {
  void operator()(gpointer object) const { g_object_unref(object); }
};
struct Free {
  void operator()(char *text) const { g_free(text); }
};
struct FreeOptions {
  void operator()(GMimeParserOptions *options) const { g_mime_parser_options_free(options); }
};

std::string clean(const char *text, std::size_t limit) {
  return text == nullptr ? std::string() : smtp::one_line(text, smtp::TextCharset::utf8, limit);
}

} // namespace

MimeFields parse_mime_fields(const std::string &content_type, const std::string &disposition) {
  start_gmime();
  const std::unique_ptr<GMimeParserOptions, FreeOptions> options(g_mime_parser_options_new());
  MimeFields fields;
  if (!content_type.empty()) {
    const std::unique_ptr<GMimeContentType, Unref> type(g_mime_content_type_parse(options.get(), content_type.c_str()));
    const std::unique_ptr<char, Free> text(g_mime_content_type_get_mime_type(type.get()));
    fields.type = smtp::to_lower(clean(text.get(), longest_name));
    if (const char *boundary = g_mime_content_type_get_parameter(type.get(), "boundary")) fields.boundary = boundary;
    fields.name = clean(g_mime_content_type_get_parameter(type.get(), "name"), longest_name);
  }
  if (!disposition.empty()) {
    const std::unique_ptr<GMimeContentDisposition, Unref> parsed(
        g_mime_content_disposition_parse(options.get(), disposition.c_str()));
    std::string name = clean(g_mime_content_disposition_get_parameter(parsed.get(), "filename"), longest_name);
    if (!name.empty()) fields.name = std::move(name);
  }
  return fields;
}

std::string decode_header_text(const std::string &value, std::size_t limit) {
  start_gmime();
  const std::unique_ptr<GMimeParserOptions, FreeOptions> options(g_mime_parser_options_new());
  const std::unique_ptr<char, Free> text(g_mime_utils_header_decode_text(options.get(), value.c_str()));
  return std::string(smtp::trim(clean(text.get(), limit)));
}

struct TransferDecoder::Impl {
  GMimeEncoding state{};
  bool encoded = false;
};

TransferDecoder::TransferDecoder(const std::string &encoding) : impl_(std::make_unique<Impl>()) {
  start_gmime();
  const GMimeContentEncoding kind = g_mime_content_encoding_from_string(encoding.c_str());
  impl_->encoded = kind == GMIME_CONTENT_ENCODING_BASE64 || kind == GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE ||
                   kind == GMIME_CONTENT_ENCODING_UUENCODE;
  g_mime_encoding_init_decode(&impl_->state, kind);
}
TransferDecoder::~TransferDecoder() = default;
TransferDecoder::TransferDecoder(TransferDecoder &&) noexcept = default;
TransferDecoder &TransferDecoder::operator=(TransferDecoder &&) noexcept = default;

void TransferDecoder::decode(std::string_view octets, std::string &out) {
  if (!impl_->encoded) {
    out.append(octets);
    return;
  }
  const std::size_t before = out.size();
  out.resize(before + g_mime_encoding_outlen(&impl_->state, octets.size()));
  const std::size_t made = g_mime_encoding_step(&impl_->state, octets.data(), octets.size(), out.data() + before);
  out.resize(before + made);
}

} // namespace mta
