// Authentication-Results as read: which fields claim our name, and what a trusted sealer's payload says.
#include "auth/core/results_field.hpp"

#include <gtest/gtest.h>

namespace auth {
namespace results_field_test {

struct ClaimRow {
  std::string name;
  std::string field; ///< name and value, no final CRLF
  bool ours = true;
};

bool bears(const std::string &field, std::string_view id) {
  const HeaderFields fields(field + "\r\n");
  return fields.all().size() == 1 && bears_authserv_id(fields.all().front(), id);
}

TEST(BearsAuthservId, KnowsEverySpelling) {
  const std::string ar = "Authentication-Results:";
  const ClaimRow rows[] = {
      {.name = "plain", .field = ar + " mx.example.org; dkim=pass"},
      {.name = "no space", .field = ar + "mx.example.org;dkim=pass"},
      {.name = "another case", .field = "AUTHENTICATION-results: MX.Example.ORG; dkim=pass"},
      {.name = "a space in front of the colon", .field = "Authentication-Results : mx.example.org; dkim=pass"},
      {.name = "no results", .field = ar + " mx.example.org; none"},
      {.name = "no semicolon", .field = ar + " mx.example.org"},
      {.name = "a lost semicolon", .field = ar + " mx.example.org dkim=pass"},
      {.name = "a version", .field = ar + " mx.example.org 1; dkim=pass"},
      {.name = "another version", .field = ar + " mx.example.org 27; dkim=pass"},
      {.name = "an old version", .field = ar + " mx.example.org/1; dkim=pass"},
      {.name = "folds", .field = ar + "\r\n \r\n\tmx.example.org\r\n ;\r\n dkim=pass"},
      {.name = "a comment in front", .field = ar + " (we) mx.example.org; dkim=pass"},
      {.name = "nested comments all around", .field = ar + "(a(b)c)mx.example.org(d\\)e)(f) 1 (g); dkim=pass"},
      {.name = "a semicolon in a comment", .field = ar + " (; x;) mx.example.org; dkim=pass"},
      {.name = "another name in a comment", .field = ar + " (mx.other.example;) mx.example.org; dkim=pass"},
      {.name = "quoted", .field = ar + " \"mx.example.org\"; dkim=pass"},
      {.name = "quoted with escapes", .field = ar + R"( "m\x.exa\mple.org"; dkim=pass)"},
      {.name = "a quoted fold", .field = ar + " \"mx.example.\r\n org\"; dkim=pass"},
      {.name = "a final dot", .field = ar + " mx.example.org.; dkim=pass"},
      {.name = "comments and folds around the dots", .field = ar + " mx (a) . (b) example\r\n .org; dkim=pass"},
      {.name = "comments around the dots and a version", .field = ar + " mx.(a)example.org 1; dkim=pass"},
      {.name = "quotes around a part", .field = ar + " mx.\"example\".org; dkim=pass"},
      {.name = "quoted, with something at its end", .field = ar + " \"mx.example.org\"x; dkim=pass"},
      {.name = "an equals sign at its end", .field = ar + " mx.example.org=1; dkim=pass"},
      {.name = "brackets", .field = ar + " <mx.example.org>; dkim=pass"},
      {.name = "full-width letters that map to ours", .field = ar + " ｍｘ.example.org; dkim=pass"},
      {.name = "full-width dots", .field = ar + " mx。example。org; dkim=pass"},
      {.name = "an encoded word", .field = ar + " =?utf-8?Q?mx=2Eexample.org?=; dkim=pass"},
      {.name = "an encoded word in base64", .field = ar + " =?utf-8?B?bXguZXhhbXBsZS5vcmc=?=; dkim=pass"},
      {.name = "a comment that does not end", .field = ar + " (x mx.example.org; dkim=pass"},
      {.name = "a quote that does not end", .field = ar + " \"mx.example.org; dkim=pass"},
      {.name = "an empty first part", .field = ar + " ; mx.example.org; dkim=pass"},
      {.name = "another word in front", .field = ar + " x mx.example.org; dkim=pass"},
      {.name = "a control character", .field = ar + " mx.example.org\x01; dkim=pass"},
      {.name = "a NUL octet", .field = ar + std::string(" mx.exam\0ple.org; dkim=pass", 27)},
      {.name = "a backslash", .field = ar + " mx\\.example.org; dkim=pass"},

      {.name = "another name", .field = ar + " mx.other.example; dkim=pass", .ours = false},
      {.name = "our name in a comment", .field = ar + " mx.other.example (mx.example.org); dkim=pass", .ours = false},
      {.name = "our name as a property",
       .field = ar + " mx.other.example; spf=pass smtp.helo=mx.example.org",
       .ours = false},
      {.name = "our name as a property where the id is missing",
       .field = ar + " spf=pass smtp.helo=mx.example.org; dkim=none",
       .ours = false},
      {.name = "a longer name", .field = ar + " mx.example.org.other.example; dkim=pass", .ours = false},
      {.name = "a longer first label", .field = ar + " amx.example.org; dkim=pass", .ours = false},
      {.name = "a shorter name", .field = ar + " example.org; dkim=pass", .ours = false},
      {.name = "a subdomain", .field = ar + " a.mx.example.org; dkim=pass", .ours = false},
      {.name = "a longer name in a broken field", .field = ar + " (x mx.example.org.uk; dkim=pass", .ours = false},
      {.name = "another field", .field = "X-Authentication-Results: mx.example.org; dkim=pass", .ours = false},
      {.name = "ARC's field", .field = "ARC-Authentication-Results: i=1; mx.example.org; dkim=pass", .ours = false},
      {.name = "an empty value", .field = ar, .ours = false},
  };
  for (const ClaimRow &row : rows) EXPECT_EQ(bears(row.field, "mx.example.org"), row.ours) << row.name;
}

TEST(BearsAuthservId, TakesULabelsForALabels) {
  for (const std::string id : {"mx.bücher.example", "mx.xn--bcher-kva.example", "MX.BÜCHER.example."})
    for (const std::string name :
         {"mx.bücher.example", "mx.xn--bcher-kva.example", "mx.XN--BCHER-KVA.example", "(x mx.bücher.example"})
      EXPECT_TRUE(bears("Authentication-Results: " + name + "; spf=pass", id)) << id << ' ' << name;
  EXPECT_FALSE(bears("Authentication-Results: mx.bucher.example; spf=pass", "mx.bücher.example"));
  EXPECT_TRUE(bears("Authentication-Results: Relay One; spf=pass", "relay one"));
  EXPECT_FALSE(bears("Authentication-Results: x; spf=pass", ""));
}

TEST(RemoveForged, TakesOutOursAndLeavesAllElseAsItWas) {
  const std::string kept_first = "Received: x\r\n\tby y\r\n";
  const std::string foreign = "Authentication-Results: other.example;\r\n dkim=pass\r\n";
  const std::string rest = "Subject: Authentication-Results: mx.example.org; x\r\n\r\n";
  const std::vector<std::string> ids{"mx.example.org", "old.example.org"};
  const HeaderFields fields("authentication-results: MX.example.org;\r\n dkim=pass\r\n" + kept_first +
                            "Authentication-Results: (c) old.example.org; spf=pass\r\n" + foreign +
                            "Authentication-Results: mx.example.org; none\r\n" + rest);
  EXPECT_EQ(remove_forged(fields, ids), kept_first + foreign + rest);
  EXPECT_EQ(find_forged(fields, ids).size(), 3U);
  const HeaderFields clean(kept_first + foreign + rest);
  EXPECT_EQ(remove_forged(clean, ids), clean.section());
  EXPECT_EQ(remove_forged(HeaderFields(""), ids), "");
  const HeaderFields odd("Authentication-Results: mx.example.org; none\r\nno field at all\r\nX: y\r\n");
  EXPECT_EQ(remove_forged(odd, ids), "no field at all\r\nX: y\r\n");
}

TEST(RemoveForged, TakesOutFloodsOfNamesThatNeedIdna) {
  std::string flood;
  for (int i = 0; i < 500; ++i)
    flood += "Authentication-Results: mx.b\xc3\xbc"
             "cher" +
             std::to_string(i) + ".example; none\r\n";
  const std::string foreign = "Authentication-Results: mx.other.example; none\r\n";
  const HeaderFields fields(flood + foreign);
  const HeaderFields kept(remove_forged(fields, std::vector<std::string>{"mx.example.org"}));
  // The first hundred are told apart from ours, the rest is not looked at any more; plain names are not touched by
  // that.
  EXPECT_EQ(kept.all().size(), 101U);
  EXPECT_EQ(kept.all().back().text, foreign);
}

std::string summary(const ResultsPayload &payload) {
  std::string text = "[" + payload.authserv_id + "]";
  for (const MethodResult &result : payload.results) {
    text += " " + result.method + "=" + result.result;
    for (const auto &[name, value] : result.properties) text += " {" + name + "|" + value + "}";
  }
  return text;
}

TEST(ParseResults, ReadsWhatOthersWrite) {
  struct Row {
    std::string value;
    std::string expected;
  };
  const Row rows[] = {
      {"mx.example.org; none", "[mx.example.org]"},
      {"mx.example.org", "[mx.example.org]"},
      {"", "[]"},
      {"mx.google.com;\r\n       dkim=pass header.i=@example.com header.s=s1 header.b=AbC/de;\r\n       spf=pass "
       "(google.com: "
       "domain of a@example.com designates 192.0.2.1 as permitted sender) smtp.mailfrom=a@example.com;\r\n       "
       "dmarc=pass (p=REJECT sp=NONE dis=NONE) header.from=example.com",
       "[mx.google.com] dkim=pass {header.i|@example.com} {header.s|s1} {header.b|AbC/de} spf=pass "
       "{smtp.mailfrom|a@example.com} dmarc=pass {header.from|example.com}"},
      {"mx.microsoft.com 1; spf=pass (sender ip is 192.0.2.1) smtp.rcpttodomain=x.example smtp.mailfrom=example.com; "
       "dmarc=pass action=none header.from=example.com; arc=none",
       "[mx.microsoft.com] spf=pass {smtp.rcpttodomain|x.example} {smtp.mailfrom|example.com} dmarc=pass {action|none} "
       "{header.from|example.com} arc=none"},
      {"spf=pass (no id) smtp.mailfrom=a.example; dkim=none", "[] spf=pass {smtp.mailfrom|a.example} dkim=none"},
      {"X; DKIM/1 = Pass (c) reason = \"good; \\\"x\\\"\" Header.D = (c) example.com",
       "[x] dkim=pass {reason|good; \"x\"} {header.d|example.com}"},
      {"x; dkim=pass header.b=ab=cd==; spf=fail", "[x] dkim=pass {header.b|ab=cd==} spf=fail"},
      {"x; ; =; dkim; dkim=; =pass; (spf=pass); dkim=fail", "[x] dkim=fail"},
      {"x; dmarc=fail (header.from=a; dmarc=pass) header.from=b.example", "[x] dmarc=fail {header.from|b.example}"},
      {"x; dmarc=fail reason=\"; dmarc=pass\" header.from=b.example",
       "[x] dmarc=fail {reason|; dmarc=pass} {header.from|b.example}"},
      {"x; spf=pass smtp.mailfrom=\"a b\"@example.com", "[x] spf=pass {smtp.mailfrom|a b@example.com}"},
  };
  for (const Row &row : rows) EXPECT_EQ(summary(parse_results(row.value)), row.expected) << row.value;
}

TEST(ParseResults, HasLimits) {
  std::string many = "x";
  for (int i = 0; i < 1000; ++i) many += "; dkim=pass";
  EXPECT_EQ(parse_results(many).results.size(), 200U);
  std::string wide = "x; dkim=pass";
  for (int i = 0; i < 10000; ++i) wide += " a=b";
  EXPECT_LE(parse_results(wide).results.front().properties.size(), 50U);
  EXPECT_EQ(parse_results(std::string(1000000, '(')).results.size(), 0U);
}

} // namespace results_field_test
} // namespace auth
