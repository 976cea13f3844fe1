#include "mta/control/message_requests.hpp"

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/base/on_thread.hpp"
#include "mta/control/answers.hpp"
#include "mta/control/message_file.hpp"
#include "mta/control/queue_look.hpp"
#include "mta/queue/recipient_event.hpp"
#include "smtp/base/base64.hpp"
#include "smtp/base/text.hpp"
#include "smtp/message/header_scan.hpp"

namespace mta {

namespace {

namespace json = boost::json;

constexpr std::size_t act_reason_limit = 1'000;
constexpr std::size_t rule_text_limit = 1'000;

json::object well() {
  json::object answer;
  answer["ok"] = true;
  return answer;
}

/// What is wrong with the reason of an act; empty: nothing.
std::string problem_of_reason(std::string_view act, std::string_view reason) {
  if (smtp::trim(reason).empty()) return fmt::format("{} needs a reason (--reason), which is logged", act);
  if (reason.size() > act_reason_limit)
    return fmt::format("the reason is {} octets, limit is {}", reason.size(), act_reason_limit);
  return {};
}

/// The message from the offset on, trace and body as if they were one. Waits for the disk.
smtp::Result<std::string> read_part(Spool &spool, const QueuedMessage &message, std::uint64_t offset,
                                    std::uint64_t total) {
  constexpr std::size_t part_size = MessageRequests::part_size;
  const std::string &trace = message.envelope.trace;
  auto reader = spool.read_body(message.id);
  if (!reader) return tl::unexpected(reader.error());
  std::string part;
  if (offset < trace.size()) part = trace.substr(static_cast<std::size_t>(offset), part_size);
  while (part.size() < part_size && offset + part.size() < total) {
    const std::uint64_t at = offset + part.size() - trace.size();
    const std::size_t before = part.size();
    part.resize(before +
                static_cast<std::size_t>(std::min<std::uint64_t>(part_size - before, total - offset - before)));
    const auto count = (*reader)->read(at, std::span<char>(part.data() + before, part.size() - before));
    if (!count) return tl::unexpected(count.error());
    part.resize(before + *count);
    if (*count == 0) return smtp::fail(smtp::ErrorCode::io, "the message is shorter than it should be");
  }
  return part;
}

json::object describe_rule(const HoldRule &rule) {
  json::object row;
  row["number"] = rule.number;
  row["domain"] = rule.recipient_domain;
  row["recipient"] = rule.recipient;
  row["sender"] = rule.sender;
  row["client"] = rule.client ? rule.client->to_string() : std::string();
  row["reason"] = rule.reason;
  row["by"] = rule.by;
  row["since"] = time_text(rule.since);
  return row;
}

smtp::Result<HoldRule> parse_rule(const json::object &request, const ControlPeer &peer) {
  const auto wrong = [](std::string text) { return smtp::fail(smtp::ErrorCode::bad_syntax, std::move(text)); };
  HoldRule rule;
  rule.recipient_domain = smtp::to_lower(text_of(request, "domain"));
  rule.recipient = text_of(request, "recipient");
  rule.sender = text_of(request, "sender");
  rule.reason = text_of(request, "reason");
  rule.by = peer.user;
  rule.since = std::chrono::system_clock::now();
  for (const std::string *text : {&rule.recipient_domain, &rule.recipient, &rule.sender})
    if (text->size() > rule_text_limit)
      return wrong(fmt::format("a part of the rule is {} octets, limit is {}", text->size(), rule_text_limit));
  if (const std::string client = text_of(request, "client"); !client.empty()) {
    auto network = smtp::Network::parse(client);
    if (!network) return wrong("--client: " + network.error().detail);
    rule.client = *network;
  }
  if (!rule.recipient.empty())
    if (const auto mailbox = smtp::Mailbox::parse(rule.recipient); !mailbox)
      return wrong("--recipient: " + mailbox.error().detail);
  if (rule.recipient_domain.empty() && rule.recipient.empty() && rule.sender.empty() && !rule.client)
    return wrong("a standing hold needs --domain, --recipient, --sender or --client (--domain \"*\" holds everything)");
  if (auto problem = problem_of_reason("hold-rule add", rule.reason); !problem.empty())
    return wrong(std::move(problem));
  return rule;
}

} // namespace

std::shared_ptr<const QueuedMessage> MessageRequests::find(const std::string &id) const {
  QueueFilter filter;
  filter.id = QueueId::parse(id);
  if (!filter.id) return nullptr;
  const auto found = services_.scheduler.list(filter, 1);
  return found.empty() ? nullptr : found.front();
}

Task<json::object> MessageRequests::content(json::object request, ControlPeer peer) {
  const auto id = text_of(request, "id");
  const auto message = find(id);
  if (!message) co_return failure(fmt::format("no message {} is in the queue", smtp::escape(id, 40)));
  const bool whole = text_of(request, "part") == "all";
  const std::string reason = text_of(request, "reason");
  if (auto problem = problem_of_reason("reading a message", reason); !problem.empty())
    co_return failure(std::move(problem));
  const auto *asked = request.if_contains("offset");
  const std::uint64_t offset = asked != nullptr && asked->is_int64() && asked->get_int64() > 0
                                   ? static_cast<std::uint64_t>(asked->get_int64())
                                   : 0;
  // Said before a word of it is handed out.
  if (offset == 0)
    services_.log.write(Event("queue_content", LogLevel::warning)
                            .with("id", message->id.to_string())
                            .with("part", whole ? "all" : "headers")
                            .with("by", peer.user)
                            .with("reason", reason));
  const Envelope &envelope = message->envelope;
  const std::uint64_t total = envelope.trace.size() + (whole ? envelope.body_size : envelope.header_size);
  const auto read = [&spool = services_.spool, message, offset, total] {
    return read_part(spool, *message, offset, total);
  };
  auto reading = on_thread<smtp::Result<std::string>>(services_.files, read);
  const auto part = co_await std::move(reading);
  if (!part) co_return failure(part.error().detail);
  auto answer = well();
  answer["total"] = total;
  answer["data"] = smtp::to_base64(*part);
  co_return answer;
}

json::object MessageRequests::begin_import(const json::object &request) {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(imports_, [&](const auto &one) { return now - one.second.last > import_time; });
  if (imports_.size() >= import_limit)
    return failure(
        fmt::format("{} imports are under way, limit is {}: try again later", imports_.size(), import_limit));
  const std::string reason = text_of(request, "reason");
  if (auto problem = problem_of_reason("import", reason); !problem.empty()) return failure(std::move(problem));
  const auto *file = request.if_contains("envelope");
  if (file == nullptr || !file->is_object()) return failure("the envelope is not a JSON object");
  auto message = read_envelope_file(file->get_object());
  if (!message) return failure("the envelope: " + message.error().detail);
  auto writer = services_.spool.begin();
  if (!writer) return failure(writer.error().detail);
  const smtp::Limits &limits = services_.snapshot.get()->config().limits.smtp;
  Import import;
  import.message = std::make_shared<QueuedMessage>(std::move(*message));
  import.message->id = (*writer)->id();
  import.writer = std::move(*writer);
  // A message of ours has our trace on top of what was allowed when it came.
  import.scanner = std::make_unique<smtp::HeaderScanner>(2 * limits.header_size, limits.received_hops + 10);
  import.reason = reason;
  import.last = now;
  const std::string token = import.message->id.to_string();
  imports_.emplace(token, std::move(import));
  auto answer = well();
  answer["token"] = token;
  return answer;
}

json::object MessageRequests::take_recipients(const json::object &request) {
  const auto found = imports_.find(text_of(request, "token"));
  if (found == imports_.end()) return failure("there is no such import, or it took too long");
  Import &import = found->second;
  import.last = std::chrono::steady_clock::now();
  const auto *rows = request.if_contains("recipients");
  const auto taken = rows != nullptr && rows->is_array()
                         ? read_more_recipients(rows->get_array(), *import.message)
                         : smtp::fail(smtp::ErrorCode::bad_syntax, "recipients: there is none");
  if (taken) return well();
  imports_.erase(found);
  return failure("the envelope: " + taken.error().detail);
}

/// RFC 5321 section 2.3.8: lines end with CRLF. A file that went through an editor may have LF alone, which is mended;
/// what no next hop would take is refused here, where somebody can do something about it.
smtp::Result<std::string> MessageRequests::with_line_ends(Import &import, std::string_view octets) {
  const auto wrong = [&import](const char *what) {
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("{} at octet {}: no mail server takes that", what, import.taken));
  };
  std::string lines;
  lines.reserve(octets.size() + octets.size() / 32);
  for (const char octet : octets) {
    if (import.after_cr && octet != '\n') return wrong("a CR that ends no line");
    if (octet == '\0') return wrong("a NUL octet");
    if (octet == '\n' && !import.after_cr) lines += '\r';
    lines += octet;
    import.after_cr = octet == '\r';
    ++import.taken;
  }
  return lines;
}

