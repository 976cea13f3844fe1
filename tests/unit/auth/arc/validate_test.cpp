// ARC chains made by our sealer and broken in each way: RFC 8617 sections 4, 5.1 and 5.2.
#include "auth/arc/validate.hpp"

#include <gtest/gtest.h>

#include "auth/arc/sets.hpp"
#include "tests/support/dkim_fixture.hpp"

namespace validate_test {

using auth::ArcResult;
using test::body;
using test::header;
using test::noon;
using test::replaced;

auth::ArcVerdict validate(const std::string &section, std::string_view content, auth::DnsFacts &facts,
                          auth::DkimOptions options = {.now = noon}, std::size_t cut = 1000000) {
  const auth::HeaderFields fields(section);
  auth::ArcValidator validator(fields, options);
  for (std::size_t at = 0; at < content.size(); at += cut) validator.body(content.substr(at, cut));
  validator.end();
  return validator.verdict(facts);
}

auth::SealOptions seal_options(std::string selector, auth::ArcVerdict incoming) {
  auth::SealOptions options;
  options.domain = "example.org";
  options.selector = std::move(selector);
  options.authserv_id = "mx.example.org";
  options.now = noon;
  options.results = "mx.example.org; spf=pass smtp.mailfrom=jo@example.org; dkim=pass header.d=example.org; dmarc=pass";
  options.incoming = std::move(incoming);
  return options;
}

smtp::Result<std::string> try_seal(const std::string &section, std::string_view content,
                                   std::shared_ptr<const auth::SigningKey> key, auth::SealOptions options) {
  const auth::HeaderFields fields(section);
  auth::ArcSealer sealer(fields, std::move(key), std::move(options));
  for (std::size_t at = 0; at < content.size(); at += 5) sealer.body(content.substr(at, 5));
  return sealer.end();
}

/// The section with one more set in front; RSA and Ed25519 by turns.
std::string sealed(const std::string &section, std::string_view content = body) {
  auto facts = test::key_facts();
  auto incoming = validate(section, content, facts);
  const bool even = incoming.chain.size() % 2 == 1;
  const std::string set = try_seal(section, content, even ? test::ed25519_key() : test::rsa_key(),
                                   seal_options(even ? "ed" : "rsa", std::move(incoming)))
                              .value();
  return set + section;
}

std::string chain_of(unsigned count) {
  std::string section = header;
  for (unsigned i = 0; i < count; ++i) section = sealed(section);
  return section;
}

/// The field of this name and instance, with its CRLF.
std::string field_of(const std::string &section, const std::string &name, unsigned instance) {
  const auth::HeaderFields fields(section);
  const auth::ArcFields found = auth::collect_arc_fields(fields);
  const auto &set = found.sets.at(instance - 1);
  const auto *field = name == "seal" ? set.seal : name == "message" ? set.message : set.results;
  return std::string(field->text);
}

TEST(ArcValidator, AMessageWithoutAChainIsNone) {
  auth::DnsFacts facts;
  for (const std::string &section : {std::string(), header, "ARC-Foo: i=1\r\n" + header}) {
    const auto verdict = validate(section, body, facts);
    EXPECT_EQ(verdict.result, ArcResult::none);
    EXPECT_TRUE(verdict.chain.empty());
  }
  EXPECT_TRUE(facts.missing().empty());
}

TEST(ArcValidator, ChainsThatWeSealPassInAnyCut) {
  for (const unsigned count : {1U, 2U, 5U}) {
    const std::string section = chain_of(count);
    for (const std::size_t cut : {1U, 7U, 1000U}) {
      auto facts = test::key_facts();
      const auto verdict = validate("Received: by us\r\n" + section, body, facts, {.now = noon}, cut);
      EXPECT_EQ(verdict.result, ArcResult::pass) << verdict.reason;
      EXPECT_EQ(verdict.oldest_pass, 0U);
      ASSERT_EQ(verdict.chain.size(), count);
      EXPECT_EQ(verdict.chain[0].instance, 1U);
      EXPECT_EQ(verdict.chain[0].domain, "example.org");
      EXPECT_EQ(verdict.chain[0].selector, "rsa");
      EXPECT_EQ(verdict.chain[0].results,
                "mx.example.org; spf=pass smtp.mailfrom=jo@example.org; dkim=pass header.d=example.org; dmarc=pass");
    }
  }
}

TEST(ArcValidator, AChangeBehindAnOlderSealIsTheNewestOnesBusiness) {
  const std::string first = chain_of(1);
  const std::string changed = body + "-- \r\nlist footer\r\n";
  auto facts = test::key_facts();
  EXPECT_EQ(validate(first, changed, facts).result, ArcResult::fail);
  // A sealer that saw the chain pass, changed the body and sealed it.
  auto incoming = validate(first, body, facts);
  const std::string second = try_seal(first, changed, test::rsa_key(), seal_options("rsa", incoming)).value() + first;
  const auto verdict = validate(second, changed, facts);
  EXPECT_EQ(verdict.result, ArcResult::pass) << verdict.reason;
  EXPECT_EQ(verdict.oldest_pass, 2U);
}

struct BrokenRow {
  std::string name;
  std::string field; ///< "seal", "message", "results"
  unsigned instance = 1;
  std::string from, to; ///< within that field; an empty `from`: the field goes
  std::string reason;   ///< a part of it
};

TEST(ArcValidator, WhatBreaksAChainOfTwo) {
  const std::vector<BrokenRow> rows = {
      {"results of 1 changed", "results", 1, "spf=pass", "spf=fail", "ARC-Seal i=2: did not verify"},
      {"results of 2 changed", "results", 2, "spf=pass", "spf=fail", "ARC-Seal i=2: did not verify"},
      {"message signature of 2 changed", "message", 2, "t=1700000000", "t=1700000001",
       "ARC-Message-Signature i=2: did not verify"},
      {"message signature of 1 changed", "message", 1, "t=1700000000", "t=1700000001", "ARC-Seal i=2: did not verify"},
      {"seal of 1 changed", "seal", 1, "t=1700000000", "t=1700000001", "ARC-Seal i=2: did not verify"},
      {"seal of 2 changed", "seal", 2, "t=1700000000", "t=1700000001", "ARC-Seal i=2: did not verify"},
      {"seal of 2 says fail", "seal", 2, "cv=pass", "cv=fail", "the chain is marked as failed"},
      {"seal of 2 says none", "seal", 2, "cv=pass", "cv=none", "ARC-Seal i=2 has the wrong cv="},
      {"seal of 1 says pass", "seal", 1, "cv=none", "cv=pass", "ARC-Seal i=1 has the wrong cv="},
      {"seal of 1 says fail", "seal", 1, "cv=none", "cv=fail", "ARC-Seal i=1 has the wrong cv="},
      {"seal of 1 says something else", "seal", 1, "cv=none", "cv=maybe", "no cv= of none, pass or fail"},
      {"seal of 1 has no cv=", "seal", 1, "cv=none; ", "", "no cv= of none, pass or fail"},
      {"seal with h=", "seal", 2, "cv=pass", "cv=pass; h=from", "h= in a seal"},
      {"seal with a bad time", "seal", 2, "t=1700000000", "t=x", "t= is not a number"},
      {"seal without a domain", "seal", 2, "d=example.org; ", "", "no d= tag"},
      {"seal without a selector", "seal", 1, "s=rsa", "x=y", "no s= tag"},
      {"seal with SHA-1", "seal", 1, "rsa-sha256", "rsa-sha1", "unknown algorithm \"rsa-sha1\""},
      {"seal without instance", "seal", 1, "i=1", "x=1", "ARC-Seal without an instance"},
      {"seal with instance zero", "seal", 1, "i=1", "i=0", "ARC-Seal without an instance from 1 to 50"},
      {"seal with instance 51", "seal", 2, "i=2", "i=51", "without an instance from 1 to 50"},
      {"seal with a gap", "seal", 2, "i=2", "i=3", "set i=2 is not whole"},
      {"two seals of one instance", "seal", 2, "i=2", "i=1", "ARC-Seal i=1 twice"},
      {"two message signatures of one instance", "message", 2, "i=2", "i=1", "ARC-Message-Signature i=1 twice"},
      {"two results of one instance", "results", 2, "i=2", "i=1", "ARC-Authentication-Results i=1 twice"},
      {"results without instance", "results", 2, "i=2; ", "", "ARC-Authentication-Results without an instance"},
      {"no seal", "seal", 2, "", "", "set i=2 is not whole"},
      {"no message signature", "message", 1, "", "", "set i=1 is not whole"},
      {"no results", "results", 2, "", "", "set i=2 is not whole"},
      {"message signature with SHA-1", "message", 2, "ed25519-sha256", "rsa-sha1", "ARC-Message-Signature i=2"},
      {"message signature over ARC-Seal", "message", 2, "h=from", "h=arc-seal:from", "h= names ARC-Seal"},
      {"message signature without body hash", "message", 2, "bh=", "xx=", "no bh= tag"},
      {"message signature that expired", "message", 2, "t=1700000000", "x=1600000000",
       "signature expired at 1600000000"},
      {"message signature with an l= of more than the body", "message", 2, "t=1700000000", "l=9999",
       "l= is larger than the body"},
  };
  const std::string good = chain_of(2);
  for (const auto &row : rows) {
    const std::string field = field_of(good, row.field, row.instance);
    const std::string changed = row.from.empty() ? std::string() : replaced(field, row.from, row.to);
    auto facts = test::key_facts();
    const auto verdict = validate(replaced(good, field, changed), body, facts);
    EXPECT_EQ(verdict.result, ArcResult::fail) << row.name;
    EXPECT_NE(verdict.reason.find(row.reason), std::string::npos) << row.name << ": " << verdict.reason;
    EXPECT_FALSE(verdict.temporary) << row.name;
  }
}

TEST(ArcValidator, WhatTheMessageAndTheKeysDo) {
  const std::string section = chain_of(2);
  auto facts = test::key_facts();
  EXPECT_EQ(validate(section, "other\r\n", facts).reason, "ARC-Message-Signature i=2: body hash did not verify");
  EXPECT_EQ(validate(replaced(section, "Subject: a", "Subject: b"), body, facts).reason,
            "ARC-Message-Signature i=2: did not verify");
  EXPECT_EQ(validate(replaced(section, "From: Jo ", "from  :\tJo  "), body, facts).result, ArcResult::pass);
  test::put_text(facts, "rsa._domainkey.example.org", {"p="});
  EXPECT_EQ(validate(section, body, facts).reason, "ARC-Seal i=1: key is revoked");
  test::put_temporary(facts, "rsa._domainkey.example.org");
  const auto verdict = validate(section, body, facts);
  EXPECT_EQ(verdict.result, ArcResult::fail);
  EXPECT_TRUE(verdict.temporary);
}

TEST(ArcValidator, AsksForTheOlderKeysOnlyWhenTheNewestPass) {
  const std::string section = chain_of(2);
  const auth::HeaderFields fields(section);
  auth::ArcValidator validator(fields, {.now = noon});
  auth::DnsFacts facts;
  validator.ask_for_keys(facts);
  EXPECT_EQ(facts.missing(), (std::vector<auth::DnsQuestion>{{"ed._domainkey.example.org", auth::RecordType::txt}}));
  validator.body(body);
  validator.end();
  EXPECT_TRUE(validator.verdict(facts).temporary);
  test::put_text(facts, "ed._domainkey.example.org", {test::ed25519_key()->public_record()});
  facts.clear_missing();
  EXPECT_TRUE(validator.verdict(facts).temporary);
  EXPECT_EQ(facts.missing(), (std::vector<auth::DnsQuestion>{{"rsa._domainkey.example.org", auth::RecordType::txt}}));
  test::put_text(facts, "rsa._domainkey.example.org", {test::rsa_key()->public_record()});
  facts.clear_missing();
  EXPECT_EQ(validator.verdict(facts).result, ArcResult::pass);
  EXPECT_TRUE(facts.missing().empty());

  // A forged newest set: nothing else is asked.
  const std::string forged = replaced(section, "t=1700000000", "t=1700000001");
  auth::DnsFacts few;
  test::put_text(few, "ed._domainkey.example.org", {test::ed25519_key()->public_record()});
  EXPECT_EQ(validate(forged, body, few).result, ArcResult::fail);
  EXPECT_TRUE(few.missing().empty());
}

TEST(ArcValidator, FiftySetsAreTheMostAndAFloodIsRefused) {
  const std::string section = chain_of(50);
  auto facts = test::key_facts();
  EXPECT_EQ(validate(section, body, facts).result, ArcResult::pass);
  auto incoming = validate(section, body, facts);
  EXPECT_EQ(try_seal(section, body, test::rsa_key(), seal_options("rsa", incoming)).value(), "")
      << "there is no instance 51";
  std::string flood;
  for (int i = 0; i < 2000; ++i) flood += "ARC-Seal: i=" + std::to_string(i) + "; cv=pass\r\n";
  EXPECT_EQ(validate(flood + header, body, facts).result, ArcResult::fail);
  std::string large;
  while (large.size() <= auth::max_signed_header) large += "X: " + std::string(900, 'x') + "\r\n";
  EXPECT_NE(validate(chain_of(1) + large, body, facts).reason.find("limit is 262144"), std::string::npos);
}

TEST(ArcSealer, WritesTheFieldsInTheirOrder) {
  auth::DnsFacts facts;
  const std::string set =
      try_seal(header, body, test::rsa_key(), seal_options("rsa", validate(header, body, facts))).value();
  const auth::HeaderFields fields(set);
  ASSERT_EQ(fields.all().size(), 3U);
  EXPECT_EQ(fields.all()[0].name, "ARC-Seal");
  EXPECT_EQ(fields.all()[1].name, "ARC-Message-Signature");
  EXPECT_EQ(fields.all()[2].name, "ARC-Authentication-Results");
  EXPECT_EQ(fields.all()[2].value,
            std::string(" i=1; mx.example.org;\r\n spf=pass smtp.mailfrom=jo@example.org; dkim=pass "
                        "header.d=example.org;\r\n dmarc=pass"));
  EXPECT_NE(set.find("cv=none"), std::string::npos);
  EXPECT_NE(set.find("h=from:to:subject:date:message-id;"), std::string::npos) << "only what the message has: " << set;
}

TEST(ArcSealer, TakesAListOfFieldsAsItIs) {
  auto options = seal_options("rsa", {});
  options.headers = {"From", "cc", "To", "from"};
  const std::string set = try_seal(header, body, test::rsa_key(), options).value();
  EXPECT_NE(set.find("h=from:cc:to:from;"), std::string::npos) << set;
  auto facts = test::key_facts();
  EXPECT_EQ(validate(set + header, body, facts).result, ArcResult::pass);
  EXPECT_EQ(validate("Cc: eve@example.com\r\n" + set + header, body, facts).result, ArcResult::fail)
      << "what was absent stays absent";
}

TEST(ArcSealer, AFailedChainIsSealedOnceAndNeverContinued) {
  auto facts = test::key_facts();
  const std::string broken = replaced(chain_of(1), "Subject: a", "Subject: b");
  const auto incoming = validate(broken, body, facts);
  ASSERT_EQ(incoming.result, ArcResult::fail);
  const std::string set = try_seal(broken, body, test::rsa_key(), seal_options("rsa", incoming)).value();
  EXPECT_NE(set.find("cv=fail"), std::string::npos);
  EXPECT_NE(set.find("i=2"), std::string::npos);
  const auto after = validate(set + broken, body, facts);
  EXPECT_EQ(after.result, ArcResult::fail);
  EXPECT_EQ(after.reason, "the chain is marked as failed");
  EXPECT_EQ(try_seal(set + broken, body, test::rsa_key(), seal_options("rsa", after)).value(), "");
}

TEST(ArcSealer, PutsTheAuthservIdInFrontWhereItIsMissing) {
  auto options = seal_options("rsa", {});
  for (const auto &[results, expected] : std::vector<std::pair<std::string, std::string>>{
           {"", " i=1; mx.example.org; none"},
           {"spf=pass", " i=1; mx.example.org; spf=pass"},
           {"mx.example.org.evil; spf=pass", " i=1; mx.example.org; mx.example.org.evil;\r\n spf=pass"},
           {"MX.example.org;\r\n\tspf=pass", " i=1; MX.example.org;\r\n\tspf=pass"}}) {
    options.results = results;
    const std::string set = try_seal(header, body, test::ed25519_key(), options).value();
    const auth::HeaderFields fields(set);
    EXPECT_EQ(fields.all().at(2).value, expected);
  }
}

TEST(ArcSealer, RefusesWhatWouldNotBeItsSet) {
  const auto attempt = [](auto change) {
    auto options = seal_options("rsa", {});
    change(options);
    return try_seal(header, body, test::rsa_key(), std::move(options));
  };
  EXPECT_TRUE(attempt([](auto &) {}).has_value());
  EXPECT_FALSE(attempt([](auto &options) { options.results = "mx.example.org; a\r\nBcc: x"; }).has_value());
  EXPECT_FALSE(attempt([](auto &options) { options.results = "mx.example.org; a\nb"; }).has_value());
  EXPECT_FALSE(attempt([](auto &options) { options.results = "mx.example.org; a\r\n"; }).has_value());
  EXPECT_FALSE(attempt([](auto &options) { options.domain = "example .org"; }).has_value());
  EXPECT_FALSE(attempt([](auto &options) { options.domain = "example.org; x=1"; }).has_value());
  EXPECT_FALSE(attempt([](auto &options) { options.selector = ""; }).has_value());
  EXPECT_FALSE(attempt([](auto &options) { options.headers = {"to"}; }).has_value()) << "From must be covered";
}

} // namespace validate_test
