// StsTable: what is known of each domain's MTA-STS policy, and what follows from it at a time; no I/O, no clock.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mta/sts/discovery.hpp"
#include "mta/sts/kept_policy.hpp"
#include "policy/tls_sources.hpp"

namespace mta {

/// One moment on both clocks. What the wall clock says may be wrong, and set right again: a policy has ended when both
/// say so; pauses, and the life of a record, run on the steady clock.
struct StsNow {
  std::chrono::system_clock::time_point wall;
  std::chrono::steady_clock::time_point steady;
};

/// For one thread at a time. Its parts:
///   kept     policies, and for a grace those that have expired: they count again if the clock was wrong; the refresh
///            and the end of each are in order
///   seen     the last answer of `_mta-sts.DOMAIN`, as long as it lives, and the last fetch that failed
///   damaged  domains whose kept policy cannot be read: until one is fetched, nobody knows what it demanded
class StsTable {
public:
  using Time = std::chrono::system_clock::time_point;
  using Steady = std::chrono::steady_clock::time_point;

  /// What holds for a domain now. Not settled: a look-up or a fetch is due; the facts hold meanwhile.
  struct Standing {
    policy::StsFacts facts;
    bool settled = false;
    bool kept = false; ///< the facts come from a kept policy, so nobody needs to wait
  };
  /// `unknown_wait`: how long a record that cannot be looked up counts as a failure, where no policy is kept; then mail
  /// goes on as though there were none.
  [[nodiscard]] Standing standing(const std::string &domain, const StsNow &now,
                                  std::chrono::seconds unknown_wait) const;

  /// One domain, if there is any, whose record could not be looked up for so long, without an answer between, that its
  /// mail goes on now. Each is given out once.
  [[nodiscard]] std::optional<std::string> take_passed_over(const StsNow &now, std::chrono::seconds unknown_wait);

  /// After a look-up. True: the policy is to be fetched now. `refresh`: also a known one, whatever the record says.
  /// A series of look-ups that fail ends with one that does not, or with a day without any.
  [[nodiscard]] bool note_record(const std::string &domain, const StsRecordAnswer &record, bool refresh,
                                 const StsNow &now);
  /// After a fetch that failed: another one for the same id waits for some minutes (RFC 8461 section 3.3).
  void note_failure(const std::string &domain, const StsFetchOutcome &outcome, const StsNow &now);
  /// After a fetch: what is kept from now on. `refresh_every` as [mta_sts] refresh.
  std::shared_ptr<const KeptPolicy> note_policy(const std::string &domain, StsFetchOutcome outcome,
                                                std::chrono::seconds refresh_every, const StsNow &now);

  /// What was read from the disk at start. The refresh of one that is overdue is spread.
  void restore(KeptPolicy kept, std::chrono::seconds refresh_every, const StsNow &now);
  void restore(DamagedPolicy damaged);
  void forget_damage(const std::string &domain) { damaged_.erase(domain); }
  [[nodiscard]] const DamagedPolicy *find_damaged(const std::string &domain) const;

  /// Takes out what expired 30 days ago, if the wall clock has run evenly for a day, and beyond `limit` what expires
  /// first; gives their domains.
  [[nodiscard]] std::vector<std::string> drop(std::size_t limit, const StsNow &now);
  /// Up to `count` domains whose refresh is due; each is due again an hour later, should it fail.
  [[nodiscard]] std::vector<std::string> take_due(std::size_t count, const StsNow &now);

  /// Null: none, or it has ended by its own `max_age`, as the wall clock says and the time that has passed here.
  [[nodiscard]] std::shared_ptr<const KeptPolicy> find_kept(const std::string &domain, const StsNow &now) const;
  /// Those that have not expired.
  [[nodiscard]] std::size_t size(Time now) const noexcept;

private:
  struct Kept {
    std::shared_ptr<const KeptPolicy> policy;
    Steady refresh_at;
    Steady ends; ///< if the wall clock was right when it was kept
  };
  struct Seen {
    StsRecordAnswer record;
    Steady until;                                    ///< of the record
    policy::TlsFault fault = policy::TlsFault::none; ///< of the last fetch
    std::string detail;
    std::string failed_id;
    Steady retry_at;
    /// Of look-ups that failed, one after the other; nothing: the last one did not.
    std::optional<Steady> unknown_since;
    Steady last_look_up;
  };
  void keep(std::shared_ptr<const KeptPolicy> kept, Steady refresh_at, const StsNow &now);
  void erase(const std::string &domain);
  void make_room(Steady now);
  [[nodiscard]] bool is_clock_settled(const StsNow &now);
  /// The id whose policy is wanted: of the record, or of the kept policy where there is no record any more.
  [[nodiscard]] std::string wanted_id(const std::string &domain, const Seen &seen) const;
  [[nodiscard]] bool must_wait(const std::string &domain, const Seen &seen, Steady now) const;

  std::unordered_map<std::string, Kept> kept_;
  std::unordered_map<std::string, Seen> seen_;
  std::unordered_map<std::string, DamagedPolicy> damaged_;
  std::set<std::pair<Steady, std::string>> by_refresh_;
  std::set<std::pair<Time, std::string>> by_end_;
  std::set<std::pair<Steady, std::string>> unknown_; ///< by `unknown_since`; what is not so any more is passed over
  std::optional<StsNow> even_since_;                 ///< from when on the two clocks have gone together
};

} // namespace mta
