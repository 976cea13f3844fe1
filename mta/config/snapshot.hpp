// Snapshot: one configuration made ready for use, with its TLS contexts and trust stores; swapped whole on reload.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mta/config/config.hpp"
#include "mta/config/crl_files.hpp"
#include "smtp/base/result.hpp"
#include "tls/context.hpp"

namespace mta {

/// Const after build; a session keeps the one that it began with.
class Snapshot {
public:
  /// Loads every certificate, key and trust store that the configuration names; of revocation lists that are fetched
  /// renew_crls() takes up what is kept. Errors name the file and its place.
  [[nodiscard]] static smtp::Result<std::shared_ptr<const Snapshot>>
  build(std::shared_ptr<const Config> config, std::shared_ptr<tls::TicketKeys> ticket_keys);

  [[nodiscard]] const Config &config() const noexcept { return *config_; }
  [[nodiscard]] std::shared_ptr<const Config> config_pointer() const noexcept { return config_; }
  /// The server context of a listener; null when it has no TLS.
  [[nodiscard]] std::shared_ptr<const tls::Context> listener_context(std::string_view listener) const;
  /// The client context for a profile and a client certificate's name (empty: none). Never null for names that
  /// load_config accepted.
  [[nodiscard]] std::shared_ptr<const tls::Context> client_context(std::string_view profile,
                                                                   std::string_view certificate) const;
  /// The trust store of "system" or a CA file, with the revocation lists that a rule names (files and URLs, in the
  /// rule's order). Never null for what load_config accepted.
  [[nodiscard]] std::shared_ptr<const tls::TrustStore> trust_store(std::string_view name,
                                                                   const std::vector<std::string> &crls = {}) const;
  /// True when some rule names revocation lists.
  [[nodiscard]] bool has_crls() const noexcept;

  struct Renewed;
  /// The same with every revocation list read anew, after a fetch or a while; contexts are shared. A store whose files
  /// cannot be read stays as it was: its lists expire by themselves, and then its chains fail. Blocks.
  [[nodiscard]] Renewed renew_crls(const KeptCrls &kept) const;

private:
  std::shared_ptr<const Config> config_;
  std::unordered_map<std::string, std::shared_ptr<const tls::Context>> listeners_;
  std::unordered_map<std::string, std::shared_ptr<const tls::Context>> clients_; ///< "profile\ncertificate"
  struct Trust {
    std::string name;
    std::vector<std::string> crls;
    std::shared_ptr<const tls::TrustStore> store;
  };
  std::unordered_map<std::string, Trust> trust_; ///< by name and lists, "\n" between
};

struct Snapshot::Renewed {
  std::shared_ptr<const Snapshot> snapshot; ///< never null
  bool is_changed = false;                  ///< some store has other lists than before
  std::vector<std::string> problems;        ///< "trust \"system\": /etc/…/list.crl: no such file or directory"
};

/// The snapshot in force. Thread-safe. A mutex, because load() of std::atomic<std::shared_ptr> in libstdc++ 12 gives
/// its lock back with relaxed order (GCC bug 101761), which ThreadSanitizer rightly calls a race.
class CurrentSnapshot {
public:
  [[nodiscard]] std::shared_ptr<const Snapshot> get() const {
    const std::scoped_lock lock(mutex_);
    return pointer_;
  }
  void set(std::shared_ptr<const Snapshot> snapshot) {
    const std::scoped_lock lock(mutex_);
    pointer_.swap(snapshot); // the old one is let go outside of the lock, with its last user
  }

private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Snapshot> pointer_;
};

} // namespace mta
