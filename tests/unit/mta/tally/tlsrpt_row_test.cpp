// TlsrptRow: what each policy of a domain makes of a session, and that a row comes back from its octets.
#include "mta/tally/tlsrpt_row.hpp"

#include <ostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/chain_judgement.hpp"

namespace tlsrpt_row_test {

using namespace mta;
using policy::DaneFacts;
using policy::StsFacts;
using policy::TlsFault;
using testing::ElementsAre;
using testing::HasSubstr;

/// A session with TLS, whose certificate the system's CAs trust for the host's name; the domain has no policy.
TlsSession a_session() {
  TlsSession session;
  session.domain = "example.com";
  session.host = "mx.example.com";
  session.address = "192.0.2.25";
  session.local_address = "198.51.100.1";
  session.starttls_offered = true;
  session.facts.encrypted = true;
  session.facts.chain.emplace_back();
  session.facts.chain[0].dns_names = {"mx.example.com"};
  session.judgements = {{policy::trust_key("system", {}), {.trusted = true, .reason = {}}}};
  session.system_trusted = true;
  session.dane.state = DaneFacts::State::insecure;
  session.sts.state = StsFacts::State::none;
  session.sts.domain = "example.com";
  return session;
}

void set_dane(TlsSession &session, DaneFacts::State state, bool matched = true) {
  session.dane.state = state;
  session.dane.base_domain = "mx.example.com";
  session.dane.records = {{3, 1, 1, "\x01\xAB"}, {2, 0, 1, "\xFF"}};
  if (state == DaneFacts::State::usable) session.facts.dane = tls::DaneVerdict{matched, "no key is equal", {}};
}

void set_sts(TlsSession &session, StsFacts::State state) {
  session.sts.state = state;
  session.sts.mx = {"*.example.com"};
  session.sts.policy_text = "version: STSv1\r\nmode: enforce\nmx: *.example.com\r\n\r\nmax_age: 86400\r\n";
}

void distrust(TlsSession &session, tls::ChainFault fault, const char *reason) {
  session.judgements[0].verdict = {.trusted = false, .reason = reason, .fault = fault};
  session.system_trusted = false;
}

void fail_tls(TlsSession &session) {
  session.facts = {};
  session.judgements.clear();
  session.tls_problem = "the TLS handshake failed: no shared cipher";
  session.fault = TlsFault::validation_failure;
  session.fault_detail = session.tls_problem;
}

void refuse_starttls(TlsSession &session) {
  session.facts = {};
  session.judgements.clear();
  session.starttls_offered = false;
}

void pass_over(TlsSession &session, TlsFault fault) {
  session.facts = {};
  session.judgements.clear();
  session.address.clear();
  session.local_address.clear();
  session.starttls_offered = false;
  session.fault = fault;
  session.fault_detail = "as the test says";
}

/// "tlsa success; sts certificate-expired"
std::string show(const std::vector<TlsrptRow> &rows) {
  std::string text;
  for (const TlsrptRow &row : rows) {
    if (!text.empty()) text += "; ";
    text += to_string(row.policy.type);
    text += ' ';
    text += row.fault == TlsFault::none ? "success" : policy::to_string(row.fault);
  }
  return text;
}

struct SessionRow {
  std::string name;
  void (*change)(TlsSession &);
  std::string rows;
  friend std::ostream &operator<<(std::ostream &out, const SessionRow &row) { return out << row.name; }
};

class SessionTest : public testing::TestWithParam<SessionRow> {};

TEST_P(SessionTest, is_counted_for_each_policy) {
  TlsSession session = a_session();
  GetParam().change(session);
  EXPECT_EQ(show(make_tlsrpt_rows(session)), GetParam().rows);
}

using S = TlsSession;

INSTANTIATE_TEST_SUITE_P(
    WithoutPolicy, SessionTest,
    testing::Values(SessionRow{"TLS is a success", [](S &) {}, "no-policy-found success"},
                    SessionRow{"TLS with a bad certificate, too: nothing was demanded",
                               [](S &s) { distrust(s, tls::ChainFault::expired, "expired"); },
                               "no-policy-found success"},
                    SessionRow{"STARTTLS is not offered", refuse_starttls, "no-policy-found starttls-not-supported"},
                    SessionRow{"the handshake failed", fail_tls, "no-policy-found validation-failure"},
                    SessionRow{"a partner's rule failed, which is not the domain's policy",
                               [](S &s) {
                                 s.refused = true;
                                 s.fault = TlsFault::certificate_not_trusted;
                               },
                               "no-policy-found success"},
                    SessionRow{"our rule demands DANE", [](S &s) { pass_over(s, TlsFault::dane_required); },
                               "no-policy-found dane-required"},
                    SessionRow{"a host passed over for another reason tells nothing of it",
                               [](S &s) { pass_over(s, TlsFault::validation_failure); }, ""},
                    SessionRow{"TLS was offered, and our rule has none",
                               [](S &s) {
                                 s.facts = {};
                                 s.tls_problem.clear();
                               },
                               ""},
                    SessionRow{"inbound", [](S &s) { s.direction = S::Direction::inbound; }, ""},
                    SessionRow{"by route", [](S &s) { s.by_route = true; }, ""},
                    SessionRow{"the second attempt, in clear", [](S &s) { s.fallback = true; }, ""},
                    SessionRow{"an address literal", [](S &s) { s.domain.clear(); }, ""}));

INSTANTIATE_TEST_SUITE_P(
    WithTlsa, SessionTest,
    testing::Values(
        SessionRow{"a record matches", [](S &s) { set_dane(s, DaneFacts::State::usable); }, "tlsa success"},
        SessionRow{"no record matches", [](S &s) { set_dane(s, DaneFacts::State::usable, false); },
                   "tlsa validation-failure"},
        SessionRow{"STARTTLS is not offered",
                   [](S &s) {
                     set_dane(s, DaneFacts::State::usable);
                     refuse_starttls(s);
                   },
                   "tlsa starttls-not-supported"},
        SessionRow{"the handshake failed",
                   [](S &s) {
                     set_dane(s, DaneFacts::State::usable);
                     fail_tls(s);
                   },
                   "tlsa validation-failure"},
        SessionRow{"the message waived DANE, so that the records were not asked",
                   [](S &s) {
                     set_dane(s, DaneFacts::State::usable);
                     s.facts.dane.reset();
                   },
                   ""},
        SessionRow{"no record is usable", [](S &s) { set_dane(s, DaneFacts::State::unusable); }, "tlsa tlsa-invalid"},
        SessionRow{"no record is usable, and STARTTLS is not offered",
                   [](S &s) {
                     set_dane(s, DaneFacts::State::unusable);
                     refuse_starttls(s);
                   },
                   "tlsa starttls-not-supported"},
        SessionRow{"the records are bogus",
                   [](S &s) {
                     set_dane(s, DaneFacts::State::failed);
                     pass_over(s, TlsFault::dnssec_invalid);
                   },
                   "tlsa dnssec-invalid"},
        SessionRow{"no TLSA", [](S &s) { s.dane.state = DaneFacts::State::none; }, "no-policy-found success"},
        SessionRow{"DANE is off", [](S &s) { s.dane.state = DaneFacts::State::off; }, "no-policy-found success"}));

INSTANTIATE_TEST_SUITE_P(WithSts, SessionTest,
                         testing::Values(SessionRow{"the certificate is good",
                                                    [](S &s) { set_sts(s, StsFacts::State::enforce); }, "sts success"},
                                         SessionRow{"testing counts alike",
                                                    [](S &s) { set_sts(s, StsFacts::State::testing); }, "sts success"},
                                         SessionRow{"the certificate has expired",
                                                    [](S &s) {
                                                      set_sts(s, StsFacts::State::testing);
                                                      distrust(s, tls::ChainFault::expired, "certificate has expired");
                                                    },
                                                    "sts certificate-expired"},
                                         SessionRow{"the certificate is self-signed",
                                                    [](S &s) {
                                                      set_sts(s, StsFacts::State::enforce);
                                                      distrust(s, tls::ChainFault::untrusted,
                                                               "self-signed certificate");
                                                    },
                                                    "sts certificate-not-trusted"},
                                         SessionRow{"the certificate is another host's",
                                                    [](S &s) {
                                                      set_sts(s, StsFacts::State::enforce);
                                                      s.facts.chain[0].dns_names = {"other.example.com"};
                                                    },
                                                    "sts certificate-host-mismatch"},
                                         SessionRow{"a partner's CA trusts what the system does not",
                                                    [](S &s) {
                                                      set_sts(s, StsFacts::State::enforce);
                                                      distrust(s, tls::ChainFault::untrusted, "unknown CA");
                                                      s.facts.verdict =
                                                          tls::ChainVerdict{.trusted = true, .reason = {}};
                                                    },
                                                    "sts certificate-not-trusted"},
                                         SessionRow{"the policy does not name the host, testing",
                                                    [](S &s) {
                                                      set_sts(s, StsFacts::State::testing);
                                                      s.host = "mx.evil.example";
                                                    },
                                                    "sts validation-failure"},
                                         SessionRow{"the policy does not name the host, which was passed over",
                                                    [](S &s) {
                                                      set_sts(s, StsFacts::State::enforce);
                                                      s.host = "mx.evil.example";
                                                      pass_over(s, TlsFault::validation_failure);
                                                    },
                                                    "sts validation-failure"},
                                         SessionRow{"STARTTLS is not offered",
                                                    [](S &s) {
                                                      set_sts(s, StsFacts::State::enforce);
                                                      refuse_starttls(s);
                                                    },
                                                    "sts starttls-not-supported"},
                                         SessionRow{"the policy cannot be fetched and none is known",
                                                    [](S &s) { s.sts.fault = TlsFault::sts_policy_fetch_error; },
                                                    "sts sts-policy-fetch-error; no-policy-found success"},
                                         SessionRow{"the policy host's certificate is bad, and an old policy is known",
                                                    [](S &s) {
                                                      set_sts(s, StsFacts::State::enforce);
                                                      s.sts.fault = TlsFault::sts_webpki_invalid;
                                                    },
                                                    "sts success; sts sts-webpki-invalid"},
                                         SessionRow{"a policy that cannot be read, and no session",
                                                    [](S &s) {
                                                      s.sts.fault = TlsFault::sts_policy_invalid;
                                                      s.sts.state = StsFacts::State::failed;
                                                      pass_over(s, TlsFault::sts_policy_invalid);
                                                    },
                                                    "sts sts-policy-invalid"},
                                         SessionRow{"our cache failed, which is nobody's fault but ours",
                                                    [](S &s) {
                                                      s.sts.state = StsFacts::State::failed;
                                                      pass_over(s, TlsFault::validation_failure);
                                                    },
                                                    ""}));

INSTANTIATE_TEST_SUITE_P(WithBoth, SessionTest,
                         testing::Values(SessionRow{"both are good",
                                                    [](S &s) {
                                                      set_dane(s, DaneFacts::State::usable);
                                                      set_sts(s, StsFacts::State::enforce);
                                                    },
                                                    "tlsa success; sts success"},
                                         SessionRow{"each has its own verdict",
                                                    [](S &s) {
                                                      set_dane(s, DaneFacts::State::usable);
                                                      set_sts(s, StsFacts::State::enforce);
                                                      distrust(s, tls::ChainFault::untrusted,
                                                               "self-signed certificate");
                                                    },
                                                    "tlsa success; sts certificate-not-trusted"},
                                         SessionRow{"without TLS both fail",
                                                    [](S &s) {
                                                      set_dane(s, DaneFacts::State::usable);
                                                      set_sts(s, StsFacts::State::testing);
                                                      fail_tls(s);
                                                    },
                                                    "tlsa validation-failure; sts validation-failure"},
                                         SessionRow{"bogus records leave MTA-STS unjudged",
                                                    [](S &s) {
                                                      set_dane(s, DaneFacts::State::failed);
                                                      set_sts(s, StsFacts::State::enforce);
                                                      pass_over(s, TlsFault::dnssec_invalid);
                                                    },
                                                    "tlsa dnssec-invalid"}));

TEST(TlsrptPolicies, have_the_form_of_the_report) {
  TlsSession session = a_session();
  set_dane(session, DaneFacts::State::usable);
  set_sts(session, StsFacts::State::enforce);
  const auto rows = make_tlsrpt_rows(session);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].domain, "example.com");
  EXPECT_EQ(rows[0].policy.domain, "mx.example.com") << "the TLSA base domain (RFC 8460 section 1.1)";
  EXPECT_THAT(rows[0].policy.strings, ElementsAre("2 0 1 FF", "3 1 1 01AB"));
  EXPECT_EQ(rows[1].policy.domain, "example.com");
  EXPECT_THAT(rows[1].policy.strings,
              ElementsAre("version: STSv1", "mode: enforce", "mx: *.example.com", "max_age: 86400"));
  EXPECT_THAT(rows[1].policy.mx_hosts, ElementsAre("*.example.com"));
}

