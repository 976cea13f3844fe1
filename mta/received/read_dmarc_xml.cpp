#include "mta/received/read_dmarc_xml.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>
#include <pugixml.hpp>

#include "mta/received/repair_xml.hpp"
#include "mta/received/report_text.hpp"
#include "smtp/base/text.hpp"
#include "smtp/names/ip_address.hpp"

namespace mta {

namespace {

using smtp::ErrorCode;
using smtp::fail;
using smtp::Result;

/// The name without a namespace prefix.
std::string_view local_name(const pugi::xml_node &node) {
  const std::string_view name = node.name();
  const auto colon = name.rfind(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

pugi::xml_node child(const pugi::xml_node &parent, std::string_view name) {
  for (const auto &node : parent.children())
    if (node.type() == pugi::node_element && smtp::equals_ignoring_case(local_name(node), name)) return node;
  return {};
}

std::string text_of(const pugi::xml_node &parent, std::string_view name) {
  return clean_report_text(child(parent, name).text().get());
}

std::string word_of(const pugi::xml_node &parent, std::string_view name) {
  return smtp::to_lower(text_of(parent, name));
}

/// Some write fractions.
std::optional<std::chrono::sys_seconds> read_time(const std::string &text) {
  const auto number = smtp::parse_number(std::string_view(text).substr(0, text.find('.')));
  return number ? time_since_1970(*number) : std::nullopt;
}

/// Some write the type, or words, as the text of the element itself.
ReportedReason read_reason(const pugi::xml_node &node) {
  ReportedReason reason{word_of(node, "type"), text_of(node, "comment")};
  std::string text = clean_report_text(node.text().get());
  if (text.empty()) return reason;
  static constexpr std::array<std::string_view, 7> types = {
      "forwarded", "local_policy", "mailing_list", "other", "policy_test_mode", "sampled_out", "trusted_forwarder"};
  const std::string word = smtp::to_lower(text);
  if (reason.type.empty() && std::find(types.begin(), types.end(), word) != types.end())
    reason.type = word;
  else if (reason.comment.empty())
    reason.comment = std::move(text);
  return reason;
}

Result<void> check_markup(std::string_view text, const XmlLimits &limits) {
  const auto count = std::count_if(text.begin(), text.end(), [](char c) { return c == '<' || c == '='; });
  if (static_cast<std::size_t>(count) > limits.markup)
    return fail(ErrorCode::too_long, fmt::format("report has {} pieces of markup, limit is {}", count, limits.markup));
  return {};
}

/// Without recursion: the nodes decide how deep it goes.
Result<void> check_depth(const pugi::xml_node &top, const XmlLimits &limits) {
  std::size_t depth = 0;
  pugi::xml_node node = top;
  while (node) {
    if (node.type() == pugi::node_doctype)
      return fail(ErrorCode::bad_syntax, "report has a document type declaration, which no report needs");
    if (node.first_child()) {
      if (++depth > limits.depth)
        return fail(ErrorCode::too_long, fmt::format("elements are nested deeper than the limit of {}", limits.depth));
      node = node.first_child();
      continue;
    }
    while (node && node != top && !node.next_sibling()) {
      node = node.parent();
      --depth;
    }
    if (!node || node == top) break;
    node = node.next_sibling();
  }
  return {};
}

template <typename Act> void on_each(const pugi::xml_node &parent, std::string_view name, std::size_t limit, Act act) {
  for (const auto &node : parent.children()) {
    if (node.type() != pugi::node_element || !smtp::equals_ignoring_case(local_name(node), name)) continue;
    if (limit-- == 0) return;
    act(node);
  }
}

std::vector<ReportedCheck> read_checks(const pugi::xml_node &results, std::string_view name, const XmlLimits &limits) {
  std::vector<ReportedCheck> checks;
  on_each(results, name, limits.checks, [&](const pugi::xml_node &node) {
    checks.push_back({smtp::to_lower(text_of(node, "domain")), text_of(node, "selector"), word_of(node, "scope"),
                      word_of(node, "result"), text_of(node, "human_result")});
  });
  return checks;
}

/// Nothing: the record has no usable source address or count.
std::optional<ReportedRow> read_row(const pugi::xml_node &record, const XmlLimits &limits) {
  const auto row = child(record, "row");
  const auto source = smtp::IpAddress::parse(text_of(row, "source_ip"));
  const auto count = smtp::parse_number(text_of(row, "count"));
  if (!source || !count) return std::nullopt;
  ReportedRow out;
  out.source_ip = source->to_string();
  out.count = *count;
  const auto evaluated = child(row, "policy_evaluated");
  out.disposition = word_of(evaluated, "disposition");
  out.dkim = word_of(evaluated, "dkim");
  out.spf = word_of(evaluated, "spf");
  on_each(evaluated, "reason", limits.checks,
          [&](const pugi::xml_node &node) { out.reasons.push_back(read_reason(node)); });
  const auto identifiers = child(record, "identifiers");
  out.envelope_to = text_of(identifiers, "envelope_to");
  out.envelope_from = text_of(identifiers, "envelope_from");
  out.header_from = smtp::to_lower(text_of(identifiers, "header_from"));
  const auto results = child(record, "auth_results");
  out.dkim_results = read_checks(results, "dkim", limits);
  out.spf_results = read_checks(results, "spf", limits);
  return out;
}

Result<void> read_metadata(const pugi::xml_node &feedback, ReceivedReport &report) {
  const auto metadata = child(feedback, "report_metadata");
  if (!metadata) return fail(ErrorCode::bad_syntax, "report has no report_metadata");
  report.organisation = text_of(metadata, "org_name");
  report.contact = text_of(metadata, "email");
  report.extra_contact = text_of(metadata, "extra_contact_info");
  report.report_id = text_of(metadata, "report_id");
  if (report.report_id.empty()) return fail(ErrorCode::bad_syntax, "report has no report_id");
  if (report.organisation.empty()) report.organisation = domain_of_contact(report.contact);
  const auto range = child(metadata, "date_range");
  const std::string begin_text = text_of(range, "begin"), end_text = text_of(range, "end");
  const auto begin = read_time(begin_text), end = read_time(end_text);
  if (!begin || !end)
    return fail(ErrorCode::bad_syntax,
                fmt::format("date_range is \"{}\" to \"{}\", which are no times in seconds since 1970",
                            smtp::escape(begin_text), smtp::escape(end_text)));
  if (*end < *begin)
    return fail(ErrorCode::bad_syntax, fmt::format("date_range ends ({}) before it begins ({})", end_text, begin_text));
  report.begin = *begin;
  report.end = *end;
  std::get<ReceivedDmarc>(report.content).generator = text_of(metadata, "generator");
  return {};
}

Result<void> read_published(const pugi::xml_node &feedback, const ReadHints &hints, ReceivedReport &report) {
  const auto published = child(feedback, "policy_published");
  if (!published && hints.domain.empty()) return fail(ErrorCode::bad_syntax, "report has no policy_published");
  report.domain = clean_report_domain(text_of(published, "domain"));
  if (report.domain.empty()) report.domain = hints.domain;
  if (report.domain.empty()) return fail(ErrorCode::bad_syntax, "policy_published has no domain");
  auto &dmarc = std::get<ReceivedDmarc>(report.content);
  dmarc.adkim = word_of(published, "adkim");
  dmarc.aspf = word_of(published, "aspf");
  dmarc.p = word_of(published, "p");
  dmarc.sp = word_of(published, "sp");
  dmarc.np = word_of(published, "np");
  dmarc.pct = word_of(published, "pct");
  dmarc.fo = word_of(published, "fo");
  dmarc.testing = word_of(published, "testing");
  dmarc.discovery_method = word_of(published, "discovery_method");
  return {};
}

Result<void> read_rows(const pugi::xml_node &feedback, const XmlLimits &limits, ReceivedDmarc &dmarc) {
  for (const auto &node : feedback.children()) {
    if (node.type() != pugi::node_element || !smtp::equals_ignoring_case(local_name(node), "record")) continue;
    if (dmarc.rows.size() >= limits.rows)
      return fail(ErrorCode::too_long, fmt::format("report has more than the limit of {} records", limits.rows));
    if (auto row = read_row(node, limits))
      dmarc.rows.push_back(std::move(*row));
    else
      ++dmarc.skipped_rows;
  }
  if (!dmarc.rows.empty()) return {};
  return fail(ErrorCode::bad_syntax,
              dmarc.skipped_rows == 0
                  ? std::string("report has no record")
                  : fmt::format("none of {} records has a source address and a count", dmarc.skipped_rows));
}

/// pugixml knows the five predefined entities and character references, and never opens a file; the document type is
/// kept only to be refused.
pugi::xml_parse_result parse_xml(pugi::xml_document &document, std::string_view text) {
  return document.load_buffer(text.data(), text.size(), pugi::parse_default | pugi::parse_doctype);
}

} // namespace

Result<ReceivedReport> read_dmarc_xml(std::string_view text, const XmlLimits &limits) {
  ReadHints hints;
  return read_dmarc_xml(text, limits, hints);
}

Result<ReceivedReport> read_dmarc_xml(std::string_view text, const XmlLimits &limits, ReadHints &hints) {
  if (auto checked = check_markup(text, limits); !checked) return tl::unexpected(checked.error());
  pugi::xml_document document;
  const auto parsed = parse_xml(document, text);
  if (auto checked = check_depth(document, limits); !checked && parsed) return tl::unexpected(checked.error());
  if (!parsed || !child(document, "feedback")) {
    const std::string problem =
        parsed ? fmt::format("XML is not a DMARC report: its element is <{}>, not <feedback>",
                             smtp::escape(local_name(document.document_element()), 100))
               : fmt::format("XML is broken at octet {}: {}", parsed.offset, smtp::to_lower(parsed.description()));
    const auto repaired = repair_xml(text, limits.depth);
    if (!repaired || !parse_xml(document, *repaired)) return fail(ErrorCode::bad_syntax, problem);
    hints.note(problem);
  }
  const auto feedback = child(document, "feedback");
  ReceivedReport report;
  auto &dmarc = report.content.emplace<ReceivedDmarc>();
  if (auto read = read_metadata(feedback, report); !read) return tl::unexpected(read.error());
  if (auto read = read_published(feedback, hints, report); !read) return tl::unexpected(read.error());
  if (auto read = read_rows(feedback, limits, dmarc); !read) return tl::unexpected(read.error());
  return report;
}

} // namespace mta
