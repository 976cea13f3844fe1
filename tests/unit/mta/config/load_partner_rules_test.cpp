// Partner files: the day of enforcement, lists of revoked certificates, and DANE as a level.
#include <gtest/gtest.h>

#include "config_fakes.hpp"

namespace load_partner_rules_test {

using namespace mta;
using namespace std::chrono_literals;

constexpr const char *minimal = R"([server]
hostname = "mx.example.org"
[[domain]]
domain = "example.org"
recipients = ["alice"]
[queue]
postmaster = "alice@example.org"
[[listener]]
name = "mx"
addresses = ["127.0.0.1:0"]
tls = "none"
)";

/// Of a CA made for this test; it lists nothing and ends in a hundred years.
constexpr const char *list = R"(-----BEGIN X509 CRL-----
MIGsMFMCAQEwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHTGlzdCBDQRcNMjYxMTIy
MTExNjEyWhgPMjEyNjEwMjkxMTE2MTJaoA4wDDAKBgNVHRQEAwIBATAKBggqhkjO
PQQDAgNJADBGAiEAnBtVRnZiv4R6fPSJg0QcjfBVacFSnepP0X35WoNzNHECIQDg
RBjoU+/0WzyEfQ5w9yAGd1eVf4ZyBGGTokrpK6z8Uw==
-----END X509 CRL-----
)";

class PartnerRules : public testing::Test {
protected:
  config_fakes::MemoryFiles files;

  LoadedConfig load(const std::string &rules, const std::string &more = {}) {
    files.files["/etc/p/list.pem"] = list;
    files.files["/etc/p/text.pem"] = "no list";
    files.folders["/etc/p/partners.d"] = {"p.toml"};
    files.files["/etc/p/partners.d/p.toml"] = "name = \"P\"\ndomains = [\"p.example\"]\n" + rules;
    LoadTextOptions options;
    options.folder = "/etc/p";
    options.now = std::chrono::sys_days(2027y / 1 / 15);
    return load_config_text(minimal + more, options, files);
  }
  static const policy::Partner &partner(const LoadedConfig &loaded) { return loaded.config->partners.partners().at(0); }
};

TEST_F(PartnerRules, FromIsTheDayOfEnforcementInEachDirection) {
  const auto loaded = load("[outbound]\nfrom = 2027-02-01\n[inbound]\nmode = \"enforce\"\nfrom = 2027-03-01\n");
  EXPECT_EQ(config_fakes::text_of(loaded.findings), "");
  ASSERT_TRUE(loaded.config);
  EXPECT_EQ(partner(loaded).outbound->from, std::chrono::sys_days(2027y / 2 / 1));
  EXPECT_EQ(partner(loaded).inbound->from, std::chrono::sys_days(2027y / 3 / 1));
}

TEST_F(PartnerRules, FromWithoutEnforceIsAMistake) {
  EXPECT_EQ(config_fakes::text_of(load("[outbound]\nmode = \"observe\"\nfrom = 2027-02-01\n").findings),
            "partners.d/p.toml:5: outbound.from: is the day from which mode = \"enforce\" counts; the mode here is "
            "\"observe\"\n");
  EXPECT_EQ(config_fakes::text_of(load("[inbound]\nfrom = 2027-02-01\nmode = \"observe\"\n").findings),
            "partners.d/p.toml:4: inbound.from: is the day from which mode = \"enforce\" counts; the mode here is "
            "\"observe\"\n");
}

TEST_F(PartnerRules, ListsAreFilesOrHttpAddresses) {
  const auto loaded = load("[outbound]\ncrl = [\"list.pem\", \"http://crl.example:8080/a.crl\"]\n"
                           "[inbound]\ntls = \"authenticated\"\ncertificate = { crl = [\"/etc/p/list.pem\"] }\n");
  EXPECT_EQ(config_fakes::text_of(loaded.findings), "");
  ASSERT_TRUE(loaded.config);
  EXPECT_EQ(partner(loaded).outbound->crls,
            (std::vector<std::string>{"/etc/p/list.pem", "http://crl.example:8080/a.crl"}));
  EXPECT_EQ(partner(loaded).inbound->crls, std::vector<std::string>{"/etc/p/list.pem"});
}

TEST_F(PartnerRules, AListThatIsNoListIsAMistake) {
  for (const char *entry : {"text.pem", "missing.pem", "https://crl.example/a.crl", "ftp://crl.example/a.crl",
                            "http://", "http://:80/a", "http://u@crl.example/a", "http://crl.example/a b", ""}) {
    SCOPED_TRACE(entry);
    const auto loaded = load(std::string("[outbound]\ncrl = [\"") + entry + "\"]\n");
    EXPECT_EQ(loaded.config, nullptr);
    EXPECT_NE(config_fakes::text_of(loaded.findings).find("partners.d/p.toml:4: outbound.crl: "), std::string::npos)
        << config_fakes::text_of(loaded.findings);
  }
  std::string many = "[outbound]\ncrl = [";
  for (int i = 0; i < 33; ++i) many += "\"http://crl.example/" + std::to_string(i) + "\",";
  EXPECT_EQ(config_fakes::text_of(load(many + "]\n").findings),
            "partners.d/p.toml:4: outbound.crl: has 33 lists, the limit is 32\n");
}

TEST_F(PartnerRules, DaneIsALevelForOutboundRulesRoutesAndTheDefault) {
  const auto loaded =
      load("[outbound]\ntls = \"dane\"\n", "[outbound]\ntls = \"dane\"\n[[route]]\ndomains = [\"r.example\"]\n"
                                           "hosts = [\"hub.example\"]\ntls = \"dane\"\n");
  EXPECT_EQ(config_fakes::text_of(loaded.findings), "");
  ASSERT_TRUE(loaded.config);
  EXPECT_EQ(partner(loaded).outbound->level, tls::Level::dane);
  EXPECT_EQ(loaded.config->outbound.level, tls::Level::dane);
  EXPECT_EQ(loaded.config->routes.at(0).tls, tls::Level::dane);
}

TEST_F(PartnerRules, DaneThatNothingCouldMeetIsAMistake) {
  EXPECT_EQ(load("[outbound]\ntls = \"dane\"\n", "[dns]\ndnssec = false\n").config, nullptr);
  EXPECT_EQ(load("[outbound]\ntls = \"dane\"\n", "[outbound]\ndane = false\n").config, nullptr);
  EXPECT_EQ(load("[outbound]\ntls = \"dane\"\nroute = [\"192.0.2.1:25\"]\n").config, nullptr);
  EXPECT_EQ(load("[inbound]\ntls = \"dane\"\n").config, nullptr);
  EXPECT_NE(load("[outbound]\ntls = \"encrypted\"\n", "[outbound]\ndane = false\n").config, nullptr);
}

} // namespace load_partner_rules_test
