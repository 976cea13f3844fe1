// ClientResolver: see the header.
#include "mta/auth/client_resolver.hpp"

#include <fmt/format.h>

namespace mta {

namespace {

using Clock = QuestionGate::Clock;
using Gate = std::shared_ptr<QuestionGate>;
using Client = std::shared_ptr<const ClientResolver::Client>;

template <typename Record> smtp::DnsAnswer<Record> put_off(std::string why) {
  smtp::DnsAnswer<Record> answer;
  answer.detail = std::move(why);
  return answer;
}

template <typename Record> QuestionGate::Outcome outcome_of(const smtp::DnsAnswer<Record> &answer) {
  if (answer.status != smtp::DnsStatus::temporary) return QuestionGate::Outcome::answered;
  return answer.detail.starts_with("bogus: ") ? QuestionGate::Outcome::refused : QuestionGate::Outcome::unanswered;
}

/// Gives the question's place back, whatever becomes of the coroutine.
class Place {
public:
  Place(QuestionGate &gate, const smtp::IpAddress &client, const std::string &name)
      : gate_(gate), client_(client), name_(name) {}
  ~Place() { gate_.leave(client_, name_, outcome, began_, Clock::now()); }
  Place(const Place &) = delete;
  Place &operator=(const Place &) = delete;
  QuestionGate::Outcome outcome = QuestionGate::Outcome::refused;

private:
  QuestionGate &gate_;
  const smtp::IpAddress &client_;
  const std::string &name_;
  const Clock::time_point began_ = Clock::now();
};

/// `call` puts the question to the resolver.
template <typename Record, typename Call>
Task<smtp::DnsAnswer<Record>> ask_in_turn(Resolver &inner, Gate gate, Client client, std::string name, Call call) {
  if (const auto dead = gate->find_dead(name, Clock::now()))
    co_return put_off<Record>(fmt::format("the name servers of {} did not answer lately; they are asked again in {} s",
                                          dead->name, dead->left.count()));
  std::string refusal;
  auto start = [&](std::function<void(bool)> done) {
    auto turn = gate->enter(client->address, client->limits, [done] { done(true); });
    if (!turn) refusal = std::move(turn.error().detail);
    if (!turn || *turn == QuestionGate::Turn::now) done(turn.has_value());
  };
  const bool entered = co_await await_callback<bool>(start);
  if (!entered) co_return put_off<Record>(std::move(refusal));
  Place place(*gate, client->address, name);
  if (Clock::now() >= client->deadline)
    co_return put_off<Record>(
        "not asked within the time limit of the checks: others about this client's mail came first");
  auto question = call(inner, name);
  auto answer = co_await std::move(question);
  place.outcome = outcome_of(answer);
  co_return answer;
}

} // namespace

Task<smtp::DnsAnswer<smtp::MxRecord>> ClientResolver::mx(std::string name) {
  return ask_in_turn<smtp::MxRecord>(inner_, gate_, client_, std::move(name),
                                     [](Resolver &inner, const std::string &asked) { return inner.mx(asked); });
}

Task<smtp::DnsAnswer<smtp::IpAddress>> ClientResolver::addresses_v4(std::string name) {
  return ask_in_turn<smtp::IpAddress>(
      inner_, gate_, client_, std::move(name),
      [](Resolver &inner, const std::string &asked) { return inner.addresses_v4(asked); });
}

Task<smtp::DnsAnswer<smtp::IpAddress>> ClientResolver::addresses_v6(std::string name) {
  return ask_in_turn<smtp::IpAddress>(
      inner_, gate_, client_, std::move(name),
      [](Resolver &inner, const std::string &asked) { return inner.addresses_v6(asked); });
}

Task<smtp::DnsAnswer<std::string>> ClientResolver::txt(std::string name) {
  return ask_in_turn<std::string>(inner_, gate_, client_, std::move(name),
                                  [](Resolver &inner, const std::string &asked) { return inner.txt(asked); });
}

Task<smtp::DnsAnswer<std::string>> ClientResolver::cname(std::string name) {
  return ask_in_turn<std::string>(inner_, gate_, client_, std::move(name),
                                  [](Resolver &inner, const std::string &asked) { return inner.cname(asked); });
}

Task<smtp::DnsAnswer<smtp::TlsaRecord>> ClientResolver::tlsa(std::string name) {
  return ask_in_turn<smtp::TlsaRecord>(inner_, gate_, client_, std::move(name),
                                       [](Resolver &inner, const std::string &asked) { return inner.tlsa(asked); });
}

Task<smtp::DnsAnswer<std::string>> ClientResolver::ptr(const smtp::IpAddress &address) {
  return ask_in_turn<std::string>(inner_, gate_, client_, address.reverse_name(),
                                  [address](Resolver &inner, const std::string &) { return inner.ptr(address); });
}

QuestionLimits question_limits(const Config &config) {
  return {.per_address = config.limits.questions_per_address,
          .per_network = config.limits.questions_per_network,
          .total = config.dns.questions - config.dns.questions / 4,
          .unanswered_per_address = config.limits.unanswered_per_address,
          .unanswered_per_network = config.limits.unanswered_per_network};
}

} // namespace mta
