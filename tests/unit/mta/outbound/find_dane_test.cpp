// find_dane: when TLSA records are asked for, under which name, and what each answer means (RFC 7672 section 2.2).
#include "mta/outbound/find_dane.hpp"

#include <boost/asio/co_spawn.hpp>
#include <gtest/gtest.h>

#include "tests/support/fake_resolver.hpp"

namespace test {
namespace find_dane_test {

using State = policy::DaneFacts::State;
using smtp::DnsTrust;

const smtp::TlsaRecord usable{3, 1, 1, std::string(32, 'a')};
const smtp::TlsaRecord pkix{1, 1, 1, std::string(32, 'a')};

mta::DaneQuestion question(policy::NameTrust trust = policy::NameTrust::dnssec, bool secure = true,
                           std::string canonical = {}) {
  mta::DaneQuestion made;
  made.host.name = "mx.partner.test";
  made.host.port = 25;
  made.trust = trust;
  made.addresses.addresses.push_back(smtp::IpAddress::parse("192.0.2.1").value());
  made.addresses.secure = secure;
  made.addresses.canonical_name = std::move(canonical);
  made.addresses.ttl = std::chrono::seconds(300);
  made.next_hop_domain = "partner.test";
  return made;
}

policy::DaneFacts find(FakeResolver &dns, mta::DaneQuestion asked) {
  boost::asio::io_context context;
  std::optional<policy::DaneFacts> facts;
  boost::asio::co_spawn(context, mta::find_dane(dns, std::move(asked)), [&](std::exception_ptr error, auto got) {
    if (error) std::rethrow_exception(error);
    facts = std::move(got);
  });
  context.run();
  return facts.value();
}

const std::string name = "_25._tcp.mx.partner.test";

TEST(FindDane, secure_records_are_usable_when_smtp_knows_them) {
  FakeResolver dns;
  dns.add_tlsa(name, pkix).add_tlsa(name, usable);
  const auto facts = find(dns, question());
  EXPECT_EQ(facts.state, State::usable);
  EXPECT_EQ(facts.base_domain, "mx.partner.test");
  EXPECT_EQ(facts.records.size(), 2U) << "the unusable one is shown too";
  EXPECT_EQ(facts.unusable_records, 1U);
  EXPECT_EQ(facts.names, std::vector<std::string>{"partner.test"});
}

TEST(FindDane, only_unusable_records_are_a_state_of_their_own) {
  FakeResolver dns;
  dns.add_tlsa(name, pkix);
  const auto facts = find(dns, question());
  EXPECT_EQ(facts.state, State::unusable);
  EXPECT_NE(facts.detail.find("none of the 1 TLSA records"), std::string::npos) << facts.detail;
}

TEST(FindDane, nothing_is_asked_where_dane_cannot_apply) {
  FakeResolver dns;
  dns.add_tlsa(name, usable);
  EXPECT_EQ(find(dns, question(policy::NameTrust::none)).state, State::insecure) << "insecure MX";
  EXPECT_EQ(find(dns, question(policy::NameTrust::dnssec, false)).state, State::insecure) << "insecure address";
  auto literal = question();
  literal.host.address = smtp::IpAddress::parse("192.0.2.1").value();
  EXPECT_EQ(find(dns, std::move(literal)).state, State::off);
  EXPECT_EQ(dns.asked("tlsa " + name), 0U);
}

TEST(FindDane, a_configured_host_has_its_records_but_not_the_domain_as_a_name) {
  FakeResolver dns;
  dns.add_tlsa(name, usable);
  const auto facts = find(dns, question(policy::NameTrust::configured));
  EXPECT_EQ(facts.state, State::usable);
  EXPECT_TRUE(facts.names.empty());
}

TEST(FindDane, records_that_are_not_signed_count_for_nothing) {
  FakeResolver dns;
  dns.add_tlsa(name, usable, DnsTrust::insecure);
  EXPECT_EQ(find(dns, question()).state, State::insecure);
}

TEST(FindDane, a_failed_question_for_a_secure_host_is_a_failure) {
  FakeResolver dns;
  dns.fail(name, "SERVFAIL from the resolver");
  const auto facts = find(dns, question());
  EXPECT_EQ(facts.state, State::failed);
  EXPECT_NE(facts.detail.find("SERVFAIL"), std::string::npos);
}

TEST(FindDane, no_records_are_no_records) {
  FakeResolver dns;
  EXPECT_EQ(find(dns, question()).state, State::none);
}

TEST(FindDane, the_end_of_the_alias_chain_is_asked_first_and_the_own_name_then) {
  FakeResolver dns;
  dns.add_tlsa("_25._tcp.real.host.test", usable);
  auto facts = find(dns, question(policy::NameTrust::dnssec, true, "real.host.test"));
  EXPECT_EQ(facts.base_domain, "real.host.test");
  EXPECT_EQ(facts.names, (std::vector<std::string>{"mx.partner.test", "partner.test"}));
  dns.forget("_25._tcp.real.host.test").add_tlsa(name, usable);
  facts = find(dns, question(policy::NameTrust::dnssec, true, "real.host.test"));
  EXPECT_EQ(facts.base_domain, "mx.partner.test");
  dns.fail("_25._tcp.real.host.test", "bogus: signature expired");
  EXPECT_EQ(find(dns, question(policy::NameTrust::dnssec, true, "real.host.test")).state, State::failed)
      << "a failure at the first name is not passed over";
}

TEST(FindDane, unsigned_records_at_the_end_of_the_alias_chain_do_not_hide_those_of_the_own_name) {
  FakeResolver dns;
  dns.add_tlsa("_25._tcp.cloud.example", usable, DnsTrust::insecure).add_tlsa(name, usable);
  const auto facts = find(dns, question(policy::NameTrust::dnssec, true, "cloud.example"));
  EXPECT_EQ(facts.state, State::usable);
  EXPECT_EQ(facts.base_domain, "mx.partner.test");
}

TEST(FindDane, a_signed_alias_out_of_the_signed_zones_has_the_records_of_its_own_name) {
  FakeResolver dns;
  dns.add_tlsa(name, usable).add_tlsa("_25._tcp.host.unsigned.test", usable);
  EXPECT_EQ(find(dns, question(policy::NameTrust::dnssec, false, "host.unsigned.test")).state, State::insecure)
      << "an alias that nobody signed";
  dns.add_cname("mx.partner.test", "host.unsigned.test", DnsTrust::insecure);
  EXPECT_EQ(find(dns, question(policy::NameTrust::dnssec, false, "host.unsigned.test")).state, State::insecure);
  EXPECT_EQ(dns.asked("tlsa " + name), 0U);
  dns.forget("mx.partner.test")
      .add_tlsa(name, usable)
      .add_cname("mx.partner.test", "host.unsigned.test", DnsTrust::secure);
  const auto facts = find(dns, question(policy::NameTrust::dnssec, false, "host.unsigned.test"));
  EXPECT_EQ(facts.state, State::usable);
  EXPECT_EQ(facts.base_domain, "mx.partner.test");
  EXPECT_EQ(dns.asked("tlsa _25._tcp.host.unsigned.test"), 0U) << "the unsigned name proves nothing";
  dns.fail("mx.partner.test", "bogus: signature expired");
  EXPECT_EQ(find(dns, question(policy::NameTrust::dnssec, false, "host.unsigned.test")).state, State::failed);
}

TEST(FindDane, the_port_is_part_of_the_name) {
  FakeResolver dns;
  dns.add_tlsa("_26._tcp.mx.partner.test", usable);
  auto asked = question();
  asked.host.port = 26;
  EXPECT_EQ(find(dns, std::move(asked)).state, State::usable);
}

} // namespace find_dane_test
} // namespace test
