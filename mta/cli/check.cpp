// portcullis check: every mistake of the configuration at once, and what the TLS profiles become here.
#include <cstdio>

#include "mta/cli/command.hpp"
#include "mta/config/check.hpp"

namespace mta::cli {

void add_check(CLI::App &program, GlobalOptions &global) {
  auto *command = program.add_subcommand(
      "check", "Read the configuration as the daemon would and list every mistake with file, line and key; show what each TLS "
               "profile becomes with this OpenSSL, expired exceptions and unreadable keys. Exit status 0: it would start; 78: not.");
  command->callback([&global] {
    const CheckReport report = check_config(global.config, std::chrono::system_clock::now());
    std::printf("%s\n", (global.json ? report.json : report.text).c_str());
    global.status = report.ok ? 0 : 78;
  });
}

} // namespace mta::cli
