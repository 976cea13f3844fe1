// TrustStore and verify_chain (context.hpp).
#include <array>
#include <cstdint>
#include <cstring>

#include <fmt/format.h>

#include "tls/crl.hpp"
#include "tls/openssl.hpp"

namespace tls {
namespace {

/// Every certificate, with partitioned lists, indirect ones and deltas as far as OpenSSL knows them.
constexpr unsigned long revocation_flags =
    X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL | X509_V_FLAG_EXTENDED_CRL_SUPPORT | X509_V_FLAG_USE_DELTAS;

/// That no valid list covers the trust anchor itself is no fault: who trusts it has decided so (RFC 5280 section 6.1
/// begins below it), and the lists of its issuer cannot be verified, since the path ends here.
int excuse_anchor(int good, X509_STORE_CTX *context) {
  if (good == 1) return 1;
  const bool at_anchor = X509_STORE_CTX_get_error_depth(context) == sk_X509_num(X509_STORE_CTX_get0_chain(context)) - 1;
  return at_anchor && chain_fault(X509_STORE_CTX_get_error(context)) == ChainFault::no_revocation ? 1 : 0;
}

/// X509_V_OK or why not.
struct Outcome {
  int error = X509_V_ERR_UNSPECIFIED;
  std::string reason;
  std::vector<std::string> keys{}; ///< of the verified chain, leaf first
};

/// The peer's own list of certificates proves nothing; this is the chain whose signatures were checked.
std::vector<std::string> keys_of(X509_STORE_CTX &context) {
  std::vector<std::string> keys;
  STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(&context);
  for (int i = 0; i < sk_X509_num(chain); ++i) keys.push_back(key_digest(*sk_X509_value(chain, i)));
  return keys;
}

Outcome verify_for(const PeerChain::Impl &chain, const TrustStore::Impl &trust, int purpose, std::time_t now) {
  const StoreContextPtr context(X509_STORE_CTX_new());
  if (!context || X509_STORE_CTX_init(context.get(), trust.store.get(), chain.leaf.get(), chain.others.get()) != 1 ||
      X509_STORE_CTX_set_purpose(context.get(), purpose) != 1) {
    return {X509_V_ERR_OUT_OF_MEM, take_error_text("the chain cannot be checked")};
  }
  X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, now);
  X509_VERIFY_PARAM_set_depth(parameters, static_cast<int>(max_chain_certificates));
  X509_VERIFY_PARAM_set_auth_level(parameters, chain_security_level);
  // RFC 5280 section 6.1.1 (d): what the operator names is the anchor, be it a root, an intermediate or one server's
  // own certificate; nobody need sign it.
  if (trust.named) X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN);
  if (trust.revocation) {
    X509_VERIFY_PARAM_set_flags(parameters, revocation_flags);
    X509_STORE_CTX_set_verify_cb(context.get(), excuse_anchor);
  }
  if (X509_verify_cert(context.get()) == 1) return {X509_V_OK, {}, keys_of(*context)};
  return {X509_STORE_CTX_get_error(context.get()), failure_text(*context)};
}

smtp::Result<void> add_crls(X509_STORE &store, const CrlSource &file) {
  const auto octets =
      file.fetched ? smtp::Result<std::string>(*file.fetched) : read_small_file(file.path, max_crl_octets);
  auto lists = octets ? parse_crls(*octets) : tl::unexpected(octets.error());
  if (!lists) {
    if (file.fetched) return {};
    if (octets) lists.error().detail = fmt::format("{}: {}", file.path, lists.error().detail);
    return tl::unexpected(std::move(lists.error()));
  }
  for (const CrlPtr &list : *lists) {
    if (X509_STORE_add_crl(&store, list.get()) != 1) {
      return smtp::fail(smtp::ErrorCode::tls, file.path + ": " + take_error_text("a revocation list cannot be added"));
    }
  }
  return {};
}

smtp::Result<std::unique_ptr<TrustStore::Impl>> load_system() {
  ERR_clear_error();
  auto impl = std::make_unique<TrustStore::Impl>();
  impl->store.reset(X509_STORE_new());
  if (!impl->store || X509_STORE_set_default_paths(impl->store.get()) != 1) {
    return smtp::fail(smtp::ErrorCode::tls, "the system's CA certificates: " + take_error_text("cannot be loaded"));
  }
  ERR_clear_error();
  return impl;
}

/// The sum of what the objects hash to: a store has each once, and no order of its own.
std::uint64_t digest_of(X509_STORE &store) {
  std::uint64_t sum = 0;
  const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(&store);
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    const X509_OBJECT *object = sk_X509_OBJECT_value(objects, i);
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned length = 0;
    if (const X509 *certificate = X509_OBJECT_get0_X509(object)) {
      X509_digest(certificate, EVP_sha256(), digest.data(), &length);
    } else if (const X509_CRL *list = X509_OBJECT_get0_X509_CRL(object)) {
      X509_CRL_digest(list, EVP_sha256(), digest.data(), &length);
    }
    std::uint64_t one = 0;
    std::memcpy(&one, digest.data(), sizeof one);
    sum += one;
  }
  return sum;
}

