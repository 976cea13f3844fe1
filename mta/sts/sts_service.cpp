// Discovers, keeps and refreshes policies: one discovery for each domain at a time.
#include "mta/sts/sts_service.hpp"

#include <atomic>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "mta/sts/sts_table.hpp"
#include "smtp/base/text.hpp"
#include "smtp/names/domain.hpp"

namespace mta {

using policy::StsFacts;
using std::chrono::system_clock;

namespace {

constexpr auto refresh_tick = std::chrono::seconds(60);
constexpr std::size_t refreshed_together = 8;
/// "mta-sts." in front of the domain must still be a name.
constexpr std::size_t domain_limit = 253 - 8;

using Answer = std::function<void(StsFacts)>;

StsFacts plain_facts(StsFacts::State state, std::string domain, std::string detail) {
  StsFacts facts;
  facts.state = state;
  facts.domain = std::move(domain);
  facts.detail = std::move(detail);
  return facts;
}

std::int64_t seconds_until(system_clock::time_point time, system_clock::time_point now) {
  return std::chrono::duration_cast<std::chrono::seconds>(time - now).count();
}

} // namespace

class StsService::Core : public std::enable_shared_from_this<StsService::Core> {
public:
  explicit Core(Services services) : services_(std::move(services)), timer_(services_.executor) {}

  smtp::Result<void> load();
  void start();
  void stop();
  [[nodiscard]] bool enabled() const { return services_.snapshot.get()->config().mta_sts.enabled; }
  [[nodiscard]] std::size_t size() const {
    const std::scoped_lock lock(mutex_);
    return table_.size(services_.now());
  }
  /// Nothing: a discovery is needed first, and wait_for() is to be called.
  [[nodiscard]] std::optional<StsFacts> answer_now(const std::string &domain);
  /// Joins the discovery of the domain, or begins it. `refresh`: fetch a known policy too.
  void wait_for(const std::string &domain, bool refresh, Answer answer);
  static Task<std::size_t> refresh_due(std::shared_ptr<Core> self);
  void pass_over();

private:
  [[nodiscard]] StsNow now() const { return {services_.now(), services_.steady_now()}; }
  [[nodiscard]] std::chrono::seconds unknown_wait() const {
    return services_.snapshot.get()->config().mta_sts.unknown_wait;
  }
  [[nodiscard]] const StsConfig &config(const std::shared_ptr<const Snapshot> &snapshot) const {
    return snapshot->config().mta_sts;
  }
  static Task<> discover(std::shared_ptr<Core> self, std::string domain, bool refresh);
  static Task<> refresh_forever(std::shared_ptr<Core> self);
  void take_outcome(const std::string &domain, StsFetchOutcome outcome, const StsConfig &config);
  void finish(const std::string &domain);
  void drop(std::size_t limit);
  void write_behind(const KeptPolicy &kept);
  void remove_behind(std::string domain);
  [[nodiscard]] bool is_still_damaged(const std::string &domain) const;
  void log_failure(const std::string &domain, const StsFetchOutcome &outcome, const KeptPolicy *kept);

