// What sessions add to the TLS memory, and what is recalled. What it keeps is in tls_memory_store.cpp.
#include "mta/tally/tls_memory.hpp"

#include <algorithm>
#include <set>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace mta {

using namespace std::chrono_literals;
using std::chrono::sys_seconds;

namespace {

constexpr sys_seconds never{};
/// A stretch in which nothing was seen for so long begins anew: time alone, without sessions that fail, releases
/// nothing.
constexpr auto stretch_gap = 24h;
/// After mail could leave in clear, a domain counts as one that always has TLS when it had it for so long again. One
/// with a good and a bad host would else be an event each time.
constexpr auto regain_time = 24h;
constexpr auto event_interval = 1h;
/// How often the time of the last session alone is worth a record.
constexpr auto write_interval = 24h;

std::string time_text(sys_seconds time) {
  if (time == never) return "never";
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

/// "mail.example.net" of "mx1.mail.example.net": hosts below one name are run by one provider.
std::string provider_of(const DomainMemory &memory) {
  const auto last = std::max_element(memory.hosts.begin(), memory.hosts.end(), [](const auto &left, const auto &right) {
    return left.last_tls < right.last_tls;
  });
  if (last == memory.hosts.end()) return memory.domain;
  const auto dot = last->name.find('.');
  if (dot == std::string::npos || last->name.find('.', dot + 1) == std::string::npos) return last->name;
  return last->name.substr(dot + 1);
}

HostMemory &host_of(DomainMemory &memory, const std::string &name) {
  const std::string_view cut = std::string_view(name).substr(0, MemoryLimits::name);
  auto &hosts = memory.hosts;
  for (HostMemory &host : hosts)
    if (host.name == cut) return host;
  if (hosts.size() >= MemoryLimits::hosts)
    hosts.erase(std::min_element(hosts.begin(), hosts.end(), [](const auto &left, const auto &right) {
      return std::max(left.last_tls, left.last_clear) < std::max(right.last_tls, right.last_clear);
    }));
  hosts.emplace_back().name = cut;
  return hosts.back();
}

std::string why_without(const TlsSession &session) {
  if (!session.starttls_offered) return "STARTTLS was not offered";
  if (!session.tls_problem.empty()) return smtp::escape(session.tls_problem, MemoryLimits::reason);
  return session.fallback ? "TLS failed before, and this was the planned attempt in clear" : "TLS did not come about";
}

bool covers(const smtp::DomainPattern &pattern, std::string_view domain) {
  const std::string &base = pattern.base();
  if (!pattern.is_wildcard()) return domain == base;
  if (base.empty()) return true;
  return domain.size() > base.size() && domain.ends_with(base) && domain[domain.size() - base.size() - 1] == '.';
}

} // namespace

TlsMemory::TlsMemory(TlsMemoryOptions options, store::Store &store, const TlsMemoryConfig &config, MailLog &log)
    : options_(std::move(options)), store_(store), log_(log), config_(config) {}

void TlsMemory::configure(const TlsMemoryConfig &config) {
  const std::scoped_lock lock(mutex_);
  config_ = config;
}

sys_seconds TlsMemory::now() const {
  return std::chrono::floor<std::chrono::seconds>(options_.now());
}

void TlsMemory::session(const std::shared_ptr<const TlsSession> &session) {
  // A host that was passed over, and one with which TLS was not to be used, say nothing of the TLS that it has.
  if (session->direction != TlsSession::Direction::outbound || session->by_route || session->address.empty()) return;
  const bool has_tls = session->facts.encrypted;
  if (!has_tls && session->wanted == tls::Level::none && session->starttls_offered) return;
  Events events;
  {
    const std::scoped_lock lock(mutex_);
    if (!config_.enabled) return;
    const sys_seconds time = now();
    if (std::chrono::floor<std::chrono::days>(time) != cleaned_) forget_old(time);
    auto found = domains_.find(session->domain);
    if (found == domains_.end()) {
      // Of a domain that never had TLS there is nothing to remember.
      if (!has_tls || session->domain.empty() || session->domain.size() > MemoryLimits::name) return;
      if (domains_.size() >= options_.max_domains) make_room();
      found = domains_.try_emplace(session->domain).first;
      found->second.memory.domain = session->domain;
    }
    if (has_tls)
      note_tls(found->second, *session, time, events);
    else
      note_clear(found->second, *session, time, events);
  }
  for (const Event &event : events) log_.write(event);
}

/// Called with the mutex.
void TlsMemory::note_tls(Entry &entry, const TlsSession &session, sys_seconds time, Events &events) {
  DomainMemory &memory = entry.memory;
  bool is_news = memory.first_tls == never;
  if (is_news) memory.first_tls = memory.always_since = time;
  if (memory.failing_since != never) {
    events.push_back(Event("tls_returned")
                         .with("domain", memory.domain)
                         .with("host", session.host)
                         .with("failed_since", time_text(memory.failing_since))
                         .with("sessions", memory.failing_sessions));
    if (is_let_go(memory, time)) memory.always_since = time;
    memory.failing_since = never;
    memory.failing_sessions = 0;
    memory.failing_why.clear();
    memory.release.reset();
    is_news = true;
  }
  HostMemory &host = host_of(memory, session.host);
  if (host.first_tls == never) {
    host.first_tls = time;
    host.best_version = session.facts.version;
    is_news = true;
  }
  if (session.facts.version > host.best_version) {
    host.best_version = session.facts.version;
    is_news = true;
  }
  if (!host.authenticated && session.got() >= tls::Level::authenticated) host.authenticated = is_news = true;
  host.last_tls = memory.last_tls = time;
  if (is_news || time - entry.written >= write_interval) mark(entry);
  // What protects mail from now on is not to be lost with the second in which it was learnt.
  if (is_news && protecting(memory.domain) != nullptr) store_.hurry();
}

/// Called with the mutex.
void TlsMemory::note_clear(Entry &entry, const TlsSession &session, sys_seconds time, Events &events) {
  DomainMemory &memory = entry.memory;
  const bool is_stale = memory.failing_since != never && time - memory.last_clear > stretch_gap;
  const bool begins = memory.failing_since == never || (is_stale && !is_let_go(memory, time));
  if (begins) {
    memory.failing_since = time;
    memory.failing_sessions = 0;
  }
  const bool was_always = !memory.was_let_go || time - memory.always_since >= regain_time;
  memory.last_clear = time;
  ++memory.failing_sessions;
  memory.failing_why = why_without(session);
  host_of(memory, session.host).last_clear = time;
  const bool is_held = !is_let_go(memory, time);
  bool is_news = begins;
  if (!is_held && !memory.was_let_go) memory.was_let_go = is_news = true;
  // While mail waits it is said each hour; mail that leaves in clear is said when it begins to.
  if (was_always && (begins || is_held) && time - entry.warned >= event_interval) {
    entry.warned = time;
    note_stripped(entry, session, time, events);
  }
  if (is_news || time - entry.written >= write_interval || (is_held && time - entry.written >= event_interval))
    mark(entry);
}

/// Called with the mutex.
void TlsMemory::note_stripped(Entry &entry, const TlsSession &session, sys_seconds time, Events &events) {
  const DomainMemory &memory = entry.memory;
  const policy::MemoryFacts facts = facts_of(memory, time);
  const bool is_held = facts.protect;
  events.push_back(Event("tls_stripped", LogLevel::warning)
                       .with("domain", memory.domain)
                       .with("host", session.host)
                       .with("ip", session.address)
                       .with("why", memory.failing_why)
                       .with("had_tls_since", time_text(memory.always_since))
                       .with("last_tls", time_text(memory.last_tls))
                       .with("best_tls", tls::to_string(facts.best_version))
                       .with("was_authenticated", facts.authenticated)
                       .with("mail", is_held ? "waits" : "goes in clear where nothing else forbids it")
                       .with_if("rule", facts.rule)
                       .with("failing_since", time_text(memory.failing_since)));
  note_widely(entry, time, events);
}

/// Called with the mutex.
void TlsMemory::note_widely(const Entry &entry, sys_seconds time, Events &events) {
  std::erase_if(stripped_, [&](const Stripped &old) {
    return time - old.time >= event_interval || old.domain == entry.memory.domain;
  });
  if (stripped_.size() >= 1'000) stripped_.pop_front();
  stripped_.push_back({time, entry.memory.domain, provider_of(entry.memory)});
  std::set<std::string> providers;
  for (const Stripped &stripped : stripped_) providers.insert(stripped.provider);
  if (config_.many_domains == 0 || providers.size() < config_.many_domains) return;
  if (widely_warned_ != never && time - widely_warned_ < event_interval) return;
  widely_warned_ = time;
  std::string examples;
  for (auto at = stripped_.rbegin(); at != stripped_.rend() && at - stripped_.rbegin() < 5; ++at)
    examples += (examples.empty() ? "" : ", ") + at->domain;
  events.push_back(Event("tls_stripped_widely", LogLevel::error)
                       .with("domains", static_cast<std::uint64_t>(stripped_.size()))
                       .with("providers", static_cast<std::uint64_t>(providers.size()))
                       .with("limit", static_cast<std::uint64_t>(config_.many_domains))
                       .with("examples", examples)
                       .with("note",
                             "unrelated domains lost STARTTLS within an hour: the fault, or the attacker, is near "
                             "us; look at our own network, firewall and name servers"));
}

/// Called with the mutex. Whether mail may leave in clear in the stretch under way, as far as the memory has a say.
bool TlsMemory::is_let_go(const DomainMemory &memory, sys_seconds time) const {
  if (memory.failing_since == never) return false;
  if (memory.release || !protecting(memory.domain)) return true;
  if (config_.release_after == 0s || time - memory.failing_since < config_.release_after) return false;
  return time - memory.last_clear <= stretch_gap || memory.last_clear - memory.failing_since >= config_.release_after;
}

/// Called with the mutex.
const smtp::DomainPattern *TlsMemory::protecting(std::string_view domain) const {
  const auto found = std::find_if(config_.protect.begin(), config_.protect.end(),
                                  [&](const smtp::DomainPattern &pattern) { return covers(pattern, domain); });
  return found == config_.protect.end() ? nullptr : &*found;
}

/// Called with the mutex.
policy::MemoryFacts TlsMemory::facts_of(const DomainMemory &memory, sys_seconds time) const {
  policy::MemoryFacts facts;
  facts.known = memory.first_tls != never;
  if (!facts.known)
    return memory.release || !may_be_forgotten(memory.domain, time) ? facts : facts_of_forgotten(memory.domain);
  facts.best_version = tls::Version::tls1_0;
  for (const HostMemory &host : memory.hosts) {
    if (host.first_tls == never) continue;
    facts.best_version = std::max(facts.best_version, host.best_version);
    facts.authenticated = facts.authenticated || host.authenticated;
  }
  facts.first_seen = memory.first_tls;
  facts.last_seen = memory.last_tls;
  const bool let_go = is_let_go(memory, time);
  facts.always = !let_go && (!memory.was_let_go || time - memory.always_since >= regain_time);
  if (protecting(memory.domain) != nullptr) {
    facts.protect = !let_go;
    facts.rule = rule_for(memory.domain);
  }
  return facts;
}

/// Called with the mutex, for a domain that a pattern protects.
std::string TlsMemory::rule_for(std::string_view domain) const {
  return fmt::format("{}{}[tls_memory] {}", config_.place, config_.place.empty() ? "" : " ",
                     protecting(domain)->to_string());
}

/// Called with the mutex.
bool TlsMemory::may_be_forgotten(std::string_view domain, sys_seconds time) const {
  if (damaged_since_ == never || protecting(domain) == nullptr) return false;
  return config_.release_after == 0s || time - damaged_since_ < config_.release_after;
}

/// Called with the mutex, for a domain that may be forgotten.
policy::MemoryFacts TlsMemory::facts_of_forgotten(std::string_view domain) const {
  policy::MemoryFacts facts;
  facts.protect = true;
  facts.rule = fmt::format("{}, and the memory was found damaged at {}", rule_for(domain), time_text(damaged_since_));
  return facts;
}

std::optional<sys_seconds> TlsMemory::damaged_since() const {
  const std::scoped_lock lock(mutex_);
  if (damaged_since_ == never || (config_.release_after != 0s && now() - damaged_since_ >= config_.release_after))
    return std::nullopt;
  return damaged_since_;
}

policy::MemoryFacts TlsMemory::recall(std::string_view domain) const {
  // A view into the map's key would need C++20's heterogeneous look-up with a hash of its own; names are short.
  const std::string name(domain);
  const std::scoped_lock lock(mutex_);
  if (!config_.enabled) return {};
  const auto found = domains_.find(name);
  if (found != domains_.end()) return facts_of(found->second.memory, now());
  return may_be_forgotten(name, now()) ? facts_of_forgotten(name) : policy::MemoryFacts();
}

std::optional<RememberedDomain> TlsMemory::show(std::string_view domain) const {
  const std::string name(domain);
  const std::scoped_lock lock(mutex_);
  const auto found = domains_.find(name);
  if (found == domains_.end()) {
    if (!may_be_forgotten(name, now())) return std::nullopt;
    RememberedDomain forgotten{{}, facts_of_forgotten(name)};
    forgotten.memory.domain = name;
    return forgotten;
  }
  return RememberedDomain{found->second.memory, facts_of(found->second.memory, now())};
}

TlsMemory::Failing TlsMemory::count_failing() const {
  Failing count;
  const std::scoped_lock lock(mutex_);
  const auto time = now();
  for (const auto &[name, entry] : domains_) {
    if (entry.memory.failing_since == never) continue;
    ++count.domains;
    if (facts_of(entry.memory, time).protect) ++count.held;
  }
  return count;
}

std::vector<RememberedDomain> TlsMemory::list(std::size_t limit, bool failing_only) const {
  std::vector<RememberedDomain> result;
  {
    const std::scoped_lock lock(mutex_);
    std::vector<const DomainMemory *> order;
    order.reserve(failing_only ? 0 : domains_.size());
    for (const auto &[name, entry] : domains_)
      if (!failing_only || entry.memory.failing_since != never) order.push_back(&entry.memory);
    std::sort(order.begin(), order.end(), [](const DomainMemory *left, const DomainMemory *right) {
      const bool fails = left->failing_since != never;
      const bool other_fails = right->failing_since != never;
      return fails != other_fails ? fails : left->domain < right->domain;
    });
    order.resize(std::min(order.size(), limit));
    for (const DomainMemory *memory : order) result.push_back({*memory, facts_of(*memory, now())});
  }
  return result;
}

std::size_t TlsMemory::size() const {
  const std::scoped_lock lock(mutex_);
  return domains_.size();
}

/// Called with the mutex. The oldest hundredth goes, so that this is not done for each new domain.
void TlsMemory::make_room() {
  struct Candidate {
    bool is_protected = false;
    sys_seconds last;
    const std::string *name = nullptr;
  };
  std::vector<Candidate> candidates;
  candidates.reserve(domains_.size());
  for (const auto &[name, entry] : domains_)
    candidates.push_back({protecting(name) != nullptr, entry.memory.last_seen(), &name});
  const auto count = std::min(candidates.size(), options_.max_domains / 100 + 1);
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(count), candidates.end(),
                    [](const Candidate &left, const Candidate &right) {
                      return left.is_protected != right.is_protected ? right.is_protected : left.last < right.last;
                    });
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(*candidates[i].name);
  for (const std::string &name : names) domains_.erase(name);
  store::forget_tls_memory(store_, std::move(names));
}

/// Called with the mutex. A clock that is ahead, at a start or for a moment, must not erase what protects mail.
bool TlsMemory::is_clock_settled(sys_seconds time) {
  constexpr auto tolerance = std::chrono::minutes(5);
  constexpr auto proof = std::chrono::hours(24);
  const auto steady = options_.steady_now();
  if (even_since_) {
    const auto step =
        (time - even_since_->wall) - std::chrono::duration_cast<std::chrono::seconds>(steady - even_since_->steady);
    if (step > tolerance || step < -tolerance) even_since_.reset();
  }
  if (!even_since_) even_since_ = Moment{time, steady};
  return steady - even_since_->steady >= proof;
}

/// Called with the mutex.
void TlsMemory::forget_old(sys_seconds time) {
  if (!is_clock_settled(time)) return;
  cleaned_ = std::chrono::floor<std::chrono::days>(time);
  const auto age = std::chrono::days(config_.keep_days);
  std::erase_if(domains_, [&](const auto &entry) { return time - entry.second.memory.last_seen() > age; });
  store::forget_tls_memory_before(store_, time - age - write_interval); // rows may be that late
}

/// Called with the mutex. What has no room is tried again with the next session.
void TlsMemory::mark(Entry &entry) {
  entry.written = store::keep_tls_memory(store_, entry.memory) ? entry.memory.last_seen() : never;
}

} // namespace mta
