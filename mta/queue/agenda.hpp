// Agenda: which unit of work is next, fairly over all destinations; every step costs at most O(log n).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mta/queue/destination.hpp"
#include "smtp/base/text_map.hpp"
#include "smtp/names/ip_address.hpp"

namespace mta {

/// Destinations with ready work stand in a ring and give one unit in turn, so that a flood for one does not starve the
/// rest. There is a ring, or lane, for each kind of work that strangers could use to hold all connections, and the
/// lanes take turns as far as their shares go:
///
///   - ours: domains and routes of our own, dead or alive: they may hold every connection, and a share is theirs alone
///   - known: destinations that were reached before
///   - unreached: those that never were
///   - notices: destinations for which only messages from <> are ready, dead or alive: strangers choose where those go
///   - dead: after its backoff a destination is tried with one unit at a time; together a quarter of all connections
///   - lost: the same for those that were reached before: they have a quarter of their own
class Agenda {
public:
  struct Limits {
    std::size_t connections = 1000;
    std::size_t connections_per_destination = 20;
    std::size_t reserved = 0; ///< of `connections`, for our own destinations
    std::size_t notices = static_cast<std::size_t>(-1);
    std::size_t unreached = static_cast<std::size_t>(-1);
  };
  enum class Lane : std::uint8_t { ours, known, unreached, notices, dead, lost };
  explicit Agenda(Limits limits) : limits_(limits) {}
  ~Agenda();
  Agenda(const Agenda &) = delete;
  Agenda &operator=(const Agenda &) = delete;

  void set_limits(Limits limits);

  /// The destination with that key, made when it is new. It lives while a unit refers to it, and some time longer.
  [[nodiscard]] Destination &destination(std::string_view key);
  /// Null: nothing of the kind is remembered.
  [[nodiscard]] const Destination *find(std::string_view key) const;
  void set_ours(Destination &destination, bool is_ours);
  /// set_ours() for every destination.
  void classify(const std::function<bool(std::string_view)> &is_ours);
  /// The unit counts for its destination from here until detach().
  void attach(Unit &unit);
  void detach(Unit &unit);

  /// Takes an idle unit with its time: it waits for it, or is ready.
  void add(Unit &unit, WallTime due, WallTime now);
  /// Takes a unit that waits or is ready out again.
  void remove(Unit &unit);

  /// What has become due is made ready, as much as one turn takes on (next_event() tells of the rest); backoffs that
  /// are over end.
  void wake(WallTime now);
  /// The next unit to start, active now, with its slot; null when nothing may start.
  [[nodiscard]] Unit *next();

  /// The unit, which was just started, took a place of a share that strangers could fill and that is nearly full: it is
  /// to wait less for its host.
  [[nodiscard]] bool is_pressed(const Unit &unit) const noexcept;

  enum class Change : std::uint8_t { none, died, stays_dead, recovered };
  /// The unit's job has ended: it is idle. `address` is where it talked to a host, which gives a place there to the
  /// next destination that waits for one; or, put off, where there was none. `worker` has a connection there, or an
  /// idle one.
  Change finish(Unit &unit, Feedback feedback, const policy::RetrySchedule &schedule, WallTime now, double random,
                const std::optional<smtp::IpAddress> &address = std::nullopt,
                std::optional<std::size_t> worker = std::nullopt);
  /// The destination is to be tried at once (an operator's act, a new configuration).
  void end_backoff(Destination &destination);
  void end_all_backoffs();
  /// Those for which nothing waits: what is said of them may no longer be so, and the next message finds out.
  void end_idle_backoffs();
  /// The clock was set by so much: what waits, waits as long as before. Units move with their messages.
  void shift(WallTime::duration by);

  /// When wake() has something to do.
  [[nodiscard]] std::optional<WallTime> next_event() const noexcept;
  [[nodiscard]] std::size_t active() const noexcept { return active_; }
  /// Destinations that a unit refers to.
  [[nodiscard]] std::size_t in_use() const noexcept { return destinations_.size() - idle_.size(); }

private:
  struct Earlier {
    bool operator()(const Unit &left, const Unit &right) const noexcept { return left.due < right.due; }
    bool operator()(const Destination &left, const Destination &right) const noexcept {
      return left.backoff_until < right.backoff_until;
    }
  };
  template <auto Hook>
  using DestinationList =
      boost::intrusive::list<Destination,
                             boost::intrusive::member_hook<Destination, boost::intrusive::list_member_hook<>, Hook>>;
  using Ring = DestinationList<&Destination::ring_hook>;

  void make_ready(Unit &unit);
  /// Puts the destination into its ring when it may start a job and is in none.
  void place(Destination &destination);
  void leave_ring(Destination &destination);
  void put_off(const Unit &unit, WallTime now, const std::optional<smtp::IpAddress> &address,
               std::optional<std::size_t> worker);
  void try_for_room(Destination &destination, WallTime now);
  /// A place at this address, with a connection at that worker, goes to the destination that has waited longest.
  void pass_on(Destination &from, const smtp::IpAddress &address, std::optional<std::size_t> worker, WallTime now);
  void end_wait_for_room(Destination &destination) noexcept;
  [[nodiscard]] Lane lane_of(const Destination &destination) const noexcept;
  [[nodiscard]] bool has_room(Lane lane) const noexcept;
  [[nodiscard]] Destination *take_turn(Lane lane);
  [[nodiscard]] Unit &take_unit(Destination &destination, Lane lane);
  [[nodiscard]] std::size_t count(Lane lane) const noexcept { return in_lane_[static_cast<std::size_t>(lane)]; }
  [[nodiscard]] std::size_t probe_limit() const noexcept {
    return limits_.connections < 4 ? 1 : limits_.connections / 4;
  }

  Limits limits_;
  smtp::TextMap<std::unique_ptr<Destination>> destinations_;
  static constexpr std::size_t lanes = 6;
  std::array<Ring, lanes> rings_;                 ///< by Lane
  DestinationList<&Destination::idle_hook> idle_; ///< without units, the longest idle first
  boost::intrusive::multiset<
      Unit,
      boost::intrusive::member_hook<Unit, boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>>,
                                    &Unit::waiting_hook>,
      boost::intrusive::compare<Earlier>>
      waiting_;
  boost::intrusive::multiset<
      Destination,
      boost::intrusive::member_hook<Destination, boost::intrusive::set_member_hook<>, &Destination::backoff_hook>,
      boost::intrusive::compare<Earlier>>
      backing_off_;
  /// Destinations that wait for room at an address. Those of one big host take turns at the connections that it gives.
  using Crowd = boost::intrusive::list<
      Destination,
      boost::intrusive::member_hook<
          Destination, boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>,
          &Destination::crowd_hook>,
      boost::intrusive::constant_time_size<false>>;
  /// Those that have messages from <> only, of which strangers can make any number, stand in a line of their own. The
  /// two take turns, so that the one keeps the other waiting for one connection only.
  struct Crowds {
    Crowd mail, notices;
    bool last_was_mail = false;
    [[nodiscard]] bool empty() const noexcept { return mail.empty() && notices.empty(); }
    [[nodiscard]] Crowd &turn() noexcept {
      return notices.empty() || (!mail.empty() && !last_was_mail) ? mail : notices;
    }
  };
  std::map<smtp::IpAddress, Crowds> crowds_;
  std::size_t active_ = 0;
  std::array<std::size_t, lanes> in_lane_{}; ///< active units, as they are counted
  std::size_t last_lane_ = lanes - 1;
};

} // namespace mta
