#include "mta/tally/dmarc_tally.hpp"

namespace mta {

smtp::Result<std::unique_ptr<DmarcTally>> DmarcTally::open(DmarcTallyOptions options, MailLog &log) {
  std::string folder = options.folder;
  auto tally = DayTally::open({.folder = std::move(options.folder),
                               .prefix = "dmarc-",
                               .event = "dmarc_tally",
                               .day_limit = options.day_limit,
                               .memory_limit = options.memory_limit,
                               .flush_interval = options.flush_interval},
                              log);
  if (!tally) return tl::unexpected(tally.error());
  return std::unique_ptr<DmarcTally>(new DmarcTally(std::move(*tally), std::move(folder)));
}

} // namespace mta
