#include "mta/control/commands.hpp"

#include "mta/base/on_thread.hpp"
#include "mta/control/answers.hpp"
#include "mta/control/queue_look.hpp"
#include "mta/control/tls_memory_requests.hpp"
#include "mta/control/unreadable_requests.hpp"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/base/version.hpp"
#include "mta/outbound/load.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

namespace json = boost::json;

constexpr std::size_t reason_limit = 1'000;
constexpr std::size_t name_limit = 200; ///< of the person who answers for an override

json::object success() {
  json::object answer;
  answer["ok"] = true;
  return answer;
}

bool flag_of(const json::object &request, std::string_view key) {
  const auto *value = request.if_contains(key);
  return value && value->is_bool() && value->get_bool();
}

std::optional<std::int64_t> number_of(const json::object &request, std::string_view key) {
  const auto *value = request.if_contains(key);
  if (!value || !value->is_int64() || value->get_int64() < 0) return std::nullopt;
  return value->get_int64();
}

/// The filter of a queue request, or what is wrong with it.
smtp::Result<QueueFilter> parse_filter(const json::object &request) {
  QueueFilter filter;
  if (const auto id = text_of(request, "id"); !id.empty()) {
    filter.id = QueueId::parse(id);
    if (!filter.id)
      return smtp::fail(smtp::ErrorCode::bad_syntax,
                        fmt::format("\"{}\" is not a queue id: 13 characters such as 00000000004ZQ", smtp::escape(id)));
  }
  filter.recipient_domain = smtp::to_lower(text_of(request, "domain"));
  filter.recipient = text_of(request, "recipient");
  filter.sender = text_of(request, "sender");
  filter.reason = text_of(request, "match");
  if (const auto seconds = number_of(request, "older_than")) filter.older_than = std::chrono::seconds(*seconds);
  if (const auto *held = request.if_contains("held"); held && held->is_bool()) filter.held = held->get_bool();
  return filter;
}

/// The override that a request asks for, or what is wrong with it.
smtp::Result<policy::OperatorOverride> parse_override(const json::object &request, const ControlPeer &peer) {
  const auto refuse = [](std::string text) { return smtp::fail(smtp::ErrorCode::bad_syntax, std::move(text)); };
  policy::OperatorOverride given;
  const auto word = text_of(request, "tls");
  const auto level = tls::parse_level(word);
  if (!level || *level == tls::Level::dane)
    return refuse(fmt::format("override needs --tls opportunistic, encrypted, authenticated or none, not \"{}\"",
                              smtp::escape(word, 40)));
  given.level = *level;
  if (given.level == tls::Level::none && !flag_of(request, "allow_none"))
    return refuse("--tls none would send the message in clear even to a host that offers TLS; --allow-none says that "
                  "this is meant, and opportunistic is enough for a host whose TLS is wrong");
  given.reason = std::string(smtp::trim(text_of(request, "reason")));
  if (given.reason.empty())
    return refuse("override needs a reason (--reason), which is logged and kept with the message");
  if (given.reason.size() > reason_limit)
    return refuse(fmt::format("the reason is {} octets, limit is {}", given.reason.size(), reason_limit));
  const auto name = std::string(smtp::trim(text_of(request, "by")));
  if (name.empty()) return refuse("override needs the name of who answers for it (--by)");
  if (name.size() > name_limit)
    return refuse(fmt::format("the name is {} octets, limit is {}", name.size(), name_limit));
  given.by = fmt::format("{} (user {})", name, peer.user);
  given.when = std::chrono::system_clock::now();
  return given;
}

bool selects_everything(const QueueFilter &filter) {
  return matches_everything(filter);
}

} // namespace

