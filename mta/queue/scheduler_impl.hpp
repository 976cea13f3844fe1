// Scheduler::Impl: what the scheduler's sources share; nobody else includes it.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>

#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/set.hpp>

#include "mta/queue/agenda.hpp"
#include "mta/queue/apply.hpp"
#include "mta/queue/queue_clock.hpp"
#include "mta/queue/scheduler.hpp"

namespace mta {

/// A recipient whose end or delay waits for its notice to be durable.
struct Settling {
  std::uint32_t index = 0;
  NotificationRequest::Kind kind = NotificationRequest::Kind::failure;
  bool in_flight = true;
  WallTime ask_again{}; ///< when not in flight
};

/// One message in memory.
struct Entry {
  std::shared_ptr<QueuedMessage> message;
  std::vector<std::unique_ptr<Unit>> units;
  std::vector<Settling> settling;
  WallTime deadline{}; ///< when something happens to it even if no attempt ends: expiry, delay notice
  WallTime begun{};    ///< when it came, by the queue's clock
  WallTime came{};     ///< the same for whoever asks how old it is: no restart makes it younger
  std::uint32_t jobs = 0;
  std::uint32_t notices = 0;       ///< asked for and not answered
  mutable bool handed_out = false; ///< others read `message`: it is copied before it changes
  bool dirty = false;              ///< an update is to be written
  bool recording = false;          ///< an operator's removal is being written
  bool removed = false;            ///< by an operator, durably; it goes when its jobs have ended
  bool regroup = false;            ///< destinations changed while a job ran
  std::string bounce_reason{};     ///< not empty: an operator has ended its delivery
  bool recovered = false;          ///< its times come from an earlier process
  /// Its part of the queue's counters.
  struct Share {
    bool is_there = false;
    bool is_held = false;
    std::uint32_t pending = 0;
  };
  Share share;
  boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>> deadline_hook;

  [[nodiscard]] bool is_leaving() const noexcept { return recording || removed; }
};

struct Scheduler::Impl {
  /// Where other threads leave what they have for the scheduler: one post for all that comes before it looks.
  struct Inbox {
    explicit Inbox(asio::any_io_executor where) : executor(std::move(where)) {}
    struct Contents {
      std::vector<std::shared_ptr<QueuedMessage>> submitted;
      std::vector<JobResult> results;
      std::vector<std::function<void(Impl &)>> others;
    };
    template <typename Item>
    static void add(const std::shared_ptr<Inbox> &inbox, std::vector<Item> Contents::*list, Item item);

    const asio::any_io_executor executor;
    std::mutex mutex;
    Contents contents;     ///< under mutex
    bool posted = false;   ///< under mutex
    Impl *owner = nullptr; ///< used on the executor only; null when the scheduler is gone
  };

  struct ActiveJob {
    Unit *unit = nullptr;
    std::vector<std::size_t> recipients;
    std::shared_ptr<std::atomic<bool>> withdrawn; ///< Job::withdrawn
  };

  struct Act;
  using Touch = void (Impl::*)(Entry &entry, const std::shared_ptr<Act> &act);
  /// An operator's act over many messages, until the last of them is durable.
  struct Act {
    std::string name; ///< "hold"
    std::string reason;
    std::string by;
    std::optional<Redirect> redirect;                     ///< of the act "redirect"
    std::optional<policy::OperatorOverride> tls_override; ///< of the act "override"; nothing: it is cleared
    std::size_t open = 1;                                 ///< one for the act itself, until all messages were seen
    std::size_t touched = 0;
    std::function<void(std::size_t)> done;

    // How far it is.
    QueueFilter filter;
    Touch touch = nullptr;                         ///< what is done to each message that fits
    std::optional<std::vector<std::uint64_t>> ids; ///< only these are looked at
    std::size_t next_of_ids = 0;
    std::uint64_t next = 0; ///< the first id that was not looked at
    std::uint64_t last = 0; ///< what comes later is not meant
    bool waits_for_spool = false;
  };

  Impl(asio::any_io_executor executor, Spool &spool, MailLog &log, Options options, Hooks hooks);
  ~Impl();

  // scheduler.cpp: messages in, jobs out, results in.
  void process();
  void admit(std::shared_ptr<QueuedMessage> message, bool recovered = false);
  void hold_by_rule(Entry &entry);
  /// The next of the messages whose destinations a reload may have changed; what is left is posted, so that a million
  /// of them keep nobody waiting. The last one ends all backoffs.
  void regroup_some();
  void begin_regrouping(std::function<bool(const smtp::Mailbox &)> concerns);
  void group(Entry &entry);
  void ungroup(Entry &entry);
  void schedule(Entry &entry);
  void schedule(Entry &entry, Unit &unit);
  void unschedule(Entry &entry);
  [[nodiscard]] bool bring_forward(Entry &entry, const std::function<bool(const smtp::Mailbox &)> &concerns);
  [[nodiscard]] bool is_concerned(const Unit &unit, const std::function<bool(const smtp::Mailbox &)> &concerns) const;
  void dispatch();
  void start_job(Unit &unit);
  void finish_job(JobResult result);
  void note_feedback(Unit &unit, const JobResult &result);
  /// The entry may be gone afterwards.
  void finish_if_done(Entry &entry);
  void erase(Entry &entry);
  /// Brings the counters up to date with the entry; to be called whenever what is counted of it may have changed.
  void tally(Entry &entry);
  void mark_dirty(Entry &entry);
  void write_updates();
  void arm_timer();
  void report_idle();
  [[nodiscard]] QueuedMessage &writable(Entry &entry);
  [[nodiscard]] std::shared_ptr<const QueuedMessage> hand_out(const Entry &entry) const;
  [[nodiscard]] Entry *find(QueueId id);
  [[nodiscard]] WallTime now() const { return clock.now(); }

