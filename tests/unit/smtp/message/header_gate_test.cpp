// HeaderGate: a header section is fields up to an empty line, in every cut; what each rule makes of anything else.
#include "smtp/message/header_gate.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "smtp/message/field_name.hpp"

namespace header_gate_test {

using smtp::HeaderGate;
using smtp::HeaderRule;

struct Passed {
  std::string octets;
  std::string fault;
  bool refused = false;
};

Passed pass(HeaderRule rule, std::string_view message, std::size_t cut) {
  HeaderGate gate(rule);
  Passed passed;
  for (std::size_t at = 0; at < message.size(); at += cut) passed.octets += gate.feed(message.substr(at, cut));
  passed.octets += gate.end();
  if (gate.fault()) passed.fault = gate.fault()->to_string();
  passed.refused = gate.is_refused();
  return passed;
}

struct Row {
  std::string name;
  std::string message;
  std::string fault; ///< with `refuse` and `split`; empty: it goes on as it is
  std::string split;
  std::string mended;
};

TEST(HeaderGate, Table) {
  const std::string rest = "From: a@x\r\n\r\nb\r\n";
  const std::vector<Row> rows{
      {"nothing", "", "", "", ""},
      {"only an empty line", "\r\n", "", "\r\n", "\r\n"},
      {"fields, an empty line, a body", "A: b\r\n c\r\n\td\r\n" + rest, "", "A: b\r\n c\r\n\td\r\n" + rest,
       "A: b\r\n c\r\n\td\r\n" + rest},
      {"a header without body", "A: b\r\n", "", "A: b\r\n", "A: b\r\n"},
      {"a header whose last line has no end", "A: b", "", "A: b", "A: b"},
      {"a continuation of white space alone", "A: b\r\n \t\r\n" + rest, "", "A: b\r\n \t\r\n" + rest,
       "A: b\r\n \t\r\n" + rest},
      {"an empty value, an empty name's neighbour", "A:\r\n" + rest, "", "A:\r\n" + rest, "A:\r\n" + rest},
      {"anything may stand in the body", "\r\n x\r\nnonsense\r\n: x\r\n", "", "\r\n x\r\nnonsense\r\n: x\r\n",
       "\r\n x\r\nnonsense\r\n: x\r\n"},
      {"a space first", " x\r\n" + rest, "line 1 of the header continues no field: \" x\"", "\r\n x\r\n" + rest,
       "\r\n x\r\n" + rest},
      {"a tab first", "\t\r\n" + rest, "line 1 of the header continues no field: \"\\x09\"", "\r\n\t\r\n" + rest,
       "\r\n\t\r\n" + rest},
      {"no field", "A: b\r\nnonsense\r\n" + rest, "line 2 of the header begins no field: \"nonsense\"",
       "A: b\r\n\r\nnonsense\r\n" + rest, "A: b\r\n\r\nnonsense\r\n" + rest},
      {"no header at all", "Hello\r\nworld\r\n", "line 1 of the header begins no field: \"Hello\"",
       "\r\nHello\r\nworld\r\n", "\r\nHello\r\nworld\r\n"},
      {"no name", ": x\r\n" + rest, "line 1 of the header begins no field: \": x\"", "\r\n: x\r\n" + rest,
       "\r\n: x\r\n" + rest},
      {"a space in the name", "A b: c\r\n" + rest, "line 1 of the header begins no field: \"A b: c\"",
       "\r\nA b: c\r\n" + rest, "\r\nA b: c\r\n" + rest},
      {"an octet above 127 in the name", "\xC3\xA4: c\r\n" + rest, "line 1 of the header begins no field: \"??: c\"",
       "\r\n\xC3\xA4: c\r\n" + rest, "\r\n\xC3\xA4: c\r\n" + rest},
      {"a control character in the name", "A\x01: c\r\n" + rest, "line 1 of the header begins no field: \"A\\x01: c\"",
       "\r\nA\x01: c\r\n" + rest, "\r\nA\x01: c\r\n" + rest},
      {"white space in front of the colon", "A: b\r\nFrom \t: a@x\r\n\r\nb\r\n",
       "line 2 of the header has white space in front of its colon: \"From \\x09: a@x\"",
       "A: b\r\n\r\nFrom \t: a@x\r\n\r\nb\r\n", "A: b\r\nFrom: a@x\r\n\r\nb\r\n"},
      {"a mailbox file's line", "From ann Sun Nov 29 12:00:00 2026\r\n" + rest,
       "line 1 of the header begins no field: \"From ann Sun Nov 29 12:00:00 2026\"",
       "\r\nFrom ann Sun Nov 29 12:00:00 2026\r\n" + rest, rest},
      {"two of them, quoted", ">From ann\r\n>>From bob\r\n" + rest,
       "line 1 of the header begins no field: \">From ann\"", "\r\n>From ann\r\n>>From bob\r\n" + rest, rest},
      {"a mailbox file's line in front of a body without header", "From ann\r\nHello\r\n",
       "line 1 of the header begins no field: \"From ann\"", "\r\nFrom ann\r\nHello\r\n", "\r\nHello\r\n"},
      {"a mailbox file's line behind a field", "A: b\r\nFrom ann\r\n" + rest,
       "line 2 of the header begins no field: \"From ann\"", "A: b\r\n\r\nFrom ann\r\n" + rest,
       "A: b\r\n\r\nFrom ann\r\n" + rest},
      {"the longest name", std::string(900, 'A') + ": x\r\n" + rest, "", std::string(900, 'A') + ": x\r\n" + rest,
       std::string(900, 'A') + ": x\r\n" + rest},
      {"one octet more", std::string(901, 'A') + ": x\r\n" + rest,
       "line 1 of the header begins no field: \"" + std::string(60, 'A') + "...\"",
       "\r\n" + std::string(901, 'A') + ": x\r\n" + rest, "\r\n" + std::string(901, 'A') + ": x\r\n" + rest},
  };
  for (const auto &row : rows) {
    for (const std::size_t cut : {1UL, 2UL, 3UL, 7UL, 100'000UL}) {
      SCOPED_TRACE(fmt::format("{}, cut every {}", row.name, cut));
      const auto refused = pass(HeaderRule::refuse, row.message, cut);
      EXPECT_EQ(refused.fault, row.fault);
      EXPECT_EQ(refused.refused, !row.fault.empty());
      if (row.fault.empty()) {
        EXPECT_EQ(refused.octets, row.message);
      }
      const auto split = pass(HeaderRule::split, row.message, cut);
      EXPECT_EQ(split.fault, row.fault);
      EXPECT_FALSE(split.refused);
      EXPECT_EQ(split.octets, row.split);
      const auto mended = pass(HeaderRule::mend, row.message, cut);
      EXPECT_EQ(mended.octets, row.mended);
      EXPECT_FALSE(mended.refused);
    }
  }
}

/// What any rule lets on is passed on unchanged by `refuse`: nothing is left to be read in two ways.
TEST(HeaderGate, WhatGoesOnIsAHeaderSection) {
  const std::vector<std::string> lines{"A: b", " c",   "\t",    "",   "From: a@x", "From ann", "x",
                                       ":",    "B :c", "\xC3:", "D:", "-",         "E",        "F\x7f: x"};
  std::uint64_t number = 1;
  for (int i = 0; i < 3000; ++i) {
    std::string message;
    for (int line = 0; line < 6; ++line) {
      number = number * 6364136223846793005U + 1442695040888963407U;
      message += lines[(number >> 33U) % lines.size()] + "\r\n";
    }
    for (const auto rule : {HeaderRule::split, HeaderRule::mend}) {
      const auto once = pass(rule, message, 1 + i % 40);
      const auto twice = pass(HeaderRule::refuse, once.octets, 100'000);
      EXPECT_EQ(twice.fault, "") << message;
      EXPECT_EQ(twice.octets, once.octets) << message;
    }
  }
}

TEST(HeaderFieldName, Table) {
  EXPECT_EQ(smtp::header_field_name("From: x"), "From");
  EXPECT_EQ(smtp::header_field_name("From \t: x"), "From");
  EXPECT_EQ(smtp::header_field_name("!#$%&'*+-/=?^_`{|}~\"<>@(),;[]\\: x"), "!#$%&'*+-/=?^_`{|}~\"<>@(),;[]\\");
  for (const char *none : {"", ":", " :", " A: x", "A b: x", "A", "\x80: x", "A\x7f: x"})
    EXPECT_EQ(smtp::header_field_name(none), "") << none;
}

} // namespace header_gate_test
