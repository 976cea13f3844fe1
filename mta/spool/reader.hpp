// Reading records back: one whole record with its checksum, and a body by offset.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "mta/spool/index.hpp"
#include "mta/spool/spool.hpp"

namespace mta::spool {

struct Payload {
  std::string octets;
  std::uint32_t crc = 0;
};

/// The payload of one record, checked. Error io: unreadable, or not the record that was to be there.
[[nodiscard]] smtp::Result<Payload> read_record(const SegmentPin &segment, const Extent &extent, RecordType type,
                                                std::uint64_t id);

/// A reader of the body at `place`. Used by one thread at a time.
[[nodiscard]] std::unique_ptr<BodyReader> make_reader(QueueId id, BodyPlace place);

} // namespace mta::spool
