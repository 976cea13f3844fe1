#include "mta/cli/metrics.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/cli/command.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;

struct Metric {
  std::string_view section; ///< empty: a member of the answer itself
  std::string_view key;
  std::string_view name;
  std::string_view type;
  std::string_view help;
};

constexpr std::array metrics = {
    Metric{"", "uptime", "uptime_seconds", "gauge", "Since the daemon started."},
    Metric{"", "draining", "draining", "gauge", "1 while new mail is put off."},
    Metric{"", "partners", "partners", "gauge", "Partners in the policy table."},
    Metric{"", "wrong_config", "wrong_config", "gauge",
           "1 while the configuration files are wrong and the daemon runs on the last good ones."},
    Metric{"inbound", "sessions", "inbound_sessions", "gauge", "Open inbound sessions."},
    Metric{"inbound", "sessions_total", "inbound_sessions_total", "counter", "Inbound sessions."},
    Metric{"inbound", "accepted", "messages_accepted_total", "counter", "Messages taken into the queue from clients."},
    Metric{"inbound", "refused", "messages_refused_total", "counter", "Messages refused at the end of their data."},
    Metric{"outbound", "jobs", "outbound_jobs", "gauge", "Deliveries that hold or wait for a connection."},
    Metric{"outbound", "connections", "outbound_connections", "gauge",
           "Connections to other hosts, in whatever state."},
    Metric{"outbound", "kept", "outbound_kept", "gauge", "Those that wait for another message."},
    Metric{"outbound", "closing", "outbound_closing", "gauge", "Those that say QUIT."},
    Metric{"outbound", "limit", "outbound_limit", "gauge", "How many connections there may be."},
    Metric{"queue", "messages", "queue_messages", "gauge", "Messages in the queue."},
    Metric{"queue", "recipients", "queue_recipients", "gauge", "Recipients still to be delivered to."},
    Metric{"queue", "held", "queue_held", "gauge", "Messages that an operator holds."},
    Metric{"queue", "active", "queue_active", "gauge", "Deliveries under way."},
    Metric{"queue", "destinations", "queue_destinations", "gauge", "Destinations with mail in the queue."},
    Metric{"spool", "healthy", "spool_healthy", "gauge",
           "0 while mail is put off for the spool's sake: it cannot write, or disk or queue are full."},
    Metric{"spool", "writable", "spool_writable", "gauge", "0 while the spool cannot write."},
    Metric{"spool", "accepting", "spool_accepting", "gauge", "0 while mail of clients is put off for want of room."},
    Metric{"spool", "on_reserve", "spool_on_reserve", "gauge", "1 while the disk is full and the reserve is written."},
    Metric{"spool", "unreadable", "spool_unreadable_messages", "gauge",
           "Messages of the spool that the queue cannot read: nobody delivers them."},
    Metric{"spool", "damaged", "spool_damaged_files", "gauge",
           "Files with what a recovery could not read and set aside, until an operator removes them."},
    Metric{"log", "lost_lines", "log_lost_lines_total", "counter", "Lines of the log that could not be written."},
    Metric{"spool", "messages", "spool_messages", "gauge", "Messages in the spool."},
    Metric{"spool", "octets", "spool_live_bytes", "gauge", "Octets of them on disk."},
    Metric{"spool", "segments", "spool_segments", "gauge", "Segment files of the log."},
    Metric{"spool", "free_octets", "spool_free_bytes", "gauge", "Octets free on the spool's disk."},
    Metric{"spool", "committed", "spool_committed_total", "counter", "Messages made durable."},
    Metric{"spool", "moved", "spool_moved_total", "counter", "Messages moved by compaction, to give segments back."},
    Metric{"spool", "commits", "spool_syncs_total", "counter",
           "Syncs of the disk; each makes several messages durable."},
    Metric{"store", "healthy", "store_healthy", "gauge",
           "0 while what is not mail (reports, policies) cannot be written."},
    Metric{"store", "waiting", "store_waiting", "gauge", "Changes of it that are kept in memory."},
    Metric{"store", "committed", "store_committed_total", "counter", "Changes written."},
    Metric{"store", "dropped", "store_dropped_total", "counter", "Changes lost because memory had no room for more."},
    Metric{"dns", "answers", "resolver_answers", "gauge",
           "0 while the resolver does not answer: mail from outside is put off, and nothing is delivered by MX."},
    Metric{"tls_memory", "domains", "tls_memory_domains", "gauge", "Domains whose TLS is remembered."},
    Metric{"tls_memory", "without_tls", "tls_memory_without_tls", "gauge",
           "Domains that always had TLS and have none now."},
    Metric{"tls_memory", "held", "tls_memory_held", "gauge", "Those of them whose mail waits."},
};

