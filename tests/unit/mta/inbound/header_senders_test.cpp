// judge_header_senders: From and Sender of a client that may use certain senders only.
#include "mta/inbound/header_senders.hpp"

#include <gtest/gtest.h>

namespace header_senders_test {

struct Row {
  const char *name;
  std::string header;
  bool refused;
};

TEST(HeaderSenders, MustBeAmongTheAllowedOnes) {
  policy::AllowedSenders block;
  block.senders = {policy::SenderPattern::parse("app@ours.example").value(),
                   policy::SenderPattern::parse("free.example").value()};
  const policy::SenderPermit permit(std::vector<const policy::AllowedSenders *>{&block});
  const std::vector<Row> rows = {
      {"the allowed mailbox", "From: app@ours.example\r\n", false},
      {"with a name", "From: The App <app@ours.example>\r\n", false},
      {"with its own address for a name", "From: \"app@ours.example\" <APP@ours.example>\r\n", false},
      {"any mailbox of an allowed domain", "From: Anyone <x@free.example>\r\n", false},
      {"another address of an allowed domain in the name", "From: \"y@free.example\" <x@free.example>\r\n", false},
      {"both", "From: a@free.example, app@ours.example\r\n", false},
      {"another mailbox of the domain", "From: boss@ours.example\r\n", true},
      {"another mailbox behind the allowed one", "From: app@ours.example, boss@ours.example\r\n", true},
      {"another mailbox as the name", "From: boss@ours.example <app@ours.example>\r\n", true},
      {"another mailbox in quotes", "From: \"boss@ours.example\" <app@ours.example>\r\n", true},
      {"another mailbox in a comment", "From: app@ours.example (boss@ours.example)\r\n", true},
      {"the allowed one in a comment", "From: <boss@ours.example> (app@ours.example)\r\n", true},
      {"a folded one", "From: The Boss\r\n <boss@ours.example>\r\n", true},
      {"two From fields", "From: app@ours.example\r\nFrom: boss@ours.example\r\n", true},
      {"a From that cannot be read", "From: boss@ours.example <\r\n", true},
      {"another mailbox in an encoded word", "From: =?utf-8?q?=3Cboss=40ours.example=3E?=, app@ours.example\r\n", true},
      {"another one in base64", "From: =?utf-8?b?PGJvc3NAb3Vycy5leGFtcGxlPg==?= <app@ours.example>\r\n", true},
      {"another one of two encoded words", "From: =?utf-8?q?boss=40?= =?utf-8?q?ours.example?= <app@ours.example>\r\n",
       true},
      {"another one in a charset that hides it", "From: =?utf-7?q?boss+AEA-x?= <app@ours.example>\r\n", true},
      {"an encoded name", "From: =?utf-8?q?The_=C3=84pp?= <app@ours.example>\r\n", false},
      {"a local part with a space", "From: boss. app@ours.example\r\n", true},
      {"a local part with a comment", "From: boss.(x)app@ours.example\r\n", true},
      {"Sender that is not allowed", "From: app@ours.example\r\nSender: boss@ours.example\r\n", true},
      {"Sender that is allowed", "From: app@ours.example\r\nSender: x@free.example\r\n", false},
      {"no From", "Subject: x\r\n", false},
  };
  for (const Row &row : rows) {
    const auth::HeaderFields fields(row.header);
    const auto refusal = mta::inbound::judge_header_senders(fields, permit);
    EXPECT_EQ(refusal.has_value(), row.refused) << row.name;
    if (refusal) {
      EXPECT_EQ(refusal->code, 550) << row.name;
    }
    EXPECT_FALSE(mta::inbound::judge_header_senders(fields, policy::SenderPermit()))
        << "without a restriction: " << row.name;
  }
}

} // namespace header_senders_test
