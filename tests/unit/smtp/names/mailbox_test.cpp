// Mailbox and the two paths. The grammar is tested by isemail's suite (conformance_test.cpp); here stand the forms and
// the limits.
#include "smtp/names/mailbox.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace mailbox_test {

using smtp::Domain;
using smtp::ForwardPath;
using smtp::Mailbox;
using smtp::ReversePath;

TEST(Mailbox, is_kept_without_quotes_and_written_with_them_where_needed) {
  struct Row {
    std::string name;
    std::string text;
    std::optional<std::string> local_part; ///< nothing: refused
    std::string written;
  };
  const std::string local_256(256, 'l');
  const std::vector<Row> rows = {
      {"a plain mailbox", "Bob@Example.org", "Bob", "Bob@example.org"},
      {"needless quotes go", "\"bob\"@example.org", "bob", "bob@example.org"},
      {"quotes for a space stay", "\"a b\"@example.org", "a b", "\"a b\"@example.org"},
      {"quoted pairs are undone, and written where needed", "\"\\a\\\"\\\\\"@example.org", "a\"\\",
       "\"a\\\"\\\\\"@example.org"},
      {"an at sign in quotes", "\"a@b\"@example.org", "a@b", "\"a@b\"@example.org"},
      {"an empty quoted local part", "\"\"@example.org", "", "\"\"@example.org"},
      {"dots that need quotes", "\".a..b.\"@example.org", ".a..b.", "\".a..b.\"@example.org"},
      {"an IPv4 literal", "a@[192.0.2.1]", "a", "a@[192.0.2.1]"},
      {"an IPv6 literal", "a@[ipv6:2001:DB8::1]", "a", "a@[IPv6:2001:db8::1]"},
      {"UTF-8 in both parts", "jörg@bücher.example", "jörg", "jörg@xn--bcher-kva.example"},
      {"UTF-8 in quotes", "\"jörg x\"@example.org", "jörg x", "\"jörg x\"@example.org"},
      {"a local part of 256 octets", local_256 + "@example.org", local_256, local_256 + "@example.org"},
      {"a local part of 257 octets", local_256 + "l@example.org", std::nullopt, ""},
      {"VERP",
       "bounce-123456-user=a.very.long.name.indeed.example.com-0123456789abcdef0123456789abcdef@lists.example.org",
       "bounce-123456-user=a.very.long.name.indeed.example.com-0123456789abcdef0123456789abcdef",
       "bounce-123456-user=a.very.long.name.indeed.example.com-0123456789abcdef0123456789abcdef@lists.example.org"},
      {"two dots go on as they came", "user..name@example.org", "user..name", "user..name@example.org"},
      {"a dot at the end", "user.@example.org", "user.", "user.@example.org"},
      {"a dot in front", ".user@example.org", ".user", ".user@example.org"},
      {"only dots", "..@example.org", "..", "..@example.org"},
      {"dots beside what needs quotes", "user. name@example.org", std::nullopt, ""},
      {"an underscore in the domain", "a@mail_1.example.org", "a", "a@mail_1.example.org"},
      {"a dot behind the domain", "a@example.org.", "a", "a@example.org"},
      {"two dots behind the domain", "a@example.org..", std::nullopt, ""},
      {"a dot for a domain", "a@.", std::nullopt, ""},
      {"octets that are not UTF-8", "b\xff@example.org", std::nullopt, ""},
      {"a control character in quotes", "\"a\tb\"@example.org", std::nullopt, ""},
      {"a quoted CR", "\"a\\\rb\"@example.org", std::nullopt, ""},
      {"a literal with a name", "a@[example.org]", std::nullopt, ""},
      {"a literal without its tag", "a@[2001:db8::1]", std::nullopt, ""},
      {"an IPv4 literal with the tag", "a@[IPv6:192.0.2.1]", std::nullopt, ""},
      {"a literal without end", "a@[192.0.2.1", std::nullopt, ""},
      {"angle brackets", "<a@example.org>", std::nullopt, ""},
      {"a space behind", "a@example.org ", std::nullopt, ""},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto mailbox = Mailbox::parse(row.text);
    ASSERT_EQ(mailbox.has_value(), row.local_part.has_value()) << (mailbox ? "" : mailbox.error().detail);
    if (!mailbox) continue;
    EXPECT_EQ(mailbox->local_part(), *row.local_part);
    EXPECT_EQ(mailbox->to_string(), row.written);
    EXPECT_EQ(Mailbox::parse(mailbox->to_string()), *mailbox) << "what is written is read back";
  }
}

