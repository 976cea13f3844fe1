#include "mta/config/dns_files.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "smtp/base/ascii.hpp"
#include "smtp/base/base64.hpp"
#include "smtp/base/text.hpp"
#include "smtp/names/domain.hpp"
#include "smtp/names/ip_address.hpp"

namespace mta {

namespace {

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; (at = line.find_first_not_of(" \t\r", at)) != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

bool is_number(std::string_view text, std::uint64_t most) {
  const auto number = smtp::parse_number(text);
  return number && *number <= most;
}

std::string joined(const std::vector<std::string_view> &words, std::size_t from) {
  std::string text;
  for (std::size_t i = from; i < words.size(); ++i) text += words[i];
  return text;
}

/// What is wrong with one record; empty: nothing.
std::string fault_of_anchor(const std::vector<std::string_view> &words) {
  if (words[0] != "." &&
      !smtp::Domain::parse(words[0].ends_with('.') ? words[0].substr(0, words[0].size() - 1) : words[0]))
    return fmt::format("\"{}\" is not a domain name", smtp::escape(words[0], 80));
  std::size_t at = 1;
  while (at < words.size() && at < 3 &&
         (is_number(words[at], 0xffffffffU) || smtp::equals_ignoring_case(words[at], "IN")))
    ++at; // TTL and class, in any order
  const std::string_view type = at < words.size() ? words[at] : std::string_view();
  const bool is_ds = smtp::equals_ignoring_case(type, "DS");
  if (!is_ds && !smtp::equals_ignoring_case(type, "DNSKEY"))
    return fmt::format("\"{}\" is neither DS nor DNSKEY", smtp::escape(type, 40));
  if (words.size() < at + 5) return "the record has too few fields";
  if (!is_number(words[at + 1], 65'535) || !is_number(words[at + 2], 255) || !is_number(words[at + 3], 255))
    return is_ds ? "key tag, algorithm and digest type are numbers" : "flags, protocol and algorithm are numbers";
  const std::string rest = joined(words, at + 4);
  if (is_ds &&
      (rest.size() % 2 != 0 || !std::all_of(rest.begin(), rest.end(), [](char c) { return smtp::hex_digit(c) >= 0; })))
    return "the digest is not hexadecimal";
  if (!is_ds && !smtp::from_base64(rest)) return "the key is not base64";
  return {};
}

template <typename Judge> smtp::Result<std::size_t> judge_lines(std::string_view text, char comment, Judge judge) {
  std::size_t count = 0;
  std::size_t number = 0;
  for (std::string_view line : smtp::split(text, '\n')) {
    ++number;
    const auto words = words_of(line.substr(0, line.find(comment)));
    if (words.empty()) continue;
    if (const std::string fault = judge(words); !fault.empty())
      return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("line {}: {}", number, fault));
    ++count;
  }
  return count;
}

} // namespace

smtp::Result<std::size_t> count_trust_anchors(std::string_view text) {
  for (const std::string_view line : smtp::split(text, '\n'))
    if (line.substr(0, line.find(';')).find('(') != std::string_view::npos) return 1;
  return judge_lines(text, ';', fault_of_anchor);
}

smtp::Result<void> check_hosts_file(std::string_view text) {
  const auto judged = judge_lines(text, '#', [](const std::vector<std::string_view> &words) -> std::string {
    // With a zone it is for this machine alone, and libunbound passes it over.
    if (words[0].find('%') != std::string_view::npos) return {};
    if (!smtp::IpAddress::parse(words[0])) return fmt::format("\"{}\" is not an address", smtp::escape(words[0], 80));
    return words.size() < 2 ? "a name is missing after the address" : "";
  });
  if (!judged) return tl::unexpected(judged.error());
  return {};
}

} // namespace mta
