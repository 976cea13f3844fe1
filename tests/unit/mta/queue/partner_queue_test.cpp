// PartnerQueue: whose mail that waits calls people, and by which clock.
#include "mta/queue/partner_queue.hpp"

#include "tests/unit/mta/queue/scheduler_fixture.hpp"

namespace queue_test {
namespace partner_queue_test {

policy::Partner partner_queue_partner(const std::string &name, const std::string &pattern, bool outbound) {
  policy::Partner partner;
  partner.name = name;
  partner.domains = {smtp::DomainPattern::parse(pattern).value()};
  if (outbound) partner.outbound.emplace();
  return partner;
}

Config partner_queue_config(std::vector<policy::Partner> partners) {
  Config config;
  config.partners = policy::PartnerTable::build(std::move(partners)).value();
  config.tls_evidence.alert_waiting = 30min;
  return config;
}

class PartnerQueueTest : public SchedulerTest {};

struct PartnerQueueRow {
  const char *name;
  std::string pattern;
  bool outbound;
  FailureCause cause;
  std::chrono::seconds waited;
  bool is_told;
};

TEST_F(PartnerQueueTest, mail_for_partners_calls_people) {
  const std::vector<PartnerQueueRow> rows = {
      {"a dead host, with a rule for mail to it", "a.example", true, FailureCause::connect, 31min, true},
      {"without one: it is a partner all the same", "a.example", false, FailureCause::connect, 31min, true},
      {"its TLS, without a rule", "a.example", false, FailureCause::tls, 31min, true},
      {"not for so long", "a.example", false, FailureCause::connect, 29min, false},
      {"a group whose rule keeps the mail", "*.example", true, FailureCause::tls, 31min, true},
      {"a dead host of a group", "*.example", true, FailureCause::connect, 31min, false},
      {"a group without a rule: nothing of ours keeps it", "*.example", false, FailureCause::tls, 31min, false},
      {"no partner", "b.example", true, FailureCause::tls, 31min, false},
  };
  for (const PartnerQueueRow &row : rows) {
    SCOPED_TRACE(row.name);
    const Config config = partner_queue_config({partner_queue_partner("P", row.pattern, row.outbound)});
    QueuedMessage waiting = message(1, {"p@a.example"});
    waiting.recipients[0].cause = row.cause;
    PartnerQueue watch;
    ::support::MemoryLog log;
    ASSERT_TRUE(watch.begin(config));
    watch.see(waiting, row.waited);
    watch.end(log, {});
    EXPECT_EQ(log.count({"event=partner_waiting", "partner=P", "domain=a.example"}), row.is_told ? 1U : 0U);
  }
  PartnerQueue watch;
  EXPECT_FALSE(watch.begin(partner_queue_config({}))) << "nobody to watch for";
}

TEST_F(PartnerQueueTest, once_an_hour_by_the_steady_clock_and_the_oldest_counts) {
  const Config config = partner_queue_config({partner_queue_partner("P", "a.example", false)});
  PartnerQueue watch;
  ::support::MemoryLog log;
  const auto look = [&](PartnerQueue::Now now) {
    if (!watch.begin(config)) return;
    watch.see(message(1, {"p@a.example"}), 31min);
    watch.see(message(2, {"q@a.example"}), 40min);
    watch.see(message(3, {"r@a.example"}), 1min);
    watch.end(log, now);
  };
  PartnerQueue::Now now{};
  look(now);
  EXPECT_EQ(log.count({"event=partner_waiting", "messages=3", "oldest_s=2400"}), 1U);
  look(now += 59min);
  EXPECT_EQ(log.lines.size(), 1U);
  look(now += 1min);
  EXPECT_EQ(log.lines.size(), 2U);
}

} // namespace partner_queue_test
} // namespace queue_test
