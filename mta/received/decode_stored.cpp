// What we wrote ourselves is read, so a member that is missing
// or of another kind is damage.
#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/received/read_tlsrpt.hpp"
#include "mta/received/stored_report.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

namespace json = boost::json;
using smtp::ErrorCode;
using smtp::fail;
using smtp::Result;

constexpr std::int64_t known_version = 1;

/// Reads the members of one object; the first that is wrong is remembered.
class Members {
public:
  Members(const json::object &object, std::string &problem) : object_(object), problem_(problem) {}

  /// Empty when it is absent.
  [[nodiscard]] std::string text(std::string_view key) const {
    const auto *value = object_.if_contains(key);
    if (!value) return {};
    if (const auto *string = value->if_string()) return std::string(*string);
    wrong(key);
    return {};
  }
  [[nodiscard]] std::uint64_t number(std::string_view key) const {
    const auto *value = object_.if_contains(key);
    if (!value) return 0;
    boost::system::error_code error;
    const auto read = value->to_number<std::uint64_t>(error);
    if (error) wrong(key);
    return error ? 0 : read;
  }
  [[nodiscard]] std::chrono::sys_seconds time(std::string_view key) const {
    const auto read = parse_report_time(text(key));
    if (!read) wrong(key);
    return read.value_or(std::chrono::sys_seconds{});
  }
  [[nodiscard]] std::vector<std::string> texts(std::string_view key) const {
    std::vector<std::string> out;
    each(key, [&](const json::value &entry) {
      if (const auto *string = entry.if_string())
        out.emplace_back(*string);
      else
        wrong(key);
    });
    return out;
  }
  template <typename Act> void objects(std::string_view key, Act act) const {
    each(key, [&](const json::value &entry) {
      if (const auto *object = entry.if_object())
        act(Members(*object, problem_));
      else
        wrong(key);
    });
  }
  [[nodiscard]] bool has(std::string_view key) const { return object_.contains(key); }
  template <typename Act> void object(std::string_view key, Act act) const {
    const auto *value = object_.if_contains(key);
    const auto *found = value ? value->if_object() : nullptr;
    if (found)
      act(Members(*found, problem_));
    else
      wrong(key);
  }
  void wrong(std::string_view key) const {
    if (problem_.empty()) problem_ = fmt::format("member \"{}\" is missing or wrong", key);
  }

private:
  template <typename Act> void each(std::string_view key, Act act) const {
    const auto *value = object_.if_contains(key);
    if (!value) return;
    const auto *list = value->if_array();
    if (!list) return wrong(key);
    for (const auto &entry : *list) act(entry);
  }
  const json::object &object_;
  std::string &problem_;
};

std::vector<ReportedCheck> read_checks(const Members &row, std::string_view key) {
  std::vector<ReportedCheck> out;
  row.objects(key, [&](const Members &one) {
    out.push_back(
        {one.text("domain"), one.text("selector"), one.text("scope"), one.text("result"), one.text("comment")});
  });
  return out;
}

ReportedRow read_row(const Members &row) {
  ReportedRow out;
  out.source_ip = row.text("source_ip");
  out.count = row.number("count");
  out.disposition = row.text("disposition");
  out.dkim = row.text("dkim");
  out.spf = row.text("spf");
  row.objects("reasons", [&](const Members &one) { out.reasons.push_back({one.text("type"), one.text("comment")}); });
  out.envelope_to = row.text("envelope_to");
  out.envelope_from = row.text("envelope_from");
  out.header_from = row.text("header_from");
  out.dkim_results = read_checks(row, "dkim_results");
  out.spf_results = read_checks(row, "spf_results");
  return out;
}

ReceivedDmarc read_dmarc(const Members &rest) {
  ReceivedDmarc out;
  rest.object("policy_published", [&](const Members &policy) {
    out.p = policy.text("p");
    out.sp = policy.text("sp");
    out.np = policy.text("np");
    out.adkim = policy.text("adkim");
    out.aspf = policy.text("aspf");
    out.pct = policy.text("pct");
    out.fo = policy.text("fo");
    out.testing = policy.text("testing");
    out.discovery_method = policy.text("discovery_method");
  });
  out.generator = rest.text("generator");
  out.skipped_rows = rest.number("skipped_rows");
  rest.objects("rows", [&](const Members &row) { out.rows.push_back(read_row(row)); });
  return out;
}

