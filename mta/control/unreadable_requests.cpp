#include "mta/control/unreadable_requests.hpp"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/control/answers.hpp"
#include "smtp/base/base64.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::size_t body_part_limit = 1'048'576;

/// Where the body is read from; 0: from its beginning, with the blobs.
std::uint64_t offset_of(const boost::json::object &request) {
  const auto *offset = request.if_contains("offset");
  if (offset == nullptr || !offset->is_int64() || offset->get_int64() <= 0) return 0;
  return static_cast<std::uint64_t>(offset->get_int64());
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
    row["time"] = time_text(file.time);
    row["problem"] = file.problem;
    rows.push_back(std::move(row));
  }
  return rows;
}

} // namespace

std::optional<WantedPart> part_of_unreadable(const std::vector<UnreadableMessage> &messages,
                                             const boost::json::object &request) {
  if (text_of(request, "action") != "read") return std::nullopt;
  const auto id = QueueId::parse(text_of(request, "id"));
  const bool is_there = id && std::any_of(messages.begin(), messages.end(),
                                          [&](const UnreadableMessage &message) { return message.id == *id; });
  return is_there ? std::optional(WantedPart{*id, offset_of(request)}) : std::nullopt;
}

UnreadablePart read_unreadable(Spool &spool, const WantedPart &wanted) {
  UnreadablePart part;
  auto reader = spool.read_body(wanted.id);
  if (!reader) {
    part.problem = reader.error().detail;
    return part;
  }
  const std::uint64_t size = (*reader)->size();
  const std::uint64_t left = size - std::min(wanted.offset, size);
  part.octets.resize(static_cast<std::size_t>(std::min<std::uint64_t>(body_part_limit, left)));
  std::size_t filled = 0;
  while (filled < part.octets.size()) {
    const auto got = (*reader)->read(wanted.offset + filled, std::span<char>(part.octets).subspan(filled));
    if (!got) part.problem = got.error().detail;
    if (!got || *got == 0) break;
    filled += *got;
  }
  part.octets.resize(filled);
  return part;
}

void add_part(boost::json::object &answer, UnreadablePart part) {
  if (!part.problem.empty()) answer["body_problem"] = std::move(part.problem);
  answer["body"] = smtp::to_base64(part.octets);
}

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
    if (offset_of(request) == 0) {
      answer["envelope"] = smtp::to_base64(found->envelope);
      answer["update"] = smtp::to_base64(found->update);
      answer["problem"] = found->problem;
      answer["body_size"] = found->body_size;
    }
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
