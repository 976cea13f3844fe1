// judge_tls and requirement_key: level by facts.
#include <gtest/gtest.h>

#include "policy/requirement.hpp"
#include "policy/tls_sources.hpp"

namespace judge_tls_test {

using namespace policy;
using tls::Level;

tls::CertificateFacts certificate(const std::string &subject, const std::string &issuer, std::vector<std::string> names,
                                  const std::string &key) {
  tls::CertificateFacts facts;
  facts.subject = subject;
  facts.issuer = issuer;
  facts.dns_names = std::move(names);
  facts.spki_sha256 = key;
  return facts;
}

enum class Chain { none, trusted, untrusted, not_verified };

tls::Facts session(Chain chain, std::vector<std::string> names = {"mx.a.example"}) {
  tls::Facts facts;
  facts.encrypted = true;
  if (chain == Chain::none) return facts;
  facts.chain = {certificate("CN=mx", "CN=CA", std::move(names), "leaf"), certificate("CN=CA", "CN=Root", {}, "ca"),
                 certificate("CN=Stray", "CN=Root", {}, "stray")};
  if (chain != Chain::not_verified)
    facts.verdict = tls::ChainVerdict{.trusted = chain == Chain::trusted,
                                      .reason = chain == Chain::trusted ? "" : "certificate has expired"};
  if (chain == Chain::trusted) facts.verdict->keys = {"leaf", "ca", "root"};
  return facts;
}

/// Linked by name only: the chain that was verified goes another way.
tls::Facts forged_issuer() {
  tls::Facts facts = session(Chain::trusted);
  facts.chain[1] = certificate("CN=CA", "CN=Root", {}, "pinned ca");
  return facts;
}

const tls::Facts clear_text;

struct Row {
  const char *name;
  Level level;
  tls::Facts facts;
  std::vector<std::string> pins;
  std::vector<std::string> references = {"mx.a.example"};
  VerdictKind kind;
  Level got;
  const char *reason;
};

const std::vector<Row> rows = {
    {"none takes clear text",
     Level::none,
     clear_text,
     {},
     {"mx.a.example"},
     VerdictKind::satisfied,
     Level::none,
     "the session is not encrypted"},
    {"opportunistic takes clear text",
     Level::opportunistic,
     clear_text,
     {},
     {"mx.a.example"},
     VerdictKind::satisfied,
     Level::none,
     "the session is not encrypted"},
    {"opportunistic takes an untrusted certificate and records it",
     Level::opportunistic,
     session(Chain::untrusted),
     {},
     {"mx.a.example"},
     VerdictKind::satisfied,
     Level::encrypted,
     "the certificate is not trusted: certificate has expired"},
    {"opportunistic records what was proven",
     Level::opportunistic,
     session(Chain::trusted),
     {},
     {"mx.a.example"},
     VerdictKind::satisfied,
     Level::authenticated,
     "the certificate proves mx.a.example"},
    {"opportunistic never refuses for a pin",
     Level::opportunistic,
     session(Chain::trusted),
     {"other"},
     {"mx.a.example"},
     VerdictKind::satisfied,
     Level::encrypted,
     "no key in the certificate chain is pinned"},
    {"encrypted refuses clear text",
     Level::encrypted,
     clear_text,
     {},
     {"mx.a.example"},
     VerdictKind::not_encrypted,
     Level::none,
     "the session is not encrypted"},
    {"encrypted takes a session without a certificate",
     Level::encrypted,
     session(Chain::none),
     {},
     {"mx.a.example"},
     VerdictKind::satisfied,
     Level::encrypted,
     "no certificate was shown"},
    {"encrypted takes a wrong name and records it",
     Level::encrypted,
     session(Chain::trusted, {"x.example"}),
     {},
     {"mx.a.example"},
     VerdictKind::satisfied,
     Level::encrypted,
     "the certificate is for x.example, not for mx.a.example"},
    {"encrypted keeps a pin that stands there",
     Level::encrypted,
     session(Chain::trusted),
     {"other"},
     {"mx.a.example"},
     VerdictKind::wrong_pin,
     Level::encrypted,
     "no key in the certificate chain is pinned"},
    {"encrypted with a pin wants a certificate",
     Level::encrypted,
     session(Chain::none),
     {"leaf"},
     {"mx.a.example"},
     VerdictKind::no_certificate,
     Level::encrypted,
     "no certificate was shown"},
    {"authenticated refuses clear text",
     Level::authenticated,
     clear_text,
     {},
     {"mx.a.example"},
     VerdictKind::not_encrypted,
     Level::none,
     "the session is not encrypted"},
    {"authenticated refuses a session without a certificate",
     Level::authenticated,
     session(Chain::none),
     {},
     {"mx.a.example"},
     VerdictKind::no_certificate,
     Level::encrypted,
     "no certificate was shown"},
    {"authenticated refuses an expired certificate",
     Level::authenticated,
     session(Chain::untrusted),
     {},
     {"mx.a.example"},
     VerdictKind::untrusted,
     Level::encrypted,
     "the certificate is not trusted: certificate has expired"},
    {"authenticated refuses a chain that nobody verified",
     Level::authenticated,
     session(Chain::not_verified),
     {},
     {"mx.a.example"},
     VerdictKind::untrusted,
     Level::encrypted,
     "the certificate chain was not verified"},
    {"authenticated refuses a wrong name",
     Level::authenticated,
     session(Chain::trusted, {"mx.other.example"}),
     {},
     {"mx.a.example"},
     VerdictKind::wrong_name,
     Level::encrypted,
     "the certificate is for mx.other.example, not for mx.a.example"},
    {"authenticated refuses a certificate without names",
     Level::authenticated,
     session(Chain::trusted, {}),
     {},
     {"mx.a.example"},
     VerdictKind::wrong_name,
     Level::encrypted,
     "the certificate is for no name, not for mx.a.example"},
    {"authenticated without a reference can prove nothing",
     Level::authenticated,
     session(Chain::trusted),
     {},
     {},
     VerdictKind::wrong_name,
     Level::encrypted,
     "there is no name that the certificate could prove"},
    {"many names are cut",
     Level::authenticated,
     session(Chain::trusted, {"a.x", "b.x", "c.x", "d.x", "e.x"}),
     {},
     {"mx.a.example"},
     VerdictKind::wrong_name,
     Level::encrypted,
     "the certificate is for a.x, b.x, c.x and 2 more, not for mx.a.example"},
    {"a hostile name is escaped",
     Level::authenticated,
     session(Chain::trusted, {"a\r\nb"}),
     {},
     {"mx.a.example"},
     VerdictKind::wrong_name,
     Level::encrypted,
     "the certificate is for a\\x0d\\x0ab, not for mx.a.example"},
    {"authenticated takes a trusted certificate with the name",
     Level::authenticated,
     session(Chain::trusted),
     {},
     {"mx.a.example"},
     VerdictKind::satisfied,
     Level::authenticated,
     "the certificate proves mx.a.example"},
    {"a wildcard certificate covers one label",
     Level::authenticated,
     session(Chain::trusted, {"*.a.example"}),
     {},
     {"mx.a.example"},
     VerdictKind::satisfied,
     Level::authenticated,
     "the certificate proves *.a.example"},
    {"a wildcard certificate does not cover two labels",
     Level::authenticated,
     session(Chain::trusted, {"*.example"}),
     {},
     {"mx.a.example"},
     VerdictKind::wrong_name,
     Level::encrypted,
     "the certificate is for *.example, not for mx.a.example"},
    {"a pattern reference takes one label",
     Level::authenticated,
     session(Chain::trusted),
     {},
     {"*.a.example"},
     VerdictKind::satisfied,
     Level::authenticated,
     "the certificate proves mx.a.example"},
    {"a pattern reference does not take two labels",
     Level::authenticated,
     session(Chain::trusted, {"x.mx.a.example"}),
     {},
     {"*.a.example"},
     VerdictKind::wrong_name,
     Level::encrypted,
     "the certificate is for x.mx.a.example, not for *.a.example"},
    {"a pinned leaf in a trusted chain is good",
     Level::authenticated,
     session(Chain::trusted),
     {"old", "leaf"},
     {"mx.a.example"},
     VerdictKind::satisfied,
     Level::authenticated,
     "the certificate proves mx.a.example"},
    {"a pinned CA in a trusted chain is good",
     Level::authenticated,
     session(Chain::trusted),
     {"ca"},
     {"mx.a.example"},
     VerdictKind::satisfied,
     Level::authenticated,
     "the certificate proves mx.a.example"},
    {"a pinned anchor that the peer did not send is good",
     Level::authenticated,
     session(Chain::trusted),
     {"root"},
     {"mx.a.example"},
     VerdictKind::satisfied,
     Level::authenticated,
     "the certificate proves mx.a.example"},
    {"a pinned CA that the leaf names as its issuer, and that never signed it, does not count",
     Level::authenticated,
     forged_issuer(),
     {"pinned ca"},
     {"mx.a.example"},
     VerdictKind::wrong_pin,
     Level::encrypted,
     "no key in the certificate chain is pinned"},
    {"a pinned leaf is trusted by itself",
     Level::authenticated,
     session(Chain::untrusted),
     {"leaf"},
     {"mx.a.example"},
     VerdictKind::satisfied,
     Level::authenticated,
     "the certificate proves mx.a.example"},
    {"a pinned CA does not make an untrusted chain good",
     Level::authenticated,
     session(Chain::untrusted),
     {"ca"},
     {"mx.a.example"},
     VerdictKind::untrusted,
     Level::encrypted,
     "the certificate is not trusted: certificate has expired"},
    {"a pinned certificate that only lies beside the chain does not count",
     Level::authenticated,
     session(Chain::trusted),
     {"stray"},
     {"mx.a.example"},
     VerdictKind::wrong_pin,
     Level::encrypted,
     "no key in the certificate chain is pinned"},
    {"a trusted chain without the pin is refused",
     Level::authenticated,
     session(Chain::trusted),
     {"other"},
     {"mx.a.example"},
     VerdictKind::wrong_pin,
     Level::encrypted,
     "no key in the certificate chain is pinned"},
    {"a pinned leaf still needs the name",
     Level::authenticated,
     session(Chain::untrusted, {"x.example"}),
     {"leaf"},
     {"mx.a.example"},
     VerdictKind::wrong_name,
     Level::encrypted,
     "the certificate is for x.example, not for mx.a.example"},
    {"dane fails closed even for a good certificate",
     Level::dane,
     session(Chain::trusted),
     {},
     {"mx.a.example"},
     VerdictKind::no_dane_match,
     Level::authenticated,
     "DANE is demanded and no TLSA record was matched"},
    {"dane refuses clear text",
     Level::dane,
     clear_text,
     {},
     {"mx.a.example"},
     VerdictKind::not_encrypted,
     Level::none,
     "the session is not encrypted"},
};

TEST(JudgeTls, Table) {
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    Requirement requirement;
    requirement.level = row.level;
    requirement.pins = row.pins;
    requirement.references = row.references;
    const auto verdict = judge_tls(requirement, row.facts);
    EXPECT_EQ(verdict.kind, row.kind) << to_string(verdict.kind);
    EXPECT_EQ(verdict.got, row.got) << tls::to_string(verdict.got);
    EXPECT_EQ(verdict.reason, row.reason);
    EXPECT_EQ(verdict.ok(), row.kind == VerdictKind::satisfied);
    EXPECT_EQ(verdict.matched_name.empty(),
              verdict.got != Level::authenticated || verdict.kind == VerdictKind::no_dane_match);
  }
}

