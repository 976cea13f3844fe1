// Partner and PartnerTable: the per-domain policy for known partners, both directions, and its look-up.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/requirement.hpp"
#include "smtp/base/result.hpp"
#include "smtp/base/text_map.hpp"
#include "smtp/names/domain.hpp"
#include "smtp/names/ip_address.hpp"

namespace policy {

/// One host of a route: a name or an address, a port, and whether TLS starts at once.
struct RouteHost {
  std::string host; ///< a domain name, or an address as text
  std::uint16_t port = 25;
  int preference = 10; ///< lower first; equal ones are shuffled
  friend bool operator==(const RouteHost &, const RouteHost &) = default;
};

/// How mail for some domains is handed on instead of by MX: smart hosts, a private network.
struct Route {
  std::string name; ///< for logs; the key's place when it stands in a partner file
  std::vector<RouteHost> hosts;
  bool implicit_tls = false;      ///< TLS from the first octet instead of STARTTLS
  bool look_up_mx = false;        ///< the host is a domain whose MX records are asked for (off: addresses only)
  std::string client_certificate; ///< name of a [[certificate]]; empty: none
  std::string place;              ///< "portcullis.toml:88"
  friend bool operator==(const Route &, const Route &) = default;
};

enum class OnFailure : std::uint8_t { reject, defer };

struct OutboundRule {
  Mode mode = Mode::enforce;
  std::optional<std::chrono::sys_days> from; ///< with mode enforce: observed before this day (UTC)
  tls::Level level = tls::Level::authenticated;
  std::vector<std::string> match;
  std::string trust = "system";
  std::vector<std::string>
      crls; ///< files and http URLs; every certificate below the trust anchor must have a valid one
  std::vector<std::string> pins;
  std::string profile = "ncsc";
  std::optional<Route> route;
  std::string place; ///< "partners.d/example.toml:9"
  friend bool operator==(const OutboundRule &, const OutboundRule &) = default;
};

struct InboundRule {
  Mode mode = Mode::enforce;
  std::optional<std::chrono::sys_days> from; ///< as OutboundRule::from
  tls::Level level = tls::Level::encrypted;  ///< encrypted or authenticated
  std::vector<std::string> names; ///< certificate names, patterns of one label; empty: the sender's domain itself, or
                                  ///< any name on a leaf whose key is pinned
  std::string trust = "system";
  std::vector<std::string> crls;
  std::vector<std::string> pins;
  bool accept_server_auth = false;
  std::vector<smtp::Network> networks; ///< instead of a certificate
  OnFailure on_failure = OnFailure::reject;
  std::vector<std::string> listeners{}; ///< names of those that the rule holds for; empty: all
  bool authors =
      false; ///< holds for mail whose author (header From) is of the domain, as well as for its envelope sender
  std::string place;
  friend bool operator==(const InboundRule &, const InboundRule &) = default;
};

struct Exception {
  smtp::DomainPattern domain;
  tls::Level level = tls::Level::opportunistic;
  std::string owner;
  std::string reason;
  std::chrono::sys_days expires; ///< counts through this day (UTC)
  std::string place;
  friend bool operator==(const Exception &, const Exception &) = default;
};

struct Partner {
  std::string name;
  std::vector<smtp::DomainPattern> domains;
  std::string contact;
  std::string reference;
  std::optional<std::chrono::sys_days> review;
  std::optional<OutboundRule> outbound;
  std::optional<InboundRule> inbound;
  std::vector<Exception> exceptions;
  std::string file;
  friend bool operator==(const Partner &, const Partner &) = default;
};

/// Immutable after build(). Look-up is by hash of the name and its parents: no slower with 10,000 partners.
class PartnerTable {
public:
  PartnerTable() = default;
  /// Fails when two partners claim the same pattern ("overlapping rules"), naming both places. `own`: the domains that
  /// are ours (A-labels, lower case); a rule or an exception reaches one of them only by its name, never by a wildcard.
  [[nodiscard]] static smtp::Result<PartnerTable> build(std::vector<Partner> partners,
                                                        const std::vector<std::string> &own = {});
  /// With other partners and the same domains of ours.
  [[nodiscard]] smtp::Result<PartnerTable> with(std::vector<Partner> partners) const;

  /// The partner whose pattern matches best (exact before wildcard, longest wildcard first), or null.
  [[nodiscard]] const Partner *find(const smtp::Domain &domain) const noexcept;
  /// All exceptions for the domain, expired or not, the most specific first; of equally specific ones the last to
  /// expire first. An exception counts for the domains of its own partner, and for another partner's only where it is
  /// no broader than the pattern by which that partner was found.
  [[nodiscard]] std::vector<const Exception *> find_exceptions(const smtp::Domain &domain) const;
  /// The first of find_exceptions(), or null.
  [[nodiscard]] const Exception *find_exception(const smtp::Domain &domain) const;
  [[nodiscard]] const std::vector<Partner> &partners() const noexcept { return partners_; }

private:
  struct ExceptionIndex {
    std::size_t partner = 0;
    std::size_t exception = 0;
  };
  using ExceptionMap = smtp::TextMap<std::vector<ExceptionIndex>>;
  struct Match {
    const Partner *partner = nullptr;
    std::string_view base; ///< of the pattern that matched; a view into the domain asked for
    bool exact = false;
  };
  [[nodiscard]] Match match(const smtp::Domain &domain) const noexcept;
  [[nodiscard]] const Exception &at(const ExceptionIndex &index) const noexcept {
    return partners_[index.partner].exceptions[index.exception];
  }

  std::vector<Partner> partners_;
  smtp::TextMap<bool> own_;             ///< the domains that are ours
  smtp::TextMap<std::size_t> exact_;    ///< name to index
  smtp::TextMap<std::size_t> wildcard_; ///< base of "*.base" ("" for "*") to index
  ExceptionMap exact_exceptions_;
  ExceptionMap wildcard_exceptions_;
};

} // namespace policy
