// Rows of reports received, in and out.
#include "mta/store/received_reports.hpp"

#include <algorithm>
#include <filesystem>
#include <limits>

#include <fmt/format.h>

#include "mta/store/connection.hpp"
#include "smtp/base/text.hpp"

namespace mta::store {

using smtp::ErrorCode;
using smtp::fail;
using smtp::Result;
using Outcome = ReceivedReports::Outcome;

namespace {

constexpr std::size_t id_size = 16;
constexpr std::uint64_t row_octets = 32; ///< that a row takes beside its texts, about

const std::string reason_kind = "reason", dkim_kind = "dkim", spf_kind = "spf", line_kind = "line", mx_kind = "mx";

bool is_id(std::string_view text) {
  return text.size() == id_size && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::uint64_t count_at(const Query &row, int column) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(row.number(column), 0));
}

// In.

void put_dmarc(Connection &connection, const std::string &id, const ReceivedDmarc &dmarc) {
  connection.use("add_dmarc_policy")
      .bind(id, dmarc.p, dmarc.sp, dmarc.np, dmarc.adkim, dmarc.aspf, dmarc.pct, dmarc.fo, dmarc.testing,
            dmarc.discovery_method, dmarc.generator, dmarc.skipped_rows)
      .run();
  const std::string none;
  std::uint64_t number = 0;
  for (const ReportedRow &row : dmarc.rows) {
    connection.use("add_dmarc_row")
        .bind(id, number, row.source_ip, row.count, row.disposition, row.dkim, row.spf, row.envelope_to,
              row.envelope_from, row.header_from)
        .run();
    std::uint64_t detail = 0;
    const auto add = [&](const std::string &kind, const ReportedCheck &check) {
      connection.use("add_dmarc_detail")
          .bind(id, number, detail++, kind, check.domain, check.selector, check.scope, check.result, check.comment)
          .run();
    };
    for (const ReportedReason &reason : row.reasons) add(reason_kind, {none, none, none, reason.type, reason.comment});
    for (const ReportedCheck &check : row.dkim_results) add(dkim_kind, check);
    for (const ReportedCheck &check : row.spf_results) add(spf_kind, check);
    ++number;
  }
}

void put_tls(Connection &connection, const std::string &id, const ReceivedTls &tls) {
  std::uint64_t number = 0;
  for (const ReportedTlsPolicy &policy : tls.policies) {
    connection.use("add_tlsrpt_policy")
        .bind(id, number, policy.type, policy.domain, policy.successes, policy.failures)
        .run();
    std::uint64_t text = 0, failure = 0;
    for (const auto &[kind, texts] : {std::pair(&line_kind, &policy.policy), std::pair(&mx_kind, &policy.mx_hosts)})
      for (const std::string &one : *texts)
        connection.use("add_tlsrpt_text").bind(id, number, text++, *kind, one).run();
    for (const ReportedTlsFailure &one : policy.details)
      connection.use("add_tlsrpt_failure")
          .bind(id, number, failure++, one.result_type, one.sending_mta_ip, one.receiving_mx_hostname,
                one.receiving_mx_helo, one.receiving_ip, one.sessions, one.additional_information,
                one.failure_reason_code)
          .run();
    ++number;
  }
}

void put_report(Connection &connection, const ReportSummary &summary, const StoredReport &stored) {
  const ReceivedReport none;
  const ReceivedReport &report = stored.report ? *stored.report : none;
  connection.use("add_report")
      .bind(summary.id, summary.kind, stored.received, stored.from, stored.subject, stored.mail_domain, stored.queue_id,
            stored.authenticated, stored.is_authenticated(), stored.problem, report.organisation, report.contact,
            report.extra_contact, report.report_id, report.domain, report.begin, report.end, summary.totals.good,
            summary.totals.bad, summary.totals.rows, octets_of(stored))
      .run();
  if (!stored.report) return;
  const auto add_domain = [&](const std::string &domain) {
    connection.use("add_report_domain").bind(summary.id, domain).run();
  };
  add_domain(report.domain);
  for (const std::string &domain : other_domains_of(stored)) add_domain(domain);
  if (const auto *dmarc = std::get_if<ReceivedDmarc>(&report.content)) put_dmarc(connection, summary.id, *dmarc);
  if (const auto *tls = std::get_if<ReceivedTls>(&report.content)) put_tls(connection, summary.id, *tls);
}

void remove_report(Connection &connection, const std::string &id) {
  connection.use("remove_report").bind(id).run();
}

// Room.

/// What goes next: the entry that the statement finds. Nothing: there is none.
struct Oldest {
  std::string id;
  std::uint64_t octets = 0;
};
std::optional<Oldest> find_oldest(Connection &connection, std::string_view statement) {
  auto query = connection.use(statement);
  if (!query.next()) return std::nullopt;
  return Oldest{query.text(0), count_at(query, 1)};
}

/// Removes an entry that was not authenticated. False: there is none.
bool remove_doubtful(Connection &connection) {
  const auto found = find_oldest(connection, "oldest_doubtful_report");
  if (found) remove_report(connection, found->id);
  return found.has_value();
}

void make_room(Connection &connection, std::uint64_t octets, bool is_unreadable, const ReportLimits &limits) {
  if (is_unreadable) {
    auto left = static_cast<std::uint64_t>(connection.ask_number("count_unreadable"));
    for (; left != 0 && left >= limits.unreadable; --left)
      if (const auto found = find_oldest(connection, "oldest_unreadable")) remove_report(connection, found->id);
  }
  std::uint64_t entries = 0, used = 0;
  {
    auto sums = connection.use("sum_reports");
    if (!sums.next()) return;
    entries = count_at(sums, 0);
    used = count_at(sums, 1);
  }
  while (entries != 0 && (entries >= limits.entries || used + octets > limits.octets)) {
    auto found = find_oldest(connection, "oldest_doubtful_report");
    if (!found) found = find_oldest(connection, "oldest_report");
    if (!found) return;
    remove_report(connection, found->id);
    --entries;
    used -= std::min(used, found->octets);
  }
}

// Out.

ReportSummary summary_at(const Query &row) {
  ReportSummary out;
  out.id = row.text(0);
  out.kind = row.text(1);
  out.received = row.time(2);
  out.from = row.text(3);
  out.subject = row.text(4);
  out.authenticated = row.text(5);
  out.problem = row.text(6);
  if (out.kind == "unreadable") return out;
  out.organisation = row.text(7);
  out.report_id = row.text(8);
  out.domain = row.text(9);
  out.begin = row.time(10);
  out.end = row.time(11);
  out.totals = {count_at(row, 12), count_at(row, 13), count_at(row, 14)};
  return out;
}

ReceivedDmarc read_dmarc(Connection &connection, const std::string &id) {
  ReceivedDmarc out;
  auto policy = connection.use("find_dmarc_policy");
  if (policy.bind(id).next()) {
    int column = 0;
    for (std::string *text : {&out.p, &out.sp, &out.np, &out.adkim, &out.aspf, &out.pct, &out.fo, &out.testing,
                              &out.discovery_method, &out.generator})
      *text = policy.text(column++);
    out.skipped_rows = count_at(policy, column);
  }
  auto rows = connection.use("find_dmarc_rows");
  for (rows.bind(id); rows.next();) {
    ReportedRow row;
    row.source_ip = rows.text(1);
    row.count = count_at(rows, 2);
    int column = 3;
    for (std::string *text :
         {&row.disposition, &row.dkim, &row.spf, &row.envelope_to, &row.envelope_from, &row.header_from})
      *text = rows.text(column++);
    out.rows.push_back(std::move(row));
  }
  auto details = connection.use("find_dmarc_details");
  for (details.bind(id); details.next();) {
    const std::uint64_t number = count_at(details, 0);
    if (number >= out.rows.size()) continue; // damage, which the sums may show
    ReportedRow &row = out.rows[number];
    const std::string kind = details.text(1);
    ReportedCheck check{details.text(2), details.text(3), details.text(4), details.text(5), details.text(6)};
    if (kind == reason_kind)
      row.reasons.push_back({std::move(check.result), std::move(check.comment)});
    else
      (kind == dkim_kind ? row.dkim_results : row.spf_results).push_back(std::move(check));
  }
  return out;
}

ReceivedTls read_tls(Connection &connection, const std::string &id) {
  ReceivedTls out;
  auto policies = connection.use("find_tlsrpt_policies");
  for (policies.bind(id); policies.next();) {
    ReportedTlsPolicy policy;
    policy.type = policies.text(1);
    policy.domain = policies.text(2);
    policy.successes = count_at(policies, 3);
    policy.failures = count_at(policies, 4);
    out.policies.push_back(std::move(policy));
  }
  auto texts = connection.use("find_tlsrpt_texts");
  for (texts.bind(id); texts.next();) {
    if (count_at(texts, 0) >= out.policies.size()) continue;
    ReportedTlsPolicy &policy = out.policies[count_at(texts, 0)];
    (texts.text(1) == line_kind ? policy.policy : policy.mx_hosts).push_back(texts.text(2));
  }
  auto failures = connection.use("find_tlsrpt_failures");
  for (failures.bind(id); failures.next();) {
    if (count_at(failures, 0) >= out.policies.size()) continue;
    out.policies[count_at(failures, 0)].details.push_back({failures.text(1), failures.text(2), failures.text(3),
                                                           failures.text(4), failures.text(5), count_at(failures, 6),
                                                           failures.text(7), failures.text(8)});
  }
  return out;
}

/// The columns behind those of the summary.
StoredReport stored_at(Connection &connection, const Query &row, const ReportSummary &summary) {
  StoredReport out;
  out.received = summary.received;
  out.from = summary.from;
  out.subject = summary.subject;
  out.authenticated = summary.authenticated;
  out.problem = summary.problem;
  out.mail_domain = row.text(15);
  out.queue_id = row.text(16);
  if (summary.kind == "unreadable") return out;
  ReceivedReport &report = out.report.emplace();
  report.organisation = summary.organisation;
  report.contact = row.text(17);
  report.extra_contact = row.text(18);
  report.report_id = summary.report_id;
  report.begin = summary.begin;
  report.end = summary.end;
  report.domain = summary.domain;
  if (summary.kind == to_string(ReceivedKind::dmarc))
    report.content = read_dmarc(connection, summary.id);
  else
    report.content = read_tls(connection, summary.id);
  return out;
}

/// Sums as the tables hold them.
ReportTotals bounded(ReportTotals totals) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  return {std::min(totals.good, most), std::min(totals.bad, most), totals.rows};
}

} // namespace

