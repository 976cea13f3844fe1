#include "tls/key_pair.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <openssl/ec.h>
#include <openssl/objects.h>

namespace tls {
namespace {

tl::unexpected<smtp::Error> weak(const std::string &path, const std::string &what) {
  return smtp::fail(smtp::ErrorCode::tls, path + ": " + what);
}

int curve_of(const EVP_PKEY &key) {
  std::array<char, 64> name{};
  if (EVP_PKEY_get_group_name(&key, name.data(), name.size(), nullptr) != 1) return NID_undef;
  return OBJ_sn2nid(name.data());
}

int curve_of(const std::string &group) {
  const int nist = EC_curve_nist2nid(group.c_str());
  return nist != NID_undef ? nist : OBJ_sn2nid(group.c_str());
}

smtp::Result<void> check_bits(const std::string &path, const EVP_PKEY &key, int lowest, const Profile &profile) {
  const int bits = EVP_PKEY_get_bits(&key);
  if (bits >= lowest) return {};
  return weak(path, fmt::format("the key has {} bits, profile {} needs at least {}", bits, profile.name, lowest));
}

smtp::Result<void> check_key(const std::string &path, const EVP_PKEY &key, const Profile &profile) {
  if (EVP_PKEY_is_a(&key, "RSA") == 1 || EVP_PKEY_is_a(&key, "RSA-PSS") == 1) {
    return check_bits(path, key, profile.min_rsa_bits, profile);
  }
  if (EVP_PKEY_is_a(&key, "EC") == 1) {
    if (auto bits = check_bits(path, key, profile.min_ec_bits, profile); !bits) return bits;
    const int curve = curve_of(key);
    const auto &groups = profile.groups;
    if (std::any_of(groups.begin(), groups.end(), [&](const std::string &g) { return curve_of(g) == curve; }))
      return {};
    return weak(path, fmt::format("the key is on the curve {}, profile {} has only {}",
                                  curve == NID_undef ? "(unnamed)" : OBJ_nid2sn(curve), profile.name,
                                  fmt::join(groups, ", ")));
  }
  return {};
}

/// RFC 9155: MD5 and SHA-1 signatures are no proof any more. A self-signed certificate's own signature proves nothing
/// anyhow.
smtp::Result<void> check_signature(const std::string &path, X509 &certificate, const Profile &profile) {
  if ((X509_get_extension_flags(&certificate) & EXFLAG_SS) != 0) return {};
  int digest = NID_undef;
  if (X509_get_signature_info(&certificate, &digest, nullptr, nullptr, nullptr) != 1) {
    return weak(path, "the signature algorithm of the certificate is unknown");
  }
  if (digest != NID_md5 && digest != NID_sha1 && digest != NID_md5_sha1 && digest != NID_md4) return {};
  return weak(path, fmt::format("the certificate {} is signed with {}, profile {} needs SHA-256 or better",
                                subject_of(certificate), OBJ_nid2sn(digest), profile.name));
}

} // namespace

std::string key_type_of(const EVP_PKEY &key) {
  const char *name = EVP_PKEY_get0_type_name(&key);
  return name == nullptr ? "unknown" : name;
}

smtp::Result<KeyPair> load_key_pair(const KeyPairFiles &files) {
  auto chain = load_pem_certificates(files.certificate);
  if (!chain) return tl::unexpected(chain.error());
  auto key = load_pem_key(files.key);
  if (!key) return tl::unexpected(key.error());
  KeyPair pair;
  pair.files = files;
  pair.leaf = std::move(chain->front());
  pair.key = std::move(*key);
  if (X509_check_private_key(pair.leaf.get(), pair.key.get()) != 1) {
    ERR_clear_error();
    return smtp::fail(smtp::ErrorCode::tls, fmt::format("{}: the key does not belong to the first certificate of {}",
                                                        files.key, files.certificate));
  }
  pair.others.reset(sk_X509_new_null());
  for (std::size_t i = 1; i < chain->size(); ++i) {
    if (i > max_chain_certificates) {
      return smtp::fail(smtp::ErrorCode::too_long, fmt::format("{}: {} certificates, limit is {}", files.certificate,
                                                               chain->size(), max_chain_certificates + 1));
    }
    if (sk_X509_push(pair.others.get(), (*chain)[i].get()) > 0) (void)(*chain)[i].release();
  }
  pair.facts = certificate_facts(*pair.leaf);
  // Which of our own certificates a client hears is no proof of anything: the common name will do to choose it.
  if (pair.facts.dns_names.empty()) pair.facts.dns_names = names_for_dane(*pair.leaf);
  return pair;
}

bool profile_uses(const Profile &profile, const EVP_PKEY &key) {
  if (EVP_PKEY_is_a(&key, "RSA") == 1 || EVP_PKEY_is_a(&key, "RSA-PSS") == 1) return profile.min_rsa_bits > 0;
  if (EVP_PKEY_is_a(&key, "EC") == 1) return profile.min_ec_bits > 0;
  if (EVP_PKEY_is_a(&key, "ED25519") == 1) return profile.signatures.find("ed25519") != std::string::npos;
  if (EVP_PKEY_is_a(&key, "ED448") == 1) return profile.signatures.find("ed448") != std::string::npos;
  return false;
}

smtp::Result<void> check_strength(const KeyPair &pair, const Profile &profile) {
  if (auto key = check_key(pair.files.certificate, *pair.key, profile); !key) return key;
  if (profile.security_level == 0) return {};
  if (auto leaf = check_signature(pair.files.certificate, *pair.leaf, profile); !leaf) return leaf;
  for (int i = 0; i < sk_X509_num(pair.others.get()); ++i) {
    X509 &certificate = *sk_X509_value(pair.others.get(), i);
    if (auto other = check_signature(pair.files.certificate, certificate, profile); !other) return other;
  }
  return {};
}

smtp::Result<void> use_key_pair(SSL_CTX &context, const KeyPair &pair) {
  ERR_clear_error();
  if (SSL_CTX_use_cert_and_key(&context, pair.leaf.get(), pair.key.get(), pair.others.get(), 1) == 1) return {};
  return smtp::fail(smtp::ErrorCode::tls, pair.files.certificate + ": " + take_error_text("cannot be used"));
}

} // namespace tls
