#include "mta/spool/message_table.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace mta::spool {

namespace {
// A record that claims more was not written by us.
constexpr std::uint64_t max_body = std::uint64_t{1} << 40U;
constexpr std::uint64_t max_id = std::uint64_t{1} << 62U;
} // namespace

void MessageTable::add(const RecordHeader &header, const Extent &extent, std::string_view payload) {
  if (header.id > max_id) return;
  highest_id_ = std::max(highest_id_, header.id);
  if (header.type == RecordType::done) {
    add_done(header.id, extent.segment);
    return;
  }
  if (header.type == RecordType::graves) {
    for (const std::uint64_t id : decode_ids(payload)) add_done(id, extent.segment);
    return;
  }
  if (const auto done = done_in_.find(header.id); done != done_in_.end()) {
    if (header.type == RecordType::envelope) graves_.push_back({done->second, extent.segment, header.id});
    return;
  }
  Message &message = messages_[header.id];
  if (header.type == RecordType::body) {
    copy_of(message, header.copy).parts.push_back({header.extra, header.sequence, extent});
  } else if (header.type == RecordType::envelope && header.extra <= max_body) {
    Copy &copy = copy_of(message, header.copy);
    copy.first_sequence = copy.sequence == 0 ? header.sequence : std::min(copy.first_sequence, header.sequence);
    if (header.sequence < copy.sequence) {
      message.stale.push_back({extent, header.sequence});
      return;
    }
    if (copy.sequence != 0) message.stale.push_back({copy.envelope, copy.sequence});
    copy.sequence = header.sequence;
    copy.body_size = header.extra;
    copy.envelope = extent;
    copy.blob = payload;
  } else if (header.type == RecordType::update && header.sequence > message.update_sequence) {
    message.update_sequence = header.sequence;
    message.update = extent;
    message.update_blob = payload;
  }
}

void MessageTable::add_done(std::uint64_t id, std::uint32_t segment) {
  if (id > max_id) return;
  highest_id_ = std::max(highest_id_, id);
  done_in_.emplace(id, segment); // of several the first seen, in the newest segment, is enough
  const auto found = messages_.find(id);
  if (found == messages_.end()) return;
  for (const Copy &copy : found->second.copies)
    if (copy.sequence != 0) graves_.push_back({segment, copy.envelope.segment, id});
  for (const Orphan &stale : found->second.stale) graves_.push_back({segment, stale.envelope.segment, id});
  messages_.erase(found);
}

void MessageTable::add_lost(const RecordHeader &header) {
  if (header.id > max_id) return;
  highest_id_ = std::max(highest_id_, header.id);
  switch (header.type) {
  case RecordType::envelope:
    if (!done_in_.contains(header.id)) messages_[header.id].envelope_lost = true;
    break;
  case RecordType::update:
    report_.damage.push_back(
        fmt::format("message {}: an update is lost: an earlier state counts", QueueId{header.id}.to_string()));
    break;
  case RecordType::body: // finish() sees what is missing
  case RecordType::done: // has no payload
  case RecordType::checkpoint:
  case RecordType::seal:
  case RecordType::gap:
  case RecordType::graves: break;
  }
}

MessageTable::Copy &MessageTable::copy_of(Message &message, std::uint32_t number) {
  const auto found = std::find_if(message.copies.begin(), message.copies.end(),
                                  [number](const Copy &copy) { return copy.number == number; });
  if (found != message.copies.end()) return *found;
  message.copies.push_back({});
  message.copies.back().number = number;
  return message.copies.back();
}

bool MessageTable::assemble(Copy &copy, std::vector<Extent> &parts) {
  // A move that was cut short by a crash and done again may have left a part twice; the newer one counts.
  std::sort(copy.parts.begin(), copy.parts.end(), [](const Part &left, const Part &right) {
    return left.offset != right.offset ? left.offset < right.offset : left.sequence > right.sequence;
  });
  bool complete = true;
  std::uint64_t reached = 0;
  const auto lost_until = [&](std::uint64_t offset) {
    constexpr std::uint64_t largest = std::numeric_limits<std::uint32_t>::max();
    for (complete = complete && reached == offset; reached < offset;) {
      const std::uint64_t length = std::min(offset - reached, largest);
      parts.push_back({0, 0, static_cast<std::uint32_t>(length)});
      reached += length;
    }
  };
  for (const Part &part : copy.parts) {
    if (part.offset < reached || part.offset > copy.body_size) continue;
    if (part.extent.length > copy.body_size - part.offset) continue;
    lost_until(part.offset);
    parts.push_back(part.extent);
    reached += part.extent.length;
  }
  lost_until(copy.body_size);
  return complete;
}

