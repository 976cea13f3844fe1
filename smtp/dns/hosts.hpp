// select_hosts: from MX and address answers to the ordered list of hosts to try (RFC 5321 section 5, RFC 7505).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.hpp"
#include "smtp/dns/answer.hpp"
#include "smtp/names/domain.hpp"

namespace smtp {

/// One host to try, in order of preference.
struct MxHost {
  std::string name;
  std::uint16_t preference = 0;
};

struct MxHosts {
  std::vector<MxHost> hosts;
  DnsTrust trust = DnsTrust::insecure; ///< of the MX answer (or of its authenticated absence)
  bool implicit_mx = false;            ///< no MX record: the domain itself
};

/// An address, or a name whose last label is a number: no name of the DNS ends so (RFC 3696 section 2).
[[nodiscard]] bool has_numeric_end(std::string_view name) noexcept;

/// Orders MX records by preference, shuffles equal ones with `random` (uniform in [0, n)), removes our own names and
/// every host that is no better than us (RFC 5321 section 5.1), falls back to the domain itself on NODATA. Errors:
/// dns_temporary; dns_permanent for NXDOMAIN, null MX ("domain accepts no mail", RFC 7505: 556 5.1.10) and "mail loops
/// back to us". More than `limit` hosts are cut.
[[nodiscard]] Result<MxHosts> select_hosts(const Domain &domain, const DnsAnswer<MxRecord> &answer,
                                           const std::vector<std::string> &own_names,
                                           const std::function<std::size_t(std::size_t)> &random,
                                           std::size_t limit = 20);

} // namespace smtp
