// DkimVerifier and DkimSigner together: each result of a verification, and that what we sign verifies.
#include "auth/dkim/verify.hpp"

#include <array>
#include <thread>

#include <gtest/gtest.h>

#include "smtp/base/base64.hpp"
#include "tests/support/dkim_fixture.hpp"

namespace verify_test {

using auth::DkimResult;
using test::body;
using test::header;
using test::noon;

const std::string rsa_name = "rsa._domainkey.example.org";

std::string signed_rsa() {
  return test::sign(header, body, {{test::rsa_key(), test::sign_options("rsa")}}) + header;
}

TEST(DkimVerifier, AMessageWithoutSignaturesHasNoVerdicts) {
  auto facts = test::key_facts();
  EXPECT_TRUE(test::verify(header, body, facts).empty());
  EXPECT_TRUE(test::verify("DomainKey-Signature: a=rsa-sha1; b=x\r\n" + header, body, facts).empty());
  EXPECT_TRUE(test::verify("", "", facts).empty());
  EXPECT_TRUE(facts.missing().empty());
}

TEST(DkimVerifier, WhatWeSignPassesInEveryCanonicalisationAndCut) {
  auto facts = test::key_facts();
  for (const auto head : {auth::Canonical::simple, auth::Canonical::relaxed}) {
    for (const auto content : {auth::Canonical::simple, auth::Canonical::relaxed}) {
      auto rsa = test::sign_options("rsa");
      auto ed = test::sign_options("ed");
      rsa.header = ed.header = head;
      rsa.body = ed.body = content;
      ed.identity = "jo=20e@mail.example.org";
      ed.valid_for = 3600;
      const std::string section =
          test::sign(header, body, {{test::rsa_key(), rsa}, {test::ed25519_key(), ed}}) + header;
      for (const std::size_t cut : {1U, 3U, 1000U}) {
        const auto verdicts = test::verify(section, body, facts, {.now = noon}, cut);
        ASSERT_EQ(verdicts.size(), 2U);
        EXPECT_EQ(verdicts[0].result, DkimResult::pass) << verdicts[0].reason;
        EXPECT_EQ(verdicts[1].result, DkimResult::pass) << verdicts[1].reason;
        EXPECT_EQ(verdicts[0].algorithm, "rsa-sha256");
        EXPECT_EQ(verdicts[0].bits, 2048U);
        EXPECT_EQ(verdicts[0].reason, "");
        EXPECT_EQ(verdicts[0].identity, "@example.org");
        EXPECT_EQ(verdicts[0].signature_start.size(), 8U);
        EXPECT_EQ(verdicts[1].algorithm, "ed25519-sha256");
        EXPECT_EQ(verdicts[1].identity, "jo=20e@mail.example.org");
        EXPECT_EQ(verdicts[1].selector, "ed");
        EXPECT_EQ(verdicts[1].domain, "example.org");
      }
    }
  }
}

TEST(DkimVerifier, EmptyAndOddBodiesPass) {
  auto facts = test::key_facts();
  for (const std::string content : {"", "\r\n", "no end", " \r\n\r\n", "a\rb\nc\r\n"}) {
    for (const auto canonical : {auth::Canonical::simple, auth::Canonical::relaxed}) {
      auto options = test::sign_options("ed");
      options.body = canonical;
      const std::string section = test::sign(header, content, {{test::ed25519_key(), options}}) + header;
      EXPECT_EQ(test::verify(section, content, facts).at(0).result, DkimResult::pass) << content;
    }
  }
}

struct ChangeRow {
  std::string name;
  std::string from, to; ///< in the header section
  std::string body_from, body_to;
  DkimResult result;
  std::string reason;
};

TEST(DkimVerifier, WhatAChangeOfTheMessageDoes) {
  const std::vector<ChangeRow> rows = {
      {"a word of the body", "", "", "Ann", "Bob", DkimResult::fail, "body hash did not verify"},
      {"white space of the body", "", "", "Hello  Ann,\t", "Hello Ann,", DkimResult::pass, ""},
      {"more empty lines at the end", "", "", "Jo\r\n\r\n", "Jo\r\n\r\n\r\n\r\n", DkimResult::pass, ""},
      {"a word of a signed field", "Subject: a", "Subject: b", "", "", DkimResult::fail, "signature did not verify"},
      {"the folds of a signed field", "folded\r\n subject", "folded subject", "", "", DkimResult::pass, ""},
      {"the case of a field name", "Subject: a", "SUBJECT : a", "", "", DkimResult::pass, ""},
      {"a field that is not signed", "Received: from a", "Received: from b", "", "", DkimResult::pass, ""},
      {"a second From in front", "Received: from", "From: evil@example.com\r\nReceived: from", "", "", DkimResult::fail,
       "signature did not verify"},
      {"a Cc that was oversigned as absent", "To: ann", "Cc: eve@example.com\r\nTo: ann", "", "", DkimResult::fail,
       "signature did not verify"},
      {"a signed field taken away", "Subject: a  folded\r\n subject\r\n", "", "", "", DkimResult::fail,
       "signature did not verify"},
      {"the time of the signature", "t=1700000000", "t=1700000001", "", "", DkimResult::fail,
       "signature did not verify"},
      {"a tag of the signature taken away", "v=1; ", "", "", "", DkimResult::permerror, "no v= tag"},
      {"an identity of another domain", "v=1; ", "v=1; i=x@example.com; ", "", "", DkimResult::permerror,
       "i= is not within d=example.org"},
      {"an unknown algorithm", "a=rsa-sha256", "a=rsa-sha512", "", "", DkimResult::permerror,
       "unknown algorithm \"rsa-sha512\""},
      {"the other algorithm", "a=rsa-sha256", "a=ed25519-sha256", "", "", DkimResult::permerror, "key is of type rsa"},
      {"an l= of more than the body", "v=1; ", "v=1; l=4000; ", "", "", DkimResult::permerror,
       "l= is larger than the body of 37 octets"},
      {"a domain that is none", "d=example.org", "d=exam ple.org", "", "", DkimResult::permerror, "d= is not a domain"},
      {"a domain without keys", "d=example.org", "d=example.com", "", "", DkimResult::permerror,
       "no key for signature"},
  };
  for (const auto &row : rows) {
    auto facts = test::key_facts();
    test::put_text(facts, "rsa._domainkey.example.com", {});
    const std::string section = row.from.empty() ? signed_rsa() : test::replaced(signed_rsa(), row.from, row.to);
    const std::string content = row.body_from.empty() ? body : test::replaced(body, row.body_from, row.body_to);
    const auto verdicts = test::verify(section, content, facts);
    ASSERT_EQ(verdicts.size(), 1U) << row.name;
    EXPECT_EQ(verdicts[0].result, row.result) << row.name << ": " << verdicts[0].reason;
    EXPECT_EQ(verdicts[0].reason, row.reason) << row.name;
  }
}

struct KeyRow {
  std::string name;
  std::vector<std::string> records;
  DkimResult result;
  std::string reason;
};

TEST(DkimVerifier, WhatTheKeysRecordDoes) {
  const std::string key = "p=" + smtp::to_base64(test::rsa_key()->public_key());
  const std::string other = test::rsa_key(1024)->public_record();
  const std::vector<KeyRow> rows = {
      {"only the key", {key}, DkimResult::pass, ""},
      {"there is none", {}, DkimResult::permerror, "no key for signature"},
      {"it is empty", {""}, DkimResult::permerror, "key record without a key"},
      {"it is revoked", {"v=DKIM1; p="}, DkimResult::permerror, "key is revoked"},
      {"it is another key", {other}, DkimResult::fail, "signature did not verify"},
      {"it is for another hash", {"h=sha1; " + key}, DkimResult::permerror, "key does not allow this hash algorithm"},
      {"it is for another service", {"s=chat; " + key}, DkimResult::permerror, "key is not for e-mail"},
      {"it is of another type",
       {test::ed25519_key()->public_record()},
       DkimResult::permerror,
       "key is of type ed25519"},
      {"it is of an unknown type", {"k=dsa; " + key}, DkimResult::permerror, "key record has type \"dsa\""},
      {"it holds no key", {"p=QUJD"}, DkimResult::permerror, "key record does not hold an RSA key"},
      {"it is too long", {key + "; n=" + std::string(4096, 'n')}, DkimResult::permerror, "limit is 4096"},
      {"it is not text", {key + "; n=\xff\xfe"}, DkimResult::permerror, "key record is not text"},
      {"its g= is not ours to obey", {"g=nobody; " + key}, DkimResult::pass, ""},
      {"the first of two does", {key, other}, DkimResult::pass, ""},
      {"the first of two is revoked", {"p=", key}, DkimResult::pass, ""},
      {"the first of two is not a key record", {"v=spf1 -all", key}, DkimResult::pass, ""},
      {"the first of two is usable and wrong: no second try",
       {other, key},
       DkimResult::fail,
       "signature did not verify"},
      {"none of two is usable: the first one's fault is told",
       {"p=", "v=spf1 -all"},
       DkimResult::permerror,
       "key is revoked"},
  };
  const std::string section = signed_rsa();
  for (const auto &row : rows) {
    auth::DnsFacts facts;
    test::put_text(facts, rsa_name, row.records);
    const auto verdict = test::verify(section, body, facts).at(0);
    EXPECT_EQ(verdict.result, row.result) << row.name << ": " << verdict.reason;
    if (row.reason.empty())
      EXPECT_EQ(verdict.reason, "") << row.name;
    else
      EXPECT_NE(verdict.reason.find(row.reason), std::string::npos) << row.name << ": " << verdict.reason;
  }
}

TEST(DkimVerifier, FlagsOfTheKey) {
  const std::string record = test::rsa_key()->public_record();
  auth::DnsFacts facts;
  test::put_text(facts, rsa_name, {record + "; t=y"});
  EXPECT_TRUE(test::verify(signed_rsa(), body, facts).at(0).testing);
  EXPECT_EQ(test::verify(signed_rsa(), "other", facts).at(0).result, DkimResult::fail) << "testing changes no result";

  test::put_text(facts, rsa_name, {record + "; t=s"});
  EXPECT_EQ(test::verify(signed_rsa(), body, facts).at(0).result, DkimResult::pass);
  auto below = test::sign_options("rsa");
  below.identity = "jo@mail.example.org";
  const auto section = test::sign(header, body, {{test::rsa_key(), below}}) + header;
  const auto verdict = test::verify(section, body, facts).at(0);
  EXPECT_EQ(verdict.result, DkimResult::permerror);
  EXPECT_EQ(verdict.reason, "key does not allow a subdomain in i=");
}

TEST(DkimVerifier, ShortKeysAreNotedOrRefused) {
  auto facts = test::key_facts();
  const auto section = test::sign(header, body, {{test::rsa_key(1024), test::sign_options("small")}}) + header;
  const auto verdict = test::verify(section, body, facts).at(0);
  EXPECT_EQ(verdict.result, DkimResult::pass);
  EXPECT_EQ(verdict.reason, "1024-bit key");
}

TEST(DkimVerifier, ExpiredSignaturesAreErrorsAndTheClockMayDiffer) {
  auto facts = test::key_facts();
  auto options = test::sign_options("rsa");
  options.valid_for = 100;
  const auto section = test::sign(header, body, {{test::rsa_key(), options}}) + header;
  EXPECT_EQ(test::verify(section, body, facts, {.now = noon + 400}).at(0).result, DkimResult::pass);
  const auto late = test::verify(section, body, facts, {.now = noon + 401}).at(0);
  EXPECT_EQ(late.result, DkimResult::permerror);
  EXPECT_EQ(late.reason, "signature expired at 1700000100");
  EXPECT_EQ(test::verify(section, body, facts, {.now = noon - 10000}).at(0).result, DkimResult::pass)
      << "a signature from the future may be ignored or not; we do not";
}

TEST(DkimVerifier, ABodyThatGoesOnBehindItsLengthIsTold) {
  auto facts = test::key_facts();
  const std::string covered = "short\r\n";
  const std::string section =
      test::hand_signed("v=1; a=ed25519-sha256; d=example.org; s=ed; l=7; h=from", auth::HashKind::sha256, header,
                        covered,
                        [](const std::string &digest) { return test::ed25519_key()->sign_digest(digest).value(); }) +
      header;
  const auto exact = test::verify(section, covered, facts).at(0);
  EXPECT_EQ(exact.result, DkimResult::pass) << exact.reason;
  EXPECT_FALSE(exact.body_goes_on);
  const auto more = test::verify(section, covered + "and more\r\n", facts).at(0);
  EXPECT_EQ(more.result, DkimResult::pass) << more.reason;
  EXPECT_TRUE(more.body_goes_on);
  const auto less = test::verify(section, "shor", facts).at(0);
  EXPECT_EQ(less.result, DkimResult::permerror);
  EXPECT_EQ(less.reason, "l= is larger than the body of 6 octets");
}

TEST(DkimVerifier, MissingKeysAreAskedForAndTheVerdictsComeLater) {
  const std::string section =
      test::sign(header, body,
                 {{test::rsa_key(), test::sign_options("rsa")}, {test::ed25519_key(), test::sign_options("ed")}}) +
      header;
  const auth::HeaderFields fields(section);
  auth::DkimVerifier verifier(fields, {.now = noon});
  auth::DnsFacts facts;
  verifier.ask_for_keys(facts);
  EXPECT_EQ(facts.missing().size(), 2U);
  verifier.body(body);
  verifier.end();
  auto verdicts = verifier.verdicts(facts);
  EXPECT_EQ(verdicts.at(0).result, DkimResult::temperror);
  EXPECT_EQ(facts.missing().size(), 2U) << "each question once";
  test::put_text(facts, rsa_name, {test::rsa_key()->public_record()});
  facts.clear_missing();
  verdicts = verifier.verdicts(facts);
  EXPECT_EQ(verdicts.at(0).result, DkimResult::pass);
  EXPECT_EQ(verdicts.at(1).result, DkimResult::temperror);
  EXPECT_EQ(facts.missing(), (std::vector<auth::DnsQuestion>{{"ed._domainkey.example.org", auth::RecordType::txt}}));
  test::put_temporary(facts, "ed._domainkey.example.org");
  facts.clear_missing();
  verdicts = verifier.verdicts(facts);
  EXPECT_TRUE(facts.missing().empty());
  EXPECT_EQ(verdicts.at(1).result, DkimResult::temperror);
  EXPECT_EQ(verdicts.at(1).reason, "key lookup: SERVFAIL from the resolver");
}

TEST(DkimVerifier, ManySignaturesAreCapped) {
  auto facts = test::key_facts();
  std::string section = signed_rsa();
  const std::string field = section.substr(0, section.find("Received:"));
  for (int i = 0; i < 9; ++i) section = field + section;
  auto verdicts = test::verify(section, body, facts);
  ASSERT_EQ(verdicts.size(), 10U);
  EXPECT_EQ(verdicts[7].result, DkimResult::pass) << verdicts[7].reason;
  EXPECT_EQ(verdicts[8].result, DkimResult::policy);
  EXPECT_EQ(verdicts[8].reason, "more than 8 signatures");
  std::string flood;
  for (int i = 0; i < 150; ++i) flood += "DKIM-Signature: v=1\r\n";
  EXPECT_EQ(test::verify(flood + header, body, facts).size(), auth::max_signature_fields);
  flood.clear();
  while (flood.size() <= auth::max_signed_header) flood += "X-Flood: " + std::string(900, 'x') + "\r\n";
  const auto verdict = test::verify(signed_rsa() + flood, body, facts).at(0);
  EXPECT_EQ(verdict.result, DkimResult::permerror);
  EXPECT_NE(verdict.reason.find("limit is 262144"), std::string::npos) << verdict.reason;
}

TEST(DkimVerifier, ABrokenSignatureLeavesTheOthers) {
  auto facts = test::key_facts();
  const auto verdicts = test::verify("DKIM-Signature: v=1; rubbish\r\nDKIM-Signature:\r\n" + signed_rsa(), body, facts);
  ASSERT_EQ(verdicts.size(), 3U);
  EXPECT_EQ(verdicts[0].result, DkimResult::permerror);
  EXPECT_EQ(verdicts[1].result, DkimResult::permerror);
  EXPECT_EQ(verdicts[2].result, DkimResult::pass);
}

TEST(DkimVerifier, NulAndLongLinesInTheHeaderAreOctets) {
  auto facts = test::key_facts();
  const std::string odd =
      header + "X-Long: " + std::string(2000, 'l') + "\r\nSender: a" + std::string(1, '\0') + "b\r\n";
  const std::string section = test::sign(odd, body, {{test::rsa_key(), test::sign_options("rsa")}}) + odd;
  EXPECT_EQ(test::verify(section, body, facts).at(0).result, DkimResult::pass);
  const auto cut = test::replaced(section, std::string_view("a\0b", 3), std::string_view("a\0c", 3));
  EXPECT_EQ(test::verify(cut, body, facts).at(0).result, DkimResult::fail) << "what stands behind a NUL counts";
}

TEST(DkimVerifier, ThreadsDoNotMeet) {
  const std::string section = signed_rsa();
  std::array<unsigned, 4> passed{};
  std::vector<std::thread> threads;
  for (auto &count : passed)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        auto facts = test::key_facts();
        if (test::verify(section, body, facts).at(0).result == DkimResult::pass) ++count;
      }
    });
  for (auto &thread : threads) thread.join();
  for (const unsigned count : passed) EXPECT_EQ(count, 20U);
}

