// What DANE tests share: a peer's chain from PEM text, and the TLSA record that a certificate would have.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>

#include "smtp/dns/answer.hpp"
#include "tls/openssl.hpp"

namespace test {

/// Leaf first, as a peer would send it.
inline std::shared_ptr<const tls::PeerChain> chain_of(const std::string &pem) {
  auto certificates = tls::parse_pem_certificates(pem, "test");
  if (!certificates) throw std::runtime_error(certificates.error().detail);
  auto impl = std::make_unique<tls::PeerChain::Impl>();
  impl->others.reset(sk_X509_new_null());
  for (tls::X509Ptr &certificate : *certificates) {
    if (!impl->leaf)
      impl->leaf = std::move(certificate);
    else
      sk_X509_push(impl->others.get(), certificate.release());
  }
  return std::make_shared<const tls::PeerChain>(std::move(impl));
}

/// The record for the first certificate of the text.
inline smtp::TlsaRecord tlsa_of(const std::string &pem, int usage, int selector, int matching_type) {
  auto certificates = tls::parse_pem_certificates(pem, "test");
  if (!certificates) throw std::runtime_error(certificates.error().detail);
  X509 &certificate = *certificates->front();
  unsigned char *der = nullptr;
  const int size =
      selector == 0 ? i2d_X509(&certificate, &der) : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&certificate), &der);
  std::string data(reinterpret_cast<const char *>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  if (matching_type != 0) {
    std::string digest(matching_type == 1 ? 32 : 64, '\0');
    EVP_Digest(data.data(), data.size(), reinterpret_cast<unsigned char *>(digest.data()), nullptr,
               matching_type == 1 ? EVP_sha256() : EVP_sha512(), nullptr);
    data = digest;
  }
  return {static_cast<std::uint8_t>(usage), static_cast<std::uint8_t>(selector),
          static_cast<std::uint8_t>(matching_type), data};
}

} // namespace test
