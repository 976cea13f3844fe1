// Certificates that end soon, ours and partners': told at 30, 14, 7 and 1 days before, and from the day before on daily.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "mta/config/config.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/tally/day_files.hpp"

namespace mta {

struct EndingCertificate {
  std::string partner; ///< empty: ours
  std::string name;    ///< of ours: the [[certificate]]
  std::string host;    ///< of a partner's: that showed it
  std::string direction;
  std::string pin; ///< of a partner's: its key
  std::chrono::system_clock::time_point not_after;
  std::string place; ///< of the certificate or of the partner's rule
};

/// Whole days; negative when it has ended.
[[nodiscard]] std::int64_t days_until(std::chrono::system_clock::time_point end, std::chrono::system_clock::time_point now) noexcept;
/// The step at which the days left are told: 30, 14, 7, 1, 0 (it has ended); nothing: more are left.
[[nodiscard]] std::optional<int> ending_step(std::int64_t days) noexcept;

/// Ours and, from the evidence of the last week, partners' whose rule demands `authenticated`, that end within 30 days and
/// have no successor. Blocks on the disk.
[[nodiscard]] std::vector<EndingCertificate> find_ending_certificates(const Config &config, const DayFiles &evidence, MailLog &log,
                                                                      std::chrono::system_clock::time_point now);

/// What was told, so that each step is told once.
using ToldSteps = std::map<std::string, int>;
/// event=certificate_expires for each whose step is new, or that has a day or less.
void tell_ending_certificates(const std::vector<EndingCertificate> &ending, ToldSteps &told, MailLog &log,
                              std::chrono::system_clock::time_point now);

} // namespace mta
