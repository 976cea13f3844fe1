// DmarcDays: the counted DMARC rows of past days on disk.
#pragma once

#include <string>
#include <utility>

#include "mta/tally/day_files.hpp"
#include "mta/tally/dmarc_row.hpp"

namespace mta {

using CountedRow = Counted<DmarcRow>;
/// One day; `total` counts messages.
using DmarcDay = DayRows<DmarcRow>;

/// The files `dmarc-YYYY-MM-DD.rows` and `.done`.
class DmarcDays : public DayFiles {
public:
  explicit DmarcDays(std::string folder) : DayFiles(std::move(folder), "dmarc-") {}
  /// A day without a file has no rows. `row_limit`: distinct rows held in memory.
  [[nodiscard]] smtp::Result<DmarcDay> read(UtcDay day, std::size_t row_limit = default_row_limit) const {
    return DayFiles::read<DmarcRow>(day, decode_row, row_limit);
  }
};

} // namespace mta