TEST(JudgeTls, ImplicitTlsWithoutTlsIsAFailure) {
  Requirement requirement;
  requirement.implicit_tls = true;
  EXPECT_EQ(judge_tls(requirement, clear_text).kind, VerdictKind::not_encrypted);
}

// What one connection proved may be used for another only when everything that was demanded is the same.
TEST(RequirementKey, DiffersInEverythingThatIsDemanded) {
  Requirement base;
  base.level = Level::authenticated;
  base.references = {"a.example"};
  std::vector<Requirement> others(8, base);
  others[0].level = Level::encrypted;
  others[1].profile = "ncsc";
  others[2].trust = "/ca.pem";
  others[3].references = {"b.example"};
  others[4].pins = {"AAAA"};
  others[5].client_certificate = "ours";
  others[6].implicit_tls = true;
  others[7].references = {"a.example", "b.example"};
  for (std::size_t i = 0; i < others.size(); ++i) {
    EXPECT_NE(requirement_key(base), requirement_key(others[i])) << i;
    for (std::size_t j = 0; j < i; ++j)
      EXPECT_NE(requirement_key(others[j]), requirement_key(others[i])) << i << ' ' << j;
  }
  Requirement same = base;
  same.rule = "another rule";
  EXPECT_EQ(requirement_key(base), requirement_key(same));
}

