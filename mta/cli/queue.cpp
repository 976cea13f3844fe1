// portcullis queue: list, show, retry, hold, release, bounce, redirect, override, delete and count the messages that
// wait.
#include <cstdio>
#include <memory>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/cli/command.hpp"
#include "mta/cli/queue_files.hpp"
#include "mta/cli/queue_list.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;

/// What selects messages, and what an act says about itself.
struct QueueArguments {
  std::string id;
  std::string domain;
  std::string recipient;
  std::string sender;
  std::string older_than;
  std::string match;
  std::string reason;
  std::string tls;
  std::string by;
  std::string to;
  bool held = false;
  bool all = false;
  bool clear = false;
  bool allow_none = false;
  std::size_t limit = 0;
};

void print_recipients(const json::object &message, bool detailed) {
  const auto *recipients = message.if_contains("recipients");
  if (!recipients || !recipients->is_array()) return;
  for (const auto &entry : recipients->get_array()) {
    const auto &row = entry.as_object();
    const auto next = text_at(row, "next_attempt");
    const auto before = text_at(row, "redirected_from");
    // Of several recipients that were redirected to one mailbox the first has the copy.
    const bool shares_copy =
        !before.empty() && text_at(row, "status") == "delivered" && number_at(row, "attempts") == 0;
    std::printf("    %s  %s", text_at(row, "address").c_str(),
                shares_copy ? "has the same copy" : text_at(row, "status").c_str());
    if (!before.empty()) std::printf(", redirected from %s", before.c_str());
    if (number_at(row, "attempts") != 0)
      std::printf(", %lld attempts", static_cast<long long>(number_at(row, "attempts")));
    if (!next.empty()) std::printf(", next %s", next.c_str());
    std::printf("\n");
    if (const auto reason = text_at(row, "reason"); !reason.empty())
      std::printf("      %s: %s\n", text_at(row, "cause").c_str(), reason.c_str());
    if (!detailed) continue;
    if (const auto host = text_at(row, "last_host"); !host.empty()) std::printf("      last host: %s\n", host.c_str());
    if (const auto reply = text_at(row, "last_reply"); !reply.empty())
      std::printf("      last reply: %s\n", reply.c_str());
    if (const auto time = text_at(row, "last_attempt"); !time.empty())
      std::printf("      last attempt: %s\n", time.c_str());
  }
  if (const auto more = number_at(message, "more_recipients"); more > 0)
    std::printf("    … and %lld more recipients; --domain and --recipient show those that they mean\n",
                static_cast<long long>(more));
}

void print_list(const json::object &answer, bool detailed) {
  const auto &messages = answer.at("messages").as_array();
  for (const auto &entry : messages) {
    const auto &message = entry.as_object();
    std::printf("%s  %s  %s  %s%s\n", text_at(message, "id").c_str(),
                format_age(std::chrono::seconds(number_at(message, "age"))).c_str(),
                format_octets(static_cast<std::uint64_t>(number_at(message, "size"))).c_str(),
                text_at(message, "sender").c_str(),
                flag_at(message, "held") ? fmt::format("  HELD since {}: {}", text_at(message, "held_since"),
                                                       text_at(message, "hold_reason"))
                                               .c_str()
                                         : "");
    if (detailed) {
      std::printf("    arrived %s from %s\n    TLS in: %s\n    Message-ID: %s\n    gives up %s\n",
                  text_at(message, "arrival").c_str(), text_at(message, "client").c_str(),
                  text_at(message, "tls_in").c_str(), text_at(message, "message_id").c_str(),
                  text_at(message, "expires").c_str());
    }
    if (const auto wish = text_at(message, "tls_wish"); detailed && !wish.empty())
      std::printf("    the sender asks: %s\n", wish.c_str());
    if (const auto *given = message.if_contains("tls_override"); given != nullptr && given->is_object()) {
      const auto &act = given->get_object();
      std::printf("    TLS override: %s, by %s at %s: %s\n", text_at(act, "level").c_str(), text_at(act, "by").c_str(),
                  text_at(act, "when").c_str(), text_at(act, "reason").c_str());
    }
    print_recipients(message, detailed);
  }
  const auto total = number_at(answer, "total");
  if (!detailed && total != static_cast<std::int64_t>(messages.size()))
    std::printf(
        "%zu of %lld messages shown; --limit shows more, and filters (--domain, --recipient, --sender, --reason, "
        "--older-than, --held) fewer\n",
        messages.size(), static_cast<long long>(total));
  else if (!detailed)
    std::printf("%lld messages\n", static_cast<long long>(total));
}

