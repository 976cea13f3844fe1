// Receiver: drives one ServerSession; answers its questions and hands what it receives to the spool, without awaiting
// anything.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mta/inbound/edge.hpp"
#include "mta/inbound/intake.hpp"
#include "mta/inbound/judge.hpp"
#include "mta/inbound/refusal_log.hpp"
#include "mta/queue/message.hpp"
#include "mta/spool/spool.hpp"
#include "smtp/message/header_gate.hpp"
#include "smtp/message/header_scan.hpp"
#include "smtp/session/server_session.hpp"

namespace mta::inbound {

/// What the coroutine has to await before advance() can go on.
enum class Need : std::uint8_t {
  octets,    ///< write output(), read, feed()
  write,     ///< write output(): enough has gathered
  room,      ///< when_room()
  turn,      ///< let the other sessions of the worker in: a long computation goes on with the next advance()
  checks,    ///< settle intake()'s checks, then checked(), then commit when it says so
  commit,    ///< commit(), then committed()
  handshake, ///< write output(), shake hands, then tls_done()
  pause,     ///< write output(), then let the client wait: it guesses at recipients
  close,     ///< write output(), listen on unless the client wants none of it, close; close_reason() says why
};

/// The configuration that a session began with.
struct ListenerInForce {
  std::shared_ptr<const Snapshot> snapshot;
  const ListenerConfig *listener = nullptr;    ///< in the snapshot
  std::shared_ptr<const tls::Context> context; ///< null: no TLS
};

/// One session's. `edge`, `in_force` and the strings that views point to must outlive it. Never blocks.
class Receiver {
public:
  Receiver(WorkerEdge &edge, const ListenerInForce &in_force, const smtp::IpAddress &client, std::string_view session);

  [[nodiscard]] smtp::ServerSession &machine() noexcept { return machine_; }
  [[nodiscard]] ClientJudge &judge() noexcept { return judge_; }

  /// Takes actions until something has to be awaited.
  [[nodiscard]] Need advance();
  /// Replies gathered so far; the edge clears it once they are written.
  [[nodiscard]] std::string &output() noexcept { return output_; }
  /// `ready` is called once on any thread.
  void when_room(std::function<void()> ready) { writer_->when_ready(std::move(ready)); }
  /// Of the message that is complete; with Need::checks its check is there.
  [[nodiscard]] Intake &intake() noexcept { return *intake_; }
  /// Through which the checks of this client's mail ask; null: it is not limited.
  [[nodiscard]] std::shared_ptr<Resolver> make_resolver(std::chrono::steady_clock::time_point deadline) const;
  /// `settled`: the checks' results count. True: the message is to be committed; false: it has been refused.
  [[nodiscard]] bool checked(bool settled);
  /// `done` is called once on any thread, when the message is durable or lost.
  void commit(std::function<void(smtp::Result<void>)> done);
  void committed(const smtp::Result<void> &result);
  void tls_done(const tls::Facts &facts, std::shared_ptr<const tls::PeerChain> chain);

  /// Lets go of what belongs to the spool.
  void abandon() noexcept {
    writer_.reset();
    header_memory_.reset();
    unfinished_.reset();
    recipient_memory_.reset();
  }
  /// Lets go of the message that is being read; the session is about to end.
  void let_go() noexcept;
  /// Limits that are meant for strangers do not hold: the client's network or certificate is trusted. Once it is known.
  void trust_client() noexcept;
  /// The client's network or certificate makes it one of ours.
  [[nodiscard]] bool is_trusted() { return judge_.is_trusted(std::chrono::system_clock::now()); }
  /// What the client will hear about the message that it is still sending, if that is a refusal.
  [[nodiscard]] std::optional<smtp::Reply> pending_refusal() const;

  /// A message is being read: the data timeout and the floor for slow clients hold.
  [[nodiscard]] bool is_receiving() const noexcept { return receiving_ || machine_.is_reading_refused_message(); }
  [[nodiscard]] const std::string &close_reason() const noexcept { return close_reason_; }
  /// The client said QUIT, or is gone: nothing has to be heard any more.
  [[nodiscard]] bool closes_at_clients_wish() const noexcept { return closes_at_clients_wish_; }
  [[nodiscard]] std::uint64_t accepted() const noexcept { return accepted_; }
  [[nodiscard]] std::uint64_t refused() const noexcept { return refusals_.total(); }
  /// Tells of the refusals that have no line of their own: at an accepted message, and at the session's end.
  void sum_up_refusals();
  /// The message whose 250 is in output() and not yet written.
  [[nodiscard]] const std::optional<QueueId> &unconfirmed() const noexcept { return unconfirmed_; }
  void confirmed() noexcept { unconfirmed_.reset(); }

private:
  std::optional<Need> take(smtp::Wait &action);
  std::optional<Need> take(smtp::Send &action);
  std::optional<Need> take(smtp::StartTls &action);
  std::optional<Need> take(smtp::AskSender &action);
  std::optional<Need> take(smtp::AskRecipient &action);
  std::optional<Need> take(smtp::BeginBody &action);
  std::optional<Need> take(smtp::Body &action);
  std::optional<Need> take(smtp::AskMessage &action);
  std::optional<Need> take(smtp::AbortBody &action);
  std::optional<Need> take(smtp::Close &action);

