// fetch: against servers that are good, slow, huge, silent, endless or not who they say; every failure has its own
// kind.
#include "mta/http/fetch.hpp"

#include <gtest/gtest.h>

#include <optional>

#include <boost/asio/co_spawn.hpp>

#include "tests/support/fake_resolver.hpp"
#include "tests/support/http_fixture.hpp"
#include "tests/support/test_ca.hpp"

namespace fetch_test {

using namespace mta;
using namespace std::chrono_literals;
using smtp::ErrorCode;
using test::http_reply;
using test::HttpReply;

std::shared_ptr<const tls::Context> server_context(const test::Leaf &leaf) {
  tls::ServerContextOptions options;
  options.certificates = {{leaf.chain_file, leaf.key_file}};
  return tls::Context::server(options, std::make_shared<tls::TicketKeys>()).value();
}

class Fetch : public testing::Test {
protected:
  Fetch() {
    resolver.add_address("www.example.org", "127.0.0.1");
    good = ca.issue({.names = {"www.example.org"}}).write_to(folder, "good");
    trust = tls::TrustStore::from_file(folder.write("ca.pem", ca.pem())).value();
    client = tls::Context::client({}).value();
  }
  std::unique_ptr<test::HttpFixture> serve(test::HttpFixture::Handler handler) {
    return std::make_unique<test::HttpFixture>(server_context(good), std::move(handler));
  }
  std::unique_ptr<test::HttpFixture> serve(HttpReply reply) {
    return serve([reply](const auto &) { return reply; });
  }
  static HttpRequest request(const std::string &url) {
    HttpRequest wanted;
    wanted.url = parse_url(url).value();
    return wanted;
  }
  HttpRequest request(const test::HttpFixture &server) {
    return request("https://www.example.org:" + std::to_string(server.port()) + "/a");
  }
  smtp::Result<HttpAnswer> run(HttpRequest wanted) {
    asio::io_context context{1};
    std::optional<smtp::Result<HttpAnswer>> result;
    HttpServices services{resolver, client, trust};
    services.only_global = only_global;
    asio::co_spawn(context, fetch(std::move(wanted), std::move(services)),
                   [&](const std::exception_ptr &thrown, smtp::Result<HttpAnswer> answer) {
                     if (thrown) std::rethrow_exception(thrown);
                     result = std::move(answer);
                   });
    context.run();
    return std::move(result.value());
  }
  void expect_failure(HttpRequest wanted, ErrorCode code, const std::string &why) {
    const auto answer = run(std::move(wanted));
    ASSERT_FALSE(answer) << answer->status;
    EXPECT_EQ(answer.error().code, code) << answer.error().detail;
    EXPECT_NE(answer.error().detail.find(why), std::string::npos) << answer.error().detail;
    EXPECT_TRUE(answer.error().detail.starts_with("www.example.org: ")) << answer.error().detail;
  }

  test::TempFolder folder;
  test::TestCa ca;
  test::Leaf good;
  test::FakeResolver resolver;
  std::shared_ptr<const tls::TrustStore> trust;
  std::shared_ptr<const tls::Context> client;
  bool only_global = false;
};

TEST_F(Fetch, only_addresses_of_the_internet_where_a_stranger_names_the_host) {
  only_global = true;
  const auto server = serve(http_reply(200, "text/plain", "hello"));
  expect_failure(request(*server), ErrorCode::not_permitted,
                 "its address 127.0.0.1 is not of the internet: loopback; allow_private_addresses = false forbids it");
  resolver.forget("www.example.org");
  resolver.add_address("www.example.org", "fd00::1");
  resolver.add_address("www.example.org", "10.0.0.1");
  expect_failure(request(*server), ErrorCode::not_permitted, "is not of the internet: private");
  HttpRequest direct = request(*server);
  direct.url.host = "::1";
  const auto literal = run(std::move(direct));
  ASSERT_FALSE(literal);
  EXPECT_EQ(literal.error().detail,
            "::1: its address ::1 is not of the internet: loopback; allow_private_addresses = false forbids it");
  EXPECT_TRUE(server->seen().empty());
}

TEST_F(Fetch, a_get_over_https) {
  const auto server = serve(http_reply(200, "text/plain; charset=utf-8", "hello"));
  const auto answer = run(request(*server));
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->status, 200U);
  EXPECT_EQ(answer->content_type, "text/plain");
  EXPECT_EQ(answer->body, "hello");
  EXPECT_TRUE(answer->tls.encrypted);
  EXPECT_TRUE(answer->tls.verdict && answer->tls.verdict->trusted);
  const auto seen = server->seen().at(0);
  EXPECT_EQ(seen.method, "GET");
  EXPECT_EQ(seen.target, "/a");
  EXPECT_NE(seen.head.find("\r\nHost: www.example.org:" + std::to_string(server->port()) + "\r\n"), std::string::npos)
      << seen.head;
  EXPECT_NE(seen.head.find("\r\nConnection: close\r\n"), std::string::npos);
  EXPECT_EQ(seen.head.find("Accept-Encoding"), std::string::npos) << "gzip is not asked for";
}

