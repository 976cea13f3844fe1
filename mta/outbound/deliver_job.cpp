// deliver_job: see deliver_job.hpp.
#include "mta/outbound/deliver_job.hpp"

#include <algorithm>
#include <exception>

#include <fmt/format.h>

#include "mta/outbound/decision_text.hpp"
#include "mta/outbound/observe.hpp"
#include "mta/outbound/outcome.hpp"
#include "mta/outbound/session_io.hpp"
#include "smtp/base/text.hpp"

namespace mta {

using Clock = std::chrono::steady_clock;

namespace {

/// Connections that one group of recipients may open before it waits for the next try.
constexpr std::size_t connection_limit = 5;
/// Recipients of one transaction, unless the server says otherwise (RFC 5321 section 4.5.3.1.8: it must take 100).
constexpr std::size_t recipients_per_transaction = 100;

/// Those recipients of a job that share one plan, on their way.
struct Group {
  std::shared_ptr<DeliveryWorker> worker;
  const Job &job;
  ActiveConnection &active;
  std::shared_ptr<const Plan> plan;
  std::shared_ptr<const HostPlan> host_plan; ///< of the host that is tried; null before the first
  std::vector<std::size_t> open;             ///< recipients that nobody has decided yet
  std::vector<RecipientResult> &results;     ///< of the job
  std::vector<HostFailure> failures;
  bool fell_back = false; ///< the one planned attempt in clear is spent
  bool injected = false;

