// [server], [log], [spool] and [control].
#include <fmt/format.h>

#include "mta/config/loading.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

using namespace std::chrono_literals;

void read_hostname(Section &section, ServerConfig &server) {
  section.require("hostname", "our own name, such as hostname = \"mx.example.org\"");
  std::string text;
  section.read("hostname", text);
  if (!section.has("hostname") || !std::get_if<std::string>(&section.value("hostname")->data)) return;
  const auto domain = smtp::Domain::parse(text);
  if (!domain) {
    section.error("hostname", domain.error().detail);
    return;
  }
  if (text.find('_') != std::string::npos) {
    section.error("hostname", fmt::format("\"{}\" has an underscore, which no host name may have (RFC 952)",
                                          smtp::escape(text, 80)));
    return;
  }
  server.hostname = domain->ascii();
  // RFC 5321 section 2.3.5: only fully qualified names in EHLO.
  if (domain->label_count() < 2)
    section.warning("hostname",
                    fmt::format("\"{}\" has one label; others expect a full name such as \"mx.example.org\"", text));
}

constexpr std::uint64_t least_memory_budget = 33'554'432;
/// A queued message holds about this much memory with one recipient.
constexpr std::uint64_t memory_of_message = 1'792;

void settle_memory_budget(Section &section, Config &config) {
  ServerConfig &server = config.server;
  constexpr std::uint64_t for_sessions = 1ULL << 30U;
  const std::uint64_t messages = config.spool.max_messages;
  if (!section.has("memory_budget")) {
    server.memory_budget = for_sessions + messages * 2 * for_sessions / 1'000'000;
  } else if (server.memory_budget >= least_memory_budget &&
             server.memory_budget / 4 * 3 / memory_of_message < messages) {
    section.warning(
        "memory_budget",
        fmt::format("is nearly used up by about {} queued messages, before spool.max_messages = {}: from there "
                    "on large headers, then new clients are refused",
                    server.memory_budget / 4 * 3 / memory_of_message, messages));
  }
}

} // namespace

void load_server(Section &root, Loading &loading) {
  constexpr std::uint64_t tebi = 1ULL << 40U;
  std::optional<Section> server_section;
  Config &config = loading.config;
  root.require("server", "[server] with hostname must be there");
  if (auto section = root.table("server")) {
    ServerConfig &server = config.server;
    read_hostname(*section, server);
    section->read("user", server.user);
    section->read("group", server.group);
    section->read_count("threads", server.threads, 0, 1024);
    section->read_duration("shutdown_grace", server.shutdown_grace, 0s, 1h);
    section->read_size("memory_budget", server.memory_budget, 0, tebi);
    if (server.memory_budget != 0 && server.memory_budget < least_memory_budget)
      section->error("memory_budget",
                     "is under 32MiB, so that no session would be accepted; \"0B\" switches the budget off");
    std::string origin;
    section->read("origin", origin);
    if (const auto domain = smtp::Domain::parse(origin)) {
      server.origin = domain->ascii();
    } else if (!origin.empty()) {
      section->error("origin", domain.error().detail);
    }
    section->read("partners", server.partners);
    section->read_list("outside_addresses", server.outside_addresses,
                       [](std::string_view text) { return smtp::IpAddress::parse(text); });
    if (server.partners.empty()) section->error("partners", "is empty; name the folder of the partner files");
    section->read("start_with_last_good", server.start_with_last_good);
    section->finish();
    server_section.emplace(std::move(*section));
  }
  if (auto section = root.table("log")) {
    section->read_word<LogFormat>("format", config.log.format,
                                  {{"logfmt", LogFormat::logfmt}, {"json", LogFormat::json}});
    section->read_word<std::string>("level", config.log.level,
                                    {{"debug", "debug"}, {"info", "info"}, {"warning", "warning"}, {"error", "error"}});
    read_path(*section, "file", config.log.file, loading);
    section->finish();
  }
  if (auto section = root.table("spool")) {
    read_path(*section, "path", config.spool.path, loading);
    if (config.spool.path.empty()) section->error("path", "is empty; name the folder of the spool");
    section->read_size("segment_size", config.spool.segment_size, 1'048'576, 4'294'967'296);
    section->read_size("min_free", config.spool.min_free, 0, tebi);
    section->read_count("max_messages", config.spool.max_messages, 1, 1'000'000'000);
    section->finish();
  }
  if (server_section) settle_memory_budget(*server_section, config);
  if (auto section = root.table("control")) {
    read_path(*section, "socket", config.control.socket, loading);
    if (config.control.socket.empty()) section->error("socket", "is empty; name the path of the control socket");
    // sockaddr_un.sun_path holds 108 octets with the final zero.
    if (config.control.socket.size() > 107)
      section->error(
          "socket", fmt::format("the path is {} octets long, the system's limit is 107", config.control.socket.size()));
    section->read("group", config.control.group);
    section->finish();
  }
}

} // namespace mta
