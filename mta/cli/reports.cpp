// portcullis reports: what others reported about our domains: list, show, and read a file without storing it.
#include <cstdio>
#include <memory>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/cli/command.hpp"
#include "mta/cli/files.hpp"
#include "mta/config/load.hpp"
#include "mta/log/printable.hpp"
#include "mta/received/read_message.hpp"
#include "mta/received/read_tlsrpt.hpp"
#include "mta/received/report_json.hpp"
#include "mta/store/received_reports.hpp"
#include "smtp/base/text.hpp"
#include "smtp/names/domain.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;

constexpr std::size_t longest_cell = 60;

/// Columns of text, each as wide as its widest cell.
class Table {
public:
  explicit Table(std::vector<std::string> head) : widths_(head.size(), 0) { add(std::move(head)); }
  void add(std::vector<std::string> cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      cells[i] = smtp::escape(cells[i].empty() ? "-" : cells[i], longest_cell);
      widths_[i] = std::max(widths_[i], cells[i].size());
    }
    rows_.push_back(std::move(cells));
  }
  void print() const {
    for (const auto &row : rows_) {
      std::string line;
      for (std::size_t i = 0; i < row.size(); ++i)
        line += i + 1 == row.size() ? row[i] : fmt::format("{:<{}}  ", row[i], widths_[i]);
      std::printf("%s\n", line.c_str());
    }
  }

private:
  std::vector<std::size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
};

std::string day_of(std::chrono::sys_seconds time) {
  return format_report_time(time).substr(0, 10);
}

void print_line(std::string_view name, std::string_view text) {
  if (!text.empty()) std::printf("%s\n", fmt::format("{:<14}{}", name, printable(text)).c_str());
}

std::string join(const std::vector<std::string> &texts, std::string_view between) {
  std::string all;
  for (const auto &text : texts) all += (all.empty() ? std::string() : std::string(between)) + text;
  return all;
}

std::string describe(const std::vector<ReportedCheck> &checks) {
  std::vector<std::string> texts;
  for (const auto &check : checks) texts.push_back(fmt::format("{}={}", check.domain, check.result));
  return join(texts, " ");
}

void print_dmarc(const ReceivedDmarc &dmarc) {
  std::vector<std::string> policy;
  const auto add = [&](const char *name, const std::string &value) {
    if (!value.empty()) policy.push_back(fmt::format("{}={}", name, value));
  };
  add("p", dmarc.p);
  add("sp", dmarc.sp);
  add("np", dmarc.np);
  add("adkim", dmarc.adkim);
  add("aspf", dmarc.aspf);
  add("pct", dmarc.pct);
  add("fo", dmarc.fo);
  add("testing", dmarc.testing);
  add("discovery", dmarc.discovery_method);
  print_line("policy", join(policy, " "));
  if (dmarc.skipped_rows != 0)
    print_line("passed over", fmt::format("{} records without a source address or a count", dmarc.skipped_rows));
  std::printf("\n");
  Table table({"SOURCE", "COUNT", "DISPOSITION", "DKIM", "SPF", "HEADER FROM", "ENVELOPE FROM", "DKIM RESULTS",
               "SPF RESULTS", "REASON"});
  for (const ReportedRow &row : dmarc.rows) {
    std::vector<std::string> reasons;
    for (const auto &reason : row.reasons)
      reasons.push_back(reason.comment.empty() ? reason.type : fmt::format("{} ({})", reason.type, reason.comment));
    table.add({row.source_ip, fmt::format("{}", row.count), row.disposition, row.dkim, row.spf, row.header_from,
               row.envelope_from, describe(row.dkim_results), describe(row.spf_results), join(reasons, ", ")});
  }
  table.print();
}

