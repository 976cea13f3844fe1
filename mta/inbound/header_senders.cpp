#include "mta/inbound/header_senders.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "auth/core/from_field.hpp"
#include "auth/core/salvage_from.hpp"
#include "mta/inbound/reply.hpp"
#include "smtp/base/text.hpp"

namespace mta::inbound {

namespace {

bool is_address_octet(char c) noexcept {
  return static_cast<unsigned char>(c) > 127 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || std::string_view("!#$%&'*+-/=?^_`{|}~.").find(c) != std::string_view::npos;
}

/// Every "x@y" that stands in the text, in a comment and a display name too: one reader or another shows it.
bool all_addresses_allowed(std::string_view text, const policy::SenderPermit &permit) {
  for (auto at = text.find('@'); at != std::string_view::npos; at = text.find('@', at + 1)) {
    std::size_t begin = at;
    while (begin > 0 && is_address_octet(text[begin - 1])) --begin;
    // "boss. app@ours.example" is boss.app to some readers (RFC 5322 section 4.4).
    const auto before = begin == 0 ? std::string_view::npos : text.find_last_not_of(" \t", begin - 1);
    if (before != std::string_view::npos && (text[before] == '.' || text[before] == ')')) return false;
    std::size_t end = at + 1;
    while (end < text.size() && is_address_octet(text[end])) ++end;
    const auto mailbox = smtp::Mailbox::parse(text.substr(begin, end - begin));
    if (!mailbox || !permit.allows(*mailbox)) return false;
  }
  return true;
}

bool is_field_allowed(const auth::HeaderField &field, const policy::SenderPermit &permit) {
  const auth::AuthorDomains found = auth::parse_from_field(field.value);
  if (!found.is_ok()) return false;
  const bool whole_domains = std::all_of(found.domains.begin(), found.domains.end(), [&](const std::string &name) {
    const auto domain = smtp::Domain::parse(name);
    return domain && permit.allows_domain(*domain);
  });
  if (whole_domains) return true;
  const auth::FromReadings readings = auth::readings_of_from(field.value);
  bool any = false;
  for (const std::string &text : readings.texts) {
    if (text.find('@') == std::string::npos) continue;
    if (!all_addresses_allowed(text, permit)) return false;
    any = true;
  }
  return any && readings.problem.empty();
}

} // namespace

std::optional<smtp::Reply> judge_header_senders(const auth::HeaderFields &fields, const policy::SenderPermit &permit) {
  if (!permit.is_restricted()) return std::nullopt;
  constexpr std::size_t shown = 100;
  for (const std::string_view name : {"From", "Sender"}) {
    const auto found = fields.named(name);
    if (found.size() > 1)
      return make_reply(
          550, {5, 7, 1},
          fmt::format("this client may use certain senders only, and there are {} {} fields", found.size(), name));
    for (const auth::HeaderField *field : found)
      if (!is_field_allowed(*field, permit))
        return make_reply(550, {5, 7, 1},
                          fmt::format("this client may not send with {}: {}", name,
                                      smtp::escape_to_ascii(auth::unfold(field->value).substr(0, shown))));
  }
  return std::nullopt;
}

smtp::Reply refuse_envelope_sender(const std::string &sender) {
  return make_reply(550, {5, 7, 1}, fmt::format("this client may not send as {}", smtp::escape_to_ascii(sender)));
}

} // namespace mta::inbound
