#include "mta/queue/hold_rules.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "mta/base/files.hpp"
#include "mta/queue/octets.hpp"

namespace mta {

namespace {

// file = "PTCHOLD1" last count *( number recipient_domain recipient sender client reason by since )
constexpr std::string_view hold_file_magic = "PTCHOLD1";
constexpr std::size_t hold_file_limit = 16U << 20U;
constexpr std::size_t hold_text_limit = 4'096;

std::string encode(const std::vector<HoldRule> &rules, std::uint32_t last) {
  OctetWriter out(256 * (rules.size() + 1));
  out.text(hold_file_magic);
  out.number(last);
  out.number(static_cast<std::uint32_t>(rules.size()));
  for (const HoldRule &rule : rules) {
    out.number(rule.number);
    out.text(rule.recipient_domain);
    out.text(rule.recipient);
    out.text(rule.sender);
    out.text(rule.client ? rule.client->to_string() : std::string());
    out.text(rule.reason);
    out.text(rule.by);
    out.time(rule.since);
  }
  return std::move(out).take();
}

HoldRule read_rule(OctetReader &in) {
  HoldRule rule;
  rule.number = in.number<std::uint32_t>("number");
  rule.recipient_domain = in.text("recipient_domain", hold_text_limit);
  rule.recipient = in.text("recipient", hold_text_limit);
  rule.sender = in.text("sender", hold_text_limit);
  if (const auto client = in.text("client", hold_text_limit); !client.empty()) {
    const auto network = smtp::Network::parse(client);
    if (network)
      rule.client = *network;
    else
      in.set_error("field client is not a network: " + network.error().detail);
  }
  rule.reason = in.text("reason", hold_text_limit);
  rule.by = in.text("by", hold_text_limit);
  rule.since = in.time("since");
  return rule;
}

} // namespace

QueueFilter filter_of(const HoldRule &rule) {
  QueueFilter filter;
  filter.recipient_domain = rule.recipient_domain;
  filter.recipient = rule.recipient;
  filter.sender = rule.sender;
  filter.client = rule.client;
  return filter;
}

bool matches(const HoldRule &rule, const QueuedMessage &message) {
  return matches(filter_of(rule), message, message.envelope.arrival);
}

std::string hold_prefix_of(std::uint32_t number) {
  return fmt::format("hold-rule {}:", number);
}

std::optional<std::uint32_t> hold_number_of(std::string_view reason) {
  constexpr std::string_view before = "hold-rule ";
  if (!reason.starts_with(before)) return std::nullopt;
  reason.remove_prefix(before.size());
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(reason.data(), reason.data() + reason.size(), number);
  if (error != std::errc() || end == reason.data() + reason.size() || *end != ':') return std::nullopt;
  return number;
}

std::string hold_reason_of(const HoldRule &rule) {
  return fmt::format("{} {}", hold_prefix_of(rule.number), rule.reason);
}

smtp::Result<HoldRules> HoldRules::open(std::string path) {
  HoldRules rules(std::move(path));
  const auto octets = read_whole_file(rules.path_, hold_file_limit);
  if (!octets) {
    if (octets.error().code == smtp::ErrorCode::not_found) return rules;
    return tl::unexpected(octets.error());
  }
  OctetReader in(*octets);
  if (in.text("magic", hold_file_magic.size()) != hold_file_magic) in.set_error("it is not a list of standing holds");
  rules.last_ = in.number<std::uint32_t>("last");
  const auto count = in.number<std::uint32_t>("count");
  if (count > limit) in.set_error(fmt::format("field count is {}, limit is {}", count, limit));
  for (std::uint32_t i = 0; i < count && !in.has_failed(); ++i) rules.rules_.push_back(read_rule(in));
  if (in.has_failed())
    return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("standing holds {}: {}", rules.path_, in.error()));
  return rules;
}

const HoldRule *HoldRules::find(const QueuedMessage &message) const {
  for (const HoldRule &rule : rules_)
    if (matches(rule, message)) return &rule;
  return nullptr;
}

smtp::Result<HoldRules::Change> HoldRules::plan_add(HoldRule rule) const {
  if (rules_.size() >= limit)
    return smtp::fail(smtp::ErrorCode::too_long,
                      fmt::format("there are {} standing holds, limit is {}", rules_.size(), limit));
  rule.number = last_ + 1;
  Change change{.path = path_, .rules = rules_, .last = last_ + 1, .subject = rule};
  change.rules.push_back(std::move(rule));
  return change;
}

smtp::Result<HoldRules::Change> HoldRules::plan_removal(std::uint32_t number) const {
  Change change{.path = path_, .rules = rules_, .last = last_, .subject = {}};
  const auto found = std::find_if(change.rules.begin(), change.rules.end(),
                                  [&](const HoldRule &rule) { return rule.number == number; });
  if (found == change.rules.end())
    return smtp::fail(smtp::ErrorCode::not_found, fmt::format("there is no standing hold {}", number));
  change.subject = std::move(*found);
  change.rules.erase(found);
  return change;
}

smtp::Result<void> HoldRules::Change::write() const {
  return replace_file(path + ".new", path, encode(rules, last));
}

void HoldRules::take(Change change) {
  rules_ = std::move(change.rules);
  last_ = change.last;
}

smtp::Result<std::uint32_t> HoldRules::add(HoldRule rule) {
  auto change = plan_add(std::move(rule));
  if (!change) return tl::unexpected(change.error());
  if (auto written = change->write(); !written) return tl::unexpected(written.error());
  take(std::move(*change));
  return last_;
}

smtp::Result<HoldRule> HoldRules::remove(std::uint32_t number) {
  auto change = plan_removal(number);
  if (!change) return tl::unexpected(change.error());
  if (auto written = change->write(); !written) return tl::unexpected(written.error());
  HoldRule gone = change->subject;
  take(std::move(*change));
  return gone;
}

} // namespace mta
