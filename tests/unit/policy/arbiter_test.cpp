// The arbiter's truth table: tests/data/arbiter_rows.txt, every source of TLS policy against every kind of peer.
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "policy/chain_judgement.hpp"
#include "policy/decide.hpp"
#include "source_dir.hpp"

namespace arbiter_test {

using namespace policy;
using namespace std::chrono_literals;
using std::chrono::sys_days;
using tls::Level;

const auto now = std::chrono::system_clock::time_point(sys_days(2026y / 11 / 22)) + 12h;
constexpr sys_days today = 2026y / 11 / 22;
constexpr std::size_t peer_count = 12;
const std::string host = "mx.a.example";
const std::string pinned_key = "K";
const smtp::TlsaRecord record{3, 1, 1, std::string(32, 'k')};

/// What the host does when mail for it comes.
struct Peer {
  const char *name;
  bool encrypted = true;
  bool offers_starttls = true;
  std::vector<std::string> names; ///< in its certificate; empty: it shows none
  tls::ChainFault fault = tls::ChainFault::none;
  const char *chain_reason = "";
  const char *key = "K";
  bool offers_requiretls = true;
  const char *words; ///< what explains why it is not good enough
};

const std::array<Peer, peer_count> peers{{
    {.name = "no STARTTLS",
     .encrypted = false,
     .offers_starttls = false,
     .names = {},
     .words = "the session is not encrypted"},
    {.name = "STARTTLS refused", .encrypted = false, .names = {}, .words = "the session is not encrypted"},
    {.name = "handshake failure", .encrypted = false, .names = {}, .words = "the session is not encrypted"},
    {.name = "no certificate", .names = {}, .words = "no certificate was shown"},
    {.name = "wrong name", .names = {"x.example"}, .words = "the certificate is for x.example, not for"},
    {.name = "expired",
     .names = {host},
     .fault = tls::ChainFault::expired,
     .chain_reason = "certificate has expired",
     .words = "not trusted: certificate has expired"},
    {.name = "self-signed",
     .names = {host},
     .fault = tls::ChainFault::untrusted,
     .chain_reason = "self-signed certificate",
     .words = "not trusted: self-signed certificate"},
    {.name = "revoked",
     .names = {host},
     .fault = tls::ChainFault::revoked,
     .chain_reason = "certificate revoked",
     .words = "the certificate is revoked: certificate revoked"},
    {.name = "another key", .names = {host}, .key = "R", .words = "no TLSA record matches the certificate"},
    {.name = "the domain's name", .names = {"a.example"}, .words = "the certificate is for a.example, not for"},
    {.name = "no REQUIRETLS", .names = {host}, .offers_requiretls = false, .words = "the host does not offer it"},
    {.name = "good", .names = {host}, .words = "the certificate is for mx.a.example, not for"},
}};

/// What the edge reports of the peer, judged against what the requirement names, as delivery does it.
tls::Facts facts_of(const Peer &peer, const Requirement &requirement) {
  tls::Facts facts;
  facts.encrypted = peer.encrypted;
  if (!peer.encrypted || peer.names.empty()) return facts;
  tls::CertificateFacts leaf;
  leaf.dns_names = peer.names;
  leaf.spki_sha256 = peer.key;
  facts.chain = {leaf};
  tls::ChainVerdict chain{.trusted = true, .reason = {}, .fault = tls::ChainFault::none};
  if (peer.fault != tls::ChainFault::none && (peer.fault != tls::ChainFault::revoked || !requirement.crls.empty()))
    chain = {.trusted = false, .reason = peer.chain_reason, .fault = peer.fault};
  facts.verdict = chain;
  for (const auto &demand : requirement.also) facts.others.push_back({trust_key(demand.trust, demand.crls), chain});
  if (!requirement.tlsa.empty()) {
    tls::DaneVerdict dane;
    dane.matched = peer.key == pinned_key;
    dane.reason = dane.matched ? "3 1 1 at depth 0" : "no record has this key";
    facts.dane = dane;
  }
  return facts;
}

struct Outcome {
  char letter = '?';
  std::string words;
};

/// What becomes of the mail: the steps of delivery, without the network.
Outcome deliver(const Decision &decision, const Peer &peer) {
  if (decision.unusable) return {is_final(*decision.unusable) ? 'r' : 's', decision.unusable->reason};
  const Requirement &required = decision.enforced;
  if (required.level == Level::none && allows_clear_text(required)) return {'C', {}};
  if (!peer.encrypted && allows_clear_text(required)) return {peer.offers_starttls ? 'F' : 'C', {}};
  const tls::Facts facts = facts_of(peer, required);
  const auto verdict = judge_requiretls(required, judge_tls(required, facts), peer.offers_requiretls);
  if (!verdict.ok()) return {is_final(required, verdict) ? 'r' : 'w', verdict.reason};
  switch (verdict.got) {
  case Level::none: return {'C', {}};
  case Level::opportunistic: break; // no connection is that
  case Level::encrypted: return {'E', {}};
  case Level::authenticated: return {'A', {}};
  case Level::dane: return {'D', {}};
  }
  return {};
}

/// The sources of one line, with what they point to.
struct Scene {
  std::optional<smtp::Domain> domain = smtp::Domain::parse("a.example").value();
  Partner partner;
  PartnerTable table;
  Route route;
  TlsSources sources;

