// queue unreadable on the control socket: see unreadable_requests.hpp.
#include "mta/control/unreadable_requests.hpp"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include "mta/control/answers.hpp"
#include "smtp/base/base64.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::size_t body_part_limit = 1'048'576;

/// A part of the body; what cannot be read of it ends it, with the reason in the answer.
void add_body(boost::json::object &answer, Spool &spool, const UnreadableMessage &message, std::uint64_t offset) {
  auto reader = spool.read_body(message.id);
  if (!reader) {
    answer["body_problem"] = reader.error().detail;
    return;
  }
  std::string part(static_cast<std::size_t>(std::min<std::uint64_t>(
                       body_part_limit, (*reader)->size() - std::min(offset, (*reader)->size()))),
                   '\0');
  std::size_t filled = 0;
  while (filled < part.size()) {
    const auto got = (*reader)->read(offset + filled, std::span<char>(part).subspan(filled));
    if (!got) answer["body_problem"] = got.error().detail;
    if (!got || *got == 0) break;
    filled += *got;
  }
  part.resize(filled);
  answer["body"] = smtp::to_base64(part);
}

/// What recoveries set aside: "read" and "delete" of one file.
boost::json::object answer_damaged(DamagedFiles &damaged, MailLog &log, const boost::json::object &request,
                                   const std::string &by) {
  boost::json::object answer;
  answer["ok"] = true;
  const auto name = text_of(request, "file");
  const auto action = text_of(request, "action");
  if (action == "read") {
    const auto *offset = request.if_contains("offset");
    const std::int64_t at =
        offset != nullptr && offset->is_int64() ? std::max<std::int64_t>(offset->get_int64(), 0) : 0;
    const auto part = damaged.read(name, static_cast<std::uint64_t>(at), body_part_limit);
    if (!part) return failure(part.error().detail);
    answer["body"] = smtp::to_base64(*part);
    return answer;
  }
  if (action != "delete") return failure(fmt::format("unknown action \"{}\"", smtp::escape(action, 40)));
  const auto reason = text_of(request, "reason");
  if (smtp::trim(reason).empty()) return failure("delete needs a reason (--reason), which is logged");
  if (const auto removed = damaged.remove(name); !removed) return failure(removed.error().detail);
  log.write(Event("queue_delete", LogLevel::warning)
                .with("file", name)
                .with("by", by)
                .with("reason", smtp::escape(reason, 1'000))
                .with("note", "a recovery had set it aside"));
  return answer;
}

boost::json::array list_damaged(const DamagedFiles &damaged) {
  boost::json::array rows;
  for (const DamagedFiles::File &file : damaged.list()) {
    boost::json::object row;
    row["file"] = file.name;
    row["size"] = file.size;
    row["time"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(file.time)));
    row["problem"] = file.problem;
    rows.push_back(std::move(row));
  }
  return rows;
}

} // namespace

boost::json::object answer_unreadable(std::vector<UnreadableMessage> &messages, DamagedFiles *damaged, Spool &spool,
                                      MailLog &log, const boost::json::object &request, const std::string &by) {
  if (damaged != nullptr && request.contains("file")) return answer_damaged(*damaged, log, request, by);
  boost::json::object answer;
  answer["ok"] = true;
  const auto action = text_of(request, "action");
  if (action == "list") {
    boost::json::array rows;
    for (const UnreadableMessage &message : messages) {
      boost::json::object row;
      row["id"] = message.id.to_string();
      row["body_size"] = message.body_size;
      row["problem"] = message.problem;
      rows.push_back(std::move(row));
    }
    answer["messages"] = std::move(rows);
    answer["damaged"] = damaged != nullptr ? list_damaged(*damaged) : boost::json::array();
    return answer;
  }
  const auto text = text_of(request, "id");
  const auto id = QueueId::parse(text);
  const auto found = std::find_if(messages.begin(), messages.end(),
                                  [&](const UnreadableMessage &message) { return id && message.id == *id; });
  if (found == messages.end())
    return failure(fmt::format("no unreadable message \"{}\" is in the spool", smtp::escape(text, 40)));
  if (action == "read") {
    const auto *offset = request.if_contains("offset");
    const bool is_start = offset == nullptr || !offset->is_int64() || offset->get_int64() <= 0;
    if (is_start) {
      answer["envelope"] = smtp::to_base64(found->envelope);
      answer["update"] = smtp::to_base64(found->update);
      answer["problem"] = found->problem;
      answer["body_size"] = found->body_size;
    }
    add_body(answer, spool, *found, is_start ? 0 : static_cast<std::uint64_t>(offset->get_int64()));
    return answer;
  }
  if (action == "delete") {
    const auto reason = text_of(request, "reason");
    if (smtp::trim(reason).empty()) return failure("delete needs a reason (--reason), which is logged");
    log.write(Event("queue_delete", LogLevel::warning)
                  .with("id", found->id.to_string())
                  .with("by", by)
                  .with("reason", smtp::escape(reason, 1'000))
                  .with("note", "it could not be read"));
    spool.remove(found->id);
    messages.erase(found);
    return answer;
  }
  return failure(fmt::format("unknown action \"{}\"", smtp::escape(action, 40)));
}

} // namespace mta