  [[nodiscard]] const QueuedMessage &message() const noexcept { return *job.message; }
  [[nodiscard]] const OutboundConfig &outbound() const noexcept { return plan->config().outbound; }
  [[nodiscard]] bool is_stopped() const noexcept { return worker->is_stopped_hard(); }
};

enum class After : std::uint8_t {
  finished,  ///< every recipient is decided
  again,     ///< the connection was stale or is spent: a new one to the same host goes on
  next_host, ///< the host failed; failures says how
};

Attempt begin_attempt(const Group &group) {
  Attempt attempt;
  attempt.id = group.message().id;
  attempt.sender = group.message().envelope.sender.path.to_string();
  attempt.recipients = group.open.size();
  attempt.to = group.open.size() == 1 ? group.message().recipients[group.open.front()].recipient.mailbox.to_string()
                                      : group.plan->domain;
  attempt.domain = group.plan->domain;
  const policy::Decision &decision = group.host_plan ? group.host_plan->decision : group.plan->decision;
  attempt.wish = group.plan->wish.wish;
  if (const auto &given = group.plan->wish.override_) attempt.override_by = given->by;
  attempt.wanted = decision.enforced.level;
  attempt.rule = decision.enforced.rule;
  if (const auto &observed = decision.observed) {
    attempt.observed_rule = observed->rule;
    attempt.observed_level = observed->level;
  }
  return attempt;
}

void end_attempt(const Group &group, Attempt &attempt, Clock::time_point began) {
  attempt.duration = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began);
  const Delivery::Services &services = group.worker->services();
  services.log.write(to_event(attempt));
  if (services.decisions != nullptr)
    services.decisions->note(to_note(attempt, group.host_plan ? group.host_plan->decision_text : nullptr));
}

/// Tells those who count sessions.
void observe(const Group &group, const std::shared_ptr<const TlsSession> &session) {
  // RFC 8460 section 3: the delivery of reports is not reported on.
  if (session && group.worker->services().observer != nullptr && !group.message().envelope.is_tls_report)
    group.worker->services().observer->session(session);
}

void note_failure(Group &group, HostFailure failure) {
  group.failures.push_back(std::move(failure));
}

/// The recipients of `batch` are decided by `results`.
void decide(Group &group, std::vector<RecipientResult> results) {
  for (const auto &result : results) std::erase(group.open, result.index);
  std::move(results.begin(), results.end(), std::back_inserter(group.results));
}

smtp::Transaction make_transaction(const Group &group, const std::vector<std::size_t> &batch, std::uint64_t size) {
  const Envelope &envelope = group.message().envelope;
  smtp::Transaction transaction;
  transaction.sender = envelope.sender;
  transaction.size = size;
  transaction.has_8bit = envelope.has_8bit;
  transaction.needs_smtputf8 = envelope.needs_smtputf8;
  transaction.recipients.reserve(batch.size());
  for (const auto index : batch) transaction.recipients.push_back(group.message().recipients[index].recipient);
  return transaction;
}

std::vector<RecipientResult> to_results(const std::vector<std::size_t> &batch,
                                        const std::vector<smtp::RecipientOutcome> &outcomes, const std::string &host) {
  std::vector<RecipientResult> results;
  results.reserve(batch.size());
  for (std::size_t i = 0; i < batch.size() && i < outcomes.size(); ++i)
    results.push_back(to_result(batch[i], outcomes[i], host));
  return results;
}

/// The transaction broke off. What the server decided stands; the rest is for the next host, unless the message may
/// have arrived, or is unreadable here.
After take_failure(Group &group, const std::vector<std::size_t> &batch, const smtp::ClientFailed &failed,
                   const SessionIo &io, Attempt &attempt, bool reused) {
  using Waiting = smtp::ClientSession::Waiting;
  const Connection &connection = io.connection;
  const std::string host = attempt.host_label();
  const bool closing = failed.reply && failed.reply->code == 421;
  if (reused && !connection.body_begun && (!connection.heard || closing)) {
    // The peer had given up the kept connection: that says nothing about the message or the host.
    return After::again;
  }
  std::string detail = failed.detail;
  if (connection.wire_error && !failed.reply)
    detail = describe_wire_error(group.outbound(), *connection.wire_error, connection.failed_in);
  if (io.body_unreadable && connection.wire_error)
    detail = fmt::format("the message cannot be read from the spool: {}", connection.wire_error->detail);

  auto results = to_results(batch, failed.outcomes, host);
  std::erase_if(results, [](const auto &result) { return result.kind == RecipientResult::Kind::temporary; });
  const bool unsure = connection.failed_in == Waiting::data_end && connection.wire_error && !failed.reply;
  HostFailure failure;
  failure.host = host;
  failure.detail = smtp::escape(detail, 500);
  failure.cause = failed.reply ? FailureCause::reply : io.body_unreadable ? FailureCause::local : FailureCause::connect;
  failure.reply = failed.reply ? *failed.reply : smtp::Reply{451, smtp::EnhancedCode{4, 4, 2}, failure.detail};
  attempt.cause = failure.cause;
  attempt.reply = failure.reply;
  attempt.detail = failure.detail;
  if (unsure || io.body_unreadable) {
    // After the last octet the server may have taken it: another host now would make a second copy more likely.
    for (const auto index : batch) {
      const bool decided =
          std::any_of(results.begin(), results.end(), [index](const auto &r) { return r.index == index; });
      if (decided) continue;
      auto result = to_result(index, std::vector<HostFailure>{failure});
      result.kind = RecipientResult::Kind::temporary;
      results.push_back(std::move(result));
    }
    sum_up(attempt, results);
    decide(group, std::move(results));
    note_failure(group, std::move(failure));
    return group.open.empty() ? After::finished : After::next_host;
  }
  attempt.result = AttemptResult::next_host;
  decide(group, std::move(results));
  note_failure(group, std::move(failure));
  return group.open.empty() ? After::finished : After::next_host;
}

/// The next transaction on the connection: a batch of the open recipients. Finished and again mean here: the
/// transaction is over and the connection good.
Task<After> send_batch(Group &group, Connection &connection, bool reused, Attempt &attempt) {
  const auto rcpt_max = connection.session.capabilities().rcpt_max;
  const std::size_t limit = std::max<std::size_t>(1, rcpt_max.value_or(recipients_per_transaction));
  const std::vector<std::size_t> batch(
      group.open.begin(), group.open.begin() + static_cast<std::ptrdiff_t>(std::min(limit, group.open.size())));
  auto reader = group.worker->services().spool.read_body(group.message().id);
  if (!reader) {
    std::vector<RecipientResult> results;
    for (const auto index : batch)
      results.push_back(
          to_local_failure(index, fmt::format("the message cannot be read from the spool: {}", reader.error().detail)));
    sum_up(attempt, results);
    decide(group, std::move(results));
    co_return After::finished;
  }
  BodySource body(group.message().envelope.trace, std::move(*reader));
  attempt.size = body.size();
  connection.heard = false;
  connection.body_begun = false;
  connection.session.begin(make_transaction(group, batch, body.size()));
  SessionIo io{connection, group.outbound(), &body, group.worker->worker().scratch};
  auto action = co_await run_session(io);
  if (const auto *done = std::get_if<smtp::TransactionDone>(&action)) {
    ++connection.messages;
    auto results = to_results(batch, done->outcomes, attempt.host_label());
    sum_up(attempt, results);
    decide(group, std::move(results));
    co_return After::finished;
  }
  smtp::ClientFailed lost;
  lost.detail = "the session ended in the transaction";
  const auto *failed = std::get_if<smtp::ClientFailed>(&action);
  const After after = take_failure(group, batch, failed != nullptr ? *failed : lost, io, attempt, reused);
  connection.stream.close();
  co_return after;
}

/// One line for each recipient that fared otherwise than the whole.
void log_refused(const Group &group, std::size_t first_result) {
  for (std::size_t i = first_result; i < group.results.size(); ++i) {
    const auto &result = group.results[i];
    if (result.kind == RecipientResult::Kind::delivered) continue;
    auto event = Event("recipient", LogLevel::warning)
                     .with("id", group.message().id.to_string())
                     .with("to", group.message().recipients[result.index].recipient.mailbox.to_string())
                     .with("host", result.host)
                     .with("result", result.kind == RecipientResult::Kind::permanent ? "permanent" : "temporary")
                     .with("reply", result.reply.to_line());
    group.worker->services().log.write(event);
  }
}

void observe_messages(const Group &group, const Connection &connection, const Attempt &attempt) {
  TlsObserver *observer = group.worker->services().observer;
  if (observer == nullptr || !connection.observed_session || attempt.delivered == 0 ||
      group.message().envelope.is_tls_report)
    return;
  observer->messages(connection.observed_session, group.plan->domain, 1);
}

/// Sends over one connection until every recipient is decided or the connection is of no more use.
Task<After> send(Group &group, std::unique_ptr<Connection> connection, bool reused) {
  group.active.connection = connection.get();
  for (bool first = true;; first = false) {
    const auto began = Clock::now();
    const bool on_kept = reused && first;
    judge(*connection, group.host_plan, std::chrono::system_clock::now());
    if (!connection->verdict
             .ok()) { // a kept connection satisfied an equal requirement; if ever it does not, it is not used
      connection->stream.close();
      group.active.connection = nullptr;
      co_return After::again;
    }
    Attempt attempt = begin_attempt(group);
    note_connection(attempt, *connection);
    attempt.reused = reused || !first;
    const std::size_t results_before = group.results.size();
    const After after = co_await send_batch(group, *connection, on_kept, attempt);
    const bool usable = connection->stream.is_open() && !connection->wire_error;
    if (after == After::again) {
      group.active.connection = nullptr;
      co_return after;
    }
    end_attempt(group, attempt, began);
    observe_messages(group, *connection, attempt);
    if (group.results.size() - results_before > 1 && attempt.result == AttemptResult::partly)
      log_refused(group, results_before);
    if (after == After::next_host || !usable) {
      group.active.connection = nullptr;
      if (after == After::finished && !group.open.empty()) co_return After::next_host;
      co_return after;
    }
    const auto mail_max = connection->session.capabilities().mail_max;
    const bool spent = connection->messages >= group.outbound().messages_per_connection ||
                       (mail_max && connection->messages >= *mail_max);
    if (!group.open.empty() && !spent && !group.is_stopped()) continue;
    group.active.connection = nullptr;
    group.worker->put_back(group.worker, std::move(connection), group.outbound());
    co_return group.open.empty() ? After::finished : After::again;
  }
}

/// Opens a connection and, where the requirement allows it, plans the one attempt in clear.
Task<Opened> open_with_fallback(Group &group, std::vector<smtp::SocketAddress> addresses) {
  auto began = Clock::now();
  Attempt attempt = begin_attempt(group);
  OpenRequest request{group.host_plan, std::move(addresses), false};
  auto opened = co_await open_connection(group.worker->worker(), group.active, std::move(request), attempt);
  group.injected = group.injected || opened.injected;
  observe(group, opened.session);
  if (opened.connection) {
    if (!opened.connection->tls_problem.empty())
      group.worker->services().log.write(to_fallback_event(attempt, opened.connection->tls_problem));
    co_return std::move(opened);
  }
  end_attempt(group, attempt, began);
  if (opened.fallback_reason.empty() || group.fell_back || group.injected || group.is_stopped())
    co_return std::move(opened);

  group.fell_back = true;
  group.worker->services().log.write(to_fallback_event(attempt, opened.fallback_reason));
  began = Clock::now();
  attempt = begin_attempt(group);
  std::vector<smtp::SocketAddress> same_address;
  same_address.push_back(opened.fallback_address);
  OpenRequest in_clear{group.host_plan, std::move(same_address), true};
  auto clear = co_await open_connection(group.worker->worker(), group.active, std::move(in_clear), attempt);
  observe(group, clear.session);
  if (clear.connection)
    clear.connection->tls_problem = opened.fallback_reason;
  else
    end_attempt(group, attempt, began);
  clear.tried = std::move(opened.tried);
  co_return std::move(clear);
}

/// A host that is not tried, with its line in the log.
void pass_over(Group &group, const NextHost &host, HostFailure failure) {
  Attempt attempt = begin_attempt(group);
  attempt.host = host.name;
  attempt.cause = failure.cause;
  attempt.reply = failure.reply;
  attempt.detail = failure.detail;
  end_attempt(group, attempt, Clock::now());
  note_failure(group, std::move(failure));
}

HostFailure without_address(const HostPlan &plan) {
  const HostAddresses &found = plan.addresses;
  HostFailure failure;
  failure.cause = FailureCause::dns;
  failure.host = plan.host.name;
  failure.detail = found.problem;
  failure.refused_for_good = !found.temporary;
  failure.reply = found.temporary ? smtp::Reply{451, smtp::EnhancedCode{4, 4, 3}, found.problem}
                                  : smtp::Reply{550, smtp::EnhancedCode{5, 4, 4}, found.problem};
  return failure;
}

/// One host of the list: its decision and its addresses, until one has taken the mail.
Task<void> try_host(Group &group, NextHost host, std::size_t &connections) {
  group.host_plan = nullptr;
  auto planned = co_await group.worker->host_plan_for(group.plan, host);
  if (!planned) {
    pass_over(group, host, local_failure(host.name, planned.error().detail));
    co_return;
  }
  group.host_plan = std::move(*planned);
  if (group.host_plan->decision.unusable) {
    observe(group, make_passed_over(*group.host_plan, std::chrono::system_clock::now()));
    pass_over(group, host, unusable_host(*group.host_plan));
    co_return;
  }
  const HostAddresses &found = group.host_plan->addresses;
  if (found.addresses.empty()) {
    pass_over(group, host, without_address(*group.host_plan));
    co_return;
  }
  if (auto kept = group.worker->take_kept(*group.host_plan)) {
    const After after = co_await send(group, std::move(kept), true);
    if (after == After::finished) co_return;
  }
  std::vector<smtp::SocketAddress> addresses;
  for (const auto &address : found.addresses) addresses.push_back({address, host.port});
  while (!addresses.empty() && !group.open.empty() && connections < connection_limit && !group.is_stopped()) {
    ++connections;
    auto opened = co_await open_with_fallback(group, addresses);
    if (opened.connection) {
      const auto open_before = group.open.size();
      const After after = co_await send(group, std::move(opened.connection), false);
      if (after == After::finished) co_return;
      if (after == After::again && group.open.size() < open_before) {
        --connections; // it served what it was allowed to; that is no failure
        continue;
      }
    } else if (opened.failure) {
      note_failure(group, std::move(*opened.failure));
    }
    std::erase_if(addresses, [&opened](const auto &address) {
      return std::find(opened.tried.begin(), opened.tried.end(), address) != opened.tried.end();
    });
  }
}

Task<void> deliver_group(Group &group) {
  if (auto kept = group.worker->take_kept(*group.plan); kept.connection) {
    group.host_plan = std::move(kept.plan);
    const After after = co_await send(group, std::move(kept.connection), true);
    if (after == After::finished) co_return;
  }
  std::size_t connections = 0;
  for (const auto &host : group.plan->hosts.hosts) {
    if (group.open.empty() || group.is_stopped() || connections >= connection_limit) break;
    co_await try_host(group, host, connections);
  }
}

/// The recipients of a job by domain: a route's job may hold several.
std::vector<std::vector<std::size_t>> split_by_domain(const Job &job) {
  std::vector<std::vector<std::size_t>> parts;
  std::unordered_map<std::string, std::size_t> by_host;
  for (const auto index : job.recipients) {
    if (index >= job.message->recipients.size()) continue;
    const auto [at, added] = by_host.try_emplace(job.message->recipients[index].recipient.mailbox.host(), parts.size());
    if (added) parts.emplace_back();
    parts[at->second].push_back(index);
  }
  return parts;
}

/// Recipients of several domains go in one transaction when they share the route, what is demanded of it, and the rule
/// that demands it. References differ between domains, but are part of the key only where they count.
bool may_share(const Plan &left, const Plan &right) {
  if (left.hosts.route == nullptr || left.hosts.route != right.hosts.route || left.snapshot != right.snapshot)
    return false;
  if (left.requirement_key != right.requirement_key || left.required().rule != right.required().rule) return false;
  const auto &left_observed = left.decision.observed;
  const auto &right_observed = right.decision.observed;
  if (!left_observed || !right_observed) return !left_observed && !right_observed;
  return left_observed->rule == right_observed->rule &&
         policy::requirement_key(*left_observed) == policy::requirement_key(*right_observed);
}

void report_no_hosts(const DeliveryWorker &worker, const Job &job, const std::vector<std::size_t> &recipients,
                     const GatheredPlan &gathered, std::vector<RecipientResult> &results) {
  Attempt attempt;
  attempt.id = job.message->id;
  attempt.sender = job.message->envelope.sender.path.to_string();
  const auto &mailbox = job.message->recipients[recipients.front()].recipient.mailbox;
  attempt.to = recipients.size() == 1 ? mailbox.to_string() : mailbox.host();
  attempt.domain = mailbox.host();
  attempt.rule = "none";
  std::vector<RecipientResult> made;
  for (const auto index : recipients) made.push_back(to_result(index, *gathered.failure));
  sum_up(attempt, made);
  worker.services().log.write(to_event(attempt));
  if (DecisionLog *decisions = worker.services().decisions; decisions != nullptr)
    decisions->note(to_note(attempt, std::make_shared<const std::string>(format_decision(*gathered.plan))));
  std::move(made.begin(), made.end(), std::back_inserter(results));
}

void finish_group(Group &group, JobResult &result) {
  if (group.open.empty()) return;
  const bool stopped = group.is_stopped();
  // Nothing failed, but a limit of ours ended it: more recipients than one try carries.
  const bool to_go_on = group.failures.empty();
  for (const auto index : group.open) {
    if (stopped)
      group.results.push_back(to_local_failure(index, "the daemon is shutting down"));
    else if (to_go_on)
      group.results.push_back(to_local_failure(index, "the rest of the recipients follows in the next try"));
    else
      group.results.push_back(to_result(index, group.failures));
  }
  result.destination_failed = result.destination_failed || (!stopped && !to_go_on);
}

Task<void> run_groups(std::shared_ptr<DeliveryWorker> worker, DeliveryWorker::ActiveJob &active, JobResult &result) {
  const Job &job = active.job;
  const MessageWish wish = wish_of(*job.message);
  std::vector<Group> groups;
  for (const auto &part : split_by_domain(job)) {
    auto gathered = co_await worker->plan_for(job.message->recipients[part.front()].recipient.mailbox, wish);
    if (gathered.failure) {
      report_no_hosts(*worker, job, part, gathered, result.results);
      result.destination_failed = result.destination_failed || !gathered.failure->reply.is_permanent();
      continue;
    }
    const auto same = std::find_if(groups.begin(), groups.end(),
                                   [&](const Group &group) { return may_share(*group.plan, *gathered.plan); });
    if (same == groups.end())
      groups.push_back(Group{worker, job, active.active, std::move(gathered.plan), nullptr, part, result.results, {}});
    else
      same->open.insert(same->open.end(), part.begin(), part.end());
  }
  for (auto &group : groups) {
    if (!group.is_stopped()) co_await deliver_group(group);
    finish_group(group, result);
  }
}

} // namespace

Task<void> deliver_job(std::shared_ptr<DeliveryWorker> worker, Job job, std::function<void(JobResult)> done) {
  JobResult result;
  result.number = job.number;
  result.destination = job.destination;
  const auto handle = worker->begin_job(std::move(job), std::move(done));
  std::string failure;
  if (worker->is_stopping()) {
    failure = "the daemon is shutting down";
  } else {
    try {
      co_await run_groups(worker, *handle, result);
    } catch (const std::exception &error) {
      failure = fmt::format("internal error: {}", error.what());
      worker->services().log.write(
          Event("internal_error", LogLevel::error).with("in", "delivery").with("what", error.what()));
    }
  }
  // Whatever happened, every recipient has one result.
  for (const auto index : handle->job.recipients) {
    const bool has = std::any_of(result.results.begin(), result.results.end(),
                                 [index](const auto &one) { return one.index == index; });
    if (!has) result.results.push_back(to_local_failure(index, failure.empty() ? "no result" : failure));
  }
  worker->end_job(handle, std::move(result));
}

} // namespace mta
