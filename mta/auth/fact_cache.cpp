// FactCache: see the header.
#include "mta/auth/fact_cache.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace mta {

namespace {

using std::chrono::seconds;

constexpr seconds longest_life{300};
constexpr seconds longest_negative_life{60};

std::size_t octets_of(const auth::DnsQuestion &question, const auth::DnsFact &fact) {
  std::size_t octets = 256 + question.name.size() + fact.addresses.size() * sizeof(smtp::IpAddress);
  for (const auto &host : fact.hosts) octets += sizeof host + host.host.size();
  for (const auto &text : fact.texts) octets += sizeof text + text.size();
  return octets;
}

} // namespace

std::size_t FactCache::Hash::operator()(const auth::DnsQuestion &question) const noexcept {
  return std::hash<std::string>()(question.name) * 31 + static_cast<std::size_t>(question.type);
}

std::shared_ptr<const auth::DnsFact> FactCache::find(const auth::DnsQuestion &question, Clock::time_point now) const {
  const auto found = entries_.find(question);
  return found == entries_.end() || found->second.expires <= now ? nullptr : found->second.fact;
}

void FactCache::put(const auth::DnsQuestion &question, std::shared_ptr<const auth::DnsFact> fact, seconds ttl,
                    Clock::time_point now) {
  if (fact->status == smtp::DnsStatus::temporary || ttl <= seconds(0)) return;
  const seconds life = std::min(ttl, fact->status == smtp::DnsStatus::ok ? longest_life : longest_negative_life);
  const std::size_t octets = octets_of(question, *fact);
  if (octets > octet_limit_ / 64) return;
  if (octets_ + octets > octet_limit_) make_room(now);
  Entry &entry = entries_[question];
  octets_ = octets_ - entry.octets + octets;
  entry = {std::move(fact), now + life, octets};
}

void FactCache::make_room(Clock::time_point now) {
  std::erase_if(entries_, [&](const auto &entry) {
    if (entry.second.expires > now) return false;
    octets_ -= entry.second.octets;
    return true;
  });
  if (octets_ <= octet_limit_ / 2) return;
  entries_.clear();
  octets_ = 0;
}

} // namespace mta
