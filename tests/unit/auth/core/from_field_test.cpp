// Author domains of header From: RFC 5322 address lists in all their forms, and what is refused.
#include "auth/core/from_field.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace auth {
namespace from_field_test {

using Domains = std::vector<std::string>;

struct Row {
  std::string name;
  std::string value;
  FromStatus status = FromStatus::ok;
  Domains domains = {};
};

std::ostream &operator<<(std::ostream &out, const Row &row) {
  return out << row.name;
}

class FromField : public ::testing::TestWithParam<Row> {};

TEST_P(FromField, GivesItsDomains) {
  const AuthorDomains authors = parse_from_field(GetParam().value);
  EXPECT_EQ(to_string(authors.status), to_string(GetParam().status)) << authors.problem;
  EXPECT_EQ(authors.domains, GetParam().domains);
  EXPECT_EQ(authors.problem.empty(), authors.is_ok());
}

const Row accepted[] = {
    {.name = "a quoted encoded word in base64 that is filled up",
     .value = "\"=?gb2312?B?1cXOsA==?=\" <x@y.example>",
     .domains = {"y.example"}},
    {.name = "a quoted encoded word in ISO-2022-JP",
     .value = "\"=?iso-2022-jp?B?GyRCOzNFREJATzobKEI=?=\" <x@y.example>",
     .domains = {"y.example"}},
    {.name = "a bare address", .value = "user@example.com", .domains = {"example.com"}},
    {.name = "an address in brackets", .value = " <user@example.com>", .domains = {"example.com"}},
    {.name = "white space inside the brackets", .value = " <user@example.com > ", .domains = {"example.com"}},
    {.name = "a display name of atoms", .value = "Sample Middle User <user@example.com>", .domains = {"example.com"}},
    {.name = "a quoted display name", .value = "\"Sample User\" <user@example.com>", .domains = {"example.com"}},
    {.name = "a display name with a dot", .value = "John Q. Public <j@example.com>", .domains = {"example.com"}},
    {.name = "an address inside a quoted name is not an author",
     .value = "\"ceo@bank.example\" <x@evil.example>",
     .domains = {"evil.example"}},
    {.name = "an escaped quote does not end the name",
     .value = R"("a\" <b@bank.example>" <x@evil.example>)",
     .domains = {"evil.example"}},
    {.name = "an address inside a comment is not an author",
     .value = "(<ceo@bank.example>) x@evil.example",
     .domains = {"evil.example"}},
    {.name = "comments nest", .value = "(a (b) c) x@evil.example (tail (more))", .domains = {"evil.example"}},
    {.name = "an escaped parenthesis does not end a comment",
     .value = R"((a\) y@evil.example) x@evil.example)",
     .domains = {"evil.example"}},
    {.name = "folds between all words",
     .value = "\r\n Sample\r\n User\r\n <user\r\n @\r\n example.com>\r\n ",
     .domains = {"example.com"}},
    {.name = "comments around every part", .value = "a(1)@example.com(5)", .domains = {"example.com"}},
    {.name = "an obsolete local part of words", .value = "\"a\".b.\"c\"@example.com", .domains = {"example.com"}},
    {.name = "dots at odd places of the local part", .value = "a..b.@docomo.example", .domains = {"docomo.example"}},
    {.name = "upper case", .value = "User@EXAMPLE.Com", .domains = {"example.com"}},
    {.name = "a final dot", .value = "user@example.com.", .domains = {"example.com"}},
    {.name = "an underscore in the domain", .value = "user@my_host.example.com", .domains = {"my_host.example.com"}},
    {.name = "a U-label becomes an A-label", .value = "Jörg <j@bücher.example>", .domains = {"xn--bcher-kva.example"}},
    {.name = "U-label and A-label are one domain",
     .value = "a@bücher.example, b@xn--bcher-kva.example",
     .domains = {"xn--bcher-kva.example"}},
    {.name = "a UTF-8 local part", .value = "δοκιμή@example.com", .domains = {"example.com"}},
    {.name = "octets of another charset in the name", .value = "J\xf6rg <j@example.com>", .domains = {"example.com"}},
    {.name = "an encoded word", .value = "=?utf-8?Q?J=C3=B6rg?= <j@example.com>", .domains = {"example.com"}},
    {.name = "an encoded word with specials is one atom",
     .value = "=?utf-8?Q?a,_<c>(?= <j@example.com>",
     .domains = {"example.com"}},
    {.name = "two addresses of one domain", .value = "a@example.com, b@Example.com", .domains = {"example.com"}},
    {.name = "two addresses of two domains",
     .value = "A <a@example.com>,B<b@example2.com>",
     .domains = {"example.com", "example2.com"}},
    {.name = "empty members of an obsolete list",
     .value = ", a@example.com, ,(x), b@b.example,",
     .domains = {"example.com", "b.example"}},
    {.name = "a group", .value = "The team: a@example.com, B <b@b.example>;", .domains = {"example.com", "b.example"}},
    {.name = "a group among addresses",
     .value = "x@x.example, g:a@example.com,;, y@y.example",
     .domains = {"x.example", "example.com", "y.example"}},
    {.name = "an unquoted address as the name of the same domain",
     .value = "info@example.com <info@example.com>",
     .domains = {"example.com"}},
    {.name = "an unquoted address as the name of another domain is an author too",
     .value = "ceo@bank.example <x@evil.example>",
     .domains = {"bank.example", "evil.example"}},
    {.name = "an unquoted address within a longer name is an author too",
     .value = "via ceo@bank.example the list <x@evil.example>",
     .domains = {"bank.example", "evil.example"}},
};

