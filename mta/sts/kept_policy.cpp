// Policies and the rows in which they are kept.
#include "mta/sts/kept_policy.hpp"

#include "smtp/names/domain.hpp"

namespace mta {

using smtp::ErrorCode;
using std::chrono::floor;
using std::chrono::seconds;

store::StsPolicyRow to_row(const KeptPolicy &kept) {
  return {kept.domain, kept.id, floor<seconds>(kept.fetched), floor<seconds>(kept.expires), kept.text, true};
}

smtp::Result<KeptPolicy> from_row(store::StsPolicyRow row) {
  constexpr std::chrono::sys_seconds latest{seconds(9'000'000'000)}; // the clock, in nanoseconds, ends in the year 2262
  if (!row.is_whole) return smtp::fail(ErrorCode::bad_syntax, "damaged: the fingerprint does not fit");
  const auto domain = smtp::Domain::parse(row.domain);
  if (!domain || domain->ascii() != row.domain) return smtp::fail(ErrorCode::bad_syntax, "damaged: its domain is none");
  if (row.fetched > latest || row.expires > latest)
    return smtp::fail(ErrorCode::bad_syntax, "damaged: its times are none");
  auto policy = policy::parse_sts_policy(row.text);
  if (!policy) return smtp::fail(ErrorCode::bad_syntax, "damaged: " + policy.error().detail);
  return KeptPolicy{std::move(row.domain), std::move(row.id),   row.fetched,
                    row.expires,           std::move(row.text), std::move(*policy)};
}

smtp::Result<KeptPolicies> read_kept_policies(store::Reader &reader) {
  auto rows = store::read_sts_policies(reader);
  if (!rows) return tl::unexpected(rows.error());
  KeptPolicies found;
  for (auto &row : *rows) {
    std::string domain = row.domain;
    auto kept = from_row(std::move(row));
    if (kept)
      found.policies.push_back(std::move(*kept));
    else
      found.damaged.push_back({std::move(domain), kept.error().detail});
  }
  return found;
}

} // namespace mta
