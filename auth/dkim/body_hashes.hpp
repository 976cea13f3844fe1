// BodyHashes: the body hashes that the signatures of one message ask for, each computed once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/dkim/canonical.hpp"
#include "auth/dkim/digest.hpp"

namespace auth {

class BodyHashes {
public:
  /// Asks for a hash; the same again gives the same number. Only before write().
  [[nodiscard]] std::size_t want(Canonical canonical, HashKind hash, std::optional<std::uint64_t> limit);

  /// The number of a hash that was asked for before.
  [[nodiscard]] std::optional<std::size_t> find(Canonical canonical, HashKind hash,
                                                std::optional<std::uint64_t> limit) const;
  /// Different hashes so far.
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

  void write(std::string_view octets);
  /// The body is complete. Once.
  void end();

  /// Only behind end().
  [[nodiscard]] const std::string &digest(std::size_t number) const { return entries_[number].result; }
  /// Octets of the canonical body; with a limit, more than the limit means only that.
  [[nodiscard]] std::uint64_t length(std::size_t number) const { return entries_[number].canonicaliser.length(); }

private:
  struct Entry {
    Canonical canonical;
    HashKind hash;
    std::optional<std::uint64_t> limit;
    BodyCanonicaliser canonicaliser;
    Digest digest;
    std::string result;
  };
  std::vector<Entry> entries_;
};

} // namespace auth
