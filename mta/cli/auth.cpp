// portcullis auth: the checks of mail outside of any session (check, batch), and ARC seals (arc-seal).
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "auth/arc/seal.hpp"
#include "auth/core/results_field.hpp"
#include "mta/auth/offline.hpp"
#include "mta/auth/zone.hpp"
#include "mta/cli/command.hpp"
#include "mta/cli/dns_source.hpp"
#include "mta/cli/files.hpp"
#include "mta/log/printable.hpp"
#include "smtp/base/text.hpp"
#include "smtp/message/header_scan.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;

constexpr std::size_t message_limit = std::size_t{256} * 1024 * 1024;
constexpr std::size_t line_limit = std::size_t{64} * 1024 * 1024;

/// How the daemon of this machine asks the DNS, by the last good configuration where the files are wrong; where there
/// are none, or neither can be read (which is said), by full recursion.
DnsConfig dns_of(const GlobalOptions &global) {
  std::error_code error;
  if (!std::filesystem::exists(global.config, error)) return DnsConfig{}; // no daemon's machine
  if (const auto config = load_or_last_good(global)) return config->dns;
  std::fprintf(stderr,
               "portcullis: %s has mistakes (see portcullis check): the DNS is asked by full recursion, not by [dns]\n",
               printable(global.config).c_str());
  return DnsConfig{};
}

std::int64_t time_or_now(std::int64_t time) {
  return time != 0
             ? time
             : std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
                   .count();
}

struct CheckArguments {
  std::string ip, helo, mail_from, dns_file, receiver = "localhost", message;
  std::int64_t time = 0;
  bool allow_weak_keys = false;
};

smtp::Result<OfflineRequest> request_of(const CheckArguments &arguments) {
  OfflineRequest request;
  if (!arguments.ip.empty()) {
    const auto ip = smtp::IpAddress::parse(arguments.ip);
    if (!ip) return tl::unexpected(ip.error());
    request.ip = *ip;
  }
  request.helo = arguments.helo;
  request.mail_from = arguments.mail_from;
  request.receiver = arguments.receiver;
  request.time = time_or_now(arguments.time);
  request.allow_weak_keys = arguments.allow_weak_keys;
  if (!arguments.message.empty()) {
    auto message = read_input(arguments.message, message_limit);
    if (!message) return tl::unexpected(message.error());
    request.message = with_crlf(*message);
  }
  return request;
}

void run_check(GlobalOptions &global, const CheckArguments &arguments) {
  const auto request = request_of(arguments);
  if (!request) return fail(global, request.error().detail, 2);
  DnsSource source([&global] { return dns_of(global); });
  const auto answers = source.from_file(arguments.dns_file);
  if (!answers) return fail(global, answers.error().detail, 2);
  print_json(check_offline(*request, *answers));
}

/// A member of a request, with the type that it must have; absent and null leave the value as it is.
class Members {
public:
  explicit Members(const json::object &object) : object_(object) {}
  void read(std::string_view name, std::string &out) {
    if (const json::value *value = find(name, &json::value::is_string, "a string"))
      out = std::string_view(value->get_string());
  }
  void read(std::string_view name, std::int64_t &out) {
    if (const json::value *value = find(name, &json::value::is_int64, "a whole number")) out = value->get_int64();
  }
  void read(std::string_view name, bool &out) {
    if (const json::value *value = find(name, &json::value::is_bool, "true or false")) out = value->get_bool();
  }
  [[nodiscard]] const json::object *object(std::string_view name) {
    const json::value *value = find(name, &json::value::is_object, "an object");
    return value != nullptr ? &value->get_object() : nullptr;
  }
  /// Empty: every member had its type.
  [[nodiscard]] const std::string &problem() const noexcept { return problem_; }

private:
  const json::value *find(std::string_view name, bool (json::value::*is_right)() const noexcept,
                          std::string_view wanted) {
    const json::value *value = object_.if_contains(name);
    if (value == nullptr || value->is_null()) return nullptr;
    if ((value->*is_right)()) return value;
    problem_ = fmt::format("\"{}\" is not {}", name, wanted);
    return nullptr;
  }
  const json::object &object_;
  std::string problem_;
};

smtp::Result<json::object> answer_request(const json::object &object, DnsSource &source, const std::string &receiver) {
  CheckArguments arguments;
  arguments.receiver = receiver;
  Members members(object);
  members.read("ip", arguments.ip);
  members.read("helo", arguments.helo);
  members.read("mail_from", arguments.mail_from);
  members.read("message_file", arguments.message);
  members.read("dns_file", arguments.dns_file);
  members.read("time", arguments.time);
  members.read("allow_weak_keys", arguments.allow_weak_keys);
  const json::object *dns = members.object("dns");
  if (!members.problem().empty()) return smtp::fail(smtp::ErrorCode::bad_syntax, members.problem());
  const auto request = request_of(arguments);
  if (!request) return tl::unexpected(request.error());
  if (dns != nullptr) {
    auto zone = Zone::from(*dns);
    if (!zone) return tl::unexpected(zone.error());
    return check_offline(*request, DnsSource::from_zone(std::move(*zone)));
  }
  const auto answers = source.from_file(arguments.dns_file);
  if (!answers) return tl::unexpected(answers.error());
  return check_offline(*request, *answers);
}