TEST(RequirementKey, NamesThatAreNotDemandedDoNotKeepConnectionsApart) {
  Requirement one;
  one.references = {"a.example"};
  Requirement two;
  two.references = {"b.example"};
  two.trust = "/ca.pem";
  EXPECT_EQ(requirement_key(one), requirement_key(two));
}

Requirement demand_dane(bool and_certificate = false) {
  Requirement requirement;
  requirement.level = Level::dane;
  requirement.tlsa = {{3, 1, 1, "a"}};
  requirement.dane_names = {"mx.a.example"};
  requirement.references = {"mx.a.example"};
  requirement.and_certificate = and_certificate;
  return requirement;
}

tls::Facts with_dane(tls::Facts facts, bool matched) {
  facts.dane = tls::DaneVerdict{
      .matched = matched, .reason = matched ? "3 1 1 at depth 0" : "no key is the same", .name = "mx.a.example"};
  return facts;
}

struct DaneRow {
  const char *name;
  Requirement requirement;
  tls::Facts facts;
  VerdictKind kind;
  Level got;
  const char *reason;
  TlsFault fault;
};

TEST(JudgeTls, Dane) {
  Requirement nothing = demand_dane();
  nothing.tlsa.clear();
  auto revoked = with_dane(session(Chain::untrusted), true);
  revoked.verdict->fault = tls::ChainFault::revoked;
  const std::vector<DaneRow> table = {
      {"a match is enough, whatever the chain", demand_dane(), with_dane(session(Chain::untrusted), true),
       VerdictKind::satisfied, Level::dane, "the TLSA record matches: 3 1 1 at depth 0", TlsFault::none},
      {"a trusted chain without a match is not", demand_dane(), with_dane(session(Chain::trusted), false),
       VerdictKind::no_dane_match, Level::authenticated, "no TLSA record matches the certificate: no key is the same",
       TlsFault::validation_failure},
      {"facts without a DANE verdict fail closed", demand_dane(), session(Chain::trusted), VerdictKind::no_dane_match,
       Level::authenticated, "DANE is demanded and no TLSA record was matched", TlsFault::validation_failure},
      {"no records: nothing can match, whatever the facts say", nothing, with_dane(session(Chain::trusted), true),
       VerdictKind::no_dane_match, Level::authenticated, "DANE is demanded and no TLSA record was matched",
       TlsFault::dane_required},
      {"no certificate", demand_dane(), session(Chain::none), VerdictKind::no_certificate, Level::encrypted,
       "no certificate was shown", TlsFault::validation_failure},
      {"clear text", demand_dane(), clear_text, VerdictKind::not_encrypted, Level::none, "the session is not encrypted",
       TlsFault::starttls_not_supported},
      {"beside it the certificate is good as well", demand_dane(true), with_dane(session(Chain::trusted), true),
       VerdictKind::satisfied, Level::dane, "the TLSA record matches: 3 1 1 at depth 0", TlsFault::none},
      {"beside it the chain is not trusted", demand_dane(true), with_dane(session(Chain::untrusted), true),
       VerdictKind::untrusted, Level::encrypted,
       "DANE matches, and the partner's rule holds beside it: the certificate is not trusted: certificate has expired",
       TlsFault::certificate_not_trusted},
      {"beside it the name is wrong", demand_dane(true), with_dane(session(Chain::trusted, {"x.example"}), true),
       VerdictKind::wrong_name, Level::encrypted,
       "DANE matches, and the partner's rule holds beside it: the certificate is for x.example, not for mx.a.example",
       TlsFault::certificate_host_mismatch},
      {"beside it the certificate is revoked", demand_dane(true), revoked, VerdictKind::revoked, Level::encrypted,
       "DANE matches, and the partner's rule holds beside it: the certificate is revoked: certificate has expired",
       TlsFault::certificate_not_trusted},
      {"revocation is nothing to DANE alone", demand_dane(), revoked, VerdictKind::satisfied, Level::dane,
       "the TLSA record matches: 3 1 1 at depth 0", TlsFault::none},
  };
  for (const auto &row : table) {
    SCOPED_TRACE(row.name);
    const auto verdict = judge_tls(row.requirement, row.facts);
    EXPECT_EQ(verdict.kind, row.kind) << to_string(verdict.kind);
    EXPECT_EQ(verdict.got, row.got) << tls::to_string(verdict.got);
    EXPECT_EQ(verdict.reason, row.reason);
    EXPECT_EQ(fault_of(row.requirement, verdict, row.facts), row.fault) << to_string(row.fault);
  }
}

