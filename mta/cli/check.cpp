// portcullis check: every mistake of the configuration, of this machine and of the DNS at once.
#include <cstdio>
#include <memory>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/cli/check_dns.hpp"
#include "mta/cli/check_system.hpp"
#include "mta/cli/command.hpp"
#include "mta/cli/dns_source.hpp"
#include "mta/config/check.hpp"

namespace mta::cli {

namespace {

constexpr int wrong_config = 78;

struct CheckCommandArguments {
  CheckOptions options;
  bool strict = false;
  bool dns = false;
  std::string dns_file;
};

const char *dns_state_word(DnsState state) noexcept {
  switch (state) {
  case DnsState::right: return "right";
  case DnsState::missing: return "MISSING";
  case DnsState::wrong: return "WRONG";
  case DnsState::unknown: return "unknown";
  }
  return "?";
}

/// False: something is missing or wrong. The lines go to `text` and `list`.
bool ask_the_dns(GlobalOptions &global, const CheckCommandArguments &arguments,
                 const std::shared_ptr<const Config> &config, std::string &text, boost::json::array &list) {
  DnsSource source([config] { return config->dns; });
  const auto answers = source.from_file(arguments.dns_file);
  if (!answers) {
    fail(global, answers.error().detail, 2);
    return false;
  }
  bool good = true;
  for (const DnsLine &line : check_dns(*config, *answers)) {
    good = good && (line.state == DnsState::right || line.state == DnsState::unknown);
    text += fmt::format("{:<8} {}: {}\n", dns_state_word(line.state), line.subject, line.detail);
    list.push_back(
        boost::json::object{{"subject", line.subject}, {"state", dns_state_word(line.state)}, {"detail", line.detail}});
  }
  return good;
}

void run_check_command(GlobalOptions &global, const CheckCommandArguments &arguments) {
  LoadedConfig loaded = load_for_check(global.config, std::chrono::system_clock::now());
  if (loaded.config) {
    const auto found = check_system(*loaded.config);
    loaded.findings.insert(loaded.findings.end(), found.begin(), found.end());
  }
  const CheckReport report = format_check(global.config, loaded, arguments.options);
  std::string dns_text;
  boost::json::array dns;
  bool dns_good = true;
  if (arguments.dns && loaded.config) dns_good = ask_the_dns(global, arguments, loaded.config, dns_text, dns);
  if (global.status == 0 && !dns_good) global.status = 1;
  if (global.status == 0 && arguments.strict && report.warnings > 0) global.status = 1;
  if (!report.ok) global.status = wrong_config;
  if (!global.json) {
    std::printf("%s%s\n", dns_text.c_str(), report.text.c_str());
    return;
  }
  auto object = boost::json::parse(report.json).as_object();
  if (arguments.dns) object["dns"] = std::move(dns);
  print_json(std::move(object));
}

} // namespace

void add_check(CLI::App &program, GlobalOptions &global) {
  auto arguments = std::make_shared<CheckCommandArguments>();
  auto *command = program.add_subcommand("check", "Read the configuration as the daemon would and list every mistake "
                                                  "with file, line and key, and what this machine "
                                                  "lacks: users, folders, addresses. Exit status 0: it would start; "
                                                  "78: not, or not do what is meant; 1: with --strict "
                                                  "there are warnings, or with --dns something is not published.");
  command->add_flag("--profiles", arguments->options.profiles, "show what each TLS profile becomes with this OpenSSL");
  command->add_flag("--strict", arguments->strict, "warnings are a failure, too");
  command->add_flag("--dns", arguments->dns,
                    "ask the DNS for everything that our domains should publish: MX, SPF, DKIM, DMARC, MTA-STS, "
                    "TLSRPT, reverse names");
  command->add_option("--dns-file", arguments->dns_file, "with --dns: answers as JSON, instead of the real DNS");
  command->callback([&global, arguments] { run_check_command(global, *arguments); });
}

} // namespace mta::cli
