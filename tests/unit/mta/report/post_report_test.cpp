// post_report: the report goes out as RFC 8460 section 5.4 wants it, 2xx takes it, and nothing else does.
#include "mta/report/post_report.hpp"

#include <optional>
#include <ostream>

#include <boost/asio/co_spawn.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_resolver.hpp"
#include "tests/support/http_fixture.hpp"
#include "tests/support/test_ca.hpp"

namespace post_report_test {

using namespace mta;
using testing::HasSubstr;

class PostReport : public testing::Test {
protected:
  PostReport() {
    resolver_.add_address("reports.example.org", "127.0.0.1");
    trust_ = tls::TrustStore::from_file(folder_.write("ca.pem", ca_.pem())).value();
    client_ = tls::Context::client({}).value();
  }
  std::shared_ptr<const tls::Context> server_context(const std::string &name) {
    const auto leaf = ca_.issue({.names = {name}}).write_to(folder_, "leaf");
    tls::ServerContextOptions options;
    options.certificates = {{leaf.chain_file, leaf.key_file}};
    return tls::Context::server(options, std::make_shared<tls::TicketKeys>()).value();
  }
  smtp::Result<void> post(const test::HttpFixture &server) {
    asio::io_context context{1};
    std::optional<smtp::Result<void>> result;
    auto url = parse_url("https://reports.example.org:" + std::to_string(server.port()) + "/v1?a=b").value();
    asio::co_spawn(context, post_report(HttpServices{resolver_, client_, trust_}, std::move(url), "\x1f\x8b report"),
                   [&](const std::exception_ptr &thrown, smtp::Result<void> answer) {
                     if (thrown) std::rethrow_exception(thrown);
                     result = std::move(answer);
                   });
    context.run();
    return std::move(result.value());
  }

  test::TempFolder folder_;
  test::TestCa ca_;
  test::FakeResolver resolver_;
  std::shared_ptr<const tls::TrustStore> trust_;
  std::shared_ptr<const tls::Context> client_;
};

struct StatusRow {
  std::string name;
  unsigned status;
  std::string problem;
  friend std::ostream &operator<<(std::ostream &out, const StatusRow &row) { return out << row.name; }
};

class PostStatus : public PostReport, public testing::WithParamInterface<StatusRow> {};

TEST_P(PostStatus, decides) {
  test::HttpFixture server(server_context("reports.example.org"), [](const auto &) {
    auto reply = test::http_reply(GetParam().status, "text/plain", "");
    reply.octets.insert(reply.octets.find("\r\n") + 2, "Location: https://reports.example.org/elsewhere\r\n");
    return reply;
  });
  const auto posted = post(server);
  EXPECT_EQ(posted.has_value(), GetParam().problem.empty());
  if (!posted) {
    EXPECT_THAT(posted.error().detail, HasSubstr(GetParam().problem));
  }
  ASSERT_EQ(server.seen().size(), 1U) << "whatever the answer, nothing is asked again";
  EXPECT_EQ(server.seen()[0].method, "POST");
  EXPECT_EQ(server.seen()[0].target, "/v1?a=b");
  EXPECT_EQ(server.seen()[0].body, "\x1f\x8b report");
  EXPECT_THAT(server.seen()[0].head, HasSubstr("\r\nContent-Type: application/tlsrpt+gzip\r\n"));
}

INSTANTIATE_TEST_SUITE_P(Rows, PostStatus,
                         testing::Values(StatusRow{"200 is success", 200, ""}, StatusRow{"201 is success", 201, ""},
                                         StatusRow{"a redirect is not followed", 302, "not followed"},
                                         StatusRow{"a refusal", 403, "answered 403"},
                                         StatusRow{"a broken server", 503, "answered 503"}));

TEST_F(PostReport, another_hosts_certificate_gets_nothing) {
  test::HttpFixture server(server_context("other.example.org"),
                           [](const auto &) { return test::http_reply(200, "text/plain", ""); });
  const auto posted = post(server);
  ASSERT_FALSE(posted);
  EXPECT_EQ(posted.error().code, smtp::ErrorCode::tls) << posted.error().detail;
  EXPECT_TRUE(server.seen().empty());
}

} // namespace post_report_test