  Services services_;
  asio::steady_timer timer_; ///< of the refresh; on the executor's thread
  mutable std::mutex mutex_; ///< of what follows
  StsTable table_;
  std::unordered_map<std::string, std::vector<Answer>> running_; ///< discoveries, and who waits for each
  bool stopping_ = false;
};

smtp::Result<void> StsService::Core::load() {
  auto found = read_kept_policies(services_.store.reader());
  if (!found) return tl::unexpected(found.error());
  const auto snapshot = services_.snapshot.get();
  const StsNow at = now();
  // Expired ones too: nothing is removed for its age at start, when the clock may not have been set yet.
  for (auto &kept : found->policies) table_.restore(std::move(kept), config(snapshot).refresh, at);
  for (auto &damaged : found->damaged) {
    services_.log.write(Event("mta_sts", LogLevel::error)
                            .with("domain", damaged.domain)
                            .with("result", "damaged")
                            .with("detail", damaged.detail));
    table_.restore(std::move(damaged));
  }
  for (auto &domain : table_.drop(config(snapshot).max_policies, at)) remove_behind(std::move(domain));
  return {};
}

std::optional<StsFacts> StsService::Core::answer_now(const std::string &domain) {
  const StsNow at = now();
  StsTable::Standing standing;
  bool known = false;
  {
    const std::scoped_lock lock(mutex_);
    if (table_.find_damaged(domain) != nullptr && !is_still_damaged(domain))
      table_.forget_damage(domain); // an operator has removed it: portcullis sts forget
    standing = table_.standing(domain, at, unknown_wait());
    known = standing.settled || running_.contains(domain);
    if (!standing.settled && !standing.kept && stopping_)
      return plain_facts(StsFacts::State::failed, domain, "the daemon is shutting down");
    if (stopping_) known = true;
  }
  if (standing.settled) return std::move(standing.facts);
  if (!standing.kept) return std::nullopt;
  if (!known) wait_for(domain, false, nullptr); // RFC 8461 section 5.1: looked after behind the message
  return std::move(standing.facts);
}

void StsService::Core::wait_for(const std::string &domain, bool refresh, Answer answer) {
  bool first = false;
  bool stopping = false;
  {
    const std::scoped_lock lock(mutex_);
    stopping = stopping_;
    if (!stopping) {
      const auto [entry, added] = running_.try_emplace(domain);
      first = added;
      if (answer) entry->second.push_back(std::move(answer));
    }
  }
  if (stopping) {
    if (answer) answer(plain_facts(StsFacts::State::failed, domain, "the daemon is shutting down"));
    return;
  }
  if (first) asio::co_spawn(services_.executor, discover(shared_from_this(), domain, refresh), asio::detached);
}

/// RFC 8461 section 3: the record, and where that asks for it, the policy.
Task<> StsService::Core::discover(std::shared_ptr<Core> self, std::string domain, bool refresh) {
  try {
    const auto snapshot = self->services_.snapshot.get();
    auto record = co_await look_up_sts_record(self->services_.resolver, domain);
    bool wanted = false;
    {
      const std::scoped_lock lock(self->mutex_);
      wanted = !self->stopping_ && self->table_.note_record(domain, record, refresh, self->now());
    }
    if (wanted) {
      auto outcome = co_await fetch_sts_policy(snapshot, self->services_.resolver, domain);
      self->take_outcome(domain, std::move(outcome), self->config(snapshot));
    }
  } catch (const std::exception &error) {
    self->services_.log.write(
        Event("mta_sts", LogLevel::error).with("domain", domain).with("result", "failed").with("detail", error.what()));
  }
  self->finish(domain);
}

void StsService::Core::take_outcome(const std::string &domain, StsFetchOutcome outcome, const StsConfig &config) {
  const StsNow at = now();
  std::shared_ptr<const KeptPolicy> before, kept;
  {
    const std::scoped_lock lock(mutex_);
    before = table_.find_kept(domain, at);
    if (outcome.policy)
      kept = table_.note_policy(domain, std::move(outcome), config.refresh, at);
    else
      table_.note_failure(domain, outcome, at);
  }
  if (!kept) return log_failure(domain, outcome, before.get());
  const bool same = before && before->id == kept->id && before->text == kept->text;
  services_.log.write(Event("mta_sts", same ? LogLevel::debug : LogLevel::info)
                          .with("domain", domain)
                          .with("result", same     ? "refreshed"
                                          : before ? "changed"
                                                   : "fetched")
                          .with("policy_id", kept->id)
                          .with("mode", policy::to_string(kept->policy.mode))
                          .with("mx", static_cast<std::uint64_t>(kept->policy.mx.size()))
                          .with("expires_s", seconds_until(kept->expires, at.wall)));
  write_behind(*kept);
  drop(config.max_policies);
}

/// Section 3.3: administrators are told when a refresh fails, unless the policy has mode none.
void StsService::Core::log_failure(const std::string &domain, const StsFetchOutcome &outcome, const KeptPolicy *kept) {
  const bool none = kept != nullptr && kept->policy.mode == policy::StsMode::none;
  Event event = Event("mta_sts", none ? LogLevel::info : LogLevel::warning)
                    .with("domain", domain)
                    .with("result", "failed")
                    .with("fault", policy::to_string(outcome.fault))
                    .with("detail", outcome.detail)
                    .with("kept", kept != nullptr);
  if (kept != nullptr) event = std::move(event).with("expires_s", seconds_until(kept->expires, services_.now()));
  services_.log.write(event);
}

void StsService::Core::finish(const std::string &domain) {
  StsFacts facts;
  std::vector<Answer> waiting;
  {
    const std::scoped_lock lock(mutex_);
    facts = table_.standing(domain, now(), unknown_wait()).facts;
    if (auto node = running_.extract(domain); !node.empty()) waiting = std::move(node.mapped());
  }
  for (auto &answer : waiting) answer(facts);
}

void StsService::Core::drop(std::size_t limit) {
  std::vector<std::string> dropped;
  {
    const std::scoped_lock lock(mutex_);
    dropped = table_.drop(limit, now());
  }
  for (auto &domain : dropped) remove_behind(std::move(domain));
}

bool StsService::Core::is_still_damaged(const std::string &domain) const {
  const auto kept = store::read_sts_policy(services_.store.reader(), domain);
  return kept || kept.error().code != smtp::ErrorCode::not_found;
}

void StsService::Core::write_behind(const KeptPolicy &kept) {
  if (store::keep_sts_policy(services_.store, to_row(kept))) return;
  services_.log.write(Event("mta_sts", LogLevel::error)
                          .with("domain", kept.domain)
                          .with("result", "not kept")
                          .with("detail", "the store cannot be written, and memory has no room for it"));
}

/// What stays in vain for want of room is removed when it is read next.
void StsService::Core::remove_behind(std::string domain) {
  static_cast<void>(store::remove_sts_policy(services_.store, std::move(domain)));
}

Task<std::size_t> StsService::Core::refresh_due(std::shared_ptr<Core> self) {
  std::size_t count = 0;
  for (;;) {
    const auto snapshot = self->services_.snapshot.get();
    self->drop(self->config(snapshot).max_policies);
    if (!self->config(snapshot).enabled) co_return count;
    std::vector<std::string> due;
    {
      const std::scoped_lock lock(self->mutex_);
      if (!self->stopping_) due = self->table_.take_due(refreshed_together, self->now());
    }
    if (due.empty()) co_return count;
    count += due.size();
    auto start = [&self, &due](std::function<void(bool)> done) {
      auto left = std::make_shared<std::atomic<std::size_t>>(due.size());
      for (const auto &domain : due)
        self->wait_for(domain, true, [left, done](const StsFacts &) {
          if (--*left == 0) done(true);
        });
    };
    co_await await_callback<bool>(start);
  }
}

/// One at a time: its mail is looked for in the whole queue.
void StsService::Core::pass_over() {
  const StsNow at = now();
  const auto wait = unknown_wait();
  std::optional<std::string> domain;
  std::string detail;
  {
    const std::scoped_lock lock(mutex_);
    domain = table_.take_passed_over(at, wait);
    if (domain) detail = table_.standing(*domain, at, wait).facts.detail;
  }
  if (!domain) return;
  services_.log.write(
      Event("mta_sts", LogLevel::warning)
          .with("domain", *domain)
          .with("result", "passed over")
          .with("waited_s", static_cast<std::int64_t>(wait.count()))
          .with("detail", detail)
          .with("message", "its record cannot be looked up and no policy is kept: mail goes without one"));
  if (services_.passed_over) services_.passed_over(std::move(*domain));
}

Task<> StsService::Core::refresh_forever(std::shared_ptr<Core> self) {
  for (;;) {
    self->timer_.expires_after(refresh_tick);
    const auto [error] = co_await self->timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
    {
      const std::scoped_lock lock(self->mutex_);
      if (self->stopping_) co_return;
    }
    self->pass_over();
    co_await refresh_due(self);
  }
}

void StsService::Core::start() {
  asio::co_spawn(services_.executor, refresh_forever(shared_from_this()), asio::detached);
}

void StsService::Core::stop() {
  std::unordered_map<std::string, std::vector<Answer>> left;
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    left.swap(running_);
  }
  asio::post(services_.executor, [self = shared_from_this()] { self->timer_.cancel(); }); // whose thread it belongs to
  for (auto &[domain, answers] : left)
    for (auto &answer : answers) answer(plain_facts(StsFacts::State::failed, domain, "the daemon is shutting down"));
  services_.store.flush();
}

