// queue unreadable on the control socket: list what the queue cannot read of the spool, give it out, delete it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "mta/log/mail_log.hpp"
#include "mta/queue/damaged_files.hpp"
#include "mta/queue/unreadable.hpp"

namespace mta {

/// Answers {"command":"unreadable","action":"list"|"read"|"delete",…}: "read" gives the blobs of one message, and a
/// part of its body from "offset", in base64, which is read and added by the functions below. "ok" is false, with
/// "error", when it is refused. A deletion is logged with `by`. With "file" in place of "id" the same of what
/// recoveries set aside (`damaged`; null: nothing).
[[nodiscard]] boost::json::object answer_unreadable(std::vector<UnreadableMessage> &messages, DamagedFiles *damaged,
                                                    Spool &spool, MailLog &log, const boost::json::object &request,
                                                    const std::string &by);

struct UnreadablePart {
  std::string octets;
  std::string problem; ///< why there are no more
};
/// Where a request to read begins; nothing: it is none.
struct WantedPart {
  QueueId id;
  std::uint64_t offset = 0;
};
[[nodiscard]] std::optional<WantedPart> part_of_unreadable(const std::vector<UnreadableMessage> &messages,
                                                           const boost::json::object &request);
/// Waits for the disk; on any thread.
[[nodiscard]] UnreadablePart read_unreadable(Spool &spool, const WantedPart &wanted);
void add_part(boost::json::object &answer, UnreadablePart part);

} // namespace mta
