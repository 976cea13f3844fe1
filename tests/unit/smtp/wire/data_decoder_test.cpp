// DataDecoder: dot-stuffing, the one end of data, and every bare line end, in every cut.
#include "smtp/wire/data_decoder.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace data_decoder_test {

using smtp::BareLf;
using smtp::DataDecoder;
using smtp::DataEvent;
using smtp::Framing;

struct Outcome {
  std::string body;
  DataEvent last = DataEvent::need_more; ///< what ended it; need_more: nothing did
  std::size_t used = 0;                  ///< octets of the input
  bool refused = false;                  ///< line_too_long or nul came on the way
};

Outcome decode(Framing framing, BareLf bare_lf, std::size_t limit, std::string_view octets, std::size_t cut) {
  DataDecoder decoder(framing, bare_lf, limit);
  Outcome outcome;
  for (std::size_t at = 0; at < octets.size(); at += cut) {
    auto input = octets.substr(at, cut);
    const auto size = input.size();
    for (;;) {
      const auto step = decoder.next(input);
      outcome.last = step.event;
      if (step.event == DataEvent::octets) outcome.body += step.octets;
      if (step.event == DataEvent::line_too_long || step.event == DataEvent::nul) {
        EXPECT_FALSE(outcome.refused) << "reported once";
        outcome.refused = true;
      }
      if (step.event == DataEvent::need_more || step.event == DataEvent::end || step.event == DataEvent::bare_cr ||
          step.event == DataEvent::bare_lf)
        break;
    }
    outcome.used += size - input.size();
    if (outcome.last != DataEvent::need_more) break;
  }
  return outcome;
}

struct Row {
  std::string name;
  std::string octets;
  DataEvent last;
  std::string body; ///< looked at only when the message ended well
  std::string rest;
  bool refused = false;
};

void run(const std::vector<Row> &rows, BareLf bare_lf, std::size_t limit = 100) {
  for (const auto &row : rows) {
    for (std::size_t cut = 1; cut <= row.octets.size() + 1; ++cut) {
      SCOPED_TRACE(row.name + ", cut every " + std::to_string(cut));
      const auto outcome = decode(Framing::dot, bare_lf, limit, row.octets, cut);
      ASSERT_EQ(outcome.last, row.last);
      if (row.last != DataEvent::end) continue; // then it is all the same what came before
      EXPECT_EQ(outcome.refused, row.refused);
      EXPECT_EQ(row.octets.substr(outcome.used), row.rest);
      if (!row.refused) {
        EXPECT_EQ(outcome.body, row.body);
      }
    }
  }
}

TEST(DataDecoder, ends_only_at_crlf_dot_crlf) {
  using namespace std::string_literals;
  run(
      {
          {"an empty message", ".\r\n", DataEvent::end, "", ""},
          {"one line", "a\r\n.\r\n", DataEvent::end, "a\r\n", ""},
          {"an empty line", "\r\n.\r\n", DataEvent::end, "\r\n", ""},
          {"what follows is left alone", "a\r\n.\r\nQUIT\n", DataEvent::end, "a\r\n", "QUIT\n"},
          {"stuffed dots", "..\r\n...\r\n.a\r\n.\r\n", DataEvent::end, ".\r\n..\r\na\r\n", ""},
          {"dots inside lines", "a.\r\n a\r\n.\r\n", DataEvent::end, "a.\r\n a\r\n", ""},
          {"a stuffed dot and much text", "..aaaaaaaaaaaaaaaa\r\n..\r\n.\r\n", DataEvent::end,
           ".aaaaaaaaaaaaaaaa\r\n.\r\n", ""},
          {"eight-bit octets", "\x80\xff\r\n.\r\n", DataEvent::end, "\x80\xff\r\n", ""},
          {"a dot with a space", "a\r\n. \r\n.\r\n", DataEvent::end, "a\r\n \r\n", ""},
          {"no end yet", "a\r\n.", DataEvent::need_more, "", ""},
          {"no end yet, with CR", "a\r\n.\r", DataEvent::need_more, "", ""},
          {"LF . LF", "a\n.\n", DataEvent::bare_lf, "", ""},
          {"LF . CRLF", "a\n.\r\n", DataEvent::bare_lf, "", ""},
          {"CRLF . LF", "a\r\n.\n", DataEvent::bare_lf, "", ""},
          {"CR . CR", "a\r.\rb", DataEvent::bare_cr, "", ""},
          {"CR . CRLF", "a\r.\r\n", DataEvent::bare_cr, "", ""},
          {"CR . LF", "a\r.\n", DataEvent::bare_cr, "", ""},
          {"CRLF . CR x", "a\r\n.\rx", DataEvent::bare_cr, "", ""},
          {"CRLF . CR CR LF", "a\r\n.\r\r\n", DataEvent::bare_cr, "", ""},
          {"CR CRLF", "a\r\r\n.\r\n", DataEvent::bare_cr, "", ""},
          {"LF CR", "a\n\r\n.\r\n", DataEvent::bare_lf, "", ""},
          {"a bare LF at once", "\n", DataEvent::bare_lf, "", ""},
          {"a bare CR at once", "\rx", DataEvent::bare_cr, "", ""},
          {"a bare LF behind a stuffed dot", "..\n", DataEvent::bare_lf, "", ""},
          {"NUL before the dot", "a\r\n\0.\r\nb\r\n.\r\n"s, DataEvent::end, "", "", true},
          {"NUL behind the dot", "a\r\n.\0\r\nb\r\n.\r\nNOOP"s, DataEvent::end, "", "NOOP", true},
          {"a bare LF behind a NUL", "\0\r\n\n.\r\n"s, DataEvent::bare_lf, "", "", true},
      },
      BareLf::refuse);
}

