// Judges a list that came by itself and by what is kept.
#include "mta/crl/kept_crl.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "mta/log/time_stamp.hpp"

namespace mta {

using smtp::ErrorCode;
using tls::CrlFacts;
using tls::CrlProof;
using Lists = std::vector<CrlFacts>;
using Time = std::chrono::system_clock::time_point;

namespace {

smtp::Result<void> refuse(std::string why) {
  return smtp::fail(ErrorCode::bad_syntax, "the list that came " + std::move(why));
}

bool has_ended(const CrlFacts &list, Time now) {
  return list.next_update && *list.next_update <= now;
}

/// By itself, whatever is kept.
smtp::Result<void> judge_list(const CrlFacts &list, Time now) {
  if (has_ended(list, now)) return refuse("has expired");
  // It could not be used yet, and would keep out every list of today.
  if (list.this_update > now) return refuse(fmt::format("is valid from {} on", format_time_stamp(list.this_update)));
  if (list.proof == CrlProof::refuted)
    return refuse(fmt::format("is not signed by its issuer, {}, whose certificate `trust` holds", list.issuer));
  return {};
}

bool begins_before(const CrlFacts &first, const CrlFacts &second) {
  return first.this_update < second.this_update;
}

/// Whether what came may follow this kept list. Whoever sits on the way must not bring back a list from before a
/// revocation, neither at once nor with another issuer's list as a step between.
smtp::Result<void> judge_succession(const Lists &came, const CrlFacts &kept, const std::string &url, Time now) {
  Lists same;
  std::copy_if(came.begin(), came.end(), std::back_inserter(same),
               [&](const CrlFacts &list) { return list.issuer == kept.issuer; });
  const Lists &rivals = same.empty() ? came : same;
  const CrlFacts &newest = *std::max_element(rivals.begin(), rivals.end(), begins_before);
  if (kept.proof == CrlProof::verified && newest.proof != CrlProof::verified)
    return refuse(fmt::format(
        "is of {}, which is not a CA of `trust`, as that of the one kept is; to take it: portcullis crl forget {}",
        newest.issuer, url));
  // A forged list may have been kept before the right one came.
  if (kept.proof != CrlProof::verified && newest.proof == CrlProof::verified) return {};
  if (same.empty() && !has_ended(kept, now))
    return refuse(fmt::format("is of another issuer, {}, than the one kept, {}, which is in date until {}; "
                              "to take it: portcullis crl forget {}",
                              newest.issuer, kept.issuer,
                              kept.next_update ? format_time_stamp(*kept.next_update) : "ever", url));
  if (newest.this_update < kept.this_update) return refuse("is older than the one kept");
  return {};
}

smtp::Result<void> judge_all(const Lists &came, const Lists &kept, const std::string &url, Time now) {
  for (const CrlFacts &list : came)
    if (auto good = judge_list(list, now); !good) return good;
  for (const CrlFacts &list : kept)
    if (auto good = judge_succession(came, list, url, now); !good) return good;
  return {};
}

} // namespace

KeptCrls kept_crls(store::Reader &reader) {
  return [&reader](const std::string &url) { return store::read_crl(reader, url).value_or(std::string()); };
}

std::optional<tls::CrlFacts> read_kept_crl(store::Reader &reader, const std::string &url) {
  const auto octets = store::read_crl(reader, url);
  if (!octets) return std::nullopt;
  auto facts = tls::read_crl(*octets);
  if (!facts) return std::nullopt;
  return std::move(*facts);
}

smtp::Result<StoredCrl> store_crl(store::Store &store, const std::string &url, const std::string &octets,
                                  const std::vector<std::shared_ptr<const tls::TrustStore>> &trust, Time now) {
  const auto came = tls::read_crls(octets, trust);
  if (!came) return tl::unexpected(came.error());
  StoredCrl stored{tls::first_to_end(*came), false};
  const auto kept = store::read_crl(store.reader(), url);
  // What cannot be read may be newer than what came.
  if (!kept && kept.error().code != ErrorCode::not_found) return tl::unexpected(kept.error());
  if (kept && *kept == octets) return stored;
  Lists old;
  if (auto lists = kept ? tls::read_crls(*kept, trust) : Lists{}) old = std::move(*lists);
  if (auto good = judge_all(*came, old, url, now); !good) return tl::unexpected(good.error());
  if (auto written = store::keep_crl(store, url, octets, std::chrono::floor<std::chrono::seconds>(now)); !written)
    return tl::unexpected(written.error());
  stored.changed = true;
  return stored;
}

} // namespace mta
