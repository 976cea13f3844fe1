// DataEncoder: dots, line ends in every cut, the smuggling sequences, and the round trip through DataDecoder.
#include "smtp/wire/data_encoder.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "smtp/base/text.hpp"
#include "smtp/wire/data_decoder.hpp"
#include "source_dir.hpp"

namespace data_encoder_test {

using smtp::DataEncoder;
using smtp::DataForm;

struct Encoded {
  std::string wire;
  std::string error;
};

Encoded encode(std::string_view message, std::size_t cut, DataForm form = DataForm::dot_stuffed) {
  DataEncoder encoder(form);
  Encoded result;
  for (std::size_t at = 0; at < message.size(); at += cut)
    if (const auto done = encoder.encode(message.substr(at, cut), result.wire); !done) {
      result.error = done.error().detail;
      return result;
    }
  if (const auto done = encoder.finish(result.wire); !done) result.error = done.error().detail;
  return result;
}

TEST(DataEncoder, dots_are_doubled_and_the_end_is_marked_in_every_cut) {
  struct Row {
    std::string name;
    std::string message;
    std::string wire;
    std::string counted; ///< the form for BDAT
  };
  const std::vector<Row> rows{
      {"an empty message", "", ".\r\n", ""},
      {"a plain line", "a\r\n", "a\r\n.\r\n", "a\r\n"},
      {"a line that lacks its end", "a", "a\r\n.\r\n", "a\r\n"},
      {"a dot alone", ".\r\n", "..\r\n.\r\n", ".\r\n"},
      {"a dot without line end", ".", "..\r\n.\r\n", ".\r\n"},
      {"dots at the start of lines only", ".a\r\nb.\r\n..c\r\n", "..a\r\nb.\r\n...c\r\n.\r\n", ".a\r\nb.\r\n..c\r\n"},
      {"the end mark within a message", "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n"},
      {"empty lines", "\r\n\r\n", "\r\n\r\n.\r\n", "\r\n\r\n"},
      {"octets above 127 and controls", "\xFF\x01.\r\n", "\xFF\x01.\r\n.\r\n", "\xFF\x01.\r\n"},
  };
  for (const auto &row : rows) {
    for (const std::size_t cut : {1UL, 2UL, 3UL, 4096UL}) {
      SCOPED_TRACE(fmt::format("{}, cut every {}", row.name, cut));
      EXPECT_EQ(encode(row.message, cut).wire, row.wire);
      EXPECT_EQ(encode(row.message, cut).error, "");
      EXPECT_EQ(encode(row.message, cut, DataForm::counted).wire, row.counted);
    }
  }
}

TEST(DataEncoder, a_bare_line_end_is_refused_and_does_not_leave) {
  struct Row {
    std::string name;
    std::string message;
    std::string error;
    std::string left; ///< what may have left before
  };
  const std::vector<Row> rows{
      {"bare LF", "a\nb\r\n", "message holds a bare LF at octet 1", "a"},
      {"bare LF first", "\n", "message holds a bare LF at octet 0", ""},
      {"two LF", "a\r\n\n", "message holds a bare LF at octet 3", "a\r\n"},
      {"bare CR", "a\rb\r\n", "message holds a bare CR at octet 1", "a"},
      {"two CR before LF", "a\r\r\n", "message holds a bare CR at octet 1", "a"},
      {"bare CR at the end", "a\r", "message ends in a bare CR at octet 1", "a"},
      {"LF CR", "a\n\r", "message holds a bare LF at octet 1", "a"},
      {"NUL", std::string("a\r\n\0.\r\n", 7), "message holds a NUL at octet 3", "a\r\n"},
      {"NUL first", std::string("\0", 1), "message holds a NUL at octet 0", ""},
      {"NUL between CR and LF", std::string("a\r\0\n", 4), "message holds a bare CR at octet 1", "a"},
      {"NUL behind a stuffed dot", std::string(".\0\r\n", 4), "message holds a NUL at octet 1", ".."},
      {"CR dot LF", "\r.\n", "message holds a bare CR at octet 0", ""},
  };
  for (const auto &row : rows) {
    for (const std::size_t cut : {1UL, 2UL, 3UL, 4096UL}) {
      for (const auto form : {DataForm::dot_stuffed, DataForm::counted}) {
        SCOPED_TRACE(fmt::format("{}, cut every {}", row.name, cut));
        const auto encoded = encode(row.message, cut, form);
        EXPECT_EQ(encoded.error, row.error);
        EXPECT_TRUE(row.left.starts_with(encoded.wire)) << smtp::escape(encoded.wire);
      }
    }
  }
}

/// True when every CR is followed by LF and every LF preceded by CR.
bool has_only_crlf(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')) return false;
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) return false;
  }
  return true;
}