void run(GlobalOptions &global, const std::string &action, const QueueArguments &arguments) {
  json::object request;
  request["command"] = "queue";
  request["action"] = action;
  if (!arguments.id.empty()) request["id"] = arguments.id;
  if (!arguments.domain.empty()) request["domain"] = arguments.domain;
  if (!arguments.recipient.empty()) request["recipient"] = arguments.recipient;
  if (!arguments.sender.empty()) request["sender"] = arguments.sender;
  if (!arguments.match.empty()) request["match"] = arguments.match;
  if (!arguments.reason.empty()) request["reason"] = arguments.reason;
  if (!arguments.tls.empty()) request["tls"] = arguments.tls;
  if (!arguments.by.empty()) request["by"] = arguments.by;
  if (!arguments.to.empty()) request["to"] = arguments.to;
  if (arguments.clear) request["clear"] = true;
  if (arguments.allow_none) request["allow_none"] = true;
  if (arguments.held) request["held"] = true;
  if (arguments.all) request["all"] = true;
  if (!arguments.older_than.empty()) {
    const auto age = parse_age(arguments.older_than);
    if (!age)
      return fail(
          global,
          fmt::format("--older-than {}: give a number with a unit, such as 90s, 15m, 2h or 3d", arguments.older_than),
          2);
    request["older_than"] = age->count();
  }
  const auto ask_daemon = [&global](const json::object &what) { return ask(global, what); };
  const auto answer = action == "list"
                          ? list_queue(request, arguments.limit != 0 ? arguments.limit : usual_list_limit, ask_daemon)
                          : ask(global, request);
  if (!answer) return;
  if (global.json) return print_json(*answer);
  if (action == "list" || action == "show") return print_list(*answer, action == "show");
  if (action == "count") {
    std::printf("%lld messages, %lld recipients, %lld held\n", static_cast<long long>(number_at(*answer, "messages")),
                static_cast<long long>(number_at(*answer, "recipients")),
                static_cast<long long>(number_at(*answer, "held")));
    return;
  }
  std::printf("%s: %lld messages\n", action.c_str(), static_cast<long long>(number_at(*answer, "messages")));
}

CLI::App *add_action(CLI::App &queue, GlobalOptions &global, const std::string &name, const std::string &description) {
  auto arguments = std::make_shared<QueueArguments>();
  auto *action = queue.add_subcommand(name, description);
  auto *id = action->add_option("id", arguments->id, "a queue id");
  if (name == "show") {
    id->required();
    auto part = std::make_shared<std::string>();
    auto *content = action->add_option("--content", *part, "print the message itself: headers, or all; needs --reason");
    content->check(CLI::IsMember({"headers", "all"}));
    auto *reason = action->add_option("--reason", arguments->reason, "why you read it: it is logged with your name");
    content->needs(reason);
    reason->needs(content);
    action->add_option("--domain", arguments->domain, "of many recipients, those in this domain (or *.domain)");
    action->add_option("--recipient", arguments->recipient, "of many recipients, this one");
    action->callback([&global, part, arguments] {
      if (part->empty()) return run(global, "show", *arguments);
      print_content(global, arguments->id, *part, arguments->reason);
    });
    return action;
  } else {
    action->add_option("--domain", arguments->domain,
                       "only messages with a waiting recipient in this domain (or *.domain)");
    action->add_option("--recipient", arguments->recipient, "only messages that wait for this mailbox");
    action->add_option("--sender", arguments->sender,
                       "only messages from this mailbox or domain; <> for notifications");
    action->add_option("--older-than", arguments->older_than,
                       "only messages that have waited longer: 90s, 15m, 2h, 3d");
    // Where nothing is changed no reason has to be given, and --reason asks for one.
    const char *const match = name == "list" || name == "count" ? "--match,--reason" : "--match";
    action->add_option(match, arguments->match,
                       "only messages whose last failure contains this text (cause, reply or detail)");
    action->add_flag("--held", arguments->held, "only held messages");
  }
  if (name == "list") action->add_option("--limit", arguments->limit, "show at most so many messages (10,000)");
  if (name == "retry" || name == "hold" || name == "release" || name == "bounce" || name == "delete") {
    action->add_flag("--all", arguments->all, "needed when neither an id nor a filter is given");
    auto *reason = action->add_option("--reason", arguments->reason, "why: it is logged with your name");
    if (name == "release" || name == "bounce" || name == "delete") reason->required();
  }
  action->callback([&global, name, arguments] { run(global, name, *arguments); });
  return action;
}

