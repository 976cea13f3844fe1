// Rows of MTA-STS policies, in and out.
#include "mta/store/sts_policies.hpp"

#include <fmt/format.h>

#include "mta/store/connection.hpp"
#include "policy/mta_sts.hpp"

namespace mta::store {

using smtp::ErrorCode;
using smtp::Result;

namespace {

std::string fingerprint_of(const StsPolicyRow &row) {
  return policy::sts_fingerprint(fmt::format("{}\n{}\n{}\n{}\n{}", row.domain, row.id,
                                             row.fetched.time_since_epoch().count(),
                                             row.expires.time_since_epoch().count(), row.text));
}

StsPolicyRow policy_at(const Query &row) {
  StsPolicyRow out;
  out.domain = row.text(0);
  out.id = row.text(1);
  out.fetched = row.time(2);
  out.expires = row.time(3);
  out.text = row.text(4);
  out.is_whole = row.text(5) == fingerprint_of(out);
  return out;
}

} // namespace

bool keep_sts_policy(Store &store, StsPolicyRow row) {
  const std::size_t octets = row.domain.size() + row.id.size() + row.text.size();
  std::string fingerprint = fingerprint_of(row);
  return store.add(
      [row = std::move(row), fingerprint = std::move(fingerprint)](Connection &connection) {
        connection.use("keep_sts_policy")
            .bind(row.domain, row.id, row.fetched, row.expires, row.text, fingerprint)
            .run();
      },
      octets, Store::Weight::kept);
}

bool remove_sts_policy(Store &store, std::string domain) {
  const std::size_t octets = domain.size();
  return store.add(
      [domain = std::move(domain)](Connection &connection) { connection.use("remove_sts_policy").bind(domain).run(); },
      octets, Store::Weight::kept);
}

Result<std::vector<StsPolicyRow>> read_sts_policies(Reader &reader) {
  std::vector<StsPolicyRow> rows;
  const auto asked = reader.ask([&](Connection &connection) {
    rows.clear();
    auto all = connection.use("list_sts_policies");
    while (all.next()) rows.push_back(policy_at(all));
  });
  if (!asked && asked.error().code != ErrorCode::not_found) return tl::unexpected(asked.error());
  return rows;
}

Result<StsPolicyRow> read_sts_policy(Reader &reader, const std::string &domain) {
  std::vector<StsPolicyRow> found;
  const auto asked = reader.ask([&](Connection &connection) {
    found.clear();
    auto row = connection.use("find_sts_policy");
    if (row.bind(domain).next()) found.push_back(policy_at(row));
  });
  if (!asked) return tl::unexpected(asked.error());
  if (found.empty()) return smtp::fail(ErrorCode::not_found, fmt::format("no policy of {} is kept", domain));
  return std::move(found.front());
}

Result<void> forget_sts_policy(const std::string &folder, const std::string &domain) {
  int removed = 0;
  const auto changed = change_from_outside(
      folder, [&](Connection &connection) { removed = connection.use("remove_sts_policy").bind(domain).run(); });
  if (!changed) return changed;
  if (removed == 0) return smtp::fail(ErrorCode::not_found, fmt::format("no policy of {} is kept", domain));
  return {};
}

} // namespace mta::store
