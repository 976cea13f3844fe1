// ArcSealer: adds our set to a message's ARC chain while its body streams by (RFC 8617 section 5.1).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/header_fields.hpp"
#include "auth/core/results.hpp"
#include "auth/dkim/signing_key.hpp"
#include "smtp/base/result.hpp"

namespace auth {

/// What the message signature covers unless the caller says otherwise: each where it occurs, as often as it occurs.
[[nodiscard]] const std::vector<std::string> &sealed_headers();

struct SealOptions {
  std::string domain;      ///< d=
  std::string selector;    ///< s=
  std::string authserv_id; ///< in front of `results` when these do not begin with it
  std::int64_t now = 0;    ///< t=, Unix seconds
  /// h= just so: a name that the message lacks is signed as absent. Empty: sealed_headers(), each as often as it
  /// occurs.
  std::vector<std::string> headers;
  std::string results; ///< what stands behind "i=N; " in ARC-Authentication-Results: "mx.example.org; spf=pass …"
  ArcVerdict incoming; ///< of the message as it came
};

/// The chain is continued as RFC 8617 section 5.1 says: cv=none for the first set, cv=pass behind a chain that passed,
/// cv=fail behind one that failed (that seal covers its own set only, section 5.1.2). A chain whose newest seal says
/// cv=fail is not continued.
class ArcSealer {
public:
  /// `fields` is not kept.
  ArcSealer(const HeaderFields &fields, std::shared_ptr<const SigningKey> key, SealOptions options);
  ~ArcSealer();
  ArcSealer(ArcSealer &&) noexcept;
  ArcSealer &operator=(ArcSealer &&) noexcept;

  /// CRLF lines, any cut; nothing of it is kept.
  void body(std::string_view octets);
  /// Replaces the options' results and incoming, which are known only once the body is. Before end().
  void set_results(std::string results, ArcVerdict incoming);
  /// The body is complete: ARC-Seal, ARC-Message-Signature and ARC-Authentication-Results, folded, each with its final
  /// CRLF, to be put in front of the message in this order; the empty string when the chain may not be continued (it
  /// ends with cv=fail, or has 50 sets). Call once. Errors as DkimSigner::end().
  [[nodiscard]] smtp::Result<std::string> end();

private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

} // namespace auth
