// Hostile messages and records: each limit of the checks has a defined result, and none costs more than its limit
// allows.
#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include "mta/auth/offline.hpp"
#include "mta/auth/zone.hpp"

namespace mta {
namespace limits_test {

namespace json = boost::json;

constexpr std::string_view zone_text =
    R"({"sender.example": {"A": ["192.0.2.1"]}, "_dmarc.sender.example": {"TXT": [["v=DMARC1; p=reject"]]}})";

json::object check(std::string message, const json::object &more = {}, bool with_client = false) {
  json::object records = json::parse(json::string_view(zone_text.data(), zone_text.size())).as_object();
  for (const auto &entry : more) records[entry.key()] = entry.value();
  const auto zone = Zone::from(records);
  EXPECT_TRUE(zone) << zone.error().detail;
  OfflineRequest request;
  if (with_client) request.ip = smtp::IpAddress::parse("192.0.2.1").value();
  request.helo = "mx.sender.example";
  request.mail_from = "ann@sender.example";
  request.message = std::move(message);
  request.time = 1'800'000'000;
  return check_offline(request, [&](auth::DnsFacts &facts) { zone->answer_all(facts); });
}

std::string word(const json::object &answer, std::string_view part) {
  return std::string(answer.at(part).as_object().at("result").as_string());
}

const std::string from = "From: <ann@sender.example>\r\n";
const std::string signature = "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.example; s=s; h=from;\r\n"
                              " bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n";

TEST(CheckLimits, AHeaderSectionOver256KiBIsNoReasonToPass) {
  std::string message = signature + from;
  for (int i = 0; i < 300; ++i) message += "X-Filler: " + std::string(990, 'x') + "\r\n";
  const auto answer = check(message + "\r\nbody\r\n");
  EXPECT_EQ(answer.at("dkim").as_array().at(0).as_object().at("result").as_string(), "permerror");
  EXPECT_EQ(word(answer, "dmarc"), "fail");
  EXPECT_EQ(word(answer, "arc"), "none");
}

TEST(CheckLimits, ALineOver998OctetsIsReadAsItIs) {
  const auto answer = check("From: \"" + std::string(5000, 'x') +
                            "\" <ann@sender.example>\r\nSubject: " + std::string(20'000, 'y') + "\r\n\r\n");
  EXPECT_EQ(answer.at("dmarc").as_object().at("domain").as_string(), "sender.example");
  const auto field = std::string(answer.at("authentication_results").as_string());
  EXPECT_TRUE(field.find("header.from=sender.example") != std::string::npos) << field;
}

TEST(CheckLimits, SignaturesBeyondTheLimitAreNamedAndNotComputed) {
  std::string message;
  for (int i = 0; i < 150; ++i) message += signature;
  const auto answer = check(message + from + "\r\n");
  const json::array &dkim = answer.at("dkim").as_array();
  ASSERT_EQ(dkim.size(), 100U) << "fields beyond 100 are not even named";
  EXPECT_EQ(dkim.at(0).as_object().at("result").as_string(), "permerror") << "there is no key";
  EXPECT_EQ(dkim.at(8).as_object().at("result").as_string(), "policy");
  EXPECT_EQ(dkim.at(99).as_object().at("result").as_string(), "policy");
}

TEST(CheckLimits, MoreThan50ArcSetsFail) {
  std::string message;
  for (int i = 51; i >= 1; --i) {
    const std::string n = std::to_string(i);
    message += "ARC-Seal: i=" + n + "; a=rsa-sha256; cv=" + (i == 1 ? "none" : "pass") +
               "; d=sender.example; s=s; t=1; b=AAAA\r\n" + "ARC-Message-Signature: i=" + n +
               "; a=rsa-sha256; c=relaxed/relaxed; d=sender.example; s=s; h=from; bh=AAAA; b=AAAA\r\n" +
               "ARC-Authentication-Results: i=" + n + "; sender.example; none\r\n";
  }
  EXPECT_EQ(word(check(message + from + "\r\n"), "arc"), "fail");
}

TEST(CheckLimits, AKeyRecordOver4KiBOrThatIsNotTextIsAPermanentError) {
  const json::value records[] = {json::array{"v=DKIM1; n=" + std::string(5000, 'x') + "; p=AAAA"},
                                 json::array{std::string("v=DKIM1\0; p=AAAA", 16)}, json::array{"v=DKIM1; p=\xc3\x28"},
                                 json::array{"\x01\x02\x03"}};
  for (const json::value &record : records) {
    json::object more;
    more["s._domainkey.sender.example"] = json::object{{"TXT", json::array{record}}};
    const auto answer = check(signature + from + "\r\n", more);
    EXPECT_EQ(answer.at("dkim").as_array().at(0).as_object().at("result").as_string(), "permerror");
  }
}

TEST(CheckLimits, ASpfRecordThatIsNotTextIsAPermanentError) {
  for (const std::string &text : {std::string("v=spf1 a:\xff.example -all"), std::string("v=spf1 \0 -all", 13),
                                  "v=spf1 " + std::string(5000, 'x')}) {
    json::object more;
    more["sender.example"] = json::object{{"TXT", json::array{json::array{text}}}};
    const auto answer = check(from + "\r\n", more, true);
    EXPECT_EQ(answer.at("spf").as_object().at("mailfrom").as_object().at("result").as_string(), "permerror");
  }
}

TEST(CheckLimits, AFromThatDoesNotParseIsPermerror) {
  for (const std::string field : {"From: <<>>\r\n", "From: \"open\r\n", "From: a@[192.0.2.1]\r\n", "From:\r\n",
                                  "From: a@sender.example\r\nFrom: b@other.example\r\n", "From: (((((\r\n"})
    EXPECT_EQ(word(check(field + "\r\n"), "dmarc"), "permerror") << field;
}

TEST(CheckLimits, NulOctetsHaveAResult) {
  constexpr char octets[] = "From: <ann\0@sender.example>\r\nX: \0\r\n\r\n\0\0\0\r\n";
  const auto answer = check(std::string(octets, sizeof octets - 1));
  EXPECT_TRUE(word(answer, "dmarc") == "permerror" || word(answer, "dmarc") == "fail");
  EXPECT_TRUE(answer.at("dkim").as_array().empty());
}

} // namespace limits_test
} // namespace mta
