#include "mta/control/message_file.hpp"

#include <array>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/control/answers.hpp"
#include "mta/received/read_tlsrpt.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

namespace json = boost::json;

constexpr std::int64_t file_format = 1;
constexpr std::size_t file_text_limit = 1'000;

std::string notify_words(const smtp::Notify &notify) {
  if (!notify.given) return {};
  if (notify.never) return "NEVER";
  std::string words;
  for (const auto &[set, word] :
       {std::pair{notify.success, "SUCCESS"}, std::pair{notify.failure, "FAILURE"}, std::pair{notify.delay, "DELAY"}})
    if (set) words += (words.empty() ? "" : ",") + std::string(word);
  return words;
}

smtp::Result<smtp::Notify> read_notify_words(std::string_view words) {
  smtp::Notify notify;
  if (words.empty()) return notify;
  notify.given = true;
  for (const std::string_view word : smtp::split(words, ',')) {
    if (word == "NEVER")
      notify.never = true;
    else if (word == "SUCCESS")
      notify.success = true;
    else if (word == "FAILURE")
      notify.failure = true;
    else if (word == "DELAY")
      notify.delay = true;
    else
      return smtp::fail(
          smtp::ErrorCode::bad_syntax,
          fmt::format("notify: \"{}\" is none of NEVER, SUCCESS, FAILURE, DELAY", smtp::escape(word, 40)));
  }
  return notify;
}

/// Names the member that is of another kind than it must be, or missing where what it would stand for without it is
/// less than was demanded: a wish that nobody reads is a wish that nobody keeps.
smtp::Result<void> check_members(const json::object &file) {
  const auto wrong = [](std::string_view key, const char *what) {
    return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("{}: {}", key, what));
  };
  for (const char *key : {"sender", "requiretls"})
    if (!file.contains(key)) return wrong(key, "is missing");
  for (const char *key : {"smtputf8", "requiretls", "tls_optional", "from_outside", "notification", "report",
                          "tls_report", "failures_only", "held"})
    if (const auto *value = file.if_contains(key); value != nullptr && !value->is_bool())
      return wrong(key, "is neither true nor false");
  for (const char *key : {"sender", "arrival", "standing", "body", "ret", "envid", "client", "tls_in", "hold_reason"})
    if (const auto *value = file.if_contains(key); value != nullptr && !value->is_string())
      return wrong(key, "is not text");
  return {};
}

bool file_flag(const json::object &object, std::string_view key, bool otherwise = false) {
  const auto *value = object.if_contains(key);
  return value != nullptr && value->is_bool() ? value->get_bool() : otherwise;
}

/// A level below would let it leave with less than the rules of the host that takes it.
bool is_carried(const policy::OperatorOverride &given) noexcept {
  return given.level == tls::Level::encrypted || given.level == tls::Level::authenticated;
}

smtp::Result<std::optional<policy::OperatorOverride>> read_file_override(const json::object &file, WallTime arrival) {
  const auto wrong = [](std::string text) {
    return smtp::fail(smtp::ErrorCode::bad_syntax, "tls_override: " + std::move(text));
  };
  const auto *value = file.if_contains("tls_override");
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) return wrong("it is not an object");
  const json::object &row = value->get_object();
  const std::string word = text_of(row, "level");
  const auto level = tls::parse_level(word);
  policy::OperatorOverride given;
  if (level) given.level = *level;
  if (!level || !is_carried(given))
    return wrong(fmt::format("level: \"{}\" is none of encrypted, authenticated", smtp::escape(word, 40)));
  given.reason = text_of(row, "reason").substr(0, file_text_limit);
  given.by = text_of(row, "by").substr(0, file_text_limit);
  const auto when = parse_report_time(text_of(row, "when"));
  given.when = when ? WallTime(*when) : arrival;
  return given;
}

smtp::Result<RecipientState> read_file_recipient(const json::value &value) {
  const auto *row = value.if_object();
  if (row == nullptr) return smtp::fail(smtp::ErrorCode::bad_syntax, "recipients: an entry is not an object");
  auto mailbox = smtp::Mailbox::parse(text_of(*row, "address"));
  if (!mailbox) return smtp::fail(smtp::ErrorCode::bad_syntax, "recipients: address: " + mailbox.error().detail);
  auto notify = read_notify_words(text_of(*row, "notify"));
  if (!notify) return tl::unexpected(notify.error());
  smtp::RecipientParameters parameters;
  parameters.notify = *notify;
  if (const std::string type = text_of(*row, "original_type"); !type.empty())
    parameters.orcpt = smtp::OriginalRecipient{type, text_of(*row, "original")};
  return RecipientState{smtp::Recipient{std::move(*mailbox), std::move(parameters)}};
}

smtp::Result<SenderStanding> read_standing(const std::string &word) {
  for (const auto standing :
       {SenderStanding::unknown, SenderStanding::ours, SenderStanding::passed, SenderStanding::failed})
    if (word.empty() || word == to_string(standing)) return standing;
  return smtp::fail(smtp::ErrorCode::bad_syntax,
                    fmt::format("standing: \"{}\" is none of unknown, ours, passed, failed", smtp::escape(word, 40)));
}

} // namespace

