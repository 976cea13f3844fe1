#include "mta/cli/log_search.hpp"

#include <algorithm>
#include <array>

#include <boost/json.hpp>

#include "mta/spool/spool.hpp"
#include "smtp/base/text.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;

/// The octet that a backslash and what follows it stand for (mta/log/format.cpp); `text` begins behind the backslash.
std::string take_escape(std::string_view &text) {
  if (text.empty()) return "\\";
  const char kind = text.front();
  text.remove_prefix(1);
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  switch (kind) {
  case 'n': return "\n";
  case 'r': return "\r";
  case 't': return "\t";
  case 'x':
    if (text.size() >= 2 && digit(text[0]) >= 0 && digit(text[1]) >= 0) {
      const char octet = static_cast<char>(digit(text[0]) * 16 + digit(text[1]));
      text.remove_prefix(2);
      return std::string(1, octet);
    }
    return "\\x";
  default: return std::string(1, kind);
  }
}

std::string take_value(std::string_view &rest) {
  std::string value;
  if (!rest.starts_with('"')) {
    const auto end = rest.find(' ');
    value = rest.substr(0, end);
    rest.remove_prefix(value.size());
    return value;
  }
  rest.remove_prefix(1);
  while (!rest.empty() && rest.front() != '"') {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c == '\\')
      value += take_escape(rest);
    else
      value += c;
  }
  if (!rest.empty()) rest.remove_prefix(1);
  return value;
}

std::optional<LogLine> parse_json_line(std::string_view line) {
  boost::system::error_code error;
  const auto value = json::parse(line, error);
  if (error || !value.is_object()) return std::nullopt;
  LogLine parsed;
  for (const auto &member : value.get_object())
    parsed.fields.emplace_back(std::string(member.key()), member.value().is_string()
                                                              ? std::string(member.value().get_string())
                                                              : json::serialize(member.value()));
  return parsed;
}

std::string_view without_line_end(std::string_view line) noexcept {
  while (line.ends_with('\n') || line.ends_with('\r') || line.ends_with(' ')) line.remove_suffix(1);
  return line;
}

std::string_view without_brackets(std::string_view address) noexcept {
  const bool bracketed = address.size() > 1 && address.front() == '<' && address.back() == '>';
  return bracketed ? address.substr(1, address.size() - 2) : address;
}

/// The addresses of a value: one, or a list with commas.
std::vector<std::string> addresses_of(std::string_view value) {
  std::vector<std::string> all;
  for (const std::string_view part : smtp::split(value, ','))
    if (!part.empty()) all.push_back(smtp::to_lower(without_brackets(part)));
  return all;
}

constexpr std::array<std::string_view, 5> address_fields = {"to", "recipient", "from", "sender", "redirected_to"};

/// The end for this recipient: an attempt that was under way then and failed says nothing more.
bool is_final(std::string_view status) {
  return status == "failed" || status == "deleted" || status == "redirected";
}

bool is_refusal(std::string_view event) {
  return event == "refused" || event == "refused_more";
}

bool has_text(std::string_view line, std::string_view lower) {
  return std::search(line.begin(), line.end(), lower.begin(), lower.end(),
                     [](char a, char b) { return smtp::to_lower(a) == b; }) != line.end();
}

/// What a line says of the recipients that it names; empty: nothing.
std::string status_of(const LogLine &line) {
  const std::string_view event = line.at("event");
  if (event == "recipient") return std::string(line.at("status"));
  if (event == "accepted") return "queued";
  if (event == "recipient_failed") return "failed";
  if (is_refusal(event)) return "refused";
  if (event != "delivery") return {};
  const std::string_view result = line.at("result");
  return result == "delivered" ? "delivered" : result == "permanent" ? "failed" : "deferred";
}

} // namespace

std::string_view LogLine::at(std::string_view key) const noexcept {
  for (const auto &[name, value] : fields)
    if (name == key) return value;
  return {};
}

std::optional<LogLine> parse_log_line(std::string_view line) {
  line = without_line_end(line);
  if (line.starts_with('{')) return parse_json_line(line);
  LogLine parsed;
  // A service manager's words may stand in front.
  const auto begin = line.find("time=");
  if (begin == std::string_view::npos) return std::nullopt;
  std::string_view rest = line.substr(begin);
  while (!rest.empty()) {
    const auto equals = rest.find('=');
    if (equals == std::string_view::npos || rest.substr(0, equals).find(' ') != std::string_view::npos)
      return std::nullopt;
    std::string key(rest.substr(0, equals));
    rest.remove_prefix(equals + 1);
    std::string value = take_value(rest);
    parsed.fields.emplace_back(std::move(key), std::move(value));
    while (rest.starts_with(' ')) rest.remove_prefix(1);
  }
  if (parsed.at("event").empty()) return std::nullopt;
  return parsed;
}

