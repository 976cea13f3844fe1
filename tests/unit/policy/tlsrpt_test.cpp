// TLSRPT records: what asks for reports, where to, and what is passed over (RFC 8460 section 3).
#include "policy/tlsrpt.hpp"

#include <ostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tlsrpt_test {

using namespace policy;
using smtp::ErrorCode;
using testing::HasSubstr;

std::string list(const TlsrptRecord &record) {
  std::string text;
  for (const auto &one : record.rua)
    text += (one.scheme == TlsrptDestination::Scheme::https ? "https " : "mailto ") + one.address + "\n";
  return text;
}

struct GoodRow {
  std::string name;
  std::string text;
  std::string rua;
  std::string problem = "";
  friend std::ostream &operator<<(std::ostream &out, const GoodRow &row) { return out << row.name; }
};

class GoodRecord : public testing::TestWithParam<GoodRow> {};

TEST_P(GoodRecord, is_read) {
  const auto record = parse_tlsrpt_record(GetParam().text);
  ASSERT_TRUE(record) << record.error().detail;
  EXPECT_EQ(list(*record), GetParam().rua);
  EXPECT_EQ(record->problems.empty(), GetParam().problem.empty()) << testing::PrintToString(record->problems);
  if (!GetParam().problem.empty()) {
    EXPECT_THAT(record->problems.at(0), HasSubstr(GetParam().problem));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, GoodRecord,
    testing::Values(
        GoodRow{"the RFC's first example", "v=TLSRPTv1;rua=mailto:reports@example.com", "mailto reports@example.com\n"},
        GoodRow{"the RFC's second example", "v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt",
                "https https://reporting.example.com/v1/tlsrpt\n"},
        GoodRow{"two destinations and white space at every delimiter",
                "v=TLSRPTv1 ;\t rua=mailto:a@example.com , https://example.com/r ; ",
                "mailto a@example.com\nhttps https://example.com/r\n"},
        GoodRow{"percent-encoded address", "v=TLSRPTv1; rua=mailto:a%2Bb@example.com", "mailto a+b@example.com\n"},
        GoodRow{"the fields of a mailto URI are not for reports", "v=TLSRPTv1; rua=mailto:a@example.com?subject=x",
                "mailto a@example.com\n"},
        GoodRow{"a query belongs to the URL", "v=TLSRPTv1; rua=https://example.com/r?key=a%2Cb",
                "https https://example.com/r?key=a%2Cb\n"},
        GoodRow{"unknown extensions are ignored", "v=TLSRPTv1; x-1_a.b=hello; rua=mailto:a@example.com; z=1",
                "mailto a@example.com\n"},
        GoodRow{"the same address twice counts once", "v=TLSRPTv1; rua=mailto:a@example.com,mailto:a@EXAMPLE.com",
                "mailto a@example.com\n"},
        GoodRow{"a bad field loses only itself", "v=TLSRPTv1; hello; rua=mailto:a@example.com",
                "mailto a@example.com\n", "it is not a field"},
        GoodRow{"an extension's name has 32 characters at most",
                "v=TLSRPTv1; " + std::string(33, 'x') + "=1; rua=mailto:a@example.com", "mailto a@example.com\n",
                "it is not a field"},
        GoodRow{"a second rua field counts as well",
                "v=TLSRPTv1; rua=mailto:a@example.com; x=1; rua=mailto:b@example.com,mailto:a@example.com",
                "mailto a@example.com\nmailto b@example.com\n", ""},
        GoodRow{"http is not private", "v=TLSRPTv1; rua=http://example.com/r,mailto:a@example.com",
                "mailto a@example.com\n", "only mailto and https"},
        GoodRow{"an exclamation mark must be encoded", "v=TLSRPTv1; rua=mailto:a@example.com!10m", "",
                "must be percent-encoded"},
        GoodRow{"a bare address is not a URI", "v=TLSRPTv1; rua=a@example.com", "", "not a URI for reports"},
        GoodRow{"an empty rua", "v=TLSRPTv1; rua=", "", "not a URI for reports"},
        GoodRow{"an address with a line end", "v=TLSRPTv1; rua=mailto:a%0D%0AX@example.com", "", "not a URI for reports"},
        GoodRow{"an address literal", "v=TLSRPTv1; rua=mailto:a@[192.0.2.1]", "", "not a URI for reports"},
        GoodRow{"https without a host", "v=TLSRPTv1; rua=https:///path", "", "names no host"},
        GoodRow{"control characters are shown as what they are", "v=TLSRPTv1; rua=\x01\xff", "", "\\x01"}));

struct BadRow {
  std::string name;
  std::string text;
  ErrorCode code;
  std::string detail;
  friend std::ostream &operator<<(std::ostream &out, const BadRow &row) { return out << row.name; }
};

class BadRecord : public testing::TestWithParam<BadRow> {};

TEST_P(BadRecord, is_refused) {
  const auto record = parse_tlsrpt_record(GetParam().text);
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, GetParam().code);
  EXPECT_THAT(record.error().detail, HasSubstr(GetParam().detail));
  EXPECT_EQ(is_tlsrpt_record(GetParam().text), GetParam().code != ErrorCode::not_found);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, BadRecord,
    testing::Values(BadRow{"nothing", "", ErrorCode::not_found, "not a TLSRPT record"},
                    BadRow{"another record", "v=spf1 -all", ErrorCode::not_found, "not a TLSRPT record"},
                    BadRow{"a later version", "v=TLSRPTv2; rua=mailto:a@b.example", ErrorCode::not_found, ""},
                    BadRow{"a longer word", "v=TLSRPTv10; rua=mailto:a@b.example", ErrorCode::not_found, ""},
                    BadRow{"the version in lower case", "v=tlsrptv1; rua=mailto:a@b.example", ErrorCode::not_found, ""},
                    BadRow{"space in front", " v=TLSRPTv1; rua=mailto:a@b.example", ErrorCode::not_found, ""},
                    BadRow{"space within", "v = TLSRPTv1; rua=mailto:a@b.example", ErrorCode::not_found, ""},
                    BadRow{"the version alone", "v=TLSRPTv1", ErrorCode::not_found, ""},
                    BadRow{"the version not first", "rua=mailto:a@b.example; v=TLSRPTv1;", ErrorCode::not_found, ""},
                    BadRow{"no rua", "v=TLSRPTv1;", ErrorCode::bad_syntax, "no rua"},
                    BadRow{"RUA in upper case is another field", "v=TLSRPTv1; RUA=mailto:a@b.example",
                           ErrorCode::bad_syntax, "no rua"},
                    BadRow{"too long", "v=TLSRPTv1; rua=mailto:a@b.example; x=" + std::string(4096, 'a'),
                           ErrorCode::too_long, "limit is 4096"}));

