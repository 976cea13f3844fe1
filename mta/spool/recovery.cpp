#include "mta/spool/recovery.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "mta/spool/message_table.hpp"
#include "mta/spool/salvage.hpp"
#include "mta/spool/segment_scan.hpp"
#include "smtp/base/text.hpp"

namespace mta::spool {

using smtp::ErrorCode;
using smtp::Result;

namespace {

class Recoverer {
public:
  Recoverer(FileSystem &files, const std::string &folder, Index &index, Recovery &report)
      : files_(files), folder_(folder), index_(index), report_(report), salvage_(files, folder, report),
        table_(report) {}

  Result<LogEnd> run() {
    auto numbers = sort_files();
    if (!numbers) return tl::unexpected(numbers.error());
    // From the newest to the oldest: a removal is known before the message, a checkpoint before the segment it is
    // about, and the sequence that is known to be durable before what it decides on.
    for (const std::uint32_t number : *numbers) {
      if (auto read = read_segment(number); !read) return tl::unexpected(read.error());
    }
    table_.finish(index_, durable_);
    for (const MessageTable::Grave &grave : table_.graves()) index_.bury(grave.grave, grave.buried, grave.id);
    for (const auto &[checkpoint, abandoned] : checkpoints_) index_.abandon(checkpoint, abandoned);
    for (const MessageTable::Orphan &orphan : table_.orphans())
      salvage_.erase(*known_.at(orphan.envelope.segment), orphan.envelope, orphan.sequence);
    for (const MessageTable::Lost &lost : table_.lost()) salvage_.keep_rest(lost.id, lost.body, known_);
    for (const auto &[number, segment] : known_) index_.seal(number);
    look_for_missing(*numbers);
    choose_next_id();
    return std::move(end_);
  }

private:
  Result<std::vector<std::uint32_t>> sort_files() {
    auto names = files_.list(folder_);
    if (!names) return tl::unexpected(names.error());
    std::sort(names->begin(), names->end());
    std::vector<std::uint32_t> numbers;
    for (const std::string &name : *names) {
      const FileName file = parse_file_name(name);
      end_.next_number = std::max(end_.next_number, file.number + 1);
      switch (file.kind) {
      case FileKind::segment: numbers.push_back(file.number); break;
      case FileKind::spare: end_.spares.push_back(file.number); break;
      case FileKind::unfinished:
        if (auto removed = files_.remove(folder_ + "/" + name); !removed) return tl::unexpected(removed.error());
        break;
      case FileKind::reserve: end_.has_reserve = end_.has_reserve || name == "reserve"; break;
      case FileKind::lock:
      case FileKind::damaged: break;
      case FileKind::foreign:
        // What others of the daemon keep beside the spool.
        if (name == "tally" || name == "state" || name == "last-good" || name == "lost+found") break;
        report_.notes.push_back(fmt::format("file {} is not part of the spool: left alone", smtp::escape(name)));
        break;
      }
    }
    report_.is_new = numbers.empty() && end_.spares.empty() && !end_.has_reserve;
    std::reverse(numbers.begin(), numbers.end());
    return numbers;
  }

  Result<void> read_segment(std::uint32_t number) {
    const std::string path = file_path(folder_, FileKind::segment, number);
    auto file = files_.open(path, FileSystem::Access::read_write);
    if (!file) return tl::unexpected(file.error());
    const auto size = (*file)->size();
    if (!size) return tl::unexpected(size.error());

    SegmentImage image(**file, *size);
    auto header = decode_segment_header(image.view(0, segment_header_size));
    if (!header && header.error().code == ErrorCode::protocol)
      return smtp::fail(ErrorCode::protocol, fmt::format("segment {:08x}: {}", number, header.error().detail));
    if (!header || header->number != number) {
      header_lost_ = true;
      const auto key = find_key(image);
      if (!key) {
        salvage_.set_aside_file(number, *size);
        return {};
      }
      header = SegmentHeader{.number = number, .key = *key, .size = *size, .id_limit = 0};
      salvage_.restore_header(**file, *header);
    }
    if (*size < header->size)
      report_.damage.push_back(
          fmt::format("segment {:08x}: the file was cut, and has {} of {} octets", number, *size, header->size));
    header->size = *size; // a file that was cut is never written to again, nor kept as a spare
    id_limit_ = std::max(id_limit_, header->id_limit);

    const std::uint64_t key = header->key;
    auto segment = std::make_shared<Segment>(*header, std::move(*file));
    index_.add_segment(segment);
    known_.emplace(number, segment);
    fold(*segment, image, scan_segment(image, key));
    if (image.unreadable() != 0)
      report_.damage.push_back(
          fmt::format("segment {:08x}: {} octets could not be read from the disk", number, image.unreadable()));
    return {};
  }