TEST(TlsrptPolicies, the_order_of_a_dns_answer_makes_no_difference) {
  TlsSession session = a_session();
  set_dane(session, DaneFacts::State::usable);
  const auto before = make_tlsrpt_rows(session);
  std::swap(session.dane.records[0], session.dane.records[1]);
  EXPECT_EQ(make_tlsrpt_rows(session), before);
}

TEST(TlsrptFailures, name_both_ends_and_the_reason) {
  TlsSession session = a_session();
  set_sts(session, StsFacts::State::testing);
  distrust(session, tls::ChainFault::expired, "certificate has expired");
  const TlsrptRow row = make_tlsrpt_rows(session).at(0);
  EXPECT_EQ(row.sending_address, "198.51.100.1");
  EXPECT_EQ(row.receiving_host, "mx.example.com");
  EXPECT_EQ(row.receiving_address, "192.0.2.25");
  EXPECT_THAT(row.reason, HasSubstr("certificate has expired"));
}

TEST(TlsrptFailures, a_success_differs_from_no_other) {
  TlsSession session = a_session();
  const auto before = make_tlsrpt_rows(session);
  session.address = "192.0.2.26";
  session.host = "mx2.example.com";
  EXPECT_EQ(make_tlsrpt_rows(session), before);
}

TEST(TlsrptFailures, what_a_peer_says_is_printable_and_short) {
  TlsSession session = a_session();
  fail_tls(session);
  session.tls_problem = "\x01\r\n" + std::string(1000, 'x');
  const TlsrptRow row = make_tlsrpt_rows(session).at(0);
  EXPECT_LE(row.reason.size(), TlsrptRowLimits::reason);
  EXPECT_THAT(row.reason, HasSubstr("\\x01\\x0"));
}

