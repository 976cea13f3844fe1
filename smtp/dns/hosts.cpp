#include "smtp/dns/hosts.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include <fmt/core.h>

#include "smtp/base/text.hpp"

namespace smtp {

namespace {

bool is_own(std::string_view host, const std::vector<std::string> &own_names) {
  return std::any_of(own_names.begin(), own_names.end(), [&](std::string_view own) {
    if (own.ends_with('.')) own.remove_suffix(1);
    return !own.empty() && equals_ignoring_case(host, own);
  });
}

tl::unexpected<Error> loops(const Domain &domain, std::string_view own) {
  return fail(ErrorCode::dns_permanent,
              fmt::format("mail loops back to us: the best host for {} is {}, which is our own name", domain.ascii(),
                          escape(own)));
}

/// Fisher-Yates over each run of equal preference (RFC 5321 section 5.1: the sender MUST randomize them).
void shuffle_equal(std::vector<MxHost> &hosts, const std::function<std::size_t(std::size_t)> &random) {
  for (std::size_t first = 0; first < hosts.size();) {
    std::size_t behind = first;
    while (behind < hosts.size() && hosts[behind].preference == hosts[first].preference) ++behind;
    for (std::size_t left = behind - first; left > 1; --left)
      std::swap(hosts[first + left - 1], hosts[first + random(left) % left]);
    first = behind;
  }
}

/// RFC 5321 section 5.1: no MX record means an implicit one of preference 0 that names the domain itself.
Result<MxHosts> implicit_host(const Domain &domain, const DnsAnswer<MxRecord> &answer,
                              const std::vector<std::string> &own_names) {
  if (is_own(domain.ascii(), own_names)) return loops(domain, domain.ascii());
  if (is_own(answer.canonical_name, own_names)) return loops(domain, answer.canonical_name);
  return MxHosts{.hosts = {{domain.ascii(), 0}}, .trust = answer.trust, .implicit_mx = true};
}

} // namespace

bool has_numeric_end(std::string_view name) noexcept {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.find(':') != std::string_view::npos) return true; // IPv6
  const auto last = name.substr(name.rfind('.') == std::string_view::npos ? 0 : name.rfind('.') + 1);
  return !last.empty() && std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Result<MxHosts> select_hosts(const Domain &domain, const DnsAnswer<MxRecord> &answer,
                             const std::vector<std::string> &own_names,
                             const std::function<std::size_t(std::size_t)> &random, std::size_t limit) {
  switch (answer.status) {
  case DnsStatus::temporary:
    return fail(ErrorCode::dns_temporary, fmt::format("MX of {}: {}", domain.ascii(),
                                                      answer.detail.empty() ? "no usable answer" : answer.detail));
  case DnsStatus::no_name:
    return fail(ErrorCode::dns_permanent, fmt::format("domain {} does not exist", domain.ascii()));
  case DnsStatus::no_data: return implicit_host(domain, answer, own_names);
  case DnsStatus::ok: break;
  }
  // RFC 5321 section 5.1: where MX records are there and none can be used, the domain itself is not a host.
  if (answer.records.empty() && answer.unreadable != 0)
    return fail(ErrorCode::dns_permanent, fmt::format("none of the {} MX records of {} names a host: {}",
                                                      answer.unreadable, domain.ascii(), answer.detail));
  if (answer.records.empty()) return implicit_host(domain, answer, own_names);

  MxHosts selected{.hosts = {}, .trust = answer.trust, .implicit_mx = false};
  selected.hosts.reserve(answer.records.size());
  for (const auto &record : answer.records)
    // RFC 7505 section 3: a root host beside others is not a null MX; it names no host either.
    if (!record.host.empty()) selected.hosts.push_back({record.host, record.preference});
  if (selected.hosts.empty() && answer.unreadable != 0)
    return fail(ErrorCode::dns_permanent, fmt::format("no MX record of {} names a host; {} cannot be read: {}",
                                                      domain.ascii(), answer.unreadable, answer.detail));
  if (selected.hosts.empty())
    return fail(ErrorCode::dns_permanent,
                fmt::format("domain accepts no mail: {} has a null MX (RFC 7505)", domain.ascii()));

  auto &hosts = selected.hosts;
  std::sort(hosts.begin(), hosts.end(), [](const MxHost &left, const MxHost &right) {
    return std::tie(left.preference, left.name) < std::tie(right.preference, right.name);
  });
  // RFC 5321 section 5.1: when we are one of the hosts, only better ones may be tried, or mail would go in circles.
  const auto ours =
      std::find_if(hosts.begin(), hosts.end(), [&](const MxHost &host) { return is_own(host.name, own_names); });
  if (ours != hosts.end()) {
    const MxHost own = *ours;
    std::erase_if(hosts, [&](const MxHost &host) { return host.preference >= own.preference; });
    if (hosts.empty()) return loops(domain, own.name);
  }
  // A host that is listed twice is tried once, at its best preference.
  std::set<std::string> seen;
  std::erase_if(hosts, [&](const MxHost &host) { return !seen.insert(to_lower(host.name)).second; });
  shuffle_equal(hosts, random);
  if (hosts.size() > limit) hosts.resize(limit);
  return selected;
}

} // namespace smtp