/// No RFC 5322, or read in different ways; but every "@" in them has the same domain.
const Row salvaged[] = {
    {.name = "a comma in an encoded word",
     .value = "=?utf-8?Q?Doe,_Jane?= <jane@example.com>",
     .domains = {"example.com"}},
    {.name = "an unquoted comma in the name", .value = "Doe, Jane <jane@example.com>", .domains = {"example.com"}},
    {.name = "two of them", .value = "Dr. Jane, MD, PhD <jane@example.com>", .domains = {"example.com"}},
    {.name = "brackets in the name", .value = "Team [Billing] <b@example.com>", .domains = {"example.com"}},
    {.name = "an open quote", .value = "\"Jane <jane@example.com>", .domains = {"example.com"}},
    {.name = "an open comment", .value = "Jane (x <jane@example.com>", .domains = {"example.com"}},
    {.name = "a comment that was not begun", .value = "Jane) <jane@example.com>", .domains = {"example.com"}},
    {.name = "a colon in the name", .value = "Jane: Doe <jane@example.com>", .domains = {"example.com"}},
    {.name = "a semicolon in the name", .value = "Jane; Doe <jane@example.com>", .domains = {"example.com"}},
    {.name = "a backslash in the name", .value = "Jane \\ Doe <jane@example.com>", .domains = {"example.com"}},
    {.name = "a local part with spaces", .value = "John Public@example.com", .domains = {"example.com"}},
    {.name = "brackets that do not close", .value = "Name <user@example.com", .domains = {"example.com"}},
    {.name = "a bracket that was not opened", .value = "user@example.com>", .domains = {"example.com"}},
    {.name = "brackets twice", .value = "<<user@example.com>>", .domains = {"example.com"}},
    {.name = "text behind the brackets", .value = "<a@example.com> tail", .domains = {"example.com"}},
    {.name = "a URL", .value = "<mailto:jane@example.com>", .domains = {"example.com"}},
    {.name = "a semicolon at the end", .value = "Jane <jane@example.com>;", .domains = {"example.com"}},
    {.name = "a group that does not end", .value = "g: a@example.com", .domains = {"example.com"}},
    {.name = "a group within a group", .value = "g: h: a@example.com;;", .domains = {"example.com"}},
    {.name = "a quoted address and nothing else", .value = "\"Jane <jane@example.com>\"", .domains = {"example.com"}},
    {.name = "an address in a comment and nothing else", .value = "(jane@example.com)", .domains = {"example.com"}},
    {.name = "an address in an encoded word and nothing else",
     .value = "=?utf-8?q?Jane_=3Cjane=40example.com=3E?=",
     .domains = {"example.com"}},
    {.name = "the same in base64", .value = "=?utf-8?B?SmFuZSA8amFuZUBleGFtcGxlLmNvbT4=?=", .domains = {"example.com"}},
    {.name = "an obsolete route of the same domain",
     .value = "<@example.com:user@example.com>", // to "@example.com" no comma nor bracket comes
     .status = FromStatus::malformed,
     .domains = {"example.com"}},
    {.name = "a folded name in quotes", .value = "\"Jane\r\n Doe\" <jane@example.com>", .domains = {"example.com"}},
    {.name = "an encoded name with a space",
     .value = "=?utf-8?Q?Jane Doe?= <jane@example.com>",
     .domains = {"example.com"}},
    {.name = "an encoded name that does not end",
     .value = "=?utf-8?Q?Jane_Doe <jane@example.com>",
     .domains = {"example.com"}},
    {.name = "several encoded names and the author",
     .value = "=?utf-8?Q?Jane?= =?utf-8?Q?_Doe=2C_MD?= , <jane@example.com>",
     .domains = {"example.com"}},
    {.name = "the same domain twice without a comma",
     .value = "<a@example.com> <b@Example.COM>",
     .domains = {"example.com"}},
    {.name = "a comment in a comment with the same domain",
     .value = "(a (b) <c@example.com>) x@example.com",
     .domains = {"example.com"}},
};

