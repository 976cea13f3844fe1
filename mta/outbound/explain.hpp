// explain: what would happen to mail for a domain or mailbox, and which rule says so, by the functions that deliver.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/async.hpp"
#include "mta/outbound/planning.hpp"

namespace mta {

/// One address as it answered when it was asked.
struct ExplainedProbe {
  std::string address;
  std::string problem; ///< why no session came about; then the rest is empty
  tls::Level got = tls::Level::none;
  std::string version;
  std::string suite;
  std::string verdict; ///< of policy::judge_tls, over the host's requirement
  std::string reason;
  std::string matched_name;
  std::vector<std::string> names; ///< of the leaf
  std::string issuer;
  std::chrono::system_clock::time_point not_after;
  std::string chain_digest;
  bool would_deliver = false;
  bool would_refuse = false; ///< a rule in observe mode
  std::string would_refuse_reason;
};

struct ExplainedHost {
  std::string name;
  int preference = 0;
  std::vector<std::string> addresses;
  std::string problem;                  ///< why it has no address, or why no decision can be carried out
  std::shared_ptr<const HostPlan> plan; ///< addresses, TLSA records, decision; null with `problem`
  std::vector<ExplainedProbe> probes;   ///< probe_explained() fills them
};

struct Explanation {
  std::string subject; ///< the domain or mailbox asked for
  std::string domain;
  bool local = false;          ///< one of our domains
  std::string recipient_state; ///< for a mailbox of ours: "known", "unknown: 550 5.1.1"
  std::string route;           ///< "by MX", or the route's name and place
  std::string name_trust;      ///< none, dnssec, configured
  std::vector<ExplainedHost> hosts;
  std::string dns_problem;          ///< temporary or permanent failure of the look-up
  std::shared_ptr<const Plan> plan; ///< what is known of the domain; null: the subject was not understood
  std::string inbound_rule;         ///< what a sender of this domain must give us; empty: nothing
  std::string inbound_mode;
  std::string inbound_from; ///< until this day (UTC) a rule that says enforce only observes; empty: there is none, or
                            ///< it has come
  std::string inbound_level;
  std::string summary; ///< one sentence

  /// What holds for the first host that may be used; without one, what the configuration alone says.
  [[nodiscard]] const policy::Decision &decision() const noexcept;
};

/// What explain() is asked about, as a mailbox: a domain, also in its absolute form with a dot at the end, stands for
/// its postmaster. Errors: "a..b is not a domain: …".
[[nodiscard]] smtp::Result<smtp::Mailbox> parse_subject(std::string_view subject);

/// `wish`: what a message of this kind would ask for. When parse_subject() refuses the subject, `plan` is null
/// and `summary` says why.
[[nodiscard]] Task<Explanation> explain(std::shared_ptr<const Snapshot> snapshot, PolicySources sources,
                                        std::string subject, MessageWish wish = {});
[[nodiscard]] std::string format_text(const Explanation &explanation);
[[nodiscard]] std::string format_json(const Explanation &explanation);

} // namespace mta
