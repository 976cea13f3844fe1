// Authentication-Results and Received-SPF as written: their text, their folds, and that nothing foreign breaks out.
#include "auth/core/authentication_results.hpp"

#include <gtest/gtest.h>

#include "auth/core/header_fields.hpp"
#include "auth/core/results_field.hpp"

namespace auth {
namespace authentication_results_test {

DkimVerdict dkim_pass() {
  DkimVerdict verdict;
  verdict.result = DkimResult::pass;
  verdict.domain = "example.com";
  verdict.selector = "sel";
  verdict.identity = "@example.com";
  verdict.algorithm = "rsa-sha256";
  verdict.bits = 2048;
  verdict.signature_start = "abc/+012";
  return verdict;
}

DmarcVerdict dmarc_fail() {
  DmarcVerdict verdict;
  verdict.result = DmarcResult::fail;
  verdict.policy = DmarcPolicy::reject;
  verdict.disposition = DmarcPolicy::quarantine;
  verdict.testing = true;
  verdict.domain = "news.example.com";
  verdict.org_domain = "example.com";
  verdict.policy_domain = "example.com";
  verdict.applied_tag = "sp";
  verdict.reason = "neither SPF nor DKIM passes";
  return verdict;
}

TEST(FormatAuthenticationResults, WritesEveryMethod) {
  SpfVerdicts spf;
  spf.mail_from = {.result = SpfResult::softfail, .domain = "example.com", .explanation = {}, .reason = "matched ~all"};
  spf.helo = {.result = SpfResult::pass, .domain = "mail.example.com", .explanation = {}, .reason = "matched a"};
  const std::vector<DkimVerdict> dkim{dkim_pass()};
  const DmarcVerdict dmarc = dmarc_fail();
  ArcVerdict arc;
  arc.result = ArcResult::pass;
  arc.chain = {{.instance = 1, .domain = "list.example", .selector = "s", .results = ""}};
  const Iprev iprev{.result = IprevResult::pass, .name = "mail.example.com"};
  CheckedMessage message;
  message.authserv_id = "mx.example.org";
  message.client = *smtp::IpAddress::parse("192.0.2.1");
  message.mail_from = "a@example.com";
  message.spf = &spf;
  message.dkim = dkim;
  message.dmarc = &dmarc;
  message.arc = &arc;
  message.iprev = &iprev;
  message.tls = "TLSv1.3 TLS_AES_256_GCM_SHA384";
  EXPECT_EQ(format_authentication_results(message),
            "Authentication-Results: mx.example.org;\r\n"
            " spf=softfail reason=\"matched ~all\" smtp.mailfrom=a@example.com;\r\n"
            " spf=pass smtp.helo=mail.example.com;\r\n"
            " dkim=pass (2048-bit key) header.d=example.com header.i=@example.com\r\n"
            " header.s=sel header.a=rsa-sha256 header.b=\"abc/+012\";\r\n"
            " dmarc=fail (sp=reject t=y at example.com)\r\n"
            " reason=\"neither SPF nor DKIM passes\" header.from=news.example.com\r\n"
            " policy.dmarc=quarantine;\r\n"
            " arc=pass (i=1 list.example) header.oldest-pass=0 smtp.remote-ip=192.0.2.1;\r\n"
            " iprev=pass policy.iprev=192.0.2.1 (mail.example.com)\r\n"
            " (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n");
}

struct Row {
  std::string name;
  CheckedMessage message;
  std::string payload;
};

TEST(FormatResultsPayload, SaysWhatWasChecked) {
  CheckedMessage none;
  none.authserv_id = "mx.example.org";
  EXPECT_EQ(format_results_payload(none), "mx.example.org; none");
  EXPECT_EQ(format_authentication_results(none), "Authentication-Results: mx.example.org;\r\n none\r\n");

  CheckedMessage unsigned_message = none;
  unsigned_message.dkim_checked = true;
  EXPECT_EQ(format_results_payload(unsigned_message), "mx.example.org; dkim=none");

  SpfVerdicts spf;
  spf.mail_from = {.result = SpfResult::pass, .domain = "helo.example", .explanation = {}, .reason = {}};
  CheckedMessage null_sender = none;
  null_sender.spf = &spf;
  EXPECT_EQ(format_results_payload(null_sender), "mx.example.org; spf=pass smtp.mailfrom=helo.example");

  DmarcVerdict no_author;
  no_author.result = DmarcResult::permerror;
  no_author.reason = "there is no header From";
  CheckedMessage no_from = none;
  no_from.dmarc = &no_author;
  EXPECT_EQ(format_results_payload(no_from), "mx.example.org; dmarc=permerror reason=\"there is no header From\"");

  ArcVerdict arc;
  arc.result = ArcResult::fail;
  arc.reason = "i=2: the seal does not verify";
  arc.chain = {{.instance = 2, .domain = "list.example", .selector = "s", .results = ""}};
  CheckedMessage chained = none;
  chained.arc = &arc;
  chained.client = *smtp::IpAddress::parse("2001:db8::1");
  EXPECT_EQ(format_results_payload(chained),
            "mx.example.org; arc=fail (i=2 list.example) reason=\"i=2: the seal does not "
            "verify\" smtp.remote-ip=\"2001:db8::1\"");

  const Iprev iprev{.result = IprevResult::fail, .name = ""};
  CheckedMessage reverse = none;
  reverse.iprev = &iprev;
  reverse.client = *smtp::IpAddress::parse("2001:db8::1");
  EXPECT_EQ(format_results_payload(reverse), "mx.example.org; iprev=fail policy.iprev=\"2001:db8::1\"");
}

/// Texts that try to end a string, a comment, a result or a field.
const std::string attacks[] = {
    "x\"; dkim=pass header.d=bank.example; x=\"",
    "x\r\nAuthentication-Results: mx.example.org; dmarc=pass",
    "x\r\n\r\nbody",
    "x) dkim=pass (",
    "x\\",
    "\\\"",
    ";;;===",
    std::string("x\0y", 3),
    "a@b@c; dkim=pass@bank.example",
    "\"a b\"@example.com",
    "bücher\xff@example.com",
    std::string(5000, 'a'),
    std::string(5000, '"'),
    std::string(3000, ' ') + "x",
    "",
    " ",
};

TEST(FormatAuthenticationResults, LetsNothingForeignOut) {
  for (const std::string &attack : attacks) {
    SpfVerdicts spf;
    spf.mail_from = {.result = SpfResult::fail, .domain = attack, .explanation = attack, .reason = attack};
    spf.helo = {.result = SpfResult::fail, .domain = attack, .explanation = attack, .reason = attack};
    DkimVerdict dkim;
    dkim.result = DkimResult::fail;
    dkim.domain = dkim.selector = dkim.identity = dkim.algorithm = dkim.reason = dkim.signature_start = attack;
    const std::vector<DkimVerdict> signatures{dkim, dkim};
    DmarcVerdict dmarc;
    dmarc.result = DmarcResult::fail;
    dmarc.applied_tag = "p";
    dmarc.domain = dmarc.policy_domain = dmarc.reason = attack;
    ArcVerdict arc;
    arc.result = ArcResult::fail;
    arc.reason = attack;
    arc.chain = {{.instance = 1, .domain = attack, .selector = attack, .results = attack}};
    const Iprev iprev{.result = IprevResult::fail, .name = attack};
    CheckedMessage message;
    message.authserv_id = "mx.example.org";
    message.client = *smtp::IpAddress::parse("192.0.2.1");
    message.helo = attack;
    message.mail_from = attack;
    message.spf = &spf;
    message.dkim = signatures;
    message.dmarc = &dmarc;
    message.arc = &arc;
    message.iprev = &iprev;
    message.tls = attack;
    const std::string text = format_authentication_results(message);
    for (const std::string &field : {text, format_received_spf(message, SpfIdentity::helo),
                                     format_received_spf(message, SpfIdentity::mail_from)}) {
      const HeaderFields fields(field);
      ASSERT_EQ(fields.all().size(), 1U) << attack;
      EXPECT_EQ(fields.all().front().text, field) << attack;
      std::size_t line = 0;
      for (const char c : field) {
        line = c == '\n' ? 0 : line + 1;
        EXPECT_LE(line, 999U) << attack;
        EXPECT_TRUE((c >= ' ' && c <= '~') || c == '\r' || c == '\n') << attack;
      }
    }
    const HeaderFields fields(text);
    EXPECT_EQ(unfold(fields.all().front().value), format_results_payload(message)) << attack;
    const ResultsPayload read = parse_results(fields.all().front().value);
    EXPECT_EQ(read.authserv_id, "mx.example.org") << attack;
    for (const MethodResult &result : read.results) EXPECT_EQ(result.result, "fail") << attack << result.method;
    const bool no_helo = attack.empty();
    EXPECT_EQ(read.results.size(), no_helo ? 6U : 7U) << text;
  }
}

TEST(FoldResults, BreaksBehindResultsAndAtTheAim) {
  EXPECT_EQ(fold_results("X", "a; b=c"), "X: a;\r\n b=c\r\n");
  EXPECT_EQ(fold_results("X", "a (x; y) \"p; q\" b"), "X: a (x; y) \"p; q\" b\r\n");
  EXPECT_EQ(fold_results("X", ""), "X:\r\n");
  const std::string words = "aaaa bbbb cccc dddd eeee ffff gggg hhhh iiii jjjj kkkk llll mmmm nnnn oooo pppp qqqq";
  EXPECT_EQ(fold_results("Name", words),
            "Name: aaaa bbbb cccc dddd eeee ffff gggg hhhh iiii jjjj kkkk llll mmmm nnnn\r\n oooo pppp qqqq\r\n");
}

TEST(FormatReceivedSpf, WritesKeysAndQuotes) {
  SpfVerdicts spf;
  spf.mail_from = {
      .result = SpfResult::permerror, .domain = "example.com", .explanation = {}, .reason = "two records (v=spf1)"};
  spf.helo = {.result = SpfResult::pass, .domain = "mail.example.com", .explanation = {}, .reason = {}};
  CheckedMessage message;
  message.authserv_id = "mx.example.org";
  message.client = *smtp::IpAddress::parse("2001:db8::1");
  message.helo = "mail.example.com";
  message.mail_from = "a b@example.com";
  message.spf = &spf;
  EXPECT_EQ(format_received_spf(message, SpfIdentity::mail_from),
            "Received-SPF: permerror (mx.example.org: two records \\(v=spf1\\))\r\n"
            " receiver=mx.example.org;\r\n client-ip=\"2001:db8::1\";\r\n envelope-from=\"a b@example.com\";\r\n"
            " helo=mail.example.com;\r\n problem=\"two records (v=spf1)\";\r\n identity=mailfrom;\r\n");
  message.mail_from.clear();
  EXPECT_EQ(format_received_spf(message, SpfIdentity::helo),
            "Received-SPF: pass receiver=mx.example.org;\r\n client-ip=\"2001:db8::1\";\r\n envelope-from=\"\";\r\n"
            " helo=mail.example.com;\r\n identity=helo;\r\n");
}

} // namespace authentication_results_test
} // namespace auth
