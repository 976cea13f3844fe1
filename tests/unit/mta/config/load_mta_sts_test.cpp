// [mta_sts] and [domain.mta_sts]: their defaults, and what is written arrives.
#include <gtest/gtest.h>

#include "config_fakes.hpp"

namespace load_mta_sts_test {

using namespace mta;
using namespace std::chrono_literals;

TEST(LoadMtaSts, without_the_section_policies_are_kept_to) {
  const auto config = config_fakes::load_good();
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->mta_sts.enabled);
  EXPECT_EQ(config->mta_sts.trust, "system");
  EXPECT_EQ(config->mta_sts.port, 443);
  EXPECT_EQ(config->mta_sts.timeout, 60s);
  EXPECT_EQ(config->mta_sts.max_size, 65'536U);
  EXPECT_EQ(config->mta_sts.unknown_wait, 1h);
  EXPECT_EQ(config->mta_sts.refresh, 24h);
  EXPECT_EQ(config->mta_sts.max_policies, 100'000U);
  EXPECT_FALSE(config->mta_sts.allow_private_addresses);
  EXPECT_FALSE(config->domains.at("example.org").mta_sts);
}

TEST(LoadMtaSts, what_is_written_arrives) {
  const auto config = config_fakes::load_good(R"([mta_sts]
enabled = false
trust = "ca.pem"
port = 8443
timeout = "5s"
max_size = "8KiB"
unknown_wait = "20m"
refresh = "6h"
max_policies = 10
allow_private_addresses = true
)");
  ASSERT_TRUE(config);
  EXPECT_FALSE(config->mta_sts.enabled);
  EXPECT_EQ(config->mta_sts.trust, "/etc/p/ca.pem");
  EXPECT_EQ(config->mta_sts.port, 8443);
  EXPECT_EQ(config->mta_sts.timeout, 5s);
  EXPECT_EQ(config->mta_sts.max_size, 8192U);
  EXPECT_EQ(config->mta_sts.unknown_wait, 20min);
  EXPECT_EQ(config->mta_sts.refresh, 6h);
  EXPECT_EQ(config->mta_sts.max_policies, 10U);
  EXPECT_TRUE(config->mta_sts.allow_private_addresses);
}

TEST(LoadMtaSts, a_domain_of_ours_has_its_policy) {
  const auto config = config_fakes::load_good(R"([domain.mta_sts]
mode = "enforce"
mx = ["MX1.example.org", "*.mail.example.org"]
max_age = "4w"
)");
  ASSERT_TRUE(config);
  const auto &own = config->domains.at("example.org").mta_sts;
  ASSERT_TRUE(own);
  EXPECT_EQ(own->mode, OwnStsConfig::Mode::enforce);
  EXPECT_EQ(own->mx, (std::vector<std::string>{"mx1.example.org", "*.mail.example.org"}));
  EXPECT_EQ(own->max_age, 28 * 24h);
  EXPECT_EQ(own->place, "portcullis.toml:9");
}

TEST(LoadMtaSts, mode_none_needs_no_mx) {
  const auto config = config_fakes::load_good("[domain.mta_sts]\nmode = \"none\"\n");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->domains.at("example.org").mta_sts->mode, OwnStsConfig::Mode::none);
  EXPECT_TRUE(config->domains.at("example.org").mta_sts->mx.empty());
}

} // namespace load_mta_sts_test