LogSearch::LogSearch(std::string subject) : subject_(smtp::to_lower(without_brackets(subject))) {
  by_id_ = QueueId::parse(subject).has_value();
  if (by_id_) {
    subject_ = std::move(subject);
    ids_.insert(subject_);
  }
  may_be_escaped_ = !smtp::is_ascii(subject_) || subject_.find_first_of("\"\\") != std::string::npos;
}

bool LogSearch::names_subject(const LogLine &line) const {
  for (const std::string_view field : address_fields) {
    const std::string_view value = line.at(field);
    if (value.empty()) continue;
    // An address may hold a comma itself, so the whole counts too.
    if (smtp::to_lower(without_brackets(value)) == subject_) return true;
    const auto all = addresses_of(value);
    if (std::find(all.begin(), all.end(), subject_) != all.end()) return true;
  }
  return false;
}

void LogSearch::look(std::string_view line) {
  const bool may_fit =
      by_id_ ? line.find(subject_) != std::string_view::npos || line.find("notice=") != std::string_view::npos
             : may_be_escaped_ || has_text(line, subject_);
  const bool may_be_notice = !ids_.empty() && line.find("bounce") != std::string_view::npos;
  const bool may_sum_up = !by_id_ && line.find("refused_more") != std::string_view::npos;
  if (!may_fit && !may_be_notice && !may_sum_up) return;
  const auto parsed = parse_log_line(line);
  if (!parsed) return;
  if (may_sum_up && parsed->at("event") == "refused_more" && parsed->at("to").ends_with("..."))
    unnamed_ += smtp::parse_number(parsed->at("count")).value_or(0);
  const std::string_view id = parsed->at("id");
  if (ids_.size() + found_.size() >= message_limit) {
    full_ = true;
    return;
  }
  // A notice about a message belongs to it.
  if (parsed->at("event") == "bounce" && ids_.find(id) != ids_.end()) ids_.emplace(parsed->at("notice"));
  if (by_id_ || !names_subject(*parsed)) return;
  if (!id.empty()) {
    ids_.emplace(id);
    return;
  }
  if (!is_refusal(parsed->at("event"))) return;
  TracedMessage refused;
  note(refused, *parsed);
  refused.lines.emplace_back(without_line_end(line));
  found_.push_back(std::move(refused));
}

void LogSearch::collect(std::string_view line) {
  if (ids_.empty()) return;
  // Only lines with an id are worth reading.
  if (line.find("id") == std::string_view::npos) return;
  const auto parsed = parse_log_line(line);
  if (!parsed) return;
  const auto id = ids_.find(parsed->at("id"));
  if (id == ids_.end()) return;
  const auto [at, added] = places_.try_emplace(*id, found_.size());
  if (added) {
    found_.emplace_back();
    found_.back().id = *id;
  }
  TracedMessage &message = found_[at->second];
  note(message, *parsed);
  if (message.lines.size() < line_limit)
    message.lines.emplace_back(without_line_end(line));
  else
    message.cut = true;
}

void LogSearch::note(TracedMessage &message, const LogLine &line) const {
  if (message.sender.empty()) message.sender = line.at("from").empty() ? line.at("sender") : line.at("from");
  const std::string status = status_of(line);
  if (status.empty()) return;
  const std::string_view named = line.at("to").empty() ? line.at("recipient") : line.at("to");
  const bool is_list = is_refusal(line.at("event"));
  std::vector<std::string> addresses;
  if (is_list)
    addresses = addresses_of(named);
  else if (named.find('@') != std::string_view::npos)
    addresses.push_back(smtp::to_lower(without_brackets(named)));
  for (const std::string &address : addresses) {
    TracedRecipient &one = message.recipients[address];
    // An attempt's line says less than that of the end.
    if (is_final(one.status) && status == "deferred") continue;
    one.status = status;
    one.time = line.at("time");
    one.host = line.at("host");
    one.reply = line.at("reply").empty() ? line.at("detail") : line.at("reply");
    if (one.reply.empty()) one.reply = line.at("reason");
  }
}

std::vector<TracedMessage> LogSearch::take() {
  return std::move(found_);
}

} // namespace mta::cli
