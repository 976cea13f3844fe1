// check_offline: see the header.
#include "mta/auth/offline.hpp"

#include <fmt/format.h>

#include <boost/json/array.hpp>

#include "auth/core/authentication_results.hpp"
#include "smtp/base/text.hpp"
#include "smtp/message/header_scan.hpp"

namespace mta {

namespace {

namespace json = boost::json;

/// More rounds than any sender needs; a check that still misses something then gets a temporary failure.
constexpr int most_offline_rounds = 60;

/// Foreign text as JSON takes it.
std::string text_of(std::string_view text) {
  return smtp::is_utf8(text) ? std::string(text) : smtp::escape(text, text.size() * 4);
}

json::object spf_object(const auth::SpfVerdict &verdict, bool with_counts) {
  json::object object;
  object["result"] = auth::to_string(verdict.result);
  object["domain"] = text_of(verdict.domain);
  object["explanation"] = text_of(verdict.explanation);
  object["reason"] = text_of(verdict.reason);
  if (with_counts) {
    object["lookups"] = verdict.lookups;
    object["void_lookups"] = verdict.void_lookups;
  }
  return object;
}

json::array dkim_array(const std::vector<auth::DkimVerdict> &verdicts) {
  json::array array;
  for (const auth::DkimVerdict &verdict : verdicts) {
    json::object object;
    object["result"] = auth::to_string(verdict.result);
    object["domain"] = text_of(verdict.domain);
    object["selector"] = text_of(verdict.selector);
    object["identity"] = text_of(verdict.identity);
    object["algorithm"] = text_of(verdict.algorithm);
    object["bits"] = verdict.bits;
    object["reason"] = text_of(verdict.reason);
    array.push_back(std::move(object));
  }
  return array;
}

json::object dmarc_object(const auth::DmarcVerdict &verdict) {
  json::object alignment;
  alignment["spf"] = verdict.spf_aligned;
  alignment["dkim"] = verdict.dkim_aligned;
  alignment["spf_mode"] = verdict.strict_spf ? "strict" : "relaxed";
  alignment["dkim_mode"] = verdict.strict_dkim ? "strict" : "relaxed";
  json::object object;
  object["result"] = auth::to_string(verdict.result);
  object["policy"] = auth::to_string(verdict.policy);
  object["disposition"] = auth::to_string(verdict.disposition);
  object["domain"] = text_of(verdict.domain);
  object["org_domain"] = text_of(verdict.org_domain);
  object["policy_domain"] = text_of(verdict.policy_domain);
  object["applied_tag"] = text_of(verdict.applied_tag);
  object["testing"] = verdict.testing;
  object["alignment"] = std::move(alignment);
  object["reason"] = text_of(verdict.reason);
  return object;
}

json::object arc_object(const auth::ArcVerdict &verdict) {
  json::array chain;
  for (const auth::ArcSet &set : verdict.chain) {
    json::object object;
    object["instance"] = set.instance;
    object["domain"] = text_of(set.domain);
    object["selector"] = text_of(set.selector);
    chain.push_back(std::move(object));
  }
  json::object object;
  object["result"] = auth::to_string(verdict.result);
  object["chain"] = std::move(chain);
  object["reason"] = text_of(verdict.reason);
  return object;
}

} // namespace

std::string with_crlf(std::string_view text) {
  if (text.starts_with("From ")) {
    const auto end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  std::string made;
  made.reserve(text.size() + text.size() / 32);
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find('\n', at);
    std::string_view line = text.substr(at, end == std::string_view::npos ? end : end - at);
    at = end == std::string_view::npos ? text.size() : end + 1;
    if (end != std::string_view::npos && line.ends_with('\r')) line.remove_suffix(1);
    made += line;
    if (end != std::string_view::npos) made += "\r\n";
  }
  return made;
}

json::object check_offline(const OfflineRequest &request, const AnswerAll &answer) {
  CheckRequest checks;
  checks.client = request.ip;
  checks.helo = request.helo;
  checks.mail_from = request.mail_from;
  if (checks.mail_from.starts_with('<') && checks.mail_from.ends_with('>'))
    checks.mail_from = checks.mail_from.substr(1, checks.mail_from.size() - 2);
  checks.receiver = request.receiver;
  checks.dkim.now = request.time;
  checks.dkim.allow_weak_keys = request.allow_weak_keys;
  MessageCheck check(std::move(checks));
  if (request.message) {
    const std::string_view message = *request.message;
    const std::size_t end = smtp::find_body(message);
    check.header(auth::HeaderFields(std::string(message.substr(0, end))));
    check.body(message.substr(end));
    check.end();
  }
  auth::DnsFacts facts;
  for (int round = 0; round < most_offline_rounds && !check.advance(facts); ++round) answer(facts);

  const CheckResults &results = check.results();
  json::object spf;
  spf["helo"] = spf_object(results.spf.helo, false);
  spf["mailfrom"] = spf_object(results.spf.mail_from, true);
  json::object object;
  object["spf"] = std::move(spf);
  if (request.message) {
    object["dkim"] = dkim_array(results.dkim);
    object["dmarc"] = dmarc_object(results.dmarc);
    object["arc"] = arc_object(results.arc);
  }
  if (request.ip) {
    json::object iprev;
    iprev["result"] = auth::to_string(results.iprev.result);
    iprev["name"] = text_of(results.iprev.name);
    object["iprev"] = std::move(iprev);
  }
  if (request.allow_weak_keys) object["weak_keys_allowed"] = true;
  object["authentication_results"] =
      auth::format_results_payload(describe_checks(check, request.receiver, request.message.has_value(), {}));
  return object;
}

} // namespace mta
