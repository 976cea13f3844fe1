// Snapshot with revocation lists: each rule's lists make a store of their own, and are read anew while the daemon runs.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mta/config/crl_files.hpp"
#include "mta/config/snapshot.hpp"
#include "smtp/names/domain.hpp"
#include "tests/support/dane_fixture.hpp"
#include "tests/support/test_ca.hpp"

namespace snapshot_crl_test {

using namespace mta;
using tls::ChainFault;

constexpr const char *url = "http://crl.example.org/ca.crl";

policy::Partner partner(const std::string &name, const std::string &trust, std::vector<std::string> outbound,
                        std::vector<std::string> inbound) {
  policy::Partner made;
  made.name = name;
  made.domains = {smtp::DomainPattern::parse(name).value()};
  made.outbound.emplace();
  made.outbound->trust = trust;
  made.outbound->crls = std::move(outbound);
  made.inbound.emplace();
  made.inbound->trust = trust;
  made.inbound->crls = std::move(inbound);
  return made;
}

class SnapshotCrl : public testing::Test {
protected:
  ::test::TempFolder folder_;
  ::test::TestCa ca_{"Test Root CA"};
  ::test::Leaf leaf_ = ca_.issue({.names = {"mx.example.org"}});
  std::string ca_file_ = folder_.write("ca.pem", ca_.pem());
  std::string list_; ///< kept of the url
  KeptCrls kept_ = [this](const std::string &asked) { return asked == url ? list_ : std::string(); };

  std::shared_ptr<Config> config_with(std::vector<policy::Partner> partners) {
    auto config = std::make_shared<Config>();
    config->spool.path = folder_.path().string();
    config->partners = policy::PartnerTable::build(std::move(partners)).value();
    return config;
  }
  static smtp::Result<std::shared_ptr<const Snapshot>> build(std::shared_ptr<const Config> config) {
    return Snapshot::build(std::move(config), std::make_shared<tls::TicketKeys>());
  }
  ChainFault judge(const Snapshot &snapshot, const std::vector<std::string> &crls) {
    const auto store = snapshot.trust_store(ca_file_, crls);
    if (!store) throw std::runtime_error("no such store");
    return tls::verify_chain(::test::chain_of(leaf_.chain).get(), *store, tls::Purpose::server,
                             std::chrono::system_clock::now())
        .fault;
  }
};

TEST_F(SnapshotCrl, EveryRulesListsMakeAStore) {
  const auto clean = folder_.write("clean.crl", ca_.crl({}));
  const auto full = folder_.write("full.crl", ca_.crl({.revoked = {leaf_.certificate}}));
  const auto snapshot =
      build(config_with({partner("a.example", ca_file_, {clean}, {full}), partner("b.example", ca_file_, {}, {})}));
  ASSERT_TRUE(snapshot) << snapshot.error().detail;
  EXPECT_TRUE((*snapshot)->has_crls());
  EXPECT_EQ(judge(**snapshot, {clean}), ChainFault::none);
  EXPECT_EQ(judge(**snapshot, {full}), ChainFault::revoked);
  EXPECT_EQ(judge(**snapshot, {}), ChainFault::none);
  EXPECT_EQ((*snapshot)->trust_store(ca_file_, {clean, full}), nullptr) << "no rule has both";
  EXPECT_EQ((*snapshot)->trust_store("system", {clean}), nullptr);
}

TEST_F(SnapshotCrl, WithoutListsNothingIsRenewed) {
  const auto snapshot = build(config_with({partner("a.example", ca_file_, {}, {})}));
  ASSERT_TRUE(snapshot);
  EXPECT_FALSE((*snapshot)->has_crls());
  const auto renewed = (*snapshot)->renew_crls(kept_);
  EXPECT_EQ(renewed.snapshot->trust_store(ca_file_), (*snapshot)->trust_store(ca_file_)) << "shared, not loaded again";
}

TEST_F(SnapshotCrl, AUrlThatWasNeverFetchedFailsClosedAndIsTakenUpWhenItComes) {
  const auto config = config_with({partner("a.example", ca_file_, {url}, {})});
  const auto snapshot = build(config);
  ASSERT_TRUE(snapshot) << snapshot.error().detail;
  EXPECT_EQ(judge(**snapshot, {url}), ChainFault::no_revocation);

  list_ = ::test::der_of(ca_.crl({}));
  EXPECT_EQ(judge(**snapshot, {url}), ChainFault::no_revocation) << "a snapshot does not change";
  const auto renewed = (*snapshot)->renew_crls(kept_);
  EXPECT_TRUE(renewed.problems.empty());
  EXPECT_EQ(judge(*renewed.snapshot, {url}), ChainFault::none);
  EXPECT_EQ(&renewed.snapshot->config(), config.get());

  list_ = ca_.crl({.revoked = {leaf_.certificate}});
  EXPECT_EQ(judge(*renewed.snapshot->renew_crls(kept_).snapshot, {url}), ChainFault::revoked);
}

TEST_F(SnapshotCrl, ALocalListMustBeThereAtStartAndMayBeLostLater) {
  EXPECT_FALSE(build(config_with({partner("a.example", ca_file_, {"/nonexistent.crl"}, {})})));
  const auto list = folder_.write("list.crl", ca_.crl({}));
  const auto snapshot = build(config_with({partner("a.example", ca_file_, {}, {list})}));
  ASSERT_TRUE(snapshot);
  std::filesystem::remove(list);
  const auto renewed = (*snapshot)->renew_crls(kept_);
  ASSERT_EQ(renewed.problems.size(), 1U);
  EXPECT_THAT(renewed.problems.front(), testing::HasSubstr(list + ": "));
  EXPECT_EQ(judge(*renewed.snapshot, {list}), ChainFault::none) << "the old one counts until it expires";
}

TEST_F(SnapshotCrl, TheEntriesOfAllPartnersAreListedOnce) {
  const auto config = config_with(
      {partner("a.example", ca_file_, {url, "/b.crl"}, {"/a.crl"}), partner("b.example", ca_file_, {url}, {"/a.crl"})});
  EXPECT_THAT(all_crls(*config), testing::ElementsAre("/a.crl", "/b.crl", url));
  EXPECT_TRUE(is_crl_url(url));
  EXPECT_FALSE(is_crl_url("/http://x"));
}

} // namespace snapshot_crl_test