TEST(FaultOf, EveryKindHasItsWord) {
  Requirement requirement;
  requirement.level = Level::authenticated;
  const auto fault = [&](VerdictKind kind, tls::ChainFault chain = tls::ChainFault::none) {
    Verdict verdict;
    verdict.kind = kind;
    verdict.chain_fault = chain;
    return fault_of(requirement, verdict, {});
  };
  EXPECT_EQ(fault(VerdictKind::satisfied), TlsFault::none);
  EXPECT_EQ(fault(VerdictKind::no_requiretls), TlsFault::none);
  EXPECT_EQ(fault(VerdictKind::not_encrypted), TlsFault::starttls_not_supported);
  EXPECT_EQ(fault(VerdictKind::wrong_name), TlsFault::certificate_host_mismatch);
  EXPECT_EQ(fault(VerdictKind::untrusted, tls::ChainFault::expired), TlsFault::certificate_expired);
  EXPECT_EQ(fault(VerdictKind::untrusted, tls::ChainFault::untrusted), TlsFault::certificate_not_trusted);
  EXPECT_EQ(fault(VerdictKind::untrusted), TlsFault::certificate_not_trusted);
  EXPECT_EQ(fault(VerdictKind::revoked), TlsFault::certificate_not_trusted);
  EXPECT_EQ(fault(VerdictKind::no_certificate), TlsFault::validation_failure);
  EXPECT_EQ(fault(VerdictKind::wrong_pin), TlsFault::validation_failure);
  EXPECT_EQ(fault(VerdictKind::outside_profile), TlsFault::validation_failure);
}

