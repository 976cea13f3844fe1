// parse_url: what is fetched and what is refused.
#include "mta/http/url.hpp"

#include <gtest/gtest.h>

namespace url_test {

using mta::parse_url;
using mta::Url;
constexpr auto http = Url::Scheme::http;
constexpr auto https = Url::Scheme::https;

TEST(Url, addresses_that_are_fetched) {
  const struct {
    const char *name;
    const char *text;
    Url expected;
    const char *again; ///< to_string()
  } rows[] = {
      {"the usual port is implied",
       "https://example.org/a/b.txt",
       {https, "example.org", 443, "/a/b.txt"},
       "https://example.org/a/b.txt"},
      {"http has its own", "http://example.org/x", {http, "example.org", 80, "/x"}, "http://example.org/x"},
      {"another port is kept",
       "https://example.org:8443/x",
       {https, "example.org", 8443, "/x"},
       "https://example.org:8443/x"},
      {"the usual port may be written",
       "https://example.org:443/x",
       {https, "example.org", 443, "/x"},
       "https://example.org/x"},
      {"without a path it is the root",
       "https://example.org",
       {https, "example.org", 443, "/"},
       "https://example.org/"},
      {"a query may follow the host",
       "https://example.org?a=b",
       {https, "example.org", 443, "/?a=b"},
       "https://example.org/?a=b"},
      {"a query is part of the target",
       "http://example.org/x?a=b&c",
       {http, "example.org", 80, "/x?a=b&c"},
       "http://example.org/x?a=b&c"},
      {"scheme and host are lower case, the path stays",
       "HTTPS://Example.ORG/Pol",
       {https, "example.org", 443, "/Pol"},
       "https://example.org/Pol"},
      {"an IPv4 address over http",
       "http://192.0.2.1/ca.crl",
       {http, "192.0.2.1", 80, "/ca.crl"},
       "http://192.0.2.1/ca.crl"},
      {"an IPv6 address over http",
       "http://[2001:db8::1]:81/ca.crl",
       {http, "2001:db8::1", 81, "/ca.crl"},
       "http://[2001:db8::1]:81/ca.crl"},
      {"a colon in the path is not a port",
       "http://example.org/a:b",
       {http, "example.org", 80, "/a:b"},
       "http://example.org/a:b"},
      {"an @ in the path is not a user",
       "http://example.org/a@b",
       {http, "example.org", 80, "/a@b"},
       "http://example.org/a@b"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto url = parse_url(row.text);
    ASSERT_TRUE(url) << url.error().detail;
    EXPECT_EQ(*url, row.expected);
    EXPECT_EQ(url->to_string(), row.again);
    EXPECT_EQ(parse_url(url->to_string()).value(), *url);
  }
}

TEST(Url, addresses_that_are_refused) {
  const struct {
    const char *name;
    std::string text;
    const char *why;
  } rows[] = {
      {"nothing", "", "neither https:// nor http://"},
      {"another scheme", "ftp://example.org/", "neither https:// nor http://"},
      {"mailto", "mailto:a@example.org", "neither https:// nor http://"},
      {"no scheme", "example.org/x", "neither https:// nor http://"},
      {"no host", "https:///x", "host is wrong"},
      {"user information", "https://user:secret@example.org/", "user information"},
      {"a host after user information", "https://example.org@evil.example/", "user information"},
      {"a fragment", "https://example.org/x#y", "a fragment"},
      {"a space", "https://example.org/a b", "%XX"},
      {"a control character", "https://example.org/a\r\nHost: b", "%XX"},
      {"a NUL", std::string("https://example.org/a\0b", 23), "%XX"},
      {"an octet over 127", "https://example.org/\xc3\xa9", "%XX"},
      {"a host that is not a name", "https://exa!mple.org/", "host is wrong"},
      {"a host with a U-label", "https://b\xc3\xbc.example/", "A-labels"},
      {"port 0", "https://example.org:0/", "between 1 and 65535"},
      {"a port over 65535", "https://example.org:65536/", "between 1 and 65535"},
      {"a port that is not a number", "https://example.org:https/", "between 1 and 65535"},
      {"an empty port", "https://example.org:/", "between 1 and 65535"},
      {"a port with many zeros", "https://example.org:0000443/", "between 1 and 65535"},
      {"an address over https", "https://192.0.2.1/", "needs the name of a host"},
      {"an IPv6 address over https", "https://[2001:db8::1]/", "needs the name of a host"},
      {"an IPv6 address without brackets", "http://2001:db8::1/", "between 1 and 65535"},
      {"an IPv4 address in brackets", "http://[192.0.2.1]/", "host is wrong"},
      {"an open bracket", "http://[2001:db8::1/", "between 1 and 65535"},
      {"2,001 octets", "https://example.org/" + std::string(1981, 'a'), "2001 octets long, the limit is 2000"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto url = parse_url(row.text);
    ASSERT_FALSE(url);
    EXPECT_NE(url.error().detail.find(row.why), std::string::npos) << url.error().detail;
  }
}

TEST(Url, the_limit_itself_passes) {
  EXPECT_TRUE(parse_url("https://example.org/" + std::string(1980, 'a')));
}

} // namespace url_test
