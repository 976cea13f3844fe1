// The decision for one host as JSON: every source with its evidence, for `explain` and for the record of each attempt.
#pragma once

#include <string>

#include <boost/json/fwd.hpp>

#include "mta/outbound/plan.hpp"

namespace mta {

/// One object: domain, host, name trust, the facts of DANE, MTA-STS and memory, the requirement, what is only observed,
/// why the host cannot be used, and all reasons.
[[nodiscard]] boost::json::object to_json(const HostPlan &plan);
/// The same as text, for the record of attempts: what changes without the decision changing is left out or put in order
/// (the time of the last TLS session within its day, the order of the TLSA records), since each distinct text is kept.
[[nodiscard]] std::string format_decision(const HostPlan &plan);
/// Where no host was chosen: what the configuration alone says.
[[nodiscard]] std::string format_decision(const Plan &plan);
[[nodiscard]] boost::json::object to_json(const policy::Requirement &requirement);
[[nodiscard]] boost::json::object to_json(const policy::DaneFacts &dane);
[[nodiscard]] boost::json::object to_json(const policy::StsFacts &sts);
[[nodiscard]] boost::json::object to_json(const policy::MemoryFacts &memory);
[[nodiscard]] boost::json::array to_json(const std::vector<policy::Reason> &reasons);

/// Whether a policy stands behind the facts: a record alone, or a policy that could not be had or is faulty, is none.
[[nodiscard]] bool has_policy(const policy::StsFacts &sts) noexcept;

/// "2026-11-22T10:00:00Z".
[[nodiscard]] std::string format_utc(std::chrono::system_clock::time_point time);
/// "3 1 1 9F86D0…", as in a zone file.
[[nodiscard]] std::string format_tlsa(const smtp::TlsaRecord &record);

} // namespace mta