TEST(FaultOf, UnderDaneNamesAndDatesHaveTheirOwnWords) {
  Requirement requirement = demand_dane();
  tls::Facts facts = session(Chain::untrusted);
  const auto fault = [&](tls::DaneFault why) {
    facts.dane = tls::DaneVerdict{.matched = false, .reason = "why", .name = {}, .fault = why};
    return fault_of(requirement, judge_tls(requirement, facts), facts);
  };
  EXPECT_EQ(fault(tls::DaneFault::wrong_name), TlsFault::certificate_host_mismatch);
  EXPECT_EQ(fault(tls::DaneFault::expired), TlsFault::certificate_expired);
  EXPECT_EQ(fault(tls::DaneFault::no_match), TlsFault::validation_failure);
  requirement.tlsa.clear();
  EXPECT_EQ(fault(tls::DaneFault::expired), TlsFault::dane_required) << "there is nothing to match";
}

TEST(JudgeTls, EveryDemandForAuthenticatedMustHold) {
  Requirement requirement;
  requirement.level = Level::authenticated;
  requirement.references = {"mx.a.example"};
  requirement.also = {{.trust = "/private.pem",
                       .references = {"*.a.example"},
                       .pins = {"private ca"},
                       .crls = {},
                       .rule = "the route"}};
  tls::Facts facts = session(Chain::trusted);
  EXPECT_EQ(judge_tls(requirement, facts).kind, VerdictKind::untrusted) << "nobody asked the other store";
  const tls::ChainVerdict good{
      .trusted = true, .reason = {}, .fault = tls::ChainFault::none, .keys = {"leaf", "private ca"}};
  facts.others = {{"/private.pem", good}};
  EXPECT_TRUE(judge_tls(requirement, facts).ok()) << judge_tls(requirement, facts).reason;
  EXPECT_EQ(judge_tls(requirement, facts).got, Level::authenticated);
  facts.others.front().verdict.keys = {"leaf", "another ca"};
  auto verdict = judge_tls(requirement, facts);
  EXPECT_EQ(verdict.kind, VerdictKind::wrong_pin);
  EXPECT_EQ(verdict.got, Level::encrypted);
  EXPECT_EQ(verdict.reason, "the route also has to be satisfied: no key in the certificate chain is pinned");
  facts.others.front().verdict = {
      .trusted = false, .reason = "certificate has expired", .fault = tls::ChainFault::expired};
  verdict = judge_tls(requirement, facts);
  EXPECT_EQ(verdict.kind, VerdictKind::untrusted);
  EXPECT_EQ(fault_of(requirement, verdict, facts), TlsFault::certificate_expired);
  requirement.also.front().references = {"hub.example"};
  facts.others.front().verdict = good;
  EXPECT_EQ(judge_tls(requirement, facts).kind, VerdictKind::wrong_name);
  Requirement alone = requirement;
  alone.also.clear();
  EXPECT_NE(requirement_key(alone), requirement_key(requirement)) << "such connections are not shared";
}

