// Discovery: see the header.
#include "mta/sts/discovery.hpp"

#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace mta {

using policy::TlsFault;
using smtp::DnsStatus;
using smtp::ErrorCode;

namespace {

/// RFC 8460 section 4.3.2.2. Of a host that answered as it should, a text that is not a policy; of any other, no fetch.
TlsFault fault_of(const smtp::Error &error) {
  return error.code == ErrorCode::tls ? TlsFault::sts_webpki_invalid : TlsFault::sts_policy_fetch_error;
}

StsFetchOutcome failure(TlsFault fault, std::string detail) {
  StsFetchOutcome outcome;
  outcome.fault = fault;
  outcome.detail = std::move(detail);
  return outcome;
}

/// RFC 8461 section 3.3: only 200 counts, redirects are not followed, and the media type is text/plain.
StsFetchOutcome judge_answer(HttpAnswer answer, const std::string &host) {
  if (answer.status >= 300 && answer.status <= 399)
    return failure(TlsFault::sts_policy_fetch_error,
                   fmt::format("{}: status {}: redirects are not followed", host, answer.status));
  if (answer.status != 200)
    return failure(TlsFault::sts_policy_fetch_error,
                   fmt::format("{}: status {} {}", host, answer.status, smtp::escape(answer.reason, 60)));
  if (answer.content_type != "text/plain")
    return failure(TlsFault::sts_policy_invalid, fmt::format("{}: media type \"{}\", must be text/plain", host,
                                                             smtp::escape(answer.content_type, 60)));
  auto policy = policy::parse_sts_policy(answer.body);
  if (!policy) return failure(TlsFault::sts_policy_invalid, fmt::format("{}: {}", host, policy.error().detail));
  StsFetchOutcome outcome;
  outcome.policy = std::move(*policy);
  outcome.text = std::move(answer.body);
  return outcome;
}

} // namespace

Url sts_policy_url(const std::string &domain, std::uint16_t port) {
  Url url;
  url.host = "mta-sts." + domain;
  url.port = port;
  url.target = "/.well-known/mta-sts.txt";
  return url;
}

Task<StsRecordAnswer> look_up_sts_record(Resolver &resolver, std::string domain) {
  StsRecordAnswer result;
  auto answer = co_await resolver.txt("_mta-sts." + domain);
  result.ttl = answer.ttl;
  if (answer.status == DnsStatus::temporary) {
    result.detail = fmt::format("_mta-sts.{} cannot be looked up now: {}", domain, smtp::escape(answer.detail));
    co_return result;
  }
  result.state = StsRecordAnswer::State::none;
  if (answer.status != DnsStatus::ok) {
    result.detail = fmt::format("_mta-sts.{} has no record", domain);
    co_return result;
  }
  auto id = policy::find_sts_record(answer.records);
  if (!id) {
    result.detail = fmt::format("_mta-sts.{}: {}", domain, id.error().detail);
  } else if (!*id) {
    result.detail = fmt::format("_mta-sts.{} has no record that begins with v=STSv1", domain);
  } else {
    result.state = StsRecordAnswer::State::found;
    result.id = std::move(**id);
  }
  co_return result;
}

Task<StsFetchOutcome> fetch_sts_policy(std::shared_ptr<const Snapshot> snapshot, Resolver &resolver,
                                       std::string domain) {
  const Config &config = snapshot->config();
  HttpRequest request;
  request.url = sts_policy_url(domain, config.mta_sts.port);
  request.max_body = config.mta_sts.max_size;
  request.timeout = config.mta_sts.timeout;
  const std::string host = request.url.host;
  HttpServices services{resolver, snapshot->client_context(config.outbound.profile, ""),
                        snapshot->trust_store(config.mta_sts.trust)};
  services.source_addresses = config.outbound.source_addresses;
  services.ipv4 = config.outbound.ipv4;
  services.ipv6 = config.outbound.ipv6;
  services.only_global = !config.mta_sts.allow_private_addresses;
  auto answer = co_await fetch(std::move(request), std::move(services));
  if (!answer) co_return failure(fault_of(answer.error()), answer.error().detail);
  co_return judge_answer(std::move(*answer), host);
}

} // namespace mta