/// What known readers would show as somebody else, or might.
const Row deceiving[] = {
    {.name = "a final dot, behind a name that is an address",
     .value = "\"<boss@bank.example>\" <a@evil.example.>",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "bank.example"}},
    {.name = "a comment in a comment",
     .value = "(a (b) <c@d.example>) x@evil.example (tail (more))",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "d.example"}},
    {.name = "an escaped parenthesis",
     .value = R"((a\) y@bank.example) x@evil.example)",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "bank.example"}},
    {.name = "a comment within a domain",
     .value = "boss@bank.example(c).evil.example",
     .status = FromStatus::malformed,
     .domains = {"bank.example.evil.example", "bank.example"}},
    {.name = "white space within a domain",
     .value = "boss@bank.example .evil.example",
     .status = FromStatus::malformed,
     .domains = {"bank.example.evil.example", "bank.example"}},
    {.name = "a fold within a domain",
     .value = "boss@bank.example.\r\n evil.example",
     .status = FromStatus::malformed,
     .domains = {"bank.example.evil.example", "bank.example"}},
    {.name = "an address in a quoted local part",
     .value = "<\"boss@bank.example>\"@evil.example>",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "bank.example"}},
    {.name = "a quoted local part with an at sign",
     .value = "\"a@bank.example\"@example.com",
     .status = FromStatus::malformed,
     .domains = {"example.com", "bank.example"}},
    {.name = "an address raw in an encoded word",
     .value = "=?utf-8?Q?<boss@bank.example>?= <j@evil.example>",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "bank.example"}},
    {.name = "a quote raw in an encoded word",
     .value = "=?utf-8?Q?\"?= <a@evil.example>, \"x <b@bank.example> \" <c@evil.example>",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "bank.example"}},
    {.name = "an obsolete route",
     .value = "<@a.example,@b.example:user@example.com>",
     .status = FromStatus::malformed,
     .domains = {"example.com", "a.example", "b.example"}},
    {.name = "a comma in a name with an address",
     .value = "boss@bank.example, Jane [x] <jane@evil.example>",
     .status = FromStatus::malformed,
     .domains = {"bank.example", "evil.example"}},
    {.name = "single quotes, which are none",
     .value = "'<a@evil.example>' <boss@bank.example>",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "bank.example"}},
    {.name = "an at sign in a name", .value = "Jane @ Work <jane@example.com>", .domains = {"work", "example.com"}},
    {.name = "a charset in which an at sign hides",
     .value = "=?utf-7?q?boss+AEA-bank.example?=",
     .status = FromStatus::malformed},
    {.name = "a full-width at sign",
     .value = "boss\xEF\xBC\xA0"
              "bank.example",
     .status = FromStatus::malformed},
    {.name = "a word that begins in a quoted string and ends in the next one",
     .value = "\"=?utf-8?q?y\" <=?utf-8?q?=62oss=40bank.example?=>, ann@evil.example",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "bank.example"}},
    {.name = "the same alone",
     .value = "\"=?utf-8?q?y\" <=?utf-8?q?=62oss=40bank.example?= <a@evil.example>",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "bank.example"}},
    {.name = "a word in a quoted string that does not end there",
     .value = "\"=?utf-8?q?boss=40bank.example\" <a@evil.example>",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "bank.example"}},
    {.name = "a word in a comment that does not end there",
     .value = "a@evil.example (=?utf-8?q?boss=40bank.example)",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "bank.example"}},
    {.name = "a word with a space in it",
     .value = "=?utf-8?q?boss=40bank.example x?= <a@evil.example>",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "bank.example"}},
    {.name = "a fold in a quoted string",
     .value = "\"boss@bank.example\r\n x\" <a@evil.example>",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "bank.example"}},
    {.name = "two words that are one address together",
     .value = "=?utf-8?q?=3Cboss=40evil.example?= =?utf-8?q?.bank.example=3E?=",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "evil.example.bank.example"}},
    {.name = "the same behind a word that does not end",
     .value = "=?utf-8?q?y =?utf-8?q?=3Cboss=40evil.example?= =?utf-8?q?.bank.example=3E?=",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "evil.example.bank.example"}},
    {.name = "what ends a word that did not begin",
     .value = "<a@evil.example ?= .bank.example>",
     .status = FromStatus::malformed,
     .domains = {"evil.example"}},
    {.name = "the same without a space",
     .value = "<a@evil.example?=.bank.example>",
     .status = FromStatus::malformed,
     .domains = {"evil.example"}},
    {.name = "a bracket behind which it goes on",
     .value = "x, y <a@evil.example>.bank.example",
     .status = FromStatus::malformed,
     .domains = {"evil.example"}},
    {.name = "a quoted string behind a domain, which goes on in it",
     .value = "\" a@evil.example \".bank.example\"",
     .status = FromStatus::malformed,
     .domains = {"evil.example"}},
    {.name = "the same without a quote before it",
     .value = "a@evil.example \".bank.example\"",
     .status = FromStatus::malformed,
     .domains = {"evil.example"}},
    {.name = "a word and what follows it are one address",
     .value = "<=?utf-8?q?boss=40evil.example?=.bank.example>",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "evil.example.bank.example"}},
    {.name = "an encoded address beside another",
     .value = "x [y] =?utf-8?q?=3Cboss=40bank.example=3E?= <j@evil.example>",
     .status = FromStatus::malformed,
     .domains = {"evil.example", "bank.example"}},
};