void add_redirect(CLI::App &queue, GlobalOptions &global) {
  auto arguments = std::make_shared<QueueArguments>();
  auto *action = queue.add_subcommand(
      "redirect",
      "Send one message to another mailbox instead of the recipients that still wait, and try it at once. Demands a "
      "reason, which is logged.");
  action->add_option("id", arguments->id, "a queue id")->required();
  action->add_option("--to", arguments->to, "the mailbox that gets it")->required();
  action->add_option("--recipient", arguments->recipient, "only in place of this recipient");
  action->add_option("--reason", arguments->reason, "why: it is logged with your name")->required();
  action->callback([&global, arguments] { run(global, "redirect", *arguments); });
}

void add_override(CLI::App &queue, GlobalOptions &global) {
  auto arguments = std::make_shared<QueueArguments>();
  auto *action = queue.add_subcommand(
      "override",
      "Set what TLS the next hops of one message must give, whatever the policies say, and try it at once.");
  action->add_option("id", arguments->id, "a queue id")->required();
  auto *tls =
      action->add_option("--tls", arguments->tls, "opportunistic, encrypted, authenticated, or none with --allow-none");
  tls->check(CLI::IsMember({"opportunistic", "encrypted", "authenticated", "none"}));
  auto *reason = action->add_option("--reason", arguments->reason, "why: it is logged, and kept with the message");
  auto *by = action->add_option("--by", arguments->by, "who answers for it; your user name is added");
  auto *none =
      action->add_flag("--allow-none", arguments->allow_none, "let the message leave in clear though TLS is offered");
  tls->needs(reason)->needs(by);
  none->needs(tls);
  auto *clear = action->add_flag("--clear", arguments->clear, "take the override back: the policies decide again");
  clear->excludes(tls);
  action->callback([&global, arguments] {
    if (!arguments->clear && arguments->tls.empty())
      return fail(global, "queue override: give --tls LEVEL with --reason and --by, or --clear", 2);
    run(global, "override", *arguments);
  });
}

} // namespace

void add_queue(CLI::App &program, GlobalOptions &global) {
  auto *queue = program.add_subcommand("queue", "Look at the messages that wait, and act on them.");
  queue->require_subcommand(1);
  add_action(*queue, global, "list",
             "List messages, oldest first, with each recipient's state and the reason why it waits.");
  add_action(*queue, global, "show", "Show one message with its history.");
  add_action(*queue, global, "count", "Count messages and recipients.");
  add_action(*queue, global, "retry", "Try to deliver now instead of at the next planned time.");
  add_action(*queue, global, "hold", "Keep messages from being delivered until they are released.");
  add_action(*queue, global, "release", "Let held messages go on. Demands a reason, which is logged.");
  add_action(
      *queue, global, "bounce",
      "End the delivery of messages and tell their senders, with the reason. Demands a reason, which is logged.");
  add_redirect(*queue, global);
  add_override(*queue, global);
  add_queue_unreadable(*queue, global);
  add_queue_files(*queue, global);
  add_action(*queue, global, "delete",
             "Remove messages for ever, without telling the sender. Demands a reason, which is logged.");
}

} // namespace mta::cli
