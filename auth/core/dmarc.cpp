// check_dmarc: see the header. The order of the steps is that of RFC 9989 section 5.3.
#include "auth/core/dmarc.hpp"

#include <algorithm>
#include <optional>

#include <fmt/core.h>
#include <fmt/format.h>

#include "auth/core/dmarc_walk.hpp"
#include "smtp/base/text.hpp"

namespace auth {

namespace {

/// Whether something holds, when the DNS may have failed to tell.
enum class Answer : std::uint8_t { no, yes, unknown };

bool is_within(std::string_view name, std::string_view parent) noexcept {
  if (name == parent) return true;
  return name.size() > parent.size() && name.ends_with(parent) && name[name.size() - parent.size() - 1] == '.';
}

/// Labels that two names have in common, from the top.
std::size_t common_labels(std::string_view left, std::string_view right) noexcept {
  std::size_t labels = 0;
  while (!left.empty() && !right.empty()) {
    const auto last = [](std::string_view name) {
      const auto dot = name.rfind('.');
      return dot == std::string_view::npos ? name : name.substr(dot + 1);
    };
    const std::string_view label = last(left);
    if (label != last(right)) break;
    ++labels;
    left.remove_suffix(std::min(left.size(), label.size() + 1));
    right.remove_suffix(std::min(right.size(), label.size() + 1));
  }
  return labels;
}

std::string printable(std::string_view text, std::size_t limit = 200) {
  std::string safe = smtp::escape(text, limit);
  for (char &c : safe)
    if (static_cast<unsigned char>(c) > 126) c = '?';
  return safe;
}

/// An authenticated identifier, or one that might have been, had the DNS answered.
struct Identifier {
  std::string domain;
  bool is_spf = false;
  bool temporary = false;
};

std::string normalised(std::string_view domain) {
  if (domain.ends_with('.')) domain.remove_suffix(1);
  return smtp::to_lower(domain);
}

/// RFC 9989 section 5.3.3.
std::vector<Identifier> find_identifiers(const DmarcRequest &request) {
  std::vector<Identifier> found;
  const auto add = [&](Identifier identifier) {
    const bool known = std::any_of(found.begin(), found.end(), [&](const Identifier &other) {
      return other.domain == identifier.domain && other.is_spf == identifier.is_spf &&
             other.temporary == identifier.temporary;
    });
    if (!known && !identifier.domain.empty()) found.push_back(std::move(identifier));
  };
  // Section 4.4.2: the HELO identity never counts by itself.
  const SpfVerdict &spf = request.spf.mail_from;
  if (spf.result == SpfResult::pass || spf.result == SpfResult::temperror)
    add({.domain = normalised(spf.domain), .is_spf = true, .temporary = spf.result == SpfResult::temperror});
  const std::size_t looked_at = std::min(request.dkim.size(), most_dmarc_signatures);
  for (const DkimVerdict &dkim : request.dkim.first(looked_at)) {
    if (dkim.result != DkimResult::pass && dkim.result != DkimResult::temperror) continue;
    if (dkim.body_goes_on && !request.options.accept_partial_body) continue;
    if (dkim.testing && !request.options.accept_testing_keys) continue;
    add({.domain = normalised(dkim.domain), .is_spf = false, .temporary = dkim.result == DkimResult::temperror});
  }
  return found;
}

/// One author domain.
class DomainCheck {
public:
  DomainCheck(const std::string &author, const std::vector<Identifier> &identifiers, DnsFacts &facts)
      : author_(author), identifiers_(identifiers), facts_(facts), walk_(walk_dmarc_tree(author, facts)) {}