  [[nodiscard]] bool is_limited() const;
  void complete_envelope();
  void begin_gate();
  /// Octets of the message that is being read, behind the gate; sets failure_ when it is to be refused.
  void take_octets(std::string_view octets);
  /// A line of the header section that is not a field: refused, or told.
  void judge_header_form();
  void begin_intake();
  /// RFC 6409 sections 8.1 and 8.2: the fields that a client of ours left out.
  void add_missing_fields();
  [[nodiscard]] bool from_client_of_ours();
  /// One step of what intake_ has left to compute, and what waited for it; nothing when nothing is left.
  [[nodiscard]] std::optional<Need> go_on();
  [[nodiscard]] std::optional<Need> end_of_message();
  /// A client of ours may be restricted to certain senders.
  [[nodiscard]] bool may_use(const smtp::Mailbox &sender);
  void end_message();
  /// Lets go of the transaction and of what was counted for it.
  void drop_message() noexcept;
  /// Counts one more recipient; false: memory is short, and the recipient has been refused.
  [[nodiscard]] bool hold_recipient(const smtp::Recipient &recipient, const smtp::ForwardPath &path);
  /// Counts the header section with `more` octets of it; false: memory is short, and the message is to be refused.
  [[nodiscard]] bool hold_header(std::size_t more);
  /// Counts `more` octets of a stranger's unfinished message; false: its address holds too much, and the message is to
  /// be refused.
  [[nodiscard]] bool hold_octets(std::size_t more);
  /// The refusal, when the message names an author whose partner's rule it does not keep.
  [[nodiscard]] std::optional<smtp::Reply> judge_authors();
  /// The refusal when it is to be held, and so much is held that no more may be.
  [[nodiscard]] std::optional<smtp::Reply> quarantine(const policy::MessageDecision &decision);
  void log_checks(const policy::MessageDecision &decision);
  void count_for_report(const policy::MessageDecision &decision);
  /// What a refusal is about, for its line in the log.
  struct Refused {
    std::string_view command;
    std::string_view reason;
    LogLevel level = LogLevel::info;
    std::string sender;      ///< empty: that of the open transaction, if there is one
    std::string recipient;   ///< of RCPT; empty with a refused message: all that were accepted
    std::string_view line{}; ///< the command line, where the session itself refused it
  };
  void refuse(smtp::Reply reply, const Refused &about);
  void note_refusals(const smtp::Send &sent);
  void note_own_refusal(std::string_view reply, const smtp::OwnRefusal *own);
  /// Counts it, and gives the reply.
  [[nodiscard]] smtp::Reply note_storage_failure(std::string_view command, const smtp::Error &error);
  void log_refusal(std::string_view reply, const Refused &about);
  /// What we know of the sender's address, once the checks are done.
  [[nodiscard]] SenderStanding standing();
  void log_policy(const smtp::ReversePath &sender, const policy::SenderVerdict &verdict);
  void observe(const smtp::ReversePath &sender, const policy::SenderVerdict &verdict);
  void note_observed_message();
  void add_report_copies();
  void log_accepted(const smtp::Reply &reply);

  WorkerEdge &edge_;
  const ListenerInForce &in_force_;
  smtp::IpAddress client_;
  std::string_view session_;
  smtp::ServerSession machine_;
  ClientJudge judge_;

  std::shared_ptr<QueuedMessage> message_; ///< from MAIL until its end; its recipients are those accepted so far
  std::unique_ptr<MessageWriter> writer_;
  std::unique_ptr<smtp::HeaderGate> gate_; ///< in front of all that reads the message
  bool header_fault_told_ = false;
  std::unique_ptr<smtp::HeaderScanner> scanner_;
  std::unique_ptr<Intake> intake_; ///< null: the octets go into the spool as they are
  std::string added_fields_;       ///< Date and Message-ID, where a client of ours left them out
  std::string added_message_id_;
  bool fields_added_ = false;
  std::optional<smtp::Reply> failure_; ///< why the message that is being read will be refused
  bool policy_says_so_ = false;        ///< failure_ is the word of a policy that is enforced
  bool receiving_ = false;
  bool ending_ = false;                                   ///< all octets of the message came; work is left
  std::optional<MemoryAccount::Charge> recipient_memory_; ///< of message_
  std::optional<MemoryAccount::Charge> header_memory_;    ///< while a message is read

  std::optional<ConnectionLimits::Unfinished> unfinished_; ///< of the message that is read, from the first step on
  std::uint64_t arrived_ = 0;                              ///< octets of it

  std::string output_;
  std::string close_reason_;
  bool closes_at_clients_wish_ = false;
  bool trusted_ = false;
  std::shared_ptr<const TlsSession> observed_session_; ///< of the partner that MAIL named; null: no partner
  std::shared_ptr<const TlsSession>
      proven_session_;                ///< the same, where SPF said of a message that it was the partner's
  bool spf_passed_ = false;           ///< for the sender of the message in hand
  std::string rule_;                  ///< the inbound rule that the sender fell under
  bool sender_proven_ = false;        ///< by what that rule demands
  bool observed_failure_ = false;     ///< an observing rule would have refused this sender
  std::uint64_t policy_lines_ = 0;    ///< about observing rules
  std::uint64_t policy_refusals_ = 0; ///< since the last accepted message
  std::optional<QueueId> unconfirmed_;
  std::uint64_t accepted_ = 0;
  RefusalLog refusals_;
  std::size_t refusals_ahead_ = 0; ///< given and logged, not yet come out as octets
};

} // namespace mta::inbound
