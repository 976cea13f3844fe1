// judge_message: see the header. Rules only add to or take from one disposition; at the end it becomes an action.
#include "policy/message.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "auth/core/dmarc.hpp"
#include "auth/core/results_field.hpp"
#include "smtp/base/text.hpp"

namespace policy {

namespace {

using auth::DmarcPolicy;
using auth::DmarcResult;

std::string printable(std::string_view text, std::size_t limit = 300) {
  std::string safe = smtp::escape(text, limit);
  for (char &c : safe)
    if (static_cast<unsigned char>(c) > 126) c = '?';
  return safe;
}

smtp::Reply refusal(std::uint16_t detail, std::string text) {
  return {.code = 550, .enhanced = smtp::EnhancedCode{5, 7, detail}, .text = std::move(text)};
}

MessageAction action_of(DmarcPolicy disposition) noexcept {
  switch (disposition) {
  case DmarcPolicy::none: return MessageAction::accept;
  case DmarcPolicy::quarantine: return MessageAction::quarantine;
  case DmarcPolicy::reject: return MessageAction::reject;
  }
  return MessageAction::accept;
}

/// The domain part, lower case, of an address or of a domain.
std::string domain_of(std::string_view address) {
  if (const auto at = address.rfind('@'); at != std::string_view::npos) address.remove_prefix(at + 1);
  return smtp::to_lower(address);
}

class Judgement {
public:
  Judgement(const MessageRules &rules, const MessageChecks &checks)
      : rules_(rules), checks_(checks), dmarc_(checks.dmarc) {}

  MessageDecision run() {
    if (dmarc_.result == DmarcResult::pass) {
      say(fmt::format("DMARC passes for {}: {}", shown_domain(), printable(dmarc_.reason)));
      return finish();
    }
    find_wish();
    apply_exceptions();
    return finish();
  }

private:
  void say(std::string line) { decision_.reasons.push_back(std::move(line)); }

  [[nodiscard]] std::string shown_domain() const {
    return dmarc_.domain.empty() ? "an unknown author" : printable(dmarc_.domain);
  }
  [[nodiscard]] bool is_aligned() const noexcept { return dmarc_.spf_aligned || dmarc_.dkim_aligned; }
  [[nodiscard]] bool is_shielded() const noexcept {
    return rules_.own_domain_shield && checks_.from_own_domain && checks_.from_outside && !is_aligned();
  }

  void want(DmarcPolicy disposition, smtp::Reply reply) {
    disposition_ = disposition;
    reply_ = std::move(reply);
  }

  /// What the published policy and our own rules want, exceptions aside.
  void find_wish() {
    switch (dmarc_.result) {
    case DmarcResult::pass: break;
    case DmarcResult::none:
      say(fmt::format("DMARC does not apply: {}", printable(dmarc_.reason)));
      judge_spf();
      break;
    case DmarcResult::fail: judge_failure(); break;
    case DmarcResult::temperror: judge_temporary(); break;
    case DmarcResult::permerror: judge_unusable_from(); break;
    }
    if (is_shielded() && !deferred_ && disposition_ != DmarcPolicy::reject) {
      want(DmarcPolicy::reject,
           refusal(1, "Mail from outside with a header From of this site needs SPF or DKIM aligned with it"));
      say("header From is a domain of ours, the client is outside, and neither SPF nor DKIM is aligned");
      exception_ =
          auth::PolicyOverride{auth::OverrideKind::local_policy, "own domain used from outside without alignment"};
    }
  }

  void judge_failure() {
    disposition_ = dmarc_.disposition;
    std::string line = fmt::format("DMARC fails for {}: {}; {}={}", shown_domain(), printable(dmarc_.reason),
                                   dmarc_.applied_tag.empty() ? "p" : dmarc_.applied_tag, to_string(dmarc_.policy));
    if (dmarc_.policy_domain != dmarc_.domain) line += fmt::format(" at {}", printable(dmarc_.policy_domain));
    if (dmarc_.testing && dmarc_.policy != dmarc_.disposition) {
      line += fmt::format(", t=y makes it {}", to_string(dmarc_.disposition));
      exception_ = auth::PolicyOverride{auth::OverrideKind::policy_test_mode, "t=y"};
    }
    say(std::move(line));
    if (disposition_ == DmarcPolicy::reject)
      reply_ = refusal(1, fmt::format("Email rejected per DMARC policy for {} ({}={}): {}", shown_domain(),
                                      dmarc_.applied_tag.empty() ? "p" : dmarc_.applied_tag, to_string(dmarc_.policy),
                                      printable(dmarc_.reason)));
  }

