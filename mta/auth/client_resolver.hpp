// ClientResolver: the resolver as the checks of one client's message see it: within that client's share of questions.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "mta/auth/question_gate.hpp"
#include "mta/config/config.hpp"
#include "mta/dns/resolver.hpp"

namespace mta {

/// Every answer that does not come is temporary, with the reason. One thread; questions that are under way may outlive
/// it, but not `inner`.
class ClientResolver final : public Resolver {
public:
  struct Client {
    smtp::IpAddress address;
    QuestionLimits limits;
    std::chrono::steady_clock::time_point deadline; ///< a question whose turn comes after it is not asked
  };
  ClientResolver(Resolver &inner, std::shared_ptr<QuestionGate> gate, Client client)
      : inner_(inner), gate_(std::move(gate)), client_(std::make_shared<const Client>(std::move(client))) {}

  Task<smtp::DnsAnswer<smtp::MxRecord>> mx(std::string name) override;
  Task<smtp::DnsAnswer<smtp::IpAddress>> addresses_v4(std::string name) override;
  Task<smtp::DnsAnswer<smtp::IpAddress>> addresses_v6(std::string name) override;
  Task<smtp::DnsAnswer<std::string>> txt(std::string name) override;
  Task<smtp::DnsAnswer<std::string>> cname(std::string name) override;
  Task<smtp::DnsAnswer<smtp::TlsaRecord>> tlsa(std::string name) override;
  Task<smtp::DnsAnswer<std::string>> ptr(const smtp::IpAddress &address) override;
  [[nodiscard]] ResolverStatus status() const override { return inner_.status(); }

private:
  Resolver &inner_;
  std::shared_ptr<QuestionGate> gate_;
  std::shared_ptr<const Client> client_;
};

/// What [limits] says, and three quarters of what the resolver takes for all clients together: the rest is for networks
/// that ask little.
[[nodiscard]] QuestionLimits question_limits(const Config &config);

} // namespace mta
