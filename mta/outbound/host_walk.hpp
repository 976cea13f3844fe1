// HostWalk: in which order the hosts of a domain are tried for some recipients, and what their answers amount to; no
// I/O. deliver_job carries it out.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "mta/outbound/outcome.hpp"
#include "smtp/names/ip_address.hpp"

namespace mta {

/// RFC 5321 section 5.1: the hosts in order of preference, each at each of its addresses, until one has taken the mail
/// or refused it for good. What sends on to the next host: no connection, a greeting that is not 220, TLS that is not
/// what is demanded, a session that breaks before the message was sent whole, any 4xx, and a host that lacks what the
/// message needs (8BITMIME, SMTPUTF8, size). What does not: a 5xx to the message or recipient, and an unsure end (the
/// message was sent whole and no clear answer came): that one waits, for the same host.
///
///   look up -> connect (each address) -> … next host … -> connect to convert -> connect in clear -> done
///
/// A host that lacks only 8BITMIME gets the message converted (RFC 6152 section 3) after the others were asked whether
/// they take it as it is: signatures live longer so. Where TLS is only wished for, an attempt in clear comes after
/// every host was tried with TLS.
class HostWalk {
public:
  using Clock = std::chrono::steady_clock;

  struct Host {
    std::string name;
    std::uint16_t preference = 0;
  };
  struct Limits {
    std::size_t connects = 60;                      ///< calls of Connect
    std::size_t sessions = 12;                      ///< with hosts that greeted us and heard of the message
    Clock::duration time{std::chrono::minutes(15)}; ///< after it no further host is begun
  };
  struct Start {
    std::string resume_at; ///< host by which the try before was cut short: it comes first, those before it last
    std::string unsure;    ///< "mx.example.org[192.0.2.1]": an unsure end there before: first of all
  };

  /// Answer with found(), pass_over() or is_us().
  struct LookUp {
    std::size_t host = 0;
  };
  /// Answer with no_session(), is_us(), busy(), or begin_session() and what follows; before each, with tried().
  struct Connect {
    std::size_t host = 0;
    std::vector<smtp::SocketAddress> addresses;
    bool in_clear = false;
    std::string reason; ///< why in clear
  };
  struct Done {};
  using Step = std::variant<LookUp, Connect, Done>;

  /// `recipients` are indices into the message's.
  HostWalk(std::vector<Host> hosts, std::vector<std::size_t> recipients, Clock::time_point now, Start start);
  HostWalk(std::vector<Host> hosts, std::vector<std::size_t> recipients, Clock::time_point now)
      : HostWalk(std::move(hosts), std::move(recipients), now, Start()) {}
  void set_limits(const Limits &limits) noexcept { limits_ = limits; }

  [[nodiscard]] Step next(Clock::time_point now);

  // ---- the host ----
  void found(std::vector<smtp::SocketAddress> addresses);
  /// It is not used: policy, no address, a fault of ours.
  void pass_over(HostFailure failure);
  /// RFC 5321 section 5.1: it is ourselves, so neither it nor any host that is no better is tried.
  void is_us(HostFailure failure);

  // ---- the connection ----
  void tried(const std::vector<smtp::SocketAddress> &addresses);
  /// Every address is at its limit of connections: nothing was learnt.
  void busy(const std::vector<smtp::SocketAddress> &addresses);
  /// A session that is fit for the message did not come about. `clear_reason` not empty: TLS failed at `address`, and
  /// the requirement allows clear text.
  void no_session(HostFailure failure, const std::string &clear_reason, const smtp::SocketAddress &address);
  /// Octets in clear around STARTTLS, an attack: nothing goes in clear in this walk.
  void injected() noexcept { injected_ = true; }
  /// The host offers no TLS, and TLS failed at another before: others are tried first. True: leave this connection.
  [[nodiscard]] bool puts_off_clear(const smtp::SocketAddress &address, const std::string &reason);

  /// This walk has had its answer from there, or failed: it is not asked again.
  [[nodiscard]] bool was_asked(const smtp::SocketAddress &address) const noexcept;

