// HostWalk: which hosts hear of a message, in which order and how, and what their answers amount to; a row for each
// kind of host list.
#include "mta/outbound/host_walk.hpp"

#include <gtest/gtest.h>

namespace host_walk_test {

using namespace mta;
using Kind = RecipientResult::Kind;
using Clear = HostWalk::Clear;
using OutcomeKind = smtp::RecipientOutcome::Kind;

smtp::SocketAddress address_of(std::size_t host) {
  return {smtp::IpAddress::v4({192, 0, 2, static_cast<std::uint8_t>(host + 1)}), 25};
}

smtp::RecipientOutcome outcome(std::uint16_t code, std::optional<smtp::EnhancedCode> enhanced = std::nullopt) {
  smtp::RecipientOutcome made;
  made.kind = code >= 500 ? OutcomeKind::permanent : code >= 400 ? OutcomeKind::temporary : OutcomeKind::delivered;
  made.reply = {code, enhanced, "words"};
  return made;
}

HostFailure failure(HostLesson lesson, FailureCause cause, std::uint16_t code, bool for_good = false) {
  HostFailure made;
  made.lesson = lesson;
  made.cause = cause;
  made.host = "host";
  made.reply = {code, std::nullopt, "words"};
  made.detail = "words";
  made.refused_for_good = for_good;
  return made;
}

/// Hosts by what they do: "dead", "greet554", "greet421", "loop", "noaddress", "forbidden" (by policy), "weak" (TLS
/// that is not what is demanded), "busy", "inject", "lost" (in the midst), "lost450", "unsure", "lacks" (8BITMIME),
/// "small" (for the message), "552" …: a
/// code that answers the message, perhaps with an enhanced one ("550/5.1.1"). "tls:X": the handshake fails, in clear it
/// does X; "plain:X": offers no TLS, does X.
class Play {
public:
  explicit Play(std::vector<std::string> hosts, HostWalk::Start start = {}, std::vector<std::uint16_t> preferences = {})
      : hosts_(std::move(hosts)), walk_(make_hosts(hosts_.size(), preferences), {0}, now_, std::move(start)) {}

