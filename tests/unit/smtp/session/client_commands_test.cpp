// The client's RCPT command: what of DSN goes on.
#include "smtp/session/client_commands.hpp"

#include <gtest/gtest.h>

namespace client_commands_test {

std::string rcpt_with(const std::string &type, const std::string &address) {
  smtp::Recipient recipient{smtp::Mailbox::parse("a@x.example").value(), {}};
  recipient.parameters.orcpt = smtp::OriginalRecipient{type, address};
  smtp::Capabilities offered;
  offered.dsn = true;
  std::string out;
  smtp::append_recipient_command(out, recipient, offered, false);
  return out;
}

TEST(ClientCommands, an_orcpt_goes_on_up_to_500_octets) {
  EXPECT_EQ(rcpt_with("rfc822", "b=c@y.example"), "RCPT TO:<a@x.example> ORCPT=rfc822;b+3Dc@y.example\r\n");
  const std::string longest(500 - 7, 'x');
  EXPECT_EQ(rcpt_with("rfc822", longest), "RCPT TO:<a@x.example> ORCPT=rfc822;" + longest + "\r\n");
  EXPECT_EQ(rcpt_with("rfc822", longest + "x"), "RCPT TO:<a@x.example>\r\n");
}

TEST(ClientCommands, an_orcpt_that_grows_past_500_octets_is_left_out) {
  EXPECT_EQ(rcpt_with("rfc822", std::string(200, '+')), "RCPT TO:<a@x.example>\r\n") << "each becomes three";
  std::string address;
  for (int i = 0; i < 100; ++i) address += "\u00e9";
  EXPECT_EQ(rcpt_with("utf-8", address), "RCPT TO:<a@x.example>\r\n") << "each becomes \\x{E9}";
}

} // namespace client_commands_test