  // ---- the session ----
  enum class Clear : std::uint8_t {
    no,          ///< with TLS, or nobody wished for it
    not_offered, ///< TLS was wished for, and the host offers none
    fallback,    ///< the host offers TLS and could not do it
  };
  struct Session {
    std::string label; ///< "mx.example.org[192.0.2.1]"
    smtp::SocketAddress address{};
    Clear clear = Clear::no;
  };
  /// A connection to a host, new or kept, that may hear of the message.
  void begin_session(Session session);
  /// The peer had given up this kept connection before it heard of the message: it counts for nothing.
  void session_was_stale();
  /// The connection to this address of the current host has served as much as it may: another one goes on.
  void reconnect(const smtp::SocketAddress &address, const std::string &clear_reason);
  /// Up to `limit` open recipients that this session has not answered for.
  [[nodiscard]] std::vector<std::size_t> batch(std::size_t limit) const;
  /// What a whole transaction amounted to for its batch, a row for each, in order.
  std::vector<RecipientResult> answered(const std::vector<std::size_t> &batch,
                                        const std::vector<smtp::RecipientOutcome> &outcomes);
  /// The transaction broke off. What was decided before stands; for the rest `failure` is why. With `unsure` the rest
  /// waits: another host now would make a second copy. Rows of what is decided.
  std::vector<RecipientResult> broke_off(const std::vector<std::size_t> &batch,
                                         const std::vector<smtp::RecipientOutcome> &outcomes, HostFailure failure,
                                         bool unsure);
  /// The batch can never be sent: our copy of the message is not whole.
  std::vector<RecipientResult> lost_here(const std::vector<std::size_t> &batch);
  /// The batch cannot be sent by a fault of ours, which every host would meet.
  std::vector<RecipientResult> failed_here(const std::vector<std::size_t> &batch, const std::string &detail);

  [[nodiscard]] const std::vector<std::size_t> &open() const noexcept { return open_; }
  [[nodiscard]] bool is_done() const noexcept { return open_.empty(); }

  /// Whether this session's host, when it lacks 8BITMIME, gets 8-bit content converted now; else it is come back to.
  [[nodiscard]] bool may_convert() const noexcept;

  // ---- the end ----
  /// One result for each recipient. `stopped`: the daemon ends.
  [[nodiscard]] std::vector<RecipientResult> finish(bool stopped,
                                                    const std::string &why = "the daemon is shutting down");
  [[nodiscard]] DestinationLesson lesson() const noexcept;
  /// Only limits of ours kept it from being tried: again soon, and it counts as no attempt.
  [[nodiscard]] bool is_put_off() const noexcept;
  /// Where the next try begins, when this one was cut short; empty: from the first.
  [[nodiscard]] std::string resume_at() const;

private:
  /// To be come back to.
  struct Offer {
    std::size_t host = 0;
    smtp::SocketAddress address;
    std::string reason; ///< why in clear
  };
  enum class Round : std::uint8_t { plain, converting, in_clear };
  struct Answer {
    std::size_t recipient = 0;
    RecipientResult result;
  };
  [[nodiscard]] bool may_connect(Clock::time_point now) const noexcept;
  [[nodiscard]] bool others_are_left() const noexcept;
  [[nodiscard]] std::size_t host_of_session() const noexcept;
  RecipientResult to_row(std::size_t recipient, const smtp::RecipientOutcome &outcome, bool progress);
  void close(std::size_t recipient, const RecipientResult &result);
  void note(HostFailure failure);

  std::vector<Host> hosts_;
  std::vector<std::size_t> order_; ///< of hosts_
  std::vector<bool> dropped_;      ///< by host
  std::string unsure_at_;
  Limits limits_;
  Clock::time_point began_;
  std::size_t cursor_ = 0;                     ///< into order_: the next host
  std::size_t current_ = 0;                    ///< host
  std::vector<smtp::SocketAddress> addresses_; ///< of the current host, still to be tried
  std::vector<smtp::SocketAddress> spent_;     ///< have answered in this walk, or failed
  std::vector<Offer> to_convert_;
  std::vector<Offer> in_clear_;
  std::size_t next_to_convert_ = 0;
  std::size_t next_in_clear_ = 0;
  std::size_t connects_ = 0;
  std::size_t sessions_ = 0;
  bool injected_ = false;
  bool tls_failed_ = false;
  bool cut_short_ = false;
  bool busy_ = false;
  Round round_ = Round::plain;
  bool reached_ = false; ///< a host heard of the message, or showed what it has
  Session session_;
  std::vector<std::size_t> open_;
  std::vector<std::size_t> asked_; ///< open, and answered for by this session
  std::vector<Answer> answers_;    ///< the last 4xx of open recipients
  std::vector<HostFailure> failures_;
  std::vector<RecipientResult> results_;
};

/// Whether a 5xx in this kind of session is a verdict on the message, or speaks of the missing TLS: RFC 3207 section 4
/// (530), RFC 5248 (5.7.10, 5.7.11). After a failed handshake everything that does not clearly speak of the mailbox or
/// the message is about the session.
[[nodiscard]] bool is_verdict(const smtp::Reply &reply, HostWalk::Clear clear) noexcept;

} // namespace mta
