#include "mta/report/notice_text.hpp"

#include <fmt/format.h>

namespace mta {

namespace {

using Kind = NotificationRequest::Kind;

FailureCause real_cause(const RecipientState &state) noexcept {
  return state.cause == FailureCause::expired ? state.before_expiry : state.cause;
}

/// " What happened: …." or nothing.
std::string what_happened(const RecipientState &state, std::string_view label) {
  if (state.detail.empty()) return {};
  const bool has_stop = state.detail.back() == '.';
  return fmt::format(" {}: {}{}", label, state.detail, has_stop ? "" : ".");
}

std::string duration_text(std::chrono::seconds time) {
  const auto say = [](std::int64_t count, std::string_view unit) {
    return fmt::format("{} {}{}", count, unit, count == 1 ? "" : "s");
  };
  if (time >= std::chrono::hours(48)) return say(std::chrono::floor<std::chrono::days>(time).count(), "day");
  if (time >= std::chrono::hours(2)) return say(std::chrono::floor<std::chrono::hours>(time).count(), "hour");
  if (time >= std::chrono::minutes(2)) return say(std::chrono::floor<std::chrono::minutes>(time).count(), "minute");
  return say(time.count(), "second");
}

std::string explain_cause(const RecipientState &state, const NoticeContext &context) {
  const std::string domain = state.recipient.mailbox.host();
  const bool waits = context.kind == Kind::delay;
  switch (real_cause(state)) {
  case FailureCause::reply:
    return waits || state.cause == FailureCause::expired
               ? "Their mail system did not take the message each time we tried."
               : "Their mail system refused the message.";
  case FailureCause::tls:
    return fmt::format(
        "We did not send this message unprotected; the address may be fine. Mail for {} must travel over a "
        "protected connection, and their mail system did not offer one that we can trust.{}{}",
        domain, what_happened(state, "What was wanted and what we got"),
        context.contact.empty() ? std::string() : fmt::format(" Those who can put it right: {}.", context.contact));
  case FailureCause::dns:
    return fmt::format("We could not find out which mail system takes mail for {}.{}", domain,
                       what_happened(state, "The domain name system said"));
  case FailureCause::connect:
    return fmt::format("We could not reach the mail system of {}.{}", domain, what_happened(state, "What happened"));
  case FailureCause::local:
    return "The fault is on our side, not with the address." + what_happened(state, "What happened");
  case FailureCause::operator_act:
    return "An operator of this mail system has ended its delivery." + what_happened(state, "The reason given");
  case FailureCause::none:
  case FailureCause::expired:
    return waits ? "The message is still waiting for its turn." : "The message was never tried.";
  }
  return {};
}

smtp::EnhancedCode code_of(FailureCause cause, std::uint8_t status_class) noexcept {
  switch (cause) {
  case FailureCause::tls: return {status_class, 7, 5};     // cryptographic failure
  case FailureCause::dns: return {status_class, 4, 4};     // unable to route
  case FailureCause::connect: return {status_class, 4, 1}; // no answer from host
  case FailureCause::local: return {status_class, 3, 0};   // other mail system status
  case FailureCause::expired: return {status_class, 4, 7}; // delivery time expired
  case FailureCause::operator_act: return {status_class, 7, 0};
  case FailureCause::reply:
  case FailureCause::none: break;
  }
  return {status_class, 0, 0};
}

} // namespace

bool is_remote_reply(const RecipientState &state) noexcept {
  return state.last_reply.code != 0 && real_cause(state) == FailureCause::reply && !state.last_host.empty();
}

std::string explain_recipient(const RecipientState &state, const NoticeContext &context) {
  if (context.kind == Kind::success) return {};
  const std::string why = explain_cause(state, context);
  if (context.kind == Kind::delay || state.cause != FailureCause::expired) return why;
  return fmt::format("We tried for {} and have given up. {}", duration_text(context.tried_for), why);
}

smtp::EnhancedCode status_of(const RecipientState &state, Kind kind) noexcept {
  if (kind == Kind::success) return {2, 0, 0};
  const bool for_good = kind == Kind::failure && state.cause != FailureCause::expired;
  const std::uint8_t status_class = for_good ? 5 : 4;
  if (kind == Kind::failure && state.cause == FailureCause::expired)
    return code_of(FailureCause::expired, status_class);
  if (const auto &said = state.last_reply.enhanced) return {status_class, said->subject, said->detail};
  return code_of(state.cause, status_class);
}

} // namespace mta
