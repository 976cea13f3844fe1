// Certificates that end soon, ours, partners', of hosts of routes, and of CAs: told at 30, 14, 7 and 1 days before, and
// from the day before on daily.
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
  enum class Whose : std::uint8_t {
    ours,      ///< a [[certificate]]
    partner,   ///< that a partner showed whose rule demands `authenticated`
    route,     ///< that a host of a route showed, where mail for it must be `authenticated`
    authority, ///< of a file of CA certificates: trusted_ca, required_ca, trust
  };
  Whose whose = Whose::ours;
  std::string partner; ///< of a partner's: its name
  std::string name;    ///< of ours: the [[certificate]]; of an authority: the file
  std::string host;    ///< that showed it
  std::string direction;
  std::string pin;     ///< its key, where it was shown
  std::string subject; ///< of an authority
  std::chrono::system_clock::time_point not_after;
  std::string place; ///< of the certificate, or of the rule or route
};

/// Whole days; negative when it has ended.
[[nodiscard]] std::int64_t days_until(std::chrono::system_clock::time_point end,
                                      std::chrono::system_clock::time_point now) noexcept;
/// The step at which the days left are told: 30, 14, 7, 1, 0 (it has ended); nothing: more are left.
[[nodiscard]] std::optional<int> ending_step(std::int64_t days) noexcept;

/// Ours, those of CAs in the files that the configuration names, and, from the evidence of the last week, partners' and
/// those of hosts of routes, where `authenticated` is demanded, that end within 30 days and have no successor. Without
/// [tls_evidence] nothing is known of what others showed. Blocks on the disk.
[[nodiscard]] std::vector<EndingCertificate> find_ending_certificates(const Config &config, const DayFiles &evidence,
                                                                      MailLog &log,
                                                                      std::chrono::system_clock::time_point now);

/// What was told, so that each step is told once.
using ToldSteps = std::map<std::string, int>;
/// event=certificate_expires for each whose step is new, or that has a day or less.
void tell_ending_certificates(const std::vector<EndingCertificate> &ending, ToldSteps &told, MailLog &log,
                              std::chrono::system_clock::time_point now);

} // namespace mta
