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

/// The body is canonicalised and hashed at most once for each canonicalisation and algorithm, whatever limits (l=) are
/// asked for: where a limit is reached the digest is copied.
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

  /// Only behind end(). With a limit that is over the body's length: of the whole body.
  [[nodiscard]] const std::string &digest(std::size_t number) const { return entries_[number].result; }
  /// Octets of the canonical body; with a limit, more than the limit means only that.
  [[nodiscard]] std::uint64_t length(std::size_t number) const;

private:
  struct Entry {
    Canonical canonical;
    HashKind hash;
    std::optional<std::uint64_t> limit;
    std::size_t stream = 0;
    std::string result;
  };
  /// One canonicalisation with one algorithm, for all of its limits.
  class Stream final : public OctetSink {
  public:
    Stream(Canonical canonical, HashKind hash) : canonical_(canonical), digest_(hash) {}
    /// Entries by their limits, the smallest first, those without one last.
    void begin(std::vector<Entry *> entries);
    void body(std::string_view octets) { canonicaliser_->write(octets, *this); }
    void end();
    [[nodiscard]] std::uint64_t length() const noexcept { return canonicaliser_->length(); }
    /// Canonical octets.
    void write(std::string_view octets) override;

  private:
    Canonical canonical_;
    std::optional<BodyCanonicaliser> canonicaliser_;
    Digest digest_;
    std::uint64_t count_ = 0;
    std::vector<Entry *> open_; ///< whose digest is still to come, the next one last
  };

  void begin();

  std::vector<Entry> entries_; ///< does not grow once streams_ point into it
  std::vector<Stream> streams_;
  bool begun_ = false;
};

} // namespace auth
