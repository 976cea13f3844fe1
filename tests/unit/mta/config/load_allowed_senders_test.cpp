// [[listener.allowed_senders]] and recipient_delimiter: what is written arrives, and what is refused.
#include <gtest/gtest.h>

#include "config_fakes.hpp"

namespace load_allowed_senders_test {

using namespace mta;

const std::string relay =
    "[[listener]]\nname = \"relay\"\naddresses = [\"127.0.0.1:0\"]\nrole = \"relay\"\ntls = \"none\"\n"
    "trusted_networks = [\"10.0.0.0/8\"]\n";

TEST(AllowedSenders, Arrive) {
  const auto config =
      config_fakes::load_good(relay + "[[listener.allowed_senders]]\nnetworks = [\"10.1.0.0/16\"]\n"
                                      "senders = [\"app@example.org\", \"*.example.org\"]\n"
                                      "[[listener.allowed_senders]]\nnetworks = [\"10.2.0.1\"]\nsenders = [\"*\"]\n");
  ASSERT_TRUE(config);
  const auto &blocks = config->listeners.at(0).allowed_senders;
  ASSERT_EQ(blocks.size(), 2U);
  EXPECT_EQ(blocks[0].networks.at(0).to_string(), "10.1.0.0/16");
  EXPECT_EQ(blocks[0].senders.at(0).to_string(), "app@example.org");
  EXPECT_EQ(blocks[0].senders.at(1).to_string(), "*.example.org");
  EXPECT_EQ(blocks[1].senders.at(0).to_string(), "*");
}

struct WrongRow {
  const char *name;
  std::string block, found;
};

TEST(AllowedSenders, ThatAreWrongAreToldOf) {
  const std::vector<WrongRow> rows = {
      {"nobody is named", "senders = [\"*\"]\n", "says of no client"},
      {"no senders", "networks = [\"10.0.0.1\"]\n", "senders"},
      {"a sender that is none", "networks = [\"10.0.0.1\"]\nsenders = [\"a b@example.org\"]\n", "a b@example.org"},
      {"names without a CA", "names = [\"app.example.org\"]\nsenders = [\"*\"]\n", "trusted_ca"},
      {"an unknown key", "network = [\"10.0.0.1\"]\nnetworks = [\"10.0.0.1\"]\nsenders = [\"*\"]\n",
       "unknown key \"network\""},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto loaded = config_fakes::load_minimal(relay + "[[listener.allowed_senders]]\n" + row.block);
    EXPECT_EQ(loaded.config, nullptr);
    EXPECT_NE(config_fakes::text_of(loaded.findings).find(row.found), std::string::npos)
        << config_fakes::text_of(loaded.findings);
  }
}

TEST(RecipientDelimiter, TakesATagBehindAKnownUser) {
  const auto path = [](const std::string &text) { return smtp::ForwardPath(smtp::Mailbox::parse(text).value()); };
  using policy::LocalRecipient;
  const auto without = config_fakes::load_good();
  EXPECT_EQ(without->classify(path("alice+x@example.org")), LocalRecipient::unknown);
  auto config = *without;
  config.domains.at("example.org").recipient_delimiter = "+";
  for (const char *known : {"alice+x@example.org", "Alice+@example.org", "alice+x+y@example.org", "alice@example.org"})
    EXPECT_EQ(config.classify(path(known)), LocalRecipient::known) << known;
  for (const char *unknown : {"bob+x@example.org", "+alice@example.org", "x+alice@example.org", "alice-x@example.org"})
    EXPECT_EQ(config.classify(path(unknown)), LocalRecipient::unknown) << unknown;
  // What stands behind the delimiter was written by a stranger: policy::judge_recipient looks for further hops in it.
  EXPECT_FALSE(config.is_caught(path("alice@example.org")));
  for (const char *caught :
       {"alice+x%evil.example@example.org", "alice+evil.example!x@example.org", "\"alice+x@evil.example\"@example.org"})
    EXPECT_TRUE(config.is_caught(path(caught))) << caught;
  EXPECT_EQ(config.resolve_recipient(path("alice+x@example.org")).local_part(), "alice+x")
      << "the address is handed on whole";
}

} // namespace load_allowed_senders_test
