// fetch_missing: see the header.
#include "mta/auth/dns_fetch.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

using auth::DnsFact;
using auth::DnsQuestion;
using auth::RecordType;

/// "1.2.0.192.in-addr.arpa" and its IPv6 counterpart back to the address.
std::optional<smtp::IpAddress> address_of(std::string_view reverse_name) {
  constexpr std::string_view v4_end = ".in-addr.arpa", v6_end = ".ip6.arpa";
  if (reverse_name.ends_with(v4_end)) {
    reverse_name.remove_suffix(v4_end.size());
    const auto parts = smtp::split(reverse_name, '.');
    if (parts.size() != 4) return std::nullopt;
    std::array<std::uint8_t, 4> octets{};
    for (std::size_t i = 0; i < 4; ++i) {
      const auto number = smtp::parse_number(parts[3 - i]);
      if (!number || *number > 255) return std::nullopt;
      octets.at(i) = static_cast<std::uint8_t>(*number);
    }
    return smtp::IpAddress::v4(octets);
  }
  if (!reverse_name.ends_with(v6_end)) return std::nullopt;
  reverse_name.remove_suffix(v6_end.size());
  if (reverse_name.size() != 63) return std::nullopt;
  constexpr std::string_view digits = "0123456789abcdef";
  std::array<std::uint8_t, 16> octets{};
  for (std::size_t i = 0; i < 32; ++i) {
    const auto digit = digits.find(reverse_name[2 * (31 - i)]);
    if (digit == std::string_view::npos || (i != 0 && reverse_name[2 * (31 - i) + 1] != '.')) return std::nullopt;
    octets.at(i / 2) = static_cast<std::uint8_t>((static_cast<std::size_t>(octets.at(i / 2)) << 4U) | digit);
  }
  return smtp::IpAddress::v6(octets);
}

/// An answer and how long it lives.
struct Fetched {
  DnsFact fact;
  std::chrono::seconds ttl{0};
};

template <typename Record> Fetched fact_of(smtp::DnsAnswer<Record> &answer, std::vector<Record> DnsFact::*list) {
  Fetched fetched;
  fetched.ttl = answer.ttl;
  fetched.fact.status = answer.status;
  fetched.fact.detail = std::move(answer.detail);
  fetched.fact.*list = std::move(answer.records);
  return fetched;
}

Task<Fetched> ask(Resolver &resolver, DnsQuestion question) {
  switch (question.type) {
  case RecordType::a: {
    auto answer = co_await resolver.addresses_v4(question.name);
    co_return fact_of(answer, &DnsFact::addresses);
  }
  case RecordType::aaaa: {
    auto answer = co_await resolver.addresses_v6(question.name);
    co_return fact_of(answer, &DnsFact::addresses);
  }
  case RecordType::mx: {
    auto answer = co_await resolver.mx(question.name);
    co_return fact_of(answer, &DnsFact::hosts);
  }
  case RecordType::txt: {
    auto answer = co_await resolver.txt(question.name);
    co_return fact_of(answer, &DnsFact::texts);
  }
  case RecordType::ptr: {
    const auto address = address_of(question.name);
    if (!address) {
      Fetched none;
      none.fact.status = smtp::DnsStatus::no_name;
      co_return none;
    }
    auto answer = co_await resolver.ptr(*address);
    co_return fact_of(answer, &DnsFact::texts);
  }
  }
  co_return Fetched{};
}

/// One round of questions; it stays alive until the last of them has its answer, which may be after the deadline.
struct Round {
  Round(const asio::any_io_executor &executor, std::vector<DnsQuestion> asked)
      : questions(std::move(asked)), answers(questions.size()), left(questions.size()), timer(executor) {}

  std::vector<DnsQuestion> questions;
  std::vector<Fetched> answers;
  std::size_t left;
  asio::steady_timer timer; ///< cancelled by the last answer
  std::shared_ptr<const void> resolver;
};

Task<> answer_one(Resolver &resolver, std::shared_ptr<Round> round, std::size_t index) {
  Fetched fetched = co_await ask(resolver, round->questions[index]);
  round->answers[index] = std::move(fetched);
  if (--round->left == 0) round->timer.cancel();
}

} // namespace

Task<> fetch_missing(Resolver &resolver, auth::DnsFacts &facts, std::chrono::steady_clock::time_point deadline,
                     FactCache *cache, std::shared_ptr<const void> kept) {
  if (facts.missing().empty()) co_return;
  const auto executor = co_await asio::this_coro::executor;
  const auto round = std::make_shared<Round>(executor, facts.missing());
  round->resolver = std::move(kept);
  facts.clear_missing();
  for (Fetched &answer : round->answers) answer.fact.detail = "no answer within the time limit of the checks";
  round->timer.expires_at(deadline);
  for (std::size_t i = 0; i < round->questions.size(); ++i)
    asio::co_spawn(executor, answer_one(resolver, round, i), asio::detached);
  boost::system::error_code ended; // by the last answer, or by the deadline
  if (round->left != 0) co_await round->timer.async_wait(asio::redirect_error(asio::use_awaitable, ended));
  const auto now = FactCache::Clock::now();
  for (std::size_t i = 0; i < round->questions.size(); ++i) {
    // A copy: what comes after the deadline still goes to the round.
    const auto fact = std::make_shared<const DnsFact>(round->answers[i].fact);
    if (cache != nullptr) cache->put(round->questions[i], fact, round->answers[i].ttl, now);
    facts.put(round->questions[i], fact);
  }
}

} // namespace mta
