// Resolver: asynchronous DNS questions with DNSSEC state; the interface that outbound and the checks use.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mta/base/async.hpp"
#include "mta/config/config.hpp"
#include "smtp/dns/answer.hpp"

namespace mta {

/// Counts of a resolver.
struct ResolverStatus {
  std::size_t under_way = 0;    ///< that the library works at; each holds some 15 KiB
  std::size_t abandoned = 0;    ///< of these: nobody waits for the answer any more
  std::size_t waiting = 0;      ///< for room among them
  std::size_t limit = 0;        ///< of `under_way`; 0: none
  std::uint64_t answered = 0;   ///< with records, or with their absence
  std::uint64_t unanswered = 0; ///< SERVFAIL, or no answer within the timeout
};

/// Thread-safe. Each coroutine resumes on its own executor. Names are without a final dot. Every answer comes within
/// the configured timeout (DnsStatus::temporary then).
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
  /// From now on only these of the configured forwarders are asked; what is under way ends where it began. Blocks as
  /// make_resolver() does, whose errors it has; then nothing changes. One that has no forwarders does nothing.
  virtual smtp::Result<void> use_forwarders(const std::vector<smtp::SocketAddress> &) { return {}; }
  /// Of one that counts nothing: zeros.
  [[nodiscard]] virtual ResolverStatus status() const { return {}; }
};

/// The real one, over libunbound in thread mode: validates DNSSEC in process. `executor` runs its callbacks; it must
/// outlive the resolver. At most `config.questions` are under way at one time, those included that are past their
/// deadline and that the library still works at; further ones wait for room. Blocks until the library's thread has
/// answered a first question. Errors name the option or file that libunbound refused, or what is missing.
[[nodiscard]] smtp::Result<std::unique_ptr<Resolver>> make_resolver(const DnsConfig &config,
                                                                    asio::any_io_executor executor);

} // namespace mta
