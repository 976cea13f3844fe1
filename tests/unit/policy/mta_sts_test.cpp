// MTA-STS: records, policies, patterns and our own texts, against RFC 8461 sections 3 and 4.1.
#include "policy/mta_sts.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace mta_sts_test {

using namespace policy;
using std::chrono::seconds;

TEST(StsRecord, records_that_give_an_id) {
  const struct {
    const char *name;
    std::vector<std::string> texts;
    const char *id;
  } rows[] = {
      {"the RFC's example", {"v=STSv1; id=20160831085700Z;"}, "20160831085700Z"},
      {"without the delimiter at the end", {"v=STSv1; id=1"}, "1"},
      {"without spaces", {"v=STSv1;id=a"}, "a"},
      {"spaces and tabs around the delimiters", {"v=STSv1 \t;\t id=a \t; \t"}, "a"},
      {"32 letters and digits", {"v=STSv1; id=abcdefghijklmnopqrstuvwxyzABCDEF;"}, "abcdefghijklmnopqrstuvwxyzABCDEF"},
      {"an extension behind the id", {"v=STSv1; id=a; ext=1"}, "a"},
      {"an extension before the id", {"v=STSv1; a.b-c_d=x:y,z; id=a;"}, "a"},
      {"an extension of 32 octets", {"v=STSv1; id=a; abcdefghijklmnopqrstuvwxyz012345=1"}, "a"},
      {"the first of two ids", {"v=STSv1; id=a; id=b"}, "a"},
      {"other records beside it", {"v=spf1 -all", "v=STSv1; id=a", "verification=xyz"}, "a"},
      {"a record of another version beside it", {"v=STSv2; id=b", "v=STSv1; id=a"}, "a"},
      {"a record of a longer version name beside it", {"v=STSv10; id=b", "v=STSv1; id=a"}, "a"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto id = find_sts_record(row.texts);
    ASSERT_TRUE(id) << id.error().detail;
    EXPECT_EQ(*id, std::optional<std::string>(row.id));
  }
}

TEST(StsRecord, sets_without_a_record_of_ours) {
  const std::vector<std::vector<std::string>> rows = {
      {},
      {""},
      {"v=spf1 -all"},
      {"V=STSv1; id=a"}, // the grammar is case-sensitive
      {"v=stsv1; id=a"},
      {" v=STSv1; id=a"},
      {"v=STSv1"}, // no delimiter: it does not begin with "v=STSv1;"
      {"v = STSv1; id=a"},
      {"id=a; v=STSv1;"},
  };
  for (const auto &row : rows) {
    const auto id = find_sts_record(row);
    ASSERT_TRUE(id) << id.error().detail;
    EXPECT_FALSE(*id) << row.front();
  }
}

TEST(StsRecord, records_that_are_refused) {
  const struct {
    const char *name;
    std::vector<std::string> texts;
    const char *why;
  } rows[] = {
      {"two records", {"v=STSv1; id=a", "v=STSv1; id=a"}, "several records"},
      {"two records, one of them bad", {"v=STSv1; id=a", "v=STSv1;"}, "several records"},
      {"no id", {"v=STSv1;"}, "no id"},
      {"only an extension", {"v=STSv1; ext=1;"}, "no id"},
      {"an empty id", {"v=STSv1; id=;"}, "1 to 32 letters and digits"},
      {"an id of 33 octets", {"v=STSv1; id=abcdefghijklmnopqrstuvwxyzABCDEFG;"}, "1 to 32 letters and digits"},
      {"an id with a hyphen", {"v=STSv1; id=2016-08-31"}, "1 to 32 letters and digits"},
      {"an id with a space", {"v=STSv1; id=a b"}, "1 to 32 letters and digits"},
      {"a space before the id's value", {"v=STSv1; id= a"}, "1 to 32 letters and digits"},
      {"a space behind the id's name", {"v=STSv1; id =a"}, "not a name"},
      {"the id's name in capitals", {"v=STSv1; ID=a"}, "no id"},
      {"a field without =", {"v=STSv1; id=a; ext"}, "no \"=\""},
      {"an empty field in the middle", {"v=STSv1; id=a;; ext=1"}, "no \"=\""},
      {"an extension without a value", {"v=STSv1; id=a; ext="}, "visible ASCII"},
      {"an extension with = in its value", {"v=STSv1; id=a; ext=b=c"}, "visible ASCII"},
      {"an extension with a space in its value", {"v=STSv1; id=a; ext=b c"}, "visible ASCII"},
      {"an extension with an octet over 127", {"v=STSv1; id=a; ext=\xc3\xa9"}, "visible ASCII"},
      {"an extension's name of 33 octets", {"v=STSv1; id=a; abcdefghijklmnopqrstuvwxyz0123456=1"}, "not a name"},
      {"an extension's name that begins with a hyphen", {"v=STSv1; id=a; -a=1"}, "not a name"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto id = find_sts_record(row.texts);
    ASSERT_FALSE(id);
    EXPECT_NE(id.error().detail.find(row.why), std::string::npos) << id.error().detail;
  }
}

const StsPolicy plain{StsMode::enforce, {"mx.example.org"}, seconds(86400)};

TEST(StsPolicy, a_u_label_is_no_match_and_the_policy_stays) {
  const auto policy = parse_sts_policy("version: STSv1\nmode: enforce\nmx: *.B\xc3\xbc"
                                       "cher.example\nmax_age: 86400\n");
  ASSERT_TRUE(policy) << policy.error().detail;
  EXPECT_EQ(policy->mode, StsMode::enforce);
  ASSERT_EQ(policy->mx.size(), 1U);
  for (const char *host : {"mx.xn--bcher-kva.example",
                           "mx.b\xc3\xbc"
                           "cher.example",
                           "xn--bcher-kva.example"})
    EXPECT_FALSE(sts_policy_covers(policy->mx, host)) << host;
  const auto ascii = parse_sts_policy("version: STSv1\nmode: enforce\nmx: *.xn--bcher-kva.example\nmax_age: 86400\n");
  EXPECT_TRUE(sts_policy_covers(ascii->mx, "mx.xn--bcher-kva.example"));
  EXPECT_EQ(parse_sts_pattern("*.b\xc3\xbc"
                              "cher.example")
                .value(),
            "*.xn--bcher-kva.example")
      << "of our own policies";
}

TEST(StsPolicy, policies_that_count) {
  const struct {
    const char *name;
    std::string text;
    StsPolicy expected;
  } rows[] = {
      {"the RFC's example",
       "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: "
       "backupmx.example.com\r\nmax_age: 604800\r\n",
       {StsMode::enforce, {"mail.example.com", "*.example.net", "backupmx.example.com"}, seconds(604800)}},
      {"lines that end in LF", "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n", plain},
      {"LF and CRLF mixed, none at the end", "version: STSv1\r\nmode: enforce\nmx: mx.example.org\r\nmax_age: 86400",
       plain},
      {"another order", "max_age: 86400\nmx: mx.example.org\nmode: enforce\nversion: STSv1\n", plain},
      {"no spaces", "version:STSv1\nmode:enforce\nmx:mx.example.org\nmax_age:86400\n", plain},
      {"spaces and tabs behind the colon and at the end",
       "version: \tSTSv1\t\nmode:   enforce \nmx: mx.example.org \nmax_age: 86400 \n", plain},
      {"names in capitals become lower case", "version: STSv1\nmode: enforce\nmx: MX.Example.ORG\nmax_age: 86400\n",
       plain},
      {"an unknown key",
       "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\nfuture_key: some text, \xc3\xa9 too\n",
       plain},
      {"empty lines", "\nversion: STSv1\n\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n\r\n\n", plain},
      {"of two modes the first", "version: STSv1\nmode: enforce\nmode: none\nmx: mx.example.org\nmax_age: 86400\n",
       plain},
      {"of two ages the first, the second whatever it is",
       "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\nmax_age: soon\n", plain},
      {"of two versions the first",
       "version: STSv1\nversion: STSv2\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n", plain},
      {"mode testing",
       "version: STSv1\nmode: testing\nmx: a.example\nmax_age: 1\n",
       {StsMode::testing, {"a.example"}, seconds(1)}},
      {"mode none without mx", "version: STSv1\nmode: none\nmax_age: 86400\n", {StsMode::none, {}, seconds(86400)}},
      {"mode none with mx",
       "version: STSv1\nmode: none\nmx: a.example\nmax_age: 5\n",
       {StsMode::none, {"a.example"}, seconds(5)}},
      {"max_age 0", "version: STSv1\nmode: none\nmax_age: 0\n", {StsMode::none, {}, seconds(0)}},
      {"max_age of a year", "version: STSv1\nmode: none\nmax_age: 31557600\n", {StsMode::none, {}, seconds(31557600)}},
      {"the same mx twice",
       "version: STSv1\nmode: enforce\nmx: a.example\nmx: a.example\nmax_age: 5\n",
       {StsMode::enforce, {"a.example", "a.example"}, seconds(5)}},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto policy = parse_sts_policy(row.text);
    ASSERT_TRUE(policy) << policy.error().detail;
    EXPECT_EQ(*policy, row.expected);
  }
}

TEST(StsPolicy, policies_that_are_refused) {
  const std::string good = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n";
  std::string many = good;
  for (int i = 0; i < 1000; ++i) many += "mx: a.example\n";
  const struct {
    const char *name;
    std::string text;
    const char *why;
  } rows[] = {
      {"nothing", "", "no version"},
      {"a web page", "<!DOCTYPE html>\n<html></html>\n", "not \"name: value\""},
      {"no version", "mode: enforce\nmx: mx.example.org\nmax_age: 86400\n", "no version"},
      {"another version", "version: STSv2\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n",
       "\"STSv2\" is not STSv1"},
      {"the version in lower case", "version: stsv1\nmode: none\nmax_age: 86400\n", "is not STSv1"},
      {"a key in capitals", "Version: STSv1\nmode: none\nmax_age: 86400\n", "no version"},
      {"no mode", "version: STSv1\nmx: mx.example.org\nmax_age: 86400\n", "no mode"},
      {"an unknown mode", "version: STSv1\nmode: report\nmx: mx.example.org\nmax_age: 86400\n", "mode \"report\""},
      {"of two modes the first is bad", "version: STSv1\nmode: x\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n",
       "mode \"x\""},
      {"no max_age", "version: STSv1\nmode: enforce\nmx: mx.example.org\n", "no max_age"},
      {"a max_age over a year", "version: STSv1\nmode: none\nmax_age: 31557601\n", "between 0 and 31557600"},
      {"a negative max_age", "version: STSv1\nmode: none\nmax_age: -1\n", "between 0 and 31557600"},
      {"a max_age with a unit", "version: STSv1\nmode: none\nmax_age: 1d\n", "between 0 and 31557600"},
      {"an empty max_age", "version: STSv1\nmode: none\nmax_age:\n", "between 0 and 31557600"},
      {"a max_age of 11 digits", "version: STSv1\nmode: none\nmax_age: 00000086400\n", "between 0 and 31557600"},
      {"enforce without mx", "version: STSv1\nmode: enforce\nmax_age: 86400\n", "mode enforce and no mx"},
      {"testing without mx", "version: STSv1\nmode: testing\nmax_age: 86400\n", "mode testing and no mx"},
      {"a line without a colon", good + "hello\n", "line 5 of the policy"},
      {"a space before the colon", "version : STSv1\nmode: none\nmax_age: 1\n", "line 1 of the policy"},
      {"a space before the key", " version: STSv1\nmode: none\nmax_age: 1\n", "line 1 of the policy"},
      {"a line of spaces", good + " \n", "line 5 of the policy"},
      {"CR alone ends no line", "version: STSv1\rmode: none\rmax_age: 1\r", "is not STSv1"},
      {"an mx that is not a name", "version: STSv1\nmode: enforce\nmx: mx!1.example.org\nmax_age: 86400\n",
       "line 3 of the policy"},
      {"an empty mx", "version: STSv1\nmode: enforce\nmx:\nmax_age: 86400\n", "line 3 of the policy"},
      {"a mail address for mx", "version: STSv1\nmode: enforce\nmx: a@example.org\nmax_age: 86400\n",
       "line 3 of the policy"},
      {"a star alone", "version: STSv1\nmode: enforce\nmx: *\nmax_age: 86400\n", "line 3 of the policy"},
      {"a star inside a label", "version: STSv1\nmode: enforce\nmx: mx*.example.org\nmax_age: 86400\n",
       "line 3 of the policy"},
      {"two stars", "version: STSv1\nmode: enforce\nmx: *.*.example.org\nmax_age: 86400\n", "line 3 of the policy"},
      {"the older form of a wildcard", "version: STSv1\nmode: enforce\nmx: .example.org\nmax_age: 86400\n",
       "line 3 of the policy"},
      {"an unknown key without a value", good + "future:\n", "is not text"},
      {"a control character in an unknown key", good + "future: a\x01z\n", "is not text"},
      {"octets that are not UTF-8", good + "future: \xff\xfe\n", "is not text"},
      {"a key of 33 octets", good + "abcdefghijklmnopqrstuvwxyz0123456: 1\n", "line 5 of the policy"},
      {"a byte order mark", "\xef\xbb\xbf" + good, "line 1 of the policy"},
      {"1,001 mx lines", many, "more than 1000 mx lines, the limit"},
      {"65,537 octets", good + std::string(65'537 - good.size(), '\n'), "65537 octets long, the limit is 65536"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto policy = parse_sts_policy(row.text);
    ASSERT_FALSE(policy);
    EXPECT_NE(policy.error().detail.find(row.why), std::string::npos) << policy.error().detail;
  }
}

TEST(StsPattern, section_4_1) {
  const struct {
    const char *pattern;
    const char *host;
    bool matches;
  } rows[] = {
      {"mx.example.org", "mx.example.org", true},
      {"mx.example.org", "MX.Example.Org", true},
      {"mx.example.org", "mx2.example.org", false},
      {"mx.example.org", "a.mx.example.org", false},
      {"mx.example.org", "example.org", false},
      {"mx.example.org", "", false},
      {"*.example.org", "mx.example.org", true},
      {"*.example.org", "MX.EXAMPLE.ORG", true},
      {"*.example.org", "a.b.example.org", false},
      {"*.example.org", "example.org", false},
      {"*.example.org", ".example.org", false},
      {"*.example.org", "mxexample.org", false},
      {"*.example.org", "mx.example.org.evil.example", false},
      {"*.example.org", "*.example.org", true}, // no host has this name
      {"*.org", "example.org", true},
      {"*.org", "org", false},
      {"", "mx.example.org", false},
  };
  for (const auto &row : rows)
    EXPECT_EQ(sts_pattern_matches(row.pattern, row.host), row.matches) << row.pattern << " | " << row.host;
  EXPECT_TRUE(sts_policy_covers({"a.example", "*.example.org"}, "mx.example.org"));
  EXPECT_FALSE(sts_policy_covers({"a.example", "*.example.org"}, "example.org"));
  EXPECT_FALSE(sts_policy_covers({}, "mx.example.org"));
}

TEST(StsOwn, what_is_published_is_read_back) {
  const StsPolicy policies[] = {
      {StsMode::enforce, {"mx1.example.org", "*.mail.example.org"}, seconds(1209600)},
      {StsMode::testing, {"mx1.example.org"}, seconds(86400)},
      {StsMode::none, {}, seconds(86400)},
  };
  std::vector<std::string> ids;
  for (const auto &policy : policies) {
    EXPECT_EQ(parse_sts_policy(format_sts_policy(policy)).value(), policy);
    const auto id = find_sts_record({format_sts_record(policy)});
    ASSERT_TRUE(id && *id);
    EXPECT_EQ(**id, **find_sts_record({format_sts_record(policy)})) << "the same policy, the same id";
    EXPECT_EQ(std::count(ids.begin(), ids.end(), **id), 0) << "another policy, another id";
    ids.push_back(**id);
  }
}

TEST(StsOwn, the_file_is_as_section_3_2_shows_it) {
  const StsPolicy policy{StsMode::enforce, {"mx1.example.org", "*.mail.example.org"}, seconds(1209600)};
  EXPECT_EQ(format_sts_policy(policy),
            "version: STSv1\r\nmode: enforce\r\nmx: mx1.example.org\r\nmx: *.mail.example.org\r\nmax_age: 1209600\r\n");
  EXPECT_EQ(format_sts_record(policy).substr(0, 12), "v=STSv1; id=");
}

TEST(StsOwn, every_part_of_a_policy_changes_its_id) {
  const StsPolicy base{StsMode::enforce, {"mx1.example.org"}, seconds(86400)};
  const StsPolicy changed[] = {
      {StsMode::testing, {"mx1.example.org"}, seconds(86400)},
      {StsMode::enforce, {"mx2.example.org"}, seconds(86400)},
      {StsMode::enforce, {"mx1.example.org", "mx2.example.org"}, seconds(86400)},
      {StsMode::enforce, {"mx1.example.org"}, seconds(86401)},
  };
  for (const auto &policy : changed) EXPECT_NE(format_sts_record(policy), format_sts_record(base));
}

} // namespace mta_sts_test
