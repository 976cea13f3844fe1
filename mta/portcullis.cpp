// portcullis: the operator's command.
#include <CLI/CLI.hpp>

#include "mta/base/version.hpp"
#include "mta/cli/command.hpp"

int main(int count, char **arguments) {
  mta::cli::GlobalOptions global;
  CLI::App program{"The operator's command of the Portcullis mail transfer agent."};
  program.name("portcullis");
  program.set_version_flag("--version", std::string(mta::version));
  program.add_option("-c,--config", global.config, "the configuration file")->capture_default_str();
  program.add_option("--socket", global.socket, "the daemon's control socket (default: as the configuration says)");
  program.add_flag("--json", global.json, "print one JSON object");
  program.require_subcommand(1);
  program.fallthrough();
  mta::cli::add_check(program, global);
  mta::cli::add_explain(program, global);
  mta::cli::add_queue(program, global);
  mta::cli::add_daemon_commands(program, global);
  mta::cli::add_certificate(program, global);
  mta::cli::add_auth(program, global);
  mta::cli::add_dkim(program, global);
  mta::cli::add_report(program, global);
  mta::cli::add_partner(program, global);
  mta::cli::add_tls_memory(program, global);
  mta::cli::add_sts(program, global);
  mta::cli::add_crl(program, global);
  mta::cli::add_reports(program, global);
  mta::cli::add_trace(program, global);
  return mta::cli::run(program, global, count, arguments);
}
