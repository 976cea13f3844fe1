#include "mta/outbound/outcome.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "mta/queue/recipient_event.hpp"
#include "smtp/base/text.hpp"

namespace mta {

using Kind = RecipientResult::Kind;

namespace {

constexpr std::size_t detail_limit = 1000;

RecipientResult make_result(std::size_t index, Kind kind, FailureCause cause, smtp::Reply reply, std::string detail) {
  RecipientResult result;
  result.index = index;
  result.kind = kind;
  result.cause = cause;
  result.reply = std::move(reply);
  result.detail = std::move(detail);
  return result;
}

Kind kind_of(smtp::RecipientOutcome::Kind kind) {
  switch (kind) {
  case smtp::RecipientOutcome::Kind::delivered: return Kind::delivered;
  case smtp::RecipientOutcome::Kind::temporary: return Kind::temporary;
  case smtp::RecipientOutcome::Kind::permanent: return Kind::permanent;
  }
  return Kind::temporary;
}

/// The failure that tells most: TLS, then what a host said, then how it could not be reached; of equals the last.
const HostFailure &most_telling(const std::vector<HostFailure> &failures) {
  const auto weight = [](const HostFailure &failure) {
    if (failure.cause == FailureCause::tls) return 4;
    if (failure.cause == FailureCause::reply) return failure.refused_for_good ? 2 : 3;
    return failure.cause == FailureCause::connect ? 1 : 0;
  };
  const HostFailure *best = &failures.front();
  for (const auto &failure : failures)
    if (weight(failure) >= weight(*best)) best = &failure;
  return *best;
}

} // namespace

RecipientResult to_result(std::size_t index, const smtp::RecipientOutcome &outcome, const std::string &host) {
  const Kind kind = kind_of(outcome.kind);
  const FailureCause cause = kind == Kind::delivered ? FailureCause::none
                             : outcome.local         ? FailureCause::local
                                                     : FailureCause::reply;
  std::string detail;
  if (kind != Kind::delivered)
    detail = outcome.local ? fmt::format("not sent to {}: {}", host, outcome.reply.to_line())
                           : fmt::format("{} answered {}", host, smtp::escape(outcome.reply.to_line(), 500));
  auto result = make_result(index, kind, cause, outcome.reply, std::move(detail));
  result.host = host;
  result.dsn_passed_on = outcome.dsn_passed;
  return result;
}

RecipientResult to_result(std::size_t index, const std::vector<HostFailure> &failures, bool all_tried) {
  if (failures.empty()) return to_local_failure(index, "no host was tried");
  const HostFailure &telling = most_telling(failures);
  const bool for_good = all_tried && std::all_of(failures.begin(), failures.end(),
                                                 [](const auto &failure) { return failure.refused_for_good; });
  std::string detail;
  for (const auto &failure : failures) {
    if (!detail.empty()) detail += "; ";
    detail += fmt::format("{}: {}", failure.host, failure.detail);
    if (detail.size() > detail_limit) {
      detail.resize(detail_limit);
      detail += "...";
      break;
    }
  }
  auto result =
      make_result(index, for_good ? Kind::permanent : Kind::temporary, telling.cause, telling.reply, std::move(detail));
  result.host = telling.host;
  return result;
}

RecipientResult to_result(std::size_t index, const HostsFailure &failure) {
  return make_result(index, failure.reply.is_permanent() ? Kind::permanent : Kind::temporary, FailureCause::dns,
                     failure.reply, failure.detail);
}

RecipientResult to_local_failure(std::size_t index, const std::string &detail) {
  return make_result(index, Kind::temporary, FailureCause::local, {451, smtp::EnhancedCode{4, 3, 0}, detail}, detail);
}

RecipientResult to_lost_message(std::size_t index) {
  constexpr auto text =
      "a part of the message was lost on a damaged disk before it was delivered; please send it again";
  return make_result(index, Kind::permanent, FailureCause::local, {554, smtp::EnhancedCode{5, 3, 0}, text}, text);
}

void sum_up(Attempt &attempt, const std::vector<RecipientResult> &results) {
  attempt.recipients = results.size();
  std::size_t temporary = 0;
  const RecipientResult *failed = nullptr;
  attempt.tried.clear();
  for (const auto &result : results) {
    attempt.tried.push_back({.index = result.index, .status = status_word(result.kind), .reply = result.reply});
    if (result.kind == Kind::delivered)
      ++attempt.delivered;
    else if (result.kind == Kind::permanent)
      ++attempt.refused;
    else
      ++temporary;
    if (result.kind != Kind::delivered && failed == nullptr) failed = &result;
  }
  if (attempt.delivered == results.size())
    attempt.result = AttemptResult::delivered;
  else if (attempt.refused == results.size())
    attempt.result = AttemptResult::permanent;
  else if (temporary == results.size())
    attempt.result = AttemptResult::temporary;
  else
    attempt.result = AttemptResult::partly;
  if (failed != nullptr) {
    attempt.cause = failed->cause;
    attempt.reply = failed->reply;
    attempt.detail = failed->detail;
  } else if (!results.empty()) {
    attempt.reply = results.front().reply;
  }
}

namespace {

/// RFC 8689 section 4.2.1: when no host passes, the message goes back at once; "Unable to establish TLS-protected SMTP
/// session: 5.7.10 Encryption needed".
void give_up_requiretls(HostFailure &failure) {
  failure.refused_for_good = true;
  failure.reply = {550, smtp::EnhancedCode{5, 7, 10}, "REQUIRETLS cannot be kept: " + failure.detail};
}

} // namespace

HostFailure requiretls_failure(const std::string &host, const std::string &reason) {
  HostFailure failure;
  failure.cause = FailureCause::tls;
  failure.lesson = HostLesson::message;
  failure.host = host;
  failure.detail = fmt::format("the message demands REQUIRETLS: {}", reason);
  failure.refused_for_good = true;
  failure.reply = {550, smtp::EnhancedCode{5, 7, 30}, failure.detail};
  return failure;
}

HostFailure lacking_failure(const std::string &host, const smtp::Reply &reply) {
  HostFailure failure;
  failure.cause = FailureCause::local;
  failure.lesson = HostLesson::message;
  failure.host = host;
  failure.detail = fmt::format("not sent: {}", reply.to_line());
  failure.refused_for_good = true;
  failure.reply = reply;
  return failure;
}

HostFailure loop_failure(const std::string &host, const std::string &reason, bool operators) {
  HostFailure failure;
  failure.cause = FailureCause::dns;
  failure.lesson = HostLesson::nothing;
  failure.host = host;
  failure.detail = reason;
  failure.refused_for_good = !operators;
  failure.reply = operators ? smtp::Reply{451, smtp::EnhancedCode{4, 4, 6}, reason}
                            : smtp::Reply{550, smtp::EnhancedCode{5, 4, 6}, reason};
  return failure;
}

namespace {
constexpr std::string_view unsure_words = "the message was sent whole and may have arrived: ";
}

HostFailure unsure_failure(const std::string &host, const std::string &detail) {
  HostFailure failure;
  failure.cause = FailureCause::connect;
  failure.lesson = HostLesson::nothing;
  failure.host = host;
  failure.detail = std::string(unsure_words) + detail;
  failure.reply = {451, smtp::EnhancedCode{4, 4, 2}, failure.detail};
  return failure;
}

std::string unsure_end(const RecipientState &state) {
  const bool unsure = state.cause == FailureCause::connect && state.last_reply.text.starts_with(unsure_words);
  return unsure ? state.last_host : std::string();
}

HostFailure unusable_host(const HostPlan &plan) {
  const policy::Unusable &unusable = *plan.decision.unusable;
  HostFailure failure;
  failure.cause = FailureCause::tls;
  failure.lesson = HostLesson::nothing;
  failure.host = plan.host.name;
  failure.detail = fmt::format("not used by {}: {}", policy::to_string(unusable.source), unusable.reason);
  failure.reply = {451, smtp::EnhancedCode{4, 7, 5}, failure.detail};
  if (unusable.source == policy::Source::requiretls) give_up_requiretls(failure);
  return failure;
}

HostFailure local_failure(const std::string &host, const std::string &detail) {
  HostFailure failure;
  failure.cause = FailureCause::local;
  failure.lesson = HostLesson::nothing;
  failure.host = host;
  failure.detail = detail;
  failure.reply = {451, smtp::EnhancedCode{4, 3, 5}, detail};
  return failure;
}

HostFailure tls_failure(const policy::Requirement &wanted, tls::Level got, const std::string &host,
                        const std::string &reason, smtp::EnhancedCode code, bool for_good) {
  HostFailure failure;
  failure.cause = FailureCause::tls;
  failure.lesson = HostLesson::message;
  failure.host = host;
  failure.detail = fmt::format("wanted {}, got {}: {}", tls::to_string(wanted.level), tls::to_string(got), reason);
  failure.reply = {451, code, failure.detail};
  if (for_good) give_up_requiretls(failure);
  return failure;
}

} // namespace mta
