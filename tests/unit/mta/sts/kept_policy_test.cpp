// KeptPolicy: files are written whole, read back, and every damage is seen.
#include "mta/sts/kept_policy.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/test_ca.hpp"

namespace kept_policy_test {

using namespace mta;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

KeptPolicy sample(const std::string &domain = "example.org") {
  KeptPolicy kept;
  kept.domain = domain;
  kept.id = "20261122";
  kept.fetched = std::chrono::sys_days(2026y / 11 / 22) + 10h;
  kept.expires = kept.fetched + 24h;
  kept.text = "version: STSv1\r\nmode: enforce\r\nmx: *.example.org\r\nmax_age: 86400\r\n";
  kept.policy = policy::parse_sts_policy(kept.text).value();
  return kept;
}

std::string read(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(KeptPolicy, a_file_reads_back_as_it_was_written) {
  const test::TempFolder folder;
  const std::string place = folder.path() / "sts";
  ASSERT_TRUE(write_kept_policy(place, sample()));
  EXPECT_EQ(read_kept_policy(place, "example.org").value(), sample());
  struct stat status {};
  ASSERT_EQ(::stat((place + "/example.org").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);

  auto changed = sample();
  changed.id = "2";
  changed.text = "version: STSv1\nmode: none\nmax_age: 1"; // no newline at its end
  changed.policy = policy::parse_sts_policy(changed.text).value();
  ASSERT_TRUE(write_kept_policy(place, changed));
  EXPECT_EQ(read_kept_policy(place, "example.org").value(), changed);
  EXPECT_EQ(read_kept_policies(place).value().policies.size(), 1U);

  ASSERT_TRUE(remove_kept_policy(place, "example.org"));
  EXPECT_EQ(read_kept_policy(place, "example.org").error().code, smtp::ErrorCode::not_found);
  EXPECT_TRUE(remove_kept_policy(place, "example.org")) << "once more is no error";
}

TEST(KeptPolicy, every_changed_or_missing_octet_is_damage) {
  const std::string good = encode_kept_policy(sample());
  ASSERT_TRUE(decode_kept_policy(good));
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    const auto kept = decode_kept_policy(bad);
    ASSERT_FALSE(kept) << i;
    EXPECT_TRUE(kept.error().detail.starts_with("damaged: ")) << kept.error().detail;
    EXPECT_FALSE(decode_kept_policy(good.substr(0, i))) << i;
  }
  EXPECT_FALSE(decode_kept_policy(good + "x"));
}

std::string with_check(std::string text) {
  return text + "check " + policy::sts_fingerprint(text) + "\n";
}

TEST(KeptPolicy, a_fitting_checksum_does_not_make_nonsense_good) {
  const std::string policy = "version: STSv1\nmode: none\nmax_age: 1\n";
  const std::string size = std::to_string(policy.size());
  const std::string head = "portcullis-sts 1\ndomain example.org\nid 1\nfetched 1700000000\nexpires 1700000001\n";
  ASSERT_TRUE(decode_kept_policy(with_check(head + "text " + size + "\n" + policy + "\n")));
  const struct {
    const char *name;
    std::string text;
    const char *why;
  } rows[] = {
      {"nothing", "", "not of this version"},
      {"another version", "portcullis-sts 2\n", "not of this version"},
      {"no lines", "portcullis-sts 1\n", "a line is missing"},
      {"a domain with a path in it",
       "portcullis-sts 1\ndomain ../x\nid 1\nfetched 1\nexpires 2\ntext " + size + "\n" + policy + "\n",
       "its domain is none"},
      {"a time that is not a number",
       "portcullis-sts 1\ndomain example.org\nid 1\nfetched now\nexpires 2\ntext " + size + "\n" + policy + "\n",
       "a line is missing"},
      {"a time that the clock cannot hold",
       "portcullis-sts 1\ndomain example.org\nid 1\nfetched 1\nexpires 17000861400\ntext " + size + "\n" + policy +
           "\n",
       "a line is missing"},
      {"a text shorter than it says", head + "text 100\n" + policy + "\n", "another length"},
      {"a text longer than it says", head + "text 10\n" + policy + "\n", "another length"},
      {"a length of 2^64 - 1", head + "text 18446744073709551615\n" + policy + "\n", "another length"},
      {"a text that is not a policy", head + "text 5\nhello\n", "not \"name: value\""},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto kept = decode_kept_policy(with_check(row.text));
    ASSERT_FALSE(kept);
    EXPECT_NE(kept.error().detail.find(row.why), std::string::npos) << kept.error().detail;
  }
}

TEST(KeptPolicy, a_folder_gives_the_good_and_names_the_damaged) {
  const test::TempFolder folder;
  const std::string place = folder.path();
  EXPECT_TRUE(read_kept_policies(place + "/absent").value().policies.empty())
      << "a folder that is not there keeps nothing";
  ASSERT_TRUE(write_kept_policy(place, sample("a.example")));
  ASSERT_TRUE(write_kept_policy(place, sample("b.example")));
  folder.write("cut.example", read(fs::path(place) / "a.example").substr(0, 50));
  folder.write("empty.example", "");
  folder.write("other.example", read(fs::path(place) / "a.example")); // a copy under another name
  folder.write("huge.example", std::string(100'000, 'x'));
  folder.write(".new", "half");      // a write that a crash has cut
  folder.write("README~", "a note"); // not a domain
  fs::create_directory(fs::path(place) / "folder.example");
  const auto found = read_kept_policies(place);
  ASSERT_TRUE(found) << found.error().detail;
  EXPECT_EQ(found->policies.size(), 2U);
  std::vector<std::string> damaged;
  for (const auto &one : found->damaged) damaged.push_back(one.domain);
  std::sort(damaged.begin(), damaged.end());
  EXPECT_EQ(damaged, (std::vector<std::string>{"cut.example", "empty.example", "folder.example", "huge.example",
                                               "other.example"}));
}

TEST(KeptPolicy, a_folder_that_cannot_be_read_is_an_error_and_not_empty) {
  const test::TempFolder folder;
  const auto found = read_kept_policies(folder.write("file", "no folder"));
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().detail.find("cannot be read"), std::string::npos) << found.error().detail;
}

TEST(KeptPolicy, a_write_that_fails_leaves_the_old_file) {
  const test::TempFolder folder;
  const std::string place = folder.path();
  ASSERT_TRUE(write_kept_policy(place, sample()));
  fs::create_directory(folder.path() / ".new"); // where the new one would be written
  auto changed = sample();
  changed.id = "2";
  const auto written = write_kept_policy(place, changed);
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().detail.find("cannot create " + place + "/.new"), std::string::npos)
      << written.error().detail;
  EXPECT_EQ(read_kept_policy(place, "example.org").value(), sample());
}

} // namespace kept_policy_test