json::object describe_envelope(const QueuedMessage &message) {
  const Envelope &envelope = message.envelope;
  const smtp::MailParameters &parameters = envelope.sender.parameters;
  json::object file;
  file["format"] = file_format;
  file["id"] = message.id.to_string();
  file["arrival"] = time_text(envelope.arrival);
  const smtp::Mailbox *sender = envelope.sender.path.mailbox();
  file["sender"] = sender != nullptr ? sender->to_string() : std::string();
  file["standing"] = to_string(envelope.standing);
  file["body"] = parameters.body == smtp::BodyType::eight_bit_mime ? "8BITMIME" : "7BIT";
  file["smtputf8"] = parameters.smtputf8;
  file["requiretls"] = parameters.requiretls;
  file["tls_optional"] = envelope.tls_optional;
  file["from_outside"] = envelope.from_outside;
  file["ret"] = parameters.ret == smtp::DsnReturn::full      ? "FULL"
                : parameters.ret == smtp::DsnReturn::headers ? "HDRS"
                                                             : "";
  file["envid"] = parameters.envid;
  file["notification"] = envelope.is_notification;
  file["report"] = envelope.is_report;
  file["tls_report"] = envelope.is_tls_report;
  file["failures_only"] = envelope.failures_only;
  file["client"] = envelope.client;
  file["tls_in"] = envelope.tls_in;
  file["message_id"] = envelope.message_id;
  file["held"] = message.held;
  file["hold_reason"] = message.hold_reason;
  if (const auto &given = message.tls_override; given && is_carried(*given))
    file["tls_override"] = json::object{{"level", tls::to_string(given->level)},
                                        {"reason", given->reason},
                                        {"by", given->by},
                                        {"when", time_text(given->when)}};
  json::array recipients;
  for (const RecipientState &state : message.recipients) {
    if (state.status != RecipientStatus::pending) continue;
    json::object row;
    row["address"] = state.recipient.mailbox.to_string();
    row["notify"] = notify_words(state.recipient.parameters.notify);
    if (const auto &original = state.recipient.parameters.orcpt) {
      row["original_type"] = original->type;
      row["original"] = original->address;
    }
    recipients.push_back(std::move(row));
  }
  file["recipients"] = std::move(recipients);
  return file;
}

smtp::Result<QueuedMessage> read_envelope_file(const json::object &file) {
  const auto wrong = [](std::string text) { return smtp::fail(smtp::ErrorCode::bad_syntax, std::move(text)); };
  const auto *format = file.if_contains("format");
  if (format == nullptr || !format->is_int64() || format->get_int64() != file_format)
    return wrong(fmt::format("format: this program reads {}", file_format));
  if (auto checked = check_members(file); !checked) return tl::unexpected(std::move(checked.error()));
  QueuedMessage message;
  Envelope &envelope = message.envelope;
  smtp::MailParameters &parameters = envelope.sender.parameters;
  if (const std::string sender = text_of(file, "sender"); !sender.empty()) {
    auto mailbox = smtp::Mailbox::parse(sender);
    if (!mailbox) return wrong("sender: " + mailbox.error().detail);
    envelope.sender.path = smtp::ReversePath(std::move(*mailbox));
  }
  const auto arrival = parse_report_time(text_of(file, "arrival"));
  if (!arrival) return wrong("arrival: " + arrival.error().detail);
  envelope.arrival = *arrival;
  auto standing = read_standing(text_of(file, "standing"));
  if (!standing) return tl::unexpected(standing.error());
  envelope.standing = *standing;
  parameters.body = text_of(file, "body") == "8BITMIME" ? smtp::BodyType::eight_bit_mime : smtp::BodyType::seven_bit;
  parameters.smtputf8 = file_flag(file, "smtputf8");
  parameters.requiretls = file_flag(file, "requiretls");
  const std::string ret = text_of(file, "ret");
  parameters.ret = ret == "FULL"   ? smtp::DsnReturn::full
                   : ret == "HDRS" ? smtp::DsnReturn::headers
                                   : smtp::DsnReturn::unspecified;
  parameters.envid = text_of(file, "envid").substr(0, 500);
  // RFC 8689 section 4.1: with REQUIRETLS "the TLS-Required header field MUST be ignored".
  envelope.tls_optional = file_flag(file, "tls_optional") && !parameters.requiretls;
  // Whose it was is not known of a file that does not say so: the wish of a stranger may do less.
  envelope.from_outside = file_flag(file, "from_outside", true);
  envelope.is_notification = file_flag(file, "notification");
  envelope.is_report = file_flag(file, "report");
  envelope.is_tls_report = file_flag(file, "tls_report");
  envelope.failures_only = file_flag(file, "failures_only");
  envelope.client = text_of(file, "client").substr(0, file_text_limit);
  envelope.tls_in = text_of(file, "tls_in").substr(0, file_text_limit);
  message.held = file_flag(file, "held");
  message.hold_reason = text_of(file, "hold_reason").substr(0, file_text_limit);
  if (message.held && message.hold_reason.empty()) message.hold_reason = "held when it was exported";
  auto given = read_file_override(file, envelope.arrival);
  if (!given) return tl::unexpected(given.error());
  message.tls_override = std::move(*given);
  const auto *recipients = file.if_contains("recipients");
  if (recipients == nullptr || !recipients->is_array() || recipients->get_array().empty())
    return wrong("recipients: there is none");
  if (auto read = read_more_recipients(recipients->get_array(), message); !read) return tl::unexpected(read.error());
  return message;
}

smtp::Result<void> read_more_recipients(const json::array &rows, QueuedMessage &message) {
  const std::size_t count = message.recipients.size() + rows.size();
  if (count > most_queued_recipients)
    return smtp::fail(smtp::ErrorCode::too_long,
                      fmt::format("recipients: there are {}, limit is {}", count, most_queued_recipients));
  for (const json::value &value : rows) {
    auto state = read_file_recipient(value);
    if (!state) return tl::unexpected(state.error());
    message.recipients.push_back(std::move(*state));
  }
  return {};
}

} // namespace mta
