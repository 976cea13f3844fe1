// TlsEvidence: what sessions and messages become as rows, on disk and back; limits; damage.
#include "mta/tally/tls_evidence.hpp"

#include <gtest/gtest.h>

#include "tests/support/dmarc_rows.hpp"
#include "tests/support/memory_log.hpp"
#include "tests/support/tls_sessions.hpp"

namespace tls_evidence_test {

using namespace mta;
using namespace std::chrono_literals;
using support::a_clear_session;
using support::a_tls_session;

policy::EvidenceRow full_row() {
  TlsSession session = a_tls_session();
  session.facts.suite = "TLS_AES_256_GCM_SHA384";
  session.facts.group = "X25519";
  session.facts.chain[0].key_type = "EC";
  session.facts.dane = tls::DaneVerdict{true, "3 1 1 at depth 0", "mx1.mail.example.net"};
  session.dane.state = policy::DaneFacts::State::usable;
  session.dane.base_domain = "other.example.net";
  session.sts.state = policy::StsFacts::State::testing;
  session.name_trust = policy::NameTrust::dnssec;
  session.observed_rule = "partners.d/x.toml:3 X [outbound]";
  session.observed = policy::Verdict{policy::VerdictKind::wrong_pin, tls::Level::encrypted, "no key is pinned", {}};
  session.judgements.push_back({"/ca.pem", {false, "unknown CA", tls::ChainFault::untrusted}});
  session.verdict =
      policy::Verdict{policy::VerdictKind::wrong_name, tls::Level::encrypted, "the certificate is for a", {}};
  session.refused = true;
  session.fault = policy::TlsFault::certificate_host_mismatch;
  return make_evidence_row(session, session.domain);
}

TEST(EvidenceRow, every_field_reads_back_and_every_cut_is_refused) {
  auto inbound = a_tls_session();
  inbound.direction = TlsSession::Direction::inbound;
  auto without = a_tls_session();
  without.facts.chain.clear();
  for (const policy::EvidenceRow &row :
       {full_row(), make_evidence_row(a_clear_session(), "example.gov.uk"), make_evidence_row(inbound, "a.example"),
        make_evidence_row(without, "a.example"), policy::EvidenceRow{}}) {
    for (const EvidenceKind kind : {EvidenceKind::session, EvidenceKind::message}) {
      const std::string octets = encode_evidence(kind, row);
      const auto read = decode_evidence(octets);
      ASSERT_TRUE(read) << read.error().detail;
      EXPECT_EQ(read->kind, kind);
      EXPECT_EQ(read->row, row);
      for (std::size_t size = 0; size < octets.size(); ++size) EXPECT_FALSE(decode_evidence(octets.substr(0, size)));
      EXPECT_FALSE(decode_evidence(octets + 'x'));
    }
  }
  std::string later = encode_evidence(EvidenceKind::session, full_row());
  later[0] = 5;
  EXPECT_EQ(decode_evidence(later).error().detail, "row: version is 5, known are 1 to 4");
}

TEST(EvidenceRow, a_row_of_version_3_does_not_say_who_it_was) {
  policy::EvidenceRow row = full_row();
  row.is_proven = true;
  std::string octets = encode_evidence(EvidenceKind::session, row);
  EXPECT_TRUE(decode_evidence(octets)->row.is_proven);
  octets.pop_back();
  octets[0] = 3;
  const auto read = decode_evidence(octets);
  ASSERT_TRUE(read) << read.error().detail;
  row.is_proven = false;
  EXPECT_EQ(read->row, row);
}

TEST(EvidenceRow, an_expiry_is_kept_as_far_as_the_clock_reaches) {
  auto session = a_tls_session();
  session.facts.chain[0].not_after = std::chrono::system_clock::time_point::max();
  policy::EvidenceRow row = make_evidence_row(session, session.domain);
  const auto read = decode_evidence(encode_evidence(EvidenceKind::session, row));
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->row, row);
  *row.not_after += 1s;
  const auto beyond = decode_evidence(encode_evidence(EvidenceKind::session, row));
  ASSERT_FALSE(beyond);
  EXPECT_NE(beyond.error().detail.find("not after is 9223372038, limit is 9223372037"), std::string::npos)
      << beyond.error().detail;
}

std::string as_text(std::string_view text) {
  return static_cast<char>(text.size()) + std::string(text);
}

/// As version 2 wrote it: each key with whether it was linked by name, no verified chains.
std::string octets_of_version_2(const policy::EvidenceRow &row) {
  std::string octets = encode_evidence(EvidenceKind::session, row);
  octets.pop_back(); // whether it was proven
  std::size_t at = 0;
  for (const policy::EvidenceKey &key : row.keys) {
    const std::string text = as_text(key.spki_sha256);
    at = octets.find(text, at) + text.size();
    octets.insert(at, 1, '\1');
  }
  for (const policy::ChainJudgement &judgement : row.judgements) {
    const std::string text = as_text(judgement.store) + static_cast<char>(judgement.verdict.trusted) +
                             as_text(judgement.verdict.reason) + static_cast<char>(judgement.verdict.fault);
    at = octets.find(text, at) + text.size();
    EXPECT_EQ(octets[at], '\0');
    octets.erase(at, 1);
  }
  octets[0] = 2;
  return octets;
}

