#include "mta/outbound/deliver_job.hpp"

#include <algorithm>
#include <exception>

#include <fmt/format.h>

#include "mta/outbound/decision_text.hpp"
#include "mta/outbound/fit_body.hpp"
#include "mta/outbound/host_walk.hpp"
#include "mta/outbound/observe.hpp"
#include "mta/outbound/outcome.hpp"
#include "mta/outbound/session_io.hpp"
#include "mta/queue/recipient_event.hpp"
#include "smtp/base/text.hpp"

namespace mta {

using Clock = std::chrono::steady_clock;

namespace {

/// Recipients of one transaction, unless the server says otherwise (RFC 5321 section 4.5.3.1.8: it must take 100).
constexpr std::size_t recipients_per_transaction = 100;

/// Those recipients of a job that share one plan, on their way.
struct Group {
  std::shared_ptr<DeliveryWorker> worker;
  const Job &job;
  ActiveConnection &active;
  std::shared_ptr<const Plan> plan;
  std::vector<std::size_t> recipients;
  std::optional<HostWalk> walk{};
  std::vector<std::shared_ptr<const HostPlan>> host_plans{}; ///< by host of the plan, once it was looked up
  std::shared_ptr<const HostPlan> host_plan{};               ///< of the host that is tried; null before the first
  std::optional<smtp::IpAddress> crowded{};                  ///< an address without room
  std::optional<smtp::IpAddress> used{};                     ///< where the last connection went

