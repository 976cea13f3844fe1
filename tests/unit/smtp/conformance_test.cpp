// Third-party conformance data for addresses, commands, dialogues and smuggling, less tests/data/conformance_skips.txt.
#include "smtp/wire/command.hpp"
#include "tests/support/dialog_script.hpp"
#include "tests/support/server_harness.hpp"

#include "source_dir.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>

namespace conformance_test {

std::filesystem::path data_folder() {
  return std::filesystem::path(source_dir) / "../shared/conformance/smtp";
}

/// The text of a file, or nothing where the data is not there.
std::optional<std::string> load(const std::filesystem::path &path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(in), {});
}

/// The cases of `file` that the skip list names. A line: file, case, RFC section, why; separated by tabs.
std::set<std::string> skipped(std::string_view file) {
  std::ifstream in(std::filesystem::path(source_dir) / "tests/data/conformance_skips.txt");
  std::set<std::string> cases;
  for (std::string line; std::getline(in, line);) {
    const auto parts = smtp::split(line, '\t');
    if (line.starts_with('#') || line.empty()) continue;
    EXPECT_EQ(parts.size(), 4U) << line;
    if (parts.front() == file) cases.insert(std::string(parts.at(1)));
  }
  return cases;
}

#define LOAD_OR_SKIP(text, path)                                                                                       \
  const auto text = load(data_folder() / (path));                                                                      \
  if (!text) GTEST_SKIP() << "no conformance data at " << (data_folder() / (path))

// ---- isemail
// -----------------------------------------------------------------------------------------------------------

void append_utf8(std::string &out, unsigned long point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | (point >> 6));
    out += static_cast<char>(0x80 | (point & 0x3F));
  } else {
    out += static_cast<char>(0xE0 | (point >> 12));
    out += static_cast<char>(0x80 | ((point >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (point & 0x3F));
  }
}

/// XML entities, and U+2400+n for the control character n, as the file's head explains.
std::string plain_text(std::string_view xml) {
  std::string text;
  while (!xml.empty()) {
    if (xml.front() != '&') {
      text += xml.front();
      xml.remove_prefix(1);
      continue;
    }
    const auto end = xml.find(';');
    const auto name = xml.substr(1, end - 1);
    xml.remove_prefix(end + 1);
    if (name == "amp") text += '&';
    if (name == "lt") text += '<';
    if (name == "gt") text += '>';
    if (name == "quot") text += '"';
    if (name == "apos") text += '\'';
    if (name.starts_with("#x"))
      append_utf8(text, std::stoul(std::string(name.substr(2)), nullptr, 16));
    else if (name.starts_with('#'))
      append_utf8(text, std::stoul(std::string(name.substr(1))));
  }
  for (unsigned c = 0; c < 0x21; ++c) {
    std::string symbol;
    append_utf8(symbol, 0x2400 + c);
    for (std::size_t at = text.find(symbol); at != std::string::npos; at = text.find(symbol, at + 1))
      text.replace(at, symbol.size(), 1, static_cast<char>(c));
  }
  return text;
}

std::string element(std::string_view xml, const std::string &name) {
  const auto start = xml.find("<" + name + ">");
  const auto end = xml.find("</" + name + ">");
  if (start == std::string_view::npos || end == std::string_view::npos) return {};
  return plain_text(xml.substr(start + name.size() + 2, end - start - name.size() - 2));
}

TEST(Conformance, isemail_addresses) {
  LOAD_OR_SKIP(xml, "addresses/isemail-tests.xml");
  const auto skips = skipped("isemail-tests.xml");
  std::string_view rest = *xml;
  std::size_t cases = 0;
  for (;;) {
    const auto start = rest.find("<test id=\"");
    if (start == std::string_view::npos) break;
    rest.remove_prefix(start + 10);
    const std::string id(rest.substr(0, rest.find('"')));
    const auto test = rest.substr(0, rest.find("</test>"));
    ++cases;
    if (skips.contains(id)) continue;
    const auto address = element(test, "address");
    const auto category = element(test, "category");
    const bool valid =
        category == "ISEMAIL_VALID_CATEGORY" || category == "ISEMAIL_DNSWARN" || category == "ISEMAIL_RFC5321";
    ASSERT_FALSE(category.empty());
    EXPECT_EQ(smtp::Mailbox::parse(address).has_value(), valid)
        << "case " << id << " " << smtp::escape(address) << " " << element(test, "diagnosis");
  }
  EXPECT_EQ(cases, 164U);
}

// ---- JSON that holds only strings in lists and objects
// -----------------------------------------------------------------

/// Every string of a JSON text in order, keys too.
std::vector<std::string> json_strings(std::string_view json) {
  std::vector<std::string> strings;
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (json[i] != '"') continue;
    std::string text;
    for (++i; json[i] != '"'; ++i) {
      if (json[i] != '\\') {
        text += json[i];
        continue;
      }
      const char c = json[++i];
      if (c == 'n')
        text += '\n';
      else if (c == 'r')
        text += '\r';
      else if (c == 't')
        text += '\t';
      else if (c == 'u') {
        append_utf8(text, std::stoul(std::string(json.substr(i + 1, 4)), nullptr, 16));
        i += 4;
      } else
        text += c;
    }
    strings.push_back(std::move(text));
  }
  return strings;
}