const Row nobody[] = {
    {.name = "a name without an address", .value = "\"Test 1.1.5\"", .status = FromStatus::no_author},
    {.name = "a word", .value = "postmaster", .status = FromStatus::no_author},
    {.name = "empty brackets", .value = "<>", .status = FromStatus::no_author},
    {.name = "a name with empty brackets", .value = "MAILER-DAEMON <>", .status = FromStatus::no_author},
    {.name = "a word in brackets", .value = "Mail Delivery Subsystem <MAILER-DAEMON>", .status = FromStatus::no_author},
};

const Row refused[] = {
    {.name = "an empty value", .value = "", .status = FromStatus::no_author},
    {.name = "only a comment", .value = " (nobody)", .status = FromStatus::no_author},
    {.name = "an empty group", .value = "Undisclosed:;", .status = FromStatus::no_author},
    {.name = "a domain literal", .value = "a@[192.0.2.1]", .status = FromStatus::no_domain},
    {.name = "a domain literal beside a domain",
     .value = "a@[192.0.2.1], b@example.com",
     .status = FromStatus::no_domain,
     .domains = {"example.com"}},
    {.name = "no domain", .value = "user@", .status = FromStatus::malformed},
    {.name = "no local part", .value = "@example.com", .domains = {"example.com"}},
    {.name = "no local part in brackets", .value = "<@example.com>", .domains = {"example.com"}},
    {.name = "a second address without a comma",
     .value = "a@example.com b@b.example",
     .status = FromStatus::malformed,
     .domains = {"example.com", "b.example"}},
    {.name = "a second pair of brackets",
     .value = "<a@example.com> <b@b.example>",
     .status = FromStatus::malformed,
     .domains = {"example.com", "b.example"}},
    {.name = "a semicolon between addresses",
     .value = "a@example.com; b@b.example",
     .status = FromStatus::malformed,
     .domains = {"example.com", "b.example"}},
    {.name = "two at signs",
     .value = "a@b@example.com",
     .status = FromStatus::malformed,
     .domains = {"b", "example.com"}},
    {.name = "an empty label", .value = "a@example..com", .status = FromStatus::malformed},
    {.name = "a percent sign in the domain",
     .value = "a@exa%mple.com",
     .status = FromStatus::malformed,
     .domains = {"exa"}},
    {.name = "a label of 64 octets", .value = "a@" + std::string(64, 'a') + ".com", .status = FromStatus::malformed},
    {.name = "a domain that is not UTF-8",
     .value = "a@b\xfc"
              "cher.example",
     .status = FromStatus::malformed},
    {.name = "comments that nest too deep",
     .value = std::string(65, '(') + std::string(65, ')') + "a@example.com",
     .status = FromStatus::malformed},
    {.name = "a NUL octet",
     .value = std::string("a\0b <a@example.com>", 19),
     .status = FromStatus::malformed,
     .domains = {"example.com"}},
    {.name = "a NUL octet in a quoted name",
     .value = std::string("\"a\0b\" <a@example.com>", 21),
     .status = FromStatus::malformed,
     .domains = {"example.com"}},
    {.name = "a bare LF",
     .value = "a@example.com\n <b@b.example>",
     .status = FromStatus::malformed,
     .domains = {"example.com", "b.example"}},
    {.name = "a bare CR", .value = "a\r@example.com", .status = FromStatus::malformed, .domains = {"example.com"}},
    {.name = "a CRLF that folds nothing",
     .value = "Name\r\n<a@example.com>",
     .status = FromStatus::malformed,
     .domains = {"example.com"}},
};

