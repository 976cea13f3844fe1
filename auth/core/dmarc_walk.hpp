// DmarcWalk: the DNS tree walk of RFC 9989 section 4.10, and the Organizational Domain that it finds.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/dmarc_record.hpp"
#include "auth/core/dns_facts.hpp"

namespace auth {

/// The names whose _dmarc records a walk from `domain` asks for, longest first: at most 8.
[[nodiscard]] std::vector<std::string> walk_names(std::string_view domain);

struct DmarcStep {
  std::string name;                  ///< without "_dmarc."
  std::optional<DmarcRecord> record; ///< the one valid record there
};

struct DmarcWalk {
  std::vector<DmarcStep> steps; ///< longest first, up to where the walk stopped
  bool missing = false;         ///< answers are missing: the questions are noted in the facts
  bool temporary = false;       ///< a question that counts had a temporary failure
  std::string problem;          ///< for people: of temporary, or of several records at one name
  std::string org_domain;       ///< the Organizational Domain, as far as the answers tell
  [[nodiscard]] bool is_certain() const noexcept { return !missing && !temporary; }
  /// The record at that name, or nullptr.
  [[nodiscard]] const DmarcRecord *at(std::string_view name) const noexcept;
};

/// All questions of the walk are asked at once. `domain`: lower-case A-labels without a final dot.
[[nodiscard]] DmarcWalk walk_dmarc_tree(std::string_view domain, DnsFacts &facts);

} // namespace auth