/// Of the copy that has most of the body: its size stood in the envelope, so it is what the parts reach.
std::vector<Extent> MessageTable::rest_of(Message &message) {
  std::vector<Extent> most;
  std::uint64_t most_octets = 0;
  for (Copy &copy : message.copies) {
    copy.body_size = 0;
    for (const Part &part : copy.parts)
      copy.body_size = std::max(copy.body_size, std::min(part.offset, max_body) + part.extent.length);
    std::vector<Extent> parts;
    static_cast<void>(assemble(copy, parts));
    std::erase_if(parts, [](const Extent &part) { return part.segment == 0; });
    std::uint64_t octets = 0;
    for (const Extent &part : parts) octets += part.length;
    if (octets <= most_octets) continue;
    most_octets = octets;
    most = std::move(parts);
  }
  return most;
}

void MessageTable::finish(Index &index, std::uint64_t durable) {
  for (auto &[id, message] : messages_) decide(id, message, index, durable);
  messages_.clear();
  std::sort(report_.messages.begin(), report_.messages.end(),
            [](const RecoveredMessage &left, const RecoveredMessage &right) { return left.id < right.id; });
  std::sort(lost_.begin(), lost_.end(), [](const Lost &left, const Lost &right) { return left.id < right.id; });
}

void MessageTable::decide(std::uint64_t id, Message &message, Index &index, std::uint64_t durable) {
  std::sort(message.copies.begin(), message.copies.end(),
            [](const Copy &left, const Copy &right) { return left.number > right.number; });
  Copy *chosen = nullptr;
  bool chosen_is_complete = false;
  std::vector<Extent> parts;
  for (Copy &copy : message.copies) {
    if (copy.sequence == 0 || chosen_is_complete) continue;
    std::vector<Extent> found;
    const bool complete = assemble(copy, found);
    // The newest complete copy; failing that, the newest one that had been acknowledged.
    if (complete || (chosen == nullptr && copy.first_sequence <= durable)) {
      chosen = &copy;
      chosen_is_complete = complete;
      parts = std::move(found);
    }
  }
  const std::string name = QueueId{id}.to_string();
  if (chosen == nullptr) {
    for (const Copy &copy : message.copies)
      if (copy.sequence != 0) orphans_.push_back({copy.envelope, copy.sequence});
    orphans_.insert(orphans_.end(), message.stale.begin(), message.stale.end());
    if (message.envelope_lost) lost_.push_back({id, rest_of(message)});
    return;
  }
  if (!chosen_is_complete) {
    std::uint64_t lost = 0;
    for (const Extent &part : parts)
      if (part.segment == 0) lost += part.length;
    report_.damage.push_back(
        fmt::format("message {}: {} of {} octets of its body are lost", name, lost, chosen->body_size));
  }
  for (const Copy &copy : message.copies)
    if (copy.sequence != 0 && &copy != chosen) index.note_stale(id, copy.envelope.segment);
  for (const Orphan &stale : message.stale) index.note_stale(id, stale.envelope.segment);

  Entry entry;
  entry.body_size = chosen->body_size;
  entry.envelope = chosen->envelope;
  entry.update = message.update;
  entry.copy = message.copies.front().number; // the next move must be newer than anything seen
  if (!parts.empty()) entry.body = parts.front();
  if (parts.size() > 1) entry.more = std::make_shared<const std::vector<Extent>>(parts.begin() + 1, parts.end());
  index.insert_recovered(id, std::move(entry));
  report_.messages.push_back({QueueId{id}, std::move(chosen->blob), std::move(message.update_blob), chosen->body_size});
}

} // namespace mta::spool
