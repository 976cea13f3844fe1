// ReadHints: what the mail around a report says of it, and what was wrong with parts of it that were passed over.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace mta {

struct ReadHints {
  static constexpr std::size_t flaw_limit = 10;

  /// Whom the report is about, as the mail says; counts where the report itself does not say. Empty: nobody said.
  std::string domain;
  /// One sentence for each part that could not be read, up to flaw_limit, and how many there were.
  std::vector<std::string> flaws;
  std::size_t flaw_count = 0;

  void note(std::string flaw) {
    if (++flaw_count <= flaw_limit) flaws.push_back(std::move(flaw));
  }
};

} // namespace mta
