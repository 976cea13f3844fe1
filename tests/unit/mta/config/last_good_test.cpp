// The last good configuration: what was kept loads as it was, whatever has become of the files.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "config_fakes.hpp"
#include "mta/config/last_good.hpp"
#include "tests/support/temp_folder.hpp"
#include "tls/certificate.hpp"

namespace last_good_test {

using namespace mta;
using namespace std::chrono_literals;

class LastGood : public testing::Test {
protected:
  ::test::TempFolder folder_;
  const std::chrono::system_clock::time_point now_ = std::chrono::system_clock::now();

  void write(const std::string &name, const std::string &text) {
    std::filesystem::create_directories(std::filesystem::path(folder_.file(name)).parent_path());
    std::ofstream(folder_.file(name)) << text;
  }
  std::string main_file() const { return folder_.file("portcullis.toml"); }
  void SetUp() override {
    const auto pair = tls::make_self_signed(tls::KeyType::ec_p256, {"mx.example.org"}, std::chrono::days(90)).value();
    write("mx.pem", pair.certificate);
    write("mx.key", pair.key);
    write("list", "bob\ncarol\n\"with space\"\n");
    write("partners.d/a.toml", "name = \"A\"\ndomains = [\"a.example\"]\n[outbound]\ntls = \"encrypted\"\n");
    write("hosts", "192.0.2.1 store.example.org\n");
    std::filesystem::create_directories(folder_.file("spool"));
    write("portcullis.toml", R"([server]
hostname = "mx.example.org"
[spool]
path = "spool"
[dns]
hosts_file = "hosts"
[queue]
postmaster = "alice@example.org"
[[certificate]]
name = "main"
certificate = "mx.pem"
key = "mx.key"
[[listener]]
name = "mx"
addresses = ["127.0.0.1:0"]
[[domain]]
domain = "example.org"
recipients = ["alice"]
recipients_file = "list"
)");
  }
  void keep() {
    RecordingFiles files;
    const auto loaded = load_config(main_file(), now_, files);
    ASSERT_TRUE(loaded.config) << mta::config_fakes::text_of(loaded.findings);
    const auto kept = keep_last_good(*loaded.config, files.take(), now_);
    ASSERT_TRUE(kept) << kept.error().detail;
  }
  smtp::Result<std::unique_ptr<KeptFiles>> open() const {
    return KeptFiles::open(last_good_folder(folder_.file("spool")), main_file());
  }
};

TEST_F(LastGood, LoadsAsItWasWhateverBecameOfTheFiles) {
  keep();
  for (const char *name : {"portcullis.toml", "mx.pem", "mx.key", "list", "partners.d/a.toml", "hosts"})
    write(name, "not [ good");
  write("partners.d/b.toml", "name =\n");
  EXPECT_EQ(load_config(main_file(), now_).config, nullptr);
  const auto kept = open();
  ASSERT_TRUE(kept) << kept.error().detail;
  const auto loaded = load_config(main_file(), now_, **kept);
  ASSERT_TRUE(loaded.config) << mta::config_fakes::text_of(loaded.findings);
  const Config &config = *loaded.config;
  EXPECT_EQ(config.file, main_file()) << "a reload reads the files themselves";
  EXPECT_EQ(config.domains.at("example.org").recipients.size(), 4U);
  EXPECT_EQ(config.domains.at("example.org").listed, 3U);
  EXPECT_EQ(config.partners.partners().size(), 1U);
  EXPECT_EQ(config.certificates.at(0).dns_names, std::vector<std::string>{"mx.example.org"});
  EXPECT_TRUE(config.certificates.at(0).files.key.starts_with(last_good_folder(folder_.file("spool"))));
  EXPECT_EQ(DiskFiles().read(config.dns.hosts_file, 1000).value(), "192.0.2.1 store.example.org\n");
  EXPECT_FALSE((*kept)->saved().empty());
  const auto mode = std::filesystem::status(config.certificates.at(0).files.key).permissions();
  EXPECT_EQ(mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all),
            std::filesystem::perms::none);
}

TEST_F(LastGood, TheNextOneReplacesIt) {
  keep();
  const auto count = [&] {
    return std::distance(std::filesystem::directory_iterator(last_good_folder(folder_.file("spool"))), {});
  };
  const auto before = count();
  write("list", "bob\n");
  keep();
  EXPECT_EQ(count(), before) << "files of the time before are removed";
  const auto kept = open();
  EXPECT_EQ(load_config(main_file(), now_, **kept).config->domains.at("example.org").recipients.size(), 2U);
}

TEST_F(LastGood, BelongsToOneConfigurationAndIsWhole) {
  EXPECT_EQ(open().error().code, smtp::ErrorCode::not_found) << "nothing is kept yet";
  keep();
  EXPECT_FALSE(KeptFiles::open(last_good_folder(folder_.file("spool")), "/etc/other.toml"));
  const std::string index = last_good_folder(folder_.file("spool")) + "/index";
  const std::string text = DiskFiles().read(index, 1 << 20).value();
  for (std::size_t size = 0; size < text.size(); size += 7) { // any part of it alone is no configuration
    std::ofstream(index, std::ios::trunc) << text.substr(0, size);
    EXPECT_FALSE(open()) << size;
  }
}

TEST_F(LastGood, ACopyIsNotReadThroughALink) {
  keep();
  const std::string folder = last_good_folder(folder_.file("spool"));
  for (const auto &entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename() == "index") continue;
    std::filesystem::remove(entry.path());
    std::filesystem::create_symlink("/etc/passwd", entry.path());
  }
  // Of what is kept no more, keys and certificates are read where they are, for root may have to; nothing else is,
  // since who can write here chooses the paths.
  const auto kept = open();
  ASSERT_TRUE(kept);
  EXPECT_EQ((*kept)->locate(folder_.file("mx.key")), folder_.file("mx.key"));
  EXPECT_TRUE((*kept)->read(folder_.file("mx.key"), 1 << 20));
  EXPECT_EQ((*kept)->read("/etc/passwd", 1 << 20).error().code, smtp::ErrorCode::not_permitted);
  const auto loaded = load_config(main_file(), now_, **kept);
  EXPECT_FALSE(loaded.config);
  EXPECT_NE(mta::config_fakes::text_of(loaded.findings).find("hosts"), std::string::npos)
      << mta::config_fakes::text_of(loaded.findings);
}

} // namespace last_good_test
