// MTA-STS: see the header.
#include "policy/mta_sts.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "smtp/base/text.hpp"
#include "smtp/names/domain.hpp"

namespace policy {

using smtp::ErrorCode;

namespace {

tl::unexpected<smtp::Error> refuse(std::string detail) {
  return smtp::fail(ErrorCode::bad_syntax, std::move(detail));
}

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_space(char c) {
  return c == ' ' || c == '\t';
}

/// ext-name = (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / "."); the same in records and policies.
bool is_field_name(std::string_view text) {
  if (text.empty() || text.size() > 32 || !is_alphanumeric(text.front())) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alphanumeric(c) || c == '_' || c == '-' || c == '.'; });
}

/// Behind "v=STSv1": the delimiter of the next field, or nothing when it is another version.
bool begins_record(std::string_view text) {
  constexpr std::string_view start = "v=STSv1";
  if (!text.starts_with(start)) return false;
  text.remove_prefix(start.size());
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return text.starts_with(';');
}

/// sts-text-record = "v=STSv1" 1*( *WSP ";" *WSP sts-field ) [ *WSP ";" *WSP ]
/// sts-field       = "id=" 1*32(ALPHA / DIGIT) / ext-name "=" 1*(%x21-3A / %x3C / %x3E-7E)
smtp::Result<std::string> parse_record(std::string_view text) {
  std::optional<std::string> id;
  const auto fields = smtp::split(text, ';');
  for (std::size_t i = 1; i < fields.size(); ++i) {
    const std::string_view field = smtp::trim(fields[i]);
    if (field.empty() && i + 1 == fields.size()) break; // the delimiter at the end
    const auto equals = field.find('=');
    if (equals == std::string_view::npos)
      return refuse(fmt::format("field \"{}\" of the record has no \"=\"", smtp::escape(field, 60)));
    const std::string_view name = field.substr(0, equals);
    const std::string_view value = field.substr(equals + 1);
    if (!is_field_name(name)) return refuse(fmt::format("\"{}\" is not a name of a field", smtp::escape(name, 60)));
    if (name == "id") {
      if (value.empty() || value.size() > sts_id_limit || !std::all_of(value.begin(), value.end(), is_alphanumeric))
        return refuse(
            fmt::format("id \"{}\" is not 1 to {} letters and digits", smtp::escape(value, 60), sts_id_limit));
      if (!id) id = std::string(value);
      continue;
    }
    const bool visible =
        std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c < '\x7f' && c != '='; });
    if (value.empty() || !visible) return refuse(fmt::format("the value of field \"{}\" is not visible ASCII", name));
  }
  if (!id) return refuse("the record has no id");
  return std::move(*id);
}

/// The fields of a policy as far as they were seen; of each but `mx` the first counts.
struct Fields {
  std::optional<std::string> version, mode, max_age;
  std::vector<std::string> mx;
};

void take_first(std::optional<std::string> &field, std::string_view value) {
  if (!field) field = std::string(value);
}

/// sts-policy-field = name ":" *WSP value *WSP
smtp::Result<void> read_line(std::string_view line, std::size_t number, Fields &fields) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || !is_field_name(line.substr(0, colon)))
    return refuse(fmt::format("line {} of the policy is not \"name: value\": \"{}\"", number, smtp::escape(line, 60)));
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = smtp::trim(line.substr(colon + 1));
  if (name == "version") {
    take_first(fields.version, value);
  } else if (name == "mode") {
    take_first(fields.mode, value);
  } else if (name == "max_age") {
    take_first(fields.max_age, value);
  } else if (name == "mx") {
    auto pattern = parse_sts_pattern(value);
    if (!pattern) return refuse(fmt::format("line {} of the policy: {}", number, pattern.error().detail));
    if (fields.mx.size() >= sts_mx_limit)
      return smtp::fail(ErrorCode::too_long,
                        fmt::format("the policy has more than {} mx lines, the limit", sts_mx_limit));
    // RFC 8461 section 4.1 compares A-labels, and its mx is a Domain in ASCII: a U-label stands for no host. The line
    // is kept as it came, so that a policy with nothing else names no host, rather than that there be no policy.
    const bool is_ascii = std::all_of(value.begin(), value.end(), [](char c) { return c >= '\0'; });
    fields.mx.push_back(is_ascii ? std::move(*pattern) : smtp::to_lower(value));
  } else {
    // An extension of tomorrow: its value is text, and means nothing to us.
    const bool printable = smtp::is_utf8(value) && std::none_of(value.begin(), value.end(), [](char c) {
                             return (c >= '\0' && c < ' ') || c == '\x7f';
                           });
    if (value.empty() || !printable)
      return refuse(fmt::format("line {} of the policy: the value of \"{}\" is not text", number, name));
  }
  return {};
}