TEST(DataDecoder, converts_bare_lf_where_that_is_allowed) {
  run(
      {
          {"a bare LF becomes CRLF", "a\nb\r\n.\r\n", DataEvent::end, "a\r\nb\r\n", ""},
          {"several", "\n\na\n\n.\r\n\r\n.\r\n", DataEvent::end, "\r\n\r\na\r\n\r\n.\r\n\r\n", ""},
          {"LF . LF is text", "a\n.\nb\r\n.\r\n", DataEvent::end, "a\r\n.\r\nb\r\n", ""},
          {"LF . CRLF is text", "a\n.\r\nb\r\n.\r\n", DataEvent::end, "a\r\n.\r\nb\r\n", ""},
          {"CRLF . LF is text", "a\r\n.\nb\r\n.\r\n", DataEvent::end, "a\r\n.\r\nb\r\n", ""},
          {"a dot behind a bare LF is stuffing", "a\n..b\n.c\r\n.\r\n", DataEvent::end, "a\r\n.b\r\nc\r\n", ""},
          {"it never ends without CRLF", "a\n.\n.\n", DataEvent::need_more, "", ""},
          {"a bare CR is refused still", "a\n\rb", DataEvent::bare_cr, "", ""},
          {"LF . CR x", "a\n.\rx", DataEvent::bare_cr, "", ""},
      },
      BareLf::convert);
}

TEST(DataDecoder, has_a_limit_for_lines) {
  const std::string eight(8, 'x');
  const std::vector<Row> rows = {
      {"exactly the limit", eight + "\r\n.\r\n", DataEvent::end, eight + "\r\n", ""},
      {"one octet more", eight + "x\r\n.\r\nNOOP", DataEvent::end, "", "NOOP", true},
      {"a stuffed dot does not count", ".." + eight.substr(1) + "\r\n.\r\n", DataEvent::end,
       "." + eight.substr(1) + "\r\n", ""},
      {"far more, over several lines", eight + eight + "\r\n" + eight + eight + "\r\n.\r\n", DataEvent::end, "", "",
       true},
      {"a bare LF behind it is still seen", eight + eight + "\r\n.\n", DataEvent::bare_lf, "", "", true},
      {"a bare CR in it is still seen", eight + "xxxxxxxxxx\rx", DataEvent::bare_cr, "", "", true},
  };
  for (const auto &row : rows) {
    for (const std::size_t cut : {std::size_t{1}, std::size_t{3}}) {
      SCOPED_TRACE(row.name);
      const auto outcome = decode(Framing::dot, BareLf::refuse, 10, row.octets, cut);
      EXPECT_EQ(outcome.last, row.last);
    }
    if (row.last == DataEvent::end) run({row}, BareLf::refuse, 10);
  }
  run({{"converted lines count with their CRLF", eight + "\n" + eight + "\n.\r\n\r\n.\r\n", DataEvent::end,
        eight + "\r\n" + eight + "\r\n.\r\n\r\n", ""},
       {"and are too long with it", eight + "x\n\r\n.\r\n", DataEvent::end, "", "", true}},
      BareLf::convert, 10);
}

