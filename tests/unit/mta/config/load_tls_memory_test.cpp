// [tls_memory] and [tls_evidence]: their defaults, and what is written arrives.
#include <gtest/gtest.h>

#include "config_fakes.hpp"

namespace load_tls_memory_test {

using namespace mta;
using namespace std::chrono_literals;

TEST(LoadTlsMemory, without_the_section_government_domains_are_protected) {
  const auto config = config_fakes::load_good();
  ASSERT_TRUE(config);
  ASSERT_EQ(config->tls_memory.protect.size(), 1U);
  EXPECT_EQ(config->tls_memory.protect[0].to_string(), "*.gov.uk");
  EXPECT_EQ(config->tls_memory.place, "default");
  EXPECT_TRUE(config->tls_memory.enabled);
  EXPECT_EQ(config->tls_memory.release_after, 0s) << "an operator releases";
  EXPECT_EQ(config->tls_evidence.keep_days, 30U);
  EXPECT_EQ(config->tls_evidence.alert_deferrals, 10U);
}

TEST(LoadTlsMemory, what_is_written_arrives_with_its_place) {
  const auto config = config_fakes::load_good(R"([tls_memory]
protect = ["example.net", "*.nhs.uk"]
release_after = "3d"
keep_days = 30
many_domains = 3
[tls_evidence]
enabled = false
keep_days = 60
day_limit = "2MiB"
alert_deferrals = 0
)");
  ASSERT_TRUE(config);
  ASSERT_EQ(config->tls_memory.protect.size(), 2U);
  EXPECT_EQ(config->tls_memory.protect[1].to_string(), "*.nhs.uk");
  EXPECT_EQ(config->tls_memory.place, "portcullis.toml:10");
  EXPECT_EQ(config->tls_memory.release_after, 72h);
  EXPECT_EQ(config->tls_memory.keep_days, 30U);
  EXPECT_EQ(config->tls_memory.many_domains, 3U);
  EXPECT_FALSE(config->tls_evidence.enabled);
  EXPECT_EQ(config->tls_evidence.keep_days, 60U);
  EXPECT_EQ(config->tls_evidence.day_limit, 2'097'152U);
  EXPECT_EQ(config->tls_evidence.alert_deferrals, 0U);
}

TEST(LoadTlsMemory, an_empty_list_protects_nobody) {
  const auto config = config_fakes::load_good("[tls_memory]\nprotect = []\n");
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->tls_memory.protect.empty());
}

} // namespace load_tls_memory_test
