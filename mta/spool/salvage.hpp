// Salvage: what recovery does about octets that are no record: set aside what was durable, and bridge the gap.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mta/spool/segment.hpp"
#include "mta/spool/segment_scan.hpp"
#include "mta/spool/spool.hpp"

namespace mta::spool {

/// Everything here reports a failure of its own as a note and goes on: mail that can be read is not held back because
/// a copy of what cannot be read could not be written.
class Salvage {
public:
  Salvage(FileSystem &files, std::string folder, Recovery &report)
      : files_(files), folder_(std::move(folder)), report_(report) {}

  /// Records up to this sequence are known to have been on disk. What is written from now on says so again, in case the
  /// record that said it is the one that is written over.
  void note_durable(std::uint64_t sequence) noexcept { durable_ = sequence; }
  /// A file in which nothing can be read: moves it to damaged/.
  void set_aside_file(std::uint32_t number, std::uint64_t size);
  /// Writes the header of a segment again whose records told its key.
  void restore_header(File &file, const SegmentHeader &header);
  /// Copies a region that was durable to damaged/, and writes a gap record over the start of any.
  void bridge(Segment &segment, SegmentImage &image, const BadRegion &region, bool was_durable);
  /// Makes a record void: nothing of it counts from now on.
  void erase(Segment &segment, const Extent &record, std::uint64_t sequence);
  /// Copies what is left of a message without an envelope to damaged/: its octets would be reused.
  void keep_rest(std::uint64_t id, const std::vector<Extent> &body,
                 const std::map<std::uint32_t, std::shared_ptr<Segment>> &segments);
  /// Ends a segment that has no seal. `end_is_lost`: records behind its last one were durable.
  void seal(Segment &segment, SegmentImage &image, const SegmentScan &scan, bool end_is_lost);

private:
  /// Returns the name of the copy, or why there is none.
  [[nodiscard]] std::string copy_aside(const Segment &segment, std::uint64_t offset, std::string_view octets);
  void overwrite(Segment &segment, std::uint64_t offset, RecordHeader header);

  FileSystem &files_;
  const std::string folder_;
  Recovery &report_;
  std::uint64_t durable_ = 0;
};

} // namespace mta::spool
