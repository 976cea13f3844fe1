// Authentication-Results and Received-SPF: see the header. Every foreign text passes one of three gates: value(),
// address() or comment(), which let out printable ASCII only, quoted where the grammar asks for it.
#include "auth/core/authentication_results.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "smtp/base/text.hpp"

namespace auth {

namespace {

constexpr std::size_t longest_value = 255;
constexpr std::size_t longest_reason = 200;
constexpr std::size_t line_aim = 78;

bool is_letter_or_digit(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// token of MIME (RFC 2045 section 5.1).
bool is_token(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 127 && std::string_view("()<>@,;:\\\"/[]?=").find(c) == std::string_view::npos;
  });
}

/// dot-atom-text (RFC 5322 section 3.2.3).
bool is_dot_atom(std::string_view text) noexcept {
  if (text.empty() || text.front() == '.' || text.back() == '.' || text.find("..") != std::string_view::npos)
    return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter_or_digit(c) || c == '.' ||
           (c != '\0' && std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos);
  });
}

/// Printable ASCII and single spaces, cut to `limit`.
std::string plain(std::string_view text, std::size_t limit) {
  std::string safe;
  safe.reserve(std::min(text.size(), limit));
  for (const char c : text.substr(0, limit)) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet <= ' ') {
      if (!safe.empty() && safe.back() != ' ') safe += ' ';
    } else {
      safe += octet < 127 ? c : '?';
    }
  }
  if (safe.ends_with(' ')) safe.pop_back();
  return safe;
}

std::string quoted(std::string_view text, std::size_t limit = longest_value) {
  std::string result = "\"";
  for (const char c : plain(text, limit)) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  result += '"';
  return result;
}

/// value = token / quoted-string (RFC 8601 section 2.2).
std::string value(std::string_view text) {
  return text.size() <= longest_value && is_token(text) ? std::string(text) : quoted(text);
}

/// pvalue's other form: [ [ local-part ] "@" ] domain-name; anything unusual is a quoted string.
std::string address(std::string_view text) {
  const auto at = text.rfind('@');
  if (at == std::string_view::npos || text.size() > longest_value) return value(text);
  const std::string_view local_part = text.substr(0, at);
  const std::string_view domain = text.substr(at + 1);
  const bool host = std::all_of(domain.begin(), domain.end(),
                                [](char c) { return is_letter_or_digit(c) || c == '-' || c == '.' || c == '_'; });
  if (!domain.empty() && host && (local_part.empty() || is_dot_atom(local_part))) return std::string(text);
  return quoted(text);
}

/// A comment with its parentheses.
std::string comment(std::string_view text) {
  std::string result = "(";
  for (const char c : plain(text, longest_value)) {
    if (c == '(' || c == ')' || c == '\\') result += '\\';
    result += c;
  }
  result += ')';
  return result;
}

/// One resinfo, grown from left to right: method=result, comment, reason, properties.
class ResultLine {
public:
  ResultLine(std::string_view method, std::string_view result) : text_(fmt::format("{}={}", method, result)) {}
  ResultLine &note(std::string_view text) {
    if (!text.empty()) text_ += ' ' + comment(text);
    return *this;
  }
  ResultLine &reason(std::string_view text) {
    if (const std::string safe = plain(text, longest_reason); !safe.empty())
      text_ += " reason=" + quoted(safe, longest_reason);
    return *this;
  }
  /// `written` comes from value() or address().
  ResultLine &property(std::string_view name, const std::string &written) {
    text_ += fmt::format(" {}={}", name, written);
    return *this;
  }
  [[nodiscard]] const std::string &text() const noexcept { return text_; }

private:
  std::string text_;
};

void add_spf(const CheckedMessage &message, std::vector<std::string> &lines) {
  const SpfVerdict &sender = message.spf->mail_from;
  ResultLine mail_from("spf", to_string(sender.result));
  if (sender.result != SpfResult::pass) mail_from.reason(sender.reason);
  // Of the null reverse-path the domain is that of HELO (RFC 7208 section 2.4).
  const std::string_view identity = message.mail_from.empty() ? std::string_view(sender.domain) : message.mail_from;
  if (!identity.empty()) mail_from.property("smtp.mailfrom", address(identity));
  lines.push_back(mail_from.text());
  const SpfVerdict &client = message.spf->helo;
  if (client.domain.empty()) return;
  ResultLine helo("spf", to_string(client.result));
  if (client.result != SpfResult::pass) helo.reason(client.reason);
  lines.push_back(helo.property("smtp.helo", value(client.domain)).text());
}

