// SpfEvaluation: see the header.
#include "auth/spf/evaluation.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/core.h>

#include "smtp/base/text.hpp"

namespace auth {

namespace {

const std::string nothing_yet =
    "v=spf1 ?all"; // for a record that is not here yet: no match, so that others are gathered

const char *to_mark(SpfResult qualifier) {
  switch (qualifier) {
  case SpfResult::fail: return "-";
  case SpfResult::softfail: return "~";
  case SpfResult::neutral: return "?";
  case SpfResult::pass:
  case SpfResult::none:
  case SpfResult::temperror:
  case SpfResult::permerror: break;
  }
  return "+";
}

std::string format_network(const SpfTerm &term) {
  const auto &octets = term.network;
  if (term.mechanism == Mechanism::ip4)
    return fmt::format("{}.{}.{}.{}/{}", octets[0], octets[1], octets[2], octets[3], term.prefix4);
  std::string text;
  for (std::size_t i = 0; i < 16; i += 2) text += fmt::format("{:x}:", octets[i] << 8 | octets[i + 1]);
  text.back() = '/';
  return text + std::to_string(term.prefix6);
}

/// `name` is `domain` or below it.
bool is_within(std::string_view name, std::string_view domain) {
  if (name.size() < domain.size() || domain.empty()) return false;
  const auto start = name.size() - domain.size();
  return smtp::equals_ignoring_case(name.substr(start), domain) && (start == 0 || name[start - 1] == '.');
}

} // namespace

bool can_be_asked(std::string_view name) noexcept {
  if (name.size() > 253 || name.find('.') == std::string_view::npos) return false;
  std::size_t label = 0;
  for (const char c : name) {
    if (c < ' ' || c > '~' || c == '\\') return false;
    label = c == '.' ? (label == 0 ? 64 : 0) : label + 1;
    if (label > 63) return false;
  }
  return label > 0;
}

SpfEvaluation::SpfEvaluation(MacroValues identity, DnsFacts &facts) : identity_(std::move(identity)), facts_(facts) {}

SpfVerdict SpfEvaluation::run(const std::string &domain) {
  verdict_.domain = smtp::to_lower(domain);
  SpfOutcome outcome;
  switch (load(domain)) {
  case Load::ready: outcome = evaluate_with_libspf2(rewrite(0), identity_.client, *this); break;
  case Load::no_record: // section 4.5
    stop(SpfResult::none, "no SPF record");
    break;
  case Load::missing:
  case Load::stopped: break;
  }
  const bool waiting = missed_;
  if (!stopped_) {
    judge(outcome);
    // Section 6.2: only for fail. While others are missing the text is gathered with them.
    if (verdict_.result == SpfResult::fail) verdict_.explanation = explain();
  }
  if (waiting) {
    verdict_.result = SpfResult::temperror;
    verdict_.explanation.clear();
    verdict_.reason = fmt::format("{} DNS answers are not here yet", misses_);
  }
  return std::move(verdict_);
}

void SpfEvaluation::judge(const SpfOutcome &outcome) {
  verdict_.result = outcome.result;
  if (!outcome.problem.empty()) {
    verdict_.reason = "libspf2: " + outcome.problem;
    return;
  }
  if (records_.empty()) return; // waiting for the first record
  const Match match = find_match(0);
  if (match.result != outcome.result && !missed_) {
    stop(SpfResult::permerror,
         fmt::format("libspf2 says {}, its wrapper {}", to_string(outcome.result), to_string(match.result)));
    return;
  }
  verdict_.reason = match.path.empty() ? "no mechanism matched" : "matched " + smtp::escape(match.path);
}

void SpfEvaluation::stop(SpfResult result, std::string reason) {
  if (stopped_) return;
  stopped_ = true;
  verdict_.result = result;
  verdict_.reason = std::move(reason);
}

bool SpfEvaluation::may_go_on() const {
  return !stopped_ && (!missed_ || facts_.size() + facts_.missing().size() < spf_gather_limit);
}

// The records

SpfEvaluation::Load SpfEvaluation::load(const std::string &domain) {
  if (!can_be_asked(domain)) return Load::no_record; // section 4.3
  const DnsFact *fact = find(domain, RecordType::txt);
  if (fact == nullptr) return stopped_ ? Load::stopped : Load::missing;
  if (fact->status == smtp::DnsStatus::temporary) { // section 4.4
    stop(SpfResult::temperror, fmt::format("TXT of {}: {}", smtp::escape(domain), smtp::escape(fact->detail)));
    return Load::stopped;
  }
  const auto is_record = [](const std::string &text) { return is_spf_record(text); };
  const auto count = std::count_if(fact->texts.begin(), fact->texts.end(), is_record);
  if (count == 0) return Load::no_record;
  if (count > 1) { // section 4.5
    stop(SpfResult::permerror, fmt::format("{} SPF records at {}", count, smtp::escape(domain)));
    return Load::stopped;
  }
  auto parsed = parse_spf_record(*std::find_if(fact->texts.begin(), fact->texts.end(), is_record));
  if (!parsed) { // section 4.6: wherever in the record
    stop(SpfResult::permerror, fmt::format("record of {}: {}", smtp::escape(domain), parsed.error().detail));
    return Load::stopped;
  }
  const std::size_t index = records_.size();
  records_.push_back({domain, std::move(*parsed), asks_.size()});
  for (const SpfTerm &term : records_.back().record.terms) asks_.push_back({.term = &term, .owner = index});
  if (records_.back().record.redirect) asks_.push_back({.owner = index});
  return Load::ready;
}

std::string SpfEvaluation::rewrite(std::size_t index) const {
  const LoadedRecord &loaded = records_[index];
  const auto &terms = loaded.record.terms;
  std::size_t size = 0;
  for (const SpfTerm &term : terms)
    size += spf_compiled_size(term.mechanism == Mechanism::ip4, term.mechanism == Mechanism::ip6);
  const bool is_long = size > spf_compiled_limit;
  std::string text = "v=spf1";
  std::size_t questions = 0;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const SpfTerm &term = terms[i];
    const auto add = [&](std::string_view mechanism) {
      text += fmt::format(" {}{}", to_mark(term.qualifier), mechanism);
    };
    if (!term.asks_dns()) {
      const bool matches = term.mechanism == Mechanism::all || term.contains(identity_.client);
      // libspf2 refuses "/0" (section 5.6 allows it), and loses what goes past its room: there, networks without the
      // client, which decide nothing, are left out, and so is all behind the first that has it.
      const bool is_any =
          term.mechanism != Mechanism::all && (term.mechanism == Mechanism::ip4 ? term.prefix4 : term.prefix6) == 0;
      if (term.mechanism == Mechanism::all || (matches && (is_any || is_long))) {
        add("all");
        return text; // section 5.1: what follows, redirect too, is ignored
      }
      if (!is_any && !is_long) add((term.mechanism == Mechanism::ip4 ? "ip4:" : "ip6:") + format_network(term));
      continue;
    }
    if (++questions > spf_lookup_limit + 1) return text; // the one before ends the evaluation
    const std::string name = fmt::format("{}.x", loaded.first + i);
    switch (term.mechanism) {
    case Mechanism::include: add("include:" + name); break;
    case Mechanism::a:
    case Mechanism::mx: {
      std::string mechanism = (term.mechanism == Mechanism::a ? "a:" : "mx:") + name;
      if (term.prefix4 > 0 && term.prefix4 < 32) mechanism += fmt::format("/{}", term.prefix4);
      if (term.prefix6 > 0 && term.prefix6 < 128) mechanism += fmt::format("//{}", term.prefix6);
      add(mechanism); // "/0" is done with the answer
      break;
    }
    case Mechanism::ptr: // its rules (section 5.5) are ours: libspf2 makes errors of what must not match
    case Mechanism::exists: add("exists:" + name); break;
    case Mechanism::all:
    case Mechanism::ip4:
    case Mechanism::ip6: break;
    }
  }
  // Section 6.1: behind the mechanisms, wherever it was written; libspf2 goes there at once.
  if (loaded.record.redirect) text += fmt::format(" redirect={}.x", loaded.first + terms.size());
  return text;
}

