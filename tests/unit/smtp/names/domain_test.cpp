// Domain and DomainPattern: what is a domain, in which form it is kept, and which pattern matches.
#include "smtp/names/domain.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace domain_test {

using smtp::Domain;
using smtp::DomainPattern;

std::string repeat(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

TEST(Domain, is_kept_in_lower_case_a_labels) {
  struct Row {
    std::string name;
    std::string text;
    std::optional<std::string> ascii; ///< nothing: refused
  };
  const std::vector<Row> rows = {
      {"a plain name", "example.org", "example.org"},
      {"capitals become small", "MX.Example.ORG", "mx.example.org"},
      {"a single label", "localhost", "localhost"},
      {"digits and inner hyphens", "1.2-3.c--n.com", "1.2-3.c--n.com"},
      {"a label of 63 octets", repeat("a", 63) + ".org", repeat("a", 63) + ".org"},
      {"a label of 64 octets", repeat("a", 64) + ".org", std::nullopt},
      {"253 octets", repeat("a.", 126) + "b", repeat("a.", 126) + "b"},
      {"254 octets", repeat("a.", 126) + "bc", std::nullopt},
      {"nothing", "", std::nullopt},
      {"a dot", ".", std::nullopt},
      {"a dot in front", ".example.org", std::nullopt},
      {"a dot at the end", "example.org.", std::nullopt},
      {"two dots", "example..org", std::nullopt},
      {"a hyphen in front of a label", "example.-org", std::nullopt},
      {"a hyphen at the end of a label", "example-.org", std::nullopt},
      {"a hyphen at the very end", "example.org-", std::nullopt},
      {"an underscore", "_dmarc.Host_1.example.org", "_dmarc.host_1.example.org"},
      {"a space", "exa mple.org", std::nullopt},
      {"a NUL", std::string("exa\0mple.org", 12), std::nullopt},
      {"a line break", "example.org\r\n", std::nullopt},
      {"an asterisk", "*.example.org", std::nullopt},
      {"an address literal", "[192.0.2.1]", std::nullopt},
      {"U-labels become A-labels", "bücher.example", "xn--bcher-kva.example"},
      {"a byte order mark, which some take for a space", "ours.example\xef\xbb\xbfx.example", std::nullopt},
      {"a soft hyphen, which nobody sees", "ou\xc2\xadrs.example", std::nullopt},
      {"a zero width space", "ours\xe2\x80\x8b.example", std::nullopt},
      {"a word joiner", "ours\xe2\x81\xa0.example", std::nullopt},
      {"a variation selector",
       "b\xc3\xbc"
       "cher\xef\xb8\x8f.example",
       std::nullopt},
      {"a tag", "ours\xf3\xa0\x81\xa1.example", std::nullopt},
      {"capital U-labels too", "BÜCHER.Example", "xn--bcher-kva.example"},
      {"A-labels stay", "XN--BCHER-KVA.example", "xn--bcher-kva.example"},
      {"sharp s is a letter of its own (IDNA2008)", "straße.example", "xn--strae-oqa.example"},
      {"octets that are not UTF-8", "b\xff.example", std::nullopt},
      {"an overlong UTF-8 dot", "a\xc0\xae.example", std::nullopt},
      {"a symbol that IDNA forbids", "\u2028.example", std::nullopt},
      {"an underscore beside a U-label", "_x.bücher.example", "_x.xn--bcher-kva.example"},
      {"a hyphen beside a U-label", "-x.bücher.example", std::nullopt},
      {"a U-label that becomes too long", repeat("ü", 63) + ".example", std::nullopt},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto domain = Domain::parse(row.text);
    ASSERT_EQ(domain.has_value(), row.ascii.has_value());
    if (domain) {
      EXPECT_EQ(domain->ascii(), *row.ascii);
    } else {
      EXPECT_FALSE(domain.error().detail.empty());
    }
  }
}

TEST(Domain, states_the_limit_that_was_passed) {
  const auto domain = Domain::parse(repeat("a.", 126) + "bc");
  ASSERT_FALSE(domain);
  EXPECT_EQ(domain.error().code, smtp::ErrorCode::too_long);
  EXPECT_EQ(domain.error().detail, "domain is 254 octets, limit is 253");
}

TEST(Domain, shows_u_labels_to_people) {
  EXPECT_EQ(Domain::parse("xn--bcher-kva.example")->unicode(), "bücher.example");
  EXPECT_EQ(Domain::parse("example.org")->unicode(), "example.org");
  EXPECT_EQ(Domain::parse("xn--a.example")->unicode(), "xn--a.example") << "what does not decode stays";
}

TEST(Domain, knows_what_is_below_it) {
  const auto parent = *Domain::parse("example.org");
  EXPECT_TRUE(Domain::parse("example.org")->is_within(parent));
  EXPECT_TRUE(Domain::parse("a.b.example.org")->is_within(parent));
  EXPECT_FALSE(Domain::parse("badexample.org")->is_within(parent));
  EXPECT_FALSE(Domain::parse("org")->is_within(parent));
  EXPECT_EQ(Domain::parse("a.b.example.org")->label_count(), 4U);
  EXPECT_EQ(Domain::parse("org")->label_count(), 1U);
}

TEST(DomainPattern, matches_exactly_or_below) {
  struct Row {
    std::string pattern;
    std::string domain;
    bool matches;
  };
  const std::vector<Row> rows = {
      {"example.org", "example.org", true},
      {"Example.ORG", "example.org", true},
      {"example.org", "a.example.org", false},
      {"*.example.org", "example.org", false},
      {"*.example.org", "a.example.org", true},
      {"*.example.org", "a.b.example.org", true},
      {"*.example.org", "badexample.org", false},
      {"*", "anything.at.all", true},
      {"*.bücher.example", "a.xn--bcher-kva.example", true},
  };
  for (const auto &row : rows)
    EXPECT_EQ(DomainPattern::parse(row.pattern)->matches(*Domain::parse(row.domain)), row.matches)
        << row.pattern << " against " << row.domain;
}

TEST(DomainPattern, refuses_asterisks_elsewhere) {
  for (const auto *text : {"", "**", "*example.org", "a.*.org", "example.*", "*.", "*.*", "*.-a.org"})
    EXPECT_FALSE(DomainPattern::parse(text)) << text;
}

TEST(DomainPattern, prefers_exact_names_then_longer_wildcards) {
  const auto specificity = [](const char *text) { return DomainPattern::parse(text)->specificity(); };
  EXPECT_GT(specificity("a.org"), specificity("*.a.very.long.wildcard.example.org"));
  EXPECT_GT(specificity("*.b.example.org"), specificity("*.example.org"));
  EXPECT_GT(specificity("*.org"), specificity("*"));
}

TEST(DomainPattern, is_written_as_it_is_read) {
  for (const auto *text : {"example.org", "*.example.org", "*"})
    EXPECT_EQ(DomainPattern::parse(text)->to_string(), text);
}

} // namespace domain_test
