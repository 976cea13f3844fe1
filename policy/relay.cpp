#include "policy/relay.hpp"

#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace policy {

namespace {

smtp::Reply relaying_denied(const smtp::ForwardPath &path, std::string_view why_untrusted, bool for_now) {
  std::string text =
      fmt::format("relaying denied: {} is not a recipient of this system", smtp::escape(path.to_string()));
  if (!why_untrusted.empty()) text += fmt::format(", and {}", smtp::escape(why_untrusted, 300));
  if (for_now) return {.code = 450, .enhanced = smtp::EnhancedCode{4, 7, 1}, .text = std::move(text)};
  return {.code = 550, .enhanced = smtp::EnhancedCode{5, 7, 1}, .text = std::move(text)};
}

smtp::Reply no_such_user(const smtp::ForwardPath &path) {
  return {.code = 550,
          .enhanced = smtp::EnhancedCode{5, 1, 1},
          .text = fmt::format("no such recipient here: {}", smtp::escape(path.to_string()))};
}

smtp::Reply no_route(const smtp::ForwardPath &path) {
  return {.code = 550,
          .enhanced = smtp::EnhancedCode{5, 7, 1},
          .text = fmt::format("relaying denied: the local part of {} names a further hop (\"%\", \"!\" or \"@\")",
                              smtp::escape(path.to_string()))};
}

} // namespace

bool names_further_hop(std::string_view local_part) noexcept {
  return local_part.find_first_of("%!@") != std::string_view::npos;
}

std::optional<smtp::Reply> judge_recipient(const RecipientFacts &facts, const smtp::ForwardPath &path) {
  if (path.is_postmaster()) return std::nullopt; // RFC 5321 section 4.5.1: always, from anyone
  // An address literal is never one of our recipients, whatever the caller looked up.
  const LocalRecipient local = facts.is_literal ? LocalRecipient::not_ours : facts.local;
  switch (local) {
  case LocalRecipient::known:
    if (facts.is_caught && !facts.client_trusted && path.mailbox() != nullptr &&
        names_further_hop(path.mailbox()->local_part()))
      return no_route(path);
    return std::nullopt;
  case LocalRecipient::unknown: return no_such_user(path);
  case LocalRecipient::not_ours: break;
  }
  if (facts.role == ListenerRole::relay && facts.client_trusted) return std::nullopt;
  return relaying_denied(path, facts.why_untrusted, facts.untrusted_for_now);
}

} // namespace policy
