// RefusalLog: which refusals of a session get a line of their own in the log, and what is told of the others.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mta/log/mail_log.hpp"

namespace mta::inbound {

/// Of one session. A stranger's refusals make so many lines between two accepted messages, and one more that sums the
/// others up; so no session falls silent, and none floods the log.
class RefusalLog {
public:
  /// Refusals without a line of their own.
  struct Rest {
    std::uint64_t count = 0;
    LogLevel level = LogLevel::info; ///< the most serious of them
    std::string recipients;          ///< that they named: "a@x.example,b@x.example", cut (",...") at recipients_limit
    bool cut = false;
  };

  /// True: this one gets its line; `most` do. Else it is part of the rest.
  [[nodiscard]] bool takes(std::uint64_t most, LogLevel level, std::string_view recipients);
  /// What was left out since the last call, if anything; from now on lines are written again.
  [[nodiscard]] std::optional<Rest> close();
  /// All refusals of the session.
  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }

  static constexpr std::size_t recipients_limit = 1'500;

private:
  std::uint64_t total_ = 0;
  std::uint64_t lines_ = 0;
  Rest rest_;
};

/// "<a@x.example>" behind the colon of MAIL or RCPT, as the client wrote it; empty: there is none.
[[nodiscard]] std::string_view named_path(std::string_view command_line) noexcept;

} // namespace mta::inbound