  /// Never a pass. Where the policy is known to be none, waiting would only delay the message (RFC 9989 section 5.4:
  /// p=none must not change how mail is handled), unless the shield has a word in it.
  void judge_temporary() {
    say(fmt::format("DMARC of {} could not be checked: {}", shown_domain(), printable(dmarc_.reason)));
    const bool known = !dmarc_.applied_tag.empty();
    const DmarcPolicy policy = dmarc_.testing ? auth::lower_policy(dmarc_.policy) : dmarc_.policy;
    if (known && policy == DmarcPolicy::none && !is_shielded() && !has_author_rule()) {
      say("its policy is none whatever the result");
      return;
    }
    defer(fmt::format("DMARC of {} cannot be checked now ({}), try again later", shown_domain(),
                      printable(dmarc_.reason, 200)));
  }

  void judge_unusable_from() {
    say(fmt::format("no author domain: {}", printable(dmarc_.reason)));
    if (!refuses(checks_.authors)) return;
    want(DmarcPolicy::reject, refusal(1, fmt::format("Email rejected: {}", printable(dmarc_.reason))));
  }

  [[nodiscard]] bool refuses(const auth::AuthorDomains &authors) {
    switch (authors.status) {
    case auth::FromStatus::no_field: return rules_.refuse_missing_from; // it claims to be from nobody
    case auth::FromStatus::no_author:
      // "MAILER-DAEMON <>", "postmaster": how many systems sign what they return. A reader shows no address.
      if (checks_.is_notice) {
        say("a notice that names no author claims to be from nobody");
        return false;
      }
      return rules_.refuse_unusable_from;
    case auth::FromStatus::ok:
    case auth::FromStatus::several_fields: return rules_.refuse_several_authors;
    case auth::FromStatus::malformed:
    case auth::FromStatus::no_domain: return rules_.refuse_unusable_from;
    }
    return true;
  }

  /// RFC 7208 section 8.4 leaves a fail to the receiver; with a DMARC record, that record decides.
  void judge_spf() {
    const auth::SpfVerdict &spf = checks_.spf.mail_from;
    if (rules_.on_spf_fail == DmarcPolicy::none || spf.result != auth::SpfResult::fail || dmarc_.dkim_aligned) return;
    // RFC 7372 section 3.2: X.7.23, SPF validation failed.
    want(rules_.on_spf_fail, refusal(23, fmt::format("SPF fails for {}", printable(spf.domain))));
    say(fmt::format("SPF fails for {}, and no DMARC record decides otherwise", printable(spf.domain)));
  }

  void defer(std::string text) {
    deferred_ = true;
    disposition_ = DmarcPolicy::none;
    reply_ = smtp::Reply{.code = 451, .enhanced = smtp::EnhancedCode{4, 7, 0}, .text = std::move(text)};
  }

  /// A rule for the author, else one for a forwarder, else the word of a trusted sealer. A rule for the author may be
  /// stricter than the published policy; the others only lift.
  void apply_exceptions() {
    if (const DmarcOverride *rule = deferred_ ? nullptr : find_rule(OverrideSubject::author)) {
      if (dmarc_.result == DmarcResult::none && is_aligned()) return;
      apply_rule(*rule, auth::OverrideKind::local_policy);
      return;
    }
    if (!deferred_ && disposition_ == DmarcPolicy::none) return;
    if (const DmarcOverride *rule = find_rule(OverrideSubject::forwarder)) {
      if (!deferred_ && rule->disposition >= disposition_) return;
      deferred_ = deferred_ && rule->disposition != DmarcPolicy::none;
      if (!deferred_) apply_rule(*rule, auth::OverrideKind::trusted_forwarder);
      return;
    }
    if (!deferred_) apply_arc();
  }

  void apply_rule(const DmarcOverride &rule, auth::OverrideKind kind) {
    const std::string who = fmt::format("{} ({})", printable(rule.reason), printable(rule.owner));
    say(fmt::format("{}: rule for {} makes it {}: {}", printable(rule.place), rule.domains.to_string(),
                    to_string(rule.disposition), who));
    if (rule.disposition == disposition_) return;
    want(rule.disposition, refusal(1, fmt::format("Email rejected per local policy for {}", shown_domain())));
    exception_ = auth::PolicyOverride{kind, who};
  }

  [[nodiscard]] bool has_author_rule() const {
    const DmarcOverride *rule = find_rule(OverrideSubject::author);
    return rule && rule->disposition != DmarcPolicy::none;
  }

  [[nodiscard]] const DmarcOverride *find_rule(OverrideSubject subject) const {
    const DmarcOverride *best = nullptr;
    const auto consider = [&](const std::string &name) {
      const auto domain = smtp::Domain::parse(name);
      if (!domain) return;
      for (const DmarcOverride &rule : rules_.overrides)
        if (rule.subject == subject && rule.domains.matches(*domain) &&
            (!best || rule.domains.specificity() > best->domains.specificity()))
          best = &rule;
    };
    if (rules_.overrides.empty()) return best;
    if (subject == OverrideSubject::author) {
      consider(dmarc_.domain);
      return best;
    }
    for (const auth::SpfVerdict *spf : {&checks_.spf.mail_from, &checks_.spf.helo})
      if (spf->result == auth::SpfResult::pass) consider(spf->domain);
    for (const auth::DkimVerdict &dkim : checks_.dkim)
      if (dkim.result == auth::DkimResult::pass && !dkim.body_goes_on) consider(dkim.domain);
    return best;
  }