ReceivedTls read_tls(const Members &rest) {
  ReceivedTls out;
  rest.objects("policies", [&](const Members &one) {
    ReportedTlsPolicy policy;
    policy.type = one.text("type");
    policy.policy = one.texts("policy");
    policy.domain = one.text("domain");
    policy.mx_hosts = one.texts("mx_hosts");
    policy.successes = one.number("successes");
    policy.failures = one.number("failures");
    one.objects("details", [&](const Members &detail) {
      policy.details.push_back({detail.text("result_type"), detail.text("sending_mta_ip"),
                                detail.text("receiving_mx_hostname"), detail.text("receiving_mx_helo"),
                                detail.text("receiving_ip"), detail.number("sessions"),
                                detail.text("additional_information"), detail.text("failure_reason_code")});
    });
    out.policies.push_back(std::move(policy));
  });
  return out;
}

Result<json::object> parse_line(std::string_view line) {
  boost::system::error_code error;
  json::value value = json::parse(json::string_view(line.data(), line.size()), error);
  if (error || !value.is_object()) return fail(ErrorCode::bad_syntax, "file is damaged: no JSON object");
  return std::move(value.get_object());
}

Result<ReportSummary> read_summary(const json::object &object) {
  std::string problem;
  const Members head(object, problem);
  if (head.number("version") != known_version) head.wrong("version");
  ReportSummary out;
  out.id = head.text("id");
  out.kind = head.text("kind");
  if (out.kind != "dmarc" && out.kind != "tlsrpt" && out.kind != "unreadable") head.wrong("kind");
  out.received = head.time("received");
  out.from = head.text("from");
  out.subject = head.text("subject");
  out.authenticated = head.text("authenticated");
  out.problem = head.text("problem");
  if (out.kind != "unreadable") {
    out.organisation = head.text("organisation");
    out.report_id = head.text("report_id");
    out.domain = head.text("domain");
    out.other_domains = head.texts("other_domains");
    out.begin = head.time("begin");
    out.end = head.time("end");
    head.object("totals", [&](const Members &totals) {
      out.totals = {totals.number("good"), totals.number("bad"), totals.number("rows")};
    });
  }
  if (!problem.empty()) return fail(ErrorCode::bad_syntax, "file is damaged: " + problem);
  return out;
}

} // namespace

Result<ReportSummary> decode_summary(std::string_view line) {
  const auto object = parse_line(line.substr(0, line.find('\n')));
  if (!object) return tl::unexpected(object.error());
  return read_summary(*object);
}

Result<StoredReport> decode_stored(std::string_view text) {
  const auto end = text.find('\n');
  const auto head = parse_line(text.substr(0, end));
  if (!head) return tl::unexpected(head.error());
  const auto summary = read_summary(*head);
  if (!summary) return tl::unexpected(summary.error());
  std::string problem;
  StoredReport out;
  out.received = summary->received;
  out.from = summary->from;
  out.subject = summary->subject;
  out.authenticated = summary->authenticated;
  out.problem = summary->problem;
  out.queue_id = Members(*head, problem).text("queue_id");
  out.mail_domain = Members(*head, problem).text("mail_domain");
  if (summary->kind != "unreadable") {
    const auto rest = parse_line(end == std::string_view::npos ? std::string_view() : text.substr(end + 1));
    if (!rest) return tl::unexpected(rest.error());
    const Members members(*rest, problem);
    ReceivedReport &report = out.report.emplace();
    report.organisation = summary->organisation;
    report.contact = members.text("contact");
    report.extra_contact = members.text("extra_contact");
    report.report_id = summary->report_id;
    report.begin = summary->begin;
    report.end = summary->end;
    report.domain = summary->domain;
    if (summary->kind == "dmarc")
      report.content = read_dmarc(members);
    else
      report.content = read_tls(members);
    if (problem.empty() && totals_of(report) != summary->totals) problem = "its totals are not those of its rows";
  }
  if (!problem.empty()) return fail(ErrorCode::bad_syntax, "file is damaged: " + problem);
  return out;
}

} // namespace mta