std::uint64_t octets_of(const StoredReport &stored) {
  std::uint64_t sum = row_octets;
  const auto add = [&sum](const auto &...texts) { sum += (row_octets + ... + texts.size()); };
  add(stored.from, stored.subject, stored.mail_domain, stored.authenticated, stored.problem);
  if (!stored.report) return sum;
  add(stored.report->organisation, stored.report->contact, stored.report->extra_contact, stored.report->report_id);
  if (const auto *dmarc = std::get_if<ReceivedDmarc>(&stored.report->content))
    for (const ReportedRow &row : dmarc->rows) {
      add(row.source_ip, row.envelope_to, row.envelope_from, row.header_from);
      for (const auto &reason : row.reasons) add(reason.type, reason.comment);
      for (const auto *checks : {&row.dkim_results, &row.spf_results})
        for (const auto &check : *checks) add(check.domain, check.selector, check.scope, check.result, check.comment);
    }
  if (const auto *tls = std::get_if<ReceivedTls>(&stored.report->content))
    for (const ReportedTlsPolicy &policy : tls->policies) {
      add(policy.type, policy.domain);
      for (const auto *texts : {&policy.policy, &policy.mx_hosts})
        for (const auto &text : *texts) add(text);
      for (const auto &one : policy.details)
        add(one.result_type, one.sending_mta_ip, one.receiving_mx_hostname, one.receiving_mx_helo, one.receiving_ip,
            one.additional_information, one.failure_reason_code);
    }
  return sum;
}