  // scheduler_clock.cpp: the system's clock, and stored times.
  void settle_times_of_new(Entry &entry);
  void settle_times_of_recovered(Entry &entry);
  void follow_jump(WallTime::duration by);

  // scheduler_notices.cpp: notices owed, delays, expiry.
  [[nodiscard]] static bool is_settling(const Entry &entry, std::size_t index) noexcept;
  [[nodiscard]] static bool is_open(const Entry &entry, std::size_t index) noexcept;
  void ask_notice(Entry &entry, NotificationRequest::Kind kind, std::vector<std::size_t> recipients);
  void notice_stored(QueueId id, NotificationRequest::Kind kind, const std::vector<std::size_t> &recipients, bool ok);
  void set_deadline(Entry &entry);
  void clear_deadline(Entry &entry);
  void meet_deadlines();
  void meet_deadline(Entry &entry, WallTime time);
  void give_up(Entry &entry, Unit &unit);
  /// A recipient that was never tried because of others' failures: theirs is its reason too.
  static void take_reason(RecipientState &state, const Destination &destination);
  void log_failures(const Entry &entry, const std::vector<std::size_t> &recipients);

  // scheduler_acts.cpp: what operators do and see.
  template <typename Visit> void for_each_match(const QueueFilter &filter, Visit visit);
  [[nodiscard]] bool fits(const Entry &entry, const QueueFilter &filter, const Reasons &state_of) const;
  /// The recipients of a message as they are shown: one that was never tried because its destination is dead has that
  /// one's reason, and none is tried before the destination is.
  class ShownStates;
  [[nodiscard]] std::shared_ptr<const QueuedMessage> shown(const Entry &entry) const;
  void begin_act(const std::shared_ptr<Act> &act, const QueueFilter &filter, Touch touch);
  /// The next step of an act; it posts the one after it.
  void walk(const std::shared_ptr<Act> &act);
  void retry_one(Entry &entry, const std::shared_ptr<Act> &act);
  void hold_one(Entry &entry, const std::shared_ptr<Act> &act);
  void release_one(Entry &entry, const std::shared_ptr<Act> &act);
  void bounce_one(Entry &entry, const std::shared_ptr<Act> &act);
  void remove_one(Entry &entry, const std::shared_ptr<Act> &act);
  using Recorded = void (Impl::*)(Entry &entry, const Act &act, bool ok);
  void record(Entry &entry, const std::shared_ptr<Act> &act, std::string blob, Recorded recorded);
  [[nodiscard]] static Event event_of(const Act &act, QueueId id);
  void log_act(const Entry &entry, const RecipientState &state, const Act &act, std::string_view status);
  void close_act(const std::shared_ptr<Act> &act);
  void hold_recorded(Entry &entry, const Act &act, bool ok);
  void release_recorded(Entry &entry, const Act &act, bool ok);
  void override_recorded(Entry &entry, const Act &act, bool ok);
  void try_now(Entry &entry);
  /// Attempts that run began under an old rule: another follows each.
  /// Jobs of the message go no further than what they are in the midst of.
  void withdraw(const Entry &entry);
  /// The same, and what they leave is tried at once, as things are now.
  void try_again_what_runs(Entry &entry);
  void bounce_recorded(Entry &entry, const Act &act, bool ok);
  void redirect_recorded(Entry &entry, const Act &act, bool ok);
  /// What is open and not under way fails, as the operator said.
  void end_by_operator(Entry &entry);
  /// A crash may lie between the operator's act and its notice.
  void resume_bounce(Entry &entry);
  [[nodiscard]] bool is_under_way(const Entry &entry, std::size_t index) const;
  void retry_recorded(Entry &entry, const Act &act, bool ok);
  void removal_recorded(Entry &entry, const Act &act, bool ok);

  struct EarlierDeadline {
    bool operator()(const Entry &left, const Entry &right) const noexcept { return left.deadline < right.deadline; }
  };

  Spool &spool;
  MailLog &log;
  Options options;
  Hooks hooks;
  QueueClock clock;
  std::shared_ptr<Inbox> inbox;
  asio::steady_timer timer;
  std::optional<WallTime> timer_set_for;

  Agenda agenda;
  std::map<std::uint64_t, Entry> entries; ///< by id, which is the order of acceptance
  boost::intrusive::multiset<
      Entry,
      boost::intrusive::member_hook<Entry, boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>>,
                                    &Entry::deadline_hook>,
      boost::intrusive::compare<EarlierDeadline>>
      deadlines;
  std::unordered_map<std::uint64_t, ActiveJob> jobs;
  std::uint64_t last_job = 0;
  std::optional<std::uint64_t> regroup_from; ///< the first id that is not yet looked at
  bool regroup_posted = false;
  std::function<bool(const smtp::Mailbox &)> regroup_concerns; ///< whom the change concerns; none: destinations alone
  bool regroup_ends_backoffs = false;                          ///< when all have been looked at
  QueueCounts totals; ///< messages, recipients and held; the rest is counted where it is kept
  std::size_t notices_in_flight = 0;
  std::vector<std::uint64_t> dirty;
  bool started = false;
  bool draining = false;
  std::function<void()> idle;
};

template <typename Item>
void Scheduler::Impl::Inbox::add(const std::shared_ptr<Inbox> &inbox, std::vector<Item> Contents::*list, Item item) {
  {
    const std::lock_guard lock(inbox->mutex);
    (inbox->contents.*list).push_back(std::move(item));
    if (inbox->posted) return;
    inbox->posted = true;
  }
  asio::post(inbox->executor, [inbox] {
    if (inbox->owner != nullptr) inbox->owner->process();
  });
}

} // namespace mta
