// [tls_reports]: off until it is written, its defaults, and what is written arrives.
#include <gtest/gtest.h>

#include "config_fakes.hpp"

namespace load_tls_reports_test {

using namespace mta;
using namespace std::chrono_literals;

TEST(LoadTlsReports, without_the_section_none_are_sent) {
  const auto loaded = config_fakes::load_minimal();
  ASSERT_TRUE(loaded.config) << config_fakes::text_of(loaded.findings);
  EXPECT_FALSE(loaded.config->tls_reports.enabled);
}

TEST(LoadTlsReports, the_author_is_enough) {
  const auto loaded = config_fakes::load_minimal("[tls_reports]\nfrom = \"tls@reports.example.org\"\n");
  ASSERT_TRUE(loaded.config) << config_fakes::text_of(loaded.findings);
  const TlsReportConfig &reports = loaded.config->tls_reports;
  EXPECT_TRUE(reports.enabled);
  EXPECT_EQ(reports.from->to_string(), "tls@reports.example.org");
  EXPECT_EQ(reports.org_name, "mx.example.org");
  EXPECT_EQ(reports.contact, "");
  EXPECT_EQ(reports.hour, 1U);
  EXPECT_EQ(reports.spread, 4h);
  EXPECT_EQ(reports.max_size, 10'485'760U);
  EXPECT_EQ(reports.keep_days, 14U);
  EXPECT_TRUE(reports.https);
  EXPECT_EQ(reports.https_trust, "system");
  EXPECT_FALSE(reports.allow_private_addresses);
  EXPECT_NE(config_fakes::text_of(loaded.findings).find("no [[dkim_key]] signs for reports.example.org"),
            std::string::npos)
      << config_fakes::text_of(loaded.findings);
}

TEST(LoadTlsReports, what_is_written_arrives) {
  const auto loaded = config_fakes::load_minimal(R"([tls_reports]
enabled = false
org_name = "Example Department"
contact = "https://www.example.org/mail"
hour = 23
spread = "10m"
max_size = "64KiB"
keep_days = 2
https = false
https_trust = "ca.pem"
allow_private_addresses = true
)");
  ASSERT_TRUE(loaded.config) << config_fakes::text_of(loaded.findings);
  const TlsReportConfig &reports = loaded.config->tls_reports;
  EXPECT_FALSE(reports.enabled) << "and then no author is needed";
  EXPECT_EQ(reports.org_name, "Example Department");
  EXPECT_EQ(reports.contact, "https://www.example.org/mail");
  EXPECT_EQ(reports.hour, 23U);
  EXPECT_EQ(reports.spread, 10min);
  EXPECT_EQ(reports.max_size, 65'536U);
  EXPECT_EQ(reports.keep_days, 2U);
  EXPECT_FALSE(reports.https);
  EXPECT_EQ(reports.https_trust, "/etc/p/ca.pem");
  EXPECT_TRUE(reports.allow_private_addresses);
}

TEST(LoadTlsReports, an_author_is_needed) {
  const auto loaded = config_fakes::load_minimal("[tls_reports]\nhour = 2\n");
  EXPECT_FALSE(loaded.config);
  EXPECT_NE(config_fakes::text_of(loaded.findings).find("tls_reports.from: must be there"), std::string::npos)
      << config_fakes::text_of(loaded.findings);
}

} // namespace load_tls_reports_test
