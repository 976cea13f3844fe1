// [[route]], and the `route` of a partner or of a domain of ours.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "mta/config/loading.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::size_t host_limit = 64;
constexpr int preference_step = 10;

smtp::Result<std::string> parse_host_name(std::string_view text) {
  if (const auto address = smtp::IpAddress::parse(text)) return address->to_string();
  const auto domain = smtp::Domain::parse(text);
  if (!domain)
    return smtp::fail(
        smtp::ErrorCode::bad_syntax,
        fmt::format("\"{}\" is not a host: write \"name:port\", \"192.0.2.1:port\" or \"[2001:db8::1]:port\"",
                    smtp::escape(text, 100)));
  return domain->ascii();
}

/// host = ( name / IPv4 ) [ ":" port ] / "[" IPv6 "]" [ ":" port ] / IPv6
smtp::Result<policy::RouteHost> parse_host(std::string_view text) {
  policy::RouteHost host;
  const auto wrong_port = [&] {
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("\"{}\" has no port from 1 to 65535", smtp::escape(text, 100)));
  };
  if (text.starts_with('[')) {
    const auto address = smtp::SocketAddress::parse(text, host.port);
    if (!address) return tl::unexpected(address.error());
    if (address->port == 0) return wrong_port();
    host.host = address->address.to_string();
    host.port = address->port;
    return host;
  }
  std::string_view name = text;
  const auto colon = text.rfind(':');
  if (colon != std::string_view::npos && !smtp::IpAddress::parse(text)) {
    name = text.substr(0, colon);
    const auto port = smtp::parse_number(text.substr(colon + 1));
    if (!port || *port == 0 || *port > 65'535) return wrong_port();
    host.port = static_cast<std::uint16_t>(*port);
  }
  auto parsed = parse_host_name(name);
  if (!parsed) return tl::unexpected(parsed.error());
  host.host = std::move(*parsed);
  return host;
}

void read_host_table(Section section, std::vector<policy::RouteHost> &hosts) {
  policy::RouteHost host;
  section.require("host", "a name or an address");
  section.read_parsed("host", host.host, [](const std::string &text) { return parse_host_name(text); });
  section.read_count("port", host.port, 1, 65'535);
  std::uint16_t preference = 10;
  section.read_count("preference", preference, 0, 65'535);
  host.preference = preference;
  section.finish();
  if (!host.host.empty()) hosts.push_back(std::move(host));
}

/// The hosts of the list under `key`. Plain strings are tried in their order; tables say their preference themselves.
void read_hosts(Section &section, std::string_view key, const toml_tree::Array &list,
                std::vector<policy::RouteHost> &hosts) {
  int preference = 0;
  for (const auto &element : list) {
    if (const auto *table = std::get_if<toml_tree::Table>(&element.data)) {
      read_host_table(section.section_of(key, *table), hosts);
    } else if (const auto *text = std::get_if<std::string>(&element.data)) {
      auto host = parse_host(*text);
      if (!host) {
        section.error_at(element.line, key, host.error().detail);
        continue;
      }
      host->preference = preference += preference_step;
      hosts.push_back(std::move(*host));
    } else {
      section.wrong_kind(key, element, "a host as a string or a table");
    }
  }
  if (list.empty()) section.error(key, "is empty; name at least one host, such as [\"relay.example.org:25\"]");
  if (list.size() > host_limit)
    section.error(key, fmt::format("has {} hosts, the limit is {}", list.size(), host_limit));
  for (auto host = hosts.begin(); host != hosts.end(); ++host)
    if (std::any_of(hosts.begin(), host,
                    [&](const auto &other) { return other.host == host->host && other.port == host->port; }))
      section.error(key, fmt::format("{} port {} is named twice", host->host, host->port));
}

} // namespace

void read_route_table(Section &section, policy::Route &route, Loading &loading) {
  section.require("hosts", "where the mail goes, such as hosts = [\"relay.example.org:25\"]");
  if (const auto *value = section.value("hosts")) {
    if (const auto *list = std::get_if<toml_tree::Array>(&value->data))
      read_hosts(section, "hosts", *list, route.hosts);
    else
      section.wrong_kind("hosts", *value, "a list of hosts");
  }
  section.read("implicit_tls", route.implicit_tls);
  section.read("look_up_mx", route.look_up_mx);
  section.read("client_certificate", route.client_certificate);
  if (!route.client_certificate.empty() && !loading.config.find_certificate(route.client_certificate))
    section.error("client_certificate", fmt::format("no [[certificate]] in {} is named \"{}\"", loading.main_file,
                                                    smtp::escape(route.client_certificate, 80)));
  if (!route.look_up_mx) return;
  for (const auto &host : route.hosts)
    if (smtp::IpAddress::parse(host.host))
      section.error("look_up_mx", fmt::format("{} is an address, and MX records belong to names", host.host));
}

void read_route(Section &section, std::optional<policy::Route> &out, Loading &loading) {
  const auto *value = section.value("route");
  if (!value) return;
  policy::Route route;
  route.place = section.place("route");
  route.name = route.place;
  if (const auto *list = std::get_if<toml_tree::Array>(&value->data)) {
    read_hosts(section, "route", *list, route.hosts);
  } else if (const auto *table = std::get_if<toml_tree::Table>(&value->data)) {
    Section inner = section.section_of("route", *table);
    read_route_table(inner, route, loading);
    inner.finish();
  } else {
    section.wrong_kind("route", *value, "a list of hosts, or a table with hosts");
    return;
  }
  out = std::move(route);
}

void load_routes(Section &root, Loading &loading) {
  std::map<std::string, std::string> claimed; // pattern to the place of its [[route]]
  std::map<std::string, std::string> names;
  for (auto &section : root.tables("route")) {
    RouteConfig config;
    policy::Route &route = config.route;
    route.place = section.place();
    route.name = route.place;
    section.read("name", route.name);
    if (const auto [first, fresh] = names.try_emplace(route.name, route.place); !fresh)
      section.error("name", fmt::format("\"{}\" is already the name of the route at {}", smtp::escape(route.name, 80),
                                        first->second));
    section.require("domains", "for which recipient domains, such as domains = [\"*\"] for all");
    section.read_list("domains", config.domains,
                      [](std::string_view text) { return smtp::DomainPattern::parse(text); });
    for (const auto &pattern : config.domains)
      if (const auto [first, fresh] = claimed.try_emplace(pattern.to_string(), route.place); !fresh)
        section.error("domains",
                      fmt::format("overlapping rules: {} is already routed at {}", pattern.to_string(), first->second));
    read_route_table(section, route, loading);

    tls::Level level = loading.config.outbound.level;
    read_level(section, "tls", level, tls::Level::opportunistic, tls::Level::dane);
    if (section.has("tls")) config.tls = level;
    check_dane(section, level, &route, loading);
    read_trust(section, "trust", config.tls_trust, loading);
    read_name_patterns(section, "match", config.match);
    config.profile = loading.config.outbound.profile;
    read_profile(section, "profile", config.profile);
    read_pins(section, "pins", config.pins);
    const bool authenticated = std::max(level, loading.config.outbound.level) == tls::Level::authenticated;
    if (!config.pins.empty() && !authenticated) section.error("pins", "are judged only with tls = \"authenticated\"");
    section.finish();
    loading.config.routes.push_back(std::move(config));
  }
}

} // namespace mta
