#include "smtp/wire/command.hpp"

#include "smtp/base/text.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace smtp {

namespace {

constexpr std::size_t longest_hello = 255;   // RFC 5321 section 4.5.3.1.2
constexpr std::size_t longest_envid = 100;   // RFC 3461 section 4.4
constexpr std::size_t most_size_digits = 20; // RFC 1870 section 4

struct VerbName {
  std::string_view name;
  Verb verb;
};

constexpr std::array verb_names = {
    VerbName{"MAIL", Verb::mail},
    VerbName{"RCPT", Verb::rcpt},
    VerbName{"DATA", Verb::data},
    VerbName{"BDAT", Verb::bdat},
    VerbName{"EHLO", Verb::ehlo},
    VerbName{"HELO", Verb::helo},
    VerbName{"RSET", Verb::rset},
    VerbName{"NOOP", Verb::noop},
    VerbName{"QUIT", Verb::quit},
    VerbName{"STARTTLS", Verb::starttls},
    VerbName{"VRFY", Verb::vrfy},
    VerbName{"HELP", Verb::help},
    VerbName{"EXPN", Verb::not_implemented},
    VerbName{"ETRN", Verb::not_implemented},
    VerbName{"TURN", Verb::not_implemented},
    VerbName{"ATRN", Verb::not_implemented},
    VerbName{"SEND", Verb::not_implemented},
    VerbName{"SOML", Verb::not_implemented},
    VerbName{"SAML", Verb::not_implemented},
    VerbName{"AUTH", Verb::not_implemented},
    VerbName{"GET", Verb::http},
    VerbName{"POST", Verb::http},
    VerbName{"CONNECT", Verb::http},
    VerbName{"HEAD", Verb::http},
    VerbName{"PUT", Verb::http},
    VerbName{"DELETE", Verb::http},
    VerbName{"OPTIONS", Verb::http},
    VerbName{"TRACE", Verb::http},
    VerbName{"PATCH", Verb::http},
    VerbName{"PRI", Verb::http}, // how HTTP/2 begins
};

tl::unexpected<Reply> refuse(std::uint16_t code, EnhancedCode enhanced, std::string text) {
  return tl::unexpected<Reply>(Reply{code, enhanced, std::move(text)});
}

tl::unexpected<Reply> bad_parameter(std::string text) {
  return refuse(501, {5, 5, 4}, std::move(text));
}

std::string_view skip_space(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(" \t");
  return first == std::string_view::npos ? std::string_view{} : text.substr(first);
}

std::string_view take_word(std::string_view &text) noexcept {
  const auto word = text.substr(0, text.find_first_of(" \t"));
  text = skip_space(text.substr(word.size()));
  return word;
}

/// Where the path at the front of `text` ends: behind its ">", which may stand in a quoted local part too; without
/// brackets at a space.
std::size_t path_length(std::string_view text) noexcept {
  const bool brackets = text.starts_with('<');
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && brackets && c == '>') {
      return i + 1;
    } else if (!quoted && !brackets && c == ' ') {
      return i;
    }
  }
  return text.size();
}

/// The path of MAIL or RCPT, with brackets, and the parameters behind it.
struct PathArgument {
  std::string path;
  std::string_view parameters;
};

Parsed<PathArgument> split_path(std::string_view argument, std::string_view keyword, std::string_view usage) {
  if (!starts_with_ignoring_case(argument, keyword)) return bad_parameter(fmt::format("syntax: {}", usage));
  argument = skip_space(argument.substr(keyword.size()));
  if (argument.empty()) return bad_parameter(fmt::format("an address is missing; syntax: {}", usage));
  const auto length = path_length(argument);
  PathArgument result{std::string(argument.substr(0, length)), argument.substr(length)};
  if (!argument.starts_with('<')) result.path = "<" + result.path + ">";
  if (!result.parameters.empty() && result.parameters.front() != ' ' && result.parameters.front() != '\t')
    return bad_parameter(fmt::format("something follows the address without a space; syntax: {}", usage));
  result.parameters = skip_space(result.parameters);
  return result;
}

/// An address without a domain, as programs on a host of our own write it, gets ours.
void complete_path(std::string &path, std::string_view origin) {
  if (origin.empty() || path.size() < 3 || path.find('@') != std::string::npos) return;
  path.insert(path.size() - 1, "@" + std::string(origin));
}

/// esmtp-param = esmtp-keyword ["=" esmtp-value] (RFC 5321 section 4.1.2; RFC 6531 section 3.3 adds UTF-8 to values).
struct Parameter {
  std::string keyword; ///< upper case
  std::optional<std::string_view> value;
};

