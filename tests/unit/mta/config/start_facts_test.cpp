// parse_start_facts: the socket and the spool are found however wrong the rest of the file is.
#include <gtest/gtest.h>

#include "mta/config/start_facts.hpp"

namespace start_facts_test {

using namespace mta;

TEST(StartFacts, AreReadFromFilesThatAreWrongElsewhere) {
  const std::string good = "[server]\nhostname = \"mx.example.org\"\nuser = \"mail\"\n[spool]\npath = "
                           "\"sp\"\n[log]\nfile = \"mail.log\"\n[control]\nsocket = \"/run/x.sock\"\n";
  for (const std::string &wrong :
       {std::string(), std::string("[limits]\nerrors = \"many\"\n"), std::string("[[domain]]\nrecipients = [\"a\n"),
        std::string("a stray line\n"), std::string("[control\n"), std::string("[unknown]\nx = 1\n")}) {
    SCOPED_TRACE(wrong);
    for (const std::string &text : {good + wrong, wrong + good}) {
      const auto facts = parse_start_facts(text, "/etc/p");
      EXPECT_EQ(facts.control.socket, "/run/x.sock");
      EXPECT_EQ(facts.spool_path, "/etc/p/sp");
      EXPECT_EQ(facts.user, "mail");
      EXPECT_EQ(facts.log_file, "/etc/p/mail.log");
      EXPECT_TRUE(facts.start_with_last_good);
    }
  }
}

TEST(StartFacts, StandAtTheirDefaultsWhereNothingCanBeRead) {
  for (const char *text :
       {"", "[control]\nsocket = 7\n[spool]\npath = \n[server]\nstart_with_last_good = \"no\"\n", "\0\xff["}) {
    const auto facts = parse_start_facts(text, "/etc/p");
    EXPECT_EQ(facts.control.socket, ControlConfig().socket);
    EXPECT_EQ(facts.spool_path, SpoolConfig().path);
    EXPECT_EQ(facts.user, "portcullis");
  }
  EXPECT_FALSE(
      parse_start_facts("[server]\nstart_with_last_good = false # we want to know\nx\n", "/").start_with_last_good);
}

} // namespace start_facts_test
