// probe: what each kind of server shows without a message; and evidence: a session that delivery judged is judged the
// same when the rule is simulated from what was kept of it.
#include "mta/outbound/probe.hpp"

#include <boost/asio/co_spawn.hpp>

#include "mta/tally/evidence_row.hpp"
#include "tests/unit/mta/outbound/outbound_fixture.hpp"

namespace test {
namespace probe_test {

constexpr const char *domain = "partner.test";
constexpr const char *host = "mx.partner.test";

/// Keeps every session.
class Sessions : public mta::TlsObserver {
public:
  void session(const std::shared_ptr<const mta::TlsSession> &session) override {
    const std::lock_guard lock(mutex_);
    kept_.push_back(session);
  }
  void messages(const std::shared_ptr<const mta::TlsSession> &, std::string_view, std::uint32_t) override {}
  std::vector<std::shared_ptr<const mta::TlsSession>> kept() {
    const std::lock_guard lock(mutex_);
    return kept_;
  }

private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<const mta::TlsSession>> kept_;
};

struct Row {
  const char *name;
  ScriptedTls tls = ScriptedTls::good;
  std::vector<std::string> names = {domain};
  std::chrono::hours ends{24 * 30};
  bool is_own_ca = true; ///< false: the chain of another CA
  policy::VerdictKind expected = policy::VerdictKind::satisfied;
};

const std::vector<Row> rows = {
    {"a good certificate"},
    {"another name", ScriptedTls::good, {"other.test"}, std::chrono::hours(720), true, policy::VerdictKind::wrong_name},
    {"an expired certificate",
     ScriptedTls::good,
     {domain},
     std::chrono::hours(0),
     true,
     policy::VerdictKind::untrusted},
    {"an unknown CA", ScriptedTls::good, {domain}, std::chrono::hours(720), false, policy::VerdictKind::untrusted},
    {"no STARTTLS", ScriptedTls::absent, {domain}, std::chrono::hours(720), true, policy::VerdictKind::not_encrypted},
    {"STARTTLS refused",
     ScriptedTls::refused,
     {domain},
     std::chrono::hours(720),
     true,
     policy::VerdictKind::not_encrypted},
    {"a handshake that fails",
     ScriptedTls::broken,
     {domain},
     std::chrono::hours(720),
     true,
     policy::VerdictKind::not_encrypted},
    {"octets behind STARTTLS",
     ScriptedTls::injecting,
     {domain},
     std::chrono::hours(720),
     true,
     policy::VerdictKind::not_encrypted},
};

class ProbeTest : public OutboundTest {
protected:
  SmtpScript script_of(const Row &row) {
    TestCa other;
    LeafOptions options;
    options.names = row.names;
    options.ends = row.ends;
    auto leaf = row.is_own_ca ? issue(options) : other.issue(options).write_to(folder, "stranger");
    SmtpScript script;
    script.tls = row.tls;
    script.context = server_context(leaf);
    return script;
  }
  policy::Judged judge(const policy::EvidenceRow &row) {
    const auto table = policy::PartnerTable::build({policy::as_enforced(partners.front())}).value();
    policy::EvidenceQuestion question;
    question.partners = &table;
    question.partner = &table.partners().front();
    question.now = std::chrono::system_clock::now();
    return policy::judge_evidence(question, row);
  }
  std::vector<mta::ProbeResult> probe_now() {
    config.partners = policy::PartnerTable::build(partners).value();
    mta::Worker worker;
    tls::ClientContextOptions options;
    const mta::ProbeServices services{
        .config = config,
        .resolver = dns,
        .worker = worker,
        .context = tls::Context::client(options).value(),
        .stores = {{policy::trust_key(ca_file, {}), tls::TrustStore::from_file(ca_file).value()}},
        .timeout = std::chrono::seconds(5)};
    std::vector<mta::ProbeResult> results;
    boost::asio::co_spawn(worker.context, mta::probe(services, smtp::Domain::parse(domain).value()),
                          [&](std::exception_ptr error, std::vector<mta::ProbeResult> found) {
                            if (error) std::rethrow_exception(error);
                            results = std::move(found);
                          });
    worker.context.run();
    return results;
  }
};

class EachServer : public ProbeTest, public testing::WithParamInterface<Row> {};

TEST_P(EachServer, is_judged_by_the_probe_as_the_rule_says_and_hears_no_message) {
  SmtpFixture server(script_of(GetParam()));
  point(domain, host, server);
  add_partner(domain, tls::Level::authenticated).outbound->trust = ca_file;
  const auto results = probe_now();
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].problem, "");
  EXPECT_EQ(results[0].address, "127.0.0.1");
  const auto judged = judge(results[0].row);
  EXPECT_EQ(judged.kind, GetParam().expected) << judged.reason;
  EXPECT_EQ(server.count("MAIL"), 0U);
  EXPECT_EQ(server.message_octets(), 0U);
}