// ---- the octets

TlsrptRow a_row() {
  TlsrptRow row;
  row.domain = "example.com";
  row.policy = {TlsPolicyType::sts, "example.com", {"version: STSv1", "mode: testing"}, {"*.example.com"}};
  row.fault = TlsFault::sts_webpki_invalid;
  row.sending_address = "2001:db8::1";
  row.receiving_host = "mx.example.com";
  row.receiving_address = "192.0.2.25";
  row.reason = "as the test says";
  return row;
}

TEST(TlsrptRowOctets, come_back_as_the_row) {
  EXPECT_EQ(decode_tlsrpt_row(encode_tlsrpt_row(a_row())).value(), a_row());
  EXPECT_EQ(decode_tlsrpt_row(encode_tlsrpt_row({})).value(), TlsrptRow{});
}

TEST(TlsrptRowOctets, cut_anywhere_are_refused) {
  const std::string octets = encode_tlsrpt_row(a_row());
  for (std::size_t size = 0; size < octets.size(); ++size)
    EXPECT_FALSE(decode_tlsrpt_row(octets.substr(0, size))) << size;
  EXPECT_THAT(decode_tlsrpt_row(octets + "x").error().detail, HasSubstr("behind the last field"));
  EXPECT_THAT(decode_tlsrpt_row("\x02" + octets.substr(1)).error().detail, HasSubstr("version is 2, known is 1"));
}

