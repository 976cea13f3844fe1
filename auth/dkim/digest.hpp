// Digest: SHA-1 and SHA-256 over octets that come in pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "auth/dkim/canonical.hpp"

namespace auth {

enum class HashKind : std::uint8_t { sha1, sha256 };

/// 20 or 32.
[[nodiscard]] std::size_t digest_size(HashKind kind) noexcept;

class Digest final : public OctetSink {
public:
  explicit Digest(HashKind kind);
  ~Digest() override;
  /// A copy goes on by itself: the common beginning of several texts is hashed once.
  Digest(const Digest &other);
  Digest &operator=(const Digest &) = delete;
  Digest(Digest &&) noexcept;
  Digest &operator=(Digest &&) noexcept;

  void write(std::string_view octets) override;
  /// The digest; call once, and write() no more.
  [[nodiscard]] std::string finish();

private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

[[nodiscard]] std::string digest_of(HashKind kind, std::string_view octets);

} // namespace auth