/// The answer to a line, with the id that it has.
json::object answer_line(std::string_view line, DnsSource &source, const std::string &receiver, bool &failed) {
  json::object out;
  boost::system::error_code error;
  json::value request;
  if (line.size() <= line_limit) request = json::parse(json::string_view(line.data(), line.size()), error);
  smtp::Result<json::object> answer = smtp::fail(smtp::ErrorCode::bad_syntax, "not a JSON object");
  if (line.size() > line_limit) {
    answer = smtp::fail(smtp::ErrorCode::too_long, fmt::format("over the limit of {} octets", line_limit));
  } else if (!error && request.is_object()) {
    if (const json::value *id = request.get_object().if_contains("id")) out["id"] = *id;
    answer = answer_request(request.get_object(), source, receiver);
  }
  failed = !answer;
  if (answer)
    for (auto &entry : *answer) out[entry.key()] = std::move(entry.value());
  else
    out["error"] = answer.error().detail;
  return out;
}

void run_batch(GlobalOptions &global, const std::string &path, const std::string &receiver) {
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) return fail(global, fmt::format("{}: cannot be read", path), 2);
  }
  std::istream &stream = path == "-" ? std::cin : file;
  DnsSource source([&global] { return dns_of(global); });
  std::string line;
  for (std::size_t number = 1; std::getline(stream, line); ++number) {
    if (smtp::trim(line).empty()) continue;
    bool failed = false;
    json::object out = answer_line(line, source, receiver, failed);
    if (failed) {
      out["error"] = fmt::format("line {}: {}", number, std::string_view(out["error"].as_string()));
      global.status = 2;
    }
    print_json(out);
  }
}

struct SealArguments {
  std::string domain, selector, key_file, authserv_id, headers, dns_file, message = "-";
  std::int64_t time = 0;
  bool allow_weak_keys = false;
};

/// What our own Authentication-Results fields of the message say, in one payload, and their arc= result.
struct OwnResults {
  std::string payload;
  std::optional<auth::ArcResult> arc;
};

OwnResults own_results(const auth::HeaderFields &fields, const std::string &authserv_id) {
  OwnResults own;
  own.payload = authserv_id;
  for (const auth::HeaderField *field : fields.named("Authentication-Results")) {
    // What must be removed as forged is anything that somebody might take for ours; what is believed must surely be.
    const auth::ResultsPayload payload = auth::parse_results(field->value);
    if (!smtp::equals_ignoring_case(payload.authserv_id, authserv_id)) continue;
    for (const auto &result : payload.results) {
      if (result.method != "arc") continue;
      if (result.result == "pass") own.arc = auth::ArcResult::pass;
      if (result.result == "fail") own.arc = auth::ArcResult::fail;
      if (result.result == "none") own.arc = auth::ArcResult::none;
    }
    const std::string value = auth::unfold(field->value);
    const auto semicolon = value.find(';');
    if (semicolon == std::string::npos) continue;
    std::string_view results = smtp::trim(std::string_view(value).substr(semicolon + 1));
    while (results.ends_with(';')) results = smtp::trim(results.substr(0, results.size() - 1));
    if (!results.empty()) own.payload += fmt::format("; {}", results);
  }
  if (own.payload == authserv_id) own.payload += "; none";
  return own;
}

