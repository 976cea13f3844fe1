// Simulation: a rule that does not exist yet, put into the partner table, and the question that is asked of it.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include <boost/json/array.hpp>

#include "mta/config/config.hpp"
#include "policy/evidence.hpp"
#include "smtp/base/result.hpp"

namespace mta::cli {

struct SimulationOptions {
  std::string partner; ///< name of one in the table; or
  std::string domain;  ///< a pattern
  std::string level;
  std::vector<std::string> match; ///< empty: as the partner's rule has it
  std::string trust;              ///< empty: the same
  std::string direction_word = "outbound";
  policy::Direction direction = policy::Direction::outbound; ///< of direction_word, once build_simulation() has read it
};

struct Simulation {
  policy::PartnerTable table;
  std::string partner; ///< name of the one whose rule is simulated
};

/// Every rule as if it were enforced.
[[nodiscard]] smtp::Result<policy::PartnerTable> enforced_table(const policy::PartnerTable &partners);
/// Sets options.direction. Errors: what is wrong with the options.
[[nodiscard]] smtp::Result<Simulation> build_simulation(const Config &config, SimulationOptions &options);

/// The question about a partner's rule in the table; an empty name: about none. Config and table must outlive it.
[[nodiscard]] policy::EvidenceQuestion question_for(const Config &config, const policy::PartnerTable &table,
                                                    const std::string &partner, policy::Direction direction,
                                                    unsigned days, std::chrono::system_clock::time_point now);

struct ProbedAddress {
  std::string host;
  std::string address;
  std::string tls;     ///< "TLSv1.3", "none"
  std::string verdict; ///< "satisfied", "wrong_name", …; "not_reached"
  std::string reason;
  bool is_good = false;
};
struct ProbedDomain {
  std::string domain;
  std::vector<ProbedAddress> addresses;
  bool is_good = false; ///< every address would be accepted
};

/// Connects now. The domains are those of the evidence and the partner's exact ones, at most 20. Blocks.
[[nodiscard]] smtp::Result<std::vector<ProbedDomain>> probe_domains(const Config &config,
                                                                    const policy::EvidenceQuestion &question,
                                                                    std::span<const policy::Evidence> evidence);
[[nodiscard]] std::string format_probe(const std::vector<ProbedDomain> &probed);
[[nodiscard]] boost::json::array describe_probe(const std::vector<ProbedDomain> &probed);

} // namespace mta::cli