std::optional<std::string> read_file(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

const std::filesystem::path conformance = std::filesystem::path(source_dir) / "../shared/conformance";

/// The strings of the file that hold line ends: JSON with \n, \r and \u0000 as its only escapes.
std::vector<std::string> smuggling_sequences(std::string_view json) {
  std::vector<std::string> sequences;
  while (true) {
    const auto open = json.find('"');
    if (open == std::string_view::npos) return sequences;
    const auto close = json.find('"', open + 1);
    const auto text = json.substr(open + 1, close - open - 1);
    json.remove_prefix(close + 1);
    std::string sequence;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        sequence += text[i];
      } else if (text[++i] == 'u') {
        sequence += '\0';
        i += 4;
      } else {
        sequence += text[i] == 'n' ? '\n' : '\r';
      }
    }
    if (sequence.find_first_of("\r\n") != std::string::npos) sequences.push_back(sequence);
  }
}

TEST(DataEncoder, no_smuggling_sequence_leaves_unescaped) {
  const auto json = read_file(conformance / "smtp/smuggling-end-of-data.json");
  if (!json) GTEST_SKIP() << "the conformance data is not beside the source tree";
  const auto sequences = smuggling_sequences(*json);
  ASSERT_EQ(sequences.size(), 26U);
  for (const auto &sequence : sequences) {
    const std::string message = "Subject: x\r\n\r\nfirst" + sequence + "MAIL FROM:<x@x.example>\r\n";
    for (const std::size_t cut : {1UL, 3UL, 4096UL}) {
      SCOPED_TRACE(smtp::escape(sequence));
      const auto encoded = encode(message, cut);
      if (encoded.error.empty()) {
        EXPECT_TRUE(has_only_crlf(encoded.wire));
        EXPECT_EQ(encoded.wire.find("\r\n.\r\n"), encoded.wire.size() - 5) << "the end mark is at the end only";
      } else {
        EXPECT_EQ(encoded.wire.find("MAIL FROM"), std::string::npos);
        EXPECT_EQ(encoded.wire.find("\r\n.\r"), std::string::npos);
        EXPECT_EQ(encoded.wire.find('\0'), std::string::npos);
        EXPECT_TRUE(has_only_crlf(encoded.wire));
      }
    }
  }
}

std::string with_crlf(std::string_view text) {
  std::string lines;
  for (const char c : text) {
    if (c == '\r' || c == '\0') continue; // only the LF ends a line here, and NUL is no mail
    if (c == '\n') lines += '\r';
    lines += c;
  }
  if (!lines.empty() && !lines.ends_with("\r\n")) lines += "\r\n";
  return lines;
}

/// What our own server makes of it; empty when it objects.
std::string decode(std::string_view wire, std::size_t cut) {
  smtp::DataDecoder decoder(smtp::Framing::dot, smtp::BareLf::refuse, 1'000'000);
  std::string message;
  for (std::size_t at = 0; at < wire.size(); at += cut) {
    auto input = wire.substr(at, cut);
    for (;;) {
      const auto step = decoder.next(input);
      if (step.event == smtp::DataEvent::need_more) break;
      if (step.event == smtp::DataEvent::end) return at + cut >= wire.size() && input.empty() ? message : "ended early";
      if (step.event != smtp::DataEvent::octets) return {};
      message += step.octets;
    }
  }
  return "never ended";
}

TEST(DataEncoder, the_message_corpus_comes_back_unchanged_from_the_decoder) {
  if (!std::filesystem::exists(conformance / "corpus"))
    GTEST_SKIP() << "the conformance data is not beside the source tree";
  std::size_t messages = 0;
  for (const auto &entry : std::filesystem::recursive_directory_iterator(conformance / "corpus")) {
    if (!entry.is_regular_file()) continue;
    const auto message = with_crlf(read_file(entry.path()).value());
    SCOPED_TRACE(entry.path().filename());
    for (const std::size_t cut : {7UL, 4096UL}) {
      const auto encoded = encode(message, cut);
      ASSERT_EQ(encoded.error, "");
      EXPECT_TRUE(decode(encoded.wire, cut) == message);
      EXPECT_TRUE(encode(message, cut, DataForm::counted).wire == message);
    }
    ++messages;
  }
  EXPECT_GT(messages, 200U);
}

} // namespace data_encoder_test
