// Snapshot and check_config over real files.
#include "mta/config/snapshot.hpp"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "config_fakes.hpp"
#include "mta/config/check.hpp"
#include "source_dir.hpp"
#include "tests/support/temp_folder.hpp"

namespace snapshot_test {

using namespace mta;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

const std::string certificates = std::string(source_dir) + "/tests/system/bad-config/certificates/";

std::string config_text(const std::string &pair, const std::string &more = "") {
  return "[server]\nhostname = \"mx.example.org\"\n[[certificate]]\nname = \"main\"\ncertificate = \"" + certificates +
         pair + ".pem\"\nkey = \"" + certificates + pair +
         ".key\"\n[[listener]]\nname = \"mx\"\naddresses = [\"127.0.0.1:0\"]\n[[listener]]\nname = "
         "\"plain\"\naddresses = "
         "[\"127.0.0.1:0\"]\ntls = \"none\"\n[[domain]]\ndomain = \"example.org\"\nrecipients = "
         "[\"a\"]\nroute = [\"store.example.org\"]\n[queue]\npostmaster = \"a@example.org\"\n" +
         more;
}

const auto now = std::chrono::sys_days(2027y / 1 / 15) + 12h;

TEST(Snapshot, HasEverythingThatTheRulesCanAskFor) {
  const ::test::TempFolder folder;
  const auto file =
      folder.write("portcullis.toml",
                   config_text("mx", "[[route]]\ndomains = [\"*\"]\nhosts = [\"hub.example\"]\nclient_certificate = "
                                     "\"main\"\nprofile = \"mozilla-modern\"\n"));
  (void)folder.write("partners.d/p.toml",
                     "name = \"P\"\ndomains = [\"p.example\"]\n[outbound]\nprofile = \"ncsc\"\ntrust = \"" +
                         certificates + "mx.pem\"\n[inbound]\ntls = \"authenticated\"\n");
  const auto loaded = load_config(file, now);
  ASSERT_TRUE(loaded.config) << mta::config_fakes::text_of(loaded.findings);
  const auto snapshot = Snapshot::build(loaded.config, std::make_shared<tls::TicketKeys>());
  ASSERT_TRUE(snapshot) << snapshot.error().detail;
  EXPECT_TRUE((*snapshot)->listener_context("mx"));
  EXPECT_FALSE((*snapshot)->listener_context("plain")) << "no TLS there";
  EXPECT_FALSE((*snapshot)->listener_context("other"));
  for (const char *profile : {"internet", "ncsc", "mozilla-modern"})
    for (const char *certificate : {"", "main"})
      EXPECT_TRUE((*snapshot)->client_context(profile, certificate)) << profile << certificate;
  EXPECT_FALSE((*snapshot)->client_context("foundation", ""));
  EXPECT_TRUE((*snapshot)->trust_store("system"));
  EXPECT_TRUE((*snapshot)->trust_store(certificates + "mx.pem"));
  EXPECT_FALSE((*snapshot)->trust_store("/other.pem"));
  EXPECT_EQ(&(*snapshot)->config(), loaded.config.get());

  CurrentSnapshot current;
  EXPECT_FALSE(current.get());
  current.set(*snapshot);
  EXPECT_EQ(current.get(), *snapshot);
}

TEST(Snapshot, ErrorsNameThePlace) {
  const ::test::TempFolder folder;
  const auto loaded = load_config(folder.write("portcullis.toml", config_text("mx")), now);
  ASSERT_TRUE(loaded.config);
  auto changed = std::make_shared<Config>(*loaded.config);
  changed->certificates.front().files.key = certificates + "other.key"; // exchanged between load and build
  const auto snapshot = Snapshot::build(changed, std::make_shared<tls::TicketKeys>());
  ASSERT_FALSE(snapshot);
  EXPECT_TRUE(snapshot.error().detail.starts_with("portcullis.toml:7: listener \"mx\": ")) << snapshot.error().detail;
}

TEST(Check, AGoodConfiguration) {
  const ::test::TempFolder folder;
  const auto file = folder.write("portcullis.toml", config_text("mx"));
  EXPECT_EQ(check_config(file, now).text.find("ncsc ("), std::string::npos) << "the profiles are shown when asked for";
  const auto report = check_config(file, now, {.profiles = true});
  EXPECT_TRUE(report.ok) << report.text;
  EXPECT_NE(report.text.find("ncsc ("), std::string::npos);
  EXPECT_NE(report.text.find("used by: listener \"mx\", [outbound]"), std::string::npos) << report.text;
  EXPECT_TRUE(report.text.ends_with(file + ": 0 errors, 0 warnings: the daemon would start")) << report.text;
  const auto json = boost::json::parse(report.json).as_object();
  EXPECT_TRUE(json.at("ok").as_bool());
  EXPECT_EQ(json.at("profiles").as_array().size(), 7U);
  EXPECT_TRUE(json.at("findings").as_array().empty());
}

TEST(Check, WarningsAndErrors) {
  const ::test::TempFolder folder;
  auto report = check_config(folder.write("portcullis.toml", config_text("expired")), now);
  EXPECT_FALSE(report.ok) << "an expired certificate";
  EXPECT_TRUE(report.text.ends_with("1 error, 0 warnings: the daemon would start, and not do what is meant"))
      << report.text;
  const auto file = folder.write("portcullis.toml", config_text("weak", "[limit]\n"));
  report = check_config(file, now);
  EXPECT_FALSE(report.ok);
  EXPECT_TRUE(report.text.ends_with(file + ": 2 errors, 0 warnings: the daemon would not start")) << report.text;
  const auto findings = boost::json::parse(report.json).at("findings").as_array();
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_EQ(findings[0].at("file").as_string(), "portcullis.toml");
  EXPECT_EQ(findings[0].at("line").to_number<int>(), 7);
  EXPECT_EQ(findings[0].at("severity").as_string(), "error");
  EXPECT_EQ(findings[1].at("key").as_string(), "limit");
}

TEST(Check, TheLegacyProfileIsShownWhereItIsUsed) {
  const ::test::TempFolder folder;
  const auto report =
      check_config(folder.write("portcullis.toml", config_text("mx", "[outbound]\nprofile = \"internet-legacy\"\n")),
                   now, {.profiles = true});
  EXPECT_TRUE(report.ok) << report.text;
  EXPECT_NE(report.text.find("this profile allows weak TLS"), std::string::npos) << report.text;
}

} // namespace snapshot_test