// What libspf2 asks

SpfEvaluation::Ask *SpfEvaluation::find_ask(std::string_view name) {
  std::size_t number = 0;
  const auto read = std::from_chars(name.data(), name.data() + name.size(), number);
  return read.ec == std::errc() && number < asks_.size() ? &asks_[number] : nullptr;
}

bool SpfEvaluation::begin(Ask &ask) {
  if (ask.begun) return true;
  // Section 4.6.4: over the whole evaluation; libspf2 counts within each record.
  if (verdict_.lookups == spf_lookup_limit) {
    stop(SpfResult::permerror, fmt::format("more than {} terms ask the DNS: {}", spf_lookup_limit, text_of(ask)));
    return false;
  }
  ++verdict_.lookups;
  ask.begun = true;
  return true;
}

std::optional<std::string> SpfEvaluation::record(std::string_view name) {
  Ask *ask = find_ask(name);
  if (ask == nullptr || !may_go_on() || !begin(*ask)) return std::nullopt;
  const auto target = target_of(*ask);
  if (!target) return stopped_ ? std::nullopt : std::optional<std::string>(nothing_yet);
  switch (load(*target)) {
  case Load::ready: break;
  case Load::missing: return nothing_yet;
  case Load::stopped: return std::nullopt;
  case Load::no_record: // sections 5.2 and 6.1
    stop(SpfResult::permerror, fmt::format("{}: no SPF record at {}", text_of(*ask), smtp::escape(*target)));
    return std::nullopt;
  }
  ask->child = records_.size() - 1;
  if (ask->term == nullptr && ask->owner == top_) top_ = *ask->child; // section 6.2: its exp= counts now
  return rewrite(*ask->child);
}