ReceivedReports::ReceivedReports(Store &store, FreeSpace free_space)
    : store_(store), free_space_(std::move(free_space)) {
  if (free_space_) return;
  free_space_ = [folder = store.folder()]() -> std::optional<std::uint64_t> {
    std::error_code error;
    const auto space = std::filesystem::space(folder, error);
    if (error) return std::nullopt;
    return space.available;
  };
}

Result<Outcome> ReceivedReports::add(const StoredReport &stored, const ReportLimits &limits) {
  const std::uint64_t octets = octets_of(stored);
  if (octets > limits.report_octets)
    return fail(ErrorCode::too_long, fmt::format("report has {} octets, limit is {}", octets, limits.report_octets));
  const ReportSummary summary = summarize(stored);
  Result<Outcome> outcome = Outcome::stored;
  const auto carry_out = [&](Connection &connection) -> Result<Outcome> {
    const auto is_short = [&] {
      if (limits.min_free == 0) return false;
      const auto space = free_space_();
      // What was removed leaves room within the file.
      return space && *space + connection.free_octets() < limits.min_free + octets;
    };
    const auto known_trust = [&]() -> std::optional<bool> {
      auto known = connection.use("find_report_trust");
      if (!known.bind(summary.id).next()) return std::nullopt;
      return known.number(0) != 0;
    };
    // A forged copy that came first must not keep the real one out.
    if (const auto trust = known_trust(); trust && (!stored.is_authenticated() || *trust)) return Outcome::duplicate;
    if (is_short()) {
      if (!stored.is_authenticated()) return Outcome::no_room;
      while (is_short() && remove_doubtful(connection)) {
      }
      if (is_short())
        return fail(ErrorCode::full, fmt::format("reports leave {} octets of the disk free", limits.min_free));
    }
    const bool is_known = known_trust().has_value();
    if (is_known) remove_report(connection, summary.id);
    make_room(connection, octets, !stored.report, limits);
    put_report(connection, summary, stored);
    return is_known ? Outcome::replaced : Outcome::stored;
  };
  const auto done = store_.commit([&](Connection &connection) { outcome = carry_out(connection); });
  if (!done) return tl::unexpected(done.error());
  return outcome;
}

