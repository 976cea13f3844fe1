// select_hosts: order, shuffling, null MX, failures, loops, the implicit MX, the limit.
#include "smtp/dns/hosts.hpp"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hosts_test {

using smtp::DnsAnswer;
using smtp::DnsStatus;
using smtp::DnsTrust;
using smtp::ErrorCode;
using smtp::MxRecord;

const smtp::Domain domain = smtp::Domain::parse("example.org").value();
const std::vector<std::string> own{"mx.us.example", "MX2.Us.Example."};

DnsAnswer<MxRecord> answer(std::vector<MxRecord> records, DnsStatus status = DnsStatus::ok) {
  DnsAnswer<MxRecord> made;
  made.status = status;
  made.records = std::move(records);
  return made;
}

/// One more record was there.
DnsAnswer<MxRecord> unreadable(std::vector<MxRecord> records) {
  auto made = answer(std::move(records));
  made.unreadable = 1;
  made.detail = "a name holds the octet 0x20";
  return made;
}

std::size_t first_of(std::size_t) {
  return 0;
}
/// Fisher-Yates that swaps each with itself: the order stays.
std::size_t last_of(std::size_t n) {
  return n - 1;
}

std::vector<std::string> names(const smtp::Result<smtp::MxHosts> &selected) {
  std::vector<std::string> list;
  if (!selected) return {"error: " + selected.error().detail};
  for (const auto &host : selected->hosts) list.push_back(host.name);
  return list;
}

TEST(SelectHosts, answers_become_the_list_of_hosts_to_try) {
  struct Row {
    std::string name;
    DnsAnswer<MxRecord> answer;
    std::vector<std::string> hosts;
  };
  const std::vector<Row> rows{
      {"lowest preference first", answer({{30, "c"}, {10, "a"}, {20, "b"}}), {"a", "b", "c"}},
      {"equal preferences in the order that random gives", answer({{10, "a"}, {10, "b"}, {5, "z"}}), {"z", "a", "b"}},
      {"a host that is listed twice is tried once, at its best", answer({{20, "a"}, {10, "a"}, {15, "b"}}), {"a", "b"}},
      {"twice in other letters", answer({{10, "a"}, {20, "A"}}), {"a"}},
      {"what cannot be read is passed over", unreadable({{20, "b"}, {10, "a"}}), {"a", "b"}},
      {"no MX: the domain itself", answer({}, DnsStatus::no_data), {"example.org"}},
      {"an answer without records is not an MX", answer({}), {"example.org"}},
      {"our own name and what is not better go",
       answer({{10, "a"}, {20, "mx.us.example"}, {20, "b"}, {30, "c"}}),
       {"a"}},
      {"our own name in other letters, with a final dot in the list",
       answer({{10, "a"}, {20, "mx2.us.example"}}),
       {"a"}},
      {"the best of our own names decides",
       answer({{10, "a"}, {20, "mx2.us.example"}, {15, "mx.us.example"}, {17, "b"}}),
       {"a"}},
      {"a null MX beside others is passed over", answer({{0, ""}, {10, "a"}}), {"a"}},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(names(smtp::select_hosts(domain, row.answer, own, last_of)), row.hosts);
  }
}

