// DecisionLog: what was decided for each delivery attempt, and why, kept for `explain --message`.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "mta/log/mail_log.hpp"
#include "mta/tally/day_tally.hpp"
#include "mta/tally/periodic.hpp"
#include "policy/requirement.hpp"
#include "smtp/base/result.hpp"

namespace mta {

/// What an attempt meant for one recipient.
struct NotedRecipient {
  std::string address;
  std::string status; ///< "delivered", "failed", "deferred"
  std::string reply;  ///< where it is another than the attempt's
};

/// One attempt of one message at one host.
struct DecisionNote {
  std::uint64_t id = 0; ///< QueueId::value
  std::chrono::system_clock::time_point time;
  std::string domain; ///< of the recipients
  std::string host;
  std::string address; ///< empty: no connection
  /// JSON with every source, made once for each plan and shared by its notes; null: there was none.
  std::shared_ptr<const std::string> decision;
  std::optional<policy::VerdictKind> verdict; ///< nothing: it did not come to a judgement
  std::string reason;                         ///< of the verdict, or what went wrong
  std::string result;                         ///< "delivered", "temporary", …
  std::string reply;                          ///< one line
  std::string sender;                         ///< with angle brackets
  std::vector<NotedRecipient> recipients;     ///< as many as have room; rows of older versions have none
  std::uint64_t recipients_left_out = 0;
  std::string certificate;  ///< the name that satisfied a reference, else the first name of the leaf; empty: none
  std::string chain_digest; ///< lower-case hex of SHA-256 over the fingerprints of the chain; empty: no certificate
  std::optional<policy::VerdictKind> observed; ///< what an observing rule would have said; nothing: there was none
  std::string observed_reason;                 ///< of that verdict, when it would have refused
};

struct DecisionLogOptions {
  std::string folder;                             ///< "…/spool/tally"
  std::uint64_t day_limit = 268'435'456;          ///< octets of a day's file
  std::chrono::milliseconds flush_interval{1000}; ///< what a crash may lose, twice
  std::size_t pending_limit = 200'000;            ///< notes between two flushes; further ones are dropped
  std::size_t text_limit = 100'000; ///< distinct decision texts of a day; the notes of further ones have none
};

/// Thread-safe. note() only moves the note into a list; the octets are made, and written, by threads of its own. Each
/// distinct decision text is stored once a day, under its hash, up to `text_limit` texts and, with their octets, half
/// of `day_limit`; beyond that a note says that its text is not kept, which is logged once a day.
class DecisionLog {
public:
  /// Errors: the folder cannot be made. `log` must outlive it.
  [[nodiscard]] static smtp::Result<std::unique_ptr<DecisionLog>> open(DecisionLogOptions options, MailLog &log);
  ~DecisionLog();
  DecisionLog(const DecisionLog &) = delete;
  DecisionLog &operator=(const DecisionLog &) = delete;

  void note(DecisionNote note);
  /// Writes out what was noted; blocks on the disk.
  [[nodiscard]] smtp::Result<void> flush();
  [[nodiscard]] const DayFiles &files() const noexcept { return tally_->files(); }
  [[nodiscard]] std::uint64_t dropped() const;

private:
  DecisionLog(DecisionLogOptions options, std::unique_ptr<DayTally> tally, MailLog &log);
  void hand_on();
  [[nodiscard]] std::uint64_t store_text(const std::shared_ptr<const std::string> &text, UtcDay day,
                                         std::chrono::system_clock::time_point time);

  const DecisionLogOptions options_;
  MailLog &log_;
  const std::unique_ptr<DayTally> tally_;
  mutable std::mutex mutex_;
  std::vector<DecisionNote> pending_;
  std::uint64_t dropped_ = 0;

  std::mutex writing_; ///< one writer; taken before mutex_
  struct StoredTexts {
    std::set<std::uint64_t> hashes;
    std::uint64_t octets = 0;
    bool is_full = false;
  };
  std::map<UtcDay, StoredTexts> stored_; ///< the texts that a day has
  Periodic thread_;                      ///< last: ends first
};

struct RecordedDecision {
  DecisionNote note;
  /// The text of note.decision; empty although there was one: it is no longer kept.
  std::string decision;
  bool has_decision = false;
};

/// All that was noted for the message, the newest first. Ids rise with time, so the days that can have it are found by
/// looking; reads every day of the folder in the worst case. Blocks on the disk.
[[nodiscard]] smtp::Result<std::vector<RecordedDecision>> find_decisions(const DayFiles &files, std::uint64_t id);

/// What is recorded of an address.
struct AddressDecisions {
  std::vector<DecisionNote> notes; ///< the newest first; without their decisions
  bool is_cut = false;             ///< there were more
};

/// The attempts of mail to or from the address (letters of any case), at most the `most` newest of those not before
/// `since`. Reads all that the days since then have; blocks on the disk.
[[nodiscard]] smtp::Result<AddressDecisions> find_attempts(const DayFiles &files, std::string_view address,
                                                           std::chrono::system_clock::time_point since,
                                                           std::size_t most);

/// The decisions in a tally's folder.
[[nodiscard]] DayFiles decision_files(std::string folder);

} // namespace mta
