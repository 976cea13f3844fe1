// judge_message: what becomes of a message once SPF, DKIM, DMARC and ARC are known.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/from_field.hpp"
#include "auth/core/results.hpp"
#include "policy/requirement.hpp"
#include "smtp/names/domain.hpp"
#include "smtp/wire/reply.hpp"

namespace policy {

enum class MessageAction : std::uint8_t { accept, quarantine, reject, defer };
/// "accept", "quarantine", "reject", "defer".
[[nodiscard]] std::string_view to_string(MessageAction action) noexcept;

/// Whose name a rule of the configuration looks at.
enum class OverrideSubject : std::uint8_t {
  author,    ///< the domain of header From
  forwarder, ///< a domain that passed: SPF of MAIL FROM or HELO, or d= of a DKIM signature
};

/// A rule of the configuration: failures of these domains get this disposition instead of the published policy.
struct DmarcOverride {
  smtp::DomainPattern domains;
  OverrideSubject subject = OverrideSubject::author;
  auth::DmarcPolicy disposition = auth::DmarcPolicy::none;
  std::string owner;
  std::string reason;
  std::string place; ///< "portcullis.toml:88"
};

/// What the configuration says.
struct MessageRules {
  Mode mode = Mode::enforce;
  bool own_domain_shield = true;      ///< mail from outside with our domain in From must pass SPF or DKIM aligned
  bool refuse_several_authors = true; ///< several From fields, or addresses of several domains: 550
  bool refuse_unusable_from = true;   ///< a From of which nobody can tell the author: 550
  bool refuse_missing_from = false;   ///< no From at all: 550
  auth::DmarcPolicy on_spf_fail = auth::DmarcPolicy::none; ///< for SPF fail of MAIL FROM where no DMARC record applies
  std::vector<DmarcOverride> overrides = {};               ///< the most specific pattern wins, then the first
  std::vector<std::string> trusted_sealers = {};           ///< d= of ARC seals, lower case
};

/// What is known of the message. Views: what they refer to must outlive the call.
struct MessageChecks {
  const auth::AuthorDomains &authors;
  const auth::SpfVerdicts &spf;
  std::span<const auth::DkimVerdict> dkim;
  const auth::DmarcVerdict &dmarc;
  const auth::ArcVerdict &arc;
  bool from_own_domain = false; ///< a domain of authors.domains is one of ours
  bool from_outside = true;     ///< not from a client that may send for our domains
  bool is_notice = false;       ///< MAIL FROM:<>
};

struct MessageDecision {
  MessageAction action = MessageAction::accept;
  std::optional<smtp::Reply> reply; ///< for reject (550 5.7.x) and defer (451 4.7.x)
  std::vector<std::string> reasons; ///< each a line for people, printable ASCII; what was decided last stands last
  std::vector<auth::PolicyOverride> overrides; ///< why the disposition is not the published policy, for the report
  auth::DmarcPolicy disposition = auth::DmarcPolicy::none; ///< to be reported
  MessageAction observed = MessageAction::accept; ///< what enforce would have done; equals action with mode enforce
};

/// Pure. The rules, in their order, stand in docs/dmarc.md.
[[nodiscard]] MessageDecision judge_message(const MessageRules &rules, const MessageChecks &checks);

} // namespace policy