void print_tls(const ReceivedTls &tls) {
  for (const ReportedTlsPolicy &policy : tls.policies) {
    std::printf("\n");
    print_line("policy", fmt::format("{} of {}", policy.type.empty() ? "unknown type" : policy.type, policy.domain));
    print_line("", join(policy.policy, "; "));
    print_line("mx hosts", join(policy.mx_hosts, " "));
    print_line("sessions", fmt::format("{} good, {} failed", policy.successes, policy.failures));
    if (policy.details.empty()) continue;
    Table table({"RESULT", "SESSIONS", "SENT FROM", "MX HOST", "MX ADDRESS", "REASON"});
    for (const ReportedTlsFailure &failure : policy.details)
      table.add({failure.result_type, fmt::format("{}", failure.sessions), failure.sending_mta_ip,
                 failure.receiving_mx_hostname, failure.receiving_ip,
                 failure.failure_reason_code.empty() ? failure.additional_information : failure.failure_reason_code});
    table.print();
  }
}

void print_report(const ReceivedReport &report) {
  const ReportTotals totals = totals_of(report);
  print_line("kind", to_string(report.kind()));
  print_line("organisation", report.organisation);
  print_line("contact", report.contact);
  print_line("report id", report.report_id);
  print_line("domain", report.domain);
  print_line("period", fmt::format("{} to {}", format_report_time(report.begin), format_report_time(report.end)));
  if (const auto *dmarc = std::get_if<ReceivedDmarc>(&report.content)) {
    print_line("messages", fmt::format("{} passed, {} failed", totals.good, totals.bad));
    print_dmarc(*dmarc);
  } else if (const auto *tls = std::get_if<ReceivedTls>(&report.content)) {
    print_line("sessions", fmt::format("{} good, {} failed", totals.good, totals.bad));
    print_tls(*tls);
  }
}

json::object whole_json(const StoredReport &stored) {
  json::object out = summary_json(summarize(stored));
  if (stored.report)
    for (auto &member : report_json(*stored.report)) out[member.key()] = std::move(member.value());
  return out;
}

store::Reader open_reader(const GlobalOptions &global) {
  return store::Reader(store::store_folder(find_places(global).spool));
}

struct ListArguments {
  std::string kind, domain, since;
};

void print_list(const std::vector<ReportSummary> &listed) {
  if (listed.empty()) {
    std::printf("no reports\n");
    return;
  }
  Table table(
      {"ID", "RECEIVED", "KIND", "DOMAIN", "ORGANISATION", "PERIOD FROM", "GOOD", "BAD", "AUTHENTICATED", "NOTE"});
  for (const ReportSummary &summary : listed) {
    const bool readable = summary.kind != "unreadable";
    const std::string others = summary.other_domains.empty() ? "" : fmt::format(" +{}", summary.other_domains.size());
    table.add({summary.id, format_report_time(summary.received), summary.kind, summary.domain + others,
               readable ? summary.organisation : summary.from, readable ? day_of(summary.begin) : "",
               readable ? fmt::format("{}", summary.totals.good) : "",
               readable ? fmt::format("{}", summary.totals.bad) : "", summary.authenticated, summary.problem});
  }
  table.print();
}

void run_list(GlobalOptions &global, const ListArguments &arguments) {
  store::ReportFilter filter;
  filter.kind = arguments.kind;
  if (!arguments.domain.empty()) {
    const auto domain = smtp::Domain::parse(arguments.domain);
    if (!domain) return fail(global, fmt::format("--domain: {}", domain.error().detail), 2);
    filter.domain = domain->ascii();
  }
  if (!arguments.since.empty()) {
    const auto since = parse_report_time(arguments.since + "T00:00:00Z");
    if (!since)
      return fail(global, fmt::format("\"{}\" is not a day: write YYYY-MM-DD", smtp::escape(arguments.since)), 2);
    filter.since = *since;
  }
  auto reader = open_reader(global);
  const auto listed = store::list_reports(reader, filter);
  if (!listed) return fail(global, listed.error().detail, 2);
  if (!listed->problem.empty()) global.status = 1;
  if (!global.json) {
    if (!listed->problem.empty())
      std::fprintf(stderr, "portcullis: the list is not whole: %s\n", printable(listed->problem).c_str());
    return print_list(listed->reports);
  }
  json::array reports;
  for (const ReportSummary &summary : listed->reports) reports.push_back(summary_json(summary));
  json::object answer;
  answer["ok"] = listed->problem.empty();
  answer["reports"] = std::move(reports);
  if (!listed->problem.empty()) answer["problem"] = listed->problem;
  print_json(answer);
}