void add_dkim(const CheckedMessage &message, std::vector<std::string> &lines) {
  for (const DkimVerdict &verdict : message.dkim) {
    ResultLine line("dkim", to_string(verdict.result));
    std::string facts;
    const auto fact = [&](std::string_view text) { facts += (facts.empty() ? "" : ", ") + std::string(text); };
    if (verdict.bits > 0) fact(fmt::format("{}-bit key", verdict.bits));
    if (verdict.testing) fact("testing");
    if (verdict.body_goes_on) fact("the body goes on after l=");
    line.note(facts).reason(verdict.reason);
    if (!verdict.domain.empty()) line.property("header.d", value(verdict.domain));
    if (!verdict.identity.empty()) line.property("header.i", address(verdict.identity));
    if (!verdict.selector.empty()) line.property("header.s", value(verdict.selector));
    if (!verdict.algorithm.empty()) line.property("header.a", value(verdict.algorithm));
    if (!verdict.signature_start.empty()) line.property("header.b", value(verdict.signature_start));
    lines.push_back(line.text());
  }
  if (message.dkim.empty()) lines.emplace_back("dkim=none");
}

void add_dmarc(const DmarcVerdict &verdict, std::vector<std::string> &lines) {
  ResultLine line("dmarc", to_string(verdict.result));
  const bool has_policy = !verdict.applied_tag.empty();
  if (has_policy) {
    std::string facts = fmt::format("{}={}", verdict.applied_tag, to_string(verdict.policy));
    if (verdict.testing) facts += " t=y";
    if (verdict.policy_domain != verdict.domain) facts += " at " + verdict.policy_domain;
    line.note(facts);
  }
  if (verdict.result != DmarcResult::pass) line.reason(verdict.reason);
  if (!verdict.domain.empty()) line.property("header.from", value(verdict.domain));
  // RFC 9989 section 9.1: the policy after policy options (t=y) have been processed.
  if (has_policy)
    line.property("policy.dmarc",
                  std::string(to_string(!verdict.testing                        ? verdict.policy
                                        : verdict.policy == DmarcPolicy::reject ? DmarcPolicy::quarantine
                                                                                : DmarcPolicy::none)));
  lines.push_back(line.text());
}

void add_arc(const CheckedMessage &message, std::vector<std::string> &lines) {
  const ArcVerdict &verdict = *message.arc;
  ResultLine line("arc", to_string(verdict.result));
  if (!verdict.chain.empty())
    line.note(fmt::format("i={} {}", verdict.chain.back().instance, verdict.chain.back().domain));
  if (verdict.result == ArcResult::fail) line.reason(verdict.reason);
  // RFC 8617 section 10.2.
  if (verdict.result == ArcResult::pass) line.property("header.oldest-pass", fmt::format("{}", verdict.oldest_pass));
  if (verdict.result != ArcResult::none && message.client)
    line.property("smtp.remote-ip", value(message.client->to_string()));
  lines.push_back(line.text());
}

/// Follows quotes and comments through a value, word by word.
struct Lexer {
  enum class Cut : std::uint8_t { outside, anywhere };

  bool in_quotes = false;
  std::size_t depth = 0;
  bool new_line = false; ///< the last word ended a result

  /// Where the word ends that begins at `at`.
  std::size_t read_word(std::string_view value, std::size_t at, Cut cut) {
    std::size_t end = at;
    for (; end < value.size(); ++end) {
      const char c = value[end];
      const bool inside = in_quotes || depth > 0;
      if (c == ' ' && end > at && (!inside || cut == Cut::anywhere)) break;
      if (cut == Cut::outside && end - at >= line_aim) break; // too long for a line: no need to know how long
      if (c == '\\' && inside && end + 1 < value.size())
        ++end;
      else if (in_quotes)
        in_quotes = c != '"';
      else if (c == '"' && depth == 0)
        in_quotes = true;
      else if (c == '(')
        ++depth;
      else if (c == ')' && depth > 0)
        --depth;
    }
    new_line = value[end - 1] == ';' && !in_quotes && depth == 0;
    return end;
  }
};