INSTANTIATE_TEST_SUITE_P(Accepted, FromField, ::testing::ValuesIn(accepted));
INSTANTIATE_TEST_SUITE_P(Salvaged, FromField, ::testing::ValuesIn(salvaged));
INSTANTIATE_TEST_SUITE_P(Deceiving, FromField, ::testing::ValuesIn(deceiving));
INSTANTIATE_TEST_SUITE_P(Nobody, FromField, ::testing::ValuesIn(nobody));
INSTANTIATE_TEST_SUITE_P(Refused, FromField, ::testing::ValuesIn(refused));

TEST(FromFieldLimits, AHundredAddressesAreReadAndOneMoreIsNot) {
  std::string list;
  for (int i = 0; i < 100; ++i) list += "a@d" + std::to_string(i) + ".example,";
  EXPECT_EQ(parse_from_field(list).domains.size(), 100U);
  EXPECT_TRUE(parse_from_field(list).is_ok());
  const AuthorDomains many = parse_from_field(list + "a@b.example");
  EXPECT_EQ(many.status, FromStatus::malformed);
  EXPECT_NE(many.problem.find("100"), std::string::npos) << many.problem;
}

TEST(FromFieldLimits, TheFieldHasALimit) {
  const std::string tail = "<a@example.com>";
  EXPECT_TRUE(parse_from_field(std::string(longest_from_field - tail.size(), ' ') + tail).is_ok());
  const AuthorDomains longer = parse_from_field(std::string(longest_from_field - tail.size() + 1, ' ') + tail);
  EXPECT_EQ(longer.status, FromStatus::malformed);
  EXPECT_NE(longer.problem.find("65536"), std::string::npos) << longer.problem;
}

TEST(FromFieldLimits, ProblemsArePrintableAscii) {
  for (const Row &row : refused)
    for (const char c : parse_from_field(row.value + "\x01\xff").problem) EXPECT_TRUE(c >= ' ' && c <= '~') << row.name;
}

struct HeaderRow {
  std::string name;
  std::string header;
  FromStatus status = FromStatus::ok;
  Domains domains = {};
};

TEST(FindAuthorDomains, LooksAtAllFromFields) {
  const HeaderRow rows[] = {
      {.name = "one field", .header = "Subject: x\r\nFrom: a@example.com\r\n\r\n", .domains = {"example.com"}},
      {.name = "the name in another case, with a space",
       .header = "fROM : a@example.com\r\n",
       .domains = {"example.com"}},
      {.name = "no field",
       .header = "Subject: From: a@example.com\r\nX-From: b@b.example\r\n",
       .status = FromStatus::no_field},
      {.name = "an empty header", .header = "", .status = FromStatus::no_field},
      {.name = "two fields",
       .header = "From: a@example.com\r\nFrom: b@b.example\r\n",
       .status = FromStatus::several_fields,
       .domains = {"example.com", "b.example"}},
      {.name = "twice the same field",
       .header = "From: a@example.com\r\nFrom: a@example.com\r\n",
       .status = FromStatus::several_fields,
       .domains = {"example.com"}},
      {.name = "a broken one and a good one",
       .header = "From: a@@\r\nFrom: a@example.com\r\n",
       .status = FromStatus::several_fields,
       .domains = {"example.com"}},
      {.name = "a folded field",
       .header = "From: \"A\r\n B\"\r\n <a@example.com>\r\nTo: x@y.example\r\n",
       .domains = {"example.com"}},
  };
  for (const HeaderRow &row : rows) {
    const HeaderFields fields(row.header);
    const AuthorDomains authors = find_author_domains(fields);
    EXPECT_EQ(to_string(authors.status), to_string(row.status)) << row.name << ": " << authors.problem;
    EXPECT_EQ(authors.domains, row.domains) << row.name;
  }
}

} // namespace from_field_test
} // namespace auth
