// Zone: DNS answers from a JSON file, for the offline verifier: {"name": {"TXT": [["a", "b"]], "MX": [[10, "host"]], …}}.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "auth/core/dns_facts.hpp"
#include "smtp/base/result.hpp"

namespace mta {

/// A name that is absent is NXDOMAIN, a type that is absent is NODATA. "SERVFAIL", "TIMEOUT" and "NXDOMAIN" in place of a
/// type's list, or of the whole object, stand for those answers. CNAME is followed, at most 8 times. Names are compared
/// without case and without a final dot.
class Zone {
public:
  /// Errors (bad_syntax) name the record: "example.org MX: not a list of [preference, host]".
  [[nodiscard]] static smtp::Result<Zone> parse(std::string_view json);
  [[nodiscard]] static smtp::Result<Zone> from(const boost::json::object &object);

  [[nodiscard]] auth::DnsFact answer(const auth::DnsQuestion &question) const;
  /// Answers everything that is missing.
  void answer_all(auth::DnsFacts &facts) const;

private:
  /// What one name has: answers by type word in upper case; "*" stands for every type.
  struct Name {
    std::map<std::string, auth::DnsFact> types;
    std::string alias;
  };
  std::map<std::string, Name> names_;
};

} // namespace mta