json::object MessageRequests::take_import(const json::object &request) {
  const auto found = imports_.find(text_of(request, "token"));
  if (found == imports_.end()) return failure("there is no such import, or it took too long");
  Import &import = found->second;
  import.last = std::chrono::steady_clock::now();
  const auto end = [&](std::string text) {
    imports_.erase(found);
    return failure(std::move(text));
  };
  const auto octets = smtp::from_base64(text_of(request, "data"));
  if (!octets) return end("the data is not base64");
  const std::uint64_t limit = services_.snapshot.get()->config().limits.smtp.message_size + 1'048'576;
  if (limit > 1'048'576 && import.scanner->facts().size + octets->size() > limit)
    return end(fmt::format("the message is longer than limits.message_size and 1 MiB of trace, {} octets", limit));
  const auto lines = with_line_ends(import, *octets);
  if (!lines) return end(lines.error().detail);
  if (const auto scanned = import.scanner->feed(*lines); !scanned) return end(scanned.error().detail);
  if (const auto kept = import.writer->append(*lines); !kept) return end(kept.error().detail);
  return well();
}

Task<json::object> MessageRequests::end_import(std::string token, ControlPeer peer) {
  const auto found = imports_.find(token);
  if (found == imports_.end()) co_return failure("there is no such import, or it took too long");
  const Import import = std::move(found->second);
  imports_.erase(found);
  QueuedMessage &message = *import.message;
  const smtp::MessageFacts &facts = import.scanner->facts();
  const auto snapshot = services_.snapshot.get();
  if (facts.size == 0) co_return failure("the message is empty");
  if (import.after_cr) co_return failure("the message ends with a CR that ends no line");
  Envelope &envelope = message.envelope;
  envelope.body_size = facts.size;
  envelope.header_size = facts.header_size;
  envelope.has_8bit = facts.has_8bit;
  // As of mail that a client brings (RFC 6531 section 3): an octet above 127 alone asks for nothing.
  envelope.needs_smtputf8 = envelope.sender.parameters.smtputf8 && facts.header_has_8bit;
  envelope.message_id = facts.message_id;
  // It gets the whole time to be delivered, whatever it waited elsewhere: else an import would be a bounce.
  const WallTime now = std::chrono::system_clock::now();
  if (envelope.arrival > now) envelope.arrival = now;
  message.expires = now + snapshot->config().queue.retry.give_up_after;
  if (message.held) message.held_since = envelope.arrival;
  merge_recipients(message);
  for (RecipientState &state : message.recipients) state.next_attempt = now;
  const auto start = [&](auto done) { import.writer->commit(encode_envelope(message), done); };
  const auto committed = co_await await_callback<smtp::Result<void>>(start);
  if (!committed) co_return failure(committed.error().detail);
  if (message.tls_override) { // on disk before the first attempt, which it is to bind
    const auto write = [&](auto done) {
      services_.spool.update_durably(message.id, encode_update(message), std::move(done));
    };
    const auto written = co_await await_callback<smtp::Result<void>>(write);
    if (!written) co_return failure(fmt::format("{}: its override is not stored: {}", token, written.error().detail));
  }
  services_.log.write(Event("queue_import")
                          .with("id", message.id.to_string())
                          .with("from", envelope.sender.path.to_string())
                          .with("to_count", static_cast<std::uint64_t>(message.recipients.size()))
                          .with_if("override", message.tls_override ? tls::to_string(message.tls_override->level) : "")
                          .with("by", peer.user)
                          .with("reason", import.reason));
  for (const RecipientState &state : message.recipients)
    services_.log.write(recipient_event(message.id, state, "queued"));
  services_.scheduler.submit(import.message);
  auto answer = well();
  answer["id"] = message.id.to_string();
  co_return answer;
}