std::optional<std::vector<std::string>> SpfEvaluation::hosts(std::string_view name) {
  Ask *ask = find_ask(name);
  if (ask == nullptr || ask->term == nullptr || !may_go_on() || !begin(*ask)) return std::nullopt;
  const auto target = target_of(*ask);
  const DnsFact *fact = target ? find_for(*ask, *target, RecordType::mx) : nullptr;
  std::vector<std::string> names;
  if (fact == nullptr) return stopped_ ? std::nullopt : std::optional(names);
  // Section 4.6.4: more than 10 is a permerror, whichever of them would match: the order of an answer is random.
  if (fact->hosts.size() > spf_name_limit) {
    stop(SpfResult::permerror, fmt::format("{}: {} has {} MX records, limit is {}", text_of(*ask),
                                           smtp::escape(*target), fact->hosts.size(), spf_name_limit));
    return std::nullopt;
  }
  ask->hosts = &fact->hosts;
  for (std::size_t i = 0; i < fact->hosts.size(); ++i)
    names.push_back(fmt::format("{}.{}.h", name.substr(0, name.find('.')), i));
  return names;
}

std::optional<std::vector<smtp::IpAddress>> SpfEvaluation::addresses(std::string_view name) {
  Ask *ask = find_ask(name);
  if (ask == nullptr || ask->term == nullptr || !may_go_on()) return std::nullopt;
  if (name.ends_with(".h")) { // a host of mx
    std::size_t index = 0;
    const auto digits = name.substr(name.find('.') + 1);
    std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (ask->hosts == nullptr || index >= ask->hosts->size()) return std::nullopt;
    return addresses_of(*ask, (*ask->hosts)[index].host);
  }
  if (!begin(*ask)) return std::nullopt;
  const auto target = target_of(*ask);
  std::vector<smtp::IpAddress> found;
  if (!target) return stopped_ ? std::nullopt : std::optional(found);
  if (ask->term->mechanism == Mechanism::a) return addresses_of(*ask, *target);
  if (ask->term->mechanism == Mechanism::ptr) {
    ask->matched = matches_ptr(*ask, *target);
  } else { // exists, section 5.7: type A for IPv6 clients too
    const DnsFact *fact = find_for(*ask, *target, RecordType::a);
    ask->matched = fact != nullptr && fact->status == smtp::DnsStatus::ok;
  }
  if (stopped_) return std::nullopt;
  if (ask->matched) found.push_back(smtp::IpAddress::v4({127, 0, 0, 2}));
  return found;
}

