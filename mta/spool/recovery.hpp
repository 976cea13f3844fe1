// Recovery: rebuilds the index from the segments on disk, keeps every readable record, and sets damage aside.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mta/spool/index.hpp"
#include "mta/spool/spool.hpp"

namespace mta::spool {

/// Where the log goes on after recovery.
struct LogEnd {
  std::uint64_t last_sequence = 0;
  std::uint64_t next_id = 1;
  std::uint32_t next_number = 1;
  std::vector<std::uint32_t> spares;
  bool has_reserve = false;
};

/// Reads every segment (spares are not read), fills `index`, which is empty, and `report`. The log is continued in a
/// new segment, never in one that was found: nothing is written over but what no record could be made of.
///
/// - A record is taken if its header and payload have their checksums and its segment's key, wherever it lies.
/// - What lies between is a torn write if nothing says that it was ever durable (a note), and damage if a later record
///   does (`durable`): then it is copied to `damaged/` first. Either way a gap record is put over its start, so that
///   the next recovery passes over it.
/// - A message is there if its envelope and every part of its body are whole, in its newest complete copy. If its
///   envelope was durable and its body is damaged, it is there and reading the lost part fails: the sender will hear of
///   it. If its envelope was not durable, it was not acknowledged, and it is left out.
/// Errors: io, not_permitted, protocol (a segment of an unknown version).
[[nodiscard]] smtp::Result<LogEnd> recover(FileSystem &files, const std::string &folder, Index &index,
                                           Recovery &report);

} // namespace mta::spool
