// CrlFetcher: keeps the revocation lists of http URLs fresh in the store, for the trust stores that read them.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

#include "mta/config/snapshot.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/store/store.hpp"

namespace mta {

/// Every URL among the partners' `crl` is fetched at start, half-way to its list's nextUpdate, and once a day at
/// least; after a failure every ten minutes, and the old list stays. What is taken: store_crl(). Each chain checks the
/// signature of its lists: whoever changes one on its way can only stop mail that needs it.
class CrlFetcher {
public:
  /// All must outlive the fetcher. `executor` runs on one thread and must outlive it too. `changed` is called on it
  /// when lists have changed, so that the snapshot is to be built anew.
  struct Services {
    CurrentSnapshot &snapshot;
    Resolver &resolver;
    MailLog &log;
    asio::any_io_executor executor;
    store::Store &store;
    std::function<std::chrono::system_clock::time_point()> now;
    std::function<void()> changed;
  };
  explicit CrlFetcher(Services services);
  ~CrlFetcher();
  CrlFetcher(const CrlFetcher &) = delete;
  CrlFetcher &operator=(const CrlFetcher &) = delete;

  /// Begins to fetch in the background; looks once a minute, so that URLs of a reload are seen.
  void start();
  /// Ends it; `changed` is not called any more. From the executor's thread, or when that has ended.
  void stop();
  /// Fetches all whose time has come; how many lists changed. On the executor.
  Task<std::size_t> fetch_due();

private:
  class Core;
  std::shared_ptr<Core> core_;
};

} // namespace mta
