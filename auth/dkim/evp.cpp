// Owners of OpenSSL's objects: see the header.
#include "auth/dkim/evp.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>

namespace auth::evp {

void Free::operator()(evp_pkey_st *key) const noexcept {
  EVP_PKEY_free(key);
}
void Free::operator()(evp_pkey_ctx_st *context) const noexcept {
  EVP_PKEY_CTX_free(context);
}
void Free::operator()(evp_md_ctx_st *context) const noexcept {
  EVP_MD_CTX_free(context);
}
void Free::operator()(bio_st *bio) const noexcept {
  BIO_free_all(bio);
}

void clear_errors() noexcept {
  ERR_clear_error();
}

} // namespace auth::evp