json::object Commands::status() const {
  auto answer = success();
  const auto snapshot = services_.snapshot.get();
  const auto now = std::chrono::system_clock::now();
  answer["version"] = version;
  answer["hostname"] = snapshot->config().server.hostname;
  answer["config"] = snapshot->config().file;
  answer["started"] = time_text(services_.started);
  answer["uptime"] = std::chrono::duration_cast<std::chrono::seconds>(now - services_.started).count();
  answer["draining"] = services_.is_draining();
  answer["partners"] = snapshot->config().partners.partners().size();

  const auto inbound = services_.inbound.status();
  json::object in;
  in["sessions"] = inbound.sessions;
  in["sessions_total"] = inbound.sessions_total;
  in["accepted"] = inbound.messages_accepted;
  in["refused"] = inbound.messages_refused;
  json::object resources;
  for (const auto &[reason, count] : inbound.resource_refusals) resources[reason] = count;
  in["resource_refusals"] = std::move(resources);
  json::array listeners;
  for (const auto &bound : inbound.bound) {
    json::object row;
    row["listener"] = bound.listener;
    row["address"] = bound.address;
    listeners.push_back(std::move(row));
  }
  in["listeners"] = std::move(listeners);
  answer["inbound"] = std::move(in);

  if (services_.memory != nullptr) {
    json::object memory;
    memory["domains"] = services_.memory->size();
    const auto failing = services_.memory->count_failing();
    memory["without_tls"] = failing.domains;
    memory["held"] = failing.held;
    if (const auto damaged = services_.memory->damaged_since()) memory["damaged_since"] = time_text(WallTime(*damaged));
    answer["tls_memory"] = std::move(memory);
  }

  if (services_.load != nullptr) {
    json::object out;
    out["jobs"] = services_.load->jobs.load();
    out["connections"] = services_.load->connections();
    out["kept"] = services_.load->kept.load();
    out["closing"] = services_.load->closing.load();
    out["limit"] = snapshot->config().outbound.connections;
    answer["outbound"] = std::move(out);
  }

  const auto counts = services_.scheduler.count({});
  json::object queue;
  queue["messages"] = counts.messages;
  queue["recipients"] = counts.recipients;
  queue["held"] = counts.held;
  queue["active"] = counts.active_jobs;
  queue["destinations"] = counts.destinations;
  answer["queue"] = std::move(queue);

  const auto spool = services_.spool.status();
  json::object store;
  // One answer for whoever asks whether all is well: a full disk or queue puts off all mail as a broken disk does.
  const bool accepting = spool.healthy && spool.state == StorageState::open;
  store["healthy"] = accepting;
  store["problem"] = spool.problem;
  store["state"] = to_string(spool.state);
  store["accepting"] = accepting;
  store["writable"] = spool.healthy;
  store["on_reserve"] = spool.on_reserve;
  store["unreadable"] = services_.unreadable != nullptr ? services_.unreadable->size() : 0;
  store["damaged"] = services_.damaged != nullptr ? services_.damaged->count() : 0;
  store["messages"] = spool.messages;
  store["octets"] = spool.octets;
  store["segments"] = spool.segments;
  store["free_octets"] = spool.free_octets;
  store["committed"] = spool.committed;
  store["commits"] = spool.commits;
  store["moved"] = spool.moved;
  answer["spool"] = std::move(store);

  if (services_.describe) services_.describe(answer);
  json::object log;
  log["lost_lines"] = services_.log.lost_lines();
  answer["log"] = std::move(log);

  json::object events;
  for (const auto &[name, count] : services_.log.counts()) events[name] = count;
  answer["events"] = std::move(events);
  return answer;
}

Task<json::object> Commands::reload(bool force) {
  const ReloadOutcome outcome = co_await services_.reload(force);
  auto answer = outcome.ok ? success() : failure("the new configuration is wrong; the one in force was kept");
  json::array findings;
  for (const auto &finding : outcome.findings) findings.emplace_back(finding);
  answer["findings"] = std::move(findings);
  co_return answer;
}

Task<json::object> Commands::queue(json::object request, ControlPeer peer) {
  const auto action = text_of(request, "action");
  const auto filter = parse_filter(request);
  if (!filter) co_return failure(filter.error().detail);
  const auto now = std::chrono::system_clock::now();

  if (action == "list") {
    auto listing = answer_queue_list(services_.scheduler, std::move(request), *filter, now);
    co_return co_await std::move(listing);
  }
  if (action == "show") {
    if (!filter->id) co_return failure("show needs a queue id");
    co_return answer_queue_show(services_.scheduler, *filter, now);
  }
  if (action == "count") {
    auto counting = count_in_steps(services_.scheduler, *filter);
    const auto counts = co_await std::move(counting);
    auto answer = success();
    answer["messages"] = counts.messages;
    answer["recipients"] = counts.recipients;
    answer["held"] = counts.held;
    co_return answer;
  }

  if (action == "override") {
    if (!filter->id) co_return failure("override needs a queue id: it is for one message");
    std::optional<policy::OperatorOverride> given;
    if (!flag_of(request, "clear")) {
      auto parsed = parse_override(request, peer);
      if (!parsed) co_return failure(parsed.error().detail);
      given = std::move(*parsed);
    }
    const bool clears = !given;
    const auto count = co_await await_callback<std::size_t>(
        [&](auto done) { services_.scheduler.override_tls(*filter->id, given, peer.user, done); });
    if (count == 0)
      co_return failure(fmt::format("no message {} that {} is in the queue", filter->id->to_string(),
                                    clears ? "has an override" : "waits for delivery"));
    auto answer = success();
    answer["messages"] = count;
    co_return answer;
  }

  // The rest changes the queue.
  if (selects_everything(*filter) && !flag_of(request, "all"))
    co_return failure("this would touch every message: name an id or a filter, or say --all");
  const auto reason = text_of(request, "reason");
  if (reason.size() > reason_limit)
    co_return failure(fmt::format("the reason is {} octets, limit is {}", reason.size(), reason_limit));
  const bool demands_reason = action == "delete" || action == "release" || action == "bounce" || action == "redirect";
  if (demands_reason && smtp::trim(reason).empty())
    co_return failure(fmt::format("{} needs a reason (--reason), which is logged", action));

  // What failed before is not believed any more: a person says that it is worth a try.
  if ((action == "retry" || action == "release") && services_.ask_anew) services_.ask_anew();
  std::size_t touched = 0;
  if (action == "retry") {
    touched = co_await await_callback<std::size_t>([&](auto done) { services_.scheduler.retry(*filter, done); });
  } else if (action == "hold") {
    touched = co_await await_callback<std::size_t>(
        [&](auto done) { services_.scheduler.hold(*filter, reason, peer.user, done); });
  } else if (action == "release") {
    touched = co_await await_callback<std::size_t>(
        [&](auto done) { services_.scheduler.release(*filter, reason, peer.user, done); });
  } else if (action == "bounce") {
    const auto bounce = [&](auto done) { services_.scheduler.bounce(*filter, reason, peer.user, done); };
    touched = co_await await_callback<std::size_t>(bounce);
  } else if (action == "redirect") {
    if (!filter->id) co_return failure("redirect needs a queue id: it is for one message");
    const auto to = smtp::Mailbox::parse(text_of(request, "to"));
    if (!to) co_return failure("--to: " + to.error().detail);
    const Scheduler::Redirect redirect{filter->recipient, *to};
    const auto begin = [&](auto done) { services_.scheduler.redirect(*filter->id, redirect, reason, peer.user, done); };
    touched = co_await await_callback<std::size_t>(begin);
    if (touched == 0)
      co_return failure(
          fmt::format("message {} is not in the queue, has no such recipient that waits, or is just being "
                      "delivered: hold it first",
                      filter->id->to_string()));
  } else if (action == "delete") {
    touched = co_await await_callback<std::size_t>(
        [&](auto done) { services_.scheduler.remove(*filter, reason, peer.user, done); });
  } else {
    co_return failure(fmt::format("unknown queue action \"{}\"", smtp::escape(action)));
  }
  if (touched == 0 && filter->id)
    co_return failure(fmt::format("no message {} that this can be done to is in the queue", filter->id->to_string()));
  auto answer = success();
  answer["messages"] = touched;
  co_return answer;
}

