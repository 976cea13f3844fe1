// [[certificate]] and [[listener]].
#include <algorithm>

#include <fmt/format.h>

#include "mta/config/loading.hpp"
#include "mta/config/units.hpp"
#include "smtp/base/text.hpp"
#include "tls/profile.hpp"

namespace mta {

namespace {

using namespace std::chrono_literals;

/// Shows a path as the operator wrote it.
void replace_path(std::string &text, const std::string &path, const std::string &shown) {
  for (auto at = text.find(path); at != std::string::npos; at = text.find(path, at + shown.size()))
    text.replace(at, path.size(), shown);
}

/// Reports what is wrong with the dates: warnings, since mail with an expired certificate is better than none for
/// opportunistic peers.
void check_dates(Section &section, const std::string &path, const tls::CertificateFacts &leaf,
                 std::chrono::system_clock::time_point now) {
  const auto day = [](std::chrono::system_clock::time_point time) {
    return format_date(std::chrono::floor<std::chrono::days>(time));
  };
  if (leaf.not_after <= now) return; // find_faults() tells
  if (leaf.not_before > now)
    section.warning("certificate", fmt::format("{}: is not valid before {}", path, day(leaf.not_before)));
  else if (leaf.not_after - now < std::chrono::days(30))
    section.warning("certificate",
                    fmt::format("{}: expires on {}, in {} days", path, day(leaf.not_after),
                                std::chrono::duration_cast<std::chrono::days>(leaf.not_after - now).count()));
}

void check_files(Section &section, CertificateConfig &certificate, const std::string &certificate_path,
                 const std::string &key_path, Loading &loading) {
  const auto chain = loading.files.certificates(certificate.files.certificate);
  if (!chain) {
    section.error("certificate", fmt::format("{}: {}", smtp::escape(certificate_path), chain.error().detail));
  } else {
    const tls::CertificateFacts &leaf = chain->front();
    loading.leaves.emplace(certificate.name, leaf);
    certificate.dns_names = leaf.dns_names;
    certificate.not_after = leaf.not_after;
    certificate.fingerprint = leaf.fingerprint_sha256;
    certificate.is_self_signed = !leaf.subject.empty() && leaf.subject == leaf.issuer;
    check_dates(section, smtp::escape(certificate_path), chain->front(), loading.now);
  }
  constexpr std::size_t limit = 1024 * 1024;
  if (const auto key = loading.files.read(certificate.files.key, limit); !key) {
    std::string message = fmt::format("{}: {}", smtp::escape(key_path), key.error().detail);
    if (key.error().code == smtp::ErrorCode::not_permitted)
      message +=
          "; keys are read as root at start, a reload reads them as the daemon's user: give its group read access";
    section.error("key", std::move(message));
  } else if (chain) {
    if (const auto pair = loading.files.check_key_pair(certificate.files.certificate, certificate.files.key); !pair) {
      std::string message = pair.error().detail;
      replace_path(message, certificate.files.key, smtp::escape(key_path));
      replace_path(message, certificate.files.certificate, smtp::escape(certificate_path));
      section.error("key", std::move(message));
    }
  }
}

/// Smaller keys than the profile allows are refused by peers that follow it, and by OpenSSL's security level.
void check_strength(Section &section, const ListenerConfig &listener, const std::string &name, const Loading &loading) {
  const tls::Profile *profile = tls::find_profile(listener.profile);
  const auto found = loading.leaves.find(name);
  if (!profile || found == loading.leaves.end()) return;
  const tls::CertificateFacts &leaf = found->second;
  const int least = leaf.key_type == "RSA" ? profile->min_rsa_bits : leaf.key_type == "EC" ? profile->min_ec_bits : 0;
  if (leaf.key_bits < least)
    section.error("certificates", fmt::format("certificate \"{}\" has a key of {} {} bits, profile \"{}\" demands {}",
                                              name, leaf.key_bits, leaf.key_type, profile->name, least));
}

void read_tls(Section &section, ListenerConfig &listener, Loading &loading) {
  section.read_word<ListenerTls>(
      "tls", listener.tls,
      {{"none", ListenerTls::none}, {"starttls", ListenerTls::starttls}, {"implicit", ListenerTls::implicit}});
  read_profile(section, "profile", listener.profile);
  section.read_strings("certificates", listener.certificates);
  for (const auto &name : listener.certificates)
    if (!loading.config.find_certificate(name)) {
      std::vector<std::string> known;
      for (const auto &certificate : loading.config.certificates) known.push_back(certificate.name);
      section.error("certificates", fmt::format("no [[certificate]] is named \"{}\"; known: {}", smtp::escape(name, 80),
                                                known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", "))));
    }
  section.read("request_client_certificate", listener.request_client_certificate);
  if (section.has("client_ca_hints")) {
    std::string hints;
    section.read("client_ca_hints", hints);
    if (!hints.empty()) read_trust(section, "client_ca_hints", listener.client_ca_hints, loading);
    if (listener.client_ca_hints == "system")
      section.error("client_ca_hints", "must be a PEM file: the system's CAs are too many to name in a handshake");
  }
  section.read("tickets", listener.tickets);
  if (listener.tls == ListenerTls::none) return;
  if (loading.config.certificates.empty())
    section.error(
        "tls",
        "there is no [[certificate]] to show; \"portcullis cert self-signed\" makes one for a start, tls = \"none\" "
        "switches TLS off");
  if (listener.certificates.empty())
    for (const auto &certificate : loading.config.certificates)
      check_strength(section, listener, certificate.name, loading);
  for (const auto &name : listener.certificates) check_strength(section, listener, name, loading);
}

