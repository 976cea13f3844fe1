// SPF macros: which strings are macros at all, and what they become (RFC 7208 section 7).
#include "auth/spf/macro.hpp"

#include <gtest/gtest.h>

namespace macro_test {

using auth::MacroPlace;

auth::MacroValues values(const std::string &client = "192.0.2.3") {
  return {.local_part = "strong-bad",
          .sender_domain = "email.example.com",
          .current_domain = "email.example.com",
          .client = smtp::IpAddress::parse(client).value(),
          .validated_name = "mx.example.org",
          .helo = "host.example.net",
          .receiver = "mx.receiver.example",
          .now = 1700000000};
}

TEST(SpfMacro, Expansions) {
  struct Row {
    const char *name;
    std::string text;
    std::string expanded;
    std::string client = "192.0.2.3";
  };
  const Row rows[] = {
      {"the sender", "%{s}", "strong-bad@email.example.com"},
      {"the sender's domain", "%{o}", "email.example.com"},
      {"the current domain", "%{d}", "email.example.com"},
      {"more parts than there are", "%{d4}", "email.example.com"},
      {"as many parts as there are", "%{d3}", "email.example.com"},
      {"two right-hand parts", "%{d2}", "example.com"},
      {"one right-hand part", "%{d1}", "com"},
      {"reversed", "%{dr}", "com.example.email"},
      {"reversed, then two parts", "%{d2r}", "example.email"},
      {"a number of parts past any integer keeps all", "%{d99999999999999999999999}", "email.example.com"},
      {"the local part", "%{l}", "strong-bad"},
      {"split at a dash", "%{l-}", "strong.bad"},
      {"reversed at dots, of which there are none", "%{lr}", "strong-bad"},
      {"reversed at dashes", "%{lr-}", "bad.strong"},
      {"the last part after the reversal", "%{l1r-}", "strong"},
      {"a big R reverses too (ABNF tells no case)", "%{lR-}", "bad.strong"},
      {"two delimiters", "%{l-+}", "strong.bad"},
      {"an address reversed for a zone", "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
      {"several macros in one", "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
      {"the validated name", "%{p2}.trusted-domains.example.net", "example.org.trusted-domains.example.net"},
      {"HELO", "%{h}", "host.example.net"},
      {"the receiver, the client and the time", "%{r} %{c} %{t}", "mx.receiver.example 192.0.2.3 1700000000"},
      {"the escapes", "a%%b%_c%-d", "a%b c%20d"},
      {"a percent before a brace", "%%{s}", "%{s}"},
      {"IPv6 as nibbles", "%{i}", "2.0.0.1.0.D.B.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1", "2001:db8::1"},
      {"IPv6 reversed, with its zone", "%{ir}.%{v}",
       "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6", "2001:db8::1"},
      {"IPv6 for people", "%{c}", "2001:db8::1", "2001:db8::1"},
      {"big letters escape for a URL", "%{S}", "strong-bad%40email.example.com"},
      {"no macro", "plain text, with = and :", "plain text, with = and :"},
      {"nothing", "", ""},
  };
  for (const Row &row : rows) {
    ASSERT_TRUE(auth::check_macro_string(row.text, MacroPlace::free_text)) << row.name;
    EXPECT_EQ(auth::expand_macros(row.text, values(row.client)), row.expanded) << row.name;
  }
}

TEST(SpfMacro, UnreservedOctetsAreNotEscapedAndAllOthersAre) {
  auto own = values();
  own.local_part = "~jack&jill=up-a_b3.c/\xC3\xA9";
  EXPECT_EQ(auth::expand_macros("%{L}", own), "~jack%26jill%3Dup-a_b3.c%2F%C3%A9");
}

TEST(SpfMacro, AnUnnamedReceiverIsUnknown) {
  auto own = values();
  own.receiver.clear();
  EXPECT_EQ(auth::expand_macros("%{r}", own), "unknown");
}

TEST(SpfMacro, AnExpansionPastTheLimitIsNone) {
  auto own = values();
  own.local_part = std::string(256, '/');
  std::string bomb;
  while (bomb.size() < auth::spf_expansion_limit / 768 * 4) bomb += "%{L}";
  EXPECT_TRUE(auth::expand_macros(bomb, own)) << "just within";
  for (int i = 0; i < 3; ++i) bomb += "%{L}";
  EXPECT_FALSE(auth::expand_macros(bomb, own));
}

TEST(SpfMacro, WhatIsAMacroString) {
  struct Row {
    const char *name;
    std::string text;
    bool in_text = false;
    bool in_domain = false;
  };
  const Row rows[] = {
      {"a literal", "abc.example", true, true},
      {"every letter of names", "%{s}%{l}%{o}%{d}%{i}%{p}%{v}%{h}", true, true},
      {"c is for explanations", "%{c}", true, false},
      {"r is for explanations", "%{R}", true, false},
      {"t is for explanations", "%{t}", true, false},
      {"an unknown letter", "%{x}"},
      {"a letter is missing", "%{}"},
      {"a brace is missing", "%{d"},
      {"a lone percent at the end", "abc%"},
      {"a percent before a letter", "%d"},
      {"a round bracket", "%(d)"},
      {"zero parts", "%{d0}"},
      {"zero parts, written at length", "%{d00}"},
      {"digits behind r", "%{dr2}"},
      {"a delimiter before the digits", "%{d-2}"},
      {"a delimiter that is none", "%{d|}"},
      {"every delimiter", "%{d2r.-+,/_=}", true, true},
      {"a blank in a macro", "%{ d}"},
  };
  for (const Row &row : rows) {
    EXPECT_EQ(auth::check_macro_string(row.text, MacroPlace::free_text).has_value(), row.in_text) << row.name;
    EXPECT_EQ(auth::check_macro_string(row.text, MacroPlace::domain_spec).has_value(), row.in_domain) << row.name;
  }
}

TEST(SpfMacro, WhatIsADomainSpec) {
  struct Row {
    const char *name;
    std::string text;
    bool valid = false;
  };
  const Row rows[] = {
      {"a name", "example.com", true},
      {"a name with a final dot", "example.com.", true},
      {"a macro at the end", "_spf.%{d2}", true},
      {"an escape at the end", "foo%%", true},
      {"a top label with a dash", "foo.xn--zckzah", true},
      {"a top label that begins with a digit", "foo.1a", true},
      {"odd but visible characters before the top label", "foo:bar/baz=.example.com", true},
      {"an empty label inside: a name that does not exist, no error", "mail.example...com", true},
      {"the longest", std::string(auth::spf_domain_spec_limit - 4, 'a') + ".com", true},
      {"nothing", ""},
      {"one octet past the longest", std::string(auth::spf_domain_spec_limit - 3, 'a') + ".com"},
      {"one label", "museum"},
      {"one label with a dot", "museum."},
      {"two final dots", "example.com.."},
      {"a number for top label", "192.0.2.1"},
      {"a top label that begins with a dash", "example.-com"},
      {"a top label that ends in a dash", "example.com-"},
      {"an underscore in the top label", "example.c_m"},
      {"a port", "example.com:8080"},
      {"a prefix where none may stand", "example.com/24"},
      {"a label behind a macro without its dot", "%{d}com"},
      {"a dot behind a macro", "%{d}."},
  };
  for (const Row &row : rows) EXPECT_EQ(auth::check_domain_spec(row.text).has_value(), row.valid) << row.name;
  EXPECT_EQ(auth::check_domain_spec(std::string(600, 'a')).error().detail, "domain-spec is 600 octets, limit is 512");
}

TEST(SpfMacro, OnlyARealMacroAsksForTheValidatedName) {
  EXPECT_TRUE(auth::uses_validated_name("a.%{P2}.b"));
  EXPECT_TRUE(auth::uses_validated_name("%%%{p}"));
  EXPECT_FALSE(auth::uses_validated_name("%%{p}"));
  EXPECT_FALSE(auth::uses_validated_name("%{d}p"));
}

TEST(SpfMacro, ALongNameLosesLabelsOnTheLeft) {
  std::string labels;
  while (labels.size() < 240) labels += "abcdefghi.";
  EXPECT_EQ(auth::fit_domain_name(labels + "example.com"), labels + "example.com") << "251 octets";
  EXPECT_EQ(auth::fit_domain_name(labels + "0123.example.com"), labels.substr(10) + "0123.example.com") << "256 octets";
  EXPECT_EQ(auth::fit_domain_name("x.example.com."), "x.example.com");
  EXPECT_EQ(auth::fit_domain_name(std::string(300, 'a')).size(), 300U) << "one label: no name, and no endless loop";
}

} // namespace macro_test