  Decision decide() {
    partner.name = "A";
    partner.domains = {smtp::DomainPattern::parse("a.example").value()};
    table = PartnerTable::build({partner}).value();
    sources.partners = &table;
    sources.domain = domain ? &*domain : nullptr;
    sources.now = now;
    return decide_tls(sources);
  }
};

std::vector<std::string> split(const std::string &text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) {
    const auto begin = part.find_first_not_of(' ');
    const auto end = part.find_last_not_of(' ');
    parts.push_back(begin == std::string::npos ? std::string() : part.substr(begin, end - begin + 1));
  }
  return parts;
}

/// Fails the test on a word that nobody knows.
template <typename Value> Value word(const std::string &text, const std::map<std::string, Value> &known) {
  const auto found = known.find(text);
  if (found != known.end()) return found->second;
  ADD_FAILURE() << "unknown word: " << text;
  return {};
}

Level level(const std::string &text) {
  const auto parsed = tls::parse_level(text);
  EXPECT_TRUE(parsed) << text;
  return parsed.value_or(Level::none);
}

void add_partner(Scene &scene, const std::vector<std::string> &words) {
  OutboundRule rule;
  rule.level = level(words[0]);
  rule.profile = "internet"; // that of the default
  rule.place = "partners.d/a.toml:5";
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "observe")
      rule.mode = Mode::observe;
    else if (words[i] == "future")
      rule.from = today + std::chrono::days(1);
    else if (words[i] == "today")
      rule.from = today;
    else if (words[i] == "ncsc")
      rule.profile = "ncsc";
    else if (words[i] == "match")
      rule.match = {host};
    else if (words[i] == "match-other")
      rule.match = {"gate.b.example"};
    else if (words[i] == "pin")
      rule.pins = {"old", pinned_key};
    else if (words[i] == "pin-other")
      rule.pins = {"old"};
    else if (words[i] == "crl")
      rule.crls = {"http://crl.example/list.crl"};
    else
      ADD_FAILURE() << "unknown word: " << words[i];
  }
  scene.partner.outbound = std::move(rule);
}

void add_source(Scene &scene, const std::string &token) {
  const auto equals = token.find('=');
  const std::string key = token.substr(0, equals);
  const auto words = equals == std::string::npos ? std::vector<std::string>{""} : split(token.substr(equals + 1), ',');
  const bool second = words.size() > 1;
  TlsSources &sources = scene.sources;
  if (key == "default") {
    sources.defaults.level = level(words[0]);
    if (second) sources.defaults.source = Source::route;
  } else if (key == "partner") {
    add_partner(scene, words);
  } else if (key == "exception") {
    scene.partner.exceptions = {{.domain = smtp::DomainPattern::parse("a.example").value(),
                                 .level = level(words[0]),
                                 .owner = "mail team",
                                 .reason = "old gateway",
                                 .expires = second ? today - std::chrono::days(1) : today,
                                 .place = "partners.d/a.toml:20"}};
  } else if (key == "dane") {
    using State = DaneFacts::State;
    sources.dane.state = word<State>(words[0], {{"insecure", State::insecure},
                                                {"none", State::none},
                                                {"unusable", State::unusable},
                                                {"usable", State::usable},
                                                {"failed", State::failed}});
    sources.dane.base_domain = host;
    sources.dane.names = {"a.example"};
    if (sources.dane.state == State::usable) sources.dane.records = {record, {0, 0, 1, "x"}};
    if (sources.dane.state == State::failed) sources.dane.detail = "SERVFAIL";
  } else if (key == "sts") {
    using State = StsFacts::State;
    sources.sts.state = word<State>(
        words[0],
        {{"none", State::none}, {"testing", State::testing}, {"enforce", State::enforce}, {"failed", State::failed}});
    sources.sts.domain = "a.example";
    if (sources.sts.state == State::testing || sources.sts.state == State::enforce)
      sources.sts.mx =
          second ? std::vector<std::string>{"mx.b.example", "*.b.example"} : std::vector<std::string>{"*.a.example"};
  } else if (key == "memory") {
    sources.memory.known = true;
    sources.memory.protect = word<bool>(words[0], {{"known", false}, {"protect", true}});
    sources.memory.last_seen = now;
  } else if (key == "wish") {
    sources.wish = word<Wish>(words[0], {{"requiretls", Wish::require_tls},
                                         {"no", Wish::tls_optional},
                                         {"no-outside", Wish::tls_optional_outside},
                                         {"report", Wish::report}});
  } else if (key == "override") {
    sources.override_ = OperatorOverride{.level = level(words[0]), .reason = "urgent", .by = "ops", .when = now};
  } else if (key == "route") {
    scene.route.hosts = {{"hub.example", 25, 10}};
    scene.route.place = scene.route.name = "portcullis.toml:9";
    scene.route.implicit_tls = word<bool>(words[0], {{"plain", false}, {"implicit", true}});
    sources.route = &scene.route;
  } else if (key == "mx") {
    sources.mx_trust =
        word<NameTrust>(words[0], {{"dnssec", NameTrust::dnssec}, {"configured", NameTrust::configured}});
  } else if (key == "host") {
    sources.host = "a.example";
  } else if (key == "literal") {
    scene.domain.reset();
    sources.host = "192.0.2.1";
  } else {
    ADD_FAILURE() << "unknown source: " << token;
  }
}

