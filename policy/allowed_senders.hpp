// AllowedSenders: which senders a client of a relay listener may use, in the envelope and in the message's own header.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.hpp"
#include "smtp/names/domain.hpp"
#include "smtp/names/ip_address.hpp"
#include "smtp/names/mailbox.hpp"

namespace policy {

/// "user@example.org", "example.org" (the domain itself), "*.example.org" (every name below it) or "*" (anyone).
struct SenderPattern {
  std::optional<smtp::Mailbox> mailbox; ///< its local part is compared without case
  std::optional<smtp::DomainPattern> domain;
  [[nodiscard]] static smtp::Result<SenderPattern> parse(std::string_view text);
  [[nodiscard]] bool allows(const smtp::Mailbox &sender) const noexcept;
  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const SenderPattern &, const SenderPattern &) = default;
};

/// One [[listener.allowed_senders]]: clients, known by any of the three, and what they may use.
struct AllowedSenders {
  std::vector<smtp::Network> networks;
  std::vector<std::string> names; ///< certificate names (patterns of one label); the chain must lead to trusted_ca
  std::vector<std::string> pins;  ///< keys of client certificates
  std::vector<SenderPattern> senders;
  std::string place;
  friend bool operator==(const AllowedSenders &, const AllowedSenders &) = default;
};

/// What one client may use: the union of all blocks that name it.
class SenderPermit {
public:
  /// Any sender.
  SenderPermit() = default;
  /// `blocks` are those that name the client, and outlive the permit; without one it may use no sender at all.
  explicit SenderPermit(std::vector<const AllowedSenders *> blocks) : blocks_(std::move(blocks)) {}

  [[nodiscard]] bool is_restricted() const noexcept { return blocks_.has_value(); }
  [[nodiscard]] bool allows(const smtp::Mailbox &sender) const noexcept;
  /// Every address of the domain.
  [[nodiscard]] bool allows_domain(const smtp::Domain &domain) const noexcept;

private:
  std::optional<std::vector<const AllowedSenders *>> blocks_; ///< nothing: any sender
};

} // namespace policy