TEST(TlsrptUris, are_served_up_to_the_limit) {
  std::string text = "v=TLSRPTv1; rua=";
  for (int i = 0; i < 20; ++i) text += (i == 0 ? "mailto:r" : ",mailto:r") + std::to_string(i) + "@example.com";
  const auto record = parse_tlsrpt_record(text);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->rua.size(), most_tlsrpt_uris);
  EXPECT_THAT(record->problems.at(0), HasSubstr("more than 16 URIs"));
}

TEST(TlsrptRecords, exactly_one_counts) {
  const std::string good = "v=TLSRPTv1; rua=mailto:a@example.com";
  const std::vector<std::string> none{"v=spf1 -all", "v=TLSRPTv1"};
  const std::vector<std::string> one{"v=spf1 -all", good, "v=TLSRPTv2; rua=mailto:b@example.com"};
  const std::vector<std::string> two{good, "v=TLSRPTv1; rua=mailto:b@example.com"};
  EXPECT_EQ(choose_tlsrpt_record({}).error().code, ErrorCode::not_found);
  EXPECT_EQ(choose_tlsrpt_record(none).error().code, ErrorCode::not_found);
  EXPECT_EQ(list(choose_tlsrpt_record(one).value()), "mailto a@example.com\n");
  EXPECT_THAT(choose_tlsrpt_record(two).error().detail, HasSubstr("there are 2 TLSRPT records"));
  EXPECT_EQ(tlsrpt_name("example.com"), "_smtp._tls.example.com");
}

} // namespace tlsrpt_test
