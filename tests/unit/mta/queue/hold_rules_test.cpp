// HoldRules: which messages a standing hold means, and that rules outlive the process.
#include "mta/queue/hold_rules.hpp"

#include <fstream>

#include <gtest/gtest.h>

#include "tests/support/temp_folder.hpp"

namespace hold_rules_test {

using namespace mta;

QueuedMessage sample(const std::string &sender = "alice@flood.example") {
  QueuedMessage message;
  message.id = {42};
  if (!sender.empty()) message.envelope.sender.path = smtp::ReversePath(smtp::Mailbox::parse(sender).value());
  message.envelope.client = "192.0.2.7 (mail.flood.example)";
  message.recipients.push_back(RecipientState{smtp::Recipient{smtp::Mailbox::parse("Bob@goal.example").value(), {}}});
  return message;
}

HoldRule rule_of(std::string domain, std::string recipient, std::string sender, const std::string &client) {
  HoldRule rule;
  rule.recipient_domain = std::move(domain);
  rule.recipient = std::move(recipient);
  rule.sender = std::move(sender);
  if (!client.empty()) rule.client = smtp::Network::parse(client).value();
  rule.reason = "incident 12";
  rule.by = "op";
  rule.since = WallTime(std::chrono::hours(500'000));
  return rule;
}

TEST(HoldRuleTest, what_is_named_must_all_fit) {
  struct Row {
    std::string name;
    HoldRule rule;
    bool fits;
  };
  for (const Row &row : std::vector<Row>{
           {"its domain", rule_of("goal.example", "", "", ""), true},
           {"every domain", rule_of("*", "", "", ""), true},
           {"another domain", rule_of("other.example", "", "", ""), false},
           {"its recipient", rule_of("", "bob@GOAL.example", "", ""), true},
           {"another recipient", rule_of("", "rob@goal.example", "", ""), false},
           {"its sender", rule_of("", "", "alice@flood.example", ""), true},
           {"its sender's domain", rule_of("", "", "flood.example", ""), true},
           {"notices", rule_of("", "", "<>", ""), false},
           {"its network", rule_of("", "", "", "192.0.2.0/24"), true},
           {"another network", rule_of("", "", "", "192.0.3.0/24"), false},
           {"all of it", rule_of("goal.example", "bob@goal.example", "flood.example", "192.0.2.7/32"), true},
           {"all but one", rule_of("goal.example", "", "other.example", "192.0.2.7/32"), false}})
    EXPECT_EQ(matches(row.rule, sample()), row.fits) << row.name;
  EXPECT_TRUE(matches(rule_of("", "", "<>", ""), sample("")));
  QueuedMessage local = sample();
  local.envelope.client = "local";
  EXPECT_FALSE(matches(rule_of("", "", "", "0.0.0.0/0"), local)) << "it came from no address";
}

TEST(HoldRulesTest, rules_outlive_the_process_and_numbers_are_not_used_again) {
  const test::TempFolder folder;
  const std::string path = folder.file("holds");
  auto rules = HoldRules::open(path);
  ASSERT_TRUE(rules) << rules.error().detail;
  EXPECT_EQ(rules->add(rule_of("a.example", "", "", "")).value(), 1U);
  EXPECT_EQ(rules->add(rule_of("", "b@goal.example", "<>", "2001:db8::/32")).value(), 2U);
  auto again = HoldRules::open(path);
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_EQ(again->rules(), rules->rules());
  EXPECT_EQ(again->remove(2).value().recipient, "b@goal.example");
  EXPECT_EQ(again->remove(2).error().code, smtp::ErrorCode::not_found);
  auto third = HoldRules::open(path);
  ASSERT_TRUE(third);
  ASSERT_EQ(third->rules().size(), 1U);
  EXPECT_EQ(third->add(rule_of("c.example", "", "", "")).value(), 3U);
  EXPECT_EQ(third->find(sample()), nullptr);
  ASSERT_TRUE(third->add(rule_of("goal.example", "", "", "")));
  const HoldRule *found = third->find(sample());
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(hold_reason_of(*found), "hold-rule 4: incident 12");
}

TEST(HoldRulesTest, a_change_is_in_force_when_it_is_taken_and_kept_when_it_is_written) {
  const test::TempFolder folder;
  const std::string path = folder.file("holds");
  auto rules = HoldRules::open(path);
  ASSERT_TRUE(rules);
  auto change = rules->plan_add(rule_of("goal.example", "", "", ""));
  ASSERT_TRUE(change);
  EXPECT_EQ(change->subject.number, 1U);
  EXPECT_TRUE(rules->rules().empty());
  ASSERT_TRUE(change->write());
  EXPECT_TRUE(rules->rules().empty());
  rules->take(std::move(*change));
  EXPECT_EQ(rules->rules().size(), 1U);
  EXPECT_EQ(HoldRules::open(path)->rules(), rules->rules());
  EXPECT_FALSE(rules->plan_removal(2));
  EXPECT_EQ(rules->plan_removal(1)->subject, rules->rules().front());
}

TEST(HoldRulesTest, the_reason_of_a_hold_names_its_rule) {
  HoldRule rule = rule_of("goal.example", "", "", "");
  rule.number = 12;
  EXPECT_EQ(hold_number_of(hold_reason_of(rule)), 12U);
  for (const char *text :
       {"", "hold-rule", "hold-rule 12", "hold-rule x: y", "a hold-rule 12: y", "hold-rule 12 :", "hold-rule -1:"})
    EXPECT_FALSE(hold_number_of(text)) << text;
}

TEST(HoldRulesTest, a_damaged_file_is_an_error_and_no_empty_list) {
  const test::TempFolder folder;
  const std::string path = folder.file("holds");
  auto rules = HoldRules::open(path);
  ASSERT_TRUE(rules);
  ASSERT_TRUE(rules->add(rule_of("a.example", "", "", "")));
  for (const std::string text : {"x", "PTCHOLD1"}) {
    std::ofstream(path, std::ios::trunc) << text;
    EXPECT_FALSE(HoldRules::open(path)) << text;
  }
}

} // namespace hold_rules_test