void ReceivedReports::keep_since(std::function<std::chrono::sys_seconds()> oldest) {
  store_.add_trim([oldest = std::move(oldest)](Connection &connection) {
    return connection.use("remove_reports_before").bind(oldest()).run() != 0;
  });
}

Result<ReportList> list_reports(Reader &reader, const ReportFilter &filter) {
  ReportList list;
  const auto since = filter.since.value_or(std::chrono::sys_seconds{});
  const auto asked = reader.ask([&](Connection &connection) {
    list.reports.clear();
    auto rows = connection.use("list_reports");
    for (rows.bind(filter.kind, since, filter.domain); rows.next();) {
      ReportSummary summary = summary_at(rows);
      auto domains = connection.use("find_report_domains");
      for (domains.bind(summary.id); domains.next() && summary.other_domains.size() < most_other_domains;)
        if (std::string domain = domains.text(0); domain != summary.domain)
          summary.other_domains.push_back(std::move(domain));
      list.reports.push_back(std::move(summary));
    }
  });
  if (asked || asked.error().code == ErrorCode::not_found) return list;
  if (asked.error().code != ErrorCode::bad_syntax) return tl::unexpected(asked.error());
  list.problem = asked.error().detail;
  return list;
}

Result<StoredReport> find_report(Reader &reader, std::string_view id) {
  if (!is_id(id))
    return fail(ErrorCode::bad_syntax,
                fmt::format("\"{}\" is not an id of a report: 16 digits of 0-9 and a-f", smtp::escape(id, 100)));
  const std::string wanted(id);
  std::optional<StoredReport> found;
  ReportTotals totals;
  const auto asked = reader.ask([&](Connection &connection) {
    auto row = connection.use("find_report");
    if (!row.bind(wanted).next()) return;
    const ReportSummary summary = summary_at(row);
    totals = summary.totals;
    found = stored_at(connection, row, summary);
  });
  if (!asked && asked.error().code != ErrorCode::not_found) return tl::unexpected(asked.error());
  if (!found) return fail(ErrorCode::not_found, fmt::format("there is no report {}", wanted));
  if (found->report && bounded(totals_of(*found->report)) != totals)
    return fail(ErrorCode::bad_syntax,
                fmt::format("report {} is damaged: its totals are not those of its rows", wanted));
  return std::move(*found);
}

} // namespace mta::store
