// DmarcRecord: one DMARC policy record, read as RFC 9989 sections 4.7, 4.8 and 4.10.1 have it, and its report URIs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/results.hpp"

namespace auth {

/// A report URI (RFC 9989 section 4.6).
struct DmarcUri {
  std::string published; ///< as it stands in the record
  std::string uri;       ///< without the size
  std::string scheme;    ///< lower case: "mailto", "https"
  std::string address;   ///< of mailto: the mailbox, percent-decoded; else empty
  std::string host;      ///< lower-case A-labels: where it goes; empty where the scheme is not known to have one
  std::optional<std::uint64_t> size_limit; ///< octets, from RFC 7489's "!10m", which RFC 9989 asks to ignore
};

/// Nothing when it is not a URI, or a mailto: without exactly one address of a domain.
[[nodiscard]] std::optional<DmarcUri> parse_dmarc_uri(std::string_view text);

/// psd= (RFC 9989 section 4.7).
enum class DmarcPsd : std::uint8_t { unknown, yes, no };

struct DmarcRecord {
  /// What p=, sp= and np= say, once the rules for bad ones were applied.
  DmarcPolicy policy = DmarcPolicy::none;
  std::optional<DmarcPolicy> subdomain_policy;
  std::optional<DmarcPolicy> nonexistent_policy;
  /// False: no valid p (or a bad sp or np) and no valid rua: RFC 9989 section 4.10.1 applies no DMARC then. The record
  /// still counts in a tree walk.
  bool applies = true;
  bool strict_dkim = false;
  bool strict_spf = false;
  bool testing = false;
  DmarcPsd psd = DmarcPsd::unknown;
  std::vector<DmarcUri> rua;
  std::vector<DmarcUri> ruf;
  std::string failure_options = "0"; ///< fo=, when valid and ruf is there
  std::string text;                  ///< the record
  std::vector<std::string> problems; ///< for people, printable ASCII: what was wrong and how it was read
};

inline constexpr std::size_t longest_dmarc_record = 4096;
/// Of rua and of ruf; the rest is passed over.
inline constexpr std::size_t most_dmarc_uris = 16;

/// True when the text begins with the version tag: v=DMARC1 (RFC 9989 section 4.8, dmarc-version).
[[nodiscard]] bool is_dmarc_record(std::string_view text) noexcept;

/// Nothing when it is not a DMARC record, or longer than longest_dmarc_record. A tag that is bad loses only itself
/// (section 4.8), but for p, sp and np (section 4.10.1).
[[nodiscard]] std::optional<DmarcRecord> parse_dmarc_record(std::string_view text);

} // namespace auth