std::optional<std::vector<smtp::IpAddress>> SpfEvaluation::addresses_of(Ask &ask, std::string_view name) {
  const DnsFact *fact = find_for(ask, name, address_type());
  std::vector<smtp::IpAddress> found;
  if (fact == nullptr) return stopped_ ? std::nullopt : std::optional(found);
  const smtp::IpAddress &client = identity_.client;
  const bool is_any = (client.is_v6() ? ask.term->prefix6 : ask.term->prefix4) == 0;
  for (const smtp::IpAddress &address : fact->addresses) {
    if (address.is_v6() != client.is_v6()) continue;
    if (ask.term->covers(address, client)) ask.matched = true;
    found.push_back(is_any ? client : address); // section 5.3: "/0" matches whatever address there is
    if (ask.matched) break;
  }
  return found;
}

// The DNS

const DnsFact *SpfEvaluation::find(std::string_view name, RecordType type) {
  const DnsFact *fact = facts_.find(name, type);
  if (fact == nullptr) {
    missed_ = true;
    ++misses_;
  } else if (std::find(used_.begin(), used_.end(), fact) == used_.end()) {
    used_.push_back(fact);
  }
  if (used_.size() + misses_ > spf_question_limit && !explaining_) {
    stop(SpfResult::permerror, fmt::format("more than {} DNS questions", spf_question_limit));
    return nullptr;
  }
  return fact;
}

const DnsFact *SpfEvaluation::find_for(Ask &ask, std::string_view name, RecordType type) {
  // Sections 4.3 and 4.8: what no DNS message can carry is a name that does not exist. Nothing was asked: not void.
  static const DnsFact unaskable{
      .status = smtp::DnsStatus::no_name, .addresses = {}, .hosts = {}, .texts = {}, .detail = {}};
  if (!can_be_asked(name)) return &unaskable;
  const DnsFact *fact = find(name, type);
  if (fact == nullptr) return nullptr;
  if (fact->status == smtp::DnsStatus::temporary) { // section 5
    stop(SpfResult::temperror, fmt::format("{}: {}: {}", text_of(ask), smtp::escape(name), smtp::escape(fact->detail)));
    return nullptr;
  }
  return fact->status == smtp::DnsStatus::ok || count_void(ask) ? fact : nullptr;
}

/// Section 4.6.4 counts the terms that have a void lookup. libspf2 does not.
bool SpfEvaluation::count_void(Ask &ask) {
  if (ask.was_void) return true;
  ask.was_void = true;
  if (++verdict_.void_lookups <= spf_void_limit) return true;
  stop(SpfResult::permerror, fmt::format("more than {} void lookups: {}", spf_void_limit, text_of(ask)));
  return false;
}

std::optional<std::string> SpfEvaluation::target_of(const Ask &ask) {
  const LoadedRecord &owner = records_[ask.owner];
  const std::string_view spec = ask.term != nullptr ? ask.term->domain_spec : *owner.record.redirect;
  if (spec.empty()) return owner.domain;
  return expand_name(spec, owner.domain);
}

std::optional<std::string> SpfEvaluation::expand_name(std::string_view domain_spec, const std::string &current_domain) {
  identity_.current_domain = current_domain;
  if (uses_validated_name(domain_spec)) {
    const std::size_t misses = misses_;
    identity_.validated_name = validated_name(current_domain);
    if (misses != misses_ || stopped_) return std::nullopt;
  }
  auto name = expand_macros(domain_spec, identity_);
  return name ? fit_domain_name(std::move(*name)) : std::string();
}

// The client's names (sections 5.5 and 7.3). A DNS error means that there is no name, or that it is not the client's.

