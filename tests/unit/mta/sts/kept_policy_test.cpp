// KeptPolicy: rows are written, read back, and every damage of one is seen.
#include "mta/sts/kept_policy.hpp"

#include <gtest/gtest.h>

#include "mta/store/connection.hpp"
#include "tests/support/temp_folder.hpp"

namespace kept_policy_test {

using namespace mta;
using namespace std::chrono_literals;

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

class KeptPolicyTest : public testing::Test {
protected:
  void SetUp() override {
    store::StoreOptions options;
    options.folder = place();
    store_ = std::move(store::Store::open(std::move(options)).value());
  }
  [[nodiscard]] std::string place() const { return folder_.file("state"); }
  void keep(const KeptPolicy &kept) {
    ASSERT_TRUE(store::keep_sts_policy(*store_, to_row(kept)));
    store_->flush();
  }
  void change(const std::string &statement) {
    ASSERT_TRUE(store_->commit(
        [&](store::Connection &connection) { connection.database().exec("UPDATE sts_policies SET " + statement); }));
  }
  [[nodiscard]] smtp::Result<KeptPolicy> read(const std::string &domain = "example.org") {
    auto row = store::read_sts_policy(store_->reader(), domain);
    if (!row) return tl::unexpected(row.error());
    return from_row(std::move(*row));
  }
  test::TempFolder folder_;
  std::unique_ptr<store::Store> store_;
};

TEST_F(KeptPolicyTest, a_row_reads_back_as_it_was_written) {
  keep(sample());
  EXPECT_EQ(read().value(), sample());
  auto changed = sample();
  changed.id = "2";
  changed.text = "version: STSv1\nmode: none\nmax_age: 1"; // no newline at its end
  changed.policy = policy::parse_sts_policy(changed.text).value();
  keep(changed);
  EXPECT_EQ(read().value(), changed);
  EXPECT_EQ(read_kept_policies(store_->reader()).value().policies.size(), 1U);

  ASSERT_TRUE(store::remove_sts_policy(*store_, "example.org"));
  store_->flush();
  EXPECT_EQ(read().error().code, smtp::ErrorCode::not_found);
}

TEST_F(KeptPolicyTest, every_changed_column_is_damage) {
  for (const std::string statement :
       {"id = id || 'x'", "fetched = fetched + 1", "expires = expires + 1",
        "text = replace(text, 'enforce', 'testing')", "text = ''", "fingerprint = ''", "domain = 'other.example'"}) {
    SCOPED_TRACE(statement);
    keep(sample());
    change(statement);
    const auto found = read_kept_policies(store_->reader());
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->policies.empty());
    ASSERT_EQ(found->damaged.size(), 1U);
    EXPECT_EQ(found->damaged[0].domain, statement.starts_with("domain") ? "other.example" : "example.org");
    EXPECT_EQ(found->damaged[0].detail, "damaged: the fingerprint does not fit");
  }
}

TEST_F(KeptPolicyTest, a_fitting_fingerprint_does_not_make_nonsense_good) {
  const auto good = to_row(sample());
  ASSERT_TRUE(from_row(good));
  for (const char *domain : {"../x", "", "EXAMPLE.org", "a..b"}) {
    auto row = good;
    row.domain = domain;
    EXPECT_EQ(from_row(row).error().detail, "damaged: its domain is none") << domain;
  }
  auto late = good;
  late.expires = std::chrono::sys_seconds(17'000'861'400s);
  EXPECT_EQ(from_row(late).error().detail, "damaged: its times are none");
  auto no_policy = good;
  no_policy.text = "hello\n";
  EXPECT_NE(from_row(no_policy).error().detail.find("not \"name: value\""), std::string::npos);
}

TEST_F(KeptPolicyTest, a_store_that_is_not_there_keeps_nothing_and_one_that_cannot_be_read_is_an_error) {
  store::Reader absent(folder_.file("absent"));
  EXPECT_TRUE(read_kept_policies(absent).value().policies.empty());
  folder_.write("broken/state.sqlite", std::string(10'000, 'x'));
  store::Reader broken(folder_.file("broken"));
  EXPECT_FALSE(read_kept_policies(broken));
}

TEST_F(KeptPolicyTest, an_operator_may_forget_one_beside_the_daemon) {
  keep(sample("a.example"));
  keep(sample("b.example"));
  EXPECT_TRUE(store::forget_sts_policy(place(), "a.example"));
  EXPECT_EQ(store::forget_sts_policy(place(), "a.example").error().code, smtp::ErrorCode::not_found);
  EXPECT_EQ(store::forget_sts_policy(folder_.file("absent"), "a.example").error().code, smtp::ErrorCode::not_found);
  EXPECT_EQ(read("a.example").error().code, smtp::ErrorCode::not_found);
  EXPECT_TRUE(read("b.example"));
  keep(sample("c.example")); // the daemon goes on
}

TEST_F(KeptPolicyTest, a_damaged_page_puts_the_policies_in_it_in_doubt_and_forgets_none) {
  constexpr int count = 400;
  for (int i = 0; i < count; ++i)
    ASSERT_TRUE(store::keep_sts_policy(*store_, to_row(sample("d" + std::to_string(i) + ".example"))));
  store_.reset();
  const std::string file = store::store_file(place());
  std::string octets;
  {
    std::ifstream in(file, std::ios::binary);
    octets.assign(std::istreambuf_iterator<char>(in), {});
  }
  // Pages with rows, some of them.
  constexpr std::size_t page = 4'096;
  int damaged_pages = 0;
  for (std::size_t at = 2 * page; at < octets.size(); at += page)
    if (octets.find("mx: *.example.org", at) < at + page && ++damaged_pages % 9 == 3)
      std::fill_n(octets.begin() + static_cast<std::ptrdiff_t>(at), page, '\xff');
  ASSERT_GT(damaged_pages, 9);
  folder_.write("state/state.sqlite", octets);
  SetUp();
  const auto found = read_kept_policies(store_->reader());
  ASSERT_TRUE(found) << found.error().detail;
  EXPECT_EQ(found->policies.size() + found->damaged.size(), static_cast<std::size_t>(count));
  EXPECT_GT(found->damaged.size(), 10U);
  EXPECT_GT(found->policies.size(), 50U);
}

} // namespace kept_policy_test
