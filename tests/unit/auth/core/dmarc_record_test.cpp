// DMARC records and their URIs: RFC 9989 sections 4.7, 4.8 and 4.10.1; what is bad loses only itself.
#include "auth/core/dmarc_record.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "smtp/base/text.hpp"
#include "source_dir.hpp"

namespace auth {
namespace dmarc_record_test {

/// One line that shows all that was read.
std::string summary(std::string_view text) {
  const auto record = parse_dmarc_record(text);
  if (!record) return "no record";
  std::string line = record->applies ? "" : "not applied: ";
  line += std::string("p=") + std::string(to_string(record->policy));
  if (record->subdomain_policy) line += std::string(" sp=") + std::string(to_string(*record->subdomain_policy));
  if (record->nonexistent_policy) line += std::string(" np=") + std::string(to_string(*record->nonexistent_policy));
  if (record->strict_dkim) line += " adkim=s";
  if (record->strict_spf) line += " aspf=s";
  if (record->testing) line += " t=y";
  if (record->psd != DmarcPsd::unknown) line += record->psd == DmarcPsd::yes ? " psd=y" : " psd=n";
  for (const DmarcUri &uri : record->rua) line += " rua:" + uri.uri;
  for (const DmarcUri &uri : record->ruf) line += " ruf:" + uri.uri;
  if (record->failure_options != "0") line += " fo=" + record->failure_options;
  return line;
}

struct Row {
  std::string text;
  std::string expected;
};

TEST(DmarcRecordVersion, MustComeFirstAndBeExact) {
  const Row rows[] = {
      {"v=DMARC1;p=reject", "p=reject"},
      {"v=DMARC1; p=reject;", "p=reject"},
      {"V = DMARC1 ; p = reject ; ", "p=reject"},
      {"v\t=\tDMARC1\t;\tp\t=\treject", "p=reject"},
      {"v=DMARC1", "not applied: p=none"},
      {"v=DMARC1;", "not applied: p=none"},
      {"", "no record"},
      {"v=DMARC1p=reject", "no record"},
      {"v=DMARC1 p=reject", "no record"},
      {"v=DMARC1,p=reject", "no record"},
      {"v=DMARC2; p=reject", "no record"},
      {"v=DMARC10; p=reject", "no record"},
      {"v=dmarc1; p=reject", "no record"},
      {"v=Dmarc1; p=reject", "no record"},
      {" v=DMARC1; p=reject", "no record"},
      {";v=DMARC1; p=reject", "no record"},
      {"p=reject; v=DMARC1", "no record"},
      {"\"v=DMARC1; p=reject\"", "no record"},
      {"v=spf1 -all", "no record"},
      {"domain=example.com;v=DMARC1;p=none", "no record"},
  };
  for (const Row &row : rows) {
    EXPECT_EQ(summary(row.text), row.expected) << row.text;
    EXPECT_EQ(is_dmarc_record(row.text), row.expected != "no record") << row.text;
  }
}

TEST(DmarcRecordTags, AreReadAndABadOneLosesOnlyItself) {
  const Row rows[] = {
      {"v=DMARC1;p=none", "p=none"},
      {"v=DMARC1;p=quarantine", "p=quarantine"},
      {"v=DMARC1;p=Reject;SP=QUARANTINE;Np=None", "p=reject sp=quarantine np=none"},
      {"v=DMARC1;p=reject;adkim=s;aspf=S;t=Y;psd=N", "p=reject adkim=s aspf=s t=y psd=n"},
      {"v=DMARC1;p=reject;adkim=r;aspf=r;t=n;psd=u", "p=reject"},
      {"v=DMARC1;p=reject;adkim=strict;aspf=x;t=yes;psd=maybe", "p=reject"},
      {"v=DMARC1;p=reject;adkim=;aspf;t==y;=s;;;psd=y", "p=reject psd=y"},
      {"v=DMARC1;p=reject;pct=0;rf=iodef;ri=never", "p=reject"},
      {"v=DMARC1;p=reject;fo:0;pct:100", "p=reject"},
      {"v=DMARC1;p=reject;unknown=x;sp2=none", "p=reject"},
      {"v=DMARC1;p=reject;adkim=s;adkim=s;t=y;t=n;psd=y;psd=n", "p=reject"},
      {"v=DMARC1;adkim=s;p=reject", "p=reject adkim=s"},
      {"v=DMARC1;p=reject;rua=not a uri,mailto:a@example.com", "p=reject rua:mailto:a@example.com"},
      {"v=DMARC1;p=reject;rua=;ruf=x", "p=reject"},
      {"v=DMARC1;p=reject;note=\xc3\xa9", "p=reject"},
  };
  for (const Row &row : rows) EXPECT_EQ(summary(row.text), row.expected) << row.text;
}

TEST(DmarcRecordPolicies, BadOnesNeedAValidRua) {
  const Row rows[] = {
      {"v=DMARC1;rua=mailto:a@example.com", "p=none rua:mailto:a@example.com"},
      {"v=DMARC1;p=rejected;rua=mailto:a@example.com", "p=none rua:mailto:a@example.com"},
      {"v=DMARC1;p=;rua=mailto:a@example.com", "p=none rua:mailto:a@example.com"},
      {"v=DMARC1;p=reject;sp=invalid;rua=mailto:a@example.com", "p=none rua:mailto:a@example.com"},
      {"v=DMARC1;p=reject;np=invalid;sp=reject;rua=mailto:a@example.com", "p=none rua:mailto:a@example.com"},
      {"v=DMARC1;sp=reject;rua=mailto:a@example.com", "p=none sp=reject rua:mailto:a@example.com"},
      {"v=DMARC1;p=reject;p=none", "not applied: p=none"},
      {"v=DMARC1;p=reject;P=reject", "not applied: p=none"},
      {"v=DMARC1;p=reject;p=none;rua=mailto:a@example.com", "p=none rua:mailto:a@example.com"},
      {"v=DMARC1;p=reject;sp=reject;sp=none;rua=mailto:a@example.com", "p=none rua:mailto:a@example.com"},
      {"v=DMARC1;p=reject;sp=invalid", "not applied: p=none"},
      {"v=DMARC1;p=bogus", "not applied: p=none"},
      {"v=DMARC1;p=bogus;rua=a@example.com", "not applied: p=none"},
      {"v=DMARC1;p=bogus;rua=mailto:nobody", "not applied: p=none"},
      {"v=DMARC1;psd=y", "not applied: p=none psd=y"},
      {"v=DMARC1;psd=y;rua=https://example.com/r", "p=none psd=y rua:https://example.com/r"},
  };
  for (const Row &row : rows) EXPECT_EQ(summary(row.text), row.expected) << row.text;
}

TEST(DmarcRecordFailureOptions, CountOnlyWithRufAndWhenValid) {
  const Row rows[] = {
      {"1", "1"},   {"0", "0"},   {"d", "d"}, {"1:d:s", "1:d:s"}, {"d:0:s", "d:0:s"}, {"D : S", "d:s"},
      {"0:1", "0"}, {"d:d", "0"}, {"x", "0"}, {"", "0"},          {"1:", "0"},        {"1d", "0"},
  };
  for (const Row &row : rows) {
    const auto record = parse_dmarc_record("v=DMARC1;p=none;ruf=mailto:a@example.com;fo=" + row.text);
    ASSERT_TRUE(record);
    EXPECT_EQ(record->failure_options, row.expected) << row.text;
    EXPECT_EQ(parse_dmarc_record("v=DMARC1;p=none;fo=" + row.text)->failure_options, "0") << row.text;
  }
}

TEST(DmarcRecordLimits, LengthAndNumberOfUris) {
  const std::string start = "v=DMARC1;p=reject;x=";
  EXPECT_TRUE(parse_dmarc_record(start + std::string(longest_dmarc_record - start.size(), 'x')));
  EXPECT_FALSE(parse_dmarc_record(start + std::string(longest_dmarc_record - start.size() + 1, 'x')));
  std::string uris = "v=DMARC1;p=reject;rua=mailto:a@example.com";
  for (int i = 0; i < 40; ++i) uris += ",mailto:a@example.com";
  EXPECT_EQ(parse_dmarc_record(uris)->rua.size(), most_dmarc_uris);
}

struct UriRow {
  std::string text;
  bool valid = true;
  std::string address = {};
  std::string host = {};
  std::optional<std::uint64_t> size = std::nullopt;
};

TEST(DmarcUriParse, KnowsMailtoAndHosts) {
  const UriRow rows[] = {
      {.text = "mailto:a@example.com", .address = "a@example.com", .host = "example.com"},
      {.text = " MAILTO:a@EXAMPLE.com ", .address = "a@example.com", .host = "example.com"},
      {.text = "mailto:a%21%62@example.com", .address = "a!b@example.com", .host = "example.com"},
      {.text = "mailto:%22a%2Cb%22@example.com", .address = "\"a,b\"@example.com", .host = "example.com"},
      {.text = "mailto:a%2Cb@example.com", .valid = false},
      {.text = "mailto:a@example.com?subject=x", .address = "a@example.com", .host = "example.com"},
      {.text = "mailto:a@example.com!10m", .address = "a@example.com", .host = "example.com", .size = 10485760},
      {.text = "mailto:a@example.com!500", .address = "a@example.com", .host = "example.com", .size = 500},
      {.text = "mailto:a@example.com!2K", .address = "a@example.com", .host = "example.com", .size = 2048},
      {.text = "https://u@Report.Example.com:8443/x", .host = "report.example.com"},
      {.text = "https://[2001:db8::1]/x"},
      {.text = "urn:x:y"},
      {.text = "mailto:a@example.com!", .valid = false},
      {.text = "mailto:a@example.com!10x", .valid = false},
      {.text = "mailto:a@example.com!m", .valid = false},
      {.text = "mailto:a@example.com!99999999999t", .valid = false},
      {.text = "mailto:a", .valid = false},
      {.text = "mailto:", .valid = false},
      {.text = "mailto:@example.com", .valid = false},
      {.text = "mailto:a@[192.0.2.1]", .valid = false},
      {.text = "mailto:a%zz@example.com", .valid = false},
      {.text = "mailto:a%2@example.com", .valid = false},
      {.text = "mailto:a@example.com%2Cb@example.com", .valid = false},
      {.text = "mailto:a%0d%0ab@example.com", .valid = false},
      {.text = "mailto: a@example.com", .valid = false},
      {.text = "a@example.com", .valid = false},
      {.text = "1http://example.com", .valid = false},
      {.text = ":x", .valid = false},
      {.text = "", .valid = false},
  };
  for (const UriRow &row : rows) {
    const auto uri = parse_dmarc_uri(row.text);
    ASSERT_EQ(uri.has_value(), row.valid) << row.text;
    if (!uri) continue;
    EXPECT_EQ(uri->host, row.host) << row.text;
    EXPECT_EQ(uri->size_limit, row.size) << row.text;
    EXPECT_EQ(uri->uri.find('!'), std::string::npos) << row.text;
    EXPECT_EQ(uri->address, row.address) << row.text;
  }
}

/// What the first p= says, when it is one of the three words.
std::string good_policy(std::string_view tags) {
  for (const std::string_view tag : smtp::split(tags, ';')) {
    const std::string_view trimmed = smtp::trim(tag);
    if (!trimmed.starts_with("p=")) continue;
    const std::string_view word = trimmed.substr(2);
    return word == "none" || word == "quarantine" || word == "reject" ? std::string(word) : "";
  }
  return "";
}

TEST(DmarcRecordInTheWild, ReadsEveryRecordWithoutHarm) {
  std::ifstream file(std::string(source_dir) + "/../shared/conformance/dmarc/mail-dmarc-wild-records.json");
  if (!file) GTEST_SKIP() << "the conformance data are not there";
  std::stringstream all;
  all << file.rdbuf();
  // Every JSON string is a record; each is tried as it is and from its version on.
  const std::string text = all.str();
  std::size_t records = 0;
  for (std::size_t at = text.find('"'); at != std::string::npos; at = text.find('"', at + 1)) {
    const std::size_t end = text.find('"', at + 1);
    if (end == std::string::npos) break;
    const std::string record = text.substr(at + 1, end - at - 1);
    at = end;
    (void)parse_dmarc_record(record);
    const auto version = record.find("v=DMARC1;");
    if (version == std::string::npos) continue;
    const std::string tags = record.substr(version);
    const auto read = parse_dmarc_record(tags);
    ASSERT_TRUE(read) << record;
    const std::string policy = good_policy(tags);
    if (policy.empty()) continue;
    ++records;
    EXPECT_EQ(to_string(read->policy), policy) << record;
    EXPECT_TRUE(read->applies) << record;
  }
  EXPECT_GT(records, 20U);
}

} // namespace dmarc_record_test
} // namespace auth
