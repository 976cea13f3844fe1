#include "mta/queue/filter.hpp"

#include <algorithm>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

bool contains_ignoring_case(std::string_view text, std::string_view part) noexcept {
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [](char a, char b) { return smtp::to_lower(a) == smtp::to_lower(b); }) != text.end();
}

/// `pattern` is a name, or "*." and a name that `host` must be below.
bool matches_host(std::string_view pattern, std::string_view host) noexcept {
  if (pattern == "*") return true;
  if (!pattern.starts_with("*.")) return smtp::equals_ignoring_case(pattern, host);
  const auto suffix = pattern.substr(1);
  return host.size() > suffix.size() && smtp::equals_ignoring_case(host.substr(host.size() - suffix.size()), suffix);
}

bool matches_sender(std::string_view wanted, const smtp::ReversePath &path) {
  const smtp::Mailbox *mailbox = path.mailbox();
  if (wanted == "<>") return mailbox == nullptr;
  if (mailbox == nullptr) return false;
  if (wanted.size() > 2 && wanted.front() == '<' && wanted.back() == '>') wanted = wanted.substr(1, wanted.size() - 2);
  if (wanted.find('@') != std::string_view::npos) return smtp::equals_ignoring_case(wanted, mailbox->to_string());
  return matches_host(wanted, mailbox->host());
}

bool matches_reason(std::string_view reason, const RecipientState &state) {
  return contains_ignoring_case(to_string(state.cause), reason) ||
         contains_ignoring_case(to_string(state.before_expiry), reason) ||
         (state.last_reply.code != 0 && contains_ignoring_case(state.last_reply.to_line(), reason)) ||
         contains_ignoring_case(state.detail, reason);
}

/// The address at the front of Envelope::client, "192.0.2.7 (mail.example.org)".
bool matches_client(const smtp::Network &network, const QueuedMessage &message) {
  const std::string_view client = message.envelope.client;
  const auto address = smtp::IpAddress::parse(client.substr(0, client.find(' ')));
  return address && network.contains(*address);
}

bool matches_address(const QueueFilter &filter, const smtp::Mailbox &mailbox) {
  if (!filter.recipient_domain.empty() && !matches_host(filter.recipient_domain, mailbox.host())) return false;
  return filter.recipient.empty() || smtp::equals_ignoring_case(filter.recipient, mailbox.to_string());
}

} // namespace

bool matches_recipient(const QueueFilter &filter, const RecipientState &state) {
  return matches_address(filter, state.recipient.mailbox) &&
         (filter.reason.empty() || matches_reason(filter.reason, state));
}

bool matches_everything(const QueueFilter &filter) noexcept {
  return !filter.id && filter.recipient_domain.empty() && filter.recipient.empty() && filter.sender.empty() &&
         !filter.older_than && filter.reason.empty() && !filter.held && !filter.client;
}

bool matches(const QueueFilter &filter, const QueuedMessage &message, WallTime now, const Reasons &reason_of) {
  if (filter.id && *filter.id != message.id) return false;
  if (filter.held && *filter.held != message.held) return false;
  if (filter.older_than && now - message.envelope.arrival < *filter.older_than) return false;
  if (!filter.sender.empty() && !matches_sender(filter.sender, message.envelope.sender.path)) return false;
  if (filter.client && !matches_client(*filter.client, message)) return false;
  if (filter.recipient_domain.empty() && filter.recipient.empty() && filter.reason.empty()) return true;
  const bool hold_fits = message.held && contains_ignoring_case(message.hold_reason, filter.reason);
  for (std::size_t i = 0; i < message.recipients.size(); ++i) {
    const RecipientState &state = message.recipients[i];
    if (state.status != RecipientStatus::pending) continue;
    if (!matches_address(filter, state.recipient.mailbox)) continue;
    if (filter.reason.empty() || hold_fits || matches_reason(filter.reason, reason_of ? reason_of(i) : state))
      return true;
  }
  return false;
}

} // namespace mta