  HostWalk &walk() { return walk_; }
  /// The hosts in the order of their connections; "c": in clear, "-": looked up only.
  std::string run() {
    for (int i = 0; i < 1000; ++i) {
      now_ += each_;
      auto step = walk_.next(now_);
      if (const auto *look = std::get_if<HostWalk::LookUp>(&step))
        look_up(look->host);
      else if (const auto *connect = std::get_if<HostWalk::Connect>(&step))
        visit(*connect);
      else
        return visits_;
    }
    return "endless";
  }
  void take(std::chrono::seconds each) { each_ = each; }

private:
  static std::vector<HostWalk::Host> make_hosts(std::size_t count, const std::vector<std::uint16_t> &preferences) {
    std::vector<HostWalk::Host> made;
    for (std::size_t i = 0; i < count; ++i)
      made.push_back({"mx" + std::to_string(i + 1),
                      i < preferences.size() ? preferences[i] : static_cast<std::uint16_t>(10 * (i + 1))});
    return made;
  }
  void note(std::size_t host, const char *mark) {
    if (!visits_.empty()) visits_ += ' ';
    visits_ += std::to_string(host + 1) + mark;
  }
  void look_up(std::size_t host) {
    const std::string &does = hosts_[host];
    if (does == "loop") {
      note(host, "-");
      walk_.is_us(loop_failure("host", "ours", false));
    } else if (does == "noaddress") {
      note(host, "-");
      walk_.pass_over(failure(HostLesson::host, FailureCause::dns, 550, true));
    } else if (does == "forbidden") {
      note(host, "-");
      walk_.pass_over(failure(HostLesson::nothing, FailureCause::tls, 451));
    } else {
      walk_.found({address_of(host)});
    }
  }
  void visit(const HostWalk::Connect &step) {
    std::string does = hosts_[step.host];
    if (does == "busy") return walk_.busy(step.addresses);
    note(step.host, step.in_clear ? "c" : "");
    walk_.tried(step.addresses);
    const auto address = step.addresses.front();
    if (does == "dead") return walk_.no_session(failure(HostLesson::host, FailureCause::connect, 451), "", address);
    if (does == "greet554")
      return walk_.no_session(failure(HostLesson::host, FailureCause::reply, 554, true), "", address);
    if (does == "greet421") return walk_.no_session(failure(HostLesson::host, FailureCause::reply, 421), "", address);
    if (does == "weak") return walk_.no_session(failure(HostLesson::message, FailureCause::tls, 451), "", address);
    if (does == "inject") {
      walk_.injected();
      return walk_.no_session(failure(HostLesson::message, FailureCause::tls, 451), "", address);
    }
    Clear clear = Clear::no;
    if (does.starts_with("tls:")) {
      if (!step.in_clear)
        return walk_.no_session(failure(HostLesson::message, FailureCause::tls, 451), "the handshake failed", address);
      clear = Clear::fallback;
      does = does.substr(4);
    } else if (does.starts_with("plain:")) {
      if (!step.in_clear && walk_.puts_off_clear(address, "STARTTLS was not offered")) return;
      clear = Clear::not_offered;
      does = does.substr(6);
    }
    HostWalk::Session session;
    session.label = "mx" + std::to_string(step.host + 1) + "[192.0.2.1]";
    session.address = address;
    session.clear = clear;
    walk_.begin_session(session);
    answer(does);
  }
  void answer(const std::string &does) {
    const auto batch = walk_.batch(100);
    if (does == "lost" || does == "unsure") {
      const bool unsure = does == "unsure";
      auto lost = outcome(451, smtp::EnhancedCode{4, 4, 2});
      lost.local = true;
      walk_.broke_off(batch, {lost},
                      unsure ? unsure_failure("mx[192.0.2.1]", "words")
                             : failure(HostLesson::nothing, FailureCause::connect, 451),
                      unsure);
      return;
    }
    if (does == "lacks" && walk_.may_convert()) {
      walk_.answered(batch, {outcome(250)});
      return;
    }
    if (does == "lacks" || does == "small") {
      auto lacks =
          does == "lacks" ? outcome(554, smtp::EnhancedCode{5, 6, 3}) : outcome(552, smtp::EnhancedCode{5, 3, 4});
      lacks.local = lacks.lacking = true;
      walk_.answered(batch, {lacks});
      return;
    }
    const auto slash = does.find('/');
    const auto code = static_cast<std::uint16_t>(std::stoi(does.substr(0, slash)));
    walk_.answered(
        batch,
        {outcome(code, slash == std::string::npos ? std::nullopt : smtp::EnhancedCode::parse(does.substr(slash + 1)))});
  }