  DmarcVerdict run() {
    verdict_.domain = author_;
    verdict_.org_domain = walk_.org_domain;
    if (walk_.missing) {
      // Identifiers that will probably need a walk of their own are asked for in the same round.
      for (const Identifier &identifier : identifiers_)
        if (identifier.domain != author_ && common_labels(identifier.domain, author_) >= 2)
          (void)walk_dmarc_tree(identifier.domain, facts_);
      return verdict_;
    }
    const Answer found = find_policy();
    const Answer aligned = check_alignment();
    set_result(found, aligned);
    return verdict_;
  }

private:
  /// RFC 9989 section 4.10.1: the record of the author domain, of its Organizational Domain, of the public suffix
  /// domain.
  Answer find_policy() {
    const DmarcRecord *record = walk_.at(author_);
    std::string_view where = author_;
    if (!record && walk_.temporary) return Answer::unknown;
    if (!record) {
      where = walk_.org_domain;
      record = walk_.at(where);
    }
    if (!record && !walk_.steps.empty()) {
      const DmarcStep &last = walk_.steps.back();
      if (last.record && last.record->psd == DmarcPsd::yes) {
        where = last.name;
        record = &*last.record;
      }
    }
    if (!record) return Answer::no;
    verdict_.policy_domain = std::string(where);
    verdict_.record = record->text;
    verdict_.strict_spf = record->strict_spf;
    verdict_.strict_dkim = record->strict_dkim;
    verdict_.testing = record->testing;
    for (const DmarcUri &uri : record->rua) verdict_.rua.push_back(uri.published);
    if (!record->problems.empty()) problem_ = fmt::format("{}", fmt::join(record->problems, "; "));
    if (!record->applies) return Answer::no;
    choose_tag(*record);
    return Answer::yes;
  }

  void choose_tag(const DmarcRecord &record) {
    verdict_.policy = record.policy;
    verdict_.applied_tag = "p";
    if (verdict_.policy_domain == author_) return;
    if (record.subdomain_policy) {
      verdict_.policy = *record.subdomain_policy;
      verdict_.applied_tag = "sp";
    }
    if (!record.nonexistent_policy) return;
    // Only now does it matter whether the author domain exists.
    switch (author_exists()) {
    case Answer::yes: break;
    case Answer::unknown: existence_unknown_ = true; break;
    case Answer::no:
      verdict_.policy = *record.nonexistent_policy;
      verdict_.applied_tag = "np";
      break;
    }
  }

  /// RFC 9989 section 3.2.13 and appendix A.4: it does not exist when the DNS says NXDOMAIN; any answer for any type,
  /// an empty one too, means that it does.
  Answer author_exists() {
    bool no_name = false;
    bool any_answer = false;
    for (const RecordType type : {RecordType::a, RecordType::aaaa, RecordType::mx}) {
      const DnsFact *fact = facts_.find(author_, type);
      if (!fact) continue;
      switch (fact->status) {
      case smtp::DnsStatus::ok:
      case smtp::DnsStatus::no_data: any_answer = true; break;
      case smtp::DnsStatus::no_name: no_name = true; break;
      case smtp::DnsStatus::temporary: break;
      }
    }
    if (any_answer) return Answer::yes;
    return no_name ? Answer::no : Answer::unknown;
  }

  /// RFC 9989 section 5.3.4: yes as soon as one identifier is aligned; unknown when one might be.
  Answer check_alignment() {
    Answer result = Answer::no;
    for (const Identifier &identifier : identifiers_) {
      const bool strict = identifier.is_spf ? verdict_.strict_spf : verdict_.strict_dkim;
      const Answer aligned = is_aligned(identifier.domain, strict);
      if (aligned == Answer::no) continue;
      if (aligned == Answer::unknown || identifier.temporary) {
        if (identifier.temporary && identifier_problem_.empty())
          identifier_problem_ = fmt::format("{} of {} has a temporary error", identifier.is_spf ? "SPF" : "DKIM",
                                            printable(identifier.domain, 80));
        if (result == Answer::no) result = Answer::unknown;
        continue;
      }
      (identifier.is_spf ? verdict_.spf_aligned : verdict_.dkim_aligned) = true;
      result = Answer::yes;
    }
    return result;
  }

  /// RFC 9989 section 4.10.2. Organizational Domains are the name itself or above it, so an identifier that does not
  /// lie within the author's Organizational Domain needs no walk.
  Answer is_aligned(const std::string &identifier, bool strict) {
    if (identifier == author_) return Answer::yes;
    if (strict || common_labels(identifier, author_) == 0) return Answer::no;
    if (walk_.temporary) return Answer::unknown;
    if (!is_within(identifier, walk_.org_domain)) return Answer::no;
    const DmarcWalk other = walk_dmarc_tree(identifier, facts_);
    if (!other.is_certain()) {
      if (other.temporary && identifier_problem_.empty()) identifier_problem_ = printable(other.problem);
      return Answer::unknown;
    }
    return other.org_domain == walk_.org_domain ? Answer::yes : Answer::no;
  }