Parsed<Parameter> take_parameter(std::string_view &text) {
  const auto word = take_word(text);
  const auto equals = word.find('=');
  Parameter parameter{to_upper(word.substr(0, equals)), std::nullopt};
  const auto is_keyword_octet = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'; };
  const auto &keyword = parameter.keyword;
  if (keyword.empty() || keyword.front() == '-' || !std::all_of(keyword.begin(), keyword.end(), is_keyword_octet))
    return bad_parameter(fmt::format("\"{}\" is not a parameter", escape(word, 80)));
  if (equals == std::string_view::npos) return parameter;
  const auto value = word.substr(equals + 1);
  // "=" has no place in a value by the grammar; ORCPT=rfc822;a=b@c is common, and means what it says.
  const auto is_value_octet = [](char c) { return static_cast<unsigned char>(c) > 32 && c != 127; };
  if (value.empty() || !std::all_of(value.begin(), value.end(), is_value_octet))
    return bad_parameter(fmt::format("parameter {} has a bad value", keyword));
  parameter.value = value;
  return parameter;
}

/// Calls `handle` for each parameter; a parameter that comes twice is refused.
template <typename Handle> std::optional<Reply> for_each_parameter(std::string_view text, Handle handle) {
  std::array<std::string, 8> seen; // more than we know
  std::size_t count = 0;
  while (!text.empty()) {
    auto parameter = take_parameter(text);
    if (!parameter) return std::move(parameter).error();
    if (std::find(seen.begin(), seen.begin() + static_cast<std::ptrdiff_t>(count), parameter->keyword) !=
        seen.begin() + static_cast<std::ptrdiff_t>(count))
      return bad_parameter(fmt::format("parameter {} comes twice", parameter->keyword)).value();
    if (auto refusal = handle(*parameter)) return refusal;
    seen[count++] = std::move(parameter->keyword); // `handle` refuses what is unknown: never more than six
  }
  return std::nullopt;
}

using Refusal = std::optional<Reply>;

Refusal refusal(std::string text) {
  return Reply{501, EnhancedCode{5, 5, 4}, std::move(text)};
}

Refusal unknown_parameter(const Parameter &parameter) {
  return Reply{555, EnhancedCode{5, 5, 4}, fmt::format("parameter {} is not known", escape(parameter.keyword, 40))};
}

Refusal read_size(const Parameter &parameter, MailParameters &parameters) {
  const auto text = parameter.value.value_or("");
  const bool digits = !text.empty() && text.size() <= most_size_digits &&
                      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return refusal(fmt::format("SIZE needs a number of at most {} digits", most_size_digits));
  // What does not fit 64 bits is over every limit, and the session says so.
  parameters.size = parse_number(text).value_or(UINT64_MAX);
  return std::nullopt;
}

Refusal read_body(const Parameter &parameter, MailParameters &parameters) {
  const auto text = parameter.value.value_or("");
  if (equals_ignoring_case(text, "7BIT")) {
    parameters.body = BodyType::seven_bit;
  } else if (equals_ignoring_case(text, "8BITMIME")) {
    parameters.body = BodyType::eight_bit_mime;
  } else if (equals_ignoring_case(text, "BINARYMIME")) {
    return Reply{504, EnhancedCode{5, 6, 1}, "BODY=BINARYMIME is not supported: 7BIT and 8BITMIME are"};
  } else {
    return refusal("BODY is 7BIT or 8BITMIME");
  }
  return std::nullopt;
}

Refusal read_ret(const Parameter &parameter, MailParameters &parameters) {
  const auto text = parameter.value.value_or("");
  if (equals_ignoring_case(text, "FULL")) {
    parameters.ret = DsnReturn::full;
  } else if (equals_ignoring_case(text, "HDRS")) {
    parameters.ret = DsnReturn::headers;
  } else {
    return refusal("RET is FULL or HDRS");
  }
  return std::nullopt;
}

Refusal read_envid(const Parameter &parameter, MailParameters &parameters) {
  const auto text = parameter.value.value_or("");
  if (text.empty() || text.size() > longest_envid)
    return refusal(fmt::format("ENVID is {} octets, it has 1 to {}", text.size(), longest_envid));
  auto decoded = decode_xtext(text);
  // RFC 3461 section 4.4: printable US-ASCII, also when decoded
  const auto printable = [](char c) { return c >= 32 && c <= 126; };
  if (!decoded || !std::all_of(decoded->begin(), decoded->end(), printable))
    return refusal("ENVID is not xtext of printable ASCII");
  parameters.envid = std::move(*decoded);
  return std::nullopt;
}

/// requiretls-param = "REQUIRETLS" (RFC 8689 section 2): "There is no esmtp-value associated with requiretls-param."
Refusal read_requiretls(const Parameter &parameter, MailParameters &parameters) {
  if (parameter.value) return refusal("REQUIRETLS has no value");
  parameters.requiretls = true;
  return std::nullopt;
}

/// notify-esmtp-value = "NEVER" / 1#notify-list-element (RFC 3461 section 4.1)
Refusal read_notify(const Parameter &parameter, RecipientParameters &parameters) {
  auto &notify = parameters.notify;
  notify.given = true;
  for (const auto word : split(parameter.value.value_or(""), ',')) {
    bool *flag = equals_ignoring_case(word, "NEVER")     ? &notify.never
                 : equals_ignoring_case(word, "SUCCESS") ? &notify.success
                 : equals_ignoring_case(word, "FAILURE") ? &notify.failure
                 : equals_ignoring_case(word, "DELAY")   ? &notify.delay
                                                         : nullptr;
    if (flag == nullptr || *flag) return refusal("NOTIFY is NEVER, or a list of SUCCESS, FAILURE and DELAY");
    *flag = true;
  }
  if (notify.never && (notify.success || notify.failure || notify.delay)) return refusal("NOTIFY=NEVER stands alone");
  return std::nullopt;
}

