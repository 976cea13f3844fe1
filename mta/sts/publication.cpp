// StsPublication: see the header.
#include "mta/sts/publication.hpp"

#include <fmt/format.h>

#include "mta/sts/discovery.hpp"

namespace mta {

namespace {

policy::StsMode mode_of(OwnStsConfig::Mode mode) {
  switch (mode) {
  case OwnStsConfig::Mode::none: return policy::StsMode::none;
  case OwnStsConfig::Mode::testing: return policy::StsMode::testing;
  case OwnStsConfig::Mode::enforce: return policy::StsMode::enforce;
  }
  return policy::StsMode::none;
}

} // namespace

StsPublication make_sts_publication(const DomainConfig &domain) {
  StsPublication result;
  const OwnStsConfig &own = *domain.mta_sts;
  result.domain = domain.domain.ascii();
  result.policy = {mode_of(own.mode), own.mx, own.max_age};
  result.text = policy::format_sts_policy(result.policy);
  const Url url = sts_policy_url(result.domain);
  result.url = url.to_string();
  result.host = url.host;
  result.record_name = "_mta-sts." + result.domain;
  result.record = policy::format_sts_record(result.policy);
  result.place = own.place;
  return result;
}

std::string format_text(const StsPublication &publication) {
  std::string file;
  for (const char c : publication.text)
    if (c != '\r') file += c;
  return fmt::format("{} ({})\n"
                     "1. Serve this file, lines ending in CRLF, at\n"
                     "   {}\n"
                     "   as text/plain, with a certificate for {}, without redirects:\n\n{}\n"
                     "2. Then publish the record; its id changes whenever the file does:\n\n"
                     "{}. IN TXT \"{}\"\n",
                     publication.domain, publication.place, publication.url, publication.host, file,
                     publication.record_name, publication.record);
}

} // namespace mta
