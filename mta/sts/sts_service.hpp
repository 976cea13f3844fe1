// StsService: finds, keeps and refreshes the MTA-STS policies of the domains that we send to (RFC 8461).
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "mta/config/snapshot.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/store/store.hpp"
#include "mta/sts/sts_policies.hpp"

namespace mta {

/// Thread-safe. A domain whose policy is known costs one look into a table, no question and no disk. For each domain
/// one discovery runs at a time, on `executor`; whoever asks meanwhile waits for it.
class StsService final : public StsPolicies {
public:
  /// All must outlive the service. `executor` runs on one thread and must outlive it too.
  struct Services {
    CurrentSnapshot &snapshot;
    Resolver &resolver;
    MailLog &log;
    asio::any_io_executor executor;
    store::Store &store;
    std::function<std::chrono::system_clock::time_point()> now;
    std::function<std::chrono::steady_clock::time_point()> steady_now = std::chrono::steady_clock::now;
    /// Mail of the domain that waits for its record may go on. On the executor, once a minute at most.
    std::function<void(std::string domain)> passed_over{};
  };
  /// Reads what the store keeps; blocks. Errors: it is there and cannot be read. Damaged rows are logged.
  [[nodiscard]] static smtp::Result<std::unique_ptr<StsService>> open(Services services);
  ~StsService() override;

  /// Begins to refresh in the background.
  void start();
  /// Ends the refresh, answers who waits with a temporary failure, and waits until what is kept is on the disk. find()
  /// may still be called and says that it is stopping. Any thread; may be called again.
  void stop();

  Task<policy::StsFacts> find(std::string domain) override;
  /// Refreshes all whose time has come, eight at a time; how many there were. What start() does every minute.
  Task<std::size_t> refresh_due();
  /// Tells of the next domain whose record was waited for in vain, and lets its mail go on. What start() does every
  /// minute.
  void pass_over();
  /// Policies that are kept and have not expired.
  [[nodiscard]] std::size_t size() const;

private:
  class Core;
  explicit StsService(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

} // namespace mta
