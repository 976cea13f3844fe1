// [received_reports]: its defaults, and what is written arrives; what is refused: tests/system/bad-config.
#include <gtest/gtest.h>

#include "config_fakes.hpp"

namespace load_received_reports_test {

using namespace mta;

TEST(LoadReceivedReports, WithoutTheSectionNoMailIsReadAsReports) {
  const auto config = config_fakes::load_good();
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->received_reports.recipients.empty());
  EXPECT_TRUE(config->received_reports.copy_to.empty());
  EXPECT_EQ(config->received_reports.max_size, 52'428'800U);
  EXPECT_EQ(config->received_reports.keep_days, 400U);
}

TEST(LoadReceivedReports, WhatIsWrittenArrives) {
  const auto config = config_fakes::load_good(R"([received_reports]
recipients = ["rua@example.org"]
copy_to = ["archive@example.net"]
max_size = "1MiB"
keep_days = 30
)");
  ASSERT_TRUE(config);
  ASSERT_EQ(config->received_reports.recipients.size(), 1U);
  EXPECT_EQ(config->received_reports.recipients[0].to_string(), "rua@example.org");
  ASSERT_EQ(config->received_reports.copy_to.size(), 1U);
  EXPECT_EQ(config->received_reports.copy_to[0].to_string(), "archive@example.net");
  EXPECT_EQ(config->received_reports.max_size, 1'048'576U);
  EXPECT_EQ(config->received_reports.keep_days, 30U);
  const auto rua = smtp::ForwardPath::parse("<Rua@example.org>").value();
  EXPECT_EQ(config->classify(rua), policy::LocalRecipient::known) << "it need not stand in the list of its domain";
  EXPECT_EQ(config->classify(smtp::ForwardPath::parse("<rub@example.org>").value()), policy::LocalRecipient::unknown);
  EXPECT_TRUE(config->is_report_mailbox(smtp::Mailbox::parse("RUA@Example.org").value()));
  EXPECT_FALSE(config->is_report_mailbox(smtp::Mailbox::parse("alice@example.org").value()));
}

} // namespace load_received_reports_test