TEST(EvidenceRow, rows_of_earlier_versions_are_read) {
  policy::EvidenceRow row = full_row();
  for (auto &judgement : row.judgements) judgement.verdict.keys.clear();
  std::string octets = octets_of_version_2(row);
  auto read = decode_evidence(octets);
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->row, row);

  std::string words;
  for (const std::string *word : {&row.suite, &row.group, &row.key_type}) {
    words += as_text(*word);
    ASSERT_FALSE(word->empty());
  }
  octets.erase(octets.find(words), words.size());
  octets[0] = 1;
  read = decode_evidence(octets);
  ASSERT_TRUE(read) << read.error().detail;
  row.suite = row.group = row.key_type = {};
  EXPECT_EQ(read->row, row);
}

TEST(EvidenceRow, a_session_without_secrets_of_the_mail_is_all_that_is_kept) {
  const auto row = full_row();
  EXPECT_EQ(row.domain, "example.gov.uk");
  EXPECT_EQ(row.names, std::vector<std::string>{"mx1.mail.example.net"});
  EXPECT_EQ(row.keys.size(), 2U);
  EXPECT_EQ(row.address, "") << "outbound addresses are not needed";
  EXPECT_EQ(row.dane_base, "other.example.net");
  EXPECT_EQ(row.reason, "the certificate is for a");
}

TEST(EvidenceRow, a_certificate_with_many_names_keeps_those_that_matter) {
  auto session = a_tls_session();
  auto &names = session.facts.chain[0].dns_names;
  names.clear();
  for (int i = 0; i < 500; ++i) names.push_back("n" + std::to_string(i) + ".example");
  names.push_back("*.mail.example.net");
  names.push_back("example.gov.uk");
  const auto row = make_evidence_row(session, session.domain);
  ASSERT_EQ(row.names.size(), EvidenceLimits::names);
  EXPECT_EQ(row.names[0], "*.mail.example.net");
  EXPECT_EQ(row.names[1], "example.gov.uk");
  session.verdict->matched_name = "n300.example"; // what satisfied the rule is kept, wherever it stood
  EXPECT_EQ(make_evidence_row(session, session.domain).names[0], "n300.example");
}

