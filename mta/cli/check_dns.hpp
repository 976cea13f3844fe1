// check_dns: everything that our domains should publish, asked of the DNS.
#pragma once

#include <string>
#include <vector>

#include "mta/auth/offline.hpp"
#include "mta/config/config.hpp"

namespace mta::cli {

enum class DnsState : std::uint8_t { right, missing, wrong, unknown };

struct DnsLine {
  std::string subject; ///< "example.org MX"
  DnsState state = DnsState::right;
  std::string detail; ///< what is there, or what is to be published
};

/// MX to us, SPF with our addresses, DKIM, DMARC, MTA-STS, TLSRPT of each domain; our name's addresses and their
/// reverse names.
[[nodiscard]] std::vector<DnsLine> check_dns(const Config &config, const AnswerAll &answer);

/// What the DNS says of one key: empty when it is right.
[[nodiscard]] std::string dkim_problem(const SigningKeyConfig &key, const AnswerAll &answer);

} // namespace mta::cli
