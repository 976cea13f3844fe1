#include "mta/spool/salvage.hpp"

#include <fmt/format.h>

namespace mta::spool {

using smtp::Result;

void Salvage::set_aside_file(std::uint32_t number, std::uint64_t size) {
  const std::string from = file_path(folder_, FileKind::segment, number);
  const std::string to = fmt::format("{}/damaged/{:08x}.segment", folder_, number);
  Result<void> moved = files_.make_folder(folder_ + "/damaged");
  if (moved) moved = files_.rename(from, to);
  if (moved) moved = files_.sync_folder(folder_ + "/damaged");
  if (moved) moved = files_.sync_folder(folder_);
  report_.damage.push_back(fmt::format("segment {:08x}: nothing in its {} octets is readable; {}", number, size,
                                       moved ? "moved to " + to : "not moved aside: " + moved.error().detail));
}

void Salvage::restore_header(File &file, const SegmentHeader &header) {
  Result<void> written = write_all(file, 0, encode_segment_header(header));
  if (written) written = file.sync_data();
  report_.damage.push_back(fmt::format("segment {:08x}: header was damaged; its records are kept, {}", header.number,
                                       written ? "and the header is restored" : written.error().detail));
}

std::string Salvage::copy_aside(const Segment &segment, std::uint64_t offset, std::string_view octets) {
  const std::string path = fmt::format("{}/damaged/{:08x}-{}.octets", folder_, segment.number(), offset);
  Result<void> copied = files_.make_folder(folder_ + "/damaged");
  if (copied) {
    auto file = files_.open(path, FileSystem::Access::create_new);
    if (file) {
      copied = write_all(**file, 0, octets);
      if (copied) copied = (*file)->sync_data();
    } else {
      copied = tl::unexpected(file.error());
    }
  }
  if (copied) copied = files_.sync_folder(folder_ + "/damaged");
  if (copied) copied = files_.sync_folder(folder_);
  return copied ? "set aside in " + path : "not set aside: " + copied.error().detail;
}

void Salvage::overwrite(Segment &segment, std::uint64_t offset, RecordHeader header) {
  header.segment_key = segment.key();
  header.durable = durable_;
  const RecordOctets octets = encode_record_header(header);
  Result<void> written = write_all(segment.file(), offset, {octets.data(), octets.size()});
  if (written) written = segment.file().sync_data();
  if (!written)
    report_.notes.push_back(fmt::format("segment {:08x}: offset {} could not be marked, and will be reported again: {}",
                                        segment.number(), offset, written.error().detail));
}

void Salvage::bridge(Segment &segment, SegmentImage &image, const BadRegion &region, bool was_durable) {
  const std::uint64_t length = region.end - region.begin;
  const std::string what = region.header ? fmt::format("a record of message {}", QueueId{region.header->id}.to_string())
                                         : std::string("records");
  bool may_overwrite = true;
  if (was_durable) {
    const std::string where = copy_aside(segment, region.begin, image.view(region.begin, length));
    may_overwrite = where.starts_with("set aside");
    report_.damage.push_back(fmt::format("segment {:08x}: {} at offset {} damaged, {} octets; {}", segment.number(),
                                         what, region.begin, length, where));
  } else {
    report_.notes.push_back(fmt::format("segment {:08x}: torn write of {} octets at offset {} left out",
                                        segment.number(), length, region.begin));
  }
  if (!may_overwrite || length < record_header_size) return; // shorter: the file ends here
  overwrite(segment, region.begin,
            {.type = RecordType::gap,
             .length = static_cast<std::uint32_t>(length - record_header_size),
             .sequence = region.last_missing});
}

void Salvage::erase(Segment &segment, const Extent &record, std::uint64_t sequence) {
  overwrite(segment, record.offset(), {.type = RecordType::gap, .length = record.length, .sequence = sequence});
}

void Salvage::keep_rest(std::uint64_t id, const std::vector<Extent> &body,
                        const std::map<std::uint32_t, std::shared_ptr<Segment>> &segments) {
  const std::string name = QueueId{id}.to_string();
  const std::string path = fmt::format("{}/damaged/{}.eml", folder_, name);
  std::string rest = "nothing of its body is left";
  if (!body.empty()) {
    Result<void> copied = files_.make_folder(folder_ + "/damaged");
    std::unique_ptr<File> file;
    if (copied) {
      auto made = files_.open(path, FileSystem::Access::create_new);
      if (made)
        file = std::move(*made);
      else
        copied = tl::unexpected(made.error());
    }
    std::uint64_t written = 0;
    for (const Extent &part : body) {
      if (!copied) break;
      std::string octets(part.length, '\0');
      copied = read_exactly(segments.at(part.segment)->file(), part.offset() + record_header_size, octets);
      if (copied) copied = write_all(*file, written, octets);
      written += part.length;
    }
    if (copied) copied = file->sync_data();
    if (copied) copied = files_.sync_folder(folder_ + "/damaged");
    if (copied) copied = files_.sync_folder(folder_);
    rest = copied ? fmt::format("{} octets of its body are set aside in {}", written, path)
                  : "its body is not set aside: " + copied.error().detail;
  }
  report_.damage.push_back(fmt::format("message {}: its envelope is lost, and with it the message; {}", name, rest));
}

void Salvage::seal(Segment &segment, SegmentImage &image, const SegmentScan &scan, bool end_is_lost) {
  const std::uint64_t begin = scan.end;
  if (end_is_lost) {
    const std::string_view rest = image.view(begin, scan.tail);
    report_.damage.push_back(fmt::format("segment {:08x}: records after offset {} are missing; {}", segment.number(),
                                         begin,
                                         rest.empty() ? "nothing is left of them" : copy_aside(segment, begin, rest)));
  } else if (scan.tail != 0) {
    report_.notes.push_back(
        fmt::format("segment {:08x}: torn tail of {} octets cut at offset {}", segment.number(), scan.tail, begin));
  }
  // In the next block, so that nothing durable shares a block with the write.
  std::uint64_t offset = next_block(begin);
  if (offset + record_header_size > segment.size()) offset = begin;
  if (offset + record_header_size > segment.size()) return; // no record can follow either
  overwrite(segment, offset, {.type = RecordType::seal, .sequence = scan.last_sequence + 1});
}

} // namespace mta::spool
