//
//   tlsrpt-record  = tlsrpt-version 1*(field-delim tlsrpt-field) [field-delim]
//   field-delim    = *WSP ";" *WSP
//   tlsrpt-version = %s"v=TLSRPTv1"
//   tlsrpt-rua     = %s"rua=" tlsrpt-uri *(*WSP "," *WSP tlsrpt-uri)
//   tlsrpt-uri     = URI    ; with "!", "," and ";" percent-encoded
#include "policy/tlsrpt.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "auth/core/dmarc_record.hpp"
#include "smtp/base/text.hpp"

namespace policy {

namespace {

constexpr std::string_view version = "v=TLSRPTv1";
constexpr std::size_t longest_extension_name = 32;
constexpr std::size_t most_problems = 32;

/// Printable ASCII on one line.
std::string shown(std::string_view text) {
  std::string clean = smtp::escape(text, 120);
  for (char &c : clean)
    if (c < ' ' || c > '~') c = '?';
  return clean;
}

/// tlsrpt-ext-name = (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".")
bool is_extension_name(std::string_view name) {
  const auto is_letter = [](char c) {
    const char lower = smtp::to_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
  };
  return !name.empty() && name.size() <= longest_extension_name && is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return is_letter(c) || c == '_' || c == '-' || c == '.'; });
}

/// A URI to which reports can go; the text says why not.
smtp::Result<TlsrptDestination> read_uri(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("rua \"{}\" is passed over: {}", shown(text), why));
  };
  // What DMARC reads as the limit of a size is here a character that must be encoded.
  if (text.find('!') != std::string_view::npos) return refuse("a \"!\" must be percent-encoded");
  const auto uri = auth::parse_dmarc_uri(text);
  if (!uri) return refuse("it is not a URI for reports");
  if (uri->scheme == "mailto") return TlsrptDestination{TlsrptDestination::Scheme::mailto, uri->address};
  if (uri->scheme != "https") return refuse("only mailto and https are known");
  if (uri->host.empty()) return refuse("it names no host");
  return TlsrptDestination{TlsrptDestination::Scheme::https, uri->uri};
}

class RecordReader {
public:
  smtp::Result<TlsrptRecord> read(std::string_view fields) {
    for (const std::string_view part : smtp::split(fields, ';')) read_field(smtp::trim(part));
    if (!has_rua_) return smtp::fail(smtp::ErrorCode::bad_syntax, "the TLSRPT record has no rua");
    return std::move(record_);
  }

private:
  void read_field(std::string_view field) {
    if (field.empty()) return;
    const auto equals = field.find('=');
    if (equals == std::string_view::npos || !is_extension_name(field.substr(0, equals)))
      return problem(fmt::format("\"{}\" is passed over: it is not a field", shown(field)));
    if (field.substr(0, equals) != "rua") return; // an extension that we do not know
    has_rua_ = true; // RFC 8460 section 3: "the ability to declare more than one rua", as a list or as fields
    read_rua(field.substr(equals + 1));
  }

  void read_rua(std::string_view list) {
    for (const std::string_view part : smtp::split(list, ',')) {
      auto destination = read_uri(smtp::trim(part));
      if (!destination) {
        problem(std::move(destination.error().detail));
      } else if (std::find(record_.rua.begin(), record_.rua.end(), *destination) != record_.rua.end()) {
        continue;
      } else if (record_.rua.size() == most_tlsrpt_uris) {
        return problem(fmt::format("rua has more than {} URIs", most_tlsrpt_uris));
      } else {
        record_.rua.push_back(std::move(*destination));
      }
    }
  }

  void problem(std::string text) {
    if (record_.problems.size() < most_problems) record_.problems.push_back(std::move(text));
  }

  TlsrptRecord record_;
  bool has_rua_ = false;
};

/// What stands behind the version and its delimiter.
std::optional<std::string_view> behind_version(std::string_view text) noexcept {
  if (!text.starts_with(version)) return std::nullopt;
  text.remove_prefix(version.size());
  const auto start = text.find_first_not_of(" \t");
  if (start == std::string_view::npos || text[start] != ';') return std::nullopt;
  return text.substr(start + 1);
}

} // namespace

std::string tlsrpt_name(std::string_view domain) {
  return fmt::format("_smtp._tls.{}", domain);
}

bool is_tlsrpt_record(std::string_view text) noexcept {
  return behind_version(text).has_value();
}

smtp::Result<TlsrptRecord> parse_tlsrpt_record(std::string_view text) {
  const auto fields = behind_version(text);
  if (!fields) return smtp::fail(smtp::ErrorCode::not_found, "it is not a TLSRPT record");
  if (text.size() > longest_tlsrpt_record)
    return smtp::fail(smtp::ErrorCode::too_long,
                      fmt::format("the TLSRPT record is {} octets, limit is {}", text.size(), longest_tlsrpt_record));
  return RecordReader().read(*fields);
}

smtp::Result<TlsrptRecord> choose_tlsrpt_record(std::span<const std::string> texts) {
  // Section 3: records that do not begin with "v=TLSRPTv1;" are discarded; when not exactly one is left, the domain
  // does not implement TLSRPT.
  const auto count = std::count_if(texts.begin(), texts.end(), is_tlsrpt_record);
  if (count == 0) return smtp::fail(smtp::ErrorCode::not_found, "there is no TLSRPT record");
  if (count > 1)
    return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("there are {} TLSRPT records, and none counts", count));
  return parse_tlsrpt_record(*std::find_if(texts.begin(), texts.end(), is_tlsrpt_record));
}

} // namespace policy
