// Resolver: asynchronous DNS questions with DNSSEC state; the interface that outbound and the checks use.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "mta/base/async.hpp"
#include "mta/config/config.hpp"
#include "smtp/dns/answer.hpp"

namespace mta {

/// Thread-safe. Each coroutine resumes on its own executor. Names are without a final dot. Every answer comes within the configured
/// timeout (DnsStatus::temporary then).
class Resolver {
public:
  virtual ~Resolver() = default;
  virtual Task<smtp::DnsAnswer<smtp::MxRecord>> mx(std::string name) = 0;
  /// A and AAAA are separate questions, so that their DNSSEC states stay apart.
  virtual Task<smtp::DnsAnswer<smtp::IpAddress>> addresses_v4(std::string name) = 0;
  virtual Task<smtp::DnsAnswer<smtp::IpAddress>> addresses_v6(std::string name) = 0;
  /// Each record's strings joined.
  virtual Task<smtp::DnsAnswer<std::string>> txt(std::string name) = 0;
  /// The alias record itself: its target, not followed.
  virtual Task<smtp::DnsAnswer<std::string>> cname(std::string name) = 0;
  virtual Task<smtp::DnsAnswer<smtp::TlsaRecord>> tlsa(std::string name) = 0;
  virtual Task<smtp::DnsAnswer<std::string>> ptr(const smtp::IpAddress &address) = 0;
};

/// The real one, over libunbound in thread mode: validates DNSSEC in process. `executor` runs its callbacks; it must outlive
/// the resolver. Errors name the option or file that libunbound refused.
[[nodiscard]] smtp::Result<std::unique_ptr<Resolver>> make_resolver(const DnsConfig &config, asio::any_io_executor executor);

} // namespace mta
