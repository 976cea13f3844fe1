// judge_sender: what a sender's domain must show, and the words of the refusal.
#include <gtest/gtest.h>

#include "policy/decide.hpp"

namespace judge_sender_test {

const std::chrono::system_clock::time_point now = std::chrono::sys_days(std::chrono::year(2026) / 11 / 20);

using namespace policy;
using tls::Level;

enum class Session { clear, no_certificate, untrusted, wrong_name, good, self_signed_pinned };

tls::Facts facts_of(Session session) {
  tls::Facts facts;
  if (session == Session::clear) return facts;
  facts.encrypted = true;
  if (session == Session::no_certificate) return facts;
  tls::CertificateFacts leaf;
  leaf.dns_names = {session == Session::wrong_name ? "mx.other.example" : "mx.partner.example"};
  leaf.spki_sha256 = session == Session::self_signed_pinned ? "pinned" : "key";
  facts.chain = {leaf};
  facts.verdict =
      tls::ChainVerdict{.trusted = session == Session::good || session == Session::wrong_name, .reason = ""};
  if (!facts.verdict->trusted) facts.verdict->reason = "self-signed certificate";
  return facts;
}

InboundRule rule(Level level) {
  InboundRule result;
  result.level = level;
  result.place = "partners.d/p.toml:12";
  if (level == Level::authenticated) result.names = {"*.partner.example"};
  return result;
}

PartnerTable table(InboundRule inbound) {
  Partner partner;
  partner.name = "P";
  partner.domains = {smtp::DomainPattern::parse("partner.example").value()};
  partner.inbound = std::move(inbound);
  return PartnerTable::build({partner}).value();
}

smtp::ReversePath sender(std::string_view text) {
  return smtp::ReversePath::parse(text).value();
}
const auto client = smtp::IpAddress::parse("192.0.2.7").value();

struct Row {
  const char *name;
  Level level;
  Session session;
  std::vector<std::string> networks;
  std::vector<std::string> pins;
  const char *refusal; ///< to_line(), or empty
};

const std::vector<Row> rows = {
    {"encrypted: TLS is enough", Level::encrypted, Session::no_certificate, {}, {}, ""},
    {"encrypted: an untrusted certificate is no matter", Level::encrypted, Session::untrusted, {}, {}, ""},
    {"encrypted: clear text is refused",
     Level::encrypted,
     Session::clear,
     {},
     {},
     "550 5.7.10 mail from partner.example: this domain's policy demands an encrypted session; start TLS"},
    {"authenticated: the right certificate", Level::authenticated, Session::good, {}, {}, ""},
    {"authenticated: clear text is refused",
     Level::authenticated,
     Session::clear,
     {},
     {},
     "550 5.7.10 mail from partner.example: this domain's policy demands an encrypted session; start TLS"},
    {"authenticated: no certificate",
     Level::authenticated,
     Session::no_certificate,
     {},
     {},
     "550 5.7.1 mail from partner.example: this domain's policy demands a client certificate; none was shown"},
    {"authenticated: an untrusted certificate",
     Level::authenticated,
     Session::untrusted,
     {},
     {},
     "550 5.7.1 mail from partner.example: this domain's policy demands a trusted client certificate; the certificate "
     "is not trusted: self-signed certificate"},
    {"authenticated: a wrong name",
     Level::authenticated,
     Session::wrong_name,
     {},
     {},
     "550 5.7.1 mail from partner.example: this domain's policy demands a client certificate for *.partner.example; "
     "the certificate is for mx.other.example, not for *.partner.example"},
    {"authenticated: a key that is not pinned",
     Level::authenticated,
     Session::good,
     {},
     {"pinned"},
     "550 5.7.1 mail from partner.example: this domain's policy demands a client certificate with a pinned key; no key "
     "in the certificate chain is pinned"},
    {"authenticated: a pinned self-signed certificate",
     Level::authenticated,
     Session::self_signed_pinned,
     {},
     {"pinned"},
     ""},
    {"authenticated: TLS from the right network stands in for a certificate",
     Level::authenticated,
     Session::no_certificate,
     {"192.0.2.0/24"},
     {},
     ""},
    {"authenticated: the right network in clear is refused",
     Level::authenticated,
     Session::clear,
     {"192.0.2.0/24"},
     {},
     "550 5.7.10 mail from partner.example: this domain's policy demands an encrypted session; start TLS"},
    {"authenticated: the wrong network without a certificate",
     Level::authenticated,
     Session::no_certificate,
     {"198.51.100.0/24"},
     {},
     "550 5.7.1 mail from partner.example: this domain's policy demands a client certificate; none was shown, and "
     "192.0.2.7 is not in its networks"},
    {"authenticated: the wrong network with the right certificate",
     Level::authenticated,
     Session::good,
     {"198.51.100.0/24"},
     {},
     ""},
};

TEST(JudgeSender, Table) {
  for (const auto &row : rows)
    for (const auto mode : {Mode::enforce, Mode::observe})
      for (const auto on_failure : {OnFailure::reject, OnFailure::defer}) {
        SCOPED_TRACE(row.name);
        auto inbound = rule(row.level);
        inbound.mode = mode;
        inbound.on_failure = on_failure;
        inbound.pins = row.pins;
        for (const auto &network : row.networks) inbound.networks.push_back(smtp::Network::parse(network).value());
        const auto facts = facts_of(row.session);
        const auto verdict =
            judge_sender(table(inbound), sender("<a@partner.example>"), {.client = client, .facts = &facts}, now);
        const bool fails = *row.refusal != '\0';
        EXPECT_EQ(verdict.satisfied, !fails);
        EXPECT_EQ(verdict.wanted, row.level);
        EXPECT_EQ(verdict.mode, mode);
        EXPECT_EQ(verdict.rule, "partners.d/p.toml:12 P [inbound]");
        EXPECT_FALSE(verdict.reason.empty());
        EXPECT_EQ(verdict.refusal.has_value(), fails && mode == Mode::enforce);
        if (!verdict.refusal) continue;
        std::string expected = row.refusal;
        if (on_failure == OnFailure::defer) expected.replace(0, 5, "450 4");
        EXPECT_EQ(verdict.refusal->to_line(), expected);
      }
}

TEST(JudgeSender, NoFactsAreClearText) {
  EXPECT_EQ(judge_sender(table(rule(Level::encrypted)), sender("<a@partner.example>"),
                         {.client = client, .facts = nullptr}, now)
                .refusal->code,
            550);
}

TEST(JudgeSender, WithoutNamesTheSendersDomainMustBeInTheCertificate) {
  auto inbound = rule(Level::authenticated);
  inbound.names.clear();
  auto facts = facts_of(Session::good);
  EXPECT_TRUE(
      judge_sender(table(inbound), sender("<a@partner.example>"), {.client = client, .facts = &facts}, now).refusal);
  facts.chain.front().dns_names = {"partner.example"};
  EXPECT_FALSE(
      judge_sender(table(inbound), sender("<a@partner.example>"), {.client = client, .facts = &facts}, now).refusal);
}

TEST(JudgeSender, WhoHasNoRuleIsLetPass) {
  const auto partners = table(rule(Level::authenticated));
  for (const char *path : {"<>", "<a@[192.0.2.1]>", "<a@other.example>", "<a@sub.partner.example>"}) {
    const auto verdict = judge_sender(partners, sender(path), {.client = client, .facts = nullptr}, now);
    EXPECT_FALSE(verdict.refusal) << path;
    EXPECT_TRUE(verdict.rule.empty()) << path;
    EXPECT_EQ(verdict.wanted, Level::none) << path;
    EXPECT_FALSE(needed_verdict(partners, sender(path))) << path;
  }
}

TEST(NeededVerdict, OnlyForAuthenticatedRules) {
  EXPECT_FALSE(needed_verdict(table(rule(Level::encrypted)), sender("<a@partner.example>")));
  auto on_one = rule(Level::authenticated);
  on_one.listeners = {"partner-net"};
  EXPECT_TRUE(needed_verdict(table(on_one), sender("<a@partner.example>"), "partner-net"));
  EXPECT_FALSE(needed_verdict(table(on_one), sender("<a@partner.example>"), "mx"));
  EXPECT_TRUE(judge_sender(table(on_one), sender("<a@partner.example>"),
                           {.client = client, .facts = nullptr, .listener = "partner-net"}, now)
                  .refusal);
  EXPECT_TRUE(judge_sender(table(on_one), sender("<a@partner.example>"),
                           {.client = client, .facts = nullptr, .listener = "mx"}, now)
                  .rule.empty());
  auto inbound = rule(Level::authenticated);
  inbound.trust = "/ca.pem";
  inbound.accept_server_auth = true;
  const auto needed = needed_verdict(table(inbound), sender("<a@partner.example>"));
  ASSERT_TRUE(needed);
  EXPECT_EQ(needed->trust, "/ca.pem");
  EXPECT_TRUE(needed->accept_server_auth);
}

SenderVerdict judge(const InboundRule &inbound, const tls::Facts &facts,
                    std::chrono::system_clock::time_point when = now) {
  return judge_sender(table(inbound), sender("<a@partner.example>"), {.client = client, .facts = &facts}, when);
}

TEST(JudgeSender, ARuleIsObservedBeforeItsDay) {
  auto inbound = rule(Level::encrypted);
  inbound.from = std::chrono::sys_days(std::chrono::year(2026) / 11 / 21);
  const auto clear = facts_of(Session::clear);
  const auto before = judge(inbound, clear);
  EXPECT_EQ(before.mode, Mode::observe);
  EXPECT_FALSE(before.satisfied);
  EXPECT_FALSE(before.refusal);
  const auto last_second = judge(inbound, clear, now + std::chrono::hours(24) - std::chrono::seconds(1));
  EXPECT_FALSE(last_second.refusal);
  const auto on_the_day = judge(inbound, clear, now + std::chrono::hours(24));
  EXPECT_EQ(on_the_day.mode, Mode::enforce);
  ASSERT_TRUE(on_the_day.refusal);
  EXPECT_EQ(on_the_day.refusal->code, 550);
}

TEST(JudgeSender, ARevokedCertificateIsRefusedAndAMissingListDefers) {
  auto inbound = rule(Level::authenticated);
  inbound.pins = {"key"}; // also where the key is pinned
  inbound.crls = {"http://crl.example/list.crl"};
  auto facts = facts_of(Session::good);
  facts.verdict =
      tls::ChainVerdict{.trusted = false, .reason = "certificate revoked", .fault = tls::ChainFault::revoked};
  const auto revoked = judge(inbound, facts);
  ASSERT_TRUE(revoked.refusal);
  EXPECT_EQ(
      revoked.refusal->to_line(),
      "550 5.7.1 mail from partner.example: this domain's policy demands a client certificate that is not revoked; "
      "the certificate is revoked: certificate revoked");
  facts.verdict = tls::ChainVerdict{
      .trusted = false, .reason = "unable to get certificate CRL", .fault = tls::ChainFault::no_revocation};
  const auto unknown = judge(inbound, facts);
  ASSERT_TRUE(unknown.refusal);
  EXPECT_EQ(
      unknown.refusal->to_line(),
      "450 4.7.1 mail from partner.example: this domain's policy demands a client certificate that is not revoked; "
      "whether the certificate is revoked cannot be checked: unable to get certificate CRL");
}

TEST(JudgeSender, APinSetHoldsTheOldKeyAndTheNext) {
  auto inbound = rule(Level::authenticated);
  for (const auto &pins : {std::vector<std::string>{"pinned", "next"}, std::vector<std::string>{"old", "pinned"}}) {
    inbound.pins = pins;
    EXPECT_TRUE(judge(inbound, facts_of(Session::self_signed_pinned)).satisfied);
  }
  inbound.pins = {"old", "next"};
  EXPECT_FALSE(judge(inbound, facts_of(Session::self_signed_pinned)).satisfied);
}

TEST(JudgeSender, TheNeededVerdictNamesTheStoreTheListsAndThePurpose) {
  auto inbound = rule(Level::authenticated);
  inbound.trust = "/ca.pem";
  inbound.crls = {"/list.pem"};
  inbound.accept_server_auth = true;
  const auto needed = needed_verdict(table(inbound), sender("<a@partner.example>"));
  ASSERT_TRUE(needed);
  EXPECT_EQ(needed->trust, "/ca.pem");
  EXPECT_EQ(needed->crls, inbound.crls);
  EXPECT_TRUE(needed->accept_server_auth);
  EXPECT_FALSE(needed_verdict(table(rule(Level::encrypted)), sender("<a@partner.example>"))) << "nothing is judged";
  EXPECT_FALSE(needed_verdict(table(inbound), sender("<>")));
}

TEST(JudgeSender, BesideListsOfRevokedCertificatesAPinnedKeyAloneIsNoTrust) {
  InboundRule inbound = rule(Level::authenticated);
  inbound.pins = {"pinned"};
  const auto judge = [&](const tls::Facts &facts, const InboundRule &by) {
    const auto partners = table(by);
    return judge_sender(partners, sender("<a@partner.example>"), {.client = client, .facts = &facts}, now);
  };
  tls::Facts stolen = facts_of(Session::self_signed_pinned); // the key that was taken back, in the thief's certificate
  EXPECT_FALSE(judge(stolen, inbound).refusal);
  inbound.crls = {"/list.pem"};
  auto verdict = judge(stolen, inbound);
  ASSERT_TRUE(verdict.refusal);
  EXPECT_EQ(verdict.refusal->code, 550);
  EXPECT_NE(verdict.reason.find("a trusted client certificate"), std::string::npos) << verdict.reason;
  tls::Facts good = facts_of(Session::good);
  good.chain.front().spki_sha256 = "pinned";
  EXPECT_FALSE(judge(good, inbound).refusal) << "trusted, not revoked, pinned";
  good.verdict = tls::ChainVerdict{.trusted = false, .reason = "no list", .fault = tls::ChainFault::no_revocation};
  verdict = judge(good, inbound);
  ASSERT_TRUE(verdict.refusal);
  EXPECT_EQ(verdict.refusal->code, 450) << "a list that we lack is our fault";
  inbound.names.clear(); // then the pinned key is the identity, which changes nothing of it
  EXPECT_TRUE(judge(stolen, inbound).refusal);
}

TEST(JudgeSender, APinAboveTheLeafCountsInTheVerifiedChainOnly) {
  InboundRule inbound = rule(Level::authenticated);
  inbound.pins = {"ca"};
  const auto partners = table(inbound);
  tls::Facts facts = facts_of(Session::good);
  facts.chain.front().issuer = "CN=CA";
  tls::CertificateFacts forged; // sent, of the right name, with the pinned key, and never a signer
  forged.subject = "CN=CA";
  forged.spki_sha256 = "ca";
  facts.chain.push_back(forged);
  facts.verdict->keys = {"key", "another CA"};
  EXPECT_TRUE(judge_sender(partners, sender("<a@partner.example>"), {.client = client, .facts = &facts}, now).refusal);
  facts.verdict->keys = {"key", "ca"};
  EXPECT_FALSE(judge_sender(partners, sender("<a@partner.example>"), {.client = client, .facts = &facts}, now).refusal);
}

} // namespace judge_sender_test