std::vector<std::string> SpfEvaluation::client_names(Ask *ask) {
  const DnsFact *fact = find(identity_.client.reverse_name(), RecordType::ptr);
  std::vector<std::string> names;
  if (ask != nullptr && fact != nullptr && fact->status != smtp::DnsStatus::ok &&
      fact->status != smtp::DnsStatus::temporary)
    static_cast<void>(count_void(*ask));
  if (fact != nullptr && fact->status == smtp::DnsStatus::ok) names = fact->texts;
  if (names.size() > spf_name_limit) names.resize(spf_name_limit); // section 4.6.4: the rest is ignored
  return names;
}

bool SpfEvaluation::validates(const std::string &name) {
  if (stopped_ || !can_be_asked(name)) return false;
  const DnsFact *fact = find(name, address_type());
  return fact != nullptr &&
         std::find(fact->addresses.begin(), fact->addresses.end(), identity_.client) != fact->addresses.end();
}

bool SpfEvaluation::matches_ptr(Ask &ask, const std::string &target) {
  bool matches = false;
  for (const std::string &name : client_names(&ask))
    if (!matches && is_within(name, target)) matches = validates(name);
  return matches;
}

std::string SpfEvaluation::validated_name(const std::string &domain) {
  // The domain itself, else a name below it, else any, else "unknown".
  auto names = client_names(nullptr);
  const auto rank = [&](const std::string &name) {
    return smtp::equals_ignoring_case(name, domain) ? 0 : is_within(name, domain) ? 1 : 2;
  };
  std::stable_sort(names.begin(), names.end(),
                   [&](const auto &left, const auto &right) { return rank(left) < rank(right); });
  for (const std::string &name : names)
    if (validates(name)) return name;
  return "unknown";
}

// What came of it

std::string SpfEvaluation::explain() {
  const LoadedRecord &top = records_[top_];
  if (!top.record.explanation || !may_go_on()) return {};
  explaining_ = true;
  const auto name = expand_name(*top.record.explanation, top.domain);
  if (!name || !can_be_asked(*name)) return {};
  const DnsFact *fact = find(*name, RecordType::txt);
  // Section 6.2: no answer, an error, several records or bad syntax: as if there were no exp=.
  if (fact == nullptr || fact->status != smtp::DnsStatus::ok || fact->texts.size() != 1) return {};
  const std::string &text = fact->texts.front();
  if (text.size() > spf_record_limit || !smtp::is_ascii(text) || !check_macro_string(text, MacroPlace::free_text))
    return {};
  identity_.current_domain = top.domain;
  if (uses_validated_name(text)) identity_.validated_name = validated_name(top.domain);
  auto explanation = expand_macros(text, identity_);
  if (!explanation) return {};
  if (explanation->size() > spf_explanation_limit) {
    explanation->resize(spf_explanation_limit - 3);
    *explanation += "...";
  }
  // A local part may bring other octets (SMTPUTF8), the text control characters.
  std::replace_if(
      explanation->begin(), explanation->end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return *explanation;
}

SpfEvaluation::Match SpfEvaluation::find_match(std::size_t index) const {
  const LoadedRecord &loaded = records_[index];
  const auto &terms = loaded.record.terms;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const SpfTerm &term = terms[i];
    const Ask &ask = asks_[loaded.first + i];
    std::string path(term.text);
    if (term.mechanism == Mechanism::include) {
      if (!ask.child) continue;
      const Match inner = find_match(*ask.child);
      if (inner.result == SpfResult::pass) return {term.qualifier, path + ", " + inner.path};
    } else if (term.asks_dns() ? ask.matched : term.mechanism == Mechanism::all || term.contains(identity_.client)) {
      return {term.qualifier, path};
    }
  }
  if (!loaded.record.redirect) return {};
  const Ask &redirect = asks_[loaded.first + terms.size()];
  if (!redirect.child) return {};
  Match inner = find_match(*redirect.child);
  if (!inner.path.empty()) inner.path = text_of(redirect) + ", " + inner.path;
  return inner;
}

std::string SpfEvaluation::text_of(const Ask &ask) const {
  if (ask.term != nullptr) return smtp::escape(ask.term->text, 80);
  return "redirect=" + smtp::escape(*records_[ask.owner].record.redirect, 80);
}

} // namespace auth
