// Notifier: turns the queue's notification requests into DSNs (RFC 3461, 3464) and submits them as mail from <>.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "mta/config/snapshot.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/queue/scheduler.hpp"
#include "mta/spool/spool.hpp"

namespace mta {

/// Thread-safe; reads the original from the page cache, so it may block shortly. It must outlive the spool's commits.
/// NOTIFY and RET are obeyed. Never a notice to the sender of a notice, to <>, or to an address that SPF says the mail
/// is not from; of success and delay only those hear who are ours or shown to be the sender, and no programs and lists.
/// A failure of mail from <> is told to our own postmaster, `postmaster_limit` times in an hour. Notices
/// of a delay that find no room are put off.
class Notifier {
public:
  static constexpr std::size_t postmaster_limit = 20;
  struct Services {
    CurrentSnapshot &snapshot;
    Spool &spool;
    MailLog &log;
    std::function<void(std::shared_ptr<QueuedMessage>)> submit;
    std::function<WallTime()> now;
  };
  explicit Notifier(Services services);
  /// Tells the postmaster of messages that are held: `held` are the first of `total`.
  void remind_of_holds(std::vector<std::shared_ptr<const QueuedMessage>> held, std::size_t total);
  /// mta::Notify.
  void notify(NotificationRequest request, std::function<void(bool ok)> stored);

private:
  /// Why the sender is not told of this recipient; empty: the sender is.
  [[nodiscard]] std::string_view find_obstacle(const NotificationRequest &request, const RecipientState &state) const;
  /// The same for the postmaster, about mail that names no sender.
  [[nodiscard]] std::string_view find_postmaster_obstacle(const NotificationRequest &request,
                                                          const RecipientState &state, const Config &config) const;
  [[nodiscard]] bool is_automatic(const QueuedMessage &message) const;
  [[nodiscard]] bool take_postmaster_turn();
  void put_off(const smtp::Error &error);
  void store(const NotificationRequest &request, const smtp::Mailbox &to, std::function<void(bool ok)> stored);
  [[nodiscard]] smtp::Result<std::string> build(const NotificationRequest &request, const smtp::Mailbox &to,
                                                const Config &config, QueueId id) const;
  [[nodiscard]] QueuedMessage envelope_of(std::string_view text, const smtp::Mailbox &to, const Config &config) const;
  Services services_;
  std::mutex turns_mutex_;
  WallTime turns_since_{}; ///< of the hour that is counted
  std::size_t turns_ = 0;
  std::optional<WallTime> put_off_told_{}; ///< when notices of delay that found no room were told of last
  std::uint64_t put_off_ = 0;              ///< since then
};

} // namespace mta
