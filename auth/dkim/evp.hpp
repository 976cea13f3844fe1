// Owners of OpenSSL's objects, for the sources of this folder that speak to it.
#pragma once

#include <memory>

// Only sources include this header: the names of the library stay in this folder.
struct evp_pkey_st;
struct evp_pkey_ctx_st;
struct evp_md_ctx_st;
struct bio_st;

namespace auth::evp {

struct Free {
  void operator()(evp_pkey_st *key) const noexcept;
  void operator()(evp_pkey_ctx_st *context) const noexcept;
  void operator()(evp_md_ctx_st *context) const noexcept;
  void operator()(bio_st *bio) const noexcept;
};

using Key = std::unique_ptr<evp_pkey_st, Free>;
using KeyContext = std::unique_ptr<evp_pkey_ctx_st, Free>;
using HashContext = std::unique_ptr<evp_md_ctx_st, Free>;
using Bio = std::unique_ptr<bio_st, Free>;

/// Empties this thread's error queue: a failure that we have dealt with must not surface in someone else's call.
void clear_errors() noexcept;

} // namespace auth::evp