  void fold(Segment &segment, SegmentImage &image, const SegmentScan &scan) {
    const std::uint32_t number = segment.number();
    const auto given_up = given_up_.find(number);
    const auto is_void = [&](std::uint64_t sequence) {
      return given_up != given_up_.end() && sequence > given_up->second;
    };
    for (const FoundRecord &record : scan.records) {
      end_.last_sequence = std::max(end_.last_sequence, record.header.sequence);
      if (is_void(record.header.sequence)) continue;
      durable_ = std::max(durable_, record.header.durable);
    }
    end_.last_sequence = std::max(end_.last_sequence, scan.last_sequence);
    salvage_.note_durable(durable_);

    for (const FoundRecord &record : scan.records) {
      if (is_void(record.header.sequence)) continue;
      const Extent extent{number, static_cast<std::uint32_t>(record.offset / record_alignment), record.header.length};
      const std::string_view payload = image.view(record.offset + record_header_size, record.header.length);
      switch (record.header.type) {
      case RecordType::body:
      case RecordType::envelope:
      case RecordType::update:
      case RecordType::done:
      case RecordType::graves: table_.add(record.header, extent, payload); break;
      case RecordType::checkpoint: take_checkpoint(number, record.header, payload); break;
      case RecordType::seal: take_seal(record.header, payload); break;
      case RecordType::gap: break;
      }
    }
    for (const BadRegion &region : scan.bad) {
      const std::uint64_t missing = region.first_missing != 0 ? region.first_missing : region.last_missing;
      if (is_void(missing)) continue;
      const bool was_durable = missing <= durable_;
      if (region.header && was_durable) table_.add_lost(*region.header);
      salvage_.bridge(segment, image, region, was_durable);
    }
    if (scan.is_sealed || given_up != given_up_.end()) return;
    const bool end_is_lost = scan.last_sequence != 0 && scan.last_sequence + 1 <= durable_;
    salvage_.seal(segment, image, scan, end_is_lost);
  }

  void take_checkpoint(std::uint32_t number, const RecordHeader &header, std::string_view payload) {
    id_limit_ = std::max(id_limit_, header.extra);
    const auto segments = decode_abandoned(payload);
    if (!segments) return; // its checksum was right: not written by us
    for (const Abandoned &abandoned : *segments) {
      given_up_.emplace(abandoned.segment, abandoned.sequence);
      checkpoints_.emplace_back(number, abandoned.segment);
    }
  }

  void take_seal(const RecordHeader &header, std::string_view payload) {
    if (header.sequence <= last_seal_.sequence) return;
    last_seal_ = header;
    live_at_end_ = decode_segments(payload);
  }

  [[nodiscard]] bool ended_clean() const noexcept {
    return last_seal_.extra != 0 && last_seal_.sequence == end_.last_sequence;
  }

  /// A file that is gone leaves no trace but what was said of it: after a clean end that is known.
  void look_for_missing(const std::vector<std::uint32_t> &there) {
    if (there.empty() && (!end_.spares.empty() || end_.has_reserve))
      report_.damage.push_back("no segment is there, but what is kept for further ones: all messages are gone");
    if (!ended_clean()) return;
    for (const std::uint32_t number : live_at_end_)
      if (std::find(there.begin(), there.end(), number) == there.end())
        report_.damage.push_back(fmt::format(
            "segment {:08x}: it was there at the last stop and is gone, and with it the messages in it", number));
  }

  // Ids up to the limit may have been handed out, except after a clean end, which says exactly how far they went.
  void choose_next_id() {
    const bool clean = ended_clean() && !header_lost_;
    end_.next_id = clean ? last_seal_.extra : id_limit_;
    if (header_lost_) end_.next_id += 2 * id_margin;
    end_.next_id = std::max({end_.next_id, table_.highest_id() + 1, std::uint64_t{1}});
  }

  static constexpr std::uint64_t id_margin = 1U << 20U;

  FileSystem &files_;
  const std::string &folder_;
  Index &index_;
  Recovery &report_;
  Salvage salvage_;
  MessageTable table_;
  LogEnd end_;
  std::map<std::uint32_t, std::shared_ptr<Segment>> known_;
  std::map<std::uint32_t, std::uint64_t> given_up_;                  ///< segment, last sequence that counts
  std::vector<std::pair<std::uint32_t, std::uint32_t>> checkpoints_; ///< segment, the one it says is given up
  std::uint64_t durable_ = 0; ///< some record says that all up to this one were on disk
  std::uint64_t id_limit_ = 0;
  RecordHeader last_seal_{};
  std::vector<std::uint32_t> live_at_end_; ///< of last_seal_
  bool header_lost_ = false;
};

} // namespace

Result<LogEnd> recover(FileSystem &files, const std::string &folder, Index &index, Recovery &report) {
  return Recoverer(files, folder, index, report).run();
}

} // namespace mta::spool