TEST(JudgeProfile, ASessionThatTheProfileWouldNotHaveMadeIsRefusedFromEncrypted) {
  tls::Facts facts = session(Chain::trusted);
  facts.version = tls::Version::tls1_2;
  facts.suite = "ECDHE-ECDSA-AES256-SHA384";
  Requirement requirement;
  requirement.references = {"mx.a.example"};
  for (const auto level : {Level::opportunistic, Level::encrypted, Level::authenticated}) {
    requirement.level = level;
    requirement.profile = "ncsc";
    const auto verdict = judge_profile(requirement, judge_tls(requirement, facts), facts);
    EXPECT_EQ(verdict.kind, level == Level::opportunistic ? VerdictKind::satisfied : VerdictKind::outside_profile);
    if (!verdict.ok()) {
      EXPECT_EQ(verdict.reason, "TLSv1.2 ECDHE-ECDSA-AES256-SHA384 is outside profile ncsc; the peer may offer more: "
                                "--probe tells");
    }
    requirement.profile = "internet";
    EXPECT_TRUE(judge_profile(requirement, judge_tls(requirement, facts), facts).ok());
  }
  requirement.profile = "ncsc";
  requirement.references = {"other.example"};
  EXPECT_EQ(judge_profile(requirement, judge_tls(requirement, facts), facts).kind, VerdictKind::wrong_name)
      << "what was wrong before stays the reason";
}

TEST(JudgeTls, APinnedKeyBesideListsOfRevokedCertificatesNeedsATrustedChain) {
  Requirement requirement;
  requirement.level = Level::authenticated;
  auto facts = session(Chain::untrusted);
  requirement.references = facts.chain.front().dns_names;
  requirement.pins = {facts.chain.front().spki_sha256};
  ASSERT_TRUE(judge_tls(requirement, facts).ok()) << "a pin is trusted by itself";
  requirement.crls = {"/list.pem"};
  EXPECT_EQ(judge_tls(requirement, facts).kind, VerdictKind::untrusted)
      << "the key may have been taken back: its thief can put it into a certificate of his own";
  EXPECT_TRUE(judge_tls(requirement, session(Chain::trusted)).ok());
}

TEST(Requiretls, AListThatWeLackIsNoReasonToGiveUp) {
  Requirement requirement;
  requirement.level = Level::authenticated;
  requirement.requiretls = true;
  auto facts = session(Chain::untrusted);
  requirement.references = facts.chain.front().dns_names;
  EXPECT_TRUE(is_final(requirement, judge_tls(requirement, facts)));
  facts.verdict->fault = tls::ChainFault::revoked;
  EXPECT_TRUE(is_final(requirement, judge_tls(requirement, facts)));
  facts.verdict->fault = tls::ChainFault::no_revocation;
  EXPECT_FALSE(is_final(requirement, judge_tls(requirement, facts)));
}

TEST(Requiretls, NeedsTlsAndTheHostsOffer) {
  Requirement requirement;
  requirement.level = Level::opportunistic;
  requirement.requiretls = true;
  EXPECT_FALSE(allows_clear_text(requirement));
  EXPECT_EQ(judge_tls(requirement, clear_text).kind, VerdictKind::not_encrypted) << "whatever the level";
  const auto good = judge_tls(requirement, session(Chain::trusted));
  EXPECT_TRUE(judge_requiretls(requirement, good, true).ok());
  const auto refused = judge_requiretls(requirement, good, false);
  EXPECT_EQ(refused.kind, VerdictKind::no_requiretls);
  EXPECT_TRUE(is_final(requirement, refused));
  EXPECT_FALSE(is_final(requirement, good));
  requirement.requiretls = false;
  EXPECT_TRUE(judge_requiretls(requirement, good, false).ok()) << "nobody asked for it";
  EXPECT_FALSE(is_final(requirement, refused));
  EXPECT_TRUE(is_final(Unusable{Source::requiretls, "", TlsFault::validation_failure}));
  EXPECT_FALSE(is_final(Unusable{Source::mta_sts, "", TlsFault::validation_failure}));
  EXPECT_FALSE(is_final(Unusable{Source::dane, "", TlsFault::dnssec_invalid}));
}

