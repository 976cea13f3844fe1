// StsPublication: what a domain of ours must publish for its MTA-STS policy: the file, where it is served, the record.
#pragma once

#include <string>

#include "mta/config/config.hpp"
#include "policy/mta_sts.hpp"

namespace mta {

struct StsPublication {
  std::string domain;
  policy::StsPolicy policy;
  std::string text;        ///< the file, lines ending in CRLF
  std::string url;         ///< where it is served
  std::string host;        ///< whose certificate serves it
  std::string record_name; ///< "_mta-sts.example.org"
  std::string record;      ///< "v=STSv1; id=…;"; the id changes whenever the text does
  std::string place;       ///< in the configuration
};

/// `domain.mta_sts` must be set.
[[nodiscard]] StsPublication make_sts_publication(const DomainConfig &domain);

/// For people: the steps in the order of RFC 8461 section 8.1: the file first, then the record.
[[nodiscard]] std::string format_text(const StsPublication &publication);

} // namespace mta