TEST(DataDecoder, hands_out_runs_of_lines_without_copying) {
  std::string octets;
  for (int i = 0; i < 100; ++i) octets += "a line of text\r\n";
  const auto size = octets.size();
  octets += ".\r\n";
  DataDecoder decoder(Framing::dot, BareLf::refuse, 100);
  std::string_view input = octets;
  const auto step = decoder.next(input);
  EXPECT_EQ(step.event, DataEvent::octets);
  EXPECT_EQ(step.octets.data(), octets.data());
  EXPECT_EQ(step.octets.size(), size);
  EXPECT_EQ(decoder.next(input).event, DataEvent::end);
}

TEST(DataDecoder, makes_no_step_for_each_short_line) {
  struct Lines {
    const char *name;
    std::string line;
    BareLf bare_lf;
    std::string body;
  };
  for (const Lines &row :
       {Lines{"dots", "..\r\n", BareLf::refuse, ".\r\n"},
        Lines{"a dot before a text", "..\r\nabc\r\n", BareLf::refuse, ".\r\nabc\r\n"},
        Lines{"dots that are dropped", ".a\r\n\r\n", BareLf::refuse, "a\r\n\r\n"},
        Lines{"no dots", "x\r\n", BareLf::refuse, "x\r\n"}, Lines{"bare LF", "\n", BareLf::convert, "\r\n"},
        Lines{"lone dots that are text", "\n.\n.\r\n\n", BareLf::convert, "\r\n.\r\n.\r\n\r\n"},
        Lines{"dots between bare LF", "..\n..\r\n", BareLf::convert, ".\r\n.\r\n"}}) {
    SCOPED_TRACE(row.name);
    std::string octets, wanted;
    while (octets.size() < 65'536) {
      octets += row.line;
      wanted += row.body;
    }
    octets += "\r\n.\r\n";
    wanted += "\r\n";
    DataDecoder decoder(Framing::dot, row.bare_lf, 100);
    std::string_view input = octets;
    std::string body;
    std::size_t steps = 0;
    auto step = decoder.next(input);
    for (; step.event == DataEvent::octets; step = decoder.next(input), ++steps) body += step.octets;
    EXPECT_EQ(step.event, DataEvent::end);
    EXPECT_EQ(body, wanted);
    EXPECT_LE(steps, 2 * wanted.size() / 8'192 + 4);
  }
}

TEST(DataDecoder, hands_out_nothing_after_discard) {
  DataDecoder decoder(Framing::dot, BareLf::convert, 100);
  decoder.discard();
  std::string_view input = "a\r\n..b\nc\n.\nd\r\n.\r\n";
  EXPECT_EQ(decoder.next(input).event, DataEvent::end);
}

TEST(DataDecoder, counted_octets_have_no_dots) {
  struct Counted {
    std::string octets;
    std::string body;
    DataEvent last;
  };
  const std::vector<Counted> rows = {
      {"a\r\n.\r\n..b\r\n", "a\r\n.\r\n..b\r\n", DataEvent::end},
      {"", "", DataEvent::end},
      {"no end", "no end\r\n", DataEvent::end},
      {".", ".\r\n", DataEvent::end},
      {"a\r", "a\r", DataEvent::bare_cr},
      {"a\n", "", DataEvent::bare_lf},
      {"a\rb", "", DataEvent::bare_cr},
  };
  for (const auto &row : rows) {
    for (const std::size_t cut : {1U, 2U, 100U}) {
      SCOPED_TRACE(row.octets);
      DataDecoder decoder(Framing::counted, BareLf::refuse, 100);
      std::string body;
      auto event = DataEvent::need_more;
      for (std::size_t at = 0; at < row.octets.size() && event == DataEvent::need_more; at += cut) {
        auto input = std::string_view(row.octets).substr(at, cut);
        do {
          const auto step = decoder.next(input);
          event = step.event;
          body += step.octets;
        } while (event == DataEvent::octets);
      }
      while (event == DataEvent::need_more || event == DataEvent::octets) {
        const auto step = decoder.finish();
        event = step.event;
        body += step.octets;
      }
      EXPECT_EQ(event, row.last);
      if (event == DataEvent::end) {
        EXPECT_EQ(body, row.body);
      }
    }
  }
}

} // namespace data_decoder_test
