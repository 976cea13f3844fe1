#include "mta/outbound/decision_text.hpp"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/log/printable.hpp"

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

json::object describe(const policy::Unusable &unusable) {
  return {{"source", policy::to_string(unusable.source)},
          {"reason", unusable.reason},
          {"fault", policy::to_string(unusable.fault)}};
}

} // namespace

bool has_policy(const policy::StsFacts &sts) noexcept {
  return !sts.mx.empty() || sts.fetched != std::chrono::system_clock::time_point{};
}

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
  if (!requirement.also.empty()) {
    json::array also;
    for (const auto &demand : requirement.also)
      also.push_back(json::object{{"trust", demand.trust},
                                  {"references", to_array(demand.references)},
                                  {"pins", to_array(demand.pins)},
                                  {"crls", to_array(demand.crls)},
                                  {"rule", demand.rule}});
    object["also"] = std::move(also);
  }
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
  if (!sts.id.empty()) object["id"] = sts.id;
  if (has_policy(sts)) {
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
    array.push_back(json::object{{"source", policy::to_string(reason.source)},
                                 {"rule", reason.rule},
                                 {"said", reason.said},
                                 {"won", reason.won}});
  return array;
}

namespace {

json::object describe(const Plan &plan, const policy::Decision &decision, const NextHost &host,
                      const policy::DaneFacts &dane) {
  json::object object{{"domain", plan.domain},
                      {"host", host.name},
                      {"port", host.port},
                      {"name_trust", policy::to_string(decision.name_trust)},
                      {"wish", policy::to_string(plan.wish.wish)},
                      {"dane", to_json(dane)},
                      {"mta_sts", to_json(plan.sts)},
                      {"memory", to_json(plan.memory)},
                      {"requirement", to_json(decision.enforced)},
                      {"observed", nullptr},
                      {"unusable", nullptr},
                      {"reasons", to_json(decision.reasons)}};
  if (decision.observed) object["observed"] = to_json(*decision.observed);
  if (decision.unusable) object["unusable"] = describe(*decision.unusable);
  if (decision.observed_unusable) object["observed_unusable"] = describe(*decision.observed_unusable);
  return object;
}

} // namespace

namespace {

/// For the record: equal for equal decisions.
std::string to_record(json::object object, const policy::MemoryFacts &memory) {
  if (memory.known) object["memory"].as_object()["last_seen"] = format_utc(memory.last_seen).substr(0, 10);
  make_utf8(object);
  return json::serialize(object);
}

} // namespace

json::object to_json(const HostPlan &plan) {
  return describe(*plan.plan, plan.decision, plan.host, plan.dane);
}

std::string format_decision(const HostPlan &plan) {
  policy::DaneFacts dane = plan.dane;
  std::sort(dane.records.begin(), dane.records.end());
  return to_record(describe(*plan.plan, plan.decision, plan.host, dane), plan.plan->memory);
}

std::string format_decision(const Plan &plan) {
  return to_record(describe(plan, plan.decision, {}, {}), plan.memory);
}

} // namespace mta