/// So that a typing error never makes an open relay: nobody owns this much of the address space.
void check_width(Section &section, const std::vector<smtp::Network> &networks) {
  for (const auto &network : networks)
    if (network.bits() < (network.base().is_v6() ? 7 : 8))
      section.error("trusted_networks",
                    fmt::format("{} is so wide that this would be an open relay; IPv4 networks must be /8 or "
                                "longer, IPv6 networks /7 or longer",
                                network.to_string()));
}

void read_relay_trust(Section &section, ListenerConfig &listener, Loading &loading) {
  read_networks(section, "trusted_networks", listener.trusted_networks);
  read_name_patterns(section, "trusted_names", listener.trusted_names);
  read_pins(section, "trusted_pins", listener.trusted_pins);
  if (section.has("trusted_ca")) {
    std::string path;
    section.read("trusted_ca", path);
    if (!path.empty()) read_trust(section, "trusted_ca", listener.trusted_ca, loading);
  }
  section.read("accept_server_auth", listener.accept_server_auth);
  check_width(section, listener.trusted_networks);

  const auto given = [&section](std::string_view key) {
    const auto *value = section.value(key);
    if (!value) return false;
    const auto *list = std::get_if<toml_tree::Array>(&value->data);
    const auto *text = std::get_if<std::string>(&value->data);
    return !(list && list->empty()) && !(text && text->empty());
  };
  if (listener.role == policy::ListenerRole::mx) {
    for (const char *key : {"trusted_networks", "trusted_names", "trusted_pins", "trusted_ca"})
      if (given(key)) section.error(key, "counts only with role = \"relay\"");
    if (listener.accept_server_auth && !listener.require_client_certificate)
      section.error("accept_server_auth", "counts only with role = \"relay\" or require_client_certificate");
    return;
  }
  const bool by_certificate = given("trusted_names") || given("trusted_pins");
  if (!given("trusted_networks") && !by_certificate)
    section.error("role",
                  "a relay that trusts nobody: add trusted_networks, trusted_names with trusted_ca, or trusted_pins");
  if (given("trusted_names") && !given("trusted_ca"))
    section.error(
        "trusted_names",
        "count only when the chain leads to trusted_ca: add trusted_ca = \"path of a PEM file\" or \"system\"");
  if (given("trusted_ca") && !given("trusted_names") && !given("crl"))
    section.error("trusted_ca", "trusts nobody by itself: add trusted_names");
  if (listener.accept_server_auth && !given("trusted_names") && !listener.require_client_certificate)
    section.error("accept_server_auth", "is about trusted_names, and there are none; trusted_pins look at no purpose");
  if (by_certificate && listener.tls == ListenerTls::none)
    section.error("tls", "is \"none\", so that no client can show a certificate for trusted_names or trusted_pins");
  if (by_certificate && !listener.request_client_certificate)
    section.error("request_client_certificate",
                  "is off, so that no client shows a certificate for trusted_names or trusted_pins");
}

