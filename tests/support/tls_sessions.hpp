// TLS sessions for tests of what is made of them.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "mta/tally/tls_session.hpp"

namespace support {

/// An outbound session over TLS 1.3 whose certificate is trusted by the system and carries the host's name.
inline mta::TlsSession a_tls_session(const std::string &domain = "example.gov.uk",
                                     const std::string &host = "mx1.mail.example.net") {
  mta::TlsSession session;
  session.time = std::chrono::sys_days(std::chrono::year(2026) / 11 / 20) + std::chrono::hours(12);
  session.domain = domain;
  session.host = host;
  session.address = "192.0.2.1";
  session.starttls_offered = true;
  session.facts.encrypted = true;
  session.facts.version = tls::Version::tls1_3;
  tls::CertificateFacts leaf;
  leaf.subject = "CN=" + host;
  leaf.issuer = "CN=Test CA";
  leaf.dns_names = {host};
  leaf.spki_sha256 = "leafpinleafpinleafpinleafpinleafpinleafpin1=";
  leaf.not_after = session.time + std::chrono::days(90);
  tls::CertificateFacts ca;
  ca.subject = leaf.issuer;
  ca.issuer = ca.subject;
  ca.spki_sha256 = "capincapincapincapincapincapincapincapinca2=";
  ca.not_after = session.time + std::chrono::days(900);
  session.facts.chain = {leaf, ca};
  session.chain_digest = std::string(64, 'a');
  session.system_trusted = true;
  session.judgements.push_back({"system", {.trusted = true, .reason = {}, .fault = tls::ChainFault::none}});
  session.wanted = tls::Level::opportunistic;
  session.rule = "default";
  session.verdict =
      policy::Verdict{policy::VerdictKind::satisfied, tls::Level::encrypted, "the certificate was not demanded", {}};
  return session;
}

/// The same host without STARTTLS.
inline mta::TlsSession a_clear_session(const std::string &domain = "example.gov.uk",
                                       const std::string &host = "mx1.mail.example.net") {
  mta::TlsSession session = a_tls_session(domain, host);
  session.starttls_offered = false;
  session.facts = {};
  session.chain_digest.clear();
  session.system_trusted = false;
  session.judgements.clear();
  session.tls_problem = "STARTTLS was not offered";
  session.verdict =
      policy::Verdict{policy::VerdictKind::satisfied, tls::Level::none, "the session is not encrypted", {}};
  return session;
}

inline std::shared_ptr<const mta::TlsSession> shared(mta::TlsSession session) {
  return std::make_shared<const mta::TlsSession>(std::move(session));
}

} // namespace support
