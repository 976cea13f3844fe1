// LogSearch: finds in the lines of our log what happened to a message, or to the mail of an address; no I/O.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mta::cli {

/// One line of the log, whichever of its two forms it has.
struct LogLine {
  std::vector<std::pair<std::string, std::string>> fields;                ///< in order, values unescaped
  [[nodiscard]] std::string_view at(std::string_view key) const noexcept; ///< empty: it is not there
};

/// Nothing for what is not a line of ours.
[[nodiscard]] std::optional<LogLine> parse_log_line(std::string_view line);

/// What became of one recipient of a message, as its last line says.
struct TracedRecipient {
  std::string
      status; ///< "queued", "delivered", "deferred", "failed", "quarantined", "redirected", "deleted", "refused"
  std::string time;
  std::string host;
  std::string reply; ///< the reply, or why there is none
};

struct TracedMessage {
  std::string id; ///< empty: refused before it had one
  std::string sender;
  std::map<std::string, TracedRecipient> recipients; ///< by address, in lower case
  std::vector<std::string> lines;                    ///< as they stand in the log, oldest first
  bool cut = false;                                  ///< there were more than the limit of lines
};

/// Looks through the log twice: once for the messages, once for their lines. What the log says of an address counts
/// whatever the case of its letters.
class LogSearch {
public:
  static constexpr std::size_t message_limit = 10'000;
  static constexpr std::size_t line_limit = 10'000; ///< of one message

  /// `subject`: a queue id, or an address.
  explicit LogSearch(std::string subject);
  /// The first time through: every line, oldest first.
  void look(std::string_view line);
  /// The second time.
  void collect(std::string_view line);
  /// In the order in which the messages came.
  [[nodiscard]] std::vector<TracedMessage> take();
  [[nodiscard]] bool is_full() const noexcept { return full_; }
  /// Refusals that sums of the log count without naming every recipient; some may be the subject's.
  [[nodiscard]] std::uint64_t unnamed() const noexcept { return unnamed_; }

private:
  [[nodiscard]] bool names_subject(const LogLine &line) const;
  void note(TracedMessage &message, const LogLine &line) const;

  std::string subject_; ///< in lower case
  bool by_id_ = false;
  bool may_be_escaped_ = false; ///< the log would not show it as it is
  bool full_ = false;
  std::uint64_t unnamed_ = 0;
  std::set<std::string, std::less<>> ids_;
  std::map<std::string, std::size_t, std::less<>> places_; ///< of an id in found_
  std::vector<TracedMessage> found_;
};

} // namespace mta::cli
