// Destination: one next hop in the queue, with its ready work, its concurrency window, and its backoff when it is dead.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include "mta/queue/message.hpp"
#include "policy/retry.hpp"
#include "smtp/names/ip_address.hpp"

namespace mta {

struct Destination;
struct Entry;

/// The recipients of one message that share a destination: what waits, is ready, and is carried out by one job at a
/// time.
///
///   idle -> waiting (for its time) -> ready (in its destination's line) -> active (a job runs) -> idle
struct Unit {
  enum class State : std::uint8_t { idle, waiting, ready, active };

  Unit(Entry &owner, Destination &next_hop) : entry(&owner), destination(&next_hop) {}

  Entry *entry;
  Destination *destination;
  std::vector<std::uint32_t>
      recipients; ///< indices into the message; empty: all of them, which saves memory for most messages
  WallTime due{};
  State state = State::idle;
  std::uint8_t counted = 0; ///< active: in which of the agenda's lanes it is counted
  bool is_notice = false;   ///< the message is from <>
  bool try_again = false;   ///< active: the rule under which the attempt began is another now
  bool is_first = false;    ///< stands before the others in its destination's line: an operator's act for this message
  std::uint32_t slot = 0;
  boost::intrusive::list_member_hook<> ready_hook;
  boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> destination_hook;
  boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>> waiting_hook;
};

using ReadyLine = boost::intrusive::list<
    Unit, boost::intrusive::member_hook<Unit, boost::intrusive::list_member_hook<>, &Unit::ready_hook>>;

/// Whatever their state.
using DestinationUnits = boost::intrusive::list<
    Unit,
    boost::intrusive::member_hook<
        Unit, boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>,
        &Unit::destination_hook>,
    boost::intrusive::constant_time_size<false>>;

/// What a job says of its destination.
enum class Feedback : std::uint8_t {
  reached, ///< it was reached and talked to, whatever it said of the message
  failed,  ///< it could not be reached or used
  unknown, ///< the trouble was ours
  put_off, ///< only limits of ours kept it from being tried
};

/// How long a destination is left alone whose addresses are all at their limit of connections, if nothing ends there.
inline constexpr std::chrono::seconds put_off_wait{5};

struct Destination {
  static constexpr double initial_window = 5;

  explicit Destination(std::string name) : key(std::move(name)) {}

  std::string key;
  ReadyLine ready;
  ReadyLine ready_notices; ///< from <>; in turn with the others, as far as their share goes
  bool is_ours = false;    ///< a domain or a route of ours
  bool was_reached = false;
  bool last_was_notice = false;
  double window = initial_window; ///< how many jobs may run; grows with success
  std::size_t active = 0;
  std::size_t units = 0;      ///< that refer to this
  DestinationUnits all;       ///< these
  std::uint32_t failures = 0; ///< in a row; above zero it is dead, and one job at a time tries it
  WallTime backoff_until{};
  /// Jobs that may start during the backoff: of those that wait for room at an address, one for each that ends there.
  std::uint32_t passes = 0;
  std::optional<smtp::IpAddress> waits_at; ///< where it stands in the line
  bool has_turn = false;                   ///< it was the first in the line: where another came before it, it is again
  std::optional<std::size_t> worker;       ///< where the next job finds the connection or the room

  /// Why it is dead, for recipients that were never tried because of it.
  FailureCause failure_cause = FailureCause::none;
  smtp::Reply failure_reply;
  std::string failure_host;
  std::string failure_detail;

  /// For the grouping of one message's recipients: its unit for the entry last grouped.
  Unit *grouping_unit = nullptr;

  std::uint8_t ring = 0; ///< which of the agenda's rings it stands in, when it stands in one
  boost::intrusive::list_member_hook<> ring_hook;
  boost::intrusive::list_member_hook<> idle_hook;
  boost::intrusive::set_member_hook<> backoff_hook;
  /// In the line of those that wait for room at one address.
  boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> crowd_hook;

  [[nodiscard]] bool has_ready() const noexcept { return !ready.empty() || !ready_notices.empty(); }
  [[nodiscard]] bool is_dead() const noexcept { return failures > 0; }
  [[nodiscard]] bool is_backing_off() const noexcept { return backoff_hook.is_linked(); }
  /// Its mail is not about to be tried: it is dead, or waits for room at its addresses.
  [[nodiscard]] bool is_stuck() const noexcept { return is_dead() || is_backing_off(); }
  /// True when a job may start now, with `limit` the most connections per destination.
  [[nodiscard]] bool can_start(std::size_t limit) const noexcept;

  /// The lowest free slot, so that kept connections are used again.
  [[nodiscard]] std::uint32_t take_slot();
  void give_slot(std::uint32_t slot) noexcept;

  /// Success: below the initial window it grows by one, then by one for each window's worth of successes.
  void note_reached(std::size_t limit) noexcept;
  /// No room at its addresses: it starts no more than it has running, and waits.
  void note_put_off(WallTime now) noexcept;
  /// Failure: one connection at a time from now on. The wait follows the schedule up to its third step, so that a dead
  /// destination is tried again every 15 minutes by default however long it was dead.
  void note_failed(const policy::RetrySchedule &schedule, WallTime now, double random) noexcept;

private:
  std::vector<std::uint64_t> slots_; ///< one bit for each slot in use
};

} // namespace mta
