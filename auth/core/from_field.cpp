// AuthorDomains: see the header. A reader of RFC 5322 address lists, obsolete syntax included, that keeps only domains.
#include "auth/core/from_field.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "auth/core/salvage_from.hpp"
#include "smtp/base/result.hpp"
#include "smtp/base/text.hpp"

namespace auth {

namespace {

using smtp::ErrorCode;
using smtp::fail;
using smtp::Result;

/// RFC 5322 section 3.2.3, with RFC 6532's octets above 127.
bool is_atext(char c) {
  if (static_cast<unsigned char>(c) > 127) return true;
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

Result<std::string> to_a_labels(std::string_view name) {
  std::string domain = author_domain(name);
  if (!domain.empty()) return domain;
  return fail(ErrorCode::bad_syntax, fmt::format("\"{}\" is not a domain", smtp::escape_to_ascii(name)));
}

class AddressReader {
public:
  explicit AddressReader(std::string_view text) : text_(text) {}

  /// address-list = (address *("," address)) / obs-addr-list; empty members are obsolete syntax (section 4.4).
  Result<void> read_list() {
    for (;;) {
      if (auto skipped = skip_cfws(); !skipped) return skipped;
      if (at_end()) return {};
      if (peek() == ',') {
        ++at_;
        continue;
      }
      if (auto read = read_address(); !read) return read;
      if (at_end()) return {};
      if (peek() != ',') return unexpected_octet();
    }
  }

  [[nodiscard]] std::vector<std::string> &domains() noexcept { return domains_; }
  [[nodiscard]] std::size_t literals() const noexcept { return literals_; }
  [[nodiscard]] std::size_t addresses() const noexcept { return addresses_; }
  /// Follows RFC 5322, but in a form that known readers take apart in another way.
  [[nodiscard]] bool is_doubtful() const noexcept { return doubtful_; }

private:
  /// What a run of words amounts to: a display name, or the local part of an address when '@' follows.
  struct Words {
    std::size_t count = 0;
    bool dotted = true;          ///< a dot between any two: could be a local part
    bool quoted_special = false; ///< a quoted string has what could end an address
  };

  [[nodiscard]] bool at_end() const noexcept { return at_ >= text_.size(); }
  [[nodiscard]] char peek() const noexcept { return text_[at_]; }

  tl::unexpected<smtp::Error> unexpected_octet() const {
    if (at_end()) return fail(ErrorCode::bad_syntax, "it ends within an address");
    return fail(ErrorCode::bad_syntax,
                fmt::format("unexpected \"{}\" at octet {}", smtp::escape_to_ascii(text_.substr(at_, 1)), at_));
  }

  /// [CFWS]: white space, folds, comments with their nesting.
  Result<void> skip_cfws() {
    std::size_t depth = 0;
    std::size_t comment_begins = 0;
    while (!at_end()) {
      const char c = peek();
      if (c == '\r') {
        // A fold is CRLF and white space; CRLF at the very end is the field's own.
        const bool fold = text_.substr(at_, 2) == "\r\n" && (at_ + 2 == text_.size() || is_blank(text_[at_ + 2]));
        if (!fold) return fail(ErrorCode::bad_syntax, "CR or LF that folds nothing");
        at_ += 2;
      } else if (c == '\n' || c == '\0') {
        return fail(ErrorCode::bad_syntax, c == '\0' ? "NUL octet" : "CR or LF that folds nothing");
      } else if (c == '(') {
        if (depth > 0 || in_angle_) doubtful_ = true;
        if (++depth > deepest_from_comment)
          return fail(ErrorCode::too_long, fmt::format("comments nest deeper than {}", deepest_from_comment));
        if (depth == 1) comment_begins = at_;
        ++at_;
      } else if (depth > 0 && c == ')') {
        --depth;
        ++at_;
        if (depth == 0) note_open_word(text_.substr(comment_begins, at_ - comment_begins));
      } else if (depth > 0 && c == '\\') {
        if (at_ + 1 >= text_.size() || is_control(text_[at_ + 1]))
          return fail(ErrorCode::bad_syntax, "a backslash that quotes nothing");
        doubtful_ = true;
        at_ += 2;
      } else if (depth > 0 || is_blank(c)) {
        ++at_;
      } else {
        return {};
      }
    }
    if (depth > 0) return fail(ErrorCode::bad_syntax, "a comment that does not end");
    return {};
  }

  static bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }
  static bool is_control(char c) noexcept { return c == '\0' || c == '\r' || c == '\n'; }

  /// In a comment or a quoted string: what begins like an encoded word and does not end there goes on behind it, to
  /// some readers.
  void note_open_word(std::string_view part) noexcept {
    for (auto at = part.find("=?"); at != std::string_view::npos;) {
      const auto charset_end = part.find('?', at + 2);
      const bool begins =
          charset_end != std::string_view::npos && charset_end + 2 < part.size() && part[charset_end + 2] == '?';
      const auto end = begins ? part.find("?=", charset_end + 3) : std::string_view::npos;
      if (end == std::string_view::npos) {
        doubtful_ = true;
        return;
      }
      at = part.find("=?", end + 2);
    }
  }

  /// quoted-string, behind its first quote. Folds in it are white space.
  Result<void> skip_quoted() {
    const std::size_t begin = at_;
    ++at_;
    while (!at_end()) {
      const char c = peek();
      if (c == '"') {
        ++at_;
        note_open_word(text_.substr(begin, at_ - begin));
        return {};
      }
      if (c == '\\') {
        if (at_ + 1 >= text_.size() || is_control(text_[at_ + 1]))
          return fail(ErrorCode::bad_syntax, "a backslash that quotes nothing");
        at_ += 2;
      } else if (c == '\r') {
        if (text_.substr(at_, 2) != "\r\n" || at_ + 2 >= text_.size() || !is_blank(text_[at_ + 2]))
          return fail(ErrorCode::bad_syntax, "CR or LF that folds nothing");
        doubtful_ = true; // some readers end the string, or the field, at the fold
        at_ += 2;
      } else if (is_control(c)) {
        return fail(ErrorCode::bad_syntax, c == '\0' ? "NUL octet" : "CR or LF that folds nothing");
      } else {
        ++at_;
      }
    }
    return fail(ErrorCode::bad_syntax, "a quoted string that does not end");
  }

  /// RFC 2047 encoded-word: one atom whatever is in it, because encoders leave specials there that they should not.
  std::size_t encoded_word_length() const noexcept {
    const std::string_view rest = text_.substr(at_, 1024);
    if (!rest.starts_with("=?")) return 0;
    const auto charset_end = rest.find('?', 2);
    if (charset_end == std::string_view::npos || charset_end == 2 || charset_end + 2 >= rest.size()) return 0;
    const char encoding = smtp::to_lower(rest[charset_end + 1]);
    if ((encoding != 'q' && encoding != 'b') || rest[charset_end + 2] != '?') return 0;
    const auto end = rest.find("?=", charset_end + 3);
    if (end == std::string_view::npos) return 0;
    const std::string_view word = rest.substr(0, end + 2);
    const bool solid =
        std::all_of(word.begin(), word.end(), [](char c) { return static_cast<unsigned char>(c) > ' '; });
    return solid ? word.size() : 0;
  }

  /// word *(["."] word) with CFWS between: phrase, obs-phrase (section 4.1) and local-part alike.
  Result<Words> read_words() {
    Words words;
    bool after_dot = true;
    for (;;) {
      if (auto skipped = skip_cfws(); !skipped) return tl::unexpected<smtp::Error>(skipped.error());
      if (at_end()) return words;
      if (peek() == '.') {
        // Where dots stand is not looked at: "a..b@example.com" is sent, and leaves no doubt about its domain.
        after_dot = true;
        ++at_;
        continue;
      }
      if (peek() == '"') {
        const std::size_t begin = at_;
        if (auto skipped = skip_quoted(); !skipped) return tl::unexpected<smtp::Error>(skipped.error());
        words.quoted_special =
            words.quoted_special ||
            text_.substr(begin + 1, at_ - begin - 2).find_first_of("@<>\"\\") != std::string_view::npos;
      } else if (const std::size_t length = encoded_word_length(); length > 0) {
        // To some readers it is not an atom: what they take for the quotes and brackets of the field may be in it.
        if (text_.substr(at_, length).find_first_of("\"()<>@\\,;:") != std::string_view::npos) doubtful_ = true;
        at_ += length;
      } else if (is_atext(peek())) {
        const std::size_t begin = at_;
        while (!at_end() && is_atext(peek())) ++at_;
        // What begins like an encoded word is one to some readers, wherever it ends.
        if (text_.substr(begin, at_ - begin).find("=?") != std::string_view::npos) doubtful_ = true;
      } else {
        return words;
      }
      if (words.count > 0 && !after_dot) words.dotted = false;
      ++words.count;
      after_dot = false;
    }
  }

  /// domain = dot-atom / domain-literal / obs-domain: atoms with dots and CFWS between.
  Result<std::string> read_domain() {
    if (auto skipped = skip_cfws(); !skipped) return tl::unexpected<smtp::Error>(skipped.error());
    if (!at_end() && peek() == '[') return read_literal();
    std::string name;
    bool after_dot = true;
    for (;;) {
      const std::size_t before = at_;
      if (auto skipped = skip_cfws(); !skipped) return tl::unexpected<smtp::Error>(skipped.error());
      const bool spaced = at_ != before && !name.empty();
      if (at_end()) break;
      if (peek() == '.') {
        if (after_dot) return unexpected_octet();
        after_dot = true;
        name += '.';
        ++at_;
      } else if (after_dot && is_atext(peek())) {
        while (!at_end() && is_atext(peek())) name += text_[at_++];
        after_dot = false;
      } else {
        break;
      }
      // To some readers the domain ends at the white space or comment: they would show another one.
      if (spaced) doubtful_ = true;
    }
    if (name.empty()) return unexpected_octet();
    // A final dot: some readers take the address for none, and the display name for one.
    if (name.ends_with('.')) doubtful_ = true;
    return to_a_labels(name);
  }

  /// domain-literal; the result is empty.
  Result<std::string> read_literal() {
    ++at_;
    while (!at_end() && peek() != ']') {
      const char c = peek();
      const bool fold = text_.substr(at_, 2) == "\r\n";
      if (c == '[' || c == '\\' || c == '\0' || c == '\n' || (c == '\r' && !fold)) return unexpected_octet();
      at_ += fold ? 2 : 1;
    }
    if (at_end()) return fail(ErrorCode::bad_syntax, "a domain literal that does not end");
    ++at_;
    if (auto skipped = skip_cfws(); !skipped) return tl::unexpected<smtp::Error>(skipped.error());
    return std::string();
  }

  Result<void> add(Result<std::string> domain) {
    if (++addresses_ > most_from_addresses)
      return fail(ErrorCode::too_long, fmt::format("more than {} addresses", most_from_addresses));
    if (!domain) return tl::unexpected<smtp::Error>(std::move(domain).error());
    if (domain->empty()) {
      ++literals_;
    } else if (std::find(domains_.begin(), domains_.end(), *domain) == domains_.end()) {
      domains_.push_back(std::move(*domain));
    }
    return {};
  }

  /// "<" [obs-route] addr-spec ">".
  Result<void> read_angle() {
    ++at_;
    in_angle_ = true;
    auto read = read_in_angle();
    in_angle_ = false;
    if (!read) return read;
    return skip_cfws();
  }

  /// [obs-route] addr-spec ">".
  Result<void> read_in_angle() {
    if (auto skipped = skip_cfws(); !skipped) return skipped;
    // obs-route = *(CFWS / ",") "@" domain *("," [CFWS] ["@" domain]) ":" (section 4.4): read and dropped.
    if (!at_end() && (peek() == '@' || peek() == ',')) {
      doubtful_ = true;
      while (!at_end() && peek() != ':') {
        if (peek() == '@') {
          ++at_;
          if (auto hop = read_domain(); !hop) return tl::unexpected<smtp::Error>(hop.error());
        } else if (peek() == ',') {
          ++at_;
        } else {
          return unexpected_octet();
        }
        if (auto skipped = skip_cfws(); !skipped) return skipped;
      }
      if (at_end()) return unexpected_octet();
      ++at_;
    }
    const auto local_part = read_words();
    if (!local_part) return tl::unexpected<smtp::Error>(local_part.error());
    if (local_part->count == 0 || !local_part->dotted || at_end() || peek() != '@') return unexpected_octet();
    if (local_part->quoted_special) doubtful_ = true;
    ++at_;
    if (auto added = add(read_domain()); !added) return added;
    if (at_end() || peek() != '>') return unexpected_octet();
    ++at_;
    return {};
  }

  /// address = mailbox / group.
  Result<void> read_address() {
    const auto words = read_words();
    if (!words) return tl::unexpected<smtp::Error>(words.error());
    if (at_end()) return fail(ErrorCode::bad_syntax, "a name without an address");
    switch (peek()) {
    case '<': return read_angle();
    case ':': return words->count > 0 ? read_group() : Result<void>(unexpected_octet());
    case '@': return words->count > 0 ? read_bare(*words) : Result<void>(unexpected_octet());
    default: return unexpected_octet();
    }
  }

  /// addr-spec, behind its local part. `alice@a.example (x) <bob@b.example>` is not RFC 5322 syntax, but it is sent,
  /// and some readers show the first address: both domains are authors then, so that neither hides behind the other.
  Result<void> read_bare(Words words) {
    if (words.quoted_special) doubtful_ = true;
    for (;;) {
      ++at_; // '@'
      auto domain = read_domain();
      const bool is_name = domain && !at_end() && peek() != ',' && peek() != ';';
      if (!is_name && !words.dotted) return fail(ErrorCode::bad_syntax, "a local part with spaces");
      if (auto added = add(std::move(domain)); !added) return added;
      if (!is_name) return {};
      auto more = read_words();
      if (!more) return tl::unexpected<smtp::Error>(more.error());
      if (!at_end() && peek() == '<') return read_angle();
      if (at_end() || peek() != '@' || more->count == 0) return unexpected_octet();
      // Only an angle bracket makes a display name of what was read; "a@b c@d" ends in an error here or further on.
      words = *more;
      words.dotted = false;
    }
  }

  /// group = display-name ":" [group-list] ";" [CFWS], allowed in From by RFC 6854. Groups do not nest.
  Result<void> read_group() {
    ++at_;
    for (;;) {
      if (auto skipped = skip_cfws(); !skipped) return skipped;
      if (at_end()) return fail(ErrorCode::bad_syntax, "a group that does not end");
      if (peek() == ';') break;
      if (peek() == ',') {
        ++at_;
        continue;
      }
      const auto words = read_words();
      if (!words) return tl::unexpected<smtp::Error>(words.error());
      const char next = at_end() ? '\0' : peek();
      if (next != '<' && (next != '@' || words->count == 0)) return unexpected_octet();
      if (auto read = next == '<' ? read_angle() : read_bare(*words); !read) return read;
      if (at_end() || (peek() != ',' && peek() != ';')) return unexpected_octet();
    }
    ++at_;
    return skip_cfws();
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<std::string> domains_;
  std::size_t literals_ = 0;
  std::size_t addresses_ = 0;
  bool in_angle_ = false;
  bool doubtful_ = false;
};

} // namespace

std::string_view to_string(FromStatus status) noexcept {
  switch (status) {
  case FromStatus::ok: return "ok";
  case FromStatus::no_field: return "no_field";
  case FromStatus::several_fields: return "several_fields";
  case FromStatus::malformed: return "malformed";
  case FromStatus::no_domain: return "no_domain";
  case FromStatus::no_author: return "no_author";
  }
  return "?";
}

namespace {

/// "Doe, Jane <jane@example.com>" is not RFC 5322, but names one author to everybody; "MAILER-DAEMON <>" names nobody.
void salvage(std::string_view value, const std::string &why, AuthorDomains &authors) {
  SalvagedFrom found = salvage_from(value);
  for (std::string &domain : found.domains)
    if (std::find(authors.domains.begin(), authors.domains.end(), domain) == authors.domains.end())
      authors.domains.push_back(std::move(domain));
  if (found.names_nobody() && authors.domains.empty()) {
    authors.status = FromStatus::no_author;
    authors.problem = "header From has no address";
  } else if (found.problem.empty() && authors.domains.size() == 1) {
    authors.status = FromStatus::ok;
    authors.salvaged = true;
  } else {
    authors.status = FromStatus::malformed;
    const std::string &detail = !why.empty() ? why : found.problem;
    authors.problem = "header From does not parse: " + (detail.empty() ? "it may name several authors" : detail);
  }
}

} // namespace

AuthorDomains parse_from_field(std::string_view value) {
  AuthorDomains authors;
  if (value.size() > longest_from_field) {
    authors.status = FromStatus::malformed;
    authors.problem = fmt::format("header From is {} octets, limit is {}", value.size(), longest_from_field);
    return authors;
  }
  AddressReader reader(value);
  const auto read = reader.read_list();
  authors.domains = std::move(reader.domains());
  if (!read && read.error().code == ErrorCode::too_long) {
    authors.status = FromStatus::malformed;
    authors.problem = "header From does not parse: " + read.error().detail;
  } else if (read && reader.literals() > 0) {
    authors.status = FromStatus::no_domain;
    authors.problem = "header From has an address with a domain literal";
  } else if (!read || reader.is_doubtful() || authors.domains.empty()) {
    salvage(value, read ? std::string() : read.error().detail, authors);
  } else {
    authors.status = FromStatus::ok;
  }
  return authors;
}

AuthorDomains find_author_domains(const HeaderFields &fields) {
  const auto found = fields.named("From");
  if (found.empty()) {
    AuthorDomains none;
    none.problem = "there is no header From";
    return none;
  }
  AuthorDomains authors = parse_from_field(found.front()->value);
  if (found.size() == 1) return authors;
  // RFC 9989 section 4.4: a repeated From leaves no way to tell the author. The domains are kept for those who must
  // know which names the message shows; a few fields are enough for that.
  const std::size_t looked_at = std::min<std::size_t>(found.size(), 8);
  for (std::size_t i = 1; i < looked_at; ++i)
    for (std::string &domain : parse_from_field(found[i]->value).domains)
      if (std::find(authors.domains.begin(), authors.domains.end(), domain) == authors.domains.end())
        authors.domains.push_back(std::move(domain));
  authors.status = FromStatus::several_fields;
  authors.problem = fmt::format("there are {} header From fields", found.size());
  return authors;
}

} // namespace auth