TEST(SelectHosts, refusals_say_why_and_whether_for_good) {
  struct Row {
    std::string name;
    DnsAnswer<MxRecord> answer;
    ErrorCode code;
    std::string detail;
  };
  auto servfail = answer({}, DnsStatus::temporary);
  servfail.detail = "SERVFAIL from the resolver";
  auto bogus = answer({{10, "a"}}, DnsStatus::temporary); // bogus data come with records: they must not be used
  auto alias_to_us = answer({}, DnsStatus::no_data);
  alias_to_us.canonical_name = "mx.us.example";
  const std::vector<Row> rows{
      {"NXDOMAIN", answer({}, DnsStatus::no_name), ErrorCode::dns_permanent, "domain example.org does not exist"},
      {"SERVFAIL", servfail, ErrorCode::dns_temporary, "MX of example.org: SERVFAIL from the resolver"},
      {"bogus with records", bogus, ErrorCode::dns_temporary, "MX of example.org: no usable answer"},
      {"null MX", answer({{0, ""}}), ErrorCode::dns_permanent,
       "domain accepts no mail: example.org has a null MX (RFC 7505)"},
      {"no MX record can be read: the domain itself is not a host then", unreadable({}), ErrorCode::dns_permanent,
       "none of the 1 MX records of example.org names a host: a name holds the octet 0x20"},
      {"what can be read is the root", unreadable({{0, ""}}), ErrorCode::dns_permanent,
       "no MX record of example.org names a host; 1 cannot be read: a name holds the octet 0x20"},
      {"we are the only host", answer({{10, "mx.us.example"}}), ErrorCode::dns_permanent,
       "mail loops back to us: the best host for example.org is mx.us.example, which is our own name"},
      {"we are the best host", answer({{20, "a"}, {10, "mx.us.example"}, {10, "b"}}), ErrorCode::dns_permanent,
       "mail loops back to us: the best host for example.org is mx.us.example, which is our own name"},
      {"the implicit MX is an alias of ours", alias_to_us, ErrorCode::dns_permanent,
       "mail loops back to us: the best host for example.org is mx.us.example, which is our own name"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto selected = smtp::select_hosts(domain, row.answer, own, last_of);
    ASSERT_FALSE(selected.has_value());
    EXPECT_EQ(selected.error().code, row.code);
    EXPECT_EQ(selected.error().detail, row.detail);
  }
  EXPECT_FALSE(smtp::select_hosts(domain, answer({}, DnsStatus::no_data), {"Example.ORG"}, last_of).has_value())
      << "the implicit MX is us";
}

TEST(SelectHosts, equal_hosts_are_shuffled_within_their_preference_only) {
  const auto records = answer({{10, "a"}, {10, "b"}, {10, "c"}, {20, "d"}, {20, "e"}, {30, "f"}});
  std::vector<std::size_t> asked;
  const auto scripted = [&](std::size_t n) {
    asked.push_back(n);
    return first_of(n);
  };
  EXPECT_EQ(names(smtp::select_hosts(domain, records, {}, scripted)),
            (std::vector<std::string>{"b", "c", "a", "e", "d", "f"}));
  EXPECT_EQ(asked, (std::vector<std::size_t>{3, 2, 2}));
  // Every order of three comes up as often: 3 * 2 answers give 6 different orders.
  std::set<std::vector<std::string>> orders;
  for (std::size_t three = 0; three < 3; ++three)
    for (std::size_t two = 0; two < 2; ++two)
      orders.insert(names(smtp::select_hosts(domain, answer({{1, "a"}, {1, "b"}, {1, "c"}}), {},
                                             [&](std::size_t n) { return n == 3 ? three : two; })));
  EXPECT_EQ(orders.size(), 6U);
}

TEST(SelectHosts, more_hosts_than_the_limit_are_cut_worst_first) {
  std::vector<MxRecord> many;
  for (std::uint16_t i = 0; i < 50; ++i)
    many.push_back({static_cast<std::uint16_t>(50 - i), "h" + std::to_string(50 - i)});
  const auto selected = smtp::select_hosts(domain, answer(many), {}, last_of, 3);
  EXPECT_EQ(names(selected), (std::vector<std::string>{"h1", "h2", "h3"}));
  EXPECT_EQ(smtp::select_hosts(domain, answer(many), {}, last_of)->hosts.size(), 20U);
}

TEST(SelectHosts, trust_is_that_of_the_answer_or_of_its_authenticated_absence) {
  for (const auto trust : {DnsTrust::insecure, DnsTrust::secure}) {
    auto with_mx = answer({{10, "a"}});
    with_mx.trust = trust;
    EXPECT_EQ(smtp::select_hosts(domain, with_mx, {}, last_of)->trust, trust);
    EXPECT_FALSE(smtp::select_hosts(domain, with_mx, {}, last_of)->implicit_mx);
    auto without = answer({}, DnsStatus::no_data);
    without.trust = trust;
    EXPECT_EQ(smtp::select_hosts(domain, without, {}, last_of)->trust, trust);
    EXPECT_TRUE(smtp::select_hosts(domain, without, {}, last_of)->implicit_mx);
  }
}

} // namespace hosts_test
