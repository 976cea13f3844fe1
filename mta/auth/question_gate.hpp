// QuestionGate: which DNS questions of the checks may be asked now: each client's share, its budget of unanswered ones,
// and zones whose name servers are silent.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "smtp/base/result.hpp"
#include "smtp/names/ip_address.hpp"

namespace mta {

/// Of one address and of its network; `total` of all clients together.
struct QuestionLimits {
  std::size_t per_address = 64;
  std::size_t per_network = 256;
  std::size_t total = 750;
  std::size_t unanswered_per_address = 100;
  std::size_t unanswered_per_network = 400;
};

/// Shared by all workers; thread-safe. No I/O, no clock.
///
/// A stranger decides which names we ask for, and how long their servers keep us waiting. So questions are taken from
/// clients in turn: each address and each network has a share of what is under way, and what is over it waits for that
/// client's own questions, never for those of others; beyond `total` only networks with fewer than a few questions may
/// begin one. What got no answer counts against the client for ten minutes. A zone that gave no answer twice, while
/// others were answered, is not asked again for a minute, and longer when it stays silent.
class QuestionGate {
public:
  using Clock = std::chrono::steady_clock;
  static constexpr auto window = std::chrono::minutes(10); ///< of the budget
  static constexpr std::size_t waiting_per_network = 1024; ///< questions that wait
  static constexpr std::size_t waiting_per_address = 256;
  static constexpr std::size_t small_share = 8; ///< a network with fewer questions may pass `total`

  enum class Turn : std::uint8_t { now, later };
  /// Later: `begin` is called once, when its turn has come; on the thread of another question's end. Error full: as
  /// many of the address or the network wait already.
  [[nodiscard]] smtp::Result<Turn> enter(const smtp::IpAddress &client, const QuestionLimits &limits,
                                         std::function<void()> begin);
  enum class Outcome : std::uint8_t {
    answered,   ///< by records, or that there are none
    unanswered, ///< by nobody, or with SERVFAIL
    refused,    ///< bogus: somebody answered, and it says nothing of the client
  };
  /// The end of a question that entered: its place goes to the next.
  void leave(const smtp::IpAddress &client, std::string_view name, Outcome outcome, Clock::time_point began,
             Clock::time_point now);

  /// Nobody's turn comes any more; what waits is forgotten. For the end, when the threads of those who wait have ended.
  void close();

  /// Why MAIL of the client is put off; nothing: it is not.
  [[nodiscard]] std::optional<std::string> refusal(const smtp::IpAddress &client, const QuestionLimits &limits,
                                                   Clock::time_point now);

  struct DeadZone {
    std::string name;
    std::chrono::seconds left{0};
  };
  /// The zone of the name whose servers are silent, if there is one.
  [[nodiscard]] std::optional<DeadZone> find_dead(std::string_view name, Clock::time_point now) const;

  struct Counts {
    std::size_t under_way = 0;
    std::size_t waiting = 0;
    std::size_t dead_zones = 0;
  };
  [[nodiscard]] Counts counts(Clock::time_point now) const;

private:
  struct Hash {
    std::uint64_t seed = 0; ///< drawn per process, so that a peer cannot aim at one bucket
    std::size_t operator()(const smtp::IpAddress &address) const noexcept;
  };
  /// Unanswered questions: a window that slides, in two halves.
  struct Spent {
    std::uint32_t current = 0;
    std::uint32_t before = 0;
    Clock::time_point start{}; ///< of the current half
  };
  struct Waiting {
    smtp::IpAddress address;
    QuestionLimits limits;
    std::function<void()> begin;
  };
  struct Address {
    std::size_t under_way = 0;
    std::size_t waiting = 0;
  };
  struct Network {
    std::size_t under_way = 0;
    std::deque<Waiting> waiting;
    bool queued = false; ///< in `turns_`
  };
  struct Zone {
    unsigned strikes = 0;
    Clock::time_point first{};    ///< of the strikes
    Clock::time_point until{};    ///< dead until then
    std::chrono::seconds span{0}; ///< of the last death
  };
  using SpentMap = std::unordered_map<smtp::IpAddress, Spent, Hash>;

  [[nodiscard]] bool may_begin(const smtp::IpAddress &address, const Network &network,
                               const QuestionLimits &limits) const;
  void begin_one(const smtp::IpAddress &address, Network &network);
  [[nodiscard]] std::function<void()> next_of(Network &network);
  static void slide(Spent &spent, Clock::time_point now);
  static void spend(SpentMap &map, const smtp::IpAddress &key, Clock::time_point now);
  [[nodiscard]] static double spent_of(SpentMap &map, const smtp::IpAddress &key, Clock::time_point now);
  void note_silence(std::string_view name, Clock::time_point began, Clock::time_point now);

  mutable std::mutex mutex_;
  Hash hash_ = make_hash();
  static Hash make_hash();
  std::unordered_map<smtp::IpAddress, Address, Hash> addresses_{0, hash_};
  std::unordered_map<smtp::IpAddress, Network, Hash> networks_{0, hash_};
  std::list<smtp::IpAddress> turns_; ///< networks of which somebody waits
  std::size_t under_way_ = 0;
  std::size_t waiting_ = 0;
  bool closed_ = false;
  SpentMap spent_addresses_{0, hash_};
  SpentMap spent_networks_{0, hash_};
  std::unordered_map<std::string, Zone> zones_;
  Clock::time_point last_answer_{};
};

/// What is judged by whether a question is answered: the name itself, or what of it begins with its last label with an
/// underscore ("s1._domainkey.example.org": "_domainkey.example.org"), which may be delegated. Never the domain above:
/// names of that form stand in records of strangers.
[[nodiscard]] std::string_view zone_of_question(std::string_view name) noexcept;

/// An address of IPv4, the /64 of one of IPv6.
[[nodiscard]] smtp::IpAddress questioner_of(const smtp::IpAddress &client) noexcept;
/// The /24 of IPv4, the /48 of IPv6.
[[nodiscard]] smtp::IpAddress questioner_network(const smtp::IpAddress &client) noexcept;

} // namespace mta
