// find_start_config: the configuration that a start runs on: the files as they are, or the last good one where they are
// wrong.
#pragma once

#include <memory>
#include <string>

#include "mta/config/last_good.hpp"
#include "mta/config/load.hpp"
#include "mta/config/snapshot.hpp"

namespace mta {

struct StartConfig {
  std::shared_ptr<const Snapshot> snapshot; ///< null: nothing to run on
  std::vector<Finding> findings;            ///< of the files as they are
  RecordingFiles::Seen seen;                ///< of a good load, to be kept
  std::string last_good;                    ///< when the configuration that runs was kept; empty: the files are good
  std::string problem;                      ///< why the last good one cannot be run on either
};

/// Blocks. Reads what is kept as the daemon's user.
[[nodiscard]] StartConfig find_start_config(const std::string &path, const std::shared_ptr<tls::TicketKeys> &tickets,
                                            std::chrono::system_clock::time_point now);

} // namespace mta