  [[nodiscard]] bool is_trusted(const auth::ArcSet &set) const {
    const std::string sealer = smtp::to_lower(set.domain);
    return std::find(rules_.trusted_sealers.begin(), rules_.trusted_sealers.end(), sealer) !=
           rules_.trusted_sealers.end();
  }

  /// A chain proves what its newest sealer saw. An older set, seal and all, can be put on any message by a later hop;
  /// so only sets are believed behind which every sealer is trusted (RFC 8617 sections 7.2 and 9).
  void apply_arc() {
    const auto &chain = checks_.arc.chain;
    if (chain.empty() || dmarc_.domain.empty() || !is_trusted(chain.back())) return;
    if (checks_.arc.temporary) {
      say(fmt::format("the ARC chain of {}, which is trusted, could not be checked", printable(chain.back().domain)));
      defer("ARC cannot be checked now, try again later");
      return;
    }
    if (checks_.arc.result != auth::ArcResult::pass) return;
    for (auto set = chain.rbegin(); set != chain.rend() && is_trusted(*set); ++set) {
      if (!saw_pass(*set)) continue;
      disposition_ = DmarcPolicy::none;
      // RFC 8617 section 7.2.2.
      std::string comment = "arc=pass";
      for (auto other = chain.rbegin(); other != chain.rend() && comment.size() < 500; ++other)
        comment += fmt::format(" as[{0}].d={1} as[{0}].s={2}", other->instance, printable(other->domain),
                               printable(other->selector));
      say(fmt::format("trusted sealer {} saw it pass for {}", printable(set->domain), shown_domain()));
      exception_ = auth::PolicyOverride{auth::OverrideKind::local_policy, std::move(comment)};
      return;
    }
  }

  /// What the sealer wrote into ARC-Authentication-Results: dmarc=pass for our author, or, where it says nothing of
  /// dmarc, DKIM or SPF of exactly that domain.
  [[nodiscard]] bool saw_pass(const auth::ArcSet &set) const {
    const auth::ResultsPayload payload = auth::parse_results(set.results);
    bool has_dmarc = false;
    bool passed = false;
    bool identified = false;
    for (const auth::MethodResult &result : payload.results) {
      const bool pass = result.result == "pass";
      if (result.method == "dmarc") {
        has_dmarc = true;
        passed = passed || (pass && domain_of(result.property("header.from")) == dmarc_.domain);
      } else if (pass && result.method == "dkim") {
        const std::string_view domain = result.property("header.d");
        identified = identified || domain_of(domain.empty() ? result.property("header.i") : domain) == dmarc_.domain;
      } else if (pass && result.method == "spf") {
        identified = identified || domain_of(result.property("smtp.mailfrom")) == dmarc_.domain;
      }
    }
    return has_dmarc ? passed : identified;
  }

  MessageDecision finish() {
    decision_.action = deferred_ ? MessageAction::defer : action_of(disposition_);
    decision_.observed = decision_.action;
    decision_.disposition = disposition_;
    if (exception_) decision_.overrides.push_back(std::move(*exception_));
    if (decision_.action == MessageAction::reject || decision_.action == MessageAction::defer)
      decision_.reply = std::move(reply_);
    if (rules_.mode == Mode::observe && decision_.action != MessageAction::accept) {
      say(fmt::format("mode observe: {} would have been the action", to_string(decision_.action)));
      if (disposition_ != DmarcPolicy::none)
        decision_.overrides.push_back({auth::OverrideKind::local_policy, "policy is observed, not enforced"});
      decision_.action = MessageAction::accept;
      decision_.disposition = DmarcPolicy::none;
      decision_.reply.reset();
    }
    return std::move(decision_);
  }

  const MessageRules &rules_;
  const MessageChecks &checks_;
  const auth::DmarcVerdict &dmarc_;
  MessageDecision decision_;
  DmarcPolicy disposition_ = DmarcPolicy::none; ///< as the rules so far have it
  bool deferred_ = false;
  smtp::Reply reply_; ///< for reject or defer
  std::optional<auth::PolicyOverride> exception_;
};

} // namespace

std::string_view to_string(MessageAction action) noexcept {
  switch (action) {
  case MessageAction::accept: return "accept";
  case MessageAction::quarantine: return "quarantine";
  case MessageAction::reject: return "reject";
  case MessageAction::defer: return "defer";
  }
  return "?";
}

MessageDecision judge_message(const MessageRules &rules, const MessageChecks &checks) {
  return Judgement(rules, checks).run();
}

} // namespace policy
