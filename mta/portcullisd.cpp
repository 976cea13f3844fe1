// portcullisd: the daemon's command line.
#include <CLI/CLI.hpp>

#include "mta/app/daemon.hpp"
#include "mta/base/version.hpp"

namespace {
constexpr int wrong_arguments = 2; ///< CLI11 has a number of its own for each mistake
}

int main(int count, char **arguments) {
  mta::DaemonOptions options;
  CLI::App app{
      "The Portcullis mail transfer agent. It runs in the foreground; SIGTERM ends it gracefully, SIGHUP reloads "
      "the configuration and reopens the log, SIGUSR1 only reopens the log."};
  app.name("portcullisd");
  app.set_version_flag("--version", std::string(mta::version));
  app.add_option("-c,--config", options.config, "the configuration file")->capture_default_str();
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError &error) { // --help and --version too
    return app.exit(error) == 0 ? 0 : wrong_arguments;
  }
  return static_cast<int>(mta::run_daemon(options));
}
