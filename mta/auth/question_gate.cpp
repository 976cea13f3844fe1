// QuestionGate: see the header.
#include "mta/auth/question_gate.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace mta {

namespace {

constexpr std::size_t spent_limit = 50'000; ///< clients remembered for their budget
constexpr std::size_t zone_limit = 20'000;  ///< zones remembered as silent
constexpr std::size_t turns_looked_at = 16;
constexpr unsigned strikes_of_death = 2;
constexpr auto strike_memory = std::chrono::seconds(120);
constexpr auto shortest_death = std::chrono::seconds(60);
constexpr auto longest_death = std::chrono::seconds(300);
/// A quicker SERVFAIL says that somebody answered; it costs nothing to hear it again.
constexpr auto quick = std::chrono::milliseconds(500);

std::size_t labels_of(std::string_view name) noexcept {
  return name.empty() ? 0 : static_cast<std::size_t>(std::count(name.begin(), name.end(), '.')) + 1;
}

std::string_view parent_of(std::string_view name) noexcept {
  const auto dot = name.find('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
}

} // namespace

std::string_view zone_of_question(std::string_view name) noexcept {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string_view zone = name;
  for (std::string_view rest = name; !rest.empty(); rest = parent_of(rest))
    if (rest.front() == '_') zone = rest;
  return zone;
}

smtp::IpAddress questioner_of(const smtp::IpAddress &client) noexcept {
  return client.is_v6() ? client.masked(64) : client;
}

smtp::IpAddress questioner_network(const smtp::IpAddress &client) noexcept {
  return client.masked(client.is_v6() ? 48 : 24);
}

std::size_t QuestionGate::Hash::operator()(const smtp::IpAddress &address) const noexcept {
  std::array<std::uint64_t, 2> words{};
  std::memcpy(words.data(), address.octets().data(), sizeof words);
  std::uint64_t value = seed;
  for (const std::uint64_t word : words) {
    // The mixing steps of splitmix64.
    value = (value ^ word) * 0xbf58476d1ce4e5b9ULL;
    value ^= value >> 29;
    value *= 0x94d049bb133111ebULL;
    value ^= value >> 32;
  }
  return static_cast<std::size_t>(value);
}

QuestionGate::Hash QuestionGate::make_hash() {
  std::random_device random;
  return {(static_cast<std::uint64_t>(random()) << 32U) | random()};
}

bool QuestionGate::may_begin(const smtp::IpAddress &address, const Network &network,
                             const QuestionLimits &limits) const {
  if (network.under_way >= limits.per_network) return false;
  if (under_way_ >= limits.total && network.under_way >= small_share) return false;
  const auto found = addresses_.find(address);
  return found == addresses_.end() || found->second.under_way < limits.per_address;
}

void QuestionGate::begin_one(const smtp::IpAddress &address, Network &network) {
  ++addresses_[address].under_way;
  ++network.under_way;
  ++under_way_;
}

smtp::Result<QuestionGate::Turn> QuestionGate::enter(const smtp::IpAddress &client, const QuestionLimits &limits,
                                                     std::function<void()> begin) {
  const smtp::IpAddress address = questioner_of(client);
  const smtp::IpAddress key = questioner_network(client);
  const std::scoped_lock lock(mutex_);
  Network &network = networks_[key];
  // Who waits already goes first; of other addresses only where the network's share or that of all is used up.
  const auto known = addresses_.find(address);
  const std::size_t waits = known == addresses_.end() ? 0 : known->second.waiting;
  if (waits == 0 && may_begin(address, network, limits)) {
    begin_one(address, network);
    return Turn::now;
  }
  const bool own_share = waits >= waiting_per_address;
  if (own_share || network.waiting.size() >= waiting_per_network)
    return smtp::fail(smtp::ErrorCode::full,
                      fmt::format("{} DNS questions about mail of your {} wait already, the limit",
                                  own_share ? waits : network.waiting.size(), own_share ? "address" : "network"));
  network.waiting.push_back({address, limits, std::move(begin)});
  ++addresses_[address].waiting;
  ++waiting_;
  if (!std::exchange(network.queued, true)) turns_.push_back(key);
  return Turn::later;
}

/// The first that may begin now.
std::function<void()> QuestionGate::next_of(Network &network) {
  for (auto one = network.waiting.begin(); one != network.waiting.end(); ++one) {
    if (!may_begin(one->address, network, one->limits)) continue;
    begin_one(one->address, network);
    --addresses_[one->address].waiting;
    auto begin = std::move(one->begin);
    network.waiting.erase(one);
    --waiting_;
    return begin;
  }
  return nullptr;
}

void QuestionGate::leave(const smtp::IpAddress &client, std::string_view name, Outcome outcome, Clock::time_point began,
                         Clock::time_point now) {
  const smtp::IpAddress address = questioner_of(client);
  const smtp::IpAddress key = questioner_network(client);
  std::function<void()> next;
  {
    const std::scoped_lock lock(mutex_);
    if (closed_) return;
    --under_way_;
    if (const auto found = addresses_.find(address);
        found != addresses_.end() && --found->second.under_way == 0 && found->second.waiting == 0)
      addresses_.erase(found);
    const auto own = networks_.find(key);
    if (own != networks_.end()) {
      --own->second.under_way;
      next = next_of(own->second);
      if (!next && own->second.under_way == 0 && own->second.waiting.empty() && !own->second.queued)
        networks_.erase(own);
    }
    // Those of other networks in turn.
    for (std::size_t looks = std::min(turns_.size(), turns_looked_at); looks > 0; --looks) {
      const smtp::IpAddress turn = turns_.front();
      turns_.pop_front();
      const auto found = networks_.find(turn);
      if (found == networks_.end()) continue;
      if (!next) next = next_of(found->second);
      if (!found->second.waiting.empty()) {
        turns_.push_back(turn);
      } else {
        found->second.queued = false;
        if (found->second.under_way == 0) networks_.erase(found);
      }
    }
    if (outcome == Outcome::unanswered) {
      spend(spent_addresses_, address, now);
      spend(spent_networks_, key, now);
      note_silence(zone_of_question(name), began, now);
    } else {
      if (outcome == Outcome::answered) last_answer_ = now;
      if (!zones_.empty()) zones_.erase(std::string(zone_of_question(name)));
    }
  }
  if (next) next();
}

void QuestionGate::close() {
  std::vector<std::deque<Waiting>> forgotten; // destroyed behind the lock: who waits may hold places
  const std::scoped_lock lock(mutex_);
  closed_ = true;
  waiting_ = 0;
  turns_.clear();
  for (auto &[key, network] : networks_) {
    forgotten.push_back(std::move(network.waiting));
    network.waiting.clear();
  }
}

/// Only while others are answered: else it is the resolver that is silent.
void QuestionGate::note_silence(std::string_view name, Clock::time_point began, Clock::time_point now) {
  if (now - began < quick || last_answer_ < began) return;
  if (zones_.size() >= zone_limit) {
    std::erase_if(zones_, [now](const auto &entry) {
      return entry.second.until <= now && now - entry.second.first > strike_memory;
    });
    if (zones_.size() >= zone_limit) return;
  }
  Zone &zone = zones_[std::string(name)];
  if (zone.strikes == 0 || now - zone.first > strike_memory + zone.span) {
    zone.strikes = 0;
    zone.first = now;
    if (now - zone.until > 2 * longest_death) zone.span = std::chrono::seconds(0);
  }
  // One that was dead and is silent still needs no second proof.
  if (++zone.strikes < strikes_of_death && zone.span.count() == 0) return;
  zone.span = std::clamp<std::chrono::seconds>(2 * zone.span, shortest_death, longest_death);
  zone.until = now + zone.span;
  zone.first = now;
}

std::optional<QuestionGate::DeadZone> QuestionGate::find_dead(std::string_view name, Clock::time_point now) const {
  if (name.ends_with('.')) name.remove_suffix(1);
  const std::scoped_lock lock(mutex_);
  if (zones_.empty()) return std::nullopt;
  for (std::string_view at = name; labels_of(at) >= 2; at = parent_of(at)) {
    const auto found = zones_.find(std::string(at));
    if (found == zones_.end() || found->second.until <= now) continue;
    return DeadZone{std::string(at), std::chrono::ceil<std::chrono::seconds>(found->second.until - now)};
  }
  return std::nullopt;
}

void QuestionGate::slide(Spent &spent, Clock::time_point now) {
  const auto age = now - spent.start;
  if (age < window) return;
  const bool next = age < 2 * window;
  spent.before = next ? spent.current : 0;
  spent.current = 0;
  spent.start = next ? spent.start + window : now;
}

void QuestionGate::spend(SpentMap &map, const smtp::IpAddress &key, Clock::time_point now) {
  if (map.size() >= spent_limit && !map.contains(key)) {
    std::erase_if(map, [now](const auto &entry) { return now - entry.second.start >= 2 * window; });
    // A flood from many addresses, each of which spent little: the networks' budgets hold.
    if (map.size() >= spent_limit)
      std::erase_if(map, [](const auto &entry) { return entry.second.current + entry.second.before < 10; });
    if (map.size() >= spent_limit) map.clear();
  }
  const auto [entry, is_new] = map.try_emplace(key);
  if (is_new) entry->second.start = now;
  slide(entry->second, now);
  ++entry->second.current;
}

double QuestionGate::spent_of(SpentMap &map, const smtp::IpAddress &key, Clock::time_point now) {
  const auto found = map.find(key);
  if (found == map.end()) return 0;
  slide(found->second, now);
  // What came in the window before counts for the part of it that is less than a window ago.
  const double left =
      1.0 - std::chrono::duration<double>(now - found->second.start) / std::chrono::duration<double>(window);
  return found->second.before * std::max(0.0, left) + found->second.current;
}

std::optional<std::string> QuestionGate::refusal(const smtp::IpAddress &client, const QuestionLimits &limits,
                                                 Clock::time_point now) {
  const std::scoped_lock lock(mutex_);
  const auto refuse = [](std::string_view whose, std::size_t limit) {
    return fmt::format(
        "too many domains in mail of your {} have name servers that do not answer, limit is {} questions "
        "in 10 minutes; try again later",
        whose, limit);
  };
  if (spent_of(spent_addresses_, questioner_of(client), now) >= static_cast<double>(limits.unanswered_per_address))
    return refuse("address", limits.unanswered_per_address);
  if (spent_of(spent_networks_, questioner_network(client), now) >= static_cast<double>(limits.unanswered_per_network))
    return refuse("network", limits.unanswered_per_network);
  return std::nullopt;
}

QuestionGate::Counts QuestionGate::counts(Clock::time_point now) const {
  const std::scoped_lock lock(mutex_);
  return {under_way_, waiting_,
          static_cast<std::size_t>(std::count_if(zones_.begin(), zones_.end(),
                                                 [now](const auto &entry) { return entry.second.until > now; }))};
}

} // namespace mta
