// KeptPolicy: see the header.
#include "mta/sts/kept_policy.hpp"

#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "mta/base/files.hpp"
#include "smtp/base/text.hpp"
#include "smtp/names/domain.hpp"

namespace mta {

using smtp::ErrorCode;
using std::chrono::system_clock;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view first_line = "portcullis-sts 1\n";
constexpr std::size_t file_limit = policy::sts_text_limit + 4096;

tl::unexpected<smtp::Error> damaged(std::string_view why) {
  return smtp::fail(ErrorCode::bad_syntax, fmt::format("damaged: {}", why));
}

std::int64_t seconds_of(system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

/// Takes the line "NAME VALUE\n" off the front.
std::optional<std::string_view> take(std::string_view &text, std::string_view name) {
  const auto end = text.find('\n');
  if (end == std::string_view::npos || !text.starts_with(name) || text.size() <= name.size() ||
      text[name.size()] != ' ')
    return std::nullopt;
  const std::string_view value = text.substr(name.size() + 1, end - name.size() - 1);
  text.remove_prefix(end + 1);
  return value;
}

std::optional<system_clock::time_point> take_time(std::string_view &text, std::string_view name) {
  const auto value = take(text, name);
  const auto seconds = value ? smtp::parse_number(*value) : std::nullopt;
  if (!seconds || *seconds > 9'000'000'000) return std::nullopt; // the clock, in nanoseconds, ends in the year 2262
  return system_clock::time_point(std::chrono::seconds(*seconds));
}

/// The names of files are the domains themselves; others (of writes under way) begin with a dot.
bool is_domain_name(const std::string &name) {
  const auto domain = smtp::Domain::parse(name);
  return domain && domain->ascii() == name;
}

smtp::Result<KeptPolicy> read_one(const std::string &path, const std::string &domain) {
  const auto text = read_whole_file(path, file_limit);
  if (!text && text.error().code == ErrorCode::too_long) return damaged(text.error().detail);
  if (!text) return tl::unexpected(text.error());
  auto kept = decode_kept_policy(*text);
  if (kept && kept->domain != domain)
    return damaged(fmt::format("it holds the policy of {}", smtp::escape(kept->domain)));
  return kept;
}

} // namespace

std::string encode_kept_policy(const KeptPolicy &kept) {
  std::string text =
      fmt::format("{}domain {}\nid {}\nfetched {}\nexpires {}\ntext {}\n{}\n", first_line, kept.domain, kept.id,
                  seconds_of(kept.fetched), seconds_of(kept.expires), kept.text.size(), kept.text);
  return text + fmt::format("check {}\n", policy::sts_fingerprint(text));
}

smtp::Result<KeptPolicy> decode_kept_policy(std::string_view text) {
  constexpr std::size_t check_size = 6 + 16 + 1; // "check ", digits, LF
  if (text.size() < check_size) return damaged("the file is cut");
  std::string_view check = text.substr(text.size() - check_size);
  text.remove_suffix(check_size);
  if (take(check, "check") != policy::sts_fingerprint(text)) return damaged("the checksum does not fit");
  if (!text.starts_with(first_line)) return damaged("it is not of this version");
  text.remove_prefix(first_line.size());
  KeptPolicy kept;
  const auto domain = take(text, "domain");
  const auto id = take(text, "id");
  const auto fetched = take_time(text, "fetched");
  const auto expires = take_time(text, "expires");
  const auto length = take(text, "text");
  const auto size = length ? smtp::parse_number(*length) : std::nullopt;
  if (!domain || !id || !fetched || !expires || !size) return damaged("a line is missing");
  const std::uint64_t octets = size.value_or(file_limit);
  if (octets >= text.size() || octets + 1 != text.size()) return damaged("its text has another length than it says");
  kept.domain = std::string(*domain);
  if (!is_domain_name(kept.domain)) return damaged("its domain is none");
  kept.id = std::string(*id);
  kept.fetched = *fetched;
  kept.expires = *expires;
  kept.text = std::string(text.substr(0, octets));
  auto policy = policy::parse_sts_policy(kept.text);
  if (!policy) return damaged(policy.error().detail);
  kept.policy = std::move(*policy);
  return kept;
}

smtp::Result<KeptPolicies> read_kept_policies(const std::string &folder) {
  KeptPolicies found;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  if (error == std::errc::no_such_file_or_directory) return found;
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!is_domain_name(name)) continue;
    auto kept = read_one(entry->path().string(), name);
    if (kept)
      found.policies.push_back(std::move(*kept));
    else
      found.damaged.push_back({name, entry->path().string(), kept.error().detail});
  }
  if (error) return smtp::fail(ErrorCode::io, fmt::format("{}: cannot be read: {}", folder, error.message()));
  return found;
}

smtp::Result<KeptPolicy> read_kept_policy(const std::string &folder, const std::string &domain) {
  if (!is_domain_name(domain))
    return smtp::fail(ErrorCode::not_found, fmt::format("{} is not a domain", smtp::escape(domain)));
  return read_one(fmt::format("{}/{}", folder, domain), domain);
}

smtp::Result<void> write_kept_policy(const std::string &folder, const KeptPolicy &kept) {
  if (auto made = make_folder(folder); !made) return made;
  // One writer at a time: the service's own thread.
  return replace_file(folder + "/.new", fmt::format("{}/{}", folder, kept.domain), encode_kept_policy(kept));
}

smtp::Result<void> remove_kept_policy(const std::string &folder, const std::string &domain) {
  return remove_file(fmt::format("{}/{}", folder, domain));
}

} // namespace mta
