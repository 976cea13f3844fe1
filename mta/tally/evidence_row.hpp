// EvidenceRow in the tally's files: made from a session, written as octets, read back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mta/tally/tls_session.hpp"
#include "policy/evidence.hpp"
#include "smtp/base/result.hpp"

namespace mta {

/// The limits of a row's fields; longer text is cut, further entries are left out.
struct EvidenceLimits {
  static constexpr std::size_t name = 255;
  static constexpr std::size_t names = 32;          ///< of a certificate: those that cover host or domain come first
  static constexpr std::size_t session_names = 100; ///< in a TlsSession, likewise
  static constexpr std::size_t issuer = 300;
  static constexpr std::size_t rule = 500;
  static constexpr std::size_t reason = 500;
  static constexpr std::size_t keys = 10;
  static constexpr std::size_t verified_keys = 12; ///< of one verified chain, with the anchor
  static constexpr std::size_t key = 64;
  static constexpr std::size_t word = 64; ///< suite, group, type of key
  static constexpr std::size_t judgements = 6;
  static constexpr std::size_t store = 500;
};

/// Once everything is judged: a session that waits to be counted keeps of a certificate's names, which may be
/// thousands, those that matter.
void keep_few_names(TlsSession &session);

/// `domain`: whose mail it was, which is not the session's where a connection is shared.
[[nodiscard]] policy::EvidenceRow make_evidence_row(const TlsSession &session, std::string_view domain);

/// What a record of the day's file counts.
enum class EvidenceKind : std::uint8_t { session, message };

struct EvidenceRecord {
  EvidenceKind kind = EvidenceKind::session;
  policy::EvidenceRow row;
  friend bool operator==(const EvidenceRecord &, const EvidenceRecord &) = default;
};

/// Equal octets for equal records.
[[nodiscard]] std::string encode_evidence(EvidenceKind kind, const policy::EvidenceRow &row);
/// Errors (bad_syntax): damage, an unknown version, a limit passed; the text names the field.
[[nodiscard]] smtp::Result<EvidenceRecord> decode_evidence(std::string_view octets);

} // namespace mta
