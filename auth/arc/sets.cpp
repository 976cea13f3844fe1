// The ARC sets of a message: see the header.
#include "auth/arc/sets.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "auth/arc/validate.hpp"
#include "smtp/base/text.hpp"

namespace auth {

using smtp::ErrorCode;

namespace {

bool is_white(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// 1*2DIGIT, 1 to 50 (RFC 8617 section 4.2.1).
std::optional<unsigned> parse_instance(std::string_view text) {
  if (text.empty() || text.size() > 2) return std::nullopt;
  const auto number = smtp::parse_number(text);
  if (!number || *number == 0 || *number > max_arc_sets) return std::nullopt;
  return static_cast<unsigned>(*number);
}

std::optional<unsigned> instance_of_tags(std::string_view value) {
  const auto tags = TagList::parse(value);
  if (!tags) return std::nullopt;
  const auto instance = tags->get("i");
  return instance ? parse_instance(*instance) : std::nullopt;
}

/// arc-info = instance [CFWS] ";" authres-payload; instance = [CFWS] "i" [CFWS] "=" [CFWS] position. Comments are not
/// looked for: nobody writes them here. `rest` is what stands behind the ';'.
std::optional<unsigned> instance_of_results(std::string_view value, std::string_view &rest) {
  const auto semicolon = value.find(';');
  if (semicolon == std::string_view::npos) return std::nullopt;
  const std::string plain = remove_folds(value.substr(0, semicolon));
  if (!plain.starts_with("i=")) return std::nullopt;
  rest = value.substr(semicolon + 1);
  while (!rest.empty() && is_white(rest.front())) rest.remove_prefix(1);
  return parse_instance(std::string_view(plain).substr(2));
}

constexpr std::string_view results_name = "ARC-Authentication-Results";
constexpr std::string_view message_name = "ARC-Message-Signature";
constexpr std::string_view seal_name = "ARC-Seal";

} // namespace

ArcFields collect_arc_fields(const HeaderFields &fields) {
  ArcFields found;
  std::vector<ArcFieldSet> sets(max_arc_sets);
  const auto fault = [&](std::string text) {
    if (found.fault.empty()) found.fault = std::move(text);
  };
  for (const HeaderField &field : fields.all()) {
    if (!smtp::starts_with_ignoring_case(field.name, "arc-")) continue;
    std::optional<unsigned> instance;
    std::string_view rest;
    const HeaderField *ArcFieldSet::*member = nullptr;
    std::string_view name;
    if (smtp::equals_ignoring_case(field.name, results_name)) {
      member = &ArcFieldSet::results;
      name = results_name;
      instance = instance_of_results(field.value, rest);
    } else if (smtp::equals_ignoring_case(field.name, message_name)) {
      member = &ArcFieldSet::message;
      name = message_name;
      instance = instance_of_tags(field.value);
    } else if (smtp::equals_ignoring_case(field.name, seal_name)) {
      member = &ArcFieldSet::seal;
      name = seal_name;
      instance = instance_of_tags(field.value);
    } else {
      continue;
    }
    if (!instance) {
      fault(fmt::format("{} without an instance from 1 to {}", name, max_arc_sets));
      continue;
    }
    found.highest = std::max(found.highest, *instance);
    ArcFieldSet &set = sets[*instance - 1];
    if (set.*member != nullptr) {
      fault(fmt::format("{} i={} twice", name, *instance));
      continue;
    }
    set.*member = &field;
    if (member == &ArcFieldSet::results) set.results_text = rest;
  }
  sets.resize(found.highest);
  for (std::size_t i = 0; i < sets.size(); ++i)
    if (!sets[i].whole()) fault(fmt::format("set i={} is not whole", i + 1));
  found.sets = std::move(sets);
  return found;
}

smtp::Result<void> read_seal(std::string_view value, Seal &seal) {
  const auto tags = TagList::parse(value);
  if (!tags) {
    (void)read_base(TagList::parse_tolerant(value), seal); // so that the chain can name it
    return tl::unexpected(tags.error());
  }
  if (const auto read = read_base(*tags, seal); !read) return read;
  if (seal.hash == HashKind::sha1) return smtp::fail(ErrorCode::bad_syntax, "unknown algorithm \"rsa-sha1\"");
  // RFC 8617 section 4.1.3: "h" is not allowed and, if found, MUST result in "fail".
  if (tags->get("h")) return smtp::fail(ErrorCode::bad_syntax, "h= in a seal");
  const std::string chain(tags->get("cv").value_or(""));
  if (smtp::equals_ignoring_case(chain, "none"))
    seal.chain = ChainValue::none;
  else if (smtp::equals_ignoring_case(chain, "pass"))
    seal.chain = ChainValue::pass;
  else if (smtp::equals_ignoring_case(chain, "fail"))
    seal.chain = ChainValue::fail;
  else
    return smtp::fail(ErrorCode::bad_syntax, "no cv= of none, pass or fail");
  if (const auto time = read_time(*tags, "t"); !time) return tl::unexpected(time.error());
  return {};
}

smtp::Result<void> read_arc_message_signature(std::string_view value, Signature &signature) {
  const auto tags = TagList::parse(value);
  if (!tags) return tl::unexpected(tags.error());
  if (const auto read = read_message_signature(*tags, signature); !read) return read;
  if (signature.hash == HashKind::sha1) return smtp::fail(ErrorCode::bad_syntax, "unknown algorithm \"rsa-sha1\"");
  // RFC 8617 section 4.1.2: ARC-Seal fields MUST NOT be in the content covered.
  for (const std::string &name : signature.names)
    if (smtp::equals_ignoring_case(name, seal_name)) return smtp::fail(ErrorCode::bad_syntax, "h= names ARC-Seal");
  return {};
}

void append_canonical_set(const ArcFieldSet &set, bool own, std::string &out) {
  append_canonical_field(Canonical::relaxed, *set.results, out);
  append_canonical_field(Canonical::relaxed, *set.message, out);
  if (!own) return append_canonical_field(Canonical::relaxed, *set.seal, out);
  append_canonical_field(Canonical::relaxed, set.seal->name, without_signature(set.seal->value), out);
  out.resize(out.size() - 2); // as RFC 6376 section 3.7: without the final CRLF
}

} // namespace auth
