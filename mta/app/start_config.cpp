#include "mta/app/start_config.hpp"

#include <fmt/format.h>

#include "mta/app/privileges.hpp"
#include "mta/config/faults.hpp"
#include "mta/config/losses.hpp"
#include "mta/config/start_facts.hpp"

namespace mta {

namespace {

smtp::Result<std::unique_ptr<KeptFiles>> open_kept(const StartFacts &facts, const std::string &path) {
  // The folder belongs to the daemon's user: as root nothing of it is read.
  const auto identity = find_daemon_identity(facts.user, facts.group);
  if (!identity) return tl::unexpected(identity.error());
  auto acting = ActingAs::begin(*identity, std::nullopt);
  if (!acting) return tl::unexpected(acting.error());
  return KeptFiles::open(last_good_folder(facts.spool_path), absolute_config_path(path));
}

/// Fills in what is kept, or `problem`.
void take_last_good(StartConfig &start, const KeptFiles &kept, const StartFacts &facts, const std::string &path,
                    const std::shared_ptr<tls::TicketKeys> &tickets, std::chrono::system_clock::time_point now) {
  const LoadedConfig loaded = load_config(path, now, kept);
  if (!loaded.config) {
    start.problem = "the last good configuration cannot be loaded any more";
    for (const auto &finding : loaded.findings)
      if (finding.severity == Severity::error) start.problem += "; " + finding.to_string();
    return;
  }
  const Config &config = *loaded.config;
  // Who can write into the spool must not choose as whom the daemon runs, nor where.
  if (config.server.user != facts.user || config.server.group != facts.group || config.spool.path != facts.spool_path) {
    start.problem = "the last good configuration has another user, group or spool than the file names";
    return;
  }
  auto snapshot = Snapshot::build(loaded.config, tickets);
  if (!snapshot) {
    start.problem = snapshot.error().detail;
    return;
  }
  start.snapshot = std::move(*snapshot);
  start.last_good = kept.saved();
}

} // namespace

StartConfig find_start_config(const std::string &path, const std::shared_ptr<tls::TicketKeys> &tickets,
                              std::chrono::system_clock::time_point now) {
  StartConfig start;
  RecordingFiles files;
  LoadedConfig loaded = load_config(path, now, files);
  start.findings = std::move(loaded.findings);
  const StartFacts facts = read_start_facts(path);
  std::unique_ptr<KeptFiles> kept;
  std::string kept_problem = "start_with_last_good is off";
  if (facts.start_with_last_good) {
    auto opened = open_kept(facts, path);
    if (opened)
      kept = std::move(*opened);
    else
      kept_problem =
          opened.error().code == smtp::ErrorCode::not_found ? "no good one is kept yet" : opened.error().detail;
  }
  bool is_good = loaded.config != nullptr;
  const LoadedConfig before = is_good && kept ? load_config(path, now, *kept) : LoadedConfig();
  if (before.config) {
    const Losses losses = find_losses(*before.config, *loaded.config, now);
    const auto recipients = with_remedy(
        losses.recipients, Severity::error,
        "So this start runs on the last good configuration; `portcullis reload --force` takes this one as it is");
    const auto protection = with_remedy(losses.protection, Severity::warning,
                                        "This start takes it as it is: if that is not meant, mend it and reload");
    start.findings.insert(start.findings.end(), recipients.begin(), recipients.end());
    start.findings.insert(start.findings.end(), protection.begin(), protection.end());
    is_good = recipients.empty();
  }
  if (is_good) {
    auto snapshot = Snapshot::build(loaded.config, tickets);
    if (snapshot) {
      start.snapshot = std::move(*snapshot);
      start.seen = files.take();
      const auto faults = find_faults(*loaded.config, now);
      start.findings.insert(start.findings.end(), faults.begin(), faults.end());
      return start;
    }
    start.findings.push_back({Severity::error, path, 0, "", snapshot.error().detail});
  }
  if (kept)
    take_last_good(start, *kept, facts, path, tickets, now);
  else
    start.problem = std::move(kept_problem);
  return start;
}

} // namespace mta