TEST_F(Fetch, a_post_with_its_body) {
  const auto server = serve(http_reply(201, "text/plain", ""));
  auto wanted = request(*server);
  wanted.method = HttpMethod::post;
  wanted.content_type = "application/tlsrpt+gzip";
  wanted.body = std::string(100'000, '\x1f');
  const auto answer = run(wanted);
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->status, 201U);
  const auto seen = server->seen().at(0);
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.body, wanted.body);
  EXPECT_NE(seen.head.find("\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Length: 100000\r\n"),
            std::string::npos)
      << seen.head;
}

TEST_F(Fetch, http_needs_no_certificate_and_takes_an_address) {
  test::HttpFixture server(nullptr, [](const auto &) { return http_reply(200, "application/pkix-crl", "list"); });
  client.reset();
  trust.reset();
  const auto answer = run(request("http://127.0.0.1:" + std::to_string(server.port()) + "/ca.crl"));
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->body, "list");
  EXPECT_FALSE(answer->tls.encrypted);
}

TEST_F(Fetch, the_second_address_serves_when_the_first_refuses) {
  const auto server = serve(http_reply(200, "text/plain", "hello"));
  resolver.forget("www.example.org").add_address("www.example.org", "::1").add_address("www.example.org", "127.0.0.1");
  const auto answer = run(request(*server));
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->body, "hello");
  EXPECT_EQ(resolver.asked("a www.example.org"), 1U);
  EXPECT_EQ(resolver.asked("aaaa www.example.org"), 1U);
}

TEST_F(Fetch, a_redirect_is_an_answer_and_not_followed) {
  auto reply = http_reply(301, "text/html", "");
  reply.octets.insert(reply.octets.find("\r\n") + 2, "Location: https://www.example.org/other\r\n");
  const auto server = serve(reply);
  const auto answer = run(request(*server));
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->status, 301U);
  EXPECT_EQ(server->connections(), 1U);
}

TEST_F(Fetch, the_certificate_must_be_good) {
  const test::TestCa other("Another CA");
  const struct {
    const char *name;
    test::Leaf leaf;
    std::string why;
  } rows[] = {
      {"another name", ca.issue({.names = {"mx.example.org", "example.org"}}),
       "not for this host but for mx.example.org, example.org"},
      {"a wildcard two labels away", ca.issue({.names = {"*.org"}}), "not for this host but for *.org"},
      {"expired", ca.issue({.names = {"www.example.org"}, .starts = -48h, .ends = -24h}),
       "not trusted: certificate has expired"},
      {"not yet valid", ca.issue({.names = {"www.example.org"}, .starts = 24h, .ends = 48h}),
       "not trusted: certificate is not yet valid"},
      {"of an unknown CA", other.issue({.names = {"www.example.org"}}), "not trusted:"},
      {"self-signed", test::self_signed({.names = {"www.example.org"}}), "not trusted: self-signed certificate"},
      {"for clients only", ca.issue({.names = {"www.example.org"}, .usage = test::Usage::client}), "not trusted:"},
  };
  int number = 0;
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    auto leaf = row.leaf;
    leaf.write_to(folder, "bad" + std::to_string(++number));
    test::HttpFixture server(server_context(leaf),
                             [](const auto &) { return http_reply(200, "text/plain", "secret"); });
    expect_failure(request(server), ErrorCode::tls, row.why);
    EXPECT_TRUE(server.seen().empty()) << "the request must not reach a host that is not who it should be";
  }
}

TEST_F(Fetch, a_wildcard_for_one_label_is_good) {
  good = ca.issue({.names = {"*.example.org"}}).write_to(folder, "wildcard");
  const auto server = serve(http_reply(200, "text/plain", "hello"));
  EXPECT_TRUE(run(request(*server)));
}

TEST_F(Fetch, a_server_without_tls_fails_the_handshake) {
  test::HttpFixture server(nullptr, [](const auto &) { return http_reply(200, "text/plain", "x"); });
  auto wanted = request(server);
  wanted.timeout = 300ms; // the server waits for the end of a request that never comes
  const auto answer = run(wanted);
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().code == ErrorCode::timed_out || answer.error().code == ErrorCode::protocol)
      << answer.error().detail;
}

