// judge_destination: see the header.
#include "auth/core/dmarc_destination.hpp"

#include <optional>

#include <fmt/core.h>

#include "auth/core/dmarc_walk.hpp"

namespace auth {

namespace {

DestinationVerdict without_uris(DestinationStatus status, std::string reason) {
  return {.status = status, .uris = {}, .reason = std::move(reason)};
}

/// Step 9: what the agreeing records have instead of the URI. Nothing when one of them leads to another host: then
/// neither may be used.
std::optional<std::vector<DmarcUri>> find_replacement(const std::vector<std::string> &records, const std::string &host,
                                                      std::size_t &agreeing) {
  std::vector<DmarcUri> replacement;
  for (const std::string &text : records) {
    // Step 6: only records that begin with the version count.
    const auto record = parse_dmarc_record(text);
    if (!record) continue;
    ++agreeing;
    for (const DmarcUri &uri : record->rua) {
      if (uri.host != host) return std::nullopt;
      if (replacement.size() < most_dmarc_uris) replacement.push_back(uri);
    }
  }
  return replacement;
}

} // namespace

std::string destination_name(std::string_view policy_domain, std::string_view host) {
  return fmt::format("{}._report._dmarc.{}", policy_domain, host);
}

DestinationVerdict judge_destination(std::string_view policy_domain, const DmarcUri &uri, DnsFacts &facts) {
  if (uri.host.empty())
    return without_uris(DestinationStatus::refused, fmt::format("{}: URIs have no host to ask", uri.scheme));
  if (uri.host == policy_domain)
    return {.status = DestinationStatus::internal, .uris = {uri}, .reason = "the domain's own host"};
  const DmarcWalk policy = walk_dmarc_tree(policy_domain, facts);
  const DmarcWalk host = walk_dmarc_tree(uri.host, facts);
  const std::string name = destination_name(policy_domain, uri.host);
  if (policy.missing || host.missing) {
    // Asked for at once, whether or not it turns out to be needed: one round more costs more than one question.
    (void)facts.find(name, RecordType::txt);
    return without_uris(DestinationStatus::temporary, "not known yet");
  }
  if (policy.is_certain() && host.is_certain() && policy.org_domain == host.org_domain)
    return {.status = DestinationStatus::internal, .uris = {uri}, .reason = "the same Organizational Domain"};
  // Where the walks are not certain, an agreement of the destination is enough all the same.
  const DnsFact *fact = facts.find(name, RecordType::txt);
  if (!fact) return without_uris(DestinationStatus::temporary, "not known yet");
  if (fact->status == smtp::DnsStatus::temporary)
    return without_uris(DestinationStatus::temporary,
                        fmt::format("{}: {}", name, fact->detail.empty() ? "temporary DNS failure" : fact->detail));
  std::size_t agreeing = 0;
  auto replacement = find_replacement(fact->texts, uri.host, agreeing);
  if (!replacement)
    return without_uris(DestinationStatus::refused, fmt::format("{} leads to another host than {}", name, uri.host));
  if (agreeing == 0) {
    if (!policy.is_certain() || !host.is_certain())
      return without_uris(DestinationStatus::temporary, policy.is_certain() ? host.problem : policy.problem);
    return without_uris(DestinationStatus::refused, fmt::format("{} has no record that agrees", name));
  }
  if (replacement->empty()) replacement->push_back(uri);
  return {
      .status = DestinationStatus::allowed, .uris = std::move(*replacement), .reason = fmt::format("{} agrees", name)};
}

} // namespace auth
