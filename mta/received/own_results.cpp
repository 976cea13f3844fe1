#include "mta/received/own_results.hpp"

#include <vector>

#include <fmt/format.h>

#include "auth/core/header_fields.hpp"
#include "auth/core/results_field.hpp"
#include "mta/received/report_text.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

std::string describe(const auth::MethodResult &result, std::string_view property) {
  std::string text = fmt::format("{}={}", result.method, result.result);
  const std::string_view value = result.property(property);
  if (!value.empty()) text += fmt::format(" {}", value.substr(value.rfind('@') + 1));
  return clean_report_text(text);
}

/// The first result of the method, a pass before others.
const auth::MethodResult *find(const std::vector<auth::MethodResult> &results, std::string_view method) {
  const auth::MethodResult *found = nullptr;
  for (const auto &result : results) {
    if (result.method != method) continue;
    if (result.result == "pass") return &result;
    if (!found) found = &result;
  }
  return found;
}

} // namespace

std::string describe_own_results(std::string_view trace, std::string_view authserv_id) {
  const auth::HeaderFields fields{std::string(trace)};
  std::vector<auth::MethodResult> results;
  for (const auth::HeaderField *field : fields.named("Authentication-Results")) {
    auth::ResultsPayload payload = auth::parse_results(field->value);
    if (!smtp::equals_ignoring_case(payload.authserv_id, authserv_id)) continue;
    for (auto &result : payload.results) results.push_back(std::move(result));
  }
  if (const auto *dmarc = find(results, "dmarc")) return describe(*dmarc, "header.from");
  if (const auto *dkim = find(results, "dkim")) return describe(*dkim, "header.d");
  if (const auto *spf = find(results, "spf")) return describe(*spf, "smtp.mailfrom");
  return {};
}

} // namespace mta