TEST(DkimSigner, WritesShortLinesAndTheTagsInOrder) {
  const std::string field = test::sign(header, body, {{test::rsa_key(), test::sign_options("rsa")}});
  EXPECT_TRUE(field.starts_with("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org;")) << field;
  EXPECT_TRUE(field.ends_with("\r\n"));
  EXPECT_NE(field.find("From:From:Subject:Subject:Date:Date:To:To:Cc:"), std::string::npos) << field;
  std::size_t at = 0;
  while (at < field.size()) {
    const auto end = field.find("\r\n", at);
    EXPECT_LE(end - at, 78U);
    EXPECT_TRUE(at == 0 || field[at] == ' ') << at;
    at = end + 2;
  }
}

TEST(DkimSigner, RefusesWhatNoVerifierWouldTake) {
  const auto attempt = [](const std::string &section, auth::SignOptions options) {
    const auth::HeaderFields fields(section);
    auth::DkimSigner signer(fields, {{test::ed25519_key(), std::move(options)}});
    signer.body(body);
    return signer.end();
  };
  EXPECT_TRUE(attempt(header, test::sign_options("ed")).has_value());
  EXPECT_EQ(attempt("To: x\r\n", test::sign_options("ed")).error().detail,
            "message without a From field cannot be signed");
  auto options = test::sign_options("bad selector");
  EXPECT_NE(attempt(header, options).error().detail.find("s= is not a selector"), std::string::npos);
  options = test::sign_options("ed");
  options.domain = "example.org; l=0";
  EXPECT_FALSE(attempt(header, options).has_value());
  options = test::sign_options("ed");
  options.identity = "jo@example.com";
  EXPECT_NE(attempt(header, options).error().detail.find("i= is not within"), std::string::npos);
  options = test::sign_options("ed");
  options.oversigned.clear();
  options.headers = {"To"};
  EXPECT_NE(attempt(header, options).error().detail.find("does not name From"), std::string::npos);
}

} // namespace verify_test