TEST(EvidenceRow, a_session_keeps_few_of_thousands_of_names) {
  auto session = a_tls_session();
  for (auto &certificate : session.facts.chain) {
    certificate.dns_names.clear();
    for (int i = 0; i < 20'000; ++i) certificate.dns_names.push_back("n" + std::to_string(i) + ".example");
  }
  session.verdict->matched_name = "n19999.example";
  keep_few_names(session);
  ASSERT_EQ(session.facts.chain[0].dns_names.size(), EvidenceLimits::session_names);
  EXPECT_EQ(session.facts.chain[0].dns_names[0], "n19999.example") << "what was proven stays";
  EXPECT_TRUE(session.facts.chain[1].dns_names.empty());
  EXPECT_EQ(make_evidence_row(session, session.domain).names[0], "n19999.example");
}

TEST(EvidenceRow, the_keys_of_the_verified_chain_are_kept_and_older_rows_have_none) {
  auto session = a_tls_session();
  session.judgements = {{"system", {true, {}, tls::ChainFault::none, {"leaf key", "anchor key"}}}};
  const policy::EvidenceRow row = make_evidence_row(session, session.domain);
  const auto read = decode_evidence(encode_evidence(EvidenceKind::session, row));
  ASSERT_TRUE(read) << read.error().detail;
  ASSERT_EQ(read->row.judgements.size(), 1U);
  EXPECT_EQ(read->row.judgements.front().verdict.keys, (std::vector<std::string>{"leaf key", "anchor key"}));
  session.judgements.front().verdict.keys.assign(100, std::string(500, 'k'));
  const auto hostile = make_evidence_row(session, session.domain);
  EXPECT_EQ(hostile.judgements.front().verdict.keys.size(), EvidenceLimits::verified_keys);
  EXPECT_EQ(hostile.judgements.front().verdict.keys.front().size(), EvidenceLimits::key);
}

TEST(EvidenceRow, hostile_lengths_are_cut) {
  auto session = a_tls_session(std::string(5000, 'd'), std::string(5000, 'h'));
  session.facts.chain[0].issuer.assign(100'000, 'i');
  session.facts.chain[0].dns_names.assign(10'000, std::string(3000, 'n'));
  session.tls_problem.assign(100'000, 'p');
  session.rule.assign(100'000, 'r');
  session.facts.chain.resize(100, session.facts.chain[1]);
  session.judgements.resize(100, {std::string(5000, 's'), {false, std::string(5000, 'q'), tls::ChainFault::expired}});
  const auto row = make_evidence_row(session, session.domain);
  const std::string octets = encode_evidence(EvidenceKind::session, row);
  EXPECT_LT(octets.size(), longest_tally_row);
  const auto read = decode_evidence(octets);
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->row, row);
}

class TlsEvidenceTest : public testing::Test {
protected:
  std::unique_ptr<TlsEvidence> open(std::size_t pending_limit = 1000) {
    TlsEvidenceOptions options;
    options.folder = folder_.file("tally");
    options.flush_interval = 1h;
    options.pending_limit = pending_limit;
    auto evidence = TlsEvidence::open(options, log_);
    EXPECT_TRUE(evidence) << evidence.error().detail;
    return std::move(*evidence);
  }
  StoredEvidence read(UtcDay today, unsigned days, std::size_t limit = 1000) const {
    auto stored = read_evidence(
        evidence_files(folder_.file("tally")), today, days, [](const policy::EvidenceRow &) { return true; }, limit);
    EXPECT_TRUE(stored);
    return std::move(*stored);
  }
  test::TempFolder folder_;
  support::MemoryLog log_;
};

const UtcDay the_day = support::day("2026-11-20");

TEST_F(TlsEvidenceTest, sessions_and_messages_of_equal_rows_are_counted_together) {
  auto evidence = open();
  const auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  for (int i = 0; i < 3; ++i) {
    auto session = a_tls_session();
    session.time = std::chrono::system_clock::now();
    session.facts.chain[0].not_after = std::chrono::sys_days(2030y / 1 / 1);
    const auto one = support::shared(session);
    evidence->session(one);
    evidence->messages(one, one->domain, 5);
    evidence->messages(one, one->domain, 1);
  }
  ASSERT_TRUE(evidence->flush());
  const auto stored = read(today, 2);
  ASSERT_EQ(stored.rows.size(), 1U);
  EXPECT_EQ(stored.rows[0].sessions, 3U);
  EXPECT_EQ(stored.rows[0].messages, 18U);
  EXPECT_EQ(stored.rows[0].row.domain, "example.gov.uk");
}

TEST_F(TlsEvidenceTest, mail_for_another_domain_over_the_same_connection_is_that_domains) {
  auto evidence = open();
  auto session = a_tls_session();
  session.time = std::chrono::system_clock::now();
  const auto one = support::shared(session);
  evidence->session(one);
  evidence->messages(one, "other.example", 2);
  evidence->messages(one, "other.example", 3);
  ASSERT_TRUE(evidence->flush());
  const auto stored = read(std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now()), 2);
  ASSERT_EQ(stored.rows.size(), 2U);
  for (const auto &each : stored.rows) {
    EXPECT_EQ(each.sessions, each.row.domain == "other.example" ? 0U : 1U);
    EXPECT_EQ(each.messages, each.row.domain == "other.example" ? 5U : 0U);
  }
}

TEST_F(TlsEvidenceTest, only_the_days_asked_for_are_read) {
  auto evidence = open();
  for (int day = 0; day < 5; ++day) {
    auto session = a_tls_session();
    session.time = std::chrono::system_clock::time_point(the_day) + day * 24h + 1h;
    evidence->session(support::shared(session));
  }
  ASSERT_TRUE(evidence->flush());
  EXPECT_EQ(read(the_day + std::chrono::days(4), 5).rows.size(), 5U);
  EXPECT_EQ(read(the_day + std::chrono::days(4), 2).rows.size(), 2U);
  EXPECT_EQ(read(the_day + std::chrono::days(2), 1).rows.size(), 1U);
  EXPECT_EQ(read(the_day - std::chrono::days(1), 30).rows.size(), 0U);
  EXPECT_EQ(read(the_day + std::chrono::days(4), 5, 3).omitted, 2U) << "the limit of rows is told";
}

TEST_F(TlsEvidenceTest, the_end_writes_out_what_is_pending) {
  open()->session(support::shared(a_tls_session()));
  EXPECT_EQ(read(the_day, 1).rows.size(), 1U);
}

TEST_F(TlsEvidenceTest, more_sessions_than_the_limit_are_dropped_and_counted) {
  auto evidence = open(2);
  const auto first = support::shared(a_tls_session());
  evidence->session(first);
  evidence->session(support::shared(a_tls_session()));
  evidence->session(support::shared(a_tls_session()));
  evidence->messages(first, first->domain, 1);
  EXPECT_EQ(evidence->dropped(), 1U);
}

TEST_F(TlsEvidenceTest, damage_is_passed_over_and_counted) {
  open()->session(support::shared(a_tls_session()));
  const std::string file = evidence_files(folder_.file("tally")).rows_file(the_day);
  support::write_all(file, "rubbish" + support::read_all(file));
  const auto stored = read(the_day, 1);
  EXPECT_EQ(stored.rows.size(), 1U);
  EXPECT_EQ(stored.damaged, 1U);
}

TEST_F(TlsEvidenceTest, no_folder_is_no_evidence) {
  const auto stored =
      read_evidence(evidence_files(folder_.file("none")), the_day, 30, [](const auto &) { return true; });
  ASSERT_TRUE(stored);
  EXPECT_TRUE(stored->rows.empty());
}

} // namespace tls_evidence_test
