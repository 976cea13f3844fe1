// DmarcRow: what one checked message adds to the DMARC aggregate report of its domain, and its form in the tally's
// files.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/results.hpp"
#include "smtp/base/result.hpp"
#include "smtp/names/ip_address.hpp"

namespace mta {

/// How the policy record was found (RFC 9990, "discovery_method").
enum class DmarcDiscovery : std::uint8_t { tree_walk, psl };

/// What the domain published, with the defaults of tags that are not there (RFC 9990, "policy_published").
struct DmarcPublished {
  std::string domain; ///< the DMARC Policy Domain: where the record was found
  auth::DmarcPolicy p = auth::DmarcPolicy::none;
  std::optional<auth::DmarcPolicy> sp;
  std::optional<auth::DmarcPolicy> np;
  bool strict_dkim = false;
  bool strict_spf = false;
  bool testing = false;
  std::string fo = "0";         ///< what fo asks for
  std::vector<std::string> rua; ///< URIs as published
  bool uses_rfc9989 = false;    ///< one of the tags that RFC 7489 does not know is there: np, psd, t
  DmarcDiscovery discovery = DmarcDiscovery::tree_walk;
  friend bool operator==(const DmarcPublished &, const DmarcPublished &) = default;
};

/// What the verdict's record says; what cannot be read has its default.
[[nodiscard]] DmarcPublished read_published(const auth::DmarcVerdict &verdict);

enum class SpfScope : std::uint8_t { helo, mail_from };

struct SpfFact {
  std::string domain;
  SpfScope scope = SpfScope::mail_from;
  auth::SpfResult result = auth::SpfResult::none;
  friend bool operator==(const SpfFact &, const SpfFact &) = default;
};

struct DkimFact {
  std::string domain;
  std::string selector;
  auth::DkimResult result = auth::DkimResult::none;
  friend bool operator==(const DkimFact &, const DkimFact &) = default;
};

/// Everything but the time: messages with equal rows are counted together.
struct DmarcRow {
  smtp::IpAddress source = smtp::IpAddress::v4({});
  std::string header_from; ///< domain of header From
  std::string org_domain;  ///< its Organizational Domain
  DmarcPublished published;
  auth::DmarcPolicy policy = auth::DmarcPolicy::none;      ///< what applied to this message: p, sp or np
  auth::DmarcPolicy disposition = auth::DmarcPolicy::none; ///< what was done
  bool spf_aligned = false;                                ///< passed and aligned
  bool dkim_aligned = false;
  std::vector<auth::PolicyOverride> reasons; ///< of overrides
  std::vector<SpfFact> spf;
  std::vector<DkimFact> dkim;
  std::string envelope_from; ///< domain of the reverse-path; empty: the null one
  std::string envelope_to;   ///< domain of the recipient; may be empty
  bool is_report = false;    ///< the message is itself a report: such rows alone never cause one
  friend bool operator==(const DmarcRow &, const DmarcRow &) = default;
};

/// What make_dmarc_row() needs to know of a message. Views and references live for the call only.
struct RowFacts {
  smtp::IpAddress source;
  const auth::SpfVerdicts &spf;
  std::span<const auth::DkimVerdict> dkim;
  const auth::DmarcVerdict &dmarc;
  auth::DmarcPolicy disposition = auth::DmarcPolicy::none; ///< what was done, after overrides
  std::vector<auth::PolicyOverride> reasons;
  std::string_view envelope_from; ///< domain of the reverse-path; empty: the null one
  std::string_view envelope_to;   ///< domain of a recipient; may be empty
  std::string_view subject;       ///< the Subject field's value, to know reports
};

/// The row of a message, or nothing when nobody asks for a report: no DMARC record, no rua, a temporary result, or the
/// message is a report that passed DMARC (RFC 9990: reports must pass), so that two reporters never answer each other.
[[nodiscard]] std::optional<DmarcRow> make_dmarc_row(const RowFacts &message);

/// True for the Subject of DMARC and TLS reports: "Report Domain: … Submitter: …" (RFC 9990; RFC 8460 section 5.3).
[[nodiscard]] bool is_report_subject(std::string_view subject);

/// The limits of a row's fields; longer text is cut, further entries are left out (signatures by RFC 9990's
/// preference).
struct DmarcRowLimits {
  static constexpr std::size_t name = 255;
  static constexpr std::size_t comment = 200;
  static constexpr std::size_t uri = 500;
  static constexpr std::size_t uris = 10;
  static constexpr std::size_t signatures = 100;
  static constexpr std::size_t identities = 2;
  static constexpr std::size_t reasons = 5;
};

/// The row as octets, equal for equal rows. Any octet may occur in its texts.
[[nodiscard]] std::string encode_row(const DmarcRow &row);
/// Errors (bad_syntax): damage, an unknown version, a limit passed; the text names the field.
[[nodiscard]] smtp::Result<DmarcRow> decode_row(std::string_view octets);

} // namespace mta