TEST(Mailbox, has_room_for_the_longest_domain_and_no_more) {
  const std::string labels =
      std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." + std::string(53, 'd');
  EXPECT_TRUE(Mailbox::parse(std::string(256, 'l') + "@" + labels + ".aaaaaaa"));
  EXPECT_FALSE(Mailbox::parse(std::string(256, 'l') + "@" + labels + ".aaaaaaaa"));
  EXPECT_TRUE(Mailbox::parse(std::string(200, 'l') + "@" + labels + ".ü"));
  EXPECT_FALSE(Mailbox::parse(std::string(200, 'l') + "@" + labels + ".üü")) << "xn--tdaa is longer than it looks";
}

TEST(Mailbox, is_created_only_from_what_can_be_written) {
  const auto domain = *Domain::parse("example.org");
  EXPECT_EQ(Mailbox::create("a b", domain)->to_string(), "\"a b\"@example.org");
  EXPECT_TRUE(Mailbox::create(std::string(254, ' '), domain));
  EXPECT_FALSE(Mailbox::create(std::string(255, ' '), domain)) << "with its quotes it has 257 octets";
  EXPECT_FALSE(Mailbox::create("a\r\nRCPT", domain));
  EXPECT_FALSE(Mailbox::create("\xff", domain));
}

TEST(Mailbox, knows_what_it_needs) {
  EXPECT_TRUE(Mailbox::parse("jörg@example.org")->needs_smtputf8());
  EXPECT_FALSE(Mailbox::parse("a@bücher.example")->needs_smtputf8()) << "its domain has an ASCII form";
  EXPECT_EQ(Mailbox::parse("a@[192.0.2.1]")->domain(), nullptr);
  EXPECT_EQ(Mailbox::parse("a@b.example")->literal(), nullptr);
  EXPECT_EQ(Mailbox::parse("a@[192.0.2.1]")->host(), "[192.0.2.1]");
}

TEST(Paths, have_brackets_and_drop_source_routes) {
  struct Row {
    std::string text;
    std::optional<std::string> reverse;
    std::optional<std::string> forward;
  };
  const std::vector<Row> rows = {
      {"<>", "<>", std::nullopt},
      {"<a@example.org>", "<a@example.org>", "<a@example.org>"},
      {"<@one.example:a@example.org>", "<a@example.org>", "<a@example.org>"},
      {"<@one.example,@two.example:a@example.org>", "<a@example.org>", "<a@example.org>"},
      {"<Postmaster>", std::nullopt, "<Postmaster>"},
      {"<postMASTER>", std::nullopt, "<Postmaster>"},
      {"<postmaster@example.org>", "<postmaster@example.org>", "<postmaster@example.org>"},
      {"a@example.org", std::nullopt, std::nullopt},
      {"<a@example.org", std::nullopt, std::nullopt},
      {"a@example.org>", std::nullopt, std::nullopt},
      {"", std::nullopt, std::nullopt},
      {"<", std::nullopt, std::nullopt},
      {"< >", std::nullopt, std::nullopt},
      {"<root>", std::nullopt, std::nullopt},
      {"<@one.example>", std::nullopt, std::nullopt},
      {"<@one.example:>", std::nullopt, std::nullopt},
      {"<@one.example,two.example:a@example.org>", std::nullopt, std::nullopt},
      {"<@-one.example:a@example.org>", std::nullopt, std::nullopt},
      {"<@:a@example.org>", std::nullopt, std::nullopt},
      {"<<a@example.org>>", std::nullopt, std::nullopt},
      {"<" + std::string(1100, 'a') + "@example.org>", std::nullopt, std::nullopt},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.text);
    const auto reverse = ReversePath::parse(row.text);
    const auto forward = ForwardPath::parse(row.text);
    ASSERT_EQ(reverse.has_value(), row.reverse.has_value());
    ASSERT_EQ(forward.has_value(), row.forward.has_value());
    if (reverse) {
      EXPECT_EQ(reverse->to_string(), *row.reverse);
    }
    if (forward) {
      EXPECT_EQ(forward->to_string(), *row.forward);
    }
  }
  EXPECT_TRUE(ReversePath::parse("<>")->is_null());
  EXPECT_TRUE(ForwardPath::parse("<Postmaster>")->is_postmaster());
}

} // namespace mailbox_test