void run_show(GlobalOptions &global, const std::string &id) {
  auto reader = open_reader(global);
  const auto stored = store::find_report(reader, id);
  if (!stored) return fail(global, stored.error().detail, stored.error().code == smtp::ErrorCode::not_found ? 1 : 2);
  if (global.json) {
    json::object answer = whole_json(*stored);
    answer["ok"] = true;
    return print_json(answer);
  }
  print_line("id", id);
  print_line("received", format_report_time(stored->received));
  print_line("from", stored->from);
  print_line("authenticated", stored->authenticated);
  if (stored->report) return print_report(*stored->report);
  print_line("subject", stored->subject);
  print_line("unreadable", stored->problem);
}

/// A message, or a report file as it is attached.
smtp::Result<ReportMessage> read_any(std::string octets) {
  const ReadLimits limits;
  if (sniff(octets) == Packing::unknown) return read_report_message(source_of(octets), limits);
  ReportMessage message;
  ReadHints hints;
  auto report = read_report(std::move(octets), limits.unpack, hints);
  message.problems = std::move(hints.flaws);
  if (report)
    message.reports.push_back(std::move(*report));
  else
    message.problems.push_back(report.error().detail);
  return message;
}

void run_read(GlobalOptions &global, const std::string &path) {
  auto octets = read_input(path, ReadLimits{}.mime.message_size);
  if (!octets) return fail(global, octets.error().detail, 2);
  auto message = read_any(std::move(*octets));
  if (!message) return fail(global, message.error().detail, 2);
  if (message->reports.empty()) return fail(global, join(message->problems, "; "), 1);
  if (!global.json) {
    for (std::size_t i = 0; i < message->reports.size(); ++i) {
      if (i != 0) std::printf("\n");
      print_report(message->reports[i]);
    }
    for (const std::string &problem : message->problems)
      std::fprintf(stderr, "portcullis: %s\n", printable(problem).c_str());
    return;
  }
  json::array reports;
  for (ReceivedReport &report : message->reports) {
    StoredReport stored;
    stored.from = message->mail.from;
    stored.subject = message->mail.subject;
    stored.report = std::move(report);
    json::object one = whole_json(stored);
    one.erase("received");
    reports.push_back(std::move(one));
  }
  json::object answer;
  answer["ok"] = true;
  answer["reports"] = std::move(reports);
  answer["problems"] = json::array(message->problems.begin(), message->problems.end());
  print_json(answer);
}

} // namespace

void add_reports(CLI::App &program, GlobalOptions &global) {
  auto *group = program.add_subcommand("reports", "Show the reports of others about our domains.");
  group->require_subcommand(1);
  auto list = std::make_shared<ListArguments>();
  auto *listing = group->add_subcommand("list", "The reports received, the oldest first.");
  listing->add_option("--kind", list->kind, "dmarc, tlsrpt or unreadable")
      ->check(CLI::IsMember({"dmarc", "tlsrpt", "unreadable"}));
  listing->add_option("--domain", list->domain, "only reports about this domain, also where it is one of several");
  listing->add_option("--since", list->since, "only reports received since this UTC day, YYYY-MM-DD");
  listing->callback([&global, list] { run_list(global, *list); });
  auto id = std::make_shared<std::string>();
  auto *show = group->add_subcommand("show", "One report with all its rows.");
  show->add_option("id", *id, "as list shows it")->required();
  show->callback([&global, id] { run_show(global, *id); });
  auto file = std::make_shared<std::string>();
  auto *read = group->add_subcommand("read", "Read a message or a report file and print it; nothing is stored.");
  read->add_option("file", *file,
                   "a message, or a report as it is attached (XML, JSON, gzip, zip); - is standard input")
      ->required();
  read->callback([&global, file] { run_read(global, *file); });
}

} // namespace mta::cli
