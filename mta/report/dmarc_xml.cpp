// Where the two schemas want an order, it is the order of the code.
#include "mta/report/dmarc_xml.hpp"

#include <fmt/format.h>
#include <pugixml.hpp>

#include "mta/base/version.hpp"
#include "smtp/message/plain_text.hpp"

namespace mta {

namespace {

constexpr std::size_t longest_text = 1000;

/// XML 1.0 section 2.2: what a document may hold. Tabs and line ends become spaces, too.
std::string to_xml_text(std::string_view text) {
  std::string clean = smtp::one_line(text, smtp::TextCharset::utf8, longest_text);
  // U+FFFE and U+FFFF are well-formed UTF-8 and yet no characters.
  for (std::size_t at = clean.find("\xEF\xBF"); at != std::string::npos; at = clean.find("\xEF\xBF", at)) {
    if (at + 2 < clean.size() && static_cast<unsigned char>(clean[at + 2]) >= 0xBE)
      clean.replace(at, 3, "?");
    else
      at += 2;
  }
  return clean;
}

void add(pugi::xml_node parent, const char *name, std::string_view text) {
  parent.append_child(name).text().set(to_xml_text(text).c_str());
}

void add(pugi::xml_node parent, const char *name, std::uint64_t number) {
  add(parent, name, std::string_view(fmt::format("{}", number)));
}

const char *word_of(bool passed) {
  return passed ? "pass" : "fail";
}

/// RFC 9990's pattern takes RFC 5952's form; RFC 7489's knows IPv6 only with all its eight groups.
std::string address_text(const smtp::IpAddress &address, DmarcReportForm form) {
  if (!address.is_v6() || form == DmarcReportForm::rfc9990) return address.to_string();
  std::string text;
  for (std::size_t i = 0; i < 16; i += 2) {
    const auto group = static_cast<unsigned>(address.octets()[i]) << 8U | address.octets()[i + 1];
    text += fmt::format("{}{:x}", i == 0 ? "" : ":", group);
  }
  return text;
}

struct Reason {
  const char *type = "other";
  std::string comment;
};

Reason describe(const auth::PolicyOverride &reason, DmarcReportForm form) {
  switch (reason.kind) {
  case auth::OverrideKind::local_policy: return {"local_policy", reason.comment};
  case auth::OverrideKind::mailing_list: return {"mailing_list", reason.comment};
  case auth::OverrideKind::other: return {"other", reason.comment};
  case auth::OverrideKind::trusted_forwarder: return {"trusted_forwarder", reason.comment};
  case auth::OverrideKind::policy_test_mode:
    if (form == DmarcReportForm::rfc9990) return {"policy_test_mode", reason.comment};
    // RFC 7489 has no test mode.
    return {"other", "policy_test_mode" + (reason.comment.empty() ? "" : ": " + reason.comment)};
  }
  return {};
}

void add_policy_evaluated(pugi::xml_node parent, const DmarcRow &row, const DmarcReport &report) {
  const bool passed = row.spf_aligned || row.dkim_aligned;
  // RFC 9990: "pass" is no action on a message that passed under a policy that would have acted.
  const bool is_pass = report.form == DmarcReportForm::rfc9990 && passed && row.policy != auth::DmarcPolicy::none &&
                       row.disposition == auth::DmarcPolicy::none;
  auto evaluated = parent.append_child("policy_evaluated");
  add(evaluated, "disposition", is_pass ? std::string_view("pass") : auth::to_string(row.disposition));
  add(evaluated, "dkim", std::string_view(word_of(row.dkim_aligned)));
  add(evaluated, "spf", std::string_view(word_of(row.spf_aligned)));
  std::vector<auth::PolicyOverride> reasons = row.reasons;
  // RFC 9990: a failed message that was not treated as the policy says has a reason in any case.
  if (!passed && row.disposition != row.policy && reasons.empty())
    reasons.push_back(
        {report.published.testing ? auth::OverrideKind::policy_test_mode : auth::OverrideKind::local_policy, {}});
  for (const auth::PolicyOverride &given : reasons) {
    const Reason reason = describe(given, report.form);
    auto node = evaluated.append_child("reason");
    add(node, "type", std::string_view(reason.type));
    if (!reason.comment.empty()) add(node, "comment", reason.comment);
  }
}

void add_spf(pugi::xml_node parent, std::string_view domain, SpfScope scope, std::string_view result) {
  auto node = parent.append_child("spf");
  add(node, "domain", domain);
  add(node, "scope", std::string_view(scope == SpfScope::helo ? "helo" : "mfrom"));
  add(node, "result", result);
}

void add_auth_results(pugi::xml_node parent, const DmarcRow &row, DmarcReportForm form) {
  auto results = parent.append_child("auth_results");
  for (const DkimFact &signature : row.dkim) {
    auto node = results.append_child("dkim");
    add(node, "domain", signature.domain);
    add(node, "selector", signature.selector);
    add(node, "result", auth::to_string(signature.result));
  }
  bool any = false;
  for (const SpfFact &fact : row.spf) {
    // RFC 9990 has at most one result, of MAIL FROM, the only identity that DMARC uses.
    if (form == DmarcReportForm::rfc9990 && (any || fact.scope != SpfScope::mail_from)) continue;
    add_spf(results, fact.domain, fact.scope, auth::to_string(fact.result));
    any = true;
  }
  // RFC 7489 wants one in any case.
  if (!any && form == DmarcReportForm::rfc7489) add_spf(results, row.envelope_from, SpfScope::mail_from, "none");
}

void add_record(pugi::xml_node feedback, const CountedRow &counted, const DmarcReport &report) {
  auto record = feedback.append_child("record");
  auto row = record.append_child("row");
  add(row, "source_ip", address_text(counted.row.source, report.form));
  add(row, "count", counted.count);
  add_policy_evaluated(row, counted.row, report);
  auto identifiers = record.append_child("identifiers");
  if (!counted.row.envelope_to.empty()) add(identifiers, "envelope_to", counted.row.envelope_to);
  add(identifiers, "envelope_from", counted.row.envelope_from); // empty for the null reverse-path
  add(identifiers, "header_from", counted.row.header_from);
  add_auth_results(record, counted.row, report.form);
}

void add_metadata(pugi::xml_node feedback, const DmarcReport &report, const DmarcReportSettings &settings) {
  auto metadata = feedback.append_child("report_metadata");
  add(metadata, "org_name", settings.org_name.empty() ? settings.submitter : settings.org_name);
  add(metadata, "email", settings.from ? settings.from->to_string() : "postmaster@" + settings.submitter);
  if (!settings.extra_contact.empty()) add(metadata, "extra_contact_info", settings.extra_contact);
  add(metadata, "report_id", report_id(report, settings.submitter));
  auto range = metadata.append_child("date_range");
  add(range, "begin", static_cast<std::uint64_t>(begin_of(report.day)));
  add(range, "end", static_cast<std::uint64_t>(end_of(report.day)));
  if (report.form == DmarcReportForm::rfc9990)
    add(metadata, "generator", std::string_view(fmt::format("Portcullis {}", version)));
}

void add_policy_published(pugi::xml_node feedback, const DmarcReport &report) {
  const DmarcPublished &published = report.published;
  const bool is_new = report.form == DmarcReportForm::rfc9990;
  // RFC 9989 section 4.7: sp defaults to p, np to sp.
  const auto sp = published.sp.value_or(published.p);
  auto node = feedback.append_child("policy_published");
  add(node, "domain", published.domain);
  if (is_new)
    add(node, "discovery_method", std::string_view(published.discovery == DmarcDiscovery::psl ? "psl" : "treewalk"));
  add(node, "adkim", std::string_view(published.strict_dkim ? "s" : "r"));
  add(node, "aspf", std::string_view(published.strict_spf ? "s" : "r"));
  add(node, "p", auth::to_string(published.p));
  add(node, "sp", auth::to_string(sp));
  if (is_new) add(node, "np", auth::to_string(published.np.value_or(sp)));
  if (is_new) add(node, "testing", std::string_view(published.testing ? "y" : "n"));
  // RFC 9989 appendix A.6: pct is gone; every message counts.
  if (!is_new) add(node, "pct", std::uint64_t{100});
  add(node, "fo", published.fo);
}

struct StringWriter final : pugi::xml_writer {
  std::string text;
  void write(const void *data, std::size_t size) override { text.append(static_cast<const char *>(data), size); }
};

} // namespace

std::string build_report_xml(const DmarcReport &report, const DmarcReportSettings &settings) {
  pugi::xml_document document;
  auto declaration = document.append_child(pugi::node_declaration);
  declaration.append_attribute("version") = "1.0";
  declaration.append_attribute("encoding") = "UTF-8";
  auto feedback = document.append_child("feedback");
  if (report.form == DmarcReportForm::rfc9990) feedback.append_attribute("xmlns") = "urn:ietf:params:xml:ns:dmarc-2.0";
  add(feedback, "version", std::string_view("1.0"));
  add_metadata(feedback, report, settings);
  add_policy_published(feedback, report);
  for (const CountedRow &row : report.rows) add_record(feedback, row, report);
  StringWriter writer;
  document.save(writer, "  ", pugi::format_default, pugi::encoding_utf8);
  return std::move(writer.text);
}

} // namespace mta
