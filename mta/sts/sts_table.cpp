// StsTable: see the header.
#include "mta/sts/sts_table.hpp"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

namespace mta {

using namespace std::chrono_literals;
using policy::StsFacts;
using Record = StsRecordAnswer::State;
using std::chrono::seconds;

namespace {

constexpr seconds shortest_record = 60s;  ///< an answer with a shorter life is still asked for once a minute only
constexpr seconds longest_record = 3600s; ///< so that a new id is seen within the hour
constexpr seconds failed_record = 5s;     ///< after a look-up that failed
constexpr seconds shortest_policy = 60s;  ///< max_age 0 would fetch for every message
constexpr seconds fetch_pause = 300s;     ///< RFC 8461 section 3.3: five minutes or longer per id
constexpr seconds shortest_refresh = 3600s;
/// How long an expired policy is kept: a clock that was ahead may be set right, and then it counts again.
constexpr auto grace = std::chrono::days(30);
constexpr auto clock_proof = 24h;    ///< how long the clock must have run evenly before it may end the grace
constexpr auto clock_tolerance = 1h; ///< a larger step is a jump
constexpr std::size_t seen_limit = 200'000;
constexpr auto series_gap = 24h; ///< without a look-up: those that failed before it and after it are two series

/// 0 to 1, the same for a domain always: spreads what would come at once.
double share_of(const std::string &domain) {
  return static_cast<double>(std::hash<std::string>()(domain) % 1024) / 1024.0;
}

seconds part_of(seconds time, double share) {
  return seconds(static_cast<std::int64_t>(static_cast<double>(time.count()) * share));
}

/// After its fetch, before the policy ends: once per `every`, up to a quarter earlier.
seconds refresh_pause(const KeptPolicy &kept, seconds every) {
  const auto life = std::chrono::duration_cast<seconds>(kept.expires - kept.fetched);
  const seconds wanted = part_of(std::min(every, life / 2), 0.75 + share_of(kept.domain) / 4);
  return std::max(wanted, shortest_refresh);
}

std::string time_text(seconds time) {
  return time >= 120s ? fmt::format("{} min", (time.count() + 59) / 60) : fmt::format("{} s", time.count());
}

StsFacts facts_of(const KeptPolicy &kept) {
  StsFacts facts;
  switch (kept.policy.mode) {
  case policy::StsMode::none: facts.state = StsFacts::State::none; break;
  case policy::StsMode::testing: facts.state = StsFacts::State::testing; break;
  case policy::StsMode::enforce: facts.state = StsFacts::State::enforce; break;
  }
  facts.domain = kept.domain;
  facts.id = kept.id;
  facts.mx = kept.policy.mx;
  facts.fetched = kept.fetched;
  facts.expires = kept.expires;
  facts.policy_text = kept.text;
  if (facts.state == StsFacts::State::none) facts.detail = "the policy has mode none";
  return facts;
}

} // namespace

std::shared_ptr<const KeptPolicy> StsTable::find_kept(const std::string &domain, const StsNow &now) const {
  const auto found = kept_.find(domain);
  if (found == kept_.end()) return nullptr;
  const Kept &kept = found->second;
  return kept.policy->expires <= now.wall && kept.ends <= now.steady ? nullptr : kept.policy;
}

const DamagedPolicy *StsTable::find_damaged(const std::string &domain) const {
  const auto found = damaged_.find(domain);
  return found == damaged_.end() ? nullptr : &found->second;
}

std::string StsTable::wanted_id(const std::string &domain, const Seen &seen) const {
  if (seen.record.state == Record::found) return seen.record.id;
  const auto found = kept_.find(domain);
  return found == kept_.end() ? std::string() : found->second.policy->id;
}

bool StsTable::must_wait(const std::string &domain, const Seen &seen, Steady now) const {
  return seen.retry_at > now && seen.failed_id == wanted_id(domain, seen);
}

StsTable::Standing StsTable::standing(const std::string &domain, const StsNow &now, seconds unknown_wait) const {
  Standing result;
  const auto found = seen_.find(domain);
  const Seen *seen = found == seen_.end() ? nullptr : &found->second;
  const bool live = seen != nullptr && seen->until > now.steady;
  const bool waits = seen != nullptr && must_wait(domain, *seen, now.steady);

  if (const auto kept = find_kept(domain, now)) {
    // Sections 3.1 and 3.3: a policy that has not expired counts, whatever the record and the policy host do now; a
    // domain ends it with mode none.
    result.kept = true;
    result.facts = facts_of(*kept);
    if (seen != nullptr && seen->fault != policy::TlsFault::none) {
      result.facts.fault = seen->fault;
      result.facts.detail = "the last fetch failed: " + seen->detail;
    } else if (live && seen->record.state == Record::failed) {
      result.facts.detail = seen->record.detail;
    }
    result.settled = live && (seen->record.state != Record::found || seen->record.id == kept->id || waits);
    return result;
  }

  result.facts.domain = domain;
  if (const DamagedPolicy *damage = find_damaged(domain)) {
    result.facts.state = StsFacts::State::failed;
    result.facts.detail = fmt::format("the policy that is kept cannot be read: {}", damage->detail);
    if (seen != nullptr && !seen->detail.empty()) result.facts.detail += "; " + seen->detail;
    result.settled = live && waits;
    return result;
  }
  if (!live) {
    result.facts.state = StsFacts::State::failed;
    result.facts.detail = "the record has not been looked up";
    return result;
  }
  switch (seen->record.state) {
  case Record::failed: {
    // Whoever answers nothing but SERVFAIL for `_mta-sts` would hold the domain's mail until it bounces. Nothing is
    // known of a policy, so that mail goes, after a wait, as it went before the standard was there.
    const auto waited = std::chrono::duration_cast<seconds>(now.steady - seen->unknown_since.value_or(now.steady));
    const bool waits_on = waited < unknown_wait;
    result.facts.state = waits_on ? StsFacts::State::failed : StsFacts::State::none;
    result.facts.detail = fmt::format(
        "{}; {}", seen->record.detail,
        waits_on ? fmt::format("mail waits for it another {} at most, then goes without a policy",
                               time_text(unknown_wait - waited))
                 : fmt::format("so for {}, and no policy is kept: mail goes without one (unknown_wait = {})",
                               time_text(waited), time_text(unknown_wait)));
    result.settled = true;
    break;
  }
  case Record::none:
    result.facts.state = StsFacts::State::none;
    result.facts.detail = seen->record.detail;
    result.settled = true;
    break;
  case Record::found:
    // Section 3.3: without a policy, mail goes as though there were no MTA-STS.
    result.facts.state = StsFacts::State::none;
    result.facts.id = seen->record.id;
    result.facts.fault = seen->fault;
    result.facts.detail = seen->detail;
    result.settled = waits;
    break;
  }
  return result;
}

bool StsTable::note_record(const std::string &domain, const StsRecordAnswer &record, bool refresh, const StsNow &now) {
  if (seen_.size() >= seen_limit && !seen_.contains(domain)) make_room(now.steady);
  Seen &seen = seen_[domain];
  seen.record = record;
  if (record.state != Record::failed) {
    seen.unknown_since.reset();
  } else if (!seen.unknown_since || now.steady - seen.last_look_up > series_gap) {
    seen.unknown_since = now.steady;
    unknown_.emplace(now.steady, domain);
  }
  seen.last_look_up = now.steady;
  seen.until = now.steady + (record.state == Record::failed ? failed_record
                                                            : std::clamp(record.ttl, shortest_record, longest_record));
  const auto kept = find_kept(domain, now);
  if (kept && refresh) return true;
  if (must_wait(domain, seen, now.steady)) return false;
  if (damaged_.contains(domain)) return true; // with a record or without one: only a fetch ends the doubt
  return record.state == Record::found && (!kept || kept->id != record.id);
}

void StsTable::note_failure(const std::string &domain, const StsFetchOutcome &outcome, const StsNow &now) {
  Seen &seen = seen_[domain];
  seen.fault = outcome.fault;
  seen.detail = outcome.detail;
  seen.failed_id = wanted_id(domain, seen);
  seen.retry_at = now.steady + fetch_pause;
}

std::shared_ptr<const KeptPolicy> StsTable::note_policy(const std::string &domain, StsFetchOutcome outcome,
                                                        seconds refresh_every, const StsNow &now) {
  Seen &seen = seen_[domain];
  auto kept = std::make_shared<KeptPolicy>();
  kept->domain = domain;
  kept->id = wanted_id(domain, seen);
  kept->fetched = now.wall;
  kept->expires = now.wall + std::max(outcome.policy->max_age, shortest_policy);
  kept->text = std::move(outcome.text);
  kept->policy = std::move(*outcome.policy);
  seen.fault = policy::TlsFault::none;
  seen.detail.clear();
  seen.failed_id.clear();
  seen.retry_at = {};
  damaged_.erase(domain);
  keep(kept, now.steady + refresh_pause(*kept, refresh_every), now);
  return kept;
}

void StsTable::restore(KeptPolicy kept, seconds refresh_every, const StsNow &now) {
  seconds pause = refresh_pause(kept, refresh_every);
  if (kept.expires <= now.wall) {
    pause = shortest_refresh; // it is not due, unless the clock goes back
  } else if (kept.fetched + pause <= now.wall) {
    const auto left = std::chrono::duration_cast<seconds>(kept.expires - now.wall);
    pause = part_of(std::min(shortest_refresh, left / 2), share_of(kept.domain));
  } else if (kept.fetched < now.wall) {
    pause -= std::chrono::duration_cast<seconds>(now.wall - kept.fetched);
  }
  keep(std::make_shared<const KeptPolicy>(std::move(kept)), now.steady + pause, now);
}

void StsTable::restore(DamagedPolicy damaged) {
  std::string domain = damaged.domain;
  damaged_.insert_or_assign(std::move(domain), std::move(damaged));
}

void StsTable::keep(std::shared_ptr<const KeptPolicy> kept, Steady refresh_at, const StsNow &now) {
  erase(kept->domain);
  by_refresh_.emplace(refresh_at, kept->domain);
  by_end_.emplace(kept->expires, kept->domain);
  const std::string &domain = kept->domain;
  const Steady ends = now.steady + std::max(Time::duration::zero(), kept->expires - now.wall);
  kept_.insert_or_assign(domain, Kept{std::move(kept), refresh_at, ends});
}

void StsTable::erase(const std::string &domain) {
  const auto found = kept_.find(domain);
  if (found == kept_.end()) return;
  by_refresh_.erase({found->second.refresh_at, domain});
  by_end_.erase({found->second.policy->expires, domain});
  kept_.erase(found);
}

std::size_t StsTable::size(Time now) const noexcept {
  return static_cast<std::size_t>(
      std::count_if(by_end_.begin(), by_end_.end(), [&](const auto &entry) { return entry.first > now; }));
}

/// A clock that was set ahead, before the start or since, must not end the grace of everything at once.
bool StsTable::is_clock_settled(const StsNow &now) {
  if (even_since_) {
    const auto step = (now.wall - even_since_->wall) - (now.steady - even_since_->steady);
    if (step > clock_tolerance || step < -clock_tolerance) even_since_.reset();
  }
  if (!even_since_) even_since_ = now;
  return now.steady - even_since_->steady >= clock_proof;
}

std::vector<std::string> StsTable::drop(std::size_t limit, const StsNow &now) {
  const bool settled = is_clock_settled(now);
  std::vector<std::string> dropped;
  while (!by_end_.empty() && (kept_.size() > limit || (settled && by_end_.begin()->first + grace <= now.wall))) {
    dropped.push_back(by_end_.begin()->second);
    erase(dropped.back());
  }
  return dropped;
}

std::vector<std::string> StsTable::take_due(std::size_t count, const StsNow &now) {
  std::vector<std::string> due;
  while (due.size() < count && !by_refresh_.empty() && by_refresh_.begin()->first <= now.steady) {
    auto node = by_refresh_.extract(by_refresh_.begin());
    node.value().first = now.steady + shortest_refresh;
    Kept &kept = kept_.at(node.value().second);
    kept.refresh_at = node.value().first;
    if (kept.policy->expires > now.wall) due.push_back(node.value().second);
    by_refresh_.insert(std::move(node));
  }
  return due;
}

std::optional<std::string> StsTable::take_passed_over(const StsNow &now, seconds unknown_wait) {
  while (!unknown_.empty() && unknown_.begin()->first + unknown_wait <= now.steady) {
    const auto first = unknown_.extract(unknown_.begin());
    const auto &[since, domain] = first.value();
    const auto found = seen_.find(domain);
    if (found != seen_.end() && found->second.unknown_since == since && !find_kept(domain, now) &&
        find_damaged(domain) == nullptr)
      return domain;
  }
  return std::nullopt;
}

/// What is no longer of use goes; if that is not enough, everything: it can be looked up again.
void StsTable::make_room(Steady now) {
  std::erase_if(seen_, [&](const auto &entry) {
    const Seen &seen = entry.second;
    const bool in_series = seen.unknown_since && now - seen.last_look_up <= series_gap;
    return seen.until <= now && seen.retry_at <= now && !in_series;
  });
  if (seen_.size() >= seen_limit) seen_.clear();
}

} // namespace mta