  [[nodiscard]] const QueuedMessage &message() const noexcept { return *job.message; }
  [[nodiscard]] const OutboundConfig &outbound() const noexcept { return plan->config().outbound; }
  [[nodiscard]] bool is_stopped() const noexcept { return worker->is_stopped_hard(); }
  /// Where the mail goes is the operator's word: what is wrong with it is mended, and the mail waits for that.
  [[nodiscard]] bool is_operators() const {
    return plan->hosts.route != nullptr ||
           (plan->recipient_domain && plan->config().domains.contains(plan->recipient_domain->ascii()));
  }
};

enum class After : std::uint8_t {
  over,  ///< the connection is of no more use here; the walk knows what was decided
  stale, ///< the peer had given up the kept connection: a new one to the same host goes on
  spent, ///< it served what it may serve: a new one to the same host goes on
};

Attempt begin_attempt(const Group &group) {
  const auto &open = group.walk->open();
  Attempt attempt;
  attempt.id = group.message().id;
  attempt.sender = group.message().envelope.sender.path.to_string();
  attempt.recipients = open.size();
  for (const std::size_t index : open) attempt.tried.push_back({.index = index});
  attempt.to =
      open.size() == 1 ? group.message().recipients[open.front()].recipient.mailbox.to_string() : group.plan->domain;
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
    services.decisions->note(
        to_note(attempt, group.message(), group.host_plan ? group.host_plan->decision_text : nullptr));
}

/// Tells those who count sessions.
void observe(const Group &group, const std::shared_ptr<const TlsSession> &session) {
  // RFC 8460 section 3: the delivery of reports is not reported on.
  if (session && group.worker->services().observer != nullptr && !group.message().envelope.is_tls_report)
    group.worker->services().observer->session(session);
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

/// The transaction broke off. What the server decided stands; the rest is for the next host, unless the message may
/// have arrived, or is unreadable here.
After take_failure(Group &group, const std::vector<std::size_t> &batch, const smtp::ClientFailed &failed,
                   const SessionIo &io, Attempt &attempt, bool reused) {
  const Connection &connection = io.connection;
  const std::string host = attempt.host_label();
  const bool closing = failed.reply && failed.reply->code == 421;
  if (reused && !connection.body_begun && (!connection.heard || closing)) {
    // The peer had given up the kept connection: that says nothing about the message or the host.
    group.walk->session_was_stale();
    return After::stale;
  }
  std::string detail = failed.detail;
  if (connection.wire_error && !failed.reply)
    detail = describe_wire_error(*connection.wire_error, connection.failed_in);
  detail = smtp::escape(detail, 500);
  std::vector<RecipientResult> rows;
  if (io.body_unreadable && connection.wire_error) {
    rows = group.walk->failed_here(
        batch, fmt::format("the message cannot be read from the spool: {}", connection.wire_error->detail));
  } else {
    HostFailure failure = failed.unsure ? unsure_failure(host, detail) : HostFailure{};
    if (!failed.unsure) {
      failure.host = host;
      failure.lesson = HostLesson::nothing;
      failure.detail = detail;
      failure.cause = failed.reply ? FailureCause::reply : FailureCause::connect;
      failure.reply = failed.reply ? *failed.reply : smtp::Reply{451, smtp::EnhancedCode{4, 4, 2}, detail};
    }
    attempt.cause = failure.cause;
    attempt.reply = failure.reply;
    attempt.detail = failure.detail;
    rows = group.walk->broke_off(batch, failed.outcomes, std::move(failure), failed.unsure);
  }
  if (rows.size() == batch.size())
    sum_up(attempt, rows);
  else
    attempt.result = AttemptResult::next_host;
  return After::over;
}

/// What a host usually takes to answer QUIT and to close.
constexpr std::chrono::milliseconds goodbye_time{250};

struct BatchEnd {
  After after = After::over;
  bool is_good = false; ///< the transaction is over and the connection can take another
  std::vector<RecipientResult> rows;
};

/// One transaction on the connection.
Task<BatchEnd> send_batch(Group &group, Connection &connection, std::vector<std::size_t> batch, bool reused,
                          Attempt &attempt) {
  BatchEnd end;
  auto reader = group.worker->services().spool.read_body(group.message().id);
  if (!reader) {
    end.rows = group.walk->failed_here(
        batch, fmt::format("the message cannot be read from the spool: {}", reader.error().detail));
    sum_up(attempt, end.rows);
    end.is_good = true;
    co_return end;
  }
  if (!(*reader)->is_whole()) {
    end.rows = group.walk->lost_here(batch);
    sum_up(attempt, end.rows);
    end.is_good = true;
    co_return end;
  }
  BodySource body(group.message().envelope.trace, std::move(*reader));
  smtp::Transaction transaction = make_transaction(group, batch, body.size());
  if (group.walk->may_convert()) {
    const auto fitted =
        co_await fit_body(body, transaction, connection.session.capabilities(), group.worker->worker().scratch);
    if (!fitted) {
      end.rows = group.walk->failed_here(
          batch, fmt::format("the message cannot be read from the spool: {}", fitted.error().detail));
      sum_up(attempt, end.rows);
      end.is_good = true;
      co_return end;
    }
  }
  attempt.size = body.size();
  connection.heard = false;
  connection.body_begun = false;
  begin_transaction(connection, group.outbound(), body.size());
  connection.session.begin(std::move(transaction));
  SessionIo io{connection, group.outbound(), &body, group.worker->worker().scratch};
  auto action = co_await run_session(io);
  if (const auto *done = std::get_if<smtp::TransactionDone>(&action)) {
    ++connection.messages;
    end.rows = group.walk->answered(batch, done->outcomes);
    group.worker->load()->note_answered(connection.address.address);
    sum_up(attempt, end.rows);
    if (!done->outcomes.empty() && done->outcomes.front().lacking) attempt.result = AttemptResult::next_host;
    end.is_good = true;
    co_return end;
  }
  smtp::ClientFailed lost;
  lost.detail = "the session ended in the transaction";
  const auto *failed = std::get_if<smtp::ClientFailed>(&action);
  end.after = take_failure(group, batch, failed != nullptr ? *failed : lost, io, attempt, reused);
  connection.stream.close();
  co_return end;
}

void observe_messages(const Group &group, const Connection &connection, const Attempt &attempt) {
  TlsObserver *observer = group.worker->services().observer;
  if (observer == nullptr || !connection.observed_session || attempt.delivered == 0 ||
      group.message().envelope.is_tls_report)
    return;
  observer->messages(connection.observed_session, group.plan->domain, 1);
}

HostWalk::Session session_of(const Connection &connection) {
  HostWalk::Session session;
  session.label = label_host(connection.host, connection.address_text);
  session.address = connection.address;
  if (connection.fallback)
    session.clear = HostWalk::Clear::fallback;
  else if (!connection.tls_problem.empty())
    session.clear = HostWalk::Clear::not_offered;
  return session;
}

/// Sends over one connection until its host has answered for every recipient or it is of no more use.
Task<After> send(Group &group, std::unique_ptr<Connection> connection, bool reused) {
  group.active.connection = connection.get();
  group.used = connection->address.address;
  connection->hurry = group.job.hurry;
  for (bool first = true;; first = false) {
    const auto began = Clock::now();
    const bool on_kept = reused && first;
    judge(*connection, group.host_plan, std::chrono::system_clock::now());
    if (!connection->verdict
             .ok()) { // a kept connection satisfied an equal requirement; if ever it does not, it is not used
      connection->stream.close();
      group.active.connection = nullptr;
      co_return After::stale;
    }
    if (first) group.walk->begin_session(session_of(*connection));
    const auto rcpt_max = connection->session.capabilities().rcpt_max;
    auto batch = group.walk->batch(std::max<std::size_t>(1, rcpt_max.value_or(recipients_per_transaction)));
    if (!batch.empty()) {
      Attempt attempt = begin_attempt(group);
      note_connection(attempt, *connection);
      attempt.reused = reused || !first;
      attempt.tried.clear();
      for (const std::size_t index : batch) attempt.tried.push_back({.index = index});
      auto end = co_await send_batch(group, *connection, std::move(batch), on_kept, attempt);
      if (end.after == After::stale) {
        group.active.connection = nullptr;
        co_return end.after;
      }
      end_attempt(group, attempt, began);
      observe_messages(group, *connection, attempt);
      if (!end.is_good || !connection->stream.is_open() || connection->wire_error) {
        group.active.connection = nullptr;
        co_return After::over;
      }
    }
    const bool more = !group.walk->batch(1).empty();
    const bool spent = is_spent(*connection, group.outbound());
    if (more && !spent && !group.is_stopped()) continue;
    group.active.connection = nullptr;
    group.worker->put_back(group.worker, std::move(connection), group.outbound());
    if (more) group.walk->session_was_stale(); // it did what it was allowed to; its address is good for another
    co_return more ? After::spent : After::over;
  }
}

/// A host that is not tried, with its line in the log.
void log_passed_over(Group &group, const NextHost &host, const HostFailure &failure) {
  Attempt attempt = begin_attempt(group);
  attempt.host = host.name;
  attempt.cause = failure.cause;
  attempt.reply = failure.reply;
  attempt.detail = failure.detail;
  end_attempt(group, attempt, Clock::now());
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

/// The host's decision and its addresses; a kept connection to it is used at once.
Task<void> look_up(Group &group, std::size_t index) {
  const NextHost &host = group.plan->hosts.hosts[index];
  group.host_plan = nullptr;
  auto planned = co_await group.worker->host_plan_for(group.plan, host);
  std::optional<HostFailure> failure;
  if (!planned) {
    failure = local_failure(host.name, planned.error().detail);
  } else {
    group.host_plan = std::move(*planned);
    if (group.host_plan->addresses.is_us)
      failure = loop_failure(host.name, group.host_plan->addresses.problem, group.is_operators());
    else if (group.host_plan->decision.unusable)
      failure = unusable_host(*group.host_plan);
    else if (group.host_plan->addresses.addresses.empty())
      failure = without_address(*group.host_plan);
  }
  if (failure) {
    if (group.host_plan && !group.host_plan->addresses.is_us && group.host_plan->decision.unusable)
      observe(group, make_passed_over(*group.host_plan, std::chrono::system_clock::now()));
    log_passed_over(group, host, *failure);
    if (group.host_plan && group.host_plan->addresses.is_us)
      group.walk->is_us(std::move(*failure));
    else
      group.walk->pass_over(std::move(*failure));
    co_return;
  }
  group.host_plans[index] = group.host_plan;
  std::vector<smtp::SocketAddress> addresses;
  for (const auto &address : group.host_plan->addresses.addresses) addresses.push_back({address, host.port});
  if (auto kept = group.worker->take_kept(*group.host_plan)) {
    if (group.walk->was_asked(kept->address)) // it has said 4xx to this message a moment ago
      group.worker->put_back(group.worker, std::move(kept), group.outbound());
    else
      co_await send(group, std::move(kept), true);
  }
  group.walk->found(std::move(addresses));
}

/// A connection to one of the addresses, and over it whatever it may carry.
Task<void> connect(Group &group, HostWalk::Connect step) {
  group.host_plan = group.host_plans[step.host];
  const auto &load = group.worker->load();
  auto addresses = step.addresses;
  std::erase_if(addresses, [&](const smtp::SocketAddress &address) {
    // A route says what the operator wants; but its host may have room for so many only.
    if (group.host_plan->host.configured) return !load->takes_more(address.address);
    return !load->has_room(address.address, group.outbound().connections_per_address, group.outbound().connections);
  });
  if (addresses.size() != step.addresses.size()) {
    if (addresses.empty()) { // an idle connection that served another domain makes room
      const auto idle = std::find_if(step.addresses.begin(), step.addresses.end(), [&](const smtp::SocketAddress &one) {
        return group.worker->make_room_at(one.address);
      });
      if (idle != step.addresses.end()) {
        addresses.push_back(*idle);
        // A host that takes few counts it until it has answered QUIT.
        if (load->knows_room(idle->address)) {
          asio::steady_timer until(group.worker->worker().context, goodbye_time);
          (void)co_await until.async_wait(asio::as_tuple(asio::use_awaitable));
        }
      }
    }
    if (addresses.empty()) {
      group.crowded = step.addresses.front().address;
      group.walk->busy(step.addresses);
      co_return;
    }
    step.addresses = std::move(addresses);
  }
  const auto began = Clock::now();
  Attempt attempt = begin_attempt(group);
  if (step.in_clear) {
    attempt.host = group.host_plan->host.name;
    attempt.address = step.addresses.front().address.to_string();
    group.worker->services().log.write(to_fallback_event(attempt, step.reason));
  }
  const smtp::IpAddress request_address = step.addresses.front().address;
  OpenRequest request{group.host_plan, step.addresses, step.in_clear, load, group.job.hurry};
  auto opened = co_await open_connection(group.worker->worker(), group.active, std::move(request), attempt);
  HostWalk &walk = *group.walk;
  walk.tried(opened.tried);
  group.used = request_address;
  if (opened.injected) walk.injected();
  observe(group, opened.session);
  if (!opened.connection) {
    if (opened.is_us) opened.failure = loop_failure(attempt.host_label(), opened.failure->detail, group.is_operators());
    attempt.cause = opened.failure->cause;
    attempt.reply = opened.failure->reply;
    end_attempt(group, attempt, began);
    // Other sessions with it go on: it has no room for one more, and this one waits until one of them ends.
    if (opened.put_off && load->note_no_room(opened.tried.back().address)) {
      group.crowded = opened.tried.back().address;
      walk.busy({opened.tried.back()});
      co_return;
    }
    if (opened.is_us)
      walk.is_us(std::move(*opened.failure));
    else
      walk.no_session(std::move(*opened.failure), opened.fallback_reason, opened.fallback_address);
    co_return;
  }
  if (step.in_clear) {
    opened.connection->tls_problem = step.reason;
  } else if (!opened.connection->tls_problem.empty()) {
    if (walk.puts_off_clear(opened.connection->address, opened.connection->tls_problem)) {
      group.worker->dismiss(std::move(opened.connection));
      co_return;
    }
    group.worker->services().log.write(to_fallback_event(attempt, opened.connection->tls_problem));
  }
  const smtp::SocketAddress address = opened.connection->address;
  const After after = co_await send(group, std::move(opened.connection), false);
  if (after == After::spent) walk.reconnect(address, step.reason);
}

Task<void> walk_hosts(Group &group) {
  HostWalk &walk = *group.walk;
  const std::string unsure = unsure_end(group.message().recipients[group.recipients.front()]);
  auto kept = unsure.empty() ? group.worker->take_kept(*group.plan) : DeliveryWorker::Kept{};
  if (kept.connection) {
    group.host_plan = std::move(kept.plan);
    const auto &hosts = group.plan->hosts.hosts;
    for (std::size_t i = 0; i < hosts.size(); ++i) // it may be come back to
      if (hosts[i].name == group.host_plan->host.name) group.host_plans[i] = group.host_plan;
    co_await send(group, std::move(kept.connection), true);
  }
  while (!group.is_stopped()) {
    auto step = walk.next(Clock::now());
    if (const auto *look = std::get_if<HostWalk::LookUp>(&step))
      co_await look_up(group, look->host);
    else if (auto *connection = std::get_if<HostWalk::Connect>(&step))
      co_await connect(group, std::move(*connection));
    else
      break;
  }
  group.worker->note_resume(group.plan->domain, walk.resume_at());
}

/// Everybody of the group, until each has a result or this try is over.
Task<void> deliver_group(Group &group) {
  std::vector<HostWalk::Host> hosts;
  for (const auto &host : group.plan->hosts.hosts) hosts.push_back({host.name, host.preference});
  group.host_plans.resize(hosts.size());
  HostWalk::Start start;
  start.resume_at = group.worker->resume_at(group.plan->domain);
  start.unsure = unsure_end(group.message().recipients[group.recipients.front()]);
  group.walk.emplace(std::move(hosts), group.recipients, Clock::now(), std::move(start));
  if (!group.is_stopped()) co_await walk_hosts(group);
}

/// The recipients of a job by domain: a route's job may hold several.
std::vector<std::vector<std::size_t>> split_by_domain(const Job &job) {
  std::vector<std::vector<std::size_t>> parts;
  std::unordered_map<std::string, std::size_t> by_host;
  for (const auto index : job.recipients) {
    if (index >= job.message->recipients.size()) continue;
    const RecipientState &state = job.message->recipients[index];
    // Those that a host may have taken already go there again, and nobody else with them.
    const auto [at, added] =
        by_host.try_emplace(state.recipient.mailbox.host() + ' ' + unsure_end(state), parts.size());
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
    decisions->note(
        to_note(attempt, *job.message, std::make_shared<const std::string>(format_decision(*gathered.plan))));
  std::move(made.begin(), made.end(), std::back_inserter(results));
}

/// What the groups of one job taught together: one that was reached outweighs one that failed.
struct Lessons {
  bool reached = false;
  bool failed = false;
  bool put_off = true;

  void add(DestinationLesson lesson, bool is_put_off) noexcept {
    reached = reached || lesson == DestinationLesson::reached;
    failed = failed || lesson == DestinationLesson::failed;
    put_off = put_off && is_put_off;
  }
  void write(JobResult &result) const noexcept {
    result.destination_failed = failed && !reached;
    result.nothing_learnt = !failed && !reached;
    result.put_off = put_off;
  }
};

void finish_group(Group &group, JobResult &result, Lessons &lessons) {
  const bool stopped = group.is_stopped();
  lessons.add(stopped ? DestinationLesson::unknown : group.walk->lesson(), group.walk->is_put_off() && !stopped);
  auto results = group.walk->finish(stopped);
  std::move(results.begin(), results.end(), std::back_inserter(result.results));
  if (const auto &address = group.used ? group.used : group.crowded) result.address = OutboundLoad::counted(*address);
}

Task<void> run_groups(std::shared_ptr<DeliveryWorker> worker, DeliveryWorker::ActiveJob &active, JobResult &result) {
  const Job &job = active.job;
  const MessageWish wish = wish_of(*job.message);
  std::vector<Group> groups;
  Lessons lessons;
  for (const auto &part : split_by_domain(job)) {
    auto gathered = co_await worker->plan_for(job.message->recipients[part.front()].recipient.mailbox, wish);
    if (gathered.failure) {
      report_no_hosts(*worker, job, part, gathered, result.results);
      lessons.add(gathered.failure->reply.is_permanent() ? DestinationLesson::unknown : DestinationLesson::failed,
                  false);
      continue;
    }
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const Group &group) {
      return may_share(*group.plan, *gathered.plan) && unsure_end(job.message->recipients[group.recipients.front()]) ==
                                                           unsure_end(job.message->recipients[part.front()]);
    });
    if (same == groups.end())
      groups.push_back(Group{worker, job, active.active, std::move(gathered.plan), part});
    else
      same->recipients.insert(same->recipients.end(), part.begin(), part.end());
  }
  for (auto &group : groups) {
    co_await deliver_group(group);
    finish_group(group, result, lessons);
  }
  lessons.write(result);
  if (result.put_off && result.address) {
    // Only once: what stands idle elsewhere may be gone when the job comes there.
    if (!job.worker) result.worker = worker->load()->keeper_of(*result.address);
  } else {
    result.worker = worker->number();
  }
}

/// What became of each of several recipients; of one alone the lines of its attempts say it.
void log_recipients(const DeliveryWorker &worker, const Job &job, const JobResult &result) {
  if (job.recipients.size() < 2 || result.put_off) return;
  for (const RecipientResult &one : result.results)
    if (one.index < job.message->recipients.size()) worker.services().log.write(recipient_event(*job.message, one));
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
  log_recipients(*worker, handle->job, result);
  worker->end_job(handle, std::move(result));
}

} // namespace mta
