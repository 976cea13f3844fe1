// SevenBitConverter: what becomes of each kind of part, in every cut; nothing above 127 is left in a body.
#include "smtp/message/eight_bit.hpp"

#include <chrono>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "smtp/base/text.hpp"

namespace eight_bit_test {

using smtp::SevenBitConverter;

std::string run(SevenBitConverter converter, std::string_view message, std::size_t cut) {
  std::string out;
  for (std::size_t at = 0; at < message.size(); at += cut) converter.feed(message.substr(at, cut), out);
  converter.end(out);
  return out;
}

/// With a survey first.
std::string convert(std::string_view message, std::size_t cut) {
  SevenBitConverter survey(SevenBitConverter::Mode::survey);
  std::string nothing;
  for (std::size_t at = 0; at < message.size(); at += cut) survey.feed(message.substr(at, cut), nothing);
  survey.end(nothing);
  EXPECT_EQ(nothing, "");
  return run(SevenBitConverter(survey.parts()), message, cut);
}

struct Row {
  std::string name;
  std::string message;
  std::string converted;
  std::string as_labelled; ///< in one pass; empty: the same
};

const std::string mime = "MIME-Version: 1.0\r\n";

TEST(SevenBitConverter, Table) {
  const std::vector<Row> rows{
      {"ASCII stays", mime + "Content-Type: text/plain\r\n\r\na = b \r\n.\r\n",
       mime + "Content-Type: text/plain\r\n\r\na = b \r\n.\r\n", ""},
      {"text that says 8bit",
       mime + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nSubject: x\r\n\r\n"
              "caf\xC3\xA9 = 1\r\nwhite \t\r\n\r\nFrom x\r\n",
       mime + "Content-Type: text/plain; charset=utf-8\r\nSubject: x\r\nContent-Transfer-Encoding: "
              "quoted-printable\r\n\r\n"
              "caf=C3=A9 =3D 1\r\nwhite =09\r\n\r\nFrom x\r\n",
       ""},
      {"text that does not say it", mime + "Content-Type: text/plain; charset=utf-8\r\n\r\ncaf\xC3\xA9\r\n",
       mime + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
              "quoted-printable\r\n\r\ncaf=C3=A9\r\n",
       mime + "Content-Type: text/plain; charset=utf-8\r\n\r\ncaf\xC3\xA9\r\n"},
      {"no MIME at all", "Subject: x\r\n\r\ncaf\xE9\r\n",
       "Subject: x\r\nContent-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: "
       "quoted-printable\r\nMIME-Version: 1.0\r\n\r\ncaf=E9\r\n",
       "Subject: x\r\n\r\ncaf\xE9\r\n"},
      {"an empty header", "\r\ncaf\xE9\r\n",
       "Content-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\nMIME-Version: "
       "1.0\r\n\r\ncaf=E9\r\n",
       "\r\ncaf\xE9\r\n"},
      {"what is not text becomes base64",
       mime + "Content-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\xFF\r\n" + std::string(60, 'a') +
           "\r\n",
       mime + "Content-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\n"
              "/w0KYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh\r\nYWFhYWFhDQo=\r\n",
       ""},
      {"a multipart: only the part that needs it, 7bit above it",
       mime + "Content-Type: multipart/mixed; boundary=\"b 1\"\r\nContent-Transfer-Encoding: "
              "8bit\r\n\r\npre\xFF\r\n--b 1\r\n\r\nplain\r\n--b 1\r\n"
              "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xC3\xA9\r\n--b "
              "1--\r\nepi\xFF\r\n",
       mime + "Content-Type: multipart/mixed; boundary=\"b 1\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\npre?\r\n--b "
              "1\r\n\r\nplain\r\n--b 1\r\n"
              "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
              "quoted-printable\r\n\r\n=C3=A9\r\n--b 1--\r\nepi?\r\n",
       ""},
      {"base64 in a multipart: the line end in front of the delimiter is the delimiter's",
       mime + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: "
              "application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\xFF\r\n\r\n--b--\r\n",
       mime + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: "
              "application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n/w0K\r\n--b--\r\n",
       ""},
      {"a message in a message",
       mime + "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: in\r\n" + mime +
           "Content-Type: text/html\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xE9\r\n",
       mime + "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: in\r\n" + mime +
           "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E9\r\n",
       ""},
      {"the parts of a digest are messages",
       mime + "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: in\r\n\r\n\xE9\r\n--b--\r\n",
       mime + "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: in\r\nContent-Type: text/plain; "
              "charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E9\r\n--b--\r\n",
       mime + "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: in\r\n\r\n\xE9\r\n--b--\r\n"},
      {"multiparts in each other; an outer delimiter ends the inner one",
       mime + "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; "
              "boundary=ab\r\n\r\n--ab\r\n\r\n\xE9\r\n--a\r\n\r\n\xE9\r\n--ab\r\n--a--\r\n",
       mime + "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; "
              "boundary=ab\r\n\r\n--ab\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
              "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E9\r\n--a\r\nContent-Type: text/plain; "
              "charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E9\r\n--ab\r\n--a--\r\n",
       mime + "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; "
              "boundary=ab\r\n\r\n--ab\r\n\r\n\xE9\r\n--a\r\n\r\n\xE9\r\n--ab\r\n--a--\r\n"},
      {"quoted-printable that is not true to its word",
       mime + "Content-Type: text/plain\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\na=20=\r\n\xE9\r\n",
       mime + "Content-Type: text/plain\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\na=20=\r\n=E9\r\n",
       mime + "Content-Type: text/plain\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\na=20=\r\n\xE9\r\n"},
      {"base64 that is not", mime + "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nYW\xE9Jj\r\n",
       mime + "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nYWJj\r\n",
       mime + "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nYW\xE9Jj\r\n"},
      {"a multipart that says base64, which it must not: its parts are walked and it says 7bit",
       mime + "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: "
              "base64\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n"
              "Content-Transfer-Encoding: 8bit\r\n\r\ncaf\xC3\xA9 5\xE2\x82\xAC\r\n--b--\r\n",
       mime + "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: "
              "7bit\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n"
              "Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9 5=E2=82=AC\r\n--b--\r\n",
       ""},
      {"one in another that says quoted-printable, and a message: each on the way to what was found",
       mime + "Content-Type: multipart/mixed; boundary=a\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n--a\r\n"
              "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: "
              "base64\r\n\r\n--b\r\n\r\nplain\r\n--b--\r\n--a\r\n"
              "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nContent-Type: text/plain; "
              "charset=utf-8\r\n\r\n\xC3\xA9=\r\n--a--\r\n",
       mime + "Content-Type: multipart/mixed; boundary=a\r\nContent-Transfer-Encoding: 7bit\r\n\r\n--a\r\n"
              "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: "
              "base64\r\n\r\n--b\r\n\r\nplain\r\n--b--\r\n--a\r\n"
              "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nContent-Type: text/plain; "
              "charset=utf-8\r\n"
              "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9=3D\r\n--a--\r\n",
       mime + "Content-Type: multipart/mixed; boundary=a\r\nContent-Transfer-Encoding: 7bit\r\n\r\n--a\r\n"
              "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: "
              "7bit\r\n\r\n--b\r\n\r\nplain\r\n--b--\r\n--a\r\n"
              "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nContent-Type: text/plain; "
              "charset=utf-8\r\n\r\n\xC3\xA9=\r\n--a--\r\n"},
      {"a message that is base64 indeed stays so beside what is converted",
       mime + "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: "
              "message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0KDQp5DQo=\r\n"
              "--a\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xE9\r\n--a--\r\n",
       mime + "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: "
              "message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0KDQp5DQo=\r\n"
              "--a\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E9\r\n--a--\r\n",
       ""},
      {"a multipart without a boundary that says base64 is kept whole",
       mime + "Content-Type: multipart/mixed\r\nContent-Transfer-Encoding: base64\r\n\r\n5\xE2\x82\xAC\r\n",
       mime + "Content-Type: multipart/mixed\r\nContent-Transfer-Encoding: base64\r\n\r\nNeKCrA0K\r\n",
       mime + "Content-Type: multipart/mixed\r\nContent-Transfer-Encoding: base64\r\n\r\n5\xE2\x82\xAC\r\n"},
      {"an octet above 127 in the header is not touched",
       mime + "Subject: \xE9\r\nContent-Transfer-Encoding: 8bit\r\n\r\na\r\n",
       mime + "Subject: \xE9\r\nContent-Transfer-Encoding: 8bit\r\n\r\na\r\n",
       mime + "Subject: \xE9\r\nContent-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: "
              "quoted-printable\r\n\r\na\r\n"},
      {"long lines are cut at 76 octets",
       mime + "Content-Transfer-Encoding: 8bit\r\nContent-Type: text/plain\r\n\r\n\xE9" + std::string(72, 'a') +
           "--b\r\n" + "\xE9" + std::string(73, 'a') + "\r\n",
       mime + "Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E9" +
           std::string(72, 'a') + "=\r\n=2D-b\r\n=E9" + std::string(73, 'a') + "\r\n",
       ""},
      {"a header alone", "Subject: x\r\nContent-Transfer-Encoding: 8bit\r\n",
       "Subject: x\r\nContent-Transfer-Encoding: 8bit\r\n",
       "Subject: x\r\nContent-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: "
       "quoted-printable\r\nMIME-Version: 1.0\r\n\r\n"},
      {"nothing", "", "", ""},
  };
  for (const auto &row : rows) {
    for (const std::size_t cut : {1UL, 2UL, 3UL, 50UL, 100'000UL}) {
      SCOPED_TRACE(fmt::format("{}, cut every {}", row.name, cut));
      EXPECT_EQ(convert(row.message, cut), row.converted);
      EXPECT_EQ(run(SevenBitConverter(SevenBitConverter::Mode::as_labelled), row.message, cut),
                row.as_labelled.empty() ? row.converted : row.as_labelled);
    }
  }
}

TEST(SevenBitConverter, ABoundaryIsFoundInAllItsForms) {
  struct Form {
    const char *name;
    const char *parameters;
    const char *boundary; ///< empty: there is none
  };
  for (const Form &form : {
           Form{"a token", "; boundary=ab", "ab"},
           Form{"quoted, with what would end it", "; charset=x; boundary=\"a;\\\"b\"", "a;\"b"},
           Form{"two pieces (RFC 2231)", "; boundary*0=a; boundary*1=b", "ab"},
           Form{"pieces in another order, quoted", ";\r\n BOUNDARY*1=\"b c\";\r\n boundary*0=\"a \"", "a b c"},
           Form{"in one piece, with percents", "; boundary*=us-ascii'en'a%20b", "a b"},
           Form{"pieces with and without percents", "; boundary*0*=''a%2Db; boundary*1=%20c", "a-b%20c"},
           Form{"percents that are none", "; boundary*=''a%2; x=y", "a%2"},
           Form{"up to the piece that is missing", "; boundary*0=a; boundary*2=b", "a"},
           Form{"the plain one counts", "; boundary*0=x; boundary=ab", "ab"},
           Form{"no first piece", "; boundary*1=b", ""},
           Form{"other names", "; boundaryx=b; boundary*x=b; boundary*1234=b; boundary*0x=b", ""},
           Form{"within a quoted string", "; x=\"; boundary=b\"", ""},
       }) {
    const std::string delimiter = std::string("--") + form.boundary + "\r\n";
    const std::string head = mime + "Content-Type: multipart/mixed" + form.parameters + "\r\n\r\n" + delimiter;
    const std::string out = convert(head + "Content-Type: text/plain\r\n\r\n\xE9\r\n", 7);
    EXPECT_EQ(out == head + "Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E9\r\n",
              *form.boundary != '\0')
        << form.name << '\n'
        << out;
  }
}

TEST(SevenBitConverter, ManyMislabelledMessagesInEachOtherCostTheirOctets) {
  std::string message;
  for (int i = 0; i < 30'000; ++i)
    message += "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n";
  message += "\r\n";
  for (int i = 0; i < 100'000; ++i) message += "\xE9\r\n";
  const auto begun = std::chrono::steady_clock::now();
  const std::string once = convert(message, 65'536);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(20))
      << "it was three thousand million steps";
  EXPECT_TRUE(smtp::is_ascii(once));
}

TEST(SevenBitConverter, NothingAbove127IsLeftInABodyWhateverItIs) {
  const std::vector<std::string> lines{"--b",
                                       "--b--",
                                       "",
                                       "\xE9",
                                       "Content-Type: multipart/mixed; boundary=b",
                                       "Content-Type: multipart/mixed; boundary=c",
                                       "--c",
                                       "--c--",
                                       "a",
                                       "\xE9 \t",
                                       "Content-Transfer-Encoding: binary",
                                       "Content-Transfer-Encoding: base64",
                                       "Content-Transfer-Encoding: quoted-printable",
                                       "Content-Type: image/x",
                                       "Content-Type: message/rfc822",
                                       " x"};
  std::uint64_t number = 7;
  for (int i = 0; i < 3000; ++i) {
    std::string message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    for (int line = 0; line < 14; ++line) {
      number = number * 6364136223846793005U + 1442695040888963407U;
      message += lines[(number >> 33U) % lines.size()] + "\r\n";
    }
    const std::string once = convert(message, 1 + static_cast<std::size_t>(i) % 60);
    // In a header section of a part such an octet may be; there are none in the lines but two.
    std::string_view rest = once;
    bool in_header = true;
    while (!rest.empty()) {
      const auto end = rest.find("\r\n");
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 2);
      if (line.empty()) in_header = false;
      if (line.starts_with("--")) in_header = true;
      EXPECT_TRUE(in_header || smtp::is_ascii(line) || line.find(':') != std::string_view::npos ||
                  once.find("rfc822") != std::string::npos)
          << message << "\nbecame\n"
          << once;
    }
    EXPECT_EQ(convert(message, 100'000), once);
  }
}

} // namespace eight_bit_test
