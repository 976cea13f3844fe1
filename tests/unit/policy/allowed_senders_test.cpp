// SenderPattern and SenderPermit: which senders the patterns of [[listener.allowed_senders]] allow.
#include "policy/allowed_senders.hpp"

#include <gtest/gtest.h>

namespace allowed_senders_test {

using namespace policy;

struct Row {
  const char *pattern, *sender;
  bool allowed;
};

TEST(SenderPattern, Allows) {
  const std::vector<Row> rows = {
      {"app@example.org", "app@example.org", true},
      {"app@example.org", "APP@Example.ORG", true},
      {"app@example.org", "app2@example.org", false},
      {"app@example.org", "app@sub.example.org", false},
      {"example.org", "anyone@example.org", true},
      {"example.org", "anyone@sub.example.org", false},
      {"example.org", "x@notexample.org", false},
      {"*.example.org", "x@sub.example.org", true},
      {"*.example.org", "x@a.b.example.org", true},
      {"*.example.org", "x@example.org", false},
      {"*", "x@anywhere.example", true},
      {"*", "x@[192.0.2.1]", false},
      {"x@[192.0.2.1]", "x@[192.0.2.1]", true},
  };
  for (const Row &row : rows) {
    const auto pattern = SenderPattern::parse(row.pattern);
    ASSERT_TRUE(pattern) << row.pattern;
    EXPECT_EQ(pattern->allows(smtp::Mailbox::parse(row.sender).value()), row.allowed)
        << row.pattern << ' ' << row.sender;
  }
  for (const char *wrong : {"", "@example.org", "a b@example.org", "*@example.org@", "exa mple.org", "a.*.org"})
    EXPECT_FALSE(SenderPattern::parse(wrong)) << wrong;
}

TEST(SenderPermit, IsTheUnionOfItsBlocks) {
  AllowedSenders first, second;
  first.senders = {SenderPattern::parse("example.org").value()};
  second.senders = {SenderPattern::parse("app@other.example").value()};
  const auto mailbox = [](const char *text) { return smtp::Mailbox::parse(text).value(); };
  const SenderPermit both(std::vector<const AllowedSenders *>{&first, &second});
  EXPECT_TRUE(both.is_restricted());
  EXPECT_TRUE(both.allows(mailbox("x@example.org")));
  EXPECT_TRUE(both.allows(mailbox("app@other.example")));
  EXPECT_FALSE(both.allows(mailbox("x@other.example")));
  EXPECT_TRUE(both.allows_domain(smtp::Domain::parse("example.org").value()));
  EXPECT_FALSE(both.allows_domain(smtp::Domain::parse("other.example").value())) << "one mailbox is not the domain";
  const SenderPermit nobody{std::vector<const AllowedSenders *>{}};
  EXPECT_FALSE(nobody.allows(mailbox("x@example.org"))) << "a client that no block names";
  EXPECT_FALSE(SenderPermit().is_restricted());
  EXPECT_TRUE(SenderPermit().allows(mailbox("x@example.org")));
}

} // namespace allowed_senders_test