Task<json::object> Commands::handle(json::object request, ControlPeer peer) {
  const auto command = text_of(request, "command");
  if (command == "status") co_return status();
  if (command == "queue") co_return co_await queue(std::move(request), std::move(peer));
  if (command == "message" && services_.messages != nullptr)
    co_return co_await services_.messages->answer_message(std::move(request), std::move(peer));
  if (command == "hold-rule" && services_.messages != nullptr)
    co_return co_await services_.messages->answer_hold_rule(std::move(request), std::move(peer));
  if (command == "reload") {
    services_.log.write(Event("operator").with("command", "reload").with("by", peer.user));
    co_return co_await reload(flag_of(request, "force"));
  }
  if (command == "drain") {
    const bool off = flag_of(request, "off");
    services_.log.write(Event("operator").with("command", off ? "drain_off" : "drain").with("by", peer.user));
    services_.set_draining(!off);
    co_return status();
  }
  if (command == "unreadable") {
    std::vector<UnreadableMessage> none;
    auto &messages = services_.unreadable != nullptr ? *services_.unreadable : none;
    auto answer = answer_unreadable(messages, services_.damaged, services_.spool, services_.log, request, peer.user);
    if (const auto wanted = part_of_unreadable(messages, request); wanted && answer.at("ok").as_bool()) {
      const auto read = [&spool = services_.spool, from = *wanted] { return read_unreadable(spool, from); };
      auto reading = on_thread<UnreadablePart>(services_.files, read);
      auto part = co_await std::move(reading);
      add_part(answer, std::move(part));
    }
    co_return answer;
  }
  if (command == "tls-memory") {
    if (services_.memory == nullptr) co_return failure("tls_memory.enabled is false: nothing is remembered");
    auto answer = answer_tls_memory(*services_.memory, request, fmt::format("user {}", peer.user));
    if (services_.forget_plans && text_of(request, "action") == "release") services_.forget_plans();
    co_return answer;
  }
  if (command == "explain") {
    MessageWish wish;
    const std::string word = text_of(request, "wish");
    for (const auto known : {policy::Wish::require_tls, policy::Wish::tls_optional, policy::Wish::tls_optional_outside,
                             policy::Wish::report})
      if (word == policy::to_string(known)) wish.wish = known;
    Explanation explanation = co_await explain(services_.snapshot.get(), services_.policy_sources,
                                               text_of(request, "subject"), std::move(wish));
    if (!explanation.plan) co_return failure(explanation.summary);
    if (flag_of(request, "probe") && services_.probe) {
      auto probed = co_await services_.probe(std::move(explanation));
      explanation = std::move(probed);
    }
    auto answer = success();
    answer["text"] = format_text(explanation);
    answer["explanation"] = json::parse(format_json(explanation));
    co_return answer;
  }
  co_return failure(fmt::format("unknown command \"{}\"", smtp::escape(command)));
}

} // namespace mta