  std::vector<std::string> hosts_;
  HostWalk::Clock::time_point now_{};
  std::chrono::seconds each_{0};
  HostWalk walk_;
  std::string visits_;
};

struct Row {
  const char *name;
  std::vector<std::string> hosts;
  const char *visits;
  Kind kind;
  std::uint16_t code;
  DestinationLesson lesson = DestinationLesson::reached;
};

const auto delivered = Kind::delivered;
const auto temporary = Kind::temporary;
const auto permanent = Kind::permanent;
const auto failed = DestinationLesson::failed;
const auto unknown = DestinationLesson::unknown;

const Row rows[] = {
    {"the first host takes it", {"250", "250"}, "1", delivered, 250},
    {"a 4xx goes to the next host", {"450", "250"}, "1 2", delivered, 250},
    {"a 4xx of every host is temporary, with the last answer", {"450", "451"}, "1 2", temporary, 451},
    {"a 5xx is the end", {"550", "250"}, "1", permanent, 550},
    {"a 4xx then a 5xx is the end", {"450", "550", "250"}, "1 2", permanent, 550},
    {"a 4xx beside dead hosts is what the sender hears of", {"450", "dead"}, "1 2", temporary, 450},
    {"a full mailbox is tried at the other hosts", {"452/4.2.2", "250"}, "1 2", delivered, 250},
    {"a greeting of 554 goes to the next host", {"greet554", "250"}, "1 2", delivered, 250},
    {"a greeting of 554 at every host is permanent", {"greet554", "greet554"}, "1 2", permanent, 554, failed},
    {"a greeting of 554 beside a dead host is temporary", {"greet554", "dead"}, "1 2", temporary, 554, failed},
    {"five dead hosts do not hide the sixth",
     {"dead", "dead", "dead", "dead", "dead", "250"},
     "1 2 3 4 5 6",
     delivered,
     250},
    {"nineteen dead hosts do not hide the twentieth",
     {"dead", "dead", "dead", "dead", "dead", "dead", "dead", "dead", "dead", "dead",
      "dead", "dead", "dead", "dead", "dead", "dead", "dead", "dead", "dead", "250"},
     "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20",
     delivered,
     250},
    {"every host dead is a dead destination", {"dead", "greet421"}, "1 2", temporary, 421, failed},
    {"no host has an address", {"noaddress", "noaddress"}, "1- 2-", permanent, 550, failed},
    {"a connection lost in the midst goes to the next host", {"lost", "250"}, "1 2", delivered, 250},
    {"a connection lost in the midst says nothing of the destination", {"lost"}, "1", temporary, 451, unknown},
    {"an unsure end makes no second copy", {"unsure", "250"}, "1", temporary, 451, unknown},
    {"an unsure end after a 4xx makes none either", {"450", "unsure", "250"}, "1 2", temporary, 451},
    {"what one host lacks another may have", {"small", "250"}, "1 2", delivered, 250},
    {"what every host lacks is final", {"small", "small"}, "1 2", permanent, 552},
    {"what one host lacks is not final while another is dead", {"small", "dead"}, "1 2", temporary, 451},
    {"what one host lacks is not final while another said 4xx", {"small", "450"}, "1 2", temporary, 450},
    {"8-bit content goes as it is where it can", {"lacks", "250"}, "1 2", delivered, 250},
    {"converted at once where there is one host", {"lacks"}, "1", delivered, 250},
    {"converted at the best host where none takes it as it is", {"lacks", "lacks"}, "1 2 1", delivered, 250},
    {"converted where the other host is dead", {"lacks", "dead"}, "1 2 1", delivered, 250},
    {"converted where the other host said 4xx", {"lacks", "450"}, "1 2 1", delivered, 250},
    {"converted with TLS before anything goes in clear", {"tls:250", "lacks", "dead"}, "1 2 3 2", delivered, 250},
    {"converted in clear in the end", {"tls:lacks", "dead"}, "1 2 1c", delivered, 250},
    {"TLS that is not enough goes to the next host", {"weak", "250"}, "1 2", delivered, 250},
    {"TLS that is not enough says nothing of the host's health", {"weak"}, "1", temporary, 451},
    {"a host that policy forbids is not asked", {"forbidden", "250"}, "1- 2", delivered, 250},
    {"a host that only this message may not use says nothing of the destination",
     {"dead", "forbidden"},
     "1 2-",
     temporary,
     451,
     unknown},
    {"an opportunistic failure tries the others with TLS first", {"tls:250", "250"}, "1 2", delivered, 250},
    {"then in clear", {"tls:250", "dead"}, "1 2 1c", delivered, 250},
    {"in clear at every host whose TLS failed", {"tls:450", "tls:250"}, "1 2 1c 2c", delivered, 250},
    {"a host without TLS waits for the others when TLS failed before",
     {"tls:250", "plain:250", "250"},
     "1 2 3",
     delivered,
     250},
    {"the last host without TLS is used at once", {"tls:250", "plain:250"}, "1 2", delivered, 250},
    {"a host without TLS alone is used at once", {"plain:250", "250"}, "1", delivered, 250},
    {"530 in clear is no verdict", {"tls:530", "dead"}, "1 2 1c", temporary, 530},
    {"530 in clear and another host in clear", {"tls:530", "tls:250"}, "1 2 1c 2c", delivered, 250},
    {"any unclear 5xx in clear is no verdict", {"tls:550"}, "1 1c", temporary, 550},
    {"a policy's 5xx in clear is no verdict", {"tls:550/5.7.1"}, "1 1c", temporary, 550},
    {"an unknown user in clear is unknown", {"tls:550/5.1.1"}, "1 1c", permanent, 550},
    {"530 of a host that offers no TLS is no verdict", {"plain:530"}, "1", temporary, 530},
    {"5.7.10 of a host that offers no TLS is no verdict", {"plain:550/5.7.10"}, "1", temporary, 550},
    {"an unknown user at a host without TLS is unknown", {"plain:550"}, "1", permanent, 550},
    {"octets injected around STARTTLS: nothing goes in clear", {"inject", "tls:250"}, "1 2", temporary, 451},
    {"injected later: the clear attempt of the first is off too", {"tls:250", "inject"}, "1 2", temporary, 451},
    {"ourselves is a loop", {"loop"}, "1-", permanent, 550, unknown},
    {"no host behind ourselves is tried", {"loop", "250"}, "1-", permanent, 550, unknown},
    {"better hosts than ourselves are", {"450", "loop", "250"}, "1 2-", temporary, 450},
    {"a dead host before ourselves may come back", {"dead", "loop", "250"}, "1 2-", temporary, 451, unknown},
    {"every address busy: nothing was learnt", {"busy", "busy"}, "", temporary, 451, unknown},
    {"busy beside dead is no death", {"busy", "dead"}, "2", temporary, 451, unknown},
};

class HostWalkTest : public testing::TestWithParam<Row> {};

TEST_P(HostWalkTest, tries_and_ends_so) {
  const Row &row = GetParam();
  Play play(row.hosts);
  EXPECT_EQ(play.run(), row.visits);
  EXPECT_EQ(play.walk().lesson(), row.lesson);
  const auto results = play.walk().finish(false);
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].kind, row.kind) << results[0].detail;
  EXPECT_EQ(results[0].reply.code, row.code) << results[0].reply.to_line();
  EXPECT_EQ(play.walk().resume_at(), "");
}

