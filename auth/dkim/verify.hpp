// DkimVerifier: checks every DKIM signature of one message while its body streams by (RFC 6376 section 6).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/dns_facts.hpp"
#include "auth/core/header_fields.hpp"
#include "auth/core/results.hpp"

namespace auth {

class KeyCache;

/// A header section over this is not verified: each signature is a permerror.
inline constexpr std::size_t max_signed_header = std::size_t{256} * 1024;
/// Signature fields beyond this number are not even named in the results.
inline constexpr std::size_t max_signature_fields = 100;
/// So many signatures are checked in one step.
inline constexpr unsigned checks_in_step = 4;

struct DkimOptions {
  std::size_t max_signatures = 8; ///< from the top; the others are reported as policy and cost nothing
  /// For old test corpora only: lifts RFC 8301's limits (rsa-sha1, RSA under 1024 bits), takes signatures of the drafts
  /// before RFC 4871 (no v=, v=0.5) and obeys g= of key records.
  bool allow_weak_keys = false;
  std::int64_t now = 0;          ///< Unix seconds
  std::int64_t clock_skew = 300; ///< seconds that the signer's clock may differ from ours
  KeyCache *keys = nullptr;      ///< outlives the checks; null: each key is parsed anew
  /// The checks are made in steps, so that others get their turn: work() hashes the header for one signature, and one
  /// call of verdicts() checks few signatures.
  bool stepwise = false;
};

/// Begins with the whole header section, takes the body in pieces, and gives its verdicts behind end(), as often as
/// needed. One thread at a time; each message has its own verifier.
class DkimVerifier {
public:
  /// `fields` is not kept; stepwise, it must live until work() says that nothing is left.
  DkimVerifier(const HeaderFields &fields, const DkimOptions &options);
  ~DkimVerifier();
  DkimVerifier(DkimVerifier &&) noexcept;
  DkimVerifier &operator=(DkimVerifier &&) noexcept;

  /// Stepwise: hashes the header for one signature; true when more are left.
  [[nodiscard]] bool work();
  /// What is not decided yet becomes "policy" with this reason, and costs nothing more.
  void give_up(const std::string &reason);
  /// The last verdicts() left signatures for the next call, whose results are temporary until then.
  [[nodiscard]] bool is_busy() const noexcept;

  /// CRLF lines, any cut; nothing of it is kept. Does nothing when no signature wants a body.
  void body(std::string_view octets);
  /// The body is complete.
  void end();
  /// Notes the questions for the keys: may be called before the body came, so that they are fetched meanwhile.
  void ask_for_keys(DnsFacts &facts) const;
  /// One for each signature field, from the top down; empty when there is none. Only behind end(). Keys are looked up
  /// as TXT "SELECTOR._domainkey.DOMAIN"; a signature whose key is missing in `facts` is a temperror in this run: fetch
  /// what is missing and call again.
  [[nodiscard]] std::vector<DkimVerdict> verdicts(DnsFacts &facts);

private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

} // namespace auth
