// Claims: what each source of TLS policy demands of one host, in the order in which decide_tls() weighs them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policy/requirement.hpp"
#include "policy/tls_sources.hpp"
#include "tls/core/level.hpp"

namespace policy {

/// How a rule wants a level to be proven; views into the rule.
struct Means {
  const std::string *profile = nullptr;
  const std::string *trust = nullptr;
  const std::vector<std::string> *match = nullptr;
  const std::vector<std::string> *pins = nullptr;
  const std::vector<std::string> *crls = nullptr; ///< null: none
};

/// One source's demand.
struct Claim {
  /// How the level counts against the claims before it.
  enum class Effect : std::uint8_t {
    none,    ///< listed only: not asked, does not apply, or passed over
    demands, ///< the highest level wins; of equal ones a later rule's, which is closer to the domain
    lowers,  ///< takes away what the claims before it demand above its level, and no more
    sets,    ///< stands, whatever the claims before it demand of the level and the host
    caps,    ///< as `sets`, but never raises
  };
  Reason reason;
  Effect effect = Effect::demands;
  Mode mode = Mode::enforce;
  tls::Level level = tls::Level::none;
  std::optional<Means>
      means; ///< nothing: the source demands a level only; they count where this claim's level is proven
  /// A rule that was written for these domains, not for everyone: at level authenticated it holds beside DANE.
  bool for_domain = false;
  /// MTA-STS: the proof is the host's own name by a CA of the operating system.
  bool by_host_name = false;
  std::optional<Unusable> forbids; ///< the host must not be used
  /// A partner's rule of at least authenticated does without this source: what it forbids is then passed over.
  bool yields_to_partner = false;
};

/// General sources first, then those closer to the domain, then those of the message; never empty, and the first has
/// means. `name_trust` is that of the host's name.
[[nodiscard]] std::vector<Claim> collect_claims(const TlsSources &sources, NameTrust name_trust);

/// Exceptions for the domain that no longer count, to be listed.
[[nodiscard]] std::vector<Reason> list_expired(const TlsSources &sources);

/// How far the name of the host can be believed: as configured (a route, or a name in the `match` of the enforced
/// rule), from DNSSEC, or named by a valid MTA-STS policy, be it enforced or tested.
[[nodiscard]] NameTrust trust_of_name(const TlsSources &sources);

} // namespace policy
