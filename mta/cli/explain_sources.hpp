// What `explain` asks when no daemon runs: the DNS and the policy hosts themselves, or files that stand for both.
#pragma once

#include <memory>
#include <string>

#include "mta/auth/zone.hpp"
#include "mta/config/snapshot.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/sts/sts_policies.hpp"

namespace mta::cli {

/// Answers from a zone.json, with the DNSSEC state that it gives each name.
class ZoneResolver final : public Resolver {
public:
  explicit ZoneResolver(Zone zone) : zone_(std::move(zone)) {}
  Task<smtp::DnsAnswer<smtp::MxRecord>> mx(std::string name) override;
  Task<smtp::DnsAnswer<smtp::IpAddress>> addresses_v4(std::string name) override;
  Task<smtp::DnsAnswer<smtp::IpAddress>> addresses_v6(std::string name) override;
  Task<smtp::DnsAnswer<std::string>> txt(std::string name) override;
  Task<smtp::DnsAnswer<std::string>> cname(std::string name) override;
  Task<smtp::DnsAnswer<smtp::TlsaRecord>> tlsa(std::string name) override;
  Task<smtp::DnsAnswer<std::string>> ptr(const smtp::IpAddress &address) override;

private:
  Task<smtp::DnsAnswer<std::string>> names_of(std::string reverse_name);
  const Zone zone_;
};

/// MTA-STS policies from the hosts that serve them, as they are now; nothing is kept. All must outlive it.
class FetchedPolicies final : public StsPolicies {
public:
  FetchedPolicies(std::shared_ptr<const Snapshot> snapshot, Resolver &resolver)
      : snapshot_(std::move(snapshot)), resolver_(resolver) {}
  Task<policy::StsFacts> find(std::string domain) override;

private:
  const std::shared_ptr<const Snapshot> snapshot_;
  Resolver &resolver_;
};

/// MTA-STS policies from a folder: the file mta-sts.DOMAIN (with or without .txt) is what https://mta-sts.DOMAIN/ would
/// serve. The record comes from the resolver. A file that is missing is a policy host that cannot be reached.
class PolicyFolder final : public StsPolicies {
public:
  /// An empty `folder` holds no policy. Throws std::runtime_error when there is no such folder.
  PolicyFolder(Resolver &resolver, std::string folder);
  Task<policy::StsFacts> find(std::string domain) override;

private:
  Resolver &resolver_;
  const std::string folder_;
};

} // namespace mta::cli