smtp::Result<std::unique_ptr<TrustStore::Impl>> load_file(const std::string &path) {
  auto certificates = load_pem_certificates(path);
  if (!certificates) return tl::unexpected(certificates.error());
  auto impl = std::make_unique<TrustStore::Impl>();
  impl->named = true;
  impl->store.reset(X509_STORE_new());
  for (const X509Ptr &certificate : *certificates) {
    if (!impl->store || X509_STORE_add_cert(impl->store.get(), certificate.get()) != 1) {
      return smtp::fail(smtp::ErrorCode::tls, path + ": " + take_error_text("a certificate cannot be added"));
    }
  }
  return impl;
}

} // namespace

ChainFault chain_fault(int error) noexcept {
  switch (error) {
  case X509_V_OK: return ChainFault::none;
  case X509_V_ERR_CERT_HAS_EXPIRED:
  case X509_V_ERR_CERT_NOT_YET_VALID:
  case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
  case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD: return ChainFault::expired;
  case X509_V_ERR_CERT_REVOKED: return ChainFault::revoked;
  case X509_V_ERR_UNABLE_TO_GET_CRL:
  case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
  case X509_V_ERR_CRL_SIGNATURE_FAILURE:
  case X509_V_ERR_CRL_NOT_YET_VALID:
  case X509_V_ERR_CRL_HAS_EXPIRED:
  case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
  case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
  case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
  case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
  case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
  case X509_V_ERR_DIFFERENT_CRL_SCOPE:
  case X509_V_ERR_CRL_PATH_VALIDATION_ERROR: return ChainFault::no_revocation;
  default: return ChainFault::untrusted;
  }
}

std::string failure_text(X509_STORE_CTX &context) {
  const int error = X509_STORE_CTX_get_error(&context);
  const X509 *where = X509_STORE_CTX_get_current_cert(&context);
  std::string text;
  if (chain_fault(error) == ChainFault::no_revocation && where != nullptr) {
    text = fmt::format("there is no valid CRL of {}: ", text_of(X509_get_issuer_name(where)));
  }
  text += fmt::format("{} (depth {}", X509_verify_cert_error_string(error), X509_STORE_CTX_get_error_depth(&context));
  if (where != nullptr) text += ", " + subject_of(*where);
  text += ')';
  return text;
}

TrustStore::TrustStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TrustStore::~TrustStore() = default;

std::uint64_t TrustStore::digest() const noexcept {
  return impl_->digest;
}

smtp::Result<std::shared_ptr<const TrustStore>> TrustStore::load(const std::string &trust,
                                                                 const std::vector<CrlSource> &crls) {
  auto impl = trust == "system" ? load_system() : load_file(trust);
  if (!impl) return tl::unexpected(std::move(impl.error()));
  for (const CrlSource &file : crls) {
    if (auto added = add_crls(*(*impl)->store, file); !added) return tl::unexpected(std::move(added.error()));
  }
  (*impl)->revocation = !crls.empty();
  (*impl)->digest = digest_of(*(*impl)->store);
  return std::make_shared<const TrustStore>(std::move(*impl));
}

smtp::Result<std::shared_ptr<const TrustStore>> TrustStore::system() {
  return load("system", {});
}

smtp::Result<std::shared_ptr<const TrustStore>> TrustStore::from_file(const std::string &path) {
  auto impl = load_file(path);
  if (!impl) return tl::unexpected(std::move(impl.error()));
  (*impl)->digest = digest_of(*(*impl)->store);
  return std::make_shared<const TrustStore>(std::move(*impl));
}

PeerChain::PeerChain(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PeerChain::~PeerChain() = default;

ChainVerdict verify_chain(const PeerChain *chain, const TrustStore &trust, Purpose purpose,
                          std::chrono::system_clock::time_point now) {
  if (chain == nullptr) {
    return {.trusted = false, .reason = "no certificate was presented", .fault = ChainFault::untrusted};
  }
  ERR_clear_error();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  // A partner's gateway often shows its server certificate as a client, so that one is tried first where both may be.
  const int first = purpose == Purpose::client ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER;
  Outcome outcome = verify_for(chain->impl(), trust.impl(), first, seconds);
  if (purpose == Purpose::client_or_server && outcome.error == X509_V_ERR_INVALID_PURPOSE) {
    outcome = verify_for(chain->impl(), trust.impl(), X509_PURPOSE_SSL_CLIENT, seconds);
  }
  ERR_clear_error();
  return {.trusted = outcome.error == X509_V_OK,
          .reason = std::move(outcome.reason),
          .fault = chain_fault(outcome.error),
          .keys = std::move(outcome.keys)};
}

} // namespace tls
