// StsPublication: what an operator is told to publish is what others would read.
#include "mta/sts/publication.hpp"

#include <gtest/gtest.h>

namespace publication_test {

using namespace mta;

DomainConfig domain(OwnStsConfig::Mode mode) {
  DomainConfig config{.domain = smtp::Domain::parse("example.org").value(),
                      .recipients = {},
                      .recipients_file = {},
                      .route = {},
                      .mta_sts = OwnStsConfig{mode,
                                              {"mx1.example.org", "*.mail.example.org"},
                                              std::chrono::seconds(1'209'600),
                                              "portcullis.toml:7"},
                      .place = {}};
  return config;
}

TEST(StsPublication, the_parts_fit_together) {
  const auto publication = make_sts_publication(domain(OwnStsConfig::Mode::enforce));
  EXPECT_EQ(publication.url, "https://mta-sts.example.org/.well-known/mta-sts.txt");
  EXPECT_EQ(publication.host, "mta-sts.example.org");
  EXPECT_EQ(publication.record_name, "_mta-sts.example.org");
  EXPECT_EQ(policy::parse_sts_policy(publication.text).value(), publication.policy);
  EXPECT_EQ(publication.policy.mode, policy::StsMode::enforce);
  EXPECT_TRUE(policy::find_sts_record({publication.record}).value());
}

TEST(StsPublication, another_text_has_another_id) {
  EXPECT_NE(make_sts_publication(domain(OwnStsConfig::Mode::testing)).record,
            make_sts_publication(domain(OwnStsConfig::Mode::enforce)).record);
  EXPECT_EQ(make_sts_publication(domain(OwnStsConfig::Mode::testing)).record,
            make_sts_publication(domain(OwnStsConfig::Mode::testing)).record);
}

TEST(StsPublication, the_text_for_people_shows_file_place_and_record) {
  const auto publication = make_sts_publication(domain(OwnStsConfig::Mode::testing));
  const std::string text = format_text(publication);
  for (const std::string &part :
       {std::string("version: STSv1\nmode: testing\nmx: mx1.example.org\nmx: *.mail.example.org\nmax_age: 1209600\n"),
        publication.url, "_mta-sts.example.org. IN TXT \"" + publication.record + "\"",
        std::string("portcullis.toml:7")})
    EXPECT_NE(text.find(part), std::string::npos) << text;
  EXPECT_EQ(text.find('\r'), std::string::npos);
}

} // namespace publication_test
