// Fetches lists when they are due, one after the other.
#include "mta/crl/crl_fetcher.hpp"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fmt/format.h>

#include "mta/config/crl_files.hpp"
#include "mta/crl/kept_crl.hpp"
#include "mta/http/fetch.hpp"
#include "mta/log/time_stamp.hpp"
#include "smtp/base/text.hpp"

namespace mta {

using Time = std::chrono::system_clock::time_point;
using namespace std::chrono_literals;

namespace {

constexpr auto tick = 60s;
constexpr auto longest_wait = std::chrono::seconds(24h);
constexpr auto shortest_wait = std::chrono::seconds(5min);
constexpr auto wait_after_failure = std::chrono::seconds(10min);
constexpr auto fetch_timeout = std::chrono::milliseconds(5min);

Time next_fetch(const tls::CrlFacts &facts, Time now) {
  if (!facts.next_update) return now + longest_wait;
  const auto left = std::chrono::duration_cast<std::chrono::seconds>(*facts.next_update - now);
  return now + std::clamp(left / 2, shortest_wait, longest_wait);
}

smtp::Result<StoredCrl> fail_with_status(const HttpAnswer &answer) {
  return smtp::fail(smtp::ErrorCode::protocol,
                    fmt::format("status {} {}", answer.status, smtp::escape(answer.reason, 60)));
}

/// The stores of the rules that name the list; their CAs may have signed it.
std::vector<std::shared_ptr<const tls::TrustStore>> trust_for(const Snapshot &snapshot, const std::string &entry) {
  std::vector<std::shared_ptr<const tls::TrustStore>> stores;
  const auto add = [&](const std::string &trust, const std::vector<std::string> &crls) {
    if (std::find(crls.begin(), crls.end(), entry) == crls.end()) return;
    if (auto store = snapshot.trust_store(trust, crls)) stores.push_back(std::move(store));
  };
  for (const auto &partner : snapshot.config().partners.partners()) {
    if (partner.outbound) add(partner.outbound->trust, partner.outbound->crls);
    if (partner.inbound) add(partner.inbound->trust, partner.inbound->crls);
  }
  for (const auto &listener : snapshot.config().listeners)
    for (const auto &authority : {listener.trusted_ca, listener.required_ca})
      if (!authority.empty()) add(authority, listener.crls);
  return stores;
}

} // namespace

/// All on the executor's thread, but for the disk.
class CrlFetcher::Core : public std::enable_shared_from_this<CrlFetcher::Core> {
public:
  explicit Core(Services services) : services_(std::move(services)), timer_(services_.executor) {}

  void start() { asio::co_spawn(services_.executor, fetch_forever(shared_from_this()), asio::detached); }
  void stop() {
    stopping_ = true;
    timer_.cancel();
    disk_.join();
  }
  static Task<std::size_t> fetch_due(std::shared_ptr<Core> self);

private:
  static Task<> fetch_forever(std::shared_ptr<Core> self);
  static Task<smtp::Result<StoredCrl>> fetch_one(std::shared_ptr<Core> self, std::shared_ptr<const Snapshot> snapshot,
                                                 std::string entry);
  [[nodiscard]] std::vector<std::string> take_due(const Config &config);
  void note(const std::string &entry, const smtp::Result<StoredCrl> &stored);