/// [[listener.allowed_senders]]: which clients may use which senders.
void read_allowed_senders(Section &section, ListenerConfig &listener) {
  for (auto &block : section.tables("allowed_senders")) {
    policy::AllowedSenders allowed;
    allowed.place = block.place();
    read_networks(block, "networks", allowed.networks);
    read_name_patterns(block, "names", allowed.names);
    read_pins(block, "pins", allowed.pins);
    block.require("senders", "what they may use: \"user@example.org\", \"example.org\", \"*.example.org\" or \"*\"");
    block.read_list("senders", allowed.senders,
                    [](std::string_view text) { return policy::SenderPattern::parse(text); });
    if (allowed.networks.empty() && allowed.names.empty() && allowed.pins.empty() && !block.has("networks") &&
        !block.has("names") && !block.has("pins"))
      block.error("", "says of no client whose senders these are: add networks, names or pins");
    if (!allowed.names.empty() && listener.trusted_ca.empty())
      block.error("names", "count only when the chain leads to the listener's trusted_ca");
    block.finish();
    listener.allowed_senders.push_back(std::move(allowed));
  }
  if (!listener.allowed_senders.empty() && listener.role == policy::ListenerRole::mx)
    section.warning("allowed_senders", "counts only with role = \"relay\"");
}

/// A listener that is closed to everybody without TLS, or without a certificate that the operator named.
void read_demands(Section &section, ListenerConfig &listener, Loading &loading) {
  section.read("require_tls", listener.require_tls);
  read_name_patterns(section, "required_names", listener.required_names);
  read_pins(section, "required_pins", listener.required_pins);
  if (section.has("required_ca")) {
    std::string path;
    section.read("required_ca", path);
    if (!path.empty()) read_trust(section, "required_ca", listener.required_ca, loading);
  }
  const bool given =
      !listener.required_names.empty() || !listener.required_pins.empty() || !listener.required_ca.empty();
  if (!listener.require_client_certificate) {
    if (given)
      section.error("require_client_certificate",
                    "is not true, so that required_names, required_ca and required_pins say nothing");
  } else {
    listener.require_tls = true;
    if (!given) {
      listener.required_names = listener.trusted_names;
      listener.required_pins = listener.trusted_pins;
      listener.required_ca = listener.trusted_ca;
    }
    if (!listener.request_client_certificate)
      section.error("request_client_certificate", "is off, so that no client shows the certificate that is required");
    if (listener.required_ca.empty() && listener.required_pins.empty())
      section.error(
          "require_client_certificate",
          "needs to know whose: add required_ca = \"path of a PEM file\" (with required_names), or required_pins; "
          "anybody can make a certificate");
    if (listener.required_ca.empty() && !listener.required_names.empty())
      section.error("required_names", "count only when the chain leads to required_ca: add it");
    if (listener.required_ca == "system" && listener.required_names.empty())
      section.error("required_names",
                    "must be given with required_ca = \"system\": everybody can have a certificate of these CAs");
  }
  if (!listener.crls.empty()) {
    if (listener.trusted_ca.empty() && listener.required_ca.empty())
      section.error("crl", "is judged with the chain to trusted_ca or required_ca: add one");
    const bool pins_senders = std::any_of(listener.allowed_senders.begin(), listener.allowed_senders.end(),
                                          [](const policy::AllowedSenders &block) { return !block.pins.empty(); });
    const bool pins = pins_senders || !listener.trusted_pins.empty();
    if (listener.trusted_ca.empty() && pins)
      section.error("crl", "beside lists a pinned key counts only in a chain to trusted_ca: add it");
    else if (!listener.trusted_ca.empty() && listener.trusted_names.empty() && !pins)
      section.error("trusted_ca", "trusts nobody by itself: add trusted_names or trusted_pins");
    if (listener.required_ca.empty() && !listener.required_pins.empty())
      section.error("crl", "beside lists a pinned key counts only in a chain to required_ca: add it");
  }
  if (listener.require_tls && listener.tls == ListenerTls::none)
    section.error("tls", "is \"none\", so that nobody could send to a listener that requires TLS");
}

