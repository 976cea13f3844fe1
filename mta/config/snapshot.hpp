// Snapshot: one configuration made ready for use, with its TLS contexts and trust stores; swapped whole on reload.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "mta/config/config.hpp"
#include "smtp/base/result.hpp"
#include "tls/context.hpp"

namespace mta {

/// Const after build; a session keeps the one that it began with.
class Snapshot {
public:
  /// Loads every certificate, key and trust store that the configuration names. Errors name the file and its place.
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
  /// The trust store of "system" or a CA file. Never null for names that load_config accepted.
  [[nodiscard]] std::shared_ptr<const tls::TrustStore> trust_store(std::string_view name) const;

private:
  std::shared_ptr<const Config> config_;
  std::unordered_map<std::string, std::shared_ptr<const tls::Context>> listeners_;
  std::unordered_map<std::string, std::shared_ptr<const tls::Context>> clients_; ///< "profile\ncertificate"
  std::unordered_map<std::string, std::shared_ptr<const tls::TrustStore>> trust_;
};

/// The snapshot in force. Thread-safe. A mutex, because load() of std::atomic<std::shared_ptr> in libstdc++ 12 gives its
/// lock back with relaxed order (GCC bug 101761), which ThreadSanitizer rightly calls a race.
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
