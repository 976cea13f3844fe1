// HoldRules: standing holds: mail that fits one is kept from its acceptance on, until the rule and the hold are taken
// back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/queue/filter.hpp"
#include "smtp/names/ip_address.hpp"

namespace mta {

/// What it names must all fit; at least one of the four is named.
struct HoldRule {
  std::uint32_t number = 0;            ///< never used again
  std::string recipient_domain;        ///< as QueueFilter
  std::string recipient;               ///< mailbox
  std::string sender;                  ///< as QueueFilter
  std::optional<smtp::Network> client; ///< from where the message came
  std::string reason;
  std::string by;
  WallTime since{};
  friend bool operator==(const HoldRule &, const HoldRule &) = default;
};

[[nodiscard]] bool matches(const HoldRule &rule, const QueuedMessage &message);
/// The same question to the queue.
[[nodiscard]] QueueFilter filter_of(const HoldRule &rule);
/// "hold-rule 3: " and the reason: of a message that the rule holds. Its beginning finds them all
/// (QueueFilter::reason).
[[nodiscard]] std::string hold_reason_of(const HoldRule &rule);
[[nodiscard]] std::string hold_prefix_of(std::uint32_t number);
/// The number of the rule that holds, by the reason of the hold; nothing: a person holds it.
[[nodiscard]] std::optional<std::uint32_t> hold_number_of(std::string_view reason);

/// The rules in force, kept in a file. Not thread-safe. add() and remove() wait for the disk; where nobody may wait the
/// three steps of a change are taken one by one: plan, write (on any thread), take, and no other change between them.
class HoldRules {
public:
  static constexpr std::size_t limit = 1'000;

  /// No file: no rules. Errors: io, and a file that is damaged: mail that is to be held must not slip away.
  [[nodiscard]] static smtp::Result<HoldRules> open(std::string path);

  [[nodiscard]] const std::vector<HoldRule> &rules() const noexcept { return rules_; }
  /// The first that fits; null: none.
  [[nodiscard]] const HoldRule *find(const QueuedMessage &message) const;
  struct Change {
    std::string path;
    std::vector<HoldRule> rules; ///< that will be in force
    std::uint32_t last = 0;
    HoldRule subject; ///< that is added, with its number, or removed
    /// Waits for the disk. Errors: io.
    [[nodiscard]] smtp::Result<void> write() const;
  };
  /// Errors: too_long (limit).
  [[nodiscard]] smtp::Result<Change> plan_add(HoldRule rule) const;
  /// Errors: not_found.
  [[nodiscard]] smtp::Result<Change> plan_removal(std::uint32_t number) const;
  /// The change, which is written, is in force.
  void take(Change change);
  /// Gives the rule its number. Errors: too_long (limit), io; then nothing changes.
  [[nodiscard]] smtp::Result<std::uint32_t> add(HoldRule rule);
  /// Errors: not_found, io.
  [[nodiscard]] smtp::Result<HoldRule> remove(std::uint32_t number);

private:
  explicit HoldRules(std::string path) : path_(std::move(path)) {}

  std::string path_;
  std::vector<HoldRule> rules_;
  std::uint32_t last_ = 0;
};

} // namespace mta
