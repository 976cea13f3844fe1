// Notifier: turns the queue's notification requests into DSNs (RFC 3461, 3464) and submits them as mail from <>.
#pragma once

#include <functional>
#include <memory>

#include "mta/config/snapshot.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/queue/scheduler.hpp"
#include "mta/spool/spool.hpp"

namespace mta {

/// Thread-safe; reads the original from the page cache, so it may block shortly. It must outlive the spool's commits.
/// Never a notice about a notice, nor about mail from <>. NOTIFY and RET are obeyed.
class Notifier {
public:
  struct Services {
    CurrentSnapshot &snapshot;
    Spool &spool;
    MailLog &log;
    std::function<void(std::shared_ptr<QueuedMessage>)> submit;
    std::function<WallTime()> now;
  };
  explicit Notifier(Services services);
  /// mta::Notify.
  void notify(NotificationRequest request, std::function<void(bool ok)> stored);

private:
  void store(const NotificationRequest &request, const smtp::Mailbox &sender, std::function<void(bool ok)> stored);
  [[nodiscard]] smtp::Result<std::string> build(const NotificationRequest &request, const smtp::Mailbox &sender,
                                                const Config &config, QueueId id) const;
  [[nodiscard]] QueuedMessage envelope_of(std::string_view text, const smtp::Mailbox &to, const Config &config) const;
  Services services_;
};

} // namespace mta