std::string_view result_of(const SpfVerdicts &spf, SpfIdentity identity, const SpfVerdict *&verdict) {
  verdict = identity == SpfIdentity::helo ? &spf.helo : &spf.mail_from;
  return to_string(verdict->result);
}

} // namespace

std::string_view to_string(IprevResult result) noexcept {
  switch (result) {
  case IprevResult::pass: return "pass";
  case IprevResult::fail: return "fail";
  case IprevResult::temperror: return "temperror";
  case IprevResult::permerror: return "permerror";
  }
  return "?";
}

std::string format_results_payload(const CheckedMessage &message) {
  std::vector<std::string> lines;
  if (message.spf) add_spf(message, lines);
  if (message.dkim_checked || !message.dkim.empty()) add_dkim(message, lines);
  if (message.dmarc) add_dmarc(*message.dmarc, lines);
  if (message.arc) add_arc(message, lines);
  if (message.iprev) {
    ResultLine line("iprev", to_string(message.iprev->result));
    if (message.client) line.property("policy.iprev", value(message.client->to_string()));
    lines.push_back(line.note(message.iprev->name).text());
  }
  if (lines.empty()) lines.emplace_back("none"); // no-result
  std::string payload = value(message.authserv_id);
  for (const std::string &line : lines) payload += "; " + line;
  if (!message.tls.empty()) payload += ' ' + comment(message.tls);
  return payload;
}

std::string format_authentication_results(const CheckedMessage &message) {
  return fold_results("Authentication-Results", format_results_payload(message));
}

std::string fold_results(std::string_view name, std::string_view value) {
  std::string field(name);
  field += ':';
  field.reserve(field.size() + value.size() + value.size() / 16 + 8);
  std::size_t line = field.size(); // octets of the line so far
  Lexer lexer;
  for (std::size_t at = 0; at < value.size();) {
    // A word ends at a space; one within a comment or a quoted string only where the whole would not fit a line.
    // Folding there is right too: unfolding gives the same text.
    Lexer behind = lexer;
    std::size_t end = behind.read_word(value, at, Lexer::Cut::outside);
    if (end - at >= line_aim) {
      behind = lexer;
      end = behind.read_word(value, at, Lexer::Cut::anywhere);
    }
    const bool ends_result = lexer.new_line;
    lexer = behind;
    const std::string_view word = value.substr(at, end - at);
    const bool fold =
        line > name.size() + 1 && (ends_result || line + 1 + word.size() > line_aim) && word.front() != ' ';
    field += fold ? "\r\n " : " ";
    field += word;
    line = (fold ? 0 : line) + 1 + word.size();
    at = end + 1;
  }
  field += "\r\n";
  return field;
}

std::string format_received_spf(const CheckedMessage &message, SpfIdentity identity) {
  const SpfVerdict *verdict = nullptr;
  std::string text(result_of(*message.spf, identity, verdict));
  const auto written = [](std::string_view value_text) {
    return value_text.size() <= longest_value && is_dot_atom(value_text) ? std::string(value_text) : quoted(value_text);
  };
  if (!verdict->reason.empty()) text += ' ' + comment(message.authserv_id + ": " + verdict->reason);
  const bool failed_to_tell = verdict->result == SpfResult::temperror || verdict->result == SpfResult::permerror;
  const auto pair = [&](std::string_view key, std::string_view value_text) {
    text += fmt::format(" {}={};", key, written(value_text));
  };
  pair("receiver", message.authserv_id);
  if (message.client) pair("client-ip", message.client->to_string());
  pair("envelope-from", message.mail_from);
  pair("helo", message.helo);
  if (failed_to_tell && !verdict->reason.empty()) pair("problem", verdict->reason);
  pair("identity", identity == SpfIdentity::helo ? "helo" : "mailfrom");
  return fold_results("Received-SPF", text);
}

} // namespace auth
