// run_checks: see the header.
#include "mta/auth/run_checks.hpp"

#include "mta/auth/dns_fetch.hpp"

namespace mta {

namespace {

/// SPF uses at most 30 answers for an identity, DMARC a few for each name, keys come at once: far fewer rounds.
constexpr int most_rounds = 100;

void fail_missing(auth::DnsFacts &facts, const std::string &why) {
  const auto missing = facts.missing();
  facts.clear_missing();
  auth::DnsFact failure;
  failure.detail = why;
  for (const auth::DnsQuestion &question : missing) facts.put(question, failure);
}

} // namespace

Task<bool> run_checks(MessageCheck &check, auth::DnsFacts &facts, Resolver *resolver,
                      std::chrono::steady_clock::time_point deadline, FactCache *cache,
                      std::shared_ptr<const void> kept) {
  if (cache != nullptr)
    facts.set_source(
        [cache](const auth::DnsQuestion &question) { return cache->find(question, FactCache::Clock::now()); });
  for (int round = 0; round < most_rounds; ++round) {
    if (check.advance(facts)) co_return true;
    if (check.is_busy()) { // long checks let the others of their worker in
      --round;
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      continue;
    }
    if (resolver == nullptr) {
      fail_missing(facts, "there is no resolver");
    } else if (std::chrono::steady_clock::now() >= deadline) {
      fail_missing(facts, "no answer within the time limit of the checks");
    } else {
      co_await fetch_missing(*resolver, facts, deadline, cache, kept);
    }
  }
  co_return false;
}

} // namespace mta
