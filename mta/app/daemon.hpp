// Daemon: builds every service once, in order, passes references between them, and takes them down again.
#pragma once

#include <chrono>
#include <memory>
#include <string>

namespace mta {

/// What the command line of portcullisd says.
struct DaemonOptions {
  std::string config = "/etc/portcullis/portcullis.toml";
};

/// Exit statuses of portcullisd (sysexits.h).
enum class ExitStatus : int {
  success = 0,
  failure = 1,      ///< something that worked at start-up broke (the reason is in the log)
  unavailable = 69, ///< an address, the spool or the control socket cannot be had
  bad_config = 78,  ///< nothing was started; every mistake was printed
};

/// Runs until SIGTERM or SIGINT. SIGHUP reloads the configuration and reopens the log, SIGUSR1 only
/// reopens the log. Prints what is wrong to standard error.
///
/// Order at start: configuration and keys are read; addresses and the control socket are bound; root is given up for
/// good; only then the log is opened, the spool recovers and the first thread begins; the queue starts with what the
/// spool held; the listeners accept. Order at the end: listeners stop and sessions finish (within
/// server.shutdown_grace), running deliveries end, the spool closes.
[[nodiscard]] ExitStatus run_daemon(const DaemonOptions &options);

} // namespace mta
