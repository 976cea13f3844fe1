// The file of one fetched revocation list: see the header.
#include "mta/crl/crl_file.hpp"

#include <filesystem>
#include <string_view>

#include "mta/base/files.hpp"

namespace mta {

using smtp::ErrorCode;

namespace {

/// Nothing when it cannot be read, or is over the limit of a list.
std::optional<std::string> read_octets(const std::string &path) {
  auto octets = read_whole_file(path, tls::max_crl_octets);
  if (!octets) return std::nullopt;
  return std::move(*octets);
}

smtp::Result<void> write_octets(const std::string &path, std::string_view octets) {
  if (auto made = make_folder(std::filesystem::path(path).parent_path().string()); !made) return made;
  return replace_file(path + ".new", path, octets);
}

} // namespace

std::optional<tls::CrlFacts> read_crl_file(const std::string &path) {
  const auto octets = read_octets(path);
  if (!octets) return std::nullopt;
  auto facts = tls::read_crl(*octets);
  if (!facts) return std::nullopt;
  return std::move(*facts);
}

smtp::Result<StoredCrl> store_crl(const std::string &path, const std::string &octets,
                                  std::chrono::system_clock::time_point now) {
  auto facts = tls::read_crl(octets);
  if (!facts) return tl::unexpected(facts.error());
  StoredCrl stored{std::move(*facts), false};
  const auto kept = read_octets(path);
  if (kept && *kept == octets) return stored;
  if (stored.facts.next_update && *stored.facts.next_update <= now)
    return smtp::fail(ErrorCode::bad_syntax, "the list that came has expired");
  // Whoever sits on the way must not bring back a list from before a revocation.
  if (kept) {
    const auto old = tls::read_crl(*kept);
    if (old && old->issuer == stored.facts.issuer && old->this_update > stored.facts.this_update)
      return smtp::fail(ErrorCode::bad_syntax, "the list that came is older than the one kept");
  }
  if (auto replaced = write_octets(path, octets); !replaced) return tl::unexpected(replaced.error());
  stored.changed = true;
  return stored;
}

} // namespace mta