smtp::Result<std::unique_ptr<StsService>> StsService::open(Services services) {
  auto core = std::make_shared<Core>(std::move(services));
  if (auto loaded = core->load(); !loaded) return tl::unexpected(loaded.error());
  return std::unique_ptr<StsService>(new StsService(std::move(core)));
}

StsService::StsService(std::shared_ptr<Core> core) : core_(std::move(core)) {}

StsService::~StsService() {
  core_->stop();
}

void StsService::start() {
  core_->start();
}
void StsService::stop() {
  core_->stop();
}
void StsService::pass_over() {
  core_->pass_over();
}
std::size_t StsService::size() const {
  return core_->size();
}
Task<std::size_t> StsService::refresh_due() {
  return Core::refresh_due(core_);
}

namespace {

bool is_policy_domain(const std::string &domain) {
  const auto parsed = smtp::Domain::parse(domain);
  return parsed && parsed->ascii() == domain && domain.size() <= domain_limit;
}

} // namespace

Task<StsFacts> StsService::find(std::string domain) {
  auto core = core_;
  if (!core->enabled()) co_return plain_facts(StsFacts::State::off, std::move(domain), "MTA-STS is switched off");
  if (auto facts = core->answer_now(domain)) co_return std::move(*facts);
  if (!is_policy_domain(domain)) {
    const std::string detail = fmt::format("\"{}\" is not a domain with a policy host: it is over {} octets or no name",
                                           smtp::escape(domain, 60), domain_limit);
    co_return plain_facts(StsFacts::State::none, std::move(domain), detail);
  }
  auto start = [&core, &domain](Answer answer) { core->wait_for(domain, false, std::move(answer)); };
  auto facts = co_await await_callback<StsFacts>(start);
  co_return facts;
}

} // namespace mta
