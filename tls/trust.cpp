// TrustStore and verify_chain: see context.hpp.
#include <fmt/format.h>

#include "tls/openssl.hpp"

namespace tls {
namespace {

/// X509_V_OK or why not, with the place in the chain.
struct Outcome {
  int error = X509_V_ERR_UNSPECIFIED;
  std::string reason;
};

/// OpenSSL's security level 2 for the chain: 112 bits, so RSA 2048 and SHA-2 signatures (roots excepted).
constexpr int chain_security_level = 2;

Outcome verify_for(const PeerChain::Impl &chain, X509_STORE &store, int purpose, std::time_t now) {
  const StoreContextPtr context(X509_STORE_CTX_new());
  if (!context || X509_STORE_CTX_init(context.get(), &store, chain.leaf.get(), chain.others.get()) != 1 ||
      X509_STORE_CTX_set_purpose(context.get(), purpose) != 1) {
    return {X509_V_ERR_OUT_OF_MEM, take_error_text("the chain cannot be checked")};
  }
  X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, now);
  X509_VERIFY_PARAM_set_depth(parameters, static_cast<int>(max_chain_certificates));
  X509_VERIFY_PARAM_set_auth_level(parameters, chain_security_level);
  if (X509_verify_cert(context.get()) == 1) return {X509_V_OK, {}};

  Outcome outcome;
  outcome.error = X509_STORE_CTX_get_error(context.get());
  outcome.reason = fmt::format("{} (depth {}", X509_verify_cert_error_string(outcome.error),
                               X509_STORE_CTX_get_error_depth(context.get()));
  if (const X509 *where = X509_STORE_CTX_get_current_cert(context.get()); where != nullptr) {
    outcome.reason += ", " + subject_of(*where);
  }
  outcome.reason += ')';
  return outcome;
}

} // namespace

TrustStore::TrustStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TrustStore::~TrustStore() = default;

smtp::Result<std::shared_ptr<const TrustStore>> TrustStore::system() {
  ERR_clear_error();
  auto impl = std::make_unique<Impl>();
  impl->store.reset(X509_STORE_new());
  if (!impl->store || X509_STORE_set_default_paths(impl->store.get()) != 1) {
    return smtp::fail(smtp::ErrorCode::tls, "the system's CA certificates: " + take_error_text("cannot be loaded"));
  }
  ERR_clear_error();
  return std::make_shared<const TrustStore>(std::move(impl));
}

smtp::Result<std::shared_ptr<const TrustStore>> TrustStore::from_file(const std::string &path) {
  auto certificates = load_pem_certificates(path);
  if (!certificates) return tl::unexpected(certificates.error());
  auto impl = std::make_unique<Impl>();
  impl->store.reset(X509_STORE_new());
  for (const X509Ptr &certificate : *certificates) {
    if (!impl->store || X509_STORE_add_cert(impl->store.get(), certificate.get()) != 1) {
      return smtp::fail(smtp::ErrorCode::tls, path + ": " + take_error_text("a certificate cannot be added"));
    }
  }
  return std::make_shared<const TrustStore>(std::move(impl));
}

PeerChain::PeerChain(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PeerChain::~PeerChain() = default;

ChainVerdict verify_chain(const PeerChain *chain, const TrustStore &trust, Purpose purpose,
                          std::chrono::system_clock::time_point now) {
  if (chain == nullptr) return {.trusted = false, .reason = "no certificate was presented"};
  ERR_clear_error();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  X509_STORE &store = *trust.impl().store;
  // A partner's gateway often shows its server certificate as a client, so that one is tried first where both may be.
  const int first = purpose == Purpose::client ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER;
  Outcome outcome = verify_for(chain->impl(), store, first, seconds);
  if (purpose == Purpose::client_or_server && outcome.error == X509_V_ERR_INVALID_PURPOSE) {
    outcome = verify_for(chain->impl(), store, X509_PURPOSE_SSL_CLIENT, seconds);
  }
  ERR_clear_error();
  return {.trusted = outcome.error == X509_V_OK, .reason = std::move(outcome.reason)};
}

} // namespace tls
