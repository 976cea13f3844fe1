// MessageCheck: SPF, DKIM, ARC, DMARC and iprev of one message, run against the DNS facts that there are.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/arc/validate.hpp"
#include "auth/core/authentication_results.hpp"
#include "auth/core/dmarc.hpp"
#include "auth/core/dns_facts.hpp"
#include "auth/core/from_field.hpp"
#include "auth/core/header_fields.hpp"
#include "auth/core/results.hpp"
#include "auth/dkim/verify.hpp"
#include "auth/spf/spf.hpp"

namespace mta {

/// Who hands the message over, and how strictly it is looked at.
struct CheckRequest {
  std::optional<smtp::IpAddress> client; ///< nothing: neither SPF nor iprev
  std::string helo;
  std::string mail_from; ///< without "<>"; empty: the null reverse-path
  std::string receiver;  ///< our host name
  auth::DkimOptions dkim;
  auth::DmarcOptions dmarc;
  /// CPU time that the checks of this message may take, body hashes aside; 0: no limit. Over it, what is not decided is
  /// "policy".
  std::chrono::nanoseconds cpu_budget{0};
};

struct CheckResults {
  auth::SpfVerdicts spf;
  auth::AuthorDomains authors;
  std::vector<auth::DkimVerdict> dkim;
  auth::ArcVerdict arc;
  auth::DmarcVerdict dmarc;
  auth::Iprev iprev;
};

/// The order of calls: header(), body() as often as needed, end(); then advance() until it says that nothing is
/// missing, with what was missing fetched in between. Without header() only SPF and iprev are evaluated. Holds nothing
/// of the body. One thread at a time.
class MessageCheck {
public:
  explicit MessageCheck(CheckRequest request);
  ~MessageCheck();
  MessageCheck(const MessageCheck &) = delete;
  MessageCheck &operator=(const MessageCheck &) = delete;

  /// `fields` is not kept; with dkim.stepwise it must live until work() says that nothing is left.
  void header(const auth::HeaderFields &fields);
  /// Stepwise: a part of what the header costs; true when more is left.
  [[nodiscard]] bool work();
  void body(std::string_view octets);
  void end();
  /// Evaluates what is not settled; true when nothing was missing, so that results() counts.
  [[nodiscard]] bool advance(auth::DnsFacts &facts);
  /// The last advance() ended because it took long enough, not for want of facts.
  [[nodiscard]] bool is_busy() const noexcept { return busy_; }
  [[nodiscard]] const CheckResults &results() const noexcept { return results_; }
  [[nodiscard]] const CheckRequest &request() const noexcept { return request_; }

private:
  class Meter;
  [[nodiscard]] auth::Iprev check_iprev(auth::DnsFacts &facts) const;
  void evaluate(auth::DnsFacts &facts, std::vector<auth::DnsQuestion> &missing);

  const CheckRequest request_;
  std::optional<auth::DkimVerifier> dkim_;
  std::optional<auth::ArcValidator> arc_;
  CheckResults results_;
  std::chrono::nanoseconds used_{0};     ///< of the CPU budget
  std::chrono::nanoseconds for_body_{0}; ///< what the body's size adds to it
  bool busy_ = false;
  bool helo_settled_ = false, mail_from_settled_ = false, iprev_settled_ = false;
  bool dkim_settled_ = false, arc_settled_ = false, dmarc_settled_ = false;
};

/// The view that the fields are written from; refers to `check` and `tls`.
[[nodiscard]] auth::CheckedMessage describe_checks(const MessageCheck &check, std::string authserv_id, bool has_message,
                                                   std::string tls);

} // namespace mta