smtp::Result<std::string> seal(const GlobalOptions &global, const SealArguments &arguments) {
  const auto pem = read_input(arguments.key_file, 65'536);
  if (!pem) return tl::unexpected(pem.error());
  auto key = auth::SigningKey::parse(*pem);
  if (!key) return smtp::fail(key.error().code, fmt::format("{}: {}", arguments.key_file, key.error().detail));
  const auto text = read_input(arguments.message, message_limit);
  if (!text) return tl::unexpected(text.error());
  const std::string message = with_crlf(*text);
  const std::size_t end = smtp::find_body(message);
  const auth::HeaderFields fields(message.substr(0, end));
  const OwnResults own = own_results(fields, arguments.authserv_id);

  auth::DkimOptions options;
  options.now = time_or_now(arguments.time);
  options.allow_weak_keys = arguments.allow_weak_keys;
  auth::ArcValidator validator(fields, options);
  validator.body(std::string_view(message).substr(end));
  validator.end();
  auth::DnsFacts facts;
  auth::ArcVerdict incoming = validator.verdict(facts);
  if (own.arc && !incoming.chain.empty()) {
    incoming.result = *own.arc; // our own verdict, made when the message came in
  } else if (!facts.missing().empty()) {
    DnsSource source([&global] { return dns_of(global); });
    const auto answers = source.from_file(arguments.dns_file);
    if (!answers) return tl::unexpected(answers.error());
    for (int round = 0; round < 10 && !facts.missing().empty(); ++round) {
      (*answers)(facts);
      facts.clear_missing();
      incoming = validator.verdict(facts);
    }
  }

  auth::SealOptions seal_options;
  seal_options.domain = arguments.domain;
  seal_options.selector = arguments.selector;
  seal_options.authserv_id = arguments.authserv_id;
  seal_options.now = options.now;
  if (!arguments.headers.empty()) {
    seal_options.headers.clear();
    for (const std::string_view name : smtp::split(arguments.headers, ':'))
      seal_options.headers.emplace_back(smtp::trim(name));
  }
  seal_options.results = own.payload;
  seal_options.incoming = std::move(incoming);
  auth::ArcSealer sealer(fields, std::make_shared<const auth::SigningKey>(std::move(*key)), std::move(seal_options));
  sealer.body(std::string_view(message).substr(end));
  auto made = sealer.end();
  if (!made) return tl::unexpected(made.error());
  return *made + message;
}

void add_check_command(CLI::App &group, GlobalOptions &global) {
  auto arguments = std::make_shared<CheckArguments>();
  auto *command = group.add_subcommand(
      "check", "Evaluate SPF, DKIM, DMARC and ARC of a message and print one JSON object. Without MESSAGE only SPF.");
  command->add_option("message", arguments->message, "a file with the message, or - for standard input");
  command->add_option("--ip", arguments->ip, "the address that handed it over");
  command->add_option("--helo", arguments->helo, "what the client said in EHLO or HELO");
  command->add_option("--mail-from", arguments->mail_from, "the reverse-path, with or without <>; empty: the null one");
  command->add_option("--dns-file", arguments->dns_file, "DNS answers as JSON, instead of the real DNS");
  command->add_option("--time", arguments->time, "Unix time of the check (default: now)");
  command->add_option("--receiver", arguments->receiver, "our name, for %{r} and as authserv-id")
      ->capture_default_str();
  command->add_flag("--allow-weak-keys", arguments->allow_weak_keys,
                    "lift the limits of RFC 8301 (rsa-sha1, keys under 1024 bits): for test corpora only");
  command->callback([&global, arguments] { run_check(global, *arguments); });
}

void add_batch_command(CLI::App &group, GlobalOptions &global) {
  struct Arguments {
    std::string file, receiver = "localhost";
  };
  auto arguments = std::make_shared<Arguments>();
  auto *command =
      group.add_subcommand("batch", "The same for many requests: one JSON object a line in, one a line out.");
  command->add_option("file", arguments->file, "a file with the requests, or - for standard input")->required();
  command->add_option("--receiver", arguments->receiver, "our name, for %{r} and as authserv-id")
      ->capture_default_str();
  command->callback([&global, arguments] { run_batch(global, arguments->file, arguments->receiver); });
}

void add_seal_command(CLI::App &group, GlobalOptions &global) {
  auto arguments = std::make_shared<SealArguments>();
  auto *command = group.add_subcommand(
      "arc-seal", "Print the message with our ARC set in front. What it says of the message is taken from the "
                  "Authentication-Results fields that bear our authserv-id; the state of an existing chain too, or it "
                  "is validated.");
  command->add_option("message", arguments->message, "a file with the message, or - for standard input")
      ->capture_default_str();
  command->add_option("--domain", arguments->domain, "d= of the seal")->required();
  command->add_option("--selector", arguments->selector, "s= of the seal")->required();
  command->add_option("--key", arguments->key_file, "the private key, PEM")->required();
  command->add_option("--authserv-id", arguments->authserv_id, "our authserv-id")->required();
  command->add_option("--time", arguments->time, "Unix time of the seal (default: now)");
  command->add_option("--headers", arguments->headers,
                      "the fields to sign, with colons between (default: a good list)");
  command->add_option("--dns-file", arguments->dns_file, "DNS answers as JSON, instead of the real DNS");
  command->add_flag("--allow-weak-keys", arguments->allow_weak_keys,
                    "lift the limits of RFC 8301 for the chain so far");
  command->callback([&global, arguments] {
    const auto sealed = seal(global, *arguments);
    if (!sealed) return fail(global, sealed.error().detail, 2);
    std::fwrite(sealed->data(), 1, sealed->size(), stdout);
  });
}

} // namespace

void add_auth(CLI::App &program, GlobalOptions &global) {
  auto *group = program.add_subcommand("auth", "Check messages with SPF, DKIM, DMARC and ARC; make ARC seals.");
  group->require_subcommand(1);
  add_check_command(*group, global);
  add_batch_command(*group, global);
  add_seal_command(*group, global);
}

} // namespace mta::cli
