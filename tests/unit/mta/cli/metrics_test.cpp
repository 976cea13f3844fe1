// format_metrics: the text form that Prometheus reads, from an answer of the daemon.
#include "mta/cli/metrics.hpp"

#include <regex>
#include <sstream>

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace metrics_test {

namespace json = boost::json;
using mta::cli::format_metrics;

const char *const answer = R"({"ok": true, "version": "1.2.3", "hostname": "mx.\"a\\b\"\n.example", "uptime": 61,
"draining": true, "inbound": {"sessions": 3, "sessions_total": 40, "accepted": 17, "refused": 2, "listeners": []},
"outbound": {"jobs": 4, "connections": 6, "kept": 1, "closing": 1, "limit": 1000}, "queue": {"messages": 5}, "spool": {"healthy": false, "free_octets": 9000000000, "problem": "full"},
"store": {"healthy": false, "waiting": 7, "dropped": 9},
"tls_memory": {"domains": 8, "without_tls": 2, "held": 1}, "route_certificates": [{"host": "inner.example", "days_left": 3, "place": "p:3"}],
"authorities": [{"file": "/etc/p/ca.pem", "subject": "CN=Old", "days_left": 12}, {"file": "/etc/p/ca.pem", "subject": "CN=Older", "days_left": 5}],
"events": {"delivery": 12, "tls_stripped": 2}})";

std::string metrics_of(std::string_view text) {
  return format_metrics(json::parse(json::string_view(text.data(), text.size())).as_object());
}

TEST(Metrics, FiguresHaveTheirNameAndType) {
  const std::string text = metrics_of(answer);
  for (const std::string line :
       {"portcullis_uptime_seconds 61", "portcullis_draining 1", "portcullis_inbound_sessions 3",
        "# TYPE portcullis_inbound_sessions gauge", "# TYPE portcullis_inbound_sessions_total counter",
        "portcullis_messages_accepted_total 17", "portcullis_outbound_connections 6", "portcullis_queue_messages 5",
        "portcullis_spool_healthy 0", "portcullis_spool_free_bytes 9000000000", "portcullis_store_healthy 0",
        "portcullis_store_dropped_total 9", "portcullis_tls_memory_without_tls 2",
        "portcullis_route_certificate_days_left{host=\"inner.example\"} 3",
        "portcullis_authority_days_left{file=\"/etc/p/ca.pem\",subject=\"CN=Old\"} 12",
        "portcullis_authority_days_left{file=\"/etc/p/ca.pem\",subject=\"CN=Older\"} 5", "portcullis_tls_memory_held 1",
        "portcullis_events_total{event=\"tls_stripped\"} 2",
        R"(portcullis_info{version="1.2.3",hostname="mx.\"a\\b\"\n.example"} 1)"})
    EXPECT_NE(("\n" + text).find("\n" + line + "\n"), std::string::npos) << line << "\n" << text;
}

TEST(Metrics, EveryLineIsOfTheFormatAndEveryMetricHasItsHead) {
  const std::regex head(R"(# (HELP|TYPE) (portcullis_[a-z_]+) .+)");
  const std::regex value(R"((portcullis_[a-z_]+)(\{[^{}]*\})? [0-9]+)");
  std::istringstream lines(metrics_of(answer));
  std::string line;
  std::string name;
  while (std::getline(lines, line)) {
    std::smatch found;
    if (std::regex_match(line, found, head)) {
      if (found[1] == "HELP") name = found[2];
      EXPECT_EQ(found[2], name) << line;
    } else {
      ASSERT_TRUE(std::regex_match(line, found, value)) << line;
      EXPECT_EQ(found[1], name) << line;
    }
  }
}

TEST(Metrics, WhatTheDaemonDoesNotSayIsLeftOut) {
  const std::string text = metrics_of(R"({"version": "1", "hostname": "a"})");
  EXPECT_EQ(text.find("tls_memory"), std::string::npos);
  EXPECT_EQ(text.find("events"), std::string::npos);
}

} // namespace metrics_test