TEST_P(EachServer, is_judged_from_the_evidence_as_by_delivery) {
  SmtpFixture server(script_of(GetParam()));
  point(domain, host, server);
  add_partner(domain, tls::Level::authenticated).outbound->trust = ca_file;
  Sessions sessions;
  observer = &sessions;
  apply_config();
  deliver_to("someone@partner.test");
  const auto attempt = log.events("delivery").back();
  const auto kept = sessions.kept();
  ASSERT_FALSE(kept.empty());
  // Through the form in which it is stored.
  const auto stored = mta::decode_evidence(
      mta::encode_evidence(mta::EvidenceKind::session, mta::make_evidence_row(*kept.front(), domain)));
  ASSERT_TRUE(stored);
  const auto judged = judge(stored->row);
  EXPECT_EQ(policy::to_string(judged.kind), attempt.at("verdict")) << judged.reason;
  EXPECT_EQ(judged.is_refused, kept.front()->refused);
  EXPECT_EQ(judged.kind, GetParam().expected);
  delivery->shut_down(std::chrono::seconds(0));
  workers->join();
  delivery.reset(); // before the sessions go
}

INSTANTIATE_TEST_SUITE_P(Servers, EachServer, testing::ValuesIn(rows), [](const auto &row) {
  std::string name = row.param.name;
  for (char &c : name)
    if (c == ' ') c = '_';
  return name;
});

TEST_F(ProbeTest, every_address_of_every_host_is_tried) {
  SmtpFixture server(script_of(rows.front()));
  point(domain, host, server);
  dns.add_mx(domain, 20, "mx2.partner.test");
  dns.add_address("mx2.partner.test", "127.0.0.1");
  dns.add_mx(domain, 30, "gone.partner.test");
  add_partner(domain, tls::Level::authenticated).outbound->trust = ca_file;
  const auto results = probe_now();
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(results[0].host, host);
  EXPECT_EQ(results[1].host, "mx2.partner.test");
  EXPECT_EQ(results[2].problem, "host gone.partner.test does not exist");
  EXPECT_EQ(server.connections(), 2U);
}

TEST_F(ProbeTest, a_server_that_cannot_be_reached_is_told) {
  {
    SmtpFixture server(script_of(rows.front()));
    point(domain, host, server); // its port is free again afterwards
  }
  add_partner(domain, tls::Level::authenticated);
  const auto results = probe_now();
  ASSERT_EQ(results.size(), 1U);
  EXPECT_NE(results[0].problem.find("refused"), std::string::npos) << results[0].problem;
}

TEST_F(ProbeTest, a_domain_without_hosts_is_told) {
  dns.fail(domain);
  add_partner(domain, tls::Level::authenticated);
  const auto results = probe_now();
  ASSERT_EQ(results.size(), 1U);
  EXPECT_NE(results[0].problem, "");
}

} // namespace probe_test
} // namespace test