smtp::Result<StsPolicy> judge_fields(Fields fields) {
  StsPolicy policy;
  if (!fields.version) return refuse("the policy has no version");
  if (*fields.version != "STSv1")
    return refuse(fmt::format("version \"{}\" is not STSv1", smtp::escape(*fields.version, 60)));
  if (!fields.mode) return refuse("the policy has no mode");
  if (*fields.mode == "enforce")
    policy.mode = StsMode::enforce;
  else if (*fields.mode == "testing")
    policy.mode = StsMode::testing;
  else if (*fields.mode != "none")
    return refuse(fmt::format("mode \"{}\" is none of enforce, testing and none", smtp::escape(*fields.mode, 60)));
  if (!fields.max_age) return refuse("the policy has no max_age");
  const auto age = smtp::parse_number(*fields.max_age);
  if (fields.max_age->size() > 10 || !age || *age > static_cast<std::uint64_t>(sts_longest_age.count()))
    return refuse(fmt::format("max_age \"{}\" is not between 0 and {} s", smtp::escape(*fields.max_age, 60),
                              sts_longest_age.count()));
  policy.max_age = std::chrono::seconds(*age);
  if (fields.mx.empty() && policy.mode != StsMode::none)
    return refuse(fmt::format("the policy has mode {} and no mx", to_string(policy.mode)));
  policy.mx = std::move(fields.mx);
  return policy;
}

} // namespace

const char *to_string(StsMode mode) noexcept {
  switch (mode) {
  case StsMode::none: return "none";
  case StsMode::testing: return "testing";
  case StsMode::enforce: return "enforce";
  }
  return "none";
}

// RFC 8461 section 3.1: records that do not begin with the version are discarded; of the others there must be one.
smtp::Result<std::optional<std::string>> find_sts_record(const std::vector<std::string> &texts) {
  const std::string *record = nullptr;
  for (const auto &text : texts) {
    if (!begins_record(text)) continue;
    if (record != nullptr) return refuse("there are several records that begin with v=STSv1");
    record = &text;
  }
  if (record == nullptr) return std::optional<std::string>();
  auto id = parse_record(*record);
  if (!id) return tl::unexpected(id.error());
  return std::optional<std::string>(std::move(*id));
}

// sts-policy-record = field *( (LF / CRLF) field ) [ LF / CRLF ]; empty lines are passed over.
smtp::Result<StsPolicy> parse_sts_policy(std::string_view text) {
  if (text.size() > sts_text_limit)
    return smtp::fail(ErrorCode::too_long,
                      fmt::format("the policy is {} octets long, the limit is {}", text.size(), sts_text_limit));
  Fields fields;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    if (auto read = read_line(line, number, fields); !read) return tl::unexpected(read.error());
  }
  return judge_fields(std::move(fields));
}

// sts-policy-mx-value = ["*."] Domain
smtp::Result<std::string> parse_sts_pattern(std::string_view text) {
  const bool wildcard = text.starts_with("*.");
  auto domain = smtp::Domain::parse(wildcard ? text.substr(2) : text);
  if (!domain)
    return refuse(fmt::format("mx \"{}\" is not a host name nor \"*.\" in front of one: {}", smtp::escape(text, 100),
                              domain.error().detail));
  return wildcard ? "*." + domain->ascii() : domain->ascii();
}

bool sts_pattern_matches(std::string_view pattern, std::string_view host) noexcept {
  if (std::any_of(pattern.begin(), pattern.end(), [](char c) { return c < '\0'; })) return false; // a U-label
  if (!pattern.starts_with("*.")) return smtp::equals_ignoring_case(pattern, host);
  const auto dot = host.find('.');
  return dot != std::string_view::npos && dot != 0 && smtp::equals_ignoring_case(pattern.substr(1), host.substr(dot));
}

bool sts_policy_covers(const std::vector<std::string> &patterns, std::string_view host) noexcept {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const auto &pattern) { return sts_pattern_matches(pattern, host); });
}

std::string format_sts_policy(const StsPolicy &policy) {
  std::string text = fmt::format("version: STSv1\r\nmode: {}\r\n", to_string(policy.mode));
  for (const auto &mx : policy.mx) fmt::format_to(std::back_inserter(text), "mx: {}\r\n", mx);
  return text + fmt::format("max_age: {}\r\n", policy.max_age.count());
}

std::string format_sts_record(const StsPolicy &policy) {
  return fmt::format("v=STSv1; id={};", sts_fingerprint(format_sts_policy(policy)));
}

std::string sts_fingerprint(std::string_view text) {
  std::uint64_t hash = 14'695'981'039'346'656'037ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211ULL;
  return fmt::format("{:016x}", hash);
}

} // namespace policy