ListenerConfig read_listener(Section &section, Loading &loading) {
  ListenerConfig listener;
  listener.place = section.place();
  section.require("name", "a name for the log, such as name = \"mx\"");
  section.read("name", listener.name);
  section.require("addresses", "where to listen, such as addresses = [\"0.0.0.0:25\", \"[::]:25\"]");
  section.read_list("addresses", listener.addresses,
                    [](std::string_view text) { return smtp::SocketAddress::parse(text, 25); });
  if (section.has("addresses") && listener.addresses.empty()) section.error("addresses", "holds no usable address");
  section.read_word<policy::ListenerRole>("role", listener.role,
                                          {{"mx", policy::ListenerRole::mx}, {"relay", policy::ListenerRole::relay}});
  read_tls(section, listener, loading);
  section.read("refuse_early_talkers", listener.refuse_early_talkers);
  section.read("check_senders", listener.check_senders);
  section.read("dsn", listener.dsn);
  section.read("hide_clients", listener.hide_clients);
  if (listener.hide_clients && listener.role == policy::ListenerRole::mx)
    section.error("hide_clients", "counts only with role = \"relay\"");
  section.read_duration("greeting_delay", listener.greeting_delay, 0ms, 30s);
  section.read_word<smtp::BareLf>("bare_lf", listener.bare_lf,
                                  {{"refuse", smtp::BareLf::refuse}, {"convert", smtp::BareLf::convert}});
  section.read_word<MalformedHeader>("malformed_header", listener.malformed_header,
                                     {{"refuse", MalformedHeader::refuse}, {"split", MalformedHeader::split}});
  section.read("require_client_certificate", listener.require_client_certificate);
  read_relay_trust(section, listener, loading);
  read_allowed_senders(section, listener);
  read_crls(section, "crl", listener.crls, loading);
  read_demands(section, listener, loading);
  // Turning bare LF into CRLF for strangers is what smuggling needs.
  if (listener.bare_lf == smtp::BareLf::convert && listener.role == policy::ListenerRole::mx)
    section.error("bare_lf", "\"convert\" is for trusted internal clients: role must be \"relay\"");
  return listener;
}

} // namespace

void load_certificates(Section &root, Loading &loading) {
  for (auto &section : root.tables("certificate")) {
    CertificateConfig certificate;
    certificate.place = section.place();
    section.require("name", "the name by which listeners and routes refer to it");
    section.read("name", certificate.name);
    section.require("certificate", "the path of a PEM file: the certificate, then its intermediates");
    section.require("key", "the path of the PEM file with the key");
    std::string certificate_path;
    std::string key_path;
    section.read("certificate", certificate_path);
    section.read("key", key_path);
    certificate.files = {loading.resolve(certificate_path), loading.resolve(key_path)};
    section.finish();
    if (const auto *first = loading.config.find_certificate(certificate.name); first && !certificate.name.empty()) {
      section.error("name", fmt::format("\"{}\" is already the name of the certificate at {}",
                                        smtp::escape(certificate.name, 80), first->place));
      continue;
    }
    if (!certificate_path.empty() && !key_path.empty())
      check_files(section, certificate, certificate_path, key_path, loading);
    loading.config.certificates.push_back(std::move(certificate));
  }
}

void load_listeners(Section &root, Loading &loading) {
  for (auto &section : root.tables("listener")) {
    ListenerConfig listener = read_listener(section, loading);
    section.finish();
    for (const auto &other : loading.config.listeners) {
      if (!listener.name.empty() && other.name == listener.name)
        section.error("name", fmt::format("\"{}\" is already the name of the listener at {}",
                                          smtp::escape(listener.name, 80), other.place));
      for (const auto &address : listener.addresses)
        if (address.port != 0 &&
            std::find(other.addresses.begin(), other.addresses.end(), address) != other.addresses.end())
          section.error("addresses",
                        fmt::format("{} is already taken by the listener at {}", address.to_string(), other.place));
    }
    loading.config.listeners.push_back(std::move(listener));
  }
}

void reserve_for_exempt(Config &config) {
  const bool somebody = !config.limits.exempt_networks.empty() ||
                        std::any_of(config.listeners.begin(), config.listeners.end(),
                                    [](const ListenerConfig &listener) { return !listener.trusted_networks.empty(); });
  config.limits.reserved_for_exempt = somebody ? config.limits.connections / 16 : 0;
}

} // namespace mta
