// check_dmarc: policy discovery, alignment, np and t, DNS failures and several authors (RFC 9989
// sections 4.10, 5.3, 11.5).
#include "auth/core/dmarc.hpp"

#include <gtest/gtest.h>

#include "dns_zone.hpp"

namespace auth {
namespace dmarc_test {

using Texts = std::map<std::string, std::vector<std::string>>;

struct Signature {
  std::string domain;
  DkimResult result = DkimResult::pass;
  bool body_goes_on = false;
  bool testing = false;
};

struct Row {
  std::string name;
  Texts texts;
  std::string from;     ///< the value of header From
  std::string expected; ///< as summary() has it
  std::string spf = {}; ///< the domain that passes SPF
  SpfResult spf_result = SpfResult::pass;
  std::vector<Signature> dkim = {};
  std::set<std::string> existing = {};
  std::set<std::string> failing = {};
  DmarcOptions options = {};
};

std::string summary(const DmarcVerdict &verdict) {
  std::string line(to_string(verdict.result));
  if (!verdict.applied_tag.empty()) line += " " + verdict.applied_tag + "=" + std::string(to_string(verdict.policy));
  if (verdict.disposition != DmarcPolicy::none) line += " -> " + std::string(to_string(verdict.disposition));
  if (verdict.spf_aligned) line += " spf";
  if (verdict.dkim_aligned) line += " dkim";
  if (!verdict.domain.empty()) line += " " + verdict.domain;
  if (verdict.org_domain != verdict.domain) line += " org:" + verdict.org_domain;
  if (verdict.policy_domain != verdict.domain) line += " at:" + verdict.policy_domain;
  return line;
}

struct Outcome {
  DmarcVerdict verdict;
  DnsZone::Asked asked;
};

Outcome run(const Row &row) {
  const AuthorDomains authors = parse_from_field(row.from);
  SpfVerdicts spf;
  spf.mail_from.domain = row.spf;
  spf.mail_from.result = row.spf.empty() ? SpfResult::none : row.spf_result;
  spf.helo = {.result = SpfResult::pass, .domain = "example.com", .explanation = {}, .reason = {}};
  std::vector<DkimVerdict> dkim;
  for (const Signature &signature : row.dkim) {
    DkimVerdict verdict;
    verdict.result = signature.result;
    verdict.domain = signature.domain;
    verdict.body_goes_on = signature.body_goes_on;
    verdict.testing = signature.testing;
    dkim.push_back(verdict);
  }
  const DnsZone zone{.texts = row.texts, .existing = row.existing, .failing = row.failing};
  DnsFacts facts;
  Outcome result;
  result.asked = zone.resolve(facts, [&] { result.verdict = check_dmarc({authors, spf, dkim, row.options}, facts); });
  return result;
}

void expect_all(std::span<const Row> rows) {
  for (const Row &row : rows) {
    const Outcome got = run(row);
    EXPECT_EQ(summary(got.verdict), row.expected) << row.name << ": " << got.verdict.reason;
    EXPECT_LE(got.asked.rounds, 3U) << row.name;
    EXPECT_FALSE(got.verdict.reason.empty()) << row.name;
  }
}

const Texts reject{{"_dmarc.example.com", {"v=DMARC1; p=reject"}}};

TEST(CheckDmarc, FindsThePolicyThatApplies) {
  const Row rows[] = {
      {.name = "the author domain's own record",
       .texts = reject,
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com"},
      {.name = "no record", .texts = {}, .from = "a@example.com", .expected = "none example.com at:"},
      {.name = "the Organizational Domain's p where there is no sp",
       .texts = reject,
       .from = "a@x.y.example.com",
       .expected = "fail p=reject -> reject x.y.example.com org:example.com at:example.com"},
      {.name = "the Organizational Domain's sp",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=reject;sp=quarantine"}}},
       .from = "a@x.example.com",
       .expected = "fail sp=quarantine -> quarantine x.example.com org:example.com at:example.com"},
      {.name = "sp does not apply to the domain itself",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=none;sp=reject;np=reject"}}},
       .from = "a@example.com",
       .expected = "fail p=none example.com"},
      {.name = "a subdomain's own record wins, its p counts",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=reject"}},
                 {"_dmarc.x.example.com", {"v=DMARC1;p=none;sp=reject"}}},
       .from = "a@x.example.com",
       .expected = "fail p=none x.example.com org:example.com"},
      {.name = "a record between author and Organizational Domain does not apply",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=none"}}, {"_dmarc.x.example.com", {"v=DMARC1;p=reject"}}},
       .from = "a@y.x.example.com",
       .expected = "fail p=none y.x.example.com org:example.com at:example.com"},
      {.name = "the public suffix's record where the Organizational Domain has none",
       .texts = {{"_dmarc.bank.example", {"v=DMARC1;p=none;sp=reject;psd=y"}}},
       .from = "a@mail.mega.bank.example",
       .expected = "fail sp=reject -> reject mail.mega.bank.example org:mega.bank.example at:bank.example"},
      {.name = "the public suffix's record does not count where the Organizational Domain has one",
       .texts = {{"_dmarc.bank.example", {"v=DMARC1;p=reject;psd=y"}},
                 {"_dmarc.mega.bank.example", {"v=DMARC1;p=none"}}},
       .from = "a@mail.mega.bank.example",
       .expected = "fail p=none mail.mega.bank.example org:mega.bank.example at:mega.bank.example"},
      {.name = "a public suffix that sends itself",
       .texts = {{"_dmarc.bank.example", {"v=DMARC1;p=quarantine;psd=y"}}},
       .from = "a@bank.example",
       .expected = "fail p=quarantine -> quarantine bank.example"},
      {.name = "several records are none, the next name counts",
       .texts = {{"_dmarc.x.example.com", {"v=DMARC1;p=none", "v=DMARC1;p=none"}},
                 {"_dmarc.example.com", {"v=DMARC1;p=reject"}}},
       .from = "a@x.example.com",
       .expected = "fail p=reject -> reject x.example.com org:example.com at:example.com"},
      {.name = "several records and nothing above",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=reject", "v=DMARC1;p=reject"}}},
       .from = "a@example.com",
       .expected = "none example.com at:"},
      {.name = "a record without p and rua applies nothing, and is not passed over",
       .texts = {{"_dmarc.x.example.com", {"v=DMARC1;p=bad"}}, {"_dmarc.example.com", {"v=DMARC1;p=reject"}}},
       .from = "a@x.example.com",
       .expected = "none x.example.com org:example.com"},
      {.name = "a bad p with a rua is none",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=bad;rua=mailto:a@example.com"}}},
       .from = "a@example.com",
       .expected = "fail p=none example.com"},
      {.name = "a bad tag loses only itself",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;fo:0;p=reject;aspf=x;rua=nothing"}}},
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com"},
      {.name = "pct is passed over",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=reject;pct=0"}}},
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com"},
      {.name = "t=y makes quarantine of reject",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=reject;t=y"}}},
       .from = "a@example.com",
       .expected = "fail p=reject -> quarantine example.com"},
      {.name = "t=y makes none of quarantine",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=quarantine;t=y"}}},
       .from = "a@example.com",
       .expected = "fail p=quarantine example.com"},
      {.name = "a U-label author",
       .texts = {{"_dmarc.xn--bcher-kva.example", {"v=DMARC1;p=reject"}}},
       .from = "a@bücher.example",
       .expected = "fail p=reject -> reject xn--bcher-kva.example"},
  };
  expect_all(rows);
}

TEST(CheckDmarc, AppliesNpOnlyToNamesThatDoNotExist) {
  const Texts np{{"_dmarc.example.com", {"v=DMARC1;p=none;sp=quarantine;np=reject"}}};
  const Row rows[] = {
      {.name = "NXDOMAIN",
       .texts = np,
       .from = "a@ghost.example.com",
       .expected = "fail np=reject -> reject ghost.example.com org:example.com at:example.com"},
      {.name = "NODATA: it exists",
       .texts = np,
       .from = "a@real.example.com",
       .expected = "fail sp=quarantine -> quarantine real.example.com org:example.com at:example.com",
       .existing = {"real.example.com"}},
      {.name = "only TXT: it exists",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=none;np=reject"}}, {"txt.example.com", {"x"}}},
       .from = "a@txt.example.com",
       .expected = "fail p=none txt.example.com org:example.com at:example.com"},
      {.name = "np and t=y",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=none;np=reject;t=y"}}},
       .from = "a@ghost.example.com",
       .expected = "fail np=reject -> quarantine ghost.example.com org:example.com at:example.com"},
      {.name = "np=none under p=reject",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=reject;np=none"}}},
       .from = "a@ghost.example.com",
       .expected = "fail np=none ghost.example.com org:example.com at:example.com"},
      {.name = "no np: sp",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=none;sp=quarantine"}}},
       .from = "a@ghost.example.com",
       .expected = "fail sp=quarantine -> quarantine ghost.example.com org:example.com at:example.com"},
      {.name = "np of a public suffix",
       .texts = {{"_dmarc.bank.example", {"v=DMARC1;p=none;np=reject;psd=y"}}},
       .from = "a@ghost.bank.example",
       .expected = "fail np=reject -> reject ghost.bank.example at:bank.example"},
      {.name = "existence that cannot be told",
       .texts = np,
       .from = "a@ghost.example.com",
       .expected = "temperror sp=quarantine ghost.example.com org:example.com at:example.com",
       .failing = {"ghost.example.com"}},
      {.name = "existence does not matter for a pass",
       .texts = np,
       .from = "a@ghost.example.com",
       .expected = "pass sp=quarantine spf ghost.example.com org:example.com at:example.com",
       .spf = "ghost.example.com",
       .failing = {"ghost.example.com"}},
  };
  expect_all(rows);
}

TEST(CheckDmarc, AsksAboutExistenceOnlyForNp) {
  const auto asks_mx = [](const Row &row) {
    for (const DnsQuestion &question : run(row).asked.questions)
      if (question.type != RecordType::txt) return true;
    return false;
  };
  EXPECT_FALSE(asks_mx({.name = {}, .texts = reject, .from = "a@x.example.com", .expected = {}}));
  EXPECT_FALSE(asks_mx({.name = {},
                        .texts = {{"_dmarc.example.com", {"v=DMARC1;p=none;np=reject"}}},
                        .from = "a@example.com",
                        .expected = {}}));
  EXPECT_TRUE(asks_mx({.name = {},
                       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=none;np=reject"}}},
                       .from = "a@x.example.com",
                       .expected = {}}));
}

TEST(CheckDmarc, Aligns) {
  const Texts strict{{"_dmarc.example.com", {"v=DMARC1;p=reject;adkim=s;aspf=s"}}};
  const Texts bank{{"_dmarc.giant.bank.example", {"v=DMARC1;p=reject"}}, {"_dmarc.bank.example", {"v=DMARC1;psd=y"}}};
  const Row rows[] = {
      {.name = "SPF of the same domain",
       .texts = reject,
       .from = "a@example.com",
       .expected = "pass p=reject spf example.com",
       .spf = "example.com"},
      {.name = "SPF in another case and with a final dot",
       .texts = reject,
       .from = "a@example.com",
       .expected = "pass p=reject spf example.com",
       .spf = "EXAMPLE.com."},
      {.name = "SPF of a subdomain, relaxed",
       .texts = reject,
       .from = "a@example.com",
       .expected = "pass p=reject spf example.com",
       .spf = "bounce.example.com"},
      {.name = "SPF of a subdomain, strict",
       .texts = strict,
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com",
       .spf = "bounce.example.com"},
      {.name = "SPF of the domain, strict",
       .texts = strict,
       .from = "a@example.com",
       .expected = "pass p=reject spf example.com",
       .spf = "example.com"},
      {.name = "SPF of the parent, relaxed",
       .texts = reject,
       .from = "a@news.example.com",
       .expected = "pass p=reject spf news.example.com org:example.com at:example.com",
       .spf = "example.com"},
      {.name = "SPF of a sibling, relaxed",
       .texts = reject,
       .from = "a@news.example.com",
       .expected = "pass p=reject spf news.example.com org:example.com at:example.com",
       .spf = "foo.example.com"},
      {.name = "a strict tag of one is none of the other's",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=reject;aspf=s"}}},
       .from = "a@example.com",
       .expected = "pass p=reject dkim example.com",
       .spf = "m.example.com",
       .dkim = {{"m.example.com"}}},
      {.name = "another domain",
       .texts = reject,
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com",
       .spf = "example.net",
       .dkim = {{"evil.example"}, {"com"}}},
      {.name = "a name that only ends alike",
       .texts = reject,
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com",
       .spf = "notexample.com"},
      {.name = "an SPF result that is no pass",
       .texts = reject,
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com",
       .spf = "example.com",
       .spf_result = SpfResult::softfail},
      {.name = "SPF neutral",
       .texts = reject,
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com",
       .spf = "example.com",
       .spf_result = SpfResult::neutral},
      {.name = "SPF permerror",
       .texts = reject,
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com",
       .spf = "example.com",
       .spf_result = SpfResult::permerror},
      {.name = "HELO alone does not count",
       .texts = reject,
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com",
       .spf = "example.net"},
      {.name = "any of several signatures",
       .texts = reject,
       .from = "a@example.com",
       .expected = "pass p=reject dkim example.com",
       .dkim = {{"example.net"}, {"example.com", DkimResult::fail}, {"example.com"}}},
      {.name = "signatures that do not pass",
       .texts = reject,
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com",
       .dkim = {{"example.com", DkimResult::fail},
                {"example.com", DkimResult::policy},
                {"example.com", DkimResult::permerror},
                {"example.com", DkimResult::neutral}}},
      {.name = "a signature that leaves a part of the body out",
       .texts = reject,
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com",
       .dkim = {{"example.com", DkimResult::pass, true}}},
      {.name = "the same, allowed",
       .texts = reject,
       .from = "a@example.com",
       .expected = "pass p=reject dkim example.com",
       .dkim = {{"example.com", DkimResult::pass, true}},
       .options = {.accept_partial_body = true}},
      {.name = "a key in testing counts",
       .texts = reject,
       .from = "a@example.com",
       .expected = "pass p=reject dkim example.com",
       .dkim = {{"example.com", DkimResult::pass, false, true}}},
      {.name = "the same, not allowed",
       .texts = reject,
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com",
       .dkim = {{"example.com", DkimResult::pass, false, true}},
       .options = {.accept_testing_keys = false}},
      {.name = "both",
       .texts = reject,
       .from = "a@example.com",
       .expected = "pass p=reject spf dkim example.com",
       .spf = "example.com",
       .dkim = {{"x.example.com"}}},
      {.name = "within one public suffix, different owners (RFC 9989 B.4.3)",
       .texts = bank,
       .from = "a@giant.bank.example",
       .expected = "fail p=reject -> reject giant.bank.example",
       .dkim = {{"mail.mega.bank.example"}}},
      {.name = "within one public suffix, the same owner (RFC 9989 B.4.3)",
       .texts = bank,
       .from = "a@giant.bank.example",
       .expected = "pass p=reject spf giant.bank.example",
       .spf = "mail.giant.bank.example"},
      {.name = "psd=n of the identifier parts it from the author",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=reject"}}, {"_dmarc.x.example.com", {"v=DMARC1;p=none;psd=n"}}},
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com",
       .spf = "m.x.example.com"},
      {.name = "psd=n of the author parts it from the identifier",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=reject"}}, {"_dmarc.x.example.com", {"v=DMARC1;p=reject;psd=n"}}},
       .from = "a@x.example.com",
       .expected = "fail p=reject -> reject x.example.com",
       .spf = "example.com"},
      {.name = "alignment is told without a record too",
       .texts = {},
       .from = "a@example.com",
       .expected = "none spf dkim example.com at:",
       .spf = "example.com",
       .dkim = {{"example.com"}}},
      {.name = "without any record a subdomain is another organization",
       .texts = {},
       .from = "a@example.com",
       .expected = "none example.com at:",
       .spf = "m.example.com"},
  };
  expect_all(rows);
}

TEST(CheckDmarc, TellsTemporaryFailuresOnlyWhereTheyMatter) {
  const Row rows[] = {
      {.name = "the author's own record",
       .texts = {},
       .from = "a@example.com",
       .expected = "temperror spf example.com at:",
       .spf = "example.com",
       .failing = {"_dmarc.example.com"}},
      {.name = "a record above, when the author has none",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=none"}}},
       .from = "a@x.example.com",
       .expected = "temperror x.example.com org:example.com at:",
       .failing = {"_dmarc.com"}},
      {.name = "a record above does not matter for the same domain",
       .texts = reject,
       .from = "a@example.com",
       .expected = "pass p=reject spf example.com",
       .spf = "example.com",
       .failing = {"_dmarc.com"}},
      {.name = "a record above does not matter for strict alignment",
       .texts = {{"_dmarc.example.com", {"v=DMARC1;p=reject;aspf=s"}}},
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com",
       .spf = "x.example.com",
       .failing = {"_dmarc.com"}},
      {.name = "a record above does not matter without a common label",
       .texts = reject,
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com",
       .spf = "evil.example",
       .failing = {"_dmarc.com"}},
      {.name = "a record above matters for relaxed alignment",
       .texts = reject,
       .from = "a@example.com",
       .expected = "temperror p=reject example.com",
       .spf = "x.example.com",
       .failing = {"_dmarc.com"}},
      {.name = "the identifier's own record",
       .texts = reject,
       .from = "a@example.com",
       .expected = "temperror p=reject example.com",
       .spf = "x.example.com",
       .failing = {"_dmarc.x.example.com"}},
      {.name = "another identifier passes",
       .texts = reject,
       .from = "a@example.com",
       .expected = "pass p=reject dkim example.com",
       .spf = "x.example.com",
       .dkim = {{"example.com"}},
       .failing = {"_dmarc.x.example.com"}},
      {.name = "SPF temperror of an aligned domain",
       .texts = reject,
       .from = "a@example.com",
       .expected = "temperror p=reject example.com",
       .spf = "x.example.com",
       .spf_result = SpfResult::temperror},
      {.name = "SPF temperror of another domain",
       .texts = reject,
       .from = "a@example.com",
       .expected = "fail p=reject -> reject example.com",
       .spf = "evil.example",
       .spf_result = SpfResult::temperror},
      {.name = "DKIM temperror of an aligned domain",
       .texts = reject,
       .from = "a@example.com",
       .expected = "temperror p=reject example.com",
       .dkim = {{"example.com", DkimResult::temperror}}},
      {.name = "DKIM temperror beside an aligned pass",
       .texts = reject,
       .from = "a@example.com",
       .expected = "pass p=reject spf example.com",
       .spf = "example.com",
       .dkim = {{"example.com", DkimResult::temperror}}},
  };
  expect_all(rows);
}

TEST(CheckDmarc, NeedsOneAuthorDomainUnlessToldToCheckEach) {
  Texts two{{"_dmarc.a.example", {"v=DMARC1;p=quarantine"}}, {"_dmarc.b.example", {"v=DMARC1;p=reject"}}};
  const DmarcOptions each{.several_authors = SeveralAuthors::check_each};
  const Row rows[] = {
      {.name = "two addresses of one domain are one author domain",
       .texts = reject,
       .from = "a@example.com, b@example.com",
       .expected = "pass p=reject spf example.com",
       .spf = "example.com"},
      {.name = "two domains",
       .texts = two,
       .from = "x@a.example, y@b.example",
       .expected = "permerror",
       .spf = "a.example"},
      {.name = "no address", .texts = two, .from = "nobody:;", .expected = "permerror"},
      {.name = "a field that does not parse",
       .texts = two,
       .from = "x@a.example y",
       .expected = "permerror",
       .spf = "a.example"},
      {.name = "a domain literal", .texts = two, .from = "x@[192.0.2.1]", .expected = "permerror"},
      {.name = "each: the strictest failure counts",
       .texts = two,
       .from = "x@a.example, y@b.example",
       .expected = "fail p=reject -> reject b.example",
       .options = each},
      {.name = "each: one passes, the other fails",
       .texts = two,
       .from = "x@a.example, y@b.example",
       .expected = "fail p=quarantine -> quarantine a.example",
       .spf = "b.example",
       .options = each},
      {.name = "each: a domain without a record counts before one that passes",
       .texts = two,
       .from = "x@a.example, y@c.example",
       .expected = "none c.example at:",
       .spf = "a.example",
       .options = each},
      {.name = "each: all pass",
       .texts = two,
       .from = "x@a.example, y@b.example",
       .expected = "pass p=quarantine spf a.example",
       .spf = "a.example",
       .dkim = {{"b.example"}},
       .options = each},
      {.name = "each: a temporary failure counts before quarantine",
       .texts = two,
       .from = "x@a.example, y@d.example",
       .expected = "temperror d.example at:",
       .failing = {"_dmarc.d.example"},
       .options = each},
      {.name = "each: five domains are too many",
       .texts = two,
       .from = "x@1.example, x@2.example, x@3.example, x@4.example, x@b.example",
       .expected = "permerror",
       .options = each},
  };
  // In "all pass" SPF is of one author and DKIM of the other; both have an identifier of their own.
  expect_all(rows);
}

TEST(CheckDmarc, IsPreliminaryAndNeedsTwoRoundsForTheUsualSender) {
  const Outcome usual = run({.name = {},
                             .texts = reject,
                             .from = "a@news.example.com",
                             .expected = {},
                             .spf = "bounce.example.com",
                             .dkim = {{"example.com"}, {"mailer.net"}}});
  EXPECT_EQ(summary(usual.verdict), "pass p=reject spf dkim news.example.com org:example.com at:example.com");
  EXPECT_EQ(usual.asked.rounds, 1U);
  // _dmarc of news.example.com, example.com, com, bounce.example.com; nothing of mailer.net.
  EXPECT_EQ(usual.asked.questions.size(), 4U);
}

TEST(CheckDmarc, ManySignaturesAreLookedAtOnlyUpToALimit) {
  Row row{.name = {}, .texts = reject, .from = "a@example.com", .expected = {}};
  for (int i = 0; i < 300; ++i) row.dkim.push_back({"d" + std::to_string(i) + ".example.com"});
  const Outcome got = run(row);
  EXPECT_EQ(got.verdict.result, DmarcResult::pass);
  EXPECT_LE(got.asked.questions.size(), 2 + most_dmarc_signatures);
}

TEST(CheckDmarc, GivesWhatReportsNeed) {
  const std::string record = "v=DMARC1; p=reject; rua=mailto:a@example.com!10m,https://r.example/; t=y; adkim=s";
  const DmarcVerdict verdict =
      run({.name = {}, .texts = {{"_dmarc.example.com", {record}}}, .from = "a@example.com", .expected = {}}).verdict;
  EXPECT_EQ(verdict.record, record);
  EXPECT_EQ(verdict.rua, (std::vector<std::string>{"mailto:a@example.com!10m", "https://r.example/"}));
  EXPECT_TRUE(verdict.testing);
  EXPECT_TRUE(verdict.strict_dkim);
  EXPECT_FALSE(verdict.strict_spf);
}

} // namespace dmarc_test
} // namespace auth
