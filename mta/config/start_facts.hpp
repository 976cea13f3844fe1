// read_start_facts: the few keys that the tools and a start with a wrong configuration need, read even where the rest
// of the file cannot be.
#pragma once

#include <string>
#include <string_view>

#include "mta/config/config.hpp"

namespace mta {

struct StartFacts {
  ControlConfig control;
  std::string spool_path = SpoolConfig().path;
  std::string user = ServerConfig().user;
  std::string group;
  std::string log_file; ///< empty: the log goes to standard error
  bool start_with_last_good = true;
};

/// [control], [spool] path, [log] file and some of [server]; what is absent or wrong stands at its default. Never
/// fails.
[[nodiscard]] StartFacts read_start_facts(const std::string &path);
/// The same from a text; `folder` is where relative paths start.
[[nodiscard]] StartFacts parse_start_facts(std::string_view text, std::string_view folder);

} // namespace mta
