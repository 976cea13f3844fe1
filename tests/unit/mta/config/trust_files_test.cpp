// Files of CA certificates that end: what is told of them, and where `check` fails.
#include "mta/config/trust_files.hpp"

#include <gtest/gtest.h>

#include "tests/unit/mta/config/config_fakes.hpp"

namespace trust_files_test {

using namespace mta;
using namespace std::chrono_literals;

const std::chrono::system_clock::time_point today = std::chrono::sys_days(std::chrono::year(2027) / 1 / 15) + 12h;

/// A certificate of a file: its subject, and how many days are left of it.
struct Authority {
  std::string subject;
  int days = 0;
};

/// Each path has the certificates that it was given.
class AuthorityFiles final : public ConfigFiles {
public:
  std::map<std::string, std::vector<Authority>> files;

  [[nodiscard]] smtp::Result<std::string> read(const std::string &, std::size_t) const override {
    return smtp::fail(smtp::ErrorCode::not_found, "no such file");
  }
  [[nodiscard]] smtp::Result<std::vector<std::string>> list(const std::string &) const override {
    return std::vector<std::string>();
  }
  [[nodiscard]] smtp::Result<std::vector<tls::CertificateFacts>> certificates(const std::string &path) const override {
    const auto found = files.find(path);
    if (found == files.end()) return smtp::fail(smtp::ErrorCode::not_permitted, "permission denied");
    std::vector<tls::CertificateFacts> all;
    for (const Authority &one : found->second) {
      all.emplace_back().subject = one.subject;
      all.back().not_after = today + std::chrono::days(one.days) + 1h;
    }
    return all;
  }
  [[nodiscard]] smtp::Result<void> check_key_pair(const std::string &, const std::string &) const override {
    return {};
  }
};

std::vector<Authority> collection(int days) {
  std::vector<Authority> all;
  for (int i = 0; i < 30; ++i) all.push_back({"CN=" + std::to_string(i), days - i});
  return all;
}

struct AuthorityRow {
  const char *name;
  std::vector<Authority> file;
  std::vector<std::string> told; ///< subjects
  std::size_t faults = 0;
};

TEST(TrustFiles, CertificatesWithoutASuccessorAreTold) {
  const std::vector<AuthorityRow> rows = {
      {"31 days are left", {{"CN=A", 31}}, {}},
      {"29 days are left", {{"CN=A", 29}}, {"CN=A"}},
      {"it has expired, and nothing else is there", {{"CN=A", -1}}, {"CN=A"}, 1},
      {"it has expired, and another CA has not", {{"CN=A", -1}, {"CN=B", 900}}, {"CN=A"}},
      {"the CA's next certificate is there", {{"CN=A", -1}, {"CN=A", 900}}, {}},
      {"the next one ends as well", {{"CN=A", -3}, {"CN=A", 5}}, {"CN=A"}},
      {"all have expired", {{"CN=A", -1}, {"CN=B", -2}}, {"CN=A", "CN=B"}, 2},
      {"one of a collection has expired", collection(20 + 11), {}},
      {"a collection ends as a whole", collection(29), {"CN=0"}},
      {"a collection has ended as a whole", collection(-1), {"CN=0"}, 1},
  };
  Config config;
  config.listeners.emplace_back().trusted_ca = "/etc/p/ca.pem";
  config.listeners.back().place = "portcullis.toml:12";
  for (const AuthorityRow &row : rows) {
    SCOPED_TRACE(row.name);
    AuthorityFiles files;
    files.files["/etc/p/ca.pem"] = row.file;
    std::vector<std::string> told;
    for (const EndingAuthority &one : find_ending_authorities(config, files, today)) told.push_back(one.subject);
    EXPECT_EQ(told, row.told);
    const auto findings = find_authority_faults(config, files, today);
    EXPECT_EQ(findings.size(), row.told.size());
    std::size_t faults = 0;
    for (const Finding &finding : findings) {
      faults += finding.severity == Severity::fault ? 1 : 0;
      EXPECT_TRUE(finding.to_string().starts_with("portcullis.toml:12: ")) << finding.to_string();
      EXPECT_NE(finding.to_string().find("listener.trusted_ca"), std::string::npos) << finding.to_string();
    }
    EXPECT_EQ(faults, row.faults) << config_fakes::text_of(findings);
  }
}

TEST(TrustFiles, EveryKeyThatNamesAFileIsLookedAtAndEachFileOnce) {
  Config config;
  config.listeners.emplace_back().trusted_ca = "/1";
  config.listeners.back().required_ca = "/2";
  policy::Partner partner;
  partner.name = "Department";
  partner.domains = {smtp::DomainPattern::parse("example.gov.uk").value()};
  partner.outbound.emplace().trust = "/3";
  partner.inbound.emplace().trust = "/4";
  std::vector<policy::Partner> partners;
  partners.push_back(std::move(partner));
  config.partners = policy::PartnerTable::build(std::move(partners)).value();
  config.routes.emplace_back().tls_trust = "/5";
  config.routes.emplace_back().tls_trust = "/3";
  config.routes.emplace_back().tls_trust = "/unreadable";
  config.routes.emplace_back().tls_trust = "system";
  config.mta_sts.trust = "/6";
  config.tls_reports.https_trust = "/7";
  AuthorityFiles files;
  for (const char *path : {"/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "system"}) files.files[path] = {{"CN=A", 3}};
  std::string keys;
  for (const EndingAuthority &one : find_ending_authorities(config, files, today))
    keys += one.file + " " + one.key + "\n";
  EXPECT_EQ(keys,
            "/1 listener.trusted_ca\n/2 listener.required_ca\n/3 outbound.trust\n/4 inbound.trust\n/5 route.trust\n"
            "/6 mta_sts.trust\n/7 tls_reports.https_trust\n");
}

} // namespace trust_files_test