Task<json::object> MessageRequests::answer_message(json::object request, ControlPeer peer) {
  const auto action = text_of(request, "action");
  if (action == "content") co_return co_await content(std::move(request), std::move(peer));
  if (action == "envelope") {
    const auto id = text_of(request, "id");
    const auto message = find(id);
    if (!message) co_return failure(fmt::format("no message {} is in the queue", smtp::escape(id, 40)));
    auto answer = well();
    answer["envelope"] = describe_envelope(*message);
    co_return answer;
  }
  if (action == "import-begin") co_return begin_import(request);
  if (action == "import-recipients") co_return take_recipients(request);
  if (action == "import-data") co_return take_import(request);
  if (action == "import-end") co_return co_await end_import(text_of(request, "token"), std::move(peer));
  co_return failure(fmt::format("unknown message action \"{}\"", smtp::escape(action, 40)));
}

Task<smtp::Result<HoldRule>> MessageRequests::change_rules(std::function<smtp::Result<HoldRules::Change>()> plan) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer turn(executor);
  while (rules_change_) {
    turn.expires_after(std::chrono::milliseconds(5));
    co_await turn.async_wait(asio::use_awaitable);
  }
  auto change = plan();
  if (!change) co_return tl::unexpected(change.error());
  rules_change_ = true;
  const auto changed = std::make_shared<HoldRules::Change>(*change);
  const auto write = [changed] { return changed->write(); };
  auto writing = on_thread<smtp::Result<void>>(services_.files, write);
  const auto written = co_await std::move(writing);
  rules_change_ = false;
  if (!written) co_return tl::unexpected(written.error());
  HoldRule subject = change->subject;
  services_.holds.take(std::move(*change));
  co_return subject;
}