void append_head(std::string &text, std::string_view name, std::string_view type, std::string_view help) {
  text += fmt::format("# HELP portcullis_{0} {2}\n# TYPE portcullis_{0} {1}\n", name, type, help);
}

/// As the format wants a label's value.
std::string label(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

void append_days_left(std::string &text, const json::object &status, std::string_view key, std::string_view name,
                      std::string_view label_name, std::string_view label_key, std::string_view help) {
  const auto *list = status.if_contains(key);
  if (list == nullptr || !list->is_array() || list->get_array().empty()) return;
  append_head(text, name, "gauge", help);
  // A host may have shown several: one series, with the one that ends first.
  std::map<std::string, std::int64_t> first;
  for (const auto &entry : list->get_array()) {
    const auto &row = entry.as_object();
    std::string labels = fmt::format("{}=\"{}\"", label_name, label(lines_at(row, label_key)));
    for (const char *key_of_more : {"partner", "subject"})
      if (const auto value = lines_at(row, key_of_more); !value.empty())
        labels += fmt::format(",{}=\"{}\"", key_of_more, label(value));
    const std::int64_t days = number_at(row, "days_left");
    const auto [known, added] = first.try_emplace(std::move(labels), days);
    if (!added) known->second = std::min(known->second, days);
  }
  for (const auto &[labels, days] : first) text += fmt::format("portcullis_{}{{{}}} {}\n", name, labels, days);
}

} // namespace

std::string format_metrics(const json::object &status) {
  std::string text;
  append_head(text, "info", "gauge", "Always 1; the labels say what runs.");
  text += fmt::format("portcullis_info{{version=\"{}\",hostname=\"{}\"}} 1\n", label(lines_at(status, "version")),
                      label(lines_at(status, "hostname")));
  for (const Metric &metric : metrics) {
    const json::object *from = &status;
    if (!metric.section.empty()) {
      const auto *section = status.if_contains(metric.section);
      from = section ? section->if_object() : nullptr;
    }
    const auto *value = from ? from->if_contains(metric.key) : nullptr;
    if (!value) continue;
    append_head(text, metric.name, metric.type, metric.help);
    text += fmt::format("portcullis_{} {}\n", metric.name,
                        value->is_bool() ? std::int64_t{value->get_bool()} : number_at(*from, metric.key));
  }
  append_days_left(text, status, "certificates", "certificate_days_left", "certificate", "name",
                   "Days until a certificate of ours ends.");
  append_days_left(text, status, "partner_certificates", "partner_certificate_days_left", "host", "host",
                   "Days until a partner's certificate ends, from 30 days before.");
  append_days_left(text, status, "route_certificates", "route_certificate_days_left", "host", "host",
                   "Days until the certificate of a route's host ends, from 30 days before.");
  append_days_left(text, status, "authorities", "authority_days_left", "file", "file",
                   "Days until a CA certificate that we trust ends, from 30 days before.");
  if (const auto *inbound = status.if_contains("inbound"); inbound != nullptr && inbound->is_object()) {
    const auto *resources = inbound->get_object().if_contains("resource_refusals");
    if (resources != nullptr && resources->is_object()) {
      append_head(text, "resource_refusals_total", "counter", "Mail or connections put off for want of something.");
      for (const auto &[reason, count] : resources->get_object())
        text += fmt::format("portcullis_resource_refusals_total{{reason=\"{}\"}} {}\n", label(reason),
                            number_at(resources->get_object(), reason));
    }
  }
  const auto *events = status.if_contains("events");
  if (events == nullptr || !events->is_object()) return text;
  append_head(text, "events_total", "counter", "Events of each name since the start, as the log has them.");
  for (const auto &[name, count] : events->get_object())
    text +=
        fmt::format("portcullis_events_total{{event=\"{}\"}} {}\n", label(name), number_at(events->get_object(), name));
  return text;
}

} // namespace mta::cli