TEST(RequirementKey, TlsaRecordsListsAndRequiretlsKeepConnectionsApart) {
  const Requirement base = demand_dane();
  std::vector<Requirement> others(7, base);
  others[0].tlsa = {{3, 1, 1, "b"}};
  others[1].tlsa = {{2, 1, 1, "a"}};
  others[2].tlsa.push_back({3, 0, 1, "a"});
  others[3].dane_names = {"mx.a.example", "a.example"};
  others[4].server_name = "other.example";
  others[5].requiretls = true;
  others[6].and_certificate = true;
  for (std::size_t i = 0; i < others.size(); ++i) {
    EXPECT_NE(requirement_key(base), requirement_key(others[i])) << i;
    for (std::size_t j = 0; j < i; ++j)
      EXPECT_NE(requirement_key(others[j]), requirement_key(others[i])) << i << ' ' << j;
  }
  Requirement other_reference = base;
  other_reference.references = {"x.example"};
  EXPECT_EQ(requirement_key(base), requirement_key(other_reference)) << "DANE alone does not ask for it";
  other_reference.and_certificate = true;
  EXPECT_NE(requirement_key(others[6]), requirement_key(other_reference));

  Requirement listed;
  listed.level = Level::authenticated;
  Requirement unlisted = listed;
  listed.crls = {"/list.pem"};
  EXPECT_NE(requirement_key(listed), requirement_key(unlisted));
  listed.level = unlisted.level = Level::encrypted;
  EXPECT_EQ(requirement_key(listed), requirement_key(unlisted));
}

TEST(PolicyWords, EveryEnumeratorHasItsWord) {
  EXPECT_STREQ(to_string(NameTrust::none), "none");
  EXPECT_STREQ(to_string(NameTrust::sts), "sts");
  EXPECT_STREQ(to_string(NameTrust::dnssec), "dnssec");
  EXPECT_STREQ(to_string(NameTrust::configured), "configured");
  EXPECT_STREQ(to_string(Mode::observe), "observe");
  EXPECT_STREQ(to_string(Mode::enforce), "enforce");
  EXPECT_STREQ(to_string(VerdictKind::satisfied), "satisfied");
  EXPECT_STREQ(to_string(VerdictKind::not_encrypted), "not_encrypted");
  EXPECT_STREQ(to_string(VerdictKind::no_certificate), "no_certificate");
  EXPECT_STREQ(to_string(VerdictKind::untrusted), "untrusted");
  EXPECT_STREQ(to_string(VerdictKind::wrong_name), "wrong_name");
  EXPECT_STREQ(to_string(VerdictKind::wrong_pin), "wrong_pin");
  EXPECT_STREQ(to_string(VerdictKind::no_dane_match), "no_dane_match");
  EXPECT_STREQ(to_string(VerdictKind::revoked), "revoked");
  EXPECT_STREQ(to_string(VerdictKind::no_requiretls), "no_requiretls");
  EXPECT_STREQ(to_string(VerdictKind::outside_profile), "outside_profile");
  EXPECT_STREQ(to_string(DaneFacts::State::off), "off");
  EXPECT_STREQ(to_string(DaneFacts::State::insecure), "insecure");
  EXPECT_STREQ(to_string(DaneFacts::State::none), "none");
  EXPECT_STREQ(to_string(DaneFacts::State::unusable), "unusable");
  EXPECT_STREQ(to_string(DaneFacts::State::usable), "usable");
  EXPECT_STREQ(to_string(DaneFacts::State::failed), "failed");
  EXPECT_STREQ(to_string(StsFacts::State::off), "off");
  EXPECT_STREQ(to_string(StsFacts::State::none), "none");
  EXPECT_STREQ(to_string(StsFacts::State::testing), "testing");
  EXPECT_STREQ(to_string(StsFacts::State::enforce), "enforce");
  EXPECT_STREQ(to_string(StsFacts::State::failed), "failed");
  EXPECT_STREQ(to_string(Wish::none), "none");
  EXPECT_STREQ(to_string(Wish::require_tls), "requiretls");
  EXPECT_STREQ(to_string(Wish::tls_optional), "tls-required-no");
  EXPECT_STREQ(to_string(Wish::tls_optional_outside), "tls-required-no-outside");
  EXPECT_STREQ(to_string(Wish::report), "report");
}

} // namespace judge_tls_test