TEST(TlsrptRowOctets, every_field_tells_rows_apart) {
  const std::string whole = encode_tlsrpt_row(a_row());
  void (*const changes[])(TlsrptRow &) = {
      [](TlsrptRow &row) { row.domain = "other.example"; },
      [](TlsrptRow &row) { row.policy.type = TlsPolicyType::tlsa; },
      [](TlsrptRow &row) { row.policy.domain = "other.example"; },
      [](TlsrptRow &row) { row.policy.strings.pop_back(); },
      [](TlsrptRow &row) { row.policy.mx_hosts.clear(); },
      [](TlsrptRow &row) { row.fault = TlsFault::none; },
      [](TlsrptRow &row) { row.sending_address = "192.0.2.1"; },
      [](TlsrptRow &row) { row.receiving_host = "mx2.example.com"; },
      [](TlsrptRow &row) { row.receiving_address = "192.0.2.26"; },
      [](TlsrptRow &row) { row.reason.clear(); },
  };
  for (const auto change : changes) {
    TlsrptRow row = a_row();
    change(row);
    EXPECT_NE(encode_tlsrpt_row(row), whole);
    EXPECT_EQ(decode_tlsrpt_row(encode_tlsrpt_row(row)).value(), row);
  }
}

TEST(TlsrptRowOctets, keep_to_the_limits) {
  TlsrptRow row = a_row();
  row.domain = std::string(1000, 'd');
  row.reason = std::string(1000, 'r');
  row.policy.strings.assign(500, std::string(2000, 's'));
  row.policy.mx_hosts.assign(500, "*.example.com");
  const std::string octets = encode_tlsrpt_row(row);
  EXPECT_LE(octets.size(), 20'000U) << "far below the longest row of a tally";
  const TlsrptRow read = decode_tlsrpt_row(octets).value();
  EXPECT_EQ(read.domain.size(), TlsrptRowLimits::name);
  EXPECT_EQ(read.reason.size(), TlsrptRowLimits::reason);
  EXPECT_EQ(read.policy.strings.size(), TlsrptRowLimits::policy / TlsrptRowLimits::string);
  EXPECT_TRUE(read.policy.mx_hosts.empty()) << "the strings took the room";
}

} // namespace tlsrpt_row_test
