// named_authors: the domains that a rule for authors looks at.
#include "mta/inbound/named_authors.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace named_authors_test {

struct Row {
  const char *name;
  std::string header;
  std::vector<std::string> domains;
};

TEST(NamedAuthors, AreThoseOfFromAndAllOfThemWhereItCannotBeTold) {
  const std::vector<Row> rows = {
      {"one", "From: Bob <bob@partner.example>\r\n", {"partner.example"}},
      {"what stands in the name is not an author", "From: \"bob@partner.example\" <x@y.example>\r\n", {"y.example"}},
      {"two", "From: a@y.example, b@Partner.Example\r\n", {"y.example", "partner.example"}},
      {"two fields", "From: a@y.example\r\nFrom: b@partner.example\r\n", {"partner.example", "y.example"}},
      {"an angle that does not end",
       "From: a@y.example <bob@partner.example, \"\r\n",
       {"partner.example", "y.example"}},
      {"a comment and a fold behind the at sign", "From: bob@ (x)\r\n partner.example <\"\r\n", {"partner.example"}},
      {"nobody", "Subject: x\r\n", {}},
      {"no address", "From: MAILER-DAEMON\r\n", {}},
  };
  for (const Row &row : rows)
    EXPECT_EQ(mta::inbound::named_authors(auth::HeaderFields(row.header)), row.domains) << row.name;
}

TEST(NamedAuthors, NoneIsHiddenBehindManyFields) {
  std::string header;
  for (int i = 0; i < 40; ++i) header += "From: a@y" + std::to_string(i) + ".example\r\n";
  const auto found = mta::inbound::named_authors(auth::HeaderFields(header + "From: bob@partner.example\r\n"));
  EXPECT_EQ(found.size(), 41U);
  EXPECT_NE(std::find(found.begin(), found.end(), "partner.example"), found.end());
}

} // namespace named_authors_test
