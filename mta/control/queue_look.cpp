#include "mta/control/queue_look.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/base/on_thread.hpp"
#include "mta/control/answers.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

namespace json = boost::json;

const char *status_text(RecipientStatus status) noexcept {
  switch (status) {
  case RecipientStatus::pending: return "pending";
  case RecipientStatus::delivered: return "delivered";
  case RecipientStatus::failed: return "failed";
  }
  return "pending";
}

RecipientState state_in(const QueuedMessage &message, const RecipientView &view, std::size_t index) {
  return view.state_of != nullptr ? (*view.state_of)(index) : message.recipients[index];
}

std::vector<std::size_t> shown_recipients(const QueuedMessage &message, const RecipientView &view) {
  const std::size_t count = message.recipients.size();
  std::vector<std::size_t> indices;
  if (count > view.most && view.filter != nullptr)
    for (std::size_t i = 0; i < count && indices.size() < view.most; ++i)
      if (matches_recipient(*view.filter, state_in(message, view, i))) indices.push_back(i);
  if (!indices.empty()) return indices;
  indices.resize(std::min(count, view.most));
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  return indices;
}

json::object describe_recipient(const RecipientState &state, WallTime now, bool detailed) {
  json::object row;
  row["address"] = state.recipient.mailbox.to_string();
  row["status"] = status_text(state.status);
  if (!state.redirected_from.empty()) row["redirected_from"] = state.redirected_from;
  row["attempts"] = state.attempts;
  if (state.status == RecipientStatus::pending && state.next_attempt > now)
    row["next_attempt"] = time_text(state.next_attempt);
  row["cause"] = to_string(state.cause);
  row["reason"] = !state.detail.empty()        ? smtp::escape(state.detail, 500)
                  : state.last_reply.code != 0 ? smtp::escape(state.last_reply.to_line(), 500)
                                               : std::string();
  if (detailed) {
    row["last_attempt"] = time_text(state.last_attempt);
    row["last_host"] = state.last_host;
    row["last_reply"] = state.last_reply.code != 0 ? smtp::escape(state.last_reply.to_line(), 500) : std::string();
  }
  return row;
}

} // namespace

Task<QueueCounts> count_in_steps(const Scheduler &scheduler, QueueFilter filter) {
  if (matches_everything(filter)) co_return scheduler.count(filter);
  QueueCounts counts;
  const std::function<bool(const Scheduler::Match &)> add = [&counts](const Scheduler::Match &match) {
    ++counts.messages;
    if (match.message.held) ++counts.held;
    for (const RecipientState &state : match.message.recipients)
      if (state.status == RecipientStatus::pending) ++counts.recipients;
    return true;
  };
  std::optional<std::uint64_t> next = 0;
  while (next) {
    next = scheduler.visit(filter, *next, Scheduler::step, add);
    if (next) co_await give_way();
  }
  co_return counts;
}

json::object describe_message(const QueuedMessage &message, WallTime now, bool detailed, const RecipientView &view) {
  json::object object;
  const auto &envelope = message.envelope;
  object["id"] = message.id.to_string();
  object["arrival"] = time_text(envelope.arrival);
  object["age"] = std::chrono::duration_cast<std::chrono::seconds>(now - envelope.arrival).count();
  object["size"] = envelope.trace.size() + envelope.body_size;
  object["sender"] = envelope.sender.path.to_string();
  object["held"] = message.held;
  if (message.held) {
    object["hold_reason"] = message.hold_reason;
    object["held_since"] = time_text(message.held_since);
  }
  if (envelope.sender.parameters.requiretls) object["tls_wish"] = "REQUIRETLS";
  if (envelope.tls_optional) object["tls_wish"] = "TLS-Required: No";
  if (const auto &given = message.tls_override) {
    json::object row;
    row["level"] = tls::to_string(given->level);
    row["reason"] = smtp::escape(given->reason);
    row["by"] = smtp::escape(given->by);
    row["when"] = time_text(given->when);
    object["tls_override"] = std::move(row);
  }
  json::array recipients;
  for (const std::size_t index : shown_recipients(message, view)) {
    const RecipientState state = state_in(message, view, index);
    recipients.push_back(describe_recipient(state, now, detailed));
  }
  if (const auto more = message.recipients.size() - recipients.size(); more > 0) object["more_recipients"] = more;
  object["recipients"] = std::move(recipients);
  if (detailed) {
    object["client"] = envelope.client;
    object["sender_standing"] = to_string(envelope.standing);
    object["tls_in"] = envelope.tls_in;
    object["message_id"] = smtp::escape(envelope.message_id);
    object["expires"] = time_text(message.expires);
    object["trace"] = smtp::escape(envelope.trace, 4'000);
    object["notification"] = envelope.is_notification;
  }
  return object;
}

json::object answer_queue_show(const Scheduler &scheduler, const QueueFilter &filter, WallTime now) {
  QueueFilter only;
  only.id = filter.id;
  json::object answer;
  json::array rows;
  (void)scheduler.visit(only, 0, 1, [&](const Scheduler::Match &match) {
    rows.push_back(describe_message(match.message, now, true, {.state_of = &match.state_of, .filter = &filter}));
    return false;
  });
  if (rows.empty()) return failure(fmt::format("no message {} is in the queue", filter.id->to_string()));
  answer["ok"] = true;
  answer["messages"] = std::move(rows);
  answer["total"] = 1;
  return answer;
}

Task<json::object> answer_queue_list(const Scheduler &scheduler, json::object request, QueueFilter filter,
                                     WallTime now) {
  std::size_t limit = listed_messages;
  if (const auto *asked = request.if_contains("limit");
      asked != nullptr && asked->is_int64() && asked->get_int64() >= 0)
    limit = static_cast<std::size_t>(std::min<std::int64_t>(asked->get_int64(), listed_messages));
  std::optional<std::uint64_t> next = 0;
  const std::string from = text_of(request, "from");
  if (!from.empty()) {
    const auto id = QueueId::parse(from);
    if (!id) co_return failure(fmt::format("\"{}\" is not a queue id", smtp::escape(from, 40)));
    next = id->value;
  }
  json::array rows;
  std::size_t recipients = 0;
  const std::function<bool(const Scheduler::Match &)> take = [&](const Scheduler::Match &match) {
    rows.push_back(describe_message(match.message, now, false,
                                    {.state_of = &match.state_of, .filter = &filter, .most = recipients_shown}));
    recipients += std::min(match.message.recipients.size(), recipients_shown);
    return rows.size() < limit && recipients + recipients_shown <= listed_rows;
  };
  while (next && limit > 0) {
    next = scheduler.visit(filter, *next, Scheduler::step, take);
    if (rows.size() >= limit || recipients + recipients_shown > listed_rows) break;
    if (next) co_await give_way();
  }
  json::object answer;
  answer["ok"] = true;
  const std::size_t shown = rows.size();
  answer["messages"] = std::move(rows);
  if (next) answer["next"] = QueueId{*next}.to_string();
  if (!from.empty()) co_return answer;
  std::size_t total = shown;
  if (next) {
    auto counting = count_in_steps(scheduler, filter);
    const QueueCounts counts = co_await std::move(counting);
    total = std::max(shown, counts.messages);
  }
  answer["total"] = total;
  if (total > shown) answer["more"] = total - shown;
  co_return answer;
}

} // namespace mta