Refusal read_orcpt(const Parameter &parameter, RecipientParameters &parameters) {
  auto original = parse_original_recipient(parameter.value.value_or(""));
  if (!original) return refusal("bad ORCPT: " + original.error().detail);
  parameters.orcpt = std::move(*original);
  return std::nullopt;
}

/// RFC 6531 section 3.5: a non-ASCII address in a transaction without SMTPUTF8.
Refusal needs_smtputf8() {
  return Reply{553, EnhancedCode{5, 6, 7}, "a non-ASCII address needs the SMTPUTF8 parameter of MAIL"};
}

} // namespace

CommandLine split_command(std::string_view line) noexcept {
  CommandLine command;
  command.argument = line;
  command.word = take_word(command.argument);
  for (const auto &[name, verb] : verb_names) {
    if (!equals_ignoring_case(command.word, name)) continue;
    command.verb = verb;
    break;
  }
  return command;
}

std::size_t line_limit(Verb verb, std::size_t base) noexcept {
  if (verb == Verb::mail) return base + 26 + 17 + 10 + 9 + 107 + 11;
  if (verb == Verb::rcpt) return base + 10 + 29 + 507;
  return base;
}

std::size_t longest_line_limit(std::size_t base) noexcept {
  return line_limit(Verb::rcpt, base);
}

Parsed<std::string> parse_hello(std::string_view argument) {
  const auto name = take_word(argument);
  if (name.empty()) return bad_parameter("your host name or address is missing");
  if (name.size() > longest_hello)
    return bad_parameter(fmt::format("the host name is {} octets, limit is {}", name.size(), longest_hello));
  if (!std::all_of(name.begin(), name.end(), [](char c) { return c > 32 && c <= 126; }))
    return bad_parameter("the host name has an octet that is not printable ASCII");
  return std::string(name);
}

Parsed<Sender> parse_mail(std::string_view argument, std::string_view origin) {
  auto split = split_path(argument, "FROM:", "MAIL FROM:<address> [parameters]");
  if (!split) return tl::unexpected<Reply>(split.error());
  Sender sender;
  const auto refused = for_each_parameter(split->parameters, [&](const Parameter &parameter) -> Refusal {
    const auto &keyword = parameter.keyword;
    if (keyword == "SIZE") return read_size(parameter, sender.parameters);
    if (keyword == "BODY") return read_body(parameter, sender.parameters);
    if (keyword == "RET") return read_ret(parameter, sender.parameters);
    if (keyword == "ENVID") return read_envid(parameter, sender.parameters);
    if (keyword == "REQUIRETLS") return read_requiretls(parameter, sender.parameters);
    if (keyword != "SMTPUTF8") return unknown_parameter(parameter);
    if (parameter.value) return refusal("SMTPUTF8 has no value");
    sender.parameters.smtputf8 = true;
    return std::nullopt;
  });
  if (refused) return tl::unexpected<Reply>(*refused);
  if (!sender.parameters.smtputf8 && !is_ascii(split->path)) return tl::unexpected<Reply>(*needs_smtputf8());
  complete_path(split->path, origin);
  auto path = ReversePath::parse(split->path);
  if (!path) return refuse(501, {5, 1, 7}, "bad sender: " + path.error().detail);
  sender.path = std::move(*path);
  return sender;
}

Parsed<RecipientCommand> parse_rcpt(std::string_view argument, Utf8 utf8, std::string_view origin) {
  auto split = split_path(argument, "TO:", "RCPT TO:<address> [parameters]");
  if (!split) return tl::unexpected<Reply>(split.error());
  RecipientParameters parameters;
  const auto refused = for_each_parameter(split->parameters, [&](const Parameter &parameter) -> Refusal {
    if (parameter.keyword == "NOTIFY") return read_notify(parameter, parameters);
    if (parameter.keyword == "ORCPT") return read_orcpt(parameter, parameters);
    return unknown_parameter(parameter);
  });
  if (refused) return tl::unexpected<Reply>(*refused);
  if (utf8 == Utf8::refused && !is_ascii(argument)) return tl::unexpected<Reply>(*needs_smtputf8());
  if (!equals_ignoring_case(split->path, "<postmaster>")) complete_path(split->path, origin);
  auto path = ForwardPath::parse(split->path);
  if (!path) return refuse(501, {5, 1, 3}, "bad recipient: " + path.error().detail);
  return RecipientCommand{std::move(*path), std::move(parameters)};
}

Parsed<ChunkCommand> parse_bdat(std::string_view argument) {
  const auto size = parse_number(take_word(argument));
  const bool last = equals_ignoring_case(argument, "LAST");
  if (!size || (!argument.empty() && !last))
    return bad_parameter("syntax: BDAT size [LAST]; the connection closes, for nobody knows what follows");
  return ChunkCommand{*size, last};
}

} // namespace smtp
