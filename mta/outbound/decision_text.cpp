// The decision as JSON: see decision_text.hpp.
#include "mta/outbound/decision_text.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

namespace mta {

namespace json = boost::json;

namespace {

json::array to_array(const std::vector<std::string> &values) {
  json::array array;
  array.reserve(values.size());
  for (const auto &value : values) array.emplace_back(value);
  return array;
}

json::array to_array(const std::vector<smtp::TlsaRecord> &records) {
  json::array array;
  array.reserve(records.size());
  for (const auto &record : records) array.emplace_back(format_tlsa(record));
  return array;
}

json::object to_json(const policy::Unusable &unusable) {
  return {{"source", unusable.source}, {"reason", unusable.reason}, {"fault", policy::to_string(unusable.fault)}};
}

} // namespace

std::string format_utc(std::chrono::system_clock::time_point time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(seconds - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count());
}

std::string format_tlsa(const smtp::TlsaRecord &record) {
  std::string text = fmt::format("{} {} {} ", record.usage, record.selector, record.matching_type);
  text.reserve(text.size() + record.data.size() * 2);
  for (const char octet : record.data)
    fmt::format_to(std::back_inserter(text), "{:02x}", static_cast<unsigned char>(octet));
  return text;
}

json::object to_json(const policy::Requirement &requirement) {
  json::object object{{"level", tls::to_string(requirement.level)},
                      {"profile", requirement.profile},
                      {"trust", requirement.trust},
                      {"references", to_array(requirement.references)},
                      {"pins", to_array(requirement.pins)},
                      {"crls", to_array(requirement.crls)},
                      {"client_certificate", requirement.client_certificate},
                      {"implicit_tls", requirement.implicit_tls},
                      {"requiretls", requirement.requiretls},
                      {"rule", requirement.rule}};
  if (!requirement.tlsa.empty()) {
    object["tlsa"] = to_array(requirement.tlsa);
    object["dane_names"] = to_array(requirement.dane_names);
    object["and_certificate"] = requirement.and_certificate;
  }
  if (!requirement.server_name.empty()) object["server_name"] = requirement.server_name;
  return object;
}

json::object to_json(const policy::DaneFacts &dane) {
  json::object object{{"state", policy::to_string(dane.state)}};
  if (!dane.base_domain.empty()) object["base_domain"] = dane.base_domain;
  if (!dane.records.empty()) object["records"] = to_array(dane.records);
  if (!dane.detail.empty()) object["detail"] = dane.detail;
  return object;
}

json::object to_json(const policy::StsFacts &sts) {
  json::object object{{"state", policy::to_string(sts.state)}};
  if (!sts.id.empty()) {
    object["id"] = sts.id;
    object["mx"] = to_array(sts.mx);
    object["fetched"] = format_utc(sts.fetched);
    object["expires"] = format_utc(sts.expires);
  }
  if (!sts.detail.empty()) object["detail"] = sts.detail;
  if (sts.fault != policy::TlsFault::none) object["fault"] = policy::to_string(sts.fault);
  return object;
}

json::object to_json(const policy::MemoryFacts &memory) {
  json::object object{{"known", memory.known}, {"protect", memory.protect}};
  if (!memory.rule.empty()) object["rule"] = memory.rule;
  if (!memory.known) return object;
  object["best_version"] = tls::to_string(memory.best_version);
  object["authenticated"] = memory.authenticated;
  object["first_seen"] = format_utc(memory.first_seen);
  object["last_seen"] = format_utc(memory.last_seen);
  object["always"] = memory.always;
  return object;
}

json::array to_json(const std::vector<policy::Reason> &reasons) {
  json::array array;
  for (const auto &reason : reasons)
    array.push_back(
        json::object{{"source", reason.source}, {"rule", reason.rule}, {"said", reason.said}, {"won", reason.won}});
  return array;
}

json::object to_json(const HostPlan &plan) {
  const policy::Decision &decision = plan.decision;
  json::object object{{"domain", plan.plan->domain},
                      {"host", plan.host.name},
                      {"port", plan.host.port},
                      {"name_trust", policy::to_string(decision.name_trust)},
                      {"wish", policy::to_string(plan.plan->wish.wish)},
                      {"dane", to_json(plan.dane)},
                      {"mta_sts", to_json(plan.plan->sts)},
                      {"memory", to_json(plan.plan->memory)},
                      {"requirement", to_json(decision.enforced)},
                      {"observed", nullptr},
                      {"unusable", nullptr},
                      {"reasons", to_json(decision.reasons)}};
  if (decision.observed) object["observed"] = to_json(*decision.observed);
  if (decision.unusable) object["unusable"] = to_json(*decision.unusable);
  if (decision.observed_unusable) object["observed_unusable"] = to_json(*decision.observed_unusable);
  return object;
}

std::string format_decision(const HostPlan &plan) {
  return json::serialize(to_json(plan));
}

} // namespace mta