INSTANTIATE_TEST_SUITE_P(Walks, HostWalkTest, testing::ValuesIn(rows), [](const auto &row) {
  std::string name = row.param.name;
  for (auto &c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
});

TEST(HostWalk, equal_hosts_behind_ourselves_are_dropped_too) {
  Play play({"dead", "loop", "250"}, {}, {10, 20, 20});
  EXPECT_EQ(play.run(), "1 2-");
}

TEST(HostWalk, only_busy_addresses_put_the_message_off) {
  Play play({"busy"});
  play.run();
  EXPECT_TRUE(play.walk().is_put_off());
  Play other({"busy", "450"});
  other.run();
  EXPECT_FALSE(other.walk().is_put_off());
}

TEST(HostWalk, after_an_unsure_end_the_same_host_is_first) {
  HostWalk::Start start;
  start.unsure = "mx3[192.0.2.3]";
  Play play({"250", "250", "450"}, start);
  EXPECT_EQ(play.run(), "3 1") << "it answered clearly, so others may follow";
}

TEST(HostWalk, a_walk_that_took_too_long_goes_on_where_it_stopped) {
  std::vector<std::string> hosts(10, "dead");
  Play slow(hosts);
  slow.take(std::chrono::minutes(3)); // each step, of which a host has two
  EXPECT_EQ(slow.run(), "1 2");
  EXPECT_EQ(slow.walk().resume_at(), "mx3");
  EXPECT_EQ(slow.walk().finish(false)[0].kind, temporary);
  HostWalk::Start start;
  start.resume_at = "mx3";
  hosts[7] = "250";
  Play next(hosts, start);
  EXPECT_EQ(next.run(), "3 4 5 6 7 8");
}

TEST(HostWalk, a_host_left_out_keeps_refusals_from_being_final) {
  Play play({"greet554", "greet554", "250"});
  HostWalk::Limits limits;
  limits.connects = 2;
  play.walk().set_limits(limits);
  EXPECT_EQ(play.run(), "1 2");
  EXPECT_EQ(play.walk().finish(false)[0].kind, temporary);
}

TEST(HostWalk, recipients_go_their_own_ways) {
  HostWalk walk({{"mx1", 10}, {"mx2", 20}}, {0, 1, 2, 3}, {});
  const auto to_host = [&walk](std::size_t host) {
    ASSERT_TRUE(std::holds_alternative<HostWalk::LookUp>(walk.next({})));
    walk.found({address_of(host)});
    ASSERT_TRUE(std::holds_alternative<HostWalk::Connect>(walk.next({})));
    walk.tried({address_of(host)});
    HostWalk::Session session;
    session.label = "mx" + std::to_string(host + 1) + "[192.0.2.1]";
    session.address = address_of(host);
    walk.begin_session(session);
  };
  to_host(0);
  EXPECT_EQ(walk.batch(100), (std::vector<std::size_t>{0, 1, 2, 3}));
  walk.answered({0, 1, 2, 3}, {outcome(250), outcome(550), outcome(450), outcome(452)});
  EXPECT_EQ(walk.batch(100), (std::vector<std::size_t>{3})) << "452 beside a success: no more at once; 450: elsewhere";
  walk.answered({3}, {outcome(452)});
  EXPECT_TRUE(walk.batch(100).empty()) << "452 without a success is a 4xx as others";
  to_host(1);
  EXPECT_EQ(walk.batch(100), (std::vector<std::size_t>{2, 3}));
  walk.answered({2, 3}, {outcome(250), outcome(450)});
  EXPECT_TRUE(std::holds_alternative<HostWalk::Done>(walk.next({})));
  std::map<std::size_t, Kind> kinds;
  for (const auto &one : walk.finish(false)) kinds[one.index] = one.kind;
  EXPECT_EQ(kinds, (std::map<std::size_t, Kind>{{0, delivered}, {1, permanent}, {2, delivered}, {3, temporary}}));
}

TEST(HostWalk, an_unsure_end_is_so_only_for_whom_the_host_had_accepted) {
  HostWalk walk({{"mx1", 10}, {"mx2", 20}}, {0, 1, 2}, {});
  (void)walk.next({});
  walk.found({address_of(0)});
  (void)walk.next({});
  HostWalk::Session session;
  session.address = address_of(0);
  walk.begin_session(session);
  auto lost = outcome(451, smtp::EnhancedCode{4, 4, 2});
  lost.local = true;
  const auto rows_told =
      walk.broke_off({0, 1, 2}, {lost, outcome(450), outcome(550)}, unsure_failure("mx1", "x"), true);
  EXPECT_EQ(rows_told.size(), 3U);
  EXPECT_EQ(walk.open(), std::vector<std::size_t>{1})
      << "450 to RCPT: it cannot have arrived, another host may take it";
}

TEST(HostWalk, the_unsure_end_is_remembered_by_the_reply) {
  RecipientState state{.recipient = {smtp::Mailbox::parse("a@b.example").value(), {}}};
  EXPECT_EQ(unsure_end(state), "");
  state.cause = FailureCause::connect;
  state.last_host = "mx1[192.0.2.1]";
  state.last_reply = unsure_failure("mx1[192.0.2.1]", "no reply").reply;
  EXPECT_EQ(unsure_end(state), "mx1[192.0.2.1]");
  state.cause = FailureCause::reply; // a peer that says the same words
  EXPECT_EQ(unsure_end(state), "");
}

} // namespace host_walk_test