bool explains(const std::string &reason, const Peer &peer, const std::string &words) {
  return reason.find(peer.words) != std::string::npos || (words != "-" && reason.find(words) != std::string::npos);
}

void check_observed(const Decision &decision, const std::string &expected, const std::string &words) {
  if (expected == "-") {
    EXPECT_FALSE(decision.observed) << to_string(decision.observed->level);
    return;
  }
  ASSERT_TRUE(decision.observed);
  const auto parts = split(expected, ' ');
  ASSERT_EQ(parts.size(), 2U);
  ASSERT_EQ(parts[1].size(), peer_count);
  EXPECT_STREQ(to_string(decision.observed->level), parts[0].c_str());
  for (std::size_t i = 0; i < peer_count; ++i) {
    SCOPED_TRACE(peers[i].name);
    const auto verdict = judge_observed(decision, facts_of(peers[i], *decision.observed));
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->ok() ? '+' : 'x', parts[1][i]) << verdict->reason;
    if (!verdict->ok()) {
      EXPECT_TRUE(explains(verdict->reason, peers[i], words)) << verdict->reason;
    }
  }
}

/// Every line, for every peer; returns how many rows that were.
std::size_t check_line(const std::string &line) {
  const auto columns = split(line.substr(0, line.find('#')), '|');
  EXPECT_EQ(columns.size(), 5U);
  if (columns.size() != 5) return 0;
  Scene scene;
  scene.sources.host = host;
  for (const auto &token : split(columns[0], ' ')) add_source(scene, token);
  const Decision decision = scene.decide();
  std::string won;
  for (const auto &reason : decision.reasons)
    if (reason.won) won += to_string(reason.source);
  EXPECT_EQ(fmt::format("{} by {}", to_string(decision.enforced.level), won), columns[1]);
  EXPECT_EQ(columns[2].size(), peer_count);
  for (std::size_t i = 0; i < std::min(peer_count, columns[2].size()); ++i) {
    SCOPED_TRACE(peers[i].name);
    const auto outcome = deliver(decision, peers[i]);
    EXPECT_EQ(outcome.letter, columns[2][i]) << outcome.words;
    if (outcome.letter == 'w' || outcome.letter == 's' || outcome.letter == 'r') {
      EXPECT_TRUE(explains(outcome.words, peers[i], columns[4])) << outcome.words;
    }
  }
  check_observed(decision, columns[3], columns[4]);
  return peer_count;
}

TEST(Arbiter, EveryLineOfTheTruthTable) {
  std::ifstream file(std::string(source_dir) + "/tests/data/arbiter_rows.txt");
  std::size_t number = 0;
  std::size_t rows = 0;
  std::set<std::string> seen;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    SCOPED_TRACE(fmt::format("arbiter_rows.txt:{}: {}", number, line));
    rows += check_line(line);
    EXPECT_TRUE(seen.insert(split(line, '|')[0]).second) << "the line stands there twice";
  }
  EXPECT_GE(rows, 300U);
}

} // namespace arbiter_test