TEST_F(Fetch, hostile_answers) {
  const struct {
    const char *name;
    HttpReply reply;
    ErrorCode code;
    std::string why;
  } rows[] = {
      {"no HTTP", {"* OK IMAP4rev1\r\n\r\n"}, ErrorCode::protocol, "not HTTP/1.1"},
      {"closed at once", {""}, ErrorCode::closed, "before the header"},
      {"closed within the body",
       {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"},
       ErrorCode::closed,
       "after 5 octets"},
      {"a body until the end of a connection without close_notify",
       {"HTTP/1.1 200 OK\r\n\r\nhello", HttpReply::Then::cut},
       ErrorCode::closed,
       "after 5 octets"},
      {"huge by its length",
       {"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n"},
       ErrorCode::too_long,
       "over 65536 octets, the limit"},
      {"endless fields",
       {"HTTP/1.1 200 OK\r\n", HttpReply::Then::endless, "X-Field: 0123456789\r\n"},
       ErrorCode::too_long,
       "16384 octets, the limit"},
      {"an endless line",
       {"HTTP/1.1 200 ", HttpReply::Then::endless, std::string(1000, 'a')},
       ErrorCode::too_long,
       "16384 octets, the limit"},
      {"endless chunks",
       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HttpReply::Then::endless, "a\r\n0123456789\r\n"},
       ErrorCode::too_long,
       "over 65536 octets, the limit"},
      {"endless interim answers",
       {"", HttpReply::Then::endless, "HTTP/1.1 102 Wait\r\n\r\n"},
       ErrorCode::protocol,
       "more than 4 interim"},
      {"packed",
       {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"},
       ErrorCode::protocol,
       "Content-Encoding gzip"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto server = serve(row.reply);
    expect_failure(request(*server), row.code, row.why);
  }
}

TEST_F(Fetch, a_body_that_ends_with_close_notify_is_whole) {
  for (const char *version : {"1.0", "1.1"}) {
    const auto server = serve(
        {std::string("HTTP/") + version + " 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nhello"});
    const auto answer = run(request(*server));
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_EQ(answer->body, "hello");
  }
}

TEST_F(Fetch, a_name_beyond_the_first_hundred_and_no_common_name) {
  test::LeafOptions options;
  for (int i = 0; i < 150; ++i) options.names.push_back("n" + std::to_string(i) + ".example.net");
  options.names.push_back("www.example.org");
  good = ca.issue(options).write_to(folder, "many");
  EXPECT_TRUE(run(request(*serve(http_reply(200, "text/plain", "hello")))));
  good = ca.issue({.names = {}, .common_name = "www.example.org"}).write_to(folder, "common");
  const auto server = serve(http_reply(200, "text/plain", "hello"));
  expect_failure(request(*server), ErrorCode::tls, "not for this host but for no name");
}

TEST_F(Fetch, a_server_that_never_answers_meets_the_deadline) {
  const struct {
    const char *name;
    HttpReply reply;
  } rows[] = {
      {"silent", {"", HttpReply::Then::silent}},
      {"silent within the header", {"HTTP/1.1 200 OK\r\nContent-", HttpReply::Then::silent}},
      {"silent within the body", {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", HttpReply::Then::silent}},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto server = serve(row.reply);
    auto wanted = request(*server);
    wanted.timeout = 300ms;
    expect_failure(wanted, ErrorCode::timed_out, "not done in 0.3 s, the limit");
  }
}

TEST_F(Fetch, an_answer_that_is_whole_needs_no_close) {
  auto reply = http_reply(200, "text/plain", "hello");
  reply.then = HttpReply::Then::silent;
  const auto server = serve(reply);
  EXPECT_TRUE(run(request(*server)));
}

TEST_F(Fetch, addresses_that_cannot_be_had) {
  resolver.forget("www.example.org");
  expect_failure(request("https://www.example.org/"), ErrorCode::dns_permanent, "the host does not exist");
  resolver.add_txt("www.example.org", "x");
  expect_failure(request("https://www.example.org/"), ErrorCode::dns_permanent, "the host has no address");
  resolver.fail("www.example.org", "SERVFAIL from the resolver");
  expect_failure(request("https://www.example.org/"), ErrorCode::dns_temporary, "cannot be looked up now: SERVFAIL");
}

TEST_F(Fetch, a_port_where_nobody_listens) {
  std::uint16_t port = 0;
  {
    test::HttpFixture gone(nullptr, [](const auto &) { return HttpReply{}; });
    port = gone.port();
  }
  expect_failure(request("https://www.example.org:" + std::to_string(port) + "/"), ErrorCode::io,
                 "127.0.0.1: connection refused");
}

TEST_F(Fetch, https_without_a_trust_store_is_refused) {
  trust.reset();
  expect_failure(request("https://www.example.org/"), ErrorCode::not_permitted, "not set up");
}

} // namespace fetch_test
