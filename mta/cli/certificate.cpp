// portcullis cert: a self-signed certificate for a fresh start, keys and certificate requests for a CA.
#include <cstdio>
#include <memory>
#include <vector>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/cli/command.hpp"
#include "mta/cli/files.hpp"
#include "smtp/names/domain.hpp"
#include "tls/certificate.hpp"

namespace mta::cli {

namespace {

struct CertificateArguments {
  std::vector<std::string> names;
  std::string type = "ec-p256";
  std::string key_file;
  std::string out_file;
  std::string organisation;
  std::string country;
  unsigned days = 397;
};

tls::KeyType key_type(const std::string &word) {
  if (word == "rsa-2048") return tls::KeyType::rsa_2048;
  if (word == "rsa-3072") return tls::KeyType::rsa_3072;
  return tls::KeyType::ec_p256;
}

void run(GlobalOptions &global, bool request, const CertificateArguments &arguments) {
  std::vector<std::string> names;
  for (const auto &name : arguments.names) {
    const auto pattern = smtp::DomainPattern::parse(name);
    if (!pattern) return fail(global, fmt::format("{}: {}", name, pattern.error().detail), 2);
    names.push_back(pattern->to_string());
  }
  const auto type = key_type(arguments.type);
  const auto made = request ? tls::make_request(type, names, arguments.organisation, arguments.country)
                            : tls::make_self_signed(type, names, std::chrono::days(arguments.days));
  if (!made) return fail(global, made.error().detail, 2);
  const std::string key_file = arguments.key_file.empty() ? names.front() + ".key" : arguments.key_file;
  const std::string out_file =
      arguments.out_file.empty() ? names.front() + (request ? ".csr" : ".pem") : arguments.out_file;
  if (auto written = write_new(key_file, made->key, 0600); !written) return fail(global, written.error().detail, 2);
  if (auto written = write_new(out_file, made->certificate, 0644); !written)
    return fail(global, written.error().detail, 2);
  if (global.json) {
    boost::json::object answer;
    answer["ok"] = true;
    answer["key"] = key_file;
    answer[request ? "request" : "certificate"] = out_file;
    return print_json(answer);
  }
  std::printf("key (keep it secret): %s\n%s: %s\n", key_file.c_str(), request ? "request for the CA" : "certificate",
              out_file.c_str());
}

void add_common(CLI::App &command, CertificateArguments &arguments) {
  command.add_option("names", arguments.names, "the host names that it is for, the main one first")->required();
  command.add_option("--type", arguments.type, "the key: ec-p256, rsa-2048 or rsa-3072")
      ->check(CLI::IsMember({"ec-p256", "rsa-2048", "rsa-3072"}))
      ->capture_default_str();
  command.add_option("--key", arguments.key_file, "where the key is written (default: NAME.key); never overwrites");
}

} // namespace

void add_certificate(CLI::App &program, GlobalOptions &global) {
  auto *certificate = program.add_subcommand("cert", "Make keys, self-signed certificates and certificate requests.");
  certificate->require_subcommand(1);

  auto self_arguments = std::make_shared<CertificateArguments>();
  auto *self_signed = certificate->add_subcommand(
      "self-signed",
      "Make a key and a self-signed certificate: encryption for a fresh start, which proves nothing to anybody.");
  add_common(*self_signed, *self_arguments);
  self_signed->add_option("--out", self_arguments->out_file, "where the certificate is written (default: NAME.pem)");
  self_signed->add_option("--days", self_arguments->days, "how long it is valid")
      ->check(CLI::Range(1U, 3650U))
      ->capture_default_str();
  self_signed->callback([&global, self_arguments] { run(global, false, *self_arguments); });

  auto request_arguments = std::make_shared<CertificateArguments>();
  auto *request = certificate->add_subcommand(
      "csr", "Make a key and a request (PKCS#10, SHA-256, every name as subjectAltName) to send to a CA.");
  add_common(*request, *request_arguments);
  request->add_option("--out", request_arguments->out_file, "where the request is written (default: NAME.csr)");
  request->add_option("--organisation", request_arguments->organisation, "O of the subject");
  request->add_option("--country", request_arguments->country, "C of the subject: two letters");
  request->callback([&global, request_arguments] { run(global, true, *request_arguments); });
}

} // namespace mta::cli
