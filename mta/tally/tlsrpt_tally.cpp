#include "mta/tally/tlsrpt_tally.hpp"

namespace mta {

smtp::Result<std::unique_ptr<TlsrptTally>> TlsrptTally::open(TlsrptTallyOptions options, MailLog &log) {
  std::string folder = options.folder;
  auto tally = DayTally::open({.folder = std::move(options.folder),
                               .prefix = "tlsrpt-",
                               .event = "tlsrpt_tally",
                               .day_limit = options.day_limit,
                               .memory_limit = options.memory_limit,
                               .flush_interval = options.flush_interval},
                              log);
  if (!tally) return tl::unexpected(tally.error());
  return std::unique_ptr<TlsrptTally>(
      new TlsrptTally(std::move(*tally), std::move(folder), std::move(options.is_counting)));
}

void TlsrptTally::session(const std::shared_ptr<const TlsSession> &session) {
  if (is_counting_ && !is_counting_()) return;
  for (const TlsrptRow &row : make_tlsrpt_rows(*session)) tally_->add(encode_tlsrpt_row(row), session->time);
}

} // namespace mta
