// judge_message: a truth table from verdicts and rules to action, reply, disposition and override.
#include "policy/message.hpp"

#include <gtest/gtest.h>

namespace policy {
namespace message_test {

using auth::ArcResult;
using auth::DmarcPolicy;
using auth::DmarcResult;
using auth::SpfResult;

constexpr auto none = DmarcPolicy::none;
constexpr auto quarantine = DmarcPolicy::quarantine;
constexpr auto reject = DmarcPolicy::reject;

auth::DmarcVerdict dmarc(DmarcResult result, DmarcPolicy policy = none) {
  auth::DmarcVerdict verdict;
  verdict.result = result;
  verdict.policy = policy;
  if (result == DmarcResult::fail) verdict.disposition = policy;
  verdict.domain = "example.com";
  verdict.org_domain = "example.com";
  verdict.reason = "because";
  if (result != DmarcResult::none) {
    verdict.policy_domain = "example.com";
    verdict.applied_tag = "p";
  }
  verdict.spf_aligned = result == DmarcResult::pass;
  return verdict;
}

auth::DmarcVerdict aligned_without_record() {
  auth::DmarcVerdict verdict = dmarc(DmarcResult::none);
  verdict.dkim_aligned = true;
  return verdict;
}

auth::DmarcVerdict testing(DmarcPolicy policy, DmarcPolicy disposition) {
  auth::DmarcVerdict verdict = dmarc(DmarcResult::fail, policy);
  verdict.testing = true;
  verdict.disposition = disposition;
  return verdict;
}

/// The DNS failed before any record was found.
auth::DmarcVerdict unknown_policy() {
  auth::DmarcVerdict verdict = dmarc(DmarcResult::temperror);
  verdict.policy_domain.clear();
  verdict.applied_tag.clear();
  return verdict;
}

auth::DmarcVerdict no_author() {
  auth::DmarcVerdict verdict;
  verdict.result = DmarcResult::permerror;
  verdict.reason = "there are 2 header From fields";
  return verdict;
}

DmarcOverride rule(const std::string &pattern, DmarcPolicy disposition,
                   OverrideSubject subject = OverrideSubject::author) {
  return {.domains = *smtp::DomainPattern::parse(pattern),
          .subject = subject,
          .disposition = disposition,
          .owner = "mail team",
          .reason = "agreed",
          .place = "portcullis.toml:7"};
}

auth::SpfVerdict spf(SpfResult result, const std::string &domain) {
  return {.result = result, .domain = domain, .explanation = {}, .reason = {}};
}

auth::ArcVerdict chain(std::vector<auth::ArcSet> sets, ArcResult result = ArcResult::pass) {
  auth::ArcVerdict verdict;
  verdict.result = result;
  verdict.chain = std::move(sets);
  return verdict;
}

auth::ArcSet sealed(unsigned instance, const std::string &domain, const std::string &results) {
  return {.instance = instance, .domain = domain, .selector = "s", .results = results};
}

struct Row {
  std::string name;
  auth::DmarcVerdict verdict;
  std::string expected; ///< as summary() has it
  MessageRules rules = {};
  auth::SpfVerdicts spf = {};
  std::vector<auth::DkimVerdict> dkim = {};
  auth::ArcVerdict arc = {};
  bool own = false;
  bool outside = true;
  bool notice = false;
  auth::FromStatus from = auth::FromStatus::several_fields; ///< counts only where the verdict is permerror
};

/// "reject 550 5.7.1 disposition=reject override=local_policy would=reject".
std::string summary(const MessageDecision &decision) {
  std::string line(to_string(decision.action));
  if (decision.reply) line += " " + std::to_string(decision.reply->code) + " " + decision.reply->enhanced->to_string();
  if (decision.disposition != none) line += " disposition=" + std::string(to_string(decision.disposition));
  for (const auth::PolicyOverride &override_ : decision.overrides)
    line += " override=" + std::string(to_string(override_.kind));
  if (decision.observed != decision.action) line += " would=" + std::string(to_string(decision.observed));
  return line;
}

MessageDecision judge(const Row &row) {
  const auth::AuthorDomains authors{.status = row.from, .domains = {}, .problem = {}};
  return judge_message(row.rules, {.authors = authors,
                                   .spf = row.spf,
                                   .dkim = row.dkim,
                                   .dmarc = row.verdict,
                                   .arc = row.arc,
                                   .from_own_domain = row.own,
                                   .from_outside = row.outside,
                                   .is_notice = row.notice});
}

void expect_all(std::span<const Row> rows) {
  for (const Row &row : rows) {
    const MessageDecision decision = judge(row);
    std::string reasons;
    for (const std::string &reason : decision.reasons) {
      reasons += reason + "; ";
      for (const char c : reason) EXPECT_TRUE(c >= ' ' && c <= '~') << row.name;
    }
    EXPECT_EQ(summary(decision), row.expected) << row.name << ": " << reasons;
    EXPECT_FALSE(decision.reasons.empty()) << row.name;
    EXPECT_EQ(decision.reply.has_value(),
              decision.action == MessageAction::reject || decision.action == MessageAction::defer)
        << row.name;
    EXPECT_FALSE(decision.reply && decision.reply->text.empty()) << row.name;
    for (const auth::PolicyOverride &override_ : decision.overrides)
      EXPECT_FALSE(override_.comment.empty()) << row.name;
  }
}

const std::string rejected = "reject 550 5.7.1 disposition=reject";
const std::string quarantined = "quarantine disposition=quarantine";
const std::string deferred = "defer 451 4.7.0";

TEST(JudgeMessage, FollowsThePublishedPolicy) {
  const Row rows[] = {
      {.name = "pass", .verdict = dmarc(DmarcResult::pass, reject), .expected = "accept"},
      {.name = "no record", .verdict = dmarc(DmarcResult::none), .expected = "accept"},
      {.name = "fail with none", .verdict = dmarc(DmarcResult::fail, none), .expected = "accept"},
      {.name = "fail with quarantine", .verdict = dmarc(DmarcResult::fail, quarantine), .expected = quarantined},
      {.name = "fail with reject", .verdict = dmarc(DmarcResult::fail, reject), .expected = rejected},
      {.name = "t=y lowers reject",
       .verdict = testing(reject, quarantine),
       .expected = quarantined + " override=policy_test_mode"},
      {.name = "t=y lowers quarantine",
       .verdict = testing(quarantine, none),
       .expected = "accept override=policy_test_mode"},
      {.name = "t=y changes nothing of none", .verdict = testing(none, none), .expected = "accept"},
      {.name = "a temporary failure", .verdict = unknown_policy(), .expected = deferred},
      {.name = "a temporary failure, policy reject",
       .verdict = dmarc(DmarcResult::temperror, reject),
       .expected = deferred},
      {.name = "a temporary failure, policy quarantine",
       .verdict = dmarc(DmarcResult::temperror, quarantine),
       .expected = deferred},
      {.name = "a temporary failure, policy none",
       .verdict = dmarc(DmarcResult::temperror, none),
       .expected = "accept"},
      {.name = "no usable author", .verdict = no_author(), .expected = rejected},
      {.name = "no author at all", .verdict = no_author(), .expected = "accept", .from = auth::FromStatus::no_field},
      {.name = "no author at all, refused",
       .verdict = no_author(),
       .expected = rejected,
       .rules = {.refuse_missing_from = true},
       .from = auth::FromStatus::no_field},
      {.name = "several authors, allowed",
       .verdict = no_author(),
       .expected = "accept",
       .rules = {.refuse_several_authors = false}},
      {.name = "several authors are not the other key's matter",
       .verdict = no_author(),
       .expected = rejected,
       .rules = {.refuse_unusable_from = false}},
      {.name = "addresses of several domains",
       .verdict = no_author(),
       .expected = rejected,
       .rules = {.refuse_unusable_from = false},
       .from = auth::FromStatus::ok},
      {.name = "an unreadable author",
       .verdict = no_author(),
       .expected = rejected,
       .rules = {.refuse_several_authors = false},
       .from = auth::FromStatus::malformed},
      {.name = "an unreadable author, allowed",
       .verdict = no_author(),
       .expected = "accept",
       .rules = {.refuse_unusable_from = false},
       .from = auth::FromStatus::malformed},
      {.name = "a message that names nobody",
       .verdict = no_author(),
       .expected = rejected,
       .from = auth::FromStatus::no_author},
      {.name = "a notice that names nobody",
       .verdict = no_author(),
       .expected = "accept",
       .notice = true,
       .from = auth::FromStatus::no_author},
      {.name = "a notice whose author nobody can tell",
       .verdict = no_author(),
       .expected = rejected,
       .notice = true,
       .from = auth::FromStatus::malformed},
      {.name = "a notice from an address literal",
       .verdict = no_author(),
       .expected = rejected,
       .notice = true,
       .from = auth::FromStatus::no_domain},
      {.name = "a notice with several authors", .verdict = no_author(), .expected = rejected, .notice = true},
  };
  expect_all(rows);
}

TEST(JudgeMessage, ObservesWithoutActing) {
  const MessageRules observe{.mode = Mode::observe};
  const Row rows[] = {
      {.name = "pass", .verdict = dmarc(DmarcResult::pass, reject), .expected = "accept", .rules = observe},
      {.name = "reject",
       .verdict = dmarc(DmarcResult::fail, reject),
       .expected = "accept override=local_policy would=reject",
       .rules = observe},
      {.name = "quarantine",
       .verdict = dmarc(DmarcResult::fail, quarantine),
       .expected = "accept override=local_policy would=quarantine",
       .rules = observe},
      {.name = "t=y",
       .verdict = testing(reject, quarantine),
       .expected = "accept override=policy_test_mode override=local_policy would=quarantine",
       .rules = observe},
      {.name = "temporary", .verdict = unknown_policy(), .expected = "accept would=defer", .rules = observe},
      {.name = "shield",
       .verdict = dmarc(DmarcResult::none),
       .expected = "accept override=local_policy override=local_policy would=reject",
       .rules = observe,
       .own = true},
  };
  expect_all(rows);
}

TEST(JudgeMessage, ShieldsOurOwnDomains) {
  const Row rows[] = {
      {.name = "no record of ours",
       .verdict = dmarc(DmarcResult::none),
       .expected = rejected + " override=local_policy",
       .own = true},
      {.name = "our policy is none",
       .verdict = dmarc(DmarcResult::fail, none),
       .expected = rejected + " override=local_policy",
       .own = true},
      {.name = "our policy is quarantine",
       .verdict = dmarc(DmarcResult::fail, quarantine),
       .expected = rejected + " override=local_policy",
       .own = true},
      {.name = "our policy is reject", .verdict = dmarc(DmarcResult::fail, reject), .expected = rejected, .own = true},
      {.name = "it passes", .verdict = dmarc(DmarcResult::pass, none), .expected = "accept", .own = true},
      {.name = "aligned without a record", .verdict = aligned_without_record(), .expected = "accept", .own = true},
      {.name = "from inside",
       .verdict = dmarc(DmarcResult::fail, none),
       .expected = "accept",
       .own = true,
       .outside = false},
      {.name = "switched off",
       .verdict = dmarc(DmarcResult::fail, none),
       .expected = "accept",
       .rules = {.own_domain_shield = false},
       .own = true},
      {.name = "a temporary failure waits, although the policy is none",
       .verdict = dmarc(DmarcResult::temperror, none),
       .expected = deferred,
       .own = true},
      {.name = "ours among several From fields, which are allowed",
       .verdict = no_author(),
       .expected = rejected + " override=local_policy",
       .rules = {.refuse_several_authors = false},
       .own = true},
      {.name = "a rule for our domain lifts it",
       .verdict = dmarc(DmarcResult::fail, none),
       .expected = "accept override=local_policy",
       .rules = {.overrides = {rule("example.com", none)}},
       .own = true},
  };
  expect_all(rows);
}

TEST(JudgeMessage, TakesRulesForAuthors) {
  const Row rows[] = {
      {.name = "reject made none",
       .verdict = dmarc(DmarcResult::fail, reject),
       .expected = "accept override=local_policy",
       .rules = {.overrides = {rule("example.com", none)}}},
      {.name = "reject made quarantine",
       .verdict = dmarc(DmarcResult::fail, reject),
       .expected = quarantined + " override=local_policy",
       .rules = {.overrides = {rule("example.com", quarantine)}}},
      {.name = "none made reject",
       .verdict = dmarc(DmarcResult::fail, none),
       .expected = rejected + " override=local_policy",
       .rules = {.overrides = {rule("example.com", reject)}}},
      {.name = "no record made reject",
       .verdict = dmarc(DmarcResult::none),
       .expected = rejected + " override=local_policy",
       .rules = {.overrides = {rule("example.com", reject)}}},
      {.name = "aligned without a record",
       .verdict = aligned_without_record(),
       .expected = "accept",
       .rules = {.overrides = {rule("example.com", reject)}}},
      {.name = "a pass needs no rule",
       .verdict = dmarc(DmarcResult::pass, reject),
       .expected = "accept",
       .rules = {.overrides = {rule("example.com", reject)}}},
      {.name = "the same disposition is no override",
       .verdict = dmarc(DmarcResult::fail, reject),
       .expected = rejected,
       .rules = {.overrides = {rule("example.com", reject)}}},
      {.name = "another domain",
       .verdict = dmarc(DmarcResult::fail, reject),
       .expected = rejected,
       .rules = {.overrides = {rule("example.net", none), rule("*.example.com", none)}}},
      {.name = "the most specific wins",
       .verdict = dmarc(DmarcResult::fail, reject),
       .expected = "accept override=local_policy",
       .rules = {.overrides = {rule("*", quarantine), rule("example.com", none), rule("*.com", reject)}}},
      {.name = "of equals the first wins",
       .verdict = dmarc(DmarcResult::fail, reject),
       .expected = "accept override=local_policy",
       .rules = {.overrides = {rule("example.com", none), rule("example.com", quarantine)}}},
      {.name = "a temporary failure waits whatever a rule says",
       .verdict = dmarc(DmarcResult::temperror, reject),
       .expected = deferred,
       .rules = {.overrides = {rule("example.com", none)}}},
      {.name = "a temporary failure waits where a rule is strict and the policy none",
       .verdict = dmarc(DmarcResult::temperror, none),
       .expected = deferred,
       .rules = {.overrides = {rule("example.com", reject)}}},
      {.name = "an unusable author has no domain to match",
       .verdict = no_author(),
       .expected = rejected,
       .rules = {.overrides = {rule("*", none)}}},
  };
  expect_all(rows);
}

TEST(JudgeMessage, TakesRulesForForwarders) {
  const MessageRules list{.overrides = {rule("list.example", none, OverrideSubject::forwarder)}};
  const MessageRules half{.overrides = {rule("list.example", quarantine, OverrideSubject::forwarder)}};
  auth::DkimVerdict signed_by_list;
  signed_by_list.result = auth::DkimResult::pass;
  signed_by_list.domain = "list.example";
  auth::DkimVerdict failing = signed_by_list;
  failing.result = auth::DkimResult::fail;
  auth::DkimVerdict partial = signed_by_list;
  partial.body_goes_on = true;
  const auth::DmarcVerdict fail = dmarc(DmarcResult::fail, reject);
  const Row rows[] = {
      {.name = "SPF of MAIL FROM",
       .verdict = fail,
       .expected = "accept override=trusted_forwarder",
       .rules = list,
       .spf = {.helo = {}, .mail_from = spf(SpfResult::pass, "list.example")}},
      {.name = "SPF of HELO",
       .verdict = fail,
       .expected = "accept override=trusted_forwarder",
       .rules = list,
       .spf = {.helo = spf(SpfResult::pass, "list.example"), .mail_from = {}}},
      {.name = "SPF that does not pass",
       .verdict = fail,
       .expected = rejected,
       .rules = list,
       .spf = {.helo = {}, .mail_from = spf(SpfResult::neutral, "list.example")}},
      {.name = "its signature",
       .verdict = fail,
       .expected = "accept override=trusted_forwarder",
       .rules = list,
       .dkim = {signed_by_list}},
      {.name = "its broken signature", .verdict = fail, .expected = rejected, .rules = list, .dkim = {failing}},
      {.name = "its signature of a part", .verdict = fail, .expected = rejected, .rules = list, .dkim = {partial}},
      {.name = "the author's domain is not a forwarder",
       .verdict = fail,
       .expected = rejected,
       .rules = {.overrides = {rule("example.com", none, OverrideSubject::forwarder)}}},
      {.name = "it lowers to quarantine",
       .verdict = fail,
       .expected = quarantined + " override=trusted_forwarder",
       .rules = half,
       .dkim = {signed_by_list}},
      {.name = "it never makes stricter",
       .verdict = dmarc(DmarcResult::fail, none),
       .expected = "accept",
       .rules = half,
       .dkim = {signed_by_list}},
      {.name = "a rule for the author goes first",
       .verdict = fail,
       .expected = quarantined + " override=local_policy",
       .rules = {.overrides = {rule("list.example", none, OverrideSubject::forwarder),
                               rule("example.com", quarantine)}},
       .dkim = {signed_by_list}},
      {.name = "nothing to wait for when the outcome is known",
       .verdict = unknown_policy(),
       .expected = "accept",
       .rules = list,
       .dkim = {signed_by_list}},
      {.name = "waiting where it could be quarantine",
       .verdict = unknown_policy(),
       .expected = deferred,
       .rules = half,
       .dkim = {signed_by_list}},
  };
  expect_all(rows);
}

TEST(JudgeMessage, BelievesTrustedSealers) {
  const MessageRules trust{.trusted_sealers = {"list.example", "hop.example"}};
  const auth::DmarcVerdict fail = dmarc(DmarcResult::fail, reject);
  const std::string seen = "mx.list.example; dmarc=pass header.from=example.com";
  const std::string lifted = "accept override=local_policy";
  auth::ArcVerdict unchecked = chain({sealed(1, "list.example", seen)}, ArcResult::fail);
  unchecked.temporary = true;
  auth::ArcVerdict stranger_unchecked = chain({sealed(1, "evil.example", seen)}, ArcResult::fail);
  stranger_unchecked.temporary = true;
  const Row rows[] = {
      {.name = "it saw dmarc=pass",
       .verdict = fail,
       .expected = lifted,
       .rules = trust,
       .arc = chain({sealed(1, "list.example", seen)})},
      {.name = "its name in another case",
       .verdict = fail,
       .expected = lifted,
       .rules = trust,
       .arc = chain({sealed(1, "LIST.example", seen)})},
      {.name = "nobody is trusted",
       .verdict = fail,
       .expected = rejected,
       .arc = chain({sealed(1, "list.example", seen)})},
      {.name = "another sealer",
       .verdict = fail,
       .expected = rejected,
       .rules = trust,
       .arc = chain({sealed(1, "evil.example", seen)})},
      {.name = "a chain that fails",
       .verdict = fail,
       .expected = rejected,
       .rules = trust,
       .arc = chain({sealed(1, "list.example", seen)}, ArcResult::fail)},
      {.name = "no chain", .verdict = fail, .expected = rejected, .rules = trust},
      {.name = "a stranger sealed after it",
       .verdict = fail,
       .expected = rejected,
       .rules = trust,
       .arc = chain({sealed(1, "list.example", seen), sealed(2, "evil.example", seen)})},
      {.name = "a trusted hop sealed after it",
       .verdict = fail,
       .expected = lifted,
       .rules = trust,
       .arc = chain({sealed(1, "list.example", seen), sealed(2, "hop.example", "hop; arc=pass")})},
      {.name = "a stranger in between",
       .verdict = fail,
       .expected = rejected,
       .rules = trust,
       .arc = chain({sealed(1, "list.example", seen), sealed(2, "evil.example", seen),
                     sealed(3, "hop.example", "hop; arc=pass")})},
      {.name = "a stranger sealed before it, it saw the pass itself",
       .verdict = fail,
       .expected = lifted,
       .rules = trust,
       .arc = chain({sealed(1, "evil.example", "x; none"), sealed(2, "list.example", seen)})},
      {.name = "it saw dmarc=fail",
       .verdict = fail,
       .expected = rejected,
       .rules = trust,
       .arc =
           chain({sealed(1, "list.example", "x; dmarc=fail header.from=example.com; dkim=pass header.d=example.com")})},
      {.name = "it saw a pass of another author",
       .verdict = fail,
       .expected = rejected,
       .rules = trust,
       .arc = chain({sealed(1, "list.example", "x; dmarc=pass header.from=other.example")})},
      {.name = "it saw a pass without saying whose",
       .verdict = fail,
       .expected = rejected,
       .rules = trust,
       .arc = chain({sealed(1, "list.example", "x; dmarc=pass")})},
      {.name = "it says nothing of dmarc, but DKIM of the author",
       .verdict = fail,
       .expected = lifted,
       .rules = trust,
       .arc = chain({sealed(1, "list.example", "x; dkim=pass header.i=@Example.com")})},
      {.name = "it says nothing of dmarc, but SPF of the author",
       .verdict = fail,
       .expected = lifted,
       .rules = trust,
       .arc = chain({sealed(1, "list.example", "x; spf=pass smtp.mailfrom=a@example.com")})},
      {.name = "DKIM of another domain",
       .verdict = fail,
       .expected = rejected,
       .rules = trust,
       .arc = chain(
           {sealed(1, "list.example", "x; dkim=pass header.d=evil.example; spf=pass smtp.mailfrom=x@evil.example")})},
      {.name = "a pass in a comment",
       .verdict = fail,
       .expected = rejected,
       .rules = trust,
       .arc = chain({sealed(1, "list.example", "x; spf=none (; dmarc=pass header.from=example.com)")})},
      {.name = "a pass in a reason",
       .verdict = fail,
       .expected = rejected,
       .rules = trust,
       .arc = chain({sealed(1, "list.example", "x; spf=none reason=\"; dmarc=pass header.from=example.com\"")})},
      {.name = "it lifts the shield too",
       .verdict = dmarc(DmarcResult::fail, none),
       .expected = lifted,
       .rules = trust,
       .arc = chain({sealed(1, "list.example", seen)}),
       .own = true},
      {.name = "its key could not be fetched", .verdict = fail, .expected = deferred, .rules = trust, .arc = unchecked},
      {.name = "a stranger's key could not be fetched",
       .verdict = fail,
       .expected = rejected,
       .rules = trust,
       .arc = stranger_unchecked},
      {.name = "there is nothing to lift",
       .verdict = dmarc(DmarcResult::fail, none),
       .expected = "accept",
       .rules = trust,
       .arc = unchecked},
  };
  expect_all(rows);
  // RFC 8617 section 7.2.2.
  const MessageDecision decision = judge(rows[7]);
  ASSERT_EQ(decision.overrides.size(), 1U);
  EXPECT_EQ(decision.overrides.front().comment,
            "arc=pass as[2].d=hop.example as[2].s=s as[1].d=list.example as[1].s=s");
}

TEST(JudgeMessage, ActsOnSpfAloneOnlyWhenToldTo) {
  const MessageRules strict{.on_spf_fail = reject};
  const auth::SpfVerdicts fail{.helo = {}, .mail_from = spf(SpfResult::fail, "example.com")};
  const auth::SpfVerdicts soft{.helo = {}, .mail_from = spf(SpfResult::softfail, "example.com")};
  const Row rows[] = {
      {.name = "not told", .verdict = dmarc(DmarcResult::none), .expected = "accept", .spf = fail},
      {.name = "told",
       .verdict = dmarc(DmarcResult::none),
       .expected = "reject 550 5.7.23 disposition=reject",
       .rules = strict,
       .spf = fail},
      {.name = "quarantine",
       .verdict = dmarc(DmarcResult::none),
       .expected = quarantined,
       .rules = {.on_spf_fail = quarantine},
       .spf = fail},
      {.name = "softfail", .verdict = dmarc(DmarcResult::none), .expected = "accept", .rules = strict, .spf = soft},
      {.name = "DKIM is aligned",
       .verdict = aligned_without_record(),
       .expected = "accept",
       .rules = strict,
       .spf = fail},
      {.name = "a DMARC record decides",
       .verdict = dmarc(DmarcResult::fail, none),
       .expected = "accept",
       .rules = strict,
       .spf = fail},
      {.name = "a rule for the author lifts it",
       .verdict = dmarc(DmarcResult::none),
       .expected = "accept override=local_policy",
       .rules = {.on_spf_fail = reject, .overrides = {rule("example.com", none)}},
       .spf = fail},
  };
  expect_all(rows);
}

TEST(JudgeMessage, SaysWhyInTheReply) {
  const MessageDecision decision = judge({.name = {}, .verdict = dmarc(DmarcResult::fail, reject), .expected = {}});
  ASSERT_TRUE(decision.reply);
  EXPECT_EQ(decision.reply->to_line(), "550 5.7.1 Email rejected per DMARC policy for example.com (p=reject): because");
  const MessageDecision waiting = judge({.name = {}, .verdict = unknown_policy(), .expected = {}});
  EXPECT_EQ(waiting.reply->to_line(),
            "451 4.7.0 DMARC of example.com cannot be checked now (because), try again later");
  auth::DmarcVerdict hostile = dmarc(DmarcResult::fail, reject);
  hostile.reason = "a\r\n250 ok\xff" + std::string(10000, 'x');
  const std::string text = judge({.name = {}, .verdict = hostile, .expected = {}}).reply->text;
  for (const char c : text) EXPECT_TRUE(c >= ' ' && c <= '~');
  EXPECT_LT(text.size(), 500U);
}

} // namespace message_test
} // namespace policy
