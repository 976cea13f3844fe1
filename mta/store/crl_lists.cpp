// Rows of lists of revoked certificates, in and out.
#include "mta/store/crl_lists.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "mta/store/connection.hpp"

namespace mta::store {

using smtp::ErrorCode;
using smtp::Result;

namespace {

tl::unexpected<smtp::Error> nothing_kept(const std::string &url) {
  return smtp::fail(ErrorCode::not_found, fmt::format("no list of {} is kept", url));
}

std::vector<std::string> urls_of(Connection &connection) {
  std::vector<std::string> urls;
  for (auto all = connection.use("list_crls"); all.next();) urls.push_back(all.text(0));
  return urls;
}

} // namespace

Result<void> keep_crl(Store &store, const std::string &url, const std::string &octets, std::chrono::sys_seconds now) {
  return store.commit([&](Connection &connection) { connection.use("keep_crl").bind(url, now, Octets{octets}).run(); });
}

Result<std::string> read_crl(Reader &reader, const std::string &url) {
  std::optional<std::string> octets;
  const auto asked = reader.ask([&](Connection &connection) {
    auto row = connection.use("find_crl");
    if (row.bind(url).next()) octets = row.octets(0);
  });
  if (!asked) return tl::unexpected(asked.error());
  if (!octets) return nothing_kept(url);
  return std::move(*octets);
}

Result<std::vector<std::string>> list_crls(Reader &reader) {
  std::vector<std::string> urls;
  const auto asked = reader.ask([&](Connection &connection) { urls = urls_of(connection); });
  if (!asked && asked.error().code != ErrorCode::not_found) return tl::unexpected(asked.error());
  return urls;
}

void keep_only_crls(Store &store, const std::vector<std::string> &named) {
  static_cast<void>(store.add(
      [named](Connection &connection) {
        for (const std::string &url : urls_of(connection))
          if (std::find(named.begin(), named.end(), url) == named.end()) connection.use("remove_crl").bind(url).run();
      },
      0, Store::Weight::kept));
}

Result<void> forget_crl(const std::string &folder, const std::string &url) {
  int removed = 0;
  const auto changed = change_from_outside(
      folder, [&](Connection &connection) { removed = connection.use("remove_crl").bind(url).run(); });
  if (changed && removed == 0) return nothing_kept(url);
  return changed;
}

} // namespace mta::store