/// One look at the queue for all rules.
Task<json::object> MessageRequests::list_rules() {
  std::map<std::uint32_t, std::size_t> held;
  QueueFilter filter;
  filter.held = true;
  const std::function<bool(const Scheduler::Match &)> add = [&held](const Scheduler::Match &match) {
    if (const auto number = hold_number_of(match.message.hold_reason)) ++held[*number];
    return true;
  };
  std::optional<std::uint64_t> next = 0;
  while (next) {
    next = services_.scheduler.visit(filter, *next, Scheduler::step, add);
    if (next) co_await give_way();
  }
  json::array rows;
  for (const HoldRule &rule : services_.holds.rules()) {
    json::object row = describe_rule(rule);
    row["messages"] = held[rule.number];
    rows.push_back(std::move(row));
  }
  auto answer = well();
  answer["rules"] = std::move(rows);
  co_return answer;
}

Task<json::object> MessageRequests::answer_hold_rule(json::object request, ControlPeer peer) {
  const auto action = text_of(request, "action");
  auto answer = well();
  if (action == "list") co_return co_await list_rules();
  if (action == "add") {
    auto rule = parse_rule(request, peer);
    if (!rule) co_return failure(rule.error().detail);
    const std::function<smtp::Result<HoldRules::Change>()> plan = [this, given = *rule] {
      return services_.holds.plan_add(given);
    };
    auto adding = change_rules(plan);
    const auto added = co_await std::move(adding);
    if (!added) co_return failure(added.error().detail);
    rule->number = added->number;
    services_.log.write(Event("hold_rule_added", LogLevel::warning)
                            .with("number", static_cast<std::uint64_t>(rule->number))
                            .with_if("domain", rule->recipient_domain)
                            .with_if("recipient", rule->recipient)
                            .with_if("sender", rule->sender)
                            .with_if("client", rule->client ? rule->client->to_string() : std::string())
                            .with("by", rule->by)
                            .with("reason", rule->reason));
    // What waits already is held too.
    QueueFilter filter = filter_of(*rule);
    filter.held = false;
    const std::string reason = hold_reason_of(*rule);
    const auto hold = [&](auto done) { services_.scheduler.hold(filter, reason, peer.user, done); };
    const std::size_t held = co_await await_callback<std::size_t>(hold);
    answer["number"] = rule->number;
    answer["messages"] = held;
    co_return answer;
  }
  if (action == "remove") {
    const auto *number = request.if_contains("number");
    if (number == nullptr || !number->is_int64() || number->get_int64() < 1)
      co_return failure("remove needs the number of a rule");
    const std::string reason = text_of(request, "reason");
    if (auto problem = problem_of_reason("hold-rule remove", reason); !problem.empty())
      co_return failure(std::move(problem));
    const auto wanted = static_cast<std::uint32_t>(number->get_int64());
    const std::function<smtp::Result<HoldRules::Change>()> plan = [this, wanted] {
      return services_.holds.plan_removal(wanted);
    };
    auto removing = change_rules(plan);
    const auto gone = co_await std::move(removing);
    if (!gone) co_return failure(gone.error().detail);
    services_.log.write(Event("hold_rule_removed", LogLevel::warning)
                            .with("number", static_cast<std::uint64_t>(gone->number))
                            .with("by", peer.user)
                            .with("reason", reason));
    QueueFilter filter;
    filter.held = true;
    filter.reason = hold_prefix_of(gone->number);
    const auto *release = request.if_contains("release");
    std::size_t released = 0;
    const auto let_go = [&](auto done) { services_.scheduler.release(filter, reason, peer.user, done); };
    if (release != nullptr && release->is_bool() && release->get_bool())
      released = co_await await_callback<std::size_t>(let_go);
    answer["messages"] = released;
    auto counting = count_in_steps(services_.scheduler, filter);
    const QueueCounts counts = co_await std::move(counting);
    answer["still_held"] = counts.messages;
    co_return answer;
  }
  co_return failure(fmt::format("unknown hold-rule action \"{}\"", smtp::escape(action, 40)));
}

} // namespace mta
