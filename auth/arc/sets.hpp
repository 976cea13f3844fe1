// ArcFields: the ARC sets of a message, collected and checked for their form (RFC 8617 sections 4 and 5.2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/header_fields.hpp"
#include "auth/dkim/signature.hpp"
#include "smtp/base/result.hpp"

namespace auth {

/// cv= of a seal.
enum class ChainValue : std::uint8_t { none, pass, fail };

/// The three fields of one instance. The fields outlive it.
struct ArcFieldSet {
  const HeaderField *results = nullptr; ///< ARC-Authentication-Results
  const HeaderField *message = nullptr; ///< ARC-Message-Signature
  const HeaderField *seal = nullptr;    ///< ARC-Seal
  std::string_view results_text;        ///< of ARC-Authentication-Results, behind its instance tag

  [[nodiscard]] bool whole() const noexcept { return results != nullptr && message != nullptr && seal != nullptr; }
};

struct ArcFields {
  std::vector<ArcFieldSet> sets; ///< sets[0] is instance 1; empty when the message has no ARC field
  std::string fault;    ///< what is wrong with the structure: a field without instance, a set that is not whole…
  unsigned highest = 0; ///< the highest instance that any field bears, also of a broken chain
};

/// Sorts the ARC fields by their instances; a fault keeps what was understood.
[[nodiscard]] ArcFields collect_arc_fields(const HeaderFields &fields);

/// What a seal says. Errors (bad_syntax): a tag is missing or malformed, cv= is unknown, h= is there (section 4.1.3).
struct Seal : SignatureBase {
  ChainValue chain = ChainValue::none;
};
[[nodiscard]] smtp::Result<void> read_seal(std::string_view value, Seal &seal);
/// ARC-Message-Signature: as a DKIM-Signature without v= and i= (section 4.1.2). Errors also: h= names ARC-Seal.
[[nodiscard]] smtp::Result<void> read_arc_message_signature(std::string_view value, Signature &signature);

/// The three fields of a set as a seal hashes them, in their order, the seal's own signature left out when `own`.
void append_canonical_set(const ArcFieldSet &set, bool own, std::string &out);

} // namespace auth
