// with_crlf and check_offline: messages as files keep them, and the object that `portcullis auth check` prints.
#include "mta/auth/offline.hpp"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "mta/auth/zone.hpp"

namespace mta {
namespace offline_test {

TEST(Offline, EveryLineEndBecomesCrlf) {
  EXPECT_EQ(with_crlf("a: b\n\nc\r\nd"), "a: b\r\n\r\nc\r\nd");
  EXPECT_EQ(with_crlf(""), "");
  EXPECT_EQ(with_crlf("\n\n"), "\r\n\r\n");
  EXPECT_EQ(with_crlf("a\rb\n"), "a\rb\r\n");
  EXPECT_EQ(with_crlf("From ann@example.org Thu Jan 1\nFrom: x\n"), "From: x\r\n");
}

boost::json::object check(OfflineRequest request, std::string_view zone_text) {
  const auto zone = Zone::parse(zone_text);
  EXPECT_TRUE(zone);
  return check_offline(request, [&](auth::DnsFacts &facts) { zone->answer_all(facts); });
}

TEST(Offline, WithoutAMessageOnlySpfIsThere) {
  OfflineRequest request;
  request.ip = smtp::IpAddress::parse("192.0.2.1").value();
  request.mail_from = "<ann@example.org>";
  request.helo = "mx.example.org";
  const auto answer = check(std::move(request), R"({"example.org": {"TXT": [["v=spf1 ip4:192.0.2.0/24 -all"]]}})");
  const auto &spf = answer.at("spf").as_object().at("mailfrom").as_object();
  EXPECT_EQ(spf.at("result").as_string(), "pass");
  EXPECT_EQ(spf.at("domain").as_string(), "example.org");
  EXPECT_EQ(answer.at("spf").as_object().at("helo").as_object().at("result").as_string(), "none");
  EXPECT_FALSE(answer.contains("dmarc"));
  EXPECT_TRUE(answer.at("authentication_results").as_string().starts_with("localhost; "));
}

TEST(Offline, AMessageOfNothingHasDefinedResults) {
  OfflineRequest request;
  constexpr char octets[] = "\0\xff\xfe: \x80\r\nDKIM-Signature: v=1; a=\xff; d=\xc3\x28\r\n\r\n";
  request.message = std::string(octets, sizeof octets - 1);
  const auto answer = check(std::move(request), "{}");
  EXPECT_EQ(answer.at("dmarc").as_object().at("result").as_string(), "permerror");
  EXPECT_EQ(answer.at("arc").as_object().at("result").as_string(), "none");
  EXPECT_FALSE(boost::json::serialize(answer).empty());
}

TEST(Offline, LiftedLimitsAreSaid) {
  OfflineRequest request;
  request.allow_weak_keys = true;
  EXPECT_TRUE(check(std::move(request), "{}").contains("weak_keys_allowed"));
}

} // namespace offline_test
} // namespace mta