TEST(Conformance, go_smtp_reverse_paths) {
  LOAD_OR_SKIP(json, "commands/go-smtp-reverse-path.json");
  const auto skips = skipped("go-smtp-reverse-path.json");
  const auto strings = json_strings(*json);
  std::size_t cases = 0;
  const auto invalid = std::find(strings.begin(), strings.end(), "invalid");
  ASSERT_NE(invalid, strings.end());
  for (auto at = strings.begin(); at != invalid; ++at) {
    if (*at != "raw") continue;
    ++cases;
    if (skips.contains(at[1])) continue;
    const auto sender = smtp::parse_mail("FROM:" + at[1]);
    ASSERT_TRUE(sender) << at[1];
    EXPECT_EQ(sender->path.to_string(), "<" + at[3] + ">");
  }
  for (auto at = invalid + 1; at != strings.end(); ++at) {
    ++cases;
    EXPECT_FALSE(smtp::parse_mail("FROM:" + *at)) << *at;
  }
  EXPECT_EQ(cases, 12U);
}

// ---- smuggling
// ---------------------------------------------------------------------------------------------------------

TEST(Conformance, no_sequence_smuggles_a_message_in) {
  LOAD_OR_SKIP(json, "smuggling-end-of-data.json");
  std::vector<std::string> sequences;
  for (const auto &text : json_strings(*json))
    if (text.find_first_of("\r\n") != std::string::npos) sequences.push_back(text);
  ASSERT_EQ(sequences.size(), 26U);
  for (const auto bare_lf : {smtp::BareLf::refuse, smtp::BareLf::convert}) {
    for (const auto &sequence : sequences) {
      for (const std::size_t cut : {1U, 3U, 4096U}) {
        for (const std::uint64_t limit : {std::uint64_t{1'000'000}, std::uint64_t{20}}) {
          SCOPED_TRACE(smtp::escape(sequence));
          smtp::ServerOptions options;
          options.bare_lf = bare_lf;
          options.limits.message_size = limit;
          test::ServerHarness server(options);
          server.feed("EHLO client.example\r\nMAIL FROM:<good@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n",
                      cut);
          server.feed("Subject: first\r\n\r\nbefore" + sequence +
                          "MAIL FROM:<evil@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nSubject: "
                          "evil\r\n\r\nx\r\n.\r\n",
                      cut);
          EXPECT_LE(server.messages.size(), 1U);
          for (const auto &message : server.messages) EXPECT_EQ(message.from, "<good@example.net>");
          EXPECT_EQ(server.broken, "");
          if (limit == 20) {
            EXPECT_TRUE(server.messages.empty());
          }
          if (bare_lf == smtp::BareLf::refuse) {
            EXPECT_TRUE(server.messages.empty()) << "a bare line end or NUL is refused";
          }
        }
      }
    }
  }
}

// ---- chasquid's dialogues
// ----------------------------------------------------------------------------------------------

/// Python's '...' with escapes, also ('...' + '...') * n and 'x' * n, as these scripts use them.
std::string python_text(std::string_view expression) {
  std::string whole;
  std::string term;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    if (expression[i] == '\'') {
      const auto end = expression.find('\'', i + 1);
      whole += term;
      term = test::unescape(expression.substr(i + 1, end - i - 1));
      i = end;
    } else if (expression[i] == '*') {
      const auto digits = expression.find_first_of("0123456789", i);
      const auto end = std::min(expression.find_first_not_of("0123456789", digits), expression.size());
      const auto count = std::stoul(std::string(expression.substr(digits, end - digits)));
      std::string repeated;
      for (unsigned long n = 0; n < count; ++n) repeated += term;
      term = repeated;
      i = end - 1;
    } else if (expression[i] == ')') {
      term = std::exchange(whole, "") + term;
    }
  }
  return whole + term;
}

void play(const std::filesystem::path &path, std::size_t cut) {
  std::ifstream in(path);
  std::optional<test::ServerHarness> server;
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    SCOPED_TRACE(path.filename().string() + ":" + std::to_string(++number) + ", cut every " + std::to_string(cut));
    if (!line.starts_with("c ")) continue;
    const auto what = line.substr(2);
    if (what.starts_with("tcp_connect")) {
      smtp::ServerOptions options;
      options.limits.message_size = 1'048'576; // as that server was set up
      options.offer_starttls = false;
      server.emplace(options);
      server->session.greet();
      server->pump();
    } else if (what.starts_with("-> ") || what == "->") {
      server->feed(line.substr(std::min<std::size_t>(line.size(), 5)) + "\r\n", cut);
    } else if (what.starts_with("~> ")) {
      server->feed(python_text(what.substr(3)), cut);
    } else if (what.starts_with("<")) {
      const auto wanted = smtp::split(what, ' ').at(1);
      const auto reply = test::take_reply(server->output);
      ASSERT_FALSE(reply.empty()) << "expected " << wanted;
      EXPECT_EQ(reply.front(), wanted.front()) << "expected " << wanted << ", got " << reply;
    } else {
      ASSERT_EQ(what, "close");
    }
    if (server) {
      ASSERT_EQ(server->broken, "");
    }
  }
}

TEST(Conformance, chasquid_dialogues) {
  const auto folder = data_folder() / "dialogues/chasquid";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no conformance data at " << folder;
  std::size_t cases = 0;
  for (const auto &entry : std::filesystem::directory_iterator(folder)) {
    ++cases;
    const auto name = entry.path().filename().string();
    if (skipped("chasquid").contains(name)) continue;
    for (const std::size_t cut : {1U, 3U, 4096U}) play(entry.path(), cut);
  }
  EXPECT_EQ(cases, 9U);
}

} // namespace conformance_test
