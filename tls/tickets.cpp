// TicketKeys: session ticket keys, rotated.
#include <algorithm>
#include <stdexcept>

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "tls/openssl.hpp"

namespace tls {

TicketKeys::TicketKeys() : impl_(std::make_unique<Impl>()) {}
TicketKeys::~TicketKeys() = default;
void TicketKeys::rotate() {
  impl_->rotate();
}

TicketKeys::Impl::Impl() : cipher_(EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr)) {
  if (!cipher_) throw std::runtime_error("session tickets: the TLS library has no AES-256-CBC");
  rotate();
}

TicketKeys::Impl::~Impl() {
  OPENSSL_cleanse(keys_.data(), sizeof(keys_));
}

void TicketKeys::Impl::rotate() {
  Key fresh;
  if (RAND_bytes(fresh.name.data(), static_cast<int>(fresh.name.size())) != 1 ||
      RAND_priv_bytes(fresh.cipher.data(), static_cast<int>(fresh.cipher.size())) != 1 ||
      RAND_priv_bytes(fresh.mac.data(), static_cast<int>(fresh.mac.size())) != 1) {
    throw std::runtime_error("session tickets: no random octets");
  }
  {
    const std::lock_guard lock(mutex_);
    std::rotate(keys_.begin(), keys_.end() - 1, keys_.end()); // the oldest place becomes the first
    keys_.front() = fresh;
    count_ = std::min(count_ + 1, kept);
  }
  OPENSSL_cleanse(&fresh, sizeof fresh);
}

// RFC 5077 section 4: a ticket is key name, IV, encrypted state (AES-CBC) and MAC (HMAC-SHA-256).
int TicketKeys::Impl::use(unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher_context,
                          EVP_MAC_CTX *mac_context, int encrypt) {
  Key key;
  bool newest = true;
  {
    const std::lock_guard lock(mutex_);
    if (encrypt != 0) {
      key = keys_.front();
    } else {
      const auto end = keys_.begin() + static_cast<std::ptrdiff_t>(count_);
      const auto found = std::find_if(keys_.begin(), end,
                                      [&](const Key &k) { return std::equal(k.name.begin(), k.name.end(), name); });
      if (found == end) return 0;
      key = *found;
      newest = found == keys_.begin();
    }
  }
  bool done = false;
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  if (encrypt != 0) {
    std::copy(key.name.begin(), key.name.end(), name);
    done = RAND_bytes(iv, EVP_CIPHER_get_iv_length(cipher_.get())) == 1 &&
           EVP_EncryptInit_ex2(cipher_context, cipher_.get(), key.cipher.data(), iv, nullptr) == 1;
  } else {
    done = EVP_DecryptInit_ex2(cipher_context, cipher_.get(), key.cipher.data(), iv, nullptr) == 1;
  }
  done = done && EVP_MAC_CTX_set_params(mac_context, parameters) == 1;
  OPENSSL_cleanse(&key, sizeof key);
  if (!done) return -1;
  return newest ? 1 : 2;
}

} // namespace tls
