// SPF checks from end to end over a small zone: identities, mechanisms, explanations, errors (RFC 7208 sections 2 to
// 6).
#include "auth/spf/spf.hpp"

#include <gtest/gtest.h>

#include "tests/unit/auth/spf/fake_zone.hpp"

namespace spf_test {

using auth::SpfResult;
using spf_test::check;
using spf_test::from;
using spf_test::Zone;

struct Row {
  const char *name;
  Zone zone;
  std::string client;
  std::string outcome; ///< result and reason
  std::string mail_from = "user@example.com";
  std::string helo = "mail.example.com";
};

std::string outcome_of(const auth::SpfVerdict &verdict) {
  return std::string(auth::to_string(verdict.result)) + ": " + verdict.reason;
}

template <std::size_t count> void run(const Row (&rows)[count]) {
  for (const Row &row : rows)
    EXPECT_EQ(outcome_of(check(from(row.client, row.mail_from, row.helo), row.zone).verdict), row.outcome) << row.name;
}

TEST(Spf, Mechanisms) {
  const std::string d = "example.com";
  const Row rows[] = {
      {"all", {{d, "TXT", "v=spf1 -all"}}, "192.0.2.1", "fail: matched -all"},
      {"a loopback client has no privilege", {{d, "TXT", "v=spf1 -all"}}, "127.0.0.1", "fail: matched -all"},
      {"nor has one of IPv6", {{d, "TXT", "v=spf1 -all"}}, "::1", "fail: matched -all"},
      {"the end of the record is neutral",
       {{d, "TXT", "v=spf1 ip4:192.0.2.0/24"}},
       "203.0.113.1",
       "neutral: no mechanism matched"},
      {"ip4", {{d, "TXT", "v=spf1 ip4:192.0.2.0/24 -all"}}, "192.0.2.77", "pass: matched ip4:192.0.2.0/24"},
      {"ip4 with /0",
       {{d, "TXT", "v=spf1 ~ip4:192.0.2.0/0 -all"}},
       "203.0.113.1",
       "softfail: matched ~ip4:192.0.2.0/0"},
      {"ip4 with /0 and an IPv6 client",
       {{d, "TXT", "v=spf1 ip4:192.0.2.0/0 -all"}},
       "2001:db8::1",
       "fail: matched -all"},
      {"ip6", {{d, "TXT", "v=spf1 ip6:2001:db8::/32 -all"}}, "2001:db8:ffff::1", "pass: matched ip6:2001:db8::/32"},
      {"ip6 at full length",
       {{d, "TXT", "v=spf1 ip6:2001:db8:1111:2222:3333:4444:5555:6666/127 -all"}},
       "2001:db8:1111:2222:3333:4444:5555:6667",
       "pass: matched ip6:2001:db8:1111:2222:3333:4444:5555:6666/127"},
      {"ip6 with /0 and an IPv4 client",
       {{d, "TXT", "v=spf1 ip6:2001:db8::/0 -all"}},
       "192.0.2.1",
       "fail: matched -all"},
      {"a mapped client is an IPv4 client",
       {{d, "TXT", "v=spf1 -ip6:::ffff:192.0.2.1 ip4:192.0.2.1 ?all"}},
       "::ffff:192.0.2.1",
       "pass: matched ip4:192.0.2.1"},
      {"a",
       {{d, "TXT", "v=spf1 a -all"}, {d, "A", "192.0.2.9"}, {d, "A", "192.0.2.1"}},
       "192.0.2.1",
       "pass: matched a"},
      {"a with a prefix", {{d, "TXT", "v=spf1 a/24 -all"}, {d, "A", "192.0.2.9"}}, "192.0.2.1", "pass: matched a/24"},
      {"a with the other family's prefix",
       {{d, "TXT", "v=spf1 a//24 -all"}, {d, "A", "192.0.2.9"}},
       "192.0.2.1",
       "fail: matched -all"},
      {"a with IPv6",
       {{d, "TXT", "v=spf1 a//64 -all"}, {d, "AAAA", "2001:db8::9"}},
       "2001:db8::1",
       "pass: matched a//64"},
      {"a/0 matches any address",
       {{d, "TXT", "v=spf1 a/0 -all"}, {d, "A", "192.0.2.9"}},
       "203.0.113.1",
       "pass: matched a/0"},
      {"a/0 matches no absence", {{d, "TXT", "v=spf1 a/0 -all"}}, "203.0.113.1", "fail: matched -all"},
      {"a of another domain, in any case",
       {{d, "TXT", "v=spf1 a:OTHER.example -all"}, {"other.example", "A", "192.0.2.1"}},
       "192.0.2.1",
       "pass: matched a:OTHER.example"},
      {"a name with an empty label does not exist",
       {{d, "TXT", "v=spf1 a:x...example.com -all"}},
       "192.0.2.1",
       "fail: matched -all"},
      {"mx",
       {{d, "TXT", "v=spf1 mx -all"},
        {d, "MX", "10 m1.example"},
        {d, "MX", "20 m2.example"},
        {"m1.example", "A", "192.0.2.8"},
        {"m2.example", "A", "192.0.2.1"}},
       "192.0.2.1",
       "pass: matched mx"},
      {"mx with a prefix",
       {{d, "TXT", "v=spf1 mx:o.example/29 -all"},
        {"o.example", "MX", "10 m1.example"},
        {"m1.example", "A", "192.0.2.6"}},
       "192.0.2.1",
       "pass: matched mx:o.example/29"},
      {"mx never stands for the domain's own address",
       {{d, "TXT", "v=spf1 mx -all"}, {d, "A", "192.0.2.1"}},
       "192.0.2.1",
       "fail: matched -all"},
      {"a null MX", {{d, "TXT", "v=spf1 mx -all"}, {d, "MX", "0 "}}, "192.0.2.1", "fail: matched -all"},
      {"exists asks for A, also with IPv6",
       {{d, "TXT", "v=spf1 exists:%{ir}.l.example.com -all"},
        {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.l.example.com", "A", "127.0.0.2"}},
       "2001:db8::1",
       "pass: matched exists:%{ir}.l.example.com"},
      {"exists without one", {{d, "TXT", "v=spf1 exists:%{i}.l.example.com -all"}}, "192.0.2.1", "fail: matched -all"},
      {"ptr",
       {{d, "TXT", "v=spf1 ptr -all"},
        {"1.2.0.192.in-addr.arpa", "PTR", "h.example.com"},
        {"h.example.com", "A", "192.0.2.1"}},
       "192.0.2.1",
       "pass: matched ptr"},
      {"ptr with a name that does not lead back",
       {{d, "TXT", "v=spf1 ptr -all"},
        {"1.2.0.192.in-addr.arpa", "PTR", "h.example.com"},
        {"h.example.com", "A", "192.0.2.2"}},
       "192.0.2.1",
       "fail: matched -all"},
      {"ptr with a name that only looks like a subdomain",
       {{d, "TXT", "v=spf1 ptr -all"},
        {"1.2.0.192.in-addr.arpa", "PTR", "badexample.com"},
        {"badexample.com", "A", "192.0.2.1"}},
       "192.0.2.1",
       "fail: matched -all"},
      {"ptr whose lookup fails does not match",
       {{d, "TXT", "v=spf1 ptr -all"}, {"1.2.0.192.in-addr.arpa", "TIMEOUT"}},
       "192.0.2.1",
       "fail: matched -all"},
      {"ptr passes over a name whose address lookup fails",
       {{d, "TXT", "v=spf1 ptr -all"},
        {"1.2.0.192.in-addr.arpa", "PTR", "a.example.com"},
        {"1.2.0.192.in-addr.arpa", "PTR", "b.example.com"},
        {"a.example.com", "TIMEOUT"},
        {"b.example.com", "A", "192.0.2.1"}},
       "192.0.2.1",
       "pass: matched ptr"},
      {"include that passes",
       {{d, "TXT", "v=spf1 ?include:i.example -all"}, {"i.example", "TXT", "v=spf1 ip4:192.0.2.1 -all"}},
       "192.0.2.1",
       "neutral: matched ?include:i.example, ip4:192.0.2.1"},
      {"include that fails",
       {{d, "TXT", "v=spf1 include:i.example ~all"}, {"i.example", "TXT", "v=spf1 -all"}},
       "192.0.2.1",
       "softfail: matched ~all"},
      {"include of include",
       {{d, "TXT", "v=spf1 include:i.example ~all"},
        {"i.example", "TXT", "v=spf1 include:j.example"},
        {"j.example", "TXT", "v=spf1 a"},
        {"j.example", "A", "192.0.2.1"}},
       "192.0.2.1",
       "pass: matched include:i.example, include:j.example, a"},
      {"include whose redirect passes",
       {{d, "TXT", "v=spf1 include:i.example ~all"},
        {"i.example", "TXT", "v=spf1 redirect=j.example"},
        {"j.example", "TXT", "v=spf1 +all"}},
       "192.0.2.1",
       "pass: matched include:i.example, redirect=j.example, +all"},
      {"redirect is last wherever it stands",
       {{d, "TXT", "v=spf1 redirect=r.example ip4:192.0.2.1"}, {"r.example", "TXT", "v=spf1 -all"}},
       "192.0.2.1",
       "pass: matched ip4:192.0.2.1"},
      {"redirect is followed",
       {{d, "TXT", "v=spf1 redirect=r.example ip4:192.0.2.1"}, {"r.example", "TXT", "v=spf1 -all"}},
       "192.0.2.2",
       "fail: matched redirect=r.example, -all"},
      {"redirect beside all is ignored",
       {{d, "TXT", "v=spf1 redirect=none.example ~all"}},
       "192.0.2.2",
       "softfail: matched ~all"},
      {"redirect changes the current domain",
       {{d, "TXT", "v=spf1 redirect=r.example"},
        {"r.example", "TXT", "v=spf1 a -all"},
        {"r.example", "A", "192.0.2.1"}},
       "192.0.2.1",
       "pass: matched redirect=r.example, a"},
  };
  run(rows);
}

TEST(Spf, Errors) {
  const std::string d = "example.com";
  const Row rows[] = {
      {"no record", {{d, "TXT", "something else"}}, "192.0.2.1", "none: no SPF record"},
      {"no such domain", {}, "192.0.2.1", "none: no SPF record"},
      {"the record cannot be fetched",
       {{d, "TIMEOUT"}},
       "192.0.2.1",
       "temperror: TXT of example.com: no answer in 10 s"},
      {"two records",
       {{d, "TXT", "v=spf1 -all"}, {d, "TXT", "V=SPF1 -all"}},
       "192.0.2.1",
       "permerror: 2 SPF records at example.com"},
      {"a record beside texts of other kinds, one of them no text",
       {{d, "TXT", "\x96\xFF"}, {d, "TXT", "v=spf10 x"}, {d, "TXT", "v=spf1 -all"}},
       "192.0.2.1",
       "fail: matched -all"},
      {"a record that is not ASCII",
       {{d, "TXT", "v=spf1 a:\x80 -all"}},
       "192.0.2.1",
       "permerror: record of example.com: octet 9 is not printable ASCII but 0x80"},
      {"a record with NUL",
       {{d, "TXT", std::string("v=spf1 -all\0 +all", 17)}},
       "192.0.2.1",
       "permerror: record of example.com: octet 11 is not printable ASCII but 0x00"},
      {"a record over 4 KiB",
       {{d, "TXT", "v=spf1 " + std::string(4090, 'a')}},
       "192.0.2.1",
       "permerror: record of example.com: record is 4097 octets, limit is 4096"},
      {"an error behind what would match",
       {{d, "TXT", "v=spf1 ip4:192.0.2.1 -all moo"}},
       "192.0.2.1",
       "permerror: record of example.com: unknown mechanism in \"moo\""},
      {"a fails",
       {{d, "TXT", "v=spf1 a -all"}, {d, "TIMEOUT"}},
       "192.0.2.1",
       "temperror: a: example.com: no answer in 10 s"},
      {"mx fails",
       {{d, "TXT", "v=spf1 mx -all"}, {d, "TIMEOUT"}},
       "192.0.2.1",
       "temperror: mx: example.com: no answer in 10 s"},
      {"a host of mx fails",
       {{d, "TXT", "v=spf1 mx -all"}, {d, "MX", "1 m.example"}, {"m.example", "TIMEOUT"}},
       "192.0.2.1",
       "temperror: mx: m.example: no answer in 10 s"},
      {"exists fails",
       {{d, "TXT", "v=spf1 exists:e.example -all"}, {"e.example", "TIMEOUT"}},
       "192.0.2.1",
       "temperror: exists:e.example: e.example: no answer in 10 s"},
      {"what fails behind a match is not asked",
       {{d, "TXT", "v=spf1 ip4:192.0.2.1 exists:e.example"}, {"e.example", "TIMEOUT"}},
       "192.0.2.1",
       "pass: matched ip4:192.0.2.1"},
      {"include without a record",
       {{d, "TXT", "v=spf1 include:i.example -all"}},
       "192.0.2.1",
       "permerror: include:i.example: no SPF record at i.example"},
      {"include with a bad record",
       {{d, "TXT", "v=spf1 -include:i.example ?all"}, {"i.example", "TXT", "v=spf1 moo"}},
       "192.0.2.1",
       "permerror: record of i.example: unknown mechanism in \"moo\""},
      {"include that fails for now",
       {{d, "TXT", "v=spf1 include:i.example +all"}, {"i.example", "TIMEOUT"}},
       "192.0.2.1",
       "temperror: TXT of i.example: no answer in 10 s"},
      {"redirect without a record",
       {{d, "TXT", "v=spf1 redirect=r.example"}},
       "192.0.2.1",
       "permerror: redirect=r.example: no SPF record at r.example"},
      {"include of a name of one label",
       {{d, "TXT", "v=spf1 include:%{h} -all"}},
       "192.0.2.1",
       "permerror: include:%{h}: no SPF record at host",
       "user@example.com",
       "host"},
  };
  run(rows);
}

TEST(Spf, Identities) {
  const Zone zone = {{"example.com", "TXT", "v=spf1 exists:%{l}.at.%{o} -all"},
                     {"postmaster.at.example.com", "A", "127.0.0.2"},
                     {"mail.example.com", "TXT", "v=spf1 a -all"},
                     {"mail.example.com", "A", "192.0.2.1"},
                     {"xn--mnchen-3ya.example", "TXT", "v=spf1 +all"}};
  struct IdentityRow {
    const char *name;
    std::string mail_from;
    std::string helo;
    std::string outcome;
    std::string domain;
  };
  const IdentityRow rows[] = {
      {"the domain of MAIL FROM", "user@example.com", "x.example", "fail: matched -all", "example.com"},
      {"written in capitals", "user@EXAMPLE.COM", "x.example", "fail: matched -all", "example.com"},
      {"with a final dot", "user@example.com.", "x.example", "fail: matched -all", "example.com"},
      {"an empty local part is postmaster", "@example.com", "x.example", "pass: matched exists:%{l}.at.%{o}",
       "example.com"},
      {"the null reverse-path is postmaster at HELO", "", "example.com", "pass: matched exists:%{l}.at.%{o}",
       "example.com"},
      {"the last at sign counts", "\"a@b\"@example.com", "x.example", "fail: matched -all", "example.com"},
      {"a U-label is asked for as A-label", "user@m\xC3\xBCnchen.example", "x.example", "pass: matched +all",
       "xn--mnchen-3ya.example"},
      {"an address literal", "user@[192.0.2.1]", "x.example", "none: not a domain name: [192.0.2.1]", "[192.0.2.1]"},
      {"an address without brackets", "user@192.0.2.1", "x.example", "none: not a domain name: 192.0.2.1", "192.0.2.1"},
      {"one label", "user@localhost", "x.example", "none: not a domain name: localhost", "localhost"},
      {"an empty label", "user@a..example.com", "x.example", "none: not a domain name: a..example.com",
       "a..example.com"},
      {"a label of 64 octets", "user@" + std::string(64, 'a') + ".com", "x.example",
       "none: not a domain name: " + std::string(64, 'a') + ".com", std::string(64, 'a') + ".com"},
      {"a domain that ends in nothing", "user@", "x.example", "none: no domain", ""},
      {"a null reverse-path and a literal HELO", "", "[IPv6:2001:db8::1]",
       "none: not a domain name: [IPv6:2001:db8::1]", "[ipv6:2001:db8::1]"},
      {"a null reverse-path and an empty HELO", "", "", "none: no domain", ""},
      {"a HELO that is nonsense", "", "JUMPIN' JUPITER.com", "none: not a domain name: JUMPIN' JUPITER.com",
       "jumpin' jupiter.com"},
      {"a NUL in the domain", std::string("user@exam\0ple.com", 17), "x.example",
       "none: not a domain name: exam\\x00ple.com", std::string("exam\0ple.com", 12)},
  };
  for (const IdentityRow &row : rows) {
    const auto verdict = check(from("192.0.2.1", row.mail_from, row.helo), zone).verdict;
    EXPECT_EQ(outcome_of(verdict), row.outcome) << row.name;
    EXPECT_EQ(verdict.domain, row.domain) << row.name;
  }
  const auto helo =
      check(from("192.0.2.1", "user@example.com", "mail.example.com"), zone, auth::check_spf_helo).verdict;
  EXPECT_EQ(outcome_of(helo), "pass: matched a");
  EXPECT_EQ(helo.domain, "mail.example.com");
}

TEST(Spf, Explanations) {
  struct ExplainRow {
    const char *name;
    std::string record;
    Zone more;
    std::string explanation;
    std::string mail_from = "user@example.com";
  };
  const ExplainRow rows[] = {
      {"text with macros",
       "v=spf1 -all exp=e.%{d}",
       {{"e.example.com", "TXT", "%{i} may not send as %{s}; see %{r}, %{t}. 100%%"}},
       "192.0.2.1 may not send as user@example.com; see mx.receiver.example, 1700000000. 100%"},
      {"no exp", "v=spf1 -all", {}, ""},
      {"only for fail", "v=spf1 ~all exp=e.example", {{"e.example", "TXT", "no"}}, ""},
      {"no text", "v=spf1 -all exp=e.example", {}, ""},
      {"a lookup that fails", "v=spf1 -all exp=e.example", {{"e.example", "TIMEOUT"}}, ""},
      {"two texts", "v=spf1 -all exp=e.example", {{"e.example", "TXT", "a"}, {"e.example", "TXT", "b"}}, ""},
      {"a text that is not ASCII", "v=spf1 -all exp=e.example", {{"e.example", "TXT", "caf\xC3\xA9"}}, ""},
      {"a bad macro in the text", "v=spf1 -all exp=e.example", {{"e.example", "TXT", "The %{x}-files"}}, ""},
      {"a name that cannot be asked", "v=spf1 -all exp=%{l}.example", {}, "", "a..b@example.com"},
      {"control characters become question marks",
       "v=spf1 -all exp=e.example",
       {{"e.example", "TXT", "a\r\nb\tc"}},
       "a??b?c"},
      {"so does a local part that is not ASCII",
       "v=spf1 -all exp=e.example",
       {{"e.example", "TXT", "%{l}/%{L}"}},
       "?"
       "?/%C3%A9",
       "\xC3\xA9@example.com"},
      {"a long text is cut",
       "v=spf1 -all exp=e.example",
       {{"e.example", "TXT", std::string(451, 'a')}},
       std::string(447, 'a') + "..."},
      {"the longest text is not",
       "v=spf1 -all exp=e.example",
       {{"e.example", "TXT", std::string(450, 'a')}},
       std::string(450, 'a')},
      {"a macro bomb explains nothing",
       "v=spf1 -all exp=e.example",
       {{"e.example", "TXT",
         [] {
           std::string bomb;
           while (bomb.size() < 4000) bomb += "%{S}%{S}";
           return bomb;
         }()}},
       "",
       std::string(200, '/') + "@example.com"},
      {"redirect takes the explanation of its target",
       "v=spf1 redirect=r.example exp=e.example",
       {{"r.example", "TXT", "v=spf1 -all exp=x.example"},
        {"e.example", "TXT", "wrong"},
        {"x.example", "TXT", "right, %{d}"}},
       "right, r.example"},
      {"redirect to a domain without one",
       "v=spf1 redirect=r.example exp=e.example",
       {{"r.example", "TXT", "v=spf1 -all"}, {"e.example", "TXT", "wrong"}},
       ""},
      {"include never explains",
       "v=spf1 -include:i.example exp=e.example",
       {{"i.example", "TXT", "v=spf1 redirect=j.example"},
        {"j.example", "TXT", "v=spf1 +all exp=x.example"},
        {"e.example", "TXT", "right, %{d}"},
        {"x.example", "TXT", "wrong"}},
       "right, example.com"},
      {"a client without a name is unknown",
       "v=spf1 -all exp=e.example",
       {{"e.example", "TXT", "from %{p}"}},
       "from unknown"},
      {"the client's name, below the domain if there is one",
       "v=spf1 -all exp=e.example",
       {{"e.example", "TXT", "from %{p}"},
        {"1.2.0.192.in-addr.arpa", "PTR", "a.other.example"},
        {"1.2.0.192.in-addr.arpa", "PTR", "b.example.com"},
        {"a.other.example", "A", "192.0.2.1"},
        {"b.example.com", "A", "192.0.2.1"}},
       "from b.example.com"},
      {"a name that does not lead back is not the client's",
       "v=spf1 -all exp=e.example",
       {{"e.example", "TXT", "from %{p}"},
        {"1.2.0.192.in-addr.arpa", "PTR", "a.other.example"},
        {"1.2.0.192.in-addr.arpa", "PTR", "b.example.com"},
        {"a.other.example", "A", "192.0.2.1"}},
       "from a.other.example"},
  };
  for (const ExplainRow &row : rows) {
    Zone zone = row.more;
    zone.push_back({"example.com", "TXT", row.record});
    const auto verdict = check(from("192.0.2.1", row.mail_from), zone).verdict;
    EXPECT_EQ(verdict.explanation, row.explanation) << row.name << ": " << outcome_of(verdict);
  }
}

TEST(Spf, NamesThatNoQuestionCanCarryMatchNothing) {
  const Zone zone = {{"example.com", "TXT", "v=spf1 exists:%{l}.x.example -all"}};
  for (const std::string &local_part : {std::string("\xC3\xA9"), std::string("a\\046b"), std::string("a\nb"),
                                        std::string("a\0b", 3), std::string("a..b"), std::string(64, 'a')}) {
    const auto run = check(from("192.0.2.1", local_part + "@example.com"), zone);
    EXPECT_EQ(outcome_of(run.verdict), "fail: matched -all");
    EXPECT_EQ(run.questions.size(), 1U) << "only the record";
    EXPECT_EQ(run.verdict.void_lookups, 0U);
  }
}

} // namespace spf_test