  void set_result(Answer found, Answer aligned) {
    if (found == Answer::unknown) return temporary(printable(walk_.problem));
    if (found == Answer::no) {
      verdict_.result = DmarcResult::none;
      verdict_.reason = !problem_.empty()        ? printable(problem_)
                        : !walk_.problem.empty() ? printable(walk_.problem)
                                                 : fmt::format("no DMARC record applies to {}", author_);
      return;
    }
    if (aligned == Answer::yes) {
      verdict_.result = DmarcResult::pass;
      verdict_.reason = fmt::format("{} aligned with {}",
                                    !verdict_.dkim_aligned  ? "SPF is"
                                    : !verdict_.spf_aligned ? "DKIM is"
                                                            : "SPF and DKIM are",
                                    author_);
      return;
    }
    // RFC 9989 section 5.3.6: a check that the DNS did not let end is neither pass nor fail.
    if (aligned == Answer::unknown)
      return temporary(identifier_problem_.empty() ? printable(walk_.problem) : identifier_problem_);
    if (existence_unknown_) return temporary(fmt::format("the DNS does not tell whether {} exists", author_));
    verdict_.result = DmarcResult::fail;
    verdict_.disposition = verdict_.testing ? lower_policy(verdict_.policy) : verdict_.policy;
    verdict_.reason = fmt::format("neither SPF nor DKIM passes aligned with {}", author_);
    if (!problem_.empty()) verdict_.reason += fmt::format(" ({})", printable(problem_, 120));
  }

  void temporary(std::string reason) {
    verdict_.result = DmarcResult::temperror;
    verdict_.reason = std::move(reason);
  }

  const std::string &author_;
  const std::vector<Identifier> &identifiers_;
  DnsFacts &facts_;
  const DmarcWalk walk_;
  DmarcVerdict verdict_;
  bool existence_unknown_ = false;
  std::string problem_;            ///< of the record
  std::string identifier_problem_; ///< why an alignment is unknown
};

/// RFC 9989 section 11.5: the strictest policy among the checks that fail; then what is least proved. Higher counts.
int severity(const DmarcVerdict &verdict) {
  const bool aligned = verdict.spf_aligned || verdict.dkim_aligned;
  switch (verdict.result) {
  case DmarcResult::fail:
    switch (verdict.disposition) {
    case DmarcPolicy::reject: return 7;
    case DmarcPolicy::quarantine: return 5;
    case DmarcPolicy::none: return 4;
    }
    return 4;
  case DmarcResult::temperror: return 6;
  case DmarcResult::permerror: return 3;
  case DmarcResult::none: return aligned ? 1 : 2;
  case DmarcResult::pass: return 0;
  }
  return 0;
}

DmarcVerdict no_author(std::string reason) {
  DmarcVerdict verdict;
  verdict.result = DmarcResult::permerror;
  verdict.reason = std::move(reason);
  return verdict;
}

} // namespace

DmarcPolicy lower_policy(DmarcPolicy policy) noexcept {
  switch (policy) {
  case DmarcPolicy::reject: return DmarcPolicy::quarantine;
  case DmarcPolicy::quarantine:
  case DmarcPolicy::none: break;
  }
  return DmarcPolicy::none;
}

DmarcVerdict check_dmarc(const DmarcRequest &request, DnsFacts &facts) {
  const AuthorDomains &authors = request.authors;
  if (!authors.is_ok()) return no_author(authors.problem);
  const std::size_t limit = request.options.several_authors == SeveralAuthors::stop ? 1 : most_author_domains;
  if (authors.domains.size() > limit)
    return no_author(
        fmt::format("header From has addresses of {} domains, limit is {}", authors.domains.size(), limit));

  const std::vector<Identifier> identifiers = find_identifiers(request);
  std::optional<DmarcVerdict> worst;
  for (const std::string &author : authors.domains) {
    DmarcVerdict verdict = DomainCheck(author, identifiers, facts).run();
    if (!worst || severity(verdict) > severity(*worst)) worst = std::move(verdict);
  }
  return worst ? std::move(*worst) : no_author("header From has no address");
}

} // namespace auth