  Services services_;
  asio::steady_timer timer_;
  std::unordered_map<std::string, Time> next_; ///< by URL
  bool is_tidy_ = false;                       ///< what an earlier configuration named is gone from the store
  bool stopping_ = false;
  asio::thread_pool disk_{1}; ///< reads and writes lists: large ones take their time
};

/// URLs that are no longer asked for are forgotten, with their lists.
std::vector<std::string> CrlFetcher::Core::take_due(const Config &config) {
  std::unordered_map<std::string, Time> known;
  std::vector<std::string> due;
  for (auto &entry : all_crls(config)) {
    if (!is_crl_url(entry)) continue;
    const auto found = next_.find(entry);
    const Time next = found == next_.end() ? Time{} : found->second;
    known.emplace(entry, next);
    if (next <= services_.now()) due.push_back(std::move(entry));
  }
  const bool is_gone =
      std::any_of(next_.begin(), next_.end(), [&](const auto &one) { return !known.contains(one.first); });
  if (is_gone || !std::exchange(is_tidy_, true)) {
    std::vector<std::string> named;
    for (const auto &[url, next] : known) named.push_back(url);
    store::keep_only_crls(services_.store, named);
  }
  next_ = std::move(known);
  return due;
}

Task<smtp::Result<StoredCrl>> CrlFetcher::Core::fetch_one(std::shared_ptr<Core> self,
                                                          std::shared_ptr<const Snapshot> snapshot, std::string entry) {
  HttpRequest request;
  auto url = parse_url(entry);
  if (!url) co_return tl::unexpected(url.error());
  request.url = std::move(*url);
  request.max_body = tls::max_crl_octets;
  request.timeout = fetch_timeout;
  HttpServices services{self->services_.resolver, nullptr, nullptr};
  const OutboundConfig &outbound = snapshot->config().outbound;
  services.source_addresses = outbound.source_addresses;
  services.ipv4 = outbound.ipv4;
  services.ipv6 = outbound.ipv6;
  auto answer = co_await fetch(std::move(request), std::move(services));
  if (!answer) co_return tl::unexpected(answer.error());
  if (answer->status != 200) co_return fail_with_status(*answer);
  if (self->stopping_) co_return smtp::fail(smtp::ErrorCode::stopping, "the daemon is shutting down");
  auto start = [&](std::function<void(smtp::Result<StoredCrl>)> done) {
    asio::post(self->disk_, [&store = self->services_.store, entry, octets = std::move(answer->body),
                             trust = trust_for(*snapshot, entry), now = self->services_.now(),
                             done = std::move(done)] { done(store_crl(store, entry, octets, trust, now)); });
  };
  auto stored = co_await await_callback<smtp::Result<StoredCrl>>(start);
  co_return stored;
}

void CrlFetcher::Core::note(const std::string &entry, const smtp::Result<StoredCrl> &stored) {
  const Time now = services_.now();
  if (!stored) {
    next_[entry] = now + wait_after_failure;
    const auto kept = read_kept_crl(services_.store.reader(), entry);
    std::string until = "nothing is kept: chains that need it fail";
    if (kept) until = kept->next_update ? format_time_stamp(*kept->next_update) : "no end";
    services_.log.write(Event("crl", LogLevel::warning)
                            .with("url", entry)
                            .with("result", "failed")
                            .with("detail", stored.error().detail)
                            .with("kept_until", until));
    return;
  }
  const tls::CrlFacts &facts = stored->facts;
  next_[entry] = next_fetch(facts, now);
  services_.log.write(Event("crl", stored->changed ? LogLevel::info : LogLevel::debug)
                          .with("url", entry)
                          .with("result", stored->changed ? "fetched" : "unchanged")
                          .with("issuer", facts.issuer)
                          .with("revoked", static_cast<std::uint64_t>(facts.revoked))
                          .with("this_update", format_time_stamp(facts.this_update))
                          .with("next_update", facts.next_update ? format_time_stamp(*facts.next_update) : "none"));
}

Task<std::size_t> CrlFetcher::Core::fetch_due(std::shared_ptr<Core> self) {
  const auto snapshot = self->services_.snapshot.get();
  std::size_t changed = 0;
  for (const auto &entry : self->take_due(snapshot->config())) {
    if (self->stopping_) co_return changed;
    auto stored = co_await fetch_one(self, snapshot, entry);
    if (self->stopping_) co_return changed;
    self->note(entry, stored);
    if (stored && stored->changed) ++changed;
  }
  if (changed != 0 && self->services_.changed) self->services_.changed();
  co_return changed;
}

Task<> CrlFetcher::Core::fetch_forever(std::shared_ptr<Core> self) {
  while (!self->stopping_) {
    co_await fetch_due(self);
    if (self->stopping_) co_return;
    self->timer_.expires_after(tick);
    const auto [error] = co_await self->timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
  }
}

CrlFetcher::CrlFetcher(Services services) : core_(std::make_shared<Core>(std::move(services))) {}

CrlFetcher::~CrlFetcher() {
  core_->stop();
}

void CrlFetcher::start() {
  core_->start();
}
void CrlFetcher::stop() {
  core_->stop();
}
Task<std::size_t> CrlFetcher::fetch_due() {
  return Core::fetch_due(core_);
}

} // namespace mta
