// Digest: see the header.
#include "auth/dkim/digest.hpp"

#include <array>
#include <new>

#include <openssl/evp.h>

namespace auth {

namespace {

/// Fetched once: an implicit fetch at each message costs as much as hashing a kilobyte.
const EVP_MD *algorithm(HashKind kind) {
  static const EVP_MD *const sha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  static const EVP_MD *const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return kind == HashKind::sha1 ? sha1 : sha256;
}

} // namespace

class Digest::Implementation {
public:
  Implementation() : context(EVP_MD_CTX_new()) {
    if (!context) throw std::bad_alloc();
  }
  ~Implementation() { EVP_MD_CTX_free(context); }
  Implementation(const Implementation &) = delete;
  Implementation &operator=(const Implementation &) = delete;
  EVP_MD_CTX *const context;
};

std::size_t digest_size(HashKind kind) noexcept {
  return kind == HashKind::sha1 ? 20 : 32;
}

Digest::Digest(HashKind kind) : implementation_(std::make_unique<Implementation>()) {
  if (EVP_DigestInit_ex(implementation_->context, algorithm(kind), nullptr) != 1) throw std::bad_alloc();
}
Digest::Digest(const Digest &other) : OctetSink(other), implementation_(std::make_unique<Implementation>()) {
  if (EVP_MD_CTX_copy_ex(implementation_->context, other.implementation_->context) != 1) throw std::bad_alloc();
}
Digest::~Digest() = default;
Digest::Digest(Digest &&) noexcept = default;
Digest &Digest::operator=(Digest &&) noexcept = default;

void Digest::write(std::string_view octets) {
  EVP_DigestUpdate(implementation_->context, octets.data(), octets.size());
}

std::string Digest::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> octets{};
  unsigned size = 0;
  EVP_DigestFinal_ex(implementation_->context, octets.data(), &size);
  return {reinterpret_cast<const char *>(octets.data()), size};
}

std::string digest_of(HashKind kind, std::string_view octets) {
  Digest digest(kind);
  digest.write(octets);
  return digest.finish();
}

} // namespace auth
