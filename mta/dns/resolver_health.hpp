// ResolverHealth: asks three times a minute whether the resolver still answers, and tells when it does not.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/async.hpp"
#include "mta/config/config.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/log/mail_log.hpp"

namespace mta {

/// What one round found.
struct HealthReport {
  enum class Server : std::uint8_t { answers, refuses, silent };
  bool answers = false; ///< the resolver answered for one of the names, be it that nothing is there
  std::string problem;  ///< why not
  struct Forwarder {
    smtp::SocketAddress address;
    Server state = Server::silent;
    friend bool operator==(const Forwarder &, const Forwarder &) = default;
  };
  std::vector<Forwarder> forwarders; ///< of [dns] resolvers, each asked by itself
  [[nodiscard]] bool is_good() const noexcept;
  /// Those that do not answer, "192.0.2.53:53 192.0.2.54:53"; empty: all do.
  [[nodiscard]] std::string silent() const;
  /// Those that answer; none does: all.
  [[nodiscard]] std::vector<smtp::SocketAddress> usable() const;
};

/// `names`: domains known to be there, ours if need be. Each is asked about through the resolver by a name below it
/// that nobody has asked for, so that no cache answers; the first answer ends that. Each forwarder hears one question
/// of its own, whatever the resolver thinks of it. Never fails. `resolver` must outlive the task.
[[nodiscard]] Task<HealthReport> ask_health(Resolver &resolver, std::vector<smtp::SocketAddress> forwarders,
                                            std::vector<std::string> names);

/// What a name of a stranger does never touches these names, so that a round without an answer is about the resolver
/// itself or the way to it: event=resolver_health, when the state changes, and every ten minutes while it is bad.
class ResolverHealth {
public:
  struct Waits {
    std::chrono::milliseconds good = std::chrono::seconds(20);
    std::chrono::milliseconds bad = std::chrono::seconds(15);
    std::chrono::milliseconds again = std::chrono::seconds(2);     ///< before one that answered is asked once more
    std::chrono::milliseconds patience = std::chrono::seconds(10); ///< for so long, before it is called dead
    std::chrono::milliseconds told_again = std::chrono::minutes(10);
  };
  struct Services {
    Resolver &resolver;
    MailLog &log;
    asio::any_io_executor executor;
    std::vector<smtp::SocketAddress> forwarders;
    /// Of several forwarders these use only the ones that answer, while any does. They must live as long as `resolver`.
    std::vector<Resolver *> followers;
    std::function<std::vector<std::string>()> names; ///< asked in each round; empty: the round is left out
  };
  explicit ResolverHealth(Services services) : ResolverHealth(std::move(services), Waits{}) {}
  ResolverHealth(Services services, Waits waits);
  /// As stop().
  ~ResolverHealth();
  ResolverHealth(const ResolverHealth &) = delete;
  ResolverHealth &operator=(const ResolverHealth &) = delete;

  void start();
  /// No further round, and nothing more is told. Any thread; may be called again.
  void stop();
  /// What the last round found; nothing before the first.
  [[nodiscard]] std::optional<HealthReport> last() const;

private:
  struct State;
  static Task<> run(std::shared_ptr<State> state);
  std::shared_ptr<State> state_; ///< shared with the coroutine, which may end after this object
};

/// [dns] health_names, or the host name and the first two of our domains; none where no mail needs the DNS.
[[nodiscard]] std::vector<std::string> health_names(const Config &config);

/// A DNS question (RFC 1035 section 4.1) for the SOA of a name, recursion desired.
[[nodiscard]] std::string encode_question(std::uint16_t id, std::string_view name);

} // namespace mta
