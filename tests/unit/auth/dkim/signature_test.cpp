// The vetting of signature fields: RFC 6376 sections 3.5 and 6.1.1; and the choice of the fields that h= names.
#include "auth/dkim/signature.hpp"

#include <array>
#include <memory>

#include <gtest/gtest.h>

#include "auth/dkim/field_index.hpp"
#include "auth/dkim/library_hashes.hpp"
#include "auth/dkim/signed_header.hpp"
#include "auth/dkim/tag_writer.hpp"
#include "smtp/base/base64.hpp"

namespace signature_test {

using auth::Canonical;
using auth::Dialect;

const std::string hash = smtp::to_base64(std::string(32, 'h'));

/// A good field's tags, with one replaced, added, or (value "-") taken out.
std::string tags(const std::string &name = "", const std::string &value = "") {
  std::vector<std::pair<std::string, std::string>> all = {
      {"v", "1"},       {"a", "rsa-sha256"}, {"d", "example.org"}, {"s", "sel"},
      {"h", "from:to"}, {"bh", hash},        {"b", "QUJDREVGRw=="}};
  bool known = false;
  for (auto &tag : all) {
    if (tag.first != name) continue;
    tag.second = value;
    known = true;
  }
  if (!known && !name.empty()) all.emplace_back(name, value);
  std::string text;
  for (const auto &tag : all)
    if (tag.second != "-") text += tag.first + "=" + tag.second + "; ";
  return text;
}

TEST(Signature, WhatAGoodOneSays) {
  auth::Signature signature;
  const auto read = auth::read_dkim_signature(" v=1; a=RSA-SHA256; c=relaxed/Simple; d=Example.ORG; "
                                              "s=Sel.2;\r\n\ti=a=3Db@mail.example.org; q=x/y : dns/txt; t=5; "
                                              "x=9; l=12; h=From : To\r\n\t: ; bh=" +
                                                  hash + "; z=From:x; b=QUJD\r\n RE VG\r\n\tRw==;",
                                              Dialect::rfc6376, signature);
  ASSERT_TRUE(read.has_value()) << read.error().detail;
  EXPECT_EQ(signature.domain, "example.org");
  EXPECT_EQ(signature.selector, "sel.2");
  EXPECT_EQ(signature.key_name(), "sel.2._domainkey.example.org");
  EXPECT_EQ(signature.algorithm, "rsa-sha256");
  EXPECT_EQ(signature.header, Canonical::relaxed);
  EXPECT_EQ(signature.body, Canonical::simple);
  EXPECT_EQ(signature.names, (std::vector<std::string>{"From", "To"}));
  EXPECT_EQ(signature.identity, "a=3Db@mail.example.org");
  EXPECT_EQ(signature.identity_local, "a=b");
  EXPECT_EQ(signature.identity_domain, "mail.example.org");
  EXPECT_EQ(signature.length, 12U);
  EXPECT_EQ(signature.signed_at, 5U);
  EXPECT_EQ(signature.expires, 9U);
  EXPECT_EQ(signature.signature, "ABCDEFG");
  EXPECT_EQ(signature.start, "QUJDREVG");
}

struct Row {
  std::string name;
  std::string tag;
  std::string value;
  std::string detail; ///< a part of the error; empty: it is accepted
};

TEST(Signature, OneTagChanged) {
  const std::vector<Row> rows = {
      {"as it is", "", "", ""},
      {"no v=", "v", "-", "no v= tag"},
      {"a version that is not known", "v", "2", "unknown version \"2\""},
      {"the version 0.5 of drafts", "v", "0.5", "unknown version"},
      {"a version with a leading zero", "v", "01", "unknown version"},
      {"no a=", "a", "-", "no a= tag"},
      {"an empty a=", "a", "", "a= is empty"},
      {"an unknown algorithm", "a", "rsa-md5", "unknown algorithm \"rsa-md5\""},
      {"ed25519 with SHA-1", "a", "ed25519-sha1", "unknown algorithm"},
      {"no b=", "b", "-", "no b= tag"},
      {"an empty b=", "b", "", "b= is empty"},
      {"b= that is not base64", "b", "QU?D", "b= is not base64"},
      {"no bh=", "bh", "-", "no bh= tag"},
      {"bh= that is not base64", "bh", "????", "bh= is not"},
      {"bh= of another size", "bh", "QUJD", "bh= is not a digest"},
      {"bh= of SHA-1's size", "bh", smtp::to_base64(std::string(20, 'h')), "bh= is not a digest"},
      {"c= of one word", "c", "relaxed", ""},
      {"c= unknown for the header", "c", "nowsp/simple", "unknown c="},
      {"c= unknown for the body", "c", "simple/nowsp", "unknown c="},
      {"c= empty", "c", "", "unknown c="},
      {"c= with nothing behind the slash", "c", "simple/", "unknown c="},
      {"no d=", "d", "-", "no d= tag"},
      {"d= with white space", "d", "example. org", "d= is not a domain"},
      {"d= with an empty label", "d", "example..org", "d= is not a domain"},
      {"d= with a long label", "d", std::string(64, 'a') + ".org", "d= is not a domain"},
      {"d= with U-labels", "d",
       "b\xc3\xbc"
       "cher.example",
       ""},
      {"d= with octets that are no name", "d", "b\xff.example", "d= is not a domain"},
      {"s= empty", "s", "", "s= is empty"},
      {"s= with an underscore", "s", "my_key.2024", ""},
      {"s= that would leave the zone", "s", "a@b", "s= is not a selector"},
      {"no h=", "h", "-", "no h= tag"},
      {"h= without From", "h", "to:subject", "does not name From"},
      {"h= with From in capitals", "h", "TO:FROM", ""},
      {"h= with a name that begins with from", "h", "fromage", "does not name From"},
      {"h= of too many names", "h",
       [] {
         std::string all = "from";
         for (int i = 0; i < 1000; ++i) all += ":x";
         return all;
       }(),
       "h= names 1001 fields, limit is 1000"},
      {"i= below d=", "i", "jo@mail.example.org", ""},
      {"i= without local part", "i", "@example.org", ""},
      {"i= of another domain", "i", "jo@example.com", "i= is not within d=example.org"},
      {"i= that only ends like d=", "i", "jo@badexample.org", "i= is not within"},
      {"i= above d=", "i", "jo@org", "i= is not within"},
      {"i= without an at", "i", "example.org", "no '@'"},
      {"i= with an encoded at", "i", "jo=40example.org", ""},
      {"i= with two ats: the last counts", "i", "a@example.com@example.org", ""},
      {"i= with its domain in capitals", "i", "jo@EXAMPLE.org", ""},
      {"l= zero", "l", "0", ""},
      {"l= over 64 bits", "l", std::string(76, '9'), ""},
      {"l= over 76 digits", "l", std::string(77, '9'), "l= is not a number"},
      {"l= negative", "l", "-1", "l= is not a number"},
      {"l= empty", "l", "", "l= is not a number"},
      {"q= of another kind", "q", "http", "unknown q= \"http\""},
      {"q= with one known among others", "q", "http:dns/txt", ""},
      {"t= that is not a number", "t", "now", "t= is not a number of seconds"},
      {"t= empty", "t", "", "t= is not a number"},
      {"x= that is not a number", "x", "1e9", "x= is not a number"},
      {"an unknown tag", "foo", "bar", ""},
      {"a tag twice", "h2", "1; h2=2", "twice"},
      {"a tag name in capitals is another tag", "V", "7", ""},
      {"a tag without '='", "foo", "1; bar", "no '='"},
      {"a control character", "foo", "\x01", "control character"},
  };
  for (const auto &row : rows) {
    auth::Signature signature;
    const auto read = auth::read_dkim_signature(tags(row.tag, row.value), Dialect::rfc6376, signature);
    if (row.detail.empty()) {
      EXPECT_TRUE(read.has_value()) << row.name << ": " << read.error().detail;
    } else {
      ASSERT_FALSE(read.has_value()) << row.name;
      EXPECT_NE(read.error().detail.find(row.detail), std::string::npos) << row.name << ": " << read.error().detail;
      const bool named = signature.domain == "example.org" || row.tag == "d";
      EXPECT_TRUE(named) << row.name << ": the result cannot be named";
    }
  }
}

TEST(Signature, TimesMustBeInOrder) {
  auth::Signature signature;
  EXPECT_FALSE(auth::read_dkim_signature(tags() + "t=9; x=9", Dialect::rfc6376, signature).has_value());
  EXPECT_FALSE(auth::read_dkim_signature(tags() + "t=9; x=8", Dialect::rfc6376, signature).has_value());
  EXPECT_TRUE(auth::read_dkim_signature(tags() + "t=9; x=10", Dialect::rfc6376, signature).has_value());
}

TEST(Signature, DraftsAreReadOnlyWhereAskedFor) {
  for (const std::string version : {"-", "0.5"}) {
    auth::Signature signature;
    EXPECT_TRUE(auth::read_dkim_signature(tags("v", version), Dialect::drafts, signature).has_value()) << version;
  }
  auth::Signature signature;
  EXPECT_FALSE(auth::read_dkim_signature(tags("v", "2"), Dialect::drafts, signature).has_value());
}

TEST(Signature, ItsOwnValueIsTakenOut) {
  const std::vector<std::array<std::string, 3>> rows = {
      {"in the middle", " a=1; b=QUJD\r\n RE; bh=x", " a=1; b=; bh=x"},
      {"at the end", " bh=b; b= QUJD \r\n ", " bh=b; b="},
      {"with white space around the name", "b \r\n = QUJD ;a=1", "b \r\n =;a=1"},
      {"in another value there is a b=", "z=b=5; b=QUJD==", "z=b=5; b="},
      {"B= is another tag", "B=5; b=Q", "B=5; b="},
      {"there is none", "a=1; bh=5", "a=1; bh=5"},
  };
  for (const auto &row : rows) EXPECT_EQ(auth::without_signature(row[1]), row[2]) << row[0];
}

TEST(FieldIndex, PicksFromTheBottomUpAndEachOnce) {
  const auth::HeaderFields fields("A: 1\r\nB: 1\r\na: 2\r\nA : 3\r\nC: 1\r\n");
  auth::FieldIndex index(fields);
  EXPECT_EQ(index.count("a"), 3U);
  EXPECT_EQ(index.count("d"), 0U);
  const std::vector<std::string> names = {"a", "B", "A", "x", "b", "a", "a"};
  EXPECT_EQ(index.canonical_fields(names, Canonical::relaxed), "a:3\r\nb:1\r\na:2\r\na:1\r\n");
  EXPECT_EQ(index.canonical_fields(names, Canonical::simple), "A : 3\r\nB: 1\r\na: 2\r\nA: 1\r\n")
      << "again, from the start";
  EXPECT_EQ(index.canonical_fields(names, Canonical::relaxed, &fields.all()[2]), "a:3\r\nb:1\r\na:1\r\n")
      << "a signature never covers itself";
}

TEST(FieldIndex, ManyFieldsOfOneNameCostNoMore) {
  std::string section;
  for (int i = 0; i < 20000; ++i) section += "X: " + std::to_string(i) + "\r\n";
  const auth::HeaderFields fields(section);
  auth::FieldIndex index(fields);
  const auto text = index.canonical_fields(std::vector<std::string>(1000, "x"), Canonical::relaxed);
  EXPECT_TRUE(text.starts_with("x:19999\r\nx:19998\r\n"));
  EXPECT_TRUE(text.ends_with("x:19000\r\n"));
}

/// What the library hashes and what we hash are the same digest, in every canonicalisation and for awkward fields.
TEST(LibraryHashes, AgreeWithOurs) {
  const std::string section =
      "Received: by a\r\n\twith b\r\nFrom:   Jo\t <jo@example.org>  \r\nSUBJECT : one\r\n two\r\n  three \r\n"
      "To:\r\nX-Empty: \r\n \r\nX-Fold:\r\n\tvalue\r\nX-Colon: a:b;c=d\r\nReceived: by c\r\nX-8: \xc3\xa4\r\nsubject: "
      "again\r\n";
  const std::vector<std::string> lists = {"from",
                                          "From:Subject:To:subject:SUBJECT",
                                          "received:received:received:from:x-empty",
                                          "x-colon:from:x-8:nothing:to",
                                          "from : \r\n\t to : x-empty",
                                          "from:x-fold"};
  for (const auto &list : lists) {
    for (const std::string canonical : {"simple/simple", "relaxed/relaxed", "relaxed", "simple/relaxed"}) {
      for (const std::string form : {"DKIM-Signature: ", "dkim-signature :\t", "DKIM-Signature:\r\n "}) {
        const std::string value = "v=1; a=rsa-sha256; c=" + canonical + ";\r\n\td=example.org; s=sel; h=" + list +
                                  "; bh=" + hash + ";\r\n\tb=QUJD\r\n\t REVG ;  xother = 1 ";
        const auth::HeaderFields fields(form + value + "\r\n" + section);
        auth::Signature signature;
        const auto read = auth::read_dkim_signature(fields.all()[0].value, Dialect::rfc6376, signature);
        ASSERT_TRUE(read.has_value()) << list << ' ' << canonical << ' ' << form << read.error().detail;
        const auto digests = auth::library_header_hashes(fields, {{&fields.all()[0], &signature}});
        auth::FieldIndex index(fields);
        ASSERT_EQ(digests.size(), 1U);
        ASSERT_EQ(digests[0].size(), 32U) << "the library did not take it: " << list << ' ' << canonical;
        EXPECT_EQ(digests[0], auth::hash_signed_header(index, fields.all()[0], signature))
            << list << ' ' << canonical << ' ' << form;
      }
    }
  }
}

TEST(LibraryHashes, LeaveToUsWhatTheLibraryWouldReadDifferently) {
  const std::vector<std::array<std::string, 3>> rows = {
      {"names its own field", "h", "from:dkim-signature"},
      {"is not ASCII", "i", "j\xc3\xb6@example.org"},
      {"is expired by the real clock, which is not our time", "x", "1000000000"},
      {"was made in what is the future by the real clock", "t", "99999999999"},
      {"has another tag that ends in b", "xb", "1"},
      {"has white space behind the name of b=", "y", "1; b = QUJD"},
      {"is too long for its buffers", "z", std::string(5000, 'z')},
  };
  for (const auto &row : rows) {
    const std::string value = row[1] == "y" ? tags("b", "-") + "b = QUJD" : tags(row[1], row[2]);
    const auth::HeaderFields fields("DKIM-Signature: " + value + "\r\nFrom: a\r\n");
    auth::Signature signature;
    ASSERT_TRUE(auth::read_dkim_signature(fields.all()[0].value, Dialect::rfc6376, signature).has_value()) << row[0];
    EXPECT_EQ(auth::library_header_hashes(fields, {{&fields.all()[0], &signature}}), std::vector<std::string>{""})
        << row[0];
  }
}

TEST(LibraryHashes, LeaveToUsMessagesWithOddOctetsInSignedFields) {
  for (const std::string &value :
       {std::string("a\nb"), std::string("a\r b"), std::string("a\vb"), std::string("a\0b", 3)}) {
    const auto digests_of = [&](const std::string &field) {
      const auto made = std::make_unique<auth::HeaderFields>("DKIM-Signature: " + tags() + "\r\nFrom: a\r\n" + field);
      auth::Signature signature;
      EXPECT_TRUE(auth::read_dkim_signature(made->all()[0].value, Dialect::rfc6376, signature).has_value());
      return auth::library_header_hashes(*made, {{&made->all()[0], &signature}});
    };
    EXPECT_EQ(digests_of("To: " + value + "\r\n").at(0), "");
    EXPECT_EQ(digests_of("X-Not-Signed: " + value + "\r\n").at(0).size(), 32U);
  }
}

TEST(LibraryHashes, OneThatItDoesNotTakeLeavesTheOthers) {
  const auth::HeaderFields fields("DKIM-Signature: " + tags("x", "1000000000") + "\r\nDKIM-Signature: " + tags() +
                                  "\r\nDKIM-Signature: v=1; rubbish\r\nFrom: a\r\n");
  auth::Signature expired;
  auth::Signature good;
  ASSERT_TRUE(auth::read_dkim_signature(fields.all()[0].value, Dialect::rfc6376, expired).has_value());
  ASSERT_TRUE(auth::read_dkim_signature(fields.all()[1].value, Dialect::rfc6376, good).has_value());
  const auto digests = auth::library_header_hashes(fields, {{&fields.all()[0], &expired}, {&fields.all()[1], &good}});
  auth::FieldIndex index(fields);
  EXPECT_EQ(digests[0], "");
  EXPECT_EQ(digests[1], auth::hash_signed_header(index, fields.all()[1], good));
}

TEST(TagWriter, FoldsOnlyWhereASpaceIs) {
  auth::TagWriter writer("X-Field");
  writer.tag("a", std::string(60, 'a'));
  writer.tag("c", std::string(30, 'c'));
  writer.signature_tag("b");
  writer.tag("d", "1");
  EXPECT_EQ(writer.value(), " a=" + std::string(60, 'a') + ";\r\n c=" + std::string(30, 'c') + ";\r\n b=; d=1");
  EXPECT_EQ(writer.field("SIG", auth::TagWriter::SignatureFolds::none),
            "X-Field: a=" + std::string(60, 'a') + ";\r\n c=" + std::string(30, 'c') + ";\r\n b=SIG; d=1\r\n");
}

} // namespace signature_test
