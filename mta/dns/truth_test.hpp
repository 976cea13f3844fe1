// TruthTest: asks names whose DNSSEC state is known, at start and every hour, and says whether the resolver validates.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mta/base/async.hpp"
#include "mta/config/config.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/log/mail_log.hpp"

namespace mta {

/// One round of the test.
struct TruthReport {
  /// In the order in which one hides another.
  enum class State : std::uint8_t {
    validates,
    unknown,           ///< a question was not answered, or a name is not what it should be: nothing is known
    bogus,             ///< a name with right data is bogus: the resolver is set up wrong, or someone forges
    does_not_validate, ///< an answer came that a validating resolver would not give
  };
  State state = State::unknown;      ///< the worst
  std::vector<std::string> problems; ///< one clause each; empty only when it validates
  friend bool operator==(const TruthReport &, const TruthReport &) = default;
};

/// Asks for the addresses of the three names. The signed one must be secure, also where it does not exist; the unsigned
/// one must exist and be insecure; the bogus one must give no answer: one that is validated says that the name is
/// wrong. `resolver` must outlive the task, or the last time that `stopped` (asked before each question, when given)
/// says no.
[[nodiscard]] Task<TruthReport> ask_truth(Resolver &resolver, TruthTestConfig config,
                                          std::function<bool()> stopped = {});

/// Runs the rounds and logs each as event=resolver_truth. What delivery does with DANE follows validates(): a resolver
/// that does not validate makes every signed domain look insecure (DANE is not seen) or bogus (its mail is stuck), so
/// DANE is off until a round is good again, and a warning says so in every round. Only an answer without validation
/// shows that. A round without an answer changes nothing: who can only drop packets cannot switch DANE off. Nor do
/// bogus answers, which were validated and failed: who forges them would otherwise switch DANE off for every domain.
/// Nor does a validated answer for the bogus name: its owner has mended or removed it. After a round that is not good
/// the next one comes sooner.
class TruthTest {
public:
  struct Waits {
    std::chrono::milliseconds good = std::chrono::hours(1);
    std::chrono::milliseconds other = std::chrono::minutes(5);
  };
  /// With names that are not set it does nothing, and validates() is true. `resolver` and `log` must outlive it, or at
  /// least stop() and what the executor was running then; the executor's context must outlive it.
  TruthTest(Resolver &resolver, TruthTestConfig config, MailLog &log, asio::any_io_executor executor)
      : TruthTest(resolver, std::move(config), log, std::move(executor), Waits{}) {}
  TruthTest(Resolver &resolver, TruthTestConfig config, MailLog &log, asio::any_io_executor executor, Waits waits);
  /// As stop().
  ~TruthTest();
  TruthTest(const TruthTest &) = delete;
  TruthTest &operator=(const TruthTest &) = delete;

  /// Begins the first round on the executor. Once.
  void start();
  /// No further round; one that is under way ends without a trace. Any thread; may be called again.
  void stop();
  /// True until a round has shown otherwise. Any thread.
  [[nodiscard]] bool validates() const noexcept;

private:
  struct State;
  static Task<> run(std::shared_ptr<State> state);
  std::shared_ptr<State> state_; ///< shared with the coroutine, which may end after this object
};

} // namespace mta
