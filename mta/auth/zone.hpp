// Zone: DNS answers from a JSON file, for the offline tools: {"name": {"TXT": [["a", "b"]], "MX": [[10, "host"]], …}}.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "auth/core/dns_facts.hpp"
#include "smtp/base/result.hpp"

namespace mta {

/// A name that is absent is NXDOMAIN, a type that is absent is NODATA. "SERVFAIL", "TIMEOUT" and "NXDOMAIN" in place of
/// a type's list, or of the whole object, stand for those answers. CNAME is followed, at most 8 times. Names are
/// compared without case and without a final dot. "dnssec": "secure", "insecure" or "bogus" is the state of a name's
/// answers, also of the negative ones and of absent names below it; without it, insecure. TLSA is a list of "3 1 1 HEX"
/// or [3, 1, 1, "HEX"].
class Zone {
public:
  /// Errors (bad_syntax) name the record: "example.org MX: not a list of [preference, host]".
  [[nodiscard]] static smtp::Result<Zone> parse(std::string_view json);
  [[nodiscard]] static smtp::Result<Zone> from(const boost::json::object &object);

  [[nodiscard]] auth::DnsFact answer(const auth::DnsQuestion &question) const;
  /// The answer with what DNSSEC says of it; bogus is temporary. Reasons as the resolver gives them.
  struct SignedFact {
    auth::DnsFact fact;
    std::vector<smtp::TlsaRecord> tlsa;
    smtp::DnsTrust trust = smtp::DnsTrust::insecure;
    std::string canonical_name; ///< the end of the CNAME chain; empty: no alias
  };
  /// `type`: "A", "AAAA", "MX", "TXT", "PTR", "TLSA".
  [[nodiscard]] SignedFact look_up(std::string_view name, std::string_view type) const;
  /// The alias record of the name itself, not followed: its target in `fact.texts`.
  [[nodiscard]] SignedFact alias_of(std::string_view name) const;
  /// Answers everything that is missing.
  void answer_all(auth::DnsFacts &facts) const;

private:
  enum class Dnssec : std::uint8_t { insecure, secure, bogus };
  /// What one name has: answers by type word in upper case; "*" stands for every type.
  struct Name {
    std::map<std::string, auth::DnsFact> types;
    std::vector<smtp::TlsaRecord> tlsa;
    std::string alias;
    std::optional<Dnssec> dnssec;
  };
  [[nodiscard]] smtp::Result<void> read_name(Name &made, const std::string &name, const boost::json::object &object);
  [[nodiscard]] Dnssec dnssec_of(std::string_view name) const;
  std::map<std::string, Name> names_;
};

} // namespace mta
