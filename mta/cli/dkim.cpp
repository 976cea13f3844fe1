// portcullis dkim: keys for signing (keygen), and whether the DNS publishes what they need (check).
#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "auth/dkim/signing_key.hpp"
#include "mta/cli/check_dns.hpp"
#include "mta/cli/command.hpp"
#include "mta/cli/dns_source.hpp"
#include "mta/cli/files.hpp"
#include "mta/config/load.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;

struct KeygenArguments {
  std::string domain, selector, type = "both", folder = ".";
};

/// One key that is made.
struct Made {
  std::string selector, file, name, record;
  std::string_view algorithm;
};

/// A TXT record as zone files have it: strings of at most 255 octets (RFC 1035 section 3.3.14).
std::string zone_line(const std::string &name, std::string_view record) {
  std::string line = name + ". IN TXT (";
  for (; !record.empty(); record.remove_prefix(std::min<std::size_t>(record.size(), 255)))
    line += fmt::format(" \"{}\"", record.substr(0, 255));
  return line + " )";
}

smtp::Result<Made> make_key(const smtp::Domain &domain, const std::string &selector, const std::string &folder,
                            const std::string &type) {
  auto key = type == "ed25519" ? auth::SigningKey::generate_ed25519()
                               : auth::SigningKey::generate_rsa(type == "rsa-3072" ? 3072 : 2048);
  if (!key) return tl::unexpected(key.error());
  Made made;
  made.selector = selector;
  made.file = (std::filesystem::path(folder) / fmt::format("{}.{}.key", domain.ascii(), selector)).string();
  made.name = fmt::format("{}._domainkey.{}", selector, domain.ascii());
  made.record = key->public_record();
  made.algorithm = type == "ed25519" ? "ed25519" : "rsa";
  // Readable by its owner alone; the daemon reads it as root, or is given the file.
  if (auto written = write_new(made.file, key->to_pem(), 0600); !written) return tl::unexpected(written.error());
  return made;
}

void run_keygen(GlobalOptions &global, const KeygenArguments &arguments) {
  const auto domain = smtp::Domain::parse(arguments.domain);
  if (!domain) return fail(global, fmt::format("{}: {}", arguments.domain, domain.error().detail), 2);
  const auto parsed = auth::parse_selector(arguments.selector);
  if (!parsed) return fail(global, parsed.error().detail, 2);
  const std::string &selector = *parsed;
  std::vector<std::pair<std::string, std::string>> wanted; // selector, type
  if (arguments.type == "both")
    wanted = {{selector, "rsa-2048"}, {selector + "-ed25519", "ed25519"}};
  else
    wanted = {{selector, arguments.type}};
  json::array keys;
  for (const auto &[name, type] : wanted) {
    const auto made = make_key(*domain, name, arguments.folder, type);
    if (!made) return fail(global, made.error().detail, 2);
    if (global.json) {
      keys.push_back(
          {{"selector", made->selector}, {"file", made->file}, {"name", made->name}, {"record", made->record}});
      continue;
    }
    std::printf(
        "key (keep it secret): %s\npublish in the DNS:\n%s\nin the configuration:\n[[dkim_key]]\ndomain = \"%s\"\n"
        "selector = \"%s\"\nfile = \"%s\"\n\n",
        made->file.c_str(), zone_line(made->name, made->record).c_str(), domain->ascii().c_str(),
        made->selector.c_str(), std::filesystem::absolute(made->file).c_str());
  }
  if (global.json) print_json({{"ok", true}, {"keys", keys}});
}

void run_check(GlobalOptions &global, const std::string &dns_file) {
  const auto config = load_for_tool(global);
  if (!config) return;
  DnsSource source([&] { return config->dns; });
  const auto answers = source.from_file(dns_file);
  if (!answers) return fail(global, answers.error().detail, 2);
  std::vector<SigningKeyConfig> keys = config->dkim_keys;
  if (config->arc.key) keys.push_back(*config->arc.key);
  json::array list;
  for (const SigningKeyConfig &key : keys) {
    const std::string problem = dkim_problem(key, *answers);
    if (!problem.empty()) global.status = 1;
    const std::string name = fmt::format("{}._domainkey.{}", key.selector, key.domain.ascii());
    if (global.json)
      list.push_back({{"name", name}, {"file", key.file}, {"ok", problem.empty()}, {"problem", problem}});
    else
      std::printf("%s: %s\n", name.c_str(),
                  problem.empty() ? "right"
                                  : fmt::format("{} (publish: {})", problem, key.key->public_record()).c_str());
  }
  if (global.json) return print_json({{"ok", global.status == 0}, {"keys", list}});
  if (keys.empty()) std::printf("there is no [[dkim_key]] in %s\n", global.config.c_str());
}

} // namespace

void add_dkim(CLI::App &program, GlobalOptions &global) {
  auto *group = program.add_subcommand("dkim", "Make DKIM keys and compare them with what the DNS publishes.");
  group->require_subcommand(1);

  auto arguments = std::make_shared<KeygenArguments>();
  auto *keygen = group->add_subcommand(
      "keygen",
      "Make private keys that only their owner can read, and print the DNS records and the configuration that "
      "they need. Existing files are never overwritten.");
  keygen->add_option("domain", arguments->domain, "the domain that signs")->required();
  keygen->add_option("selector", arguments->selector, "the name of the key, such as s2026")->required();
  keygen
      ->add_option("--type", arguments->type,
                   "both: RSA of 2048 bits under SELECTOR and Ed25519 under SELECTOR-ed25519; or one of them")
      ->check(CLI::IsMember({"both", "rsa-2048", "rsa-3072", "ed25519"}))
      ->capture_default_str();
  keygen->add_option("--folder", arguments->folder, "where the files DOMAIN.SELECTOR.key are written")
      ->capture_default_str();
  keygen->callback([&global, arguments] { run_keygen(global, *arguments); });

  auto dns_file = std::make_shared<std::string>();
  auto *check = group->add_subcommand(
      "check", "Compare every [[dkim_key]] and the key of [arc] with the record that the DNS publishes. Exit status 1: "
               "some are not right.");
  check->add_option("--dns-file", *dns_file, "DNS answers as JSON, instead of the real DNS");
  check->callback([&global, dns_file] { run_check(global, *dns_file); });
}

} // namespace mta::cli
