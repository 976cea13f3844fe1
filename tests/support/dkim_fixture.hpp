// What tests of DKIM and ARC share: keys, a message, DNS answers that hold the keys, and the checks in one call.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "auth/arc/seal.hpp"
#include "auth/arc/validate.hpp"
#include "auth/dkim/body_hashes.hpp"
#include "auth/dkim/sign.hpp"
#include "auth/dkim/signed_header.hpp"
#include "auth/dkim/signing_key.hpp"
#include "auth/dkim/verify.hpp"
#include "smtp/base/base64.hpp"

namespace test {

inline constexpr std::int64_t noon = 1700000000;

/// Made once for the whole test program: a new RSA key takes a tenth of a second under the sanitizers.
inline std::shared_ptr<const auth::SigningKey> rsa_key(unsigned bits = 2048) {
  static const auto strong = std::make_shared<const auth::SigningKey>(auth::SigningKey::generate_rsa(2048).value());
  static const auto small = std::make_shared<const auth::SigningKey>(auth::SigningKey::generate_rsa(1024).value());
  return bits == 2048 ? strong : small;
}

inline std::shared_ptr<const auth::SigningKey> ed25519_key() {
  static const auto key = std::make_shared<const auth::SigningKey>(auth::SigningKey::generate_ed25519().value());
  return key;
}

inline void put_text(auth::DnsFacts &facts, const std::string &name, std::vector<std::string> texts) {
  auth::DnsFact fact;
  fact.status = texts.empty() ? smtp::DnsStatus::no_name : smtp::DnsStatus::ok;
  fact.texts = std::move(texts);
  facts.put({name, auth::RecordType::txt}, std::move(fact));
}

inline void put_temporary(auth::DnsFacts &facts, const std::string &name) {
  auth::DnsFact fact;
  fact.detail = "SERVFAIL from the resolver";
  facts.put({name, auth::RecordType::txt}, std::move(fact));
}

/// The keys of example.org: rsa, ed, small.
inline auth::DnsFacts key_facts() {
  auth::DnsFacts facts;
  put_text(facts, "rsa._domainkey.example.org", {rsa_key()->public_record()});
  put_text(facts, "ed._domainkey.example.org", {ed25519_key()->public_record()});
  put_text(facts, "small._domainkey.example.org", {rsa_key(1024)->public_record()});
  return facts;
}

inline const std::string header = "Received: from a.example by b.example;\r\n\tMon, 1 Jan 2024 00:00:00 +0000\r\n"
                                  "From: Jo <jo@example.org>\r\n"
                                  "To: ann@example.net\r\n"
                                  "Subject: a  folded\r\n subject\r\n"
                                  "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
                                  "Message-ID: <1@example.org>\r\n";
inline const std::string body = "Hello  Ann,\t\r\n\r\nhow are you?\r\n -- \r\nJo\r\n\r\n\r\n";

inline auth::SignOptions sign_options(std::string selector) {
  auth::SignOptions options;
  options.domain = "example.org";
  options.selector = std::move(selector);
  options.now = noon;
  return options;
}

/// The signature fields, in front of nothing.
inline std::string sign(const std::string &section, std::string_view content,
                        std::vector<auth::SigningIdentity> identities) {
  const auth::HeaderFields fields(section);
  auth::DkimSigner signer(fields, std::move(identities));
  signer.body(content);
  return signer.end().value();
}

inline std::vector<auth::DkimVerdict> verify(const std::string &section, std::string_view content,
                                             auth::DnsFacts &facts, auth::DkimOptions options = {.now = noon},
                                             std::size_t cut = 1000000) {
  const auth::HeaderFields fields(section);
  auth::DkimVerifier verifier(fields, options);
  for (std::size_t at = 0; at < content.size(); at += cut) verifier.body(content.substr(at, cut));
  verifier.end();
  return verifier.verdicts(facts);
}

/// A signature field with just these tags, simple/simple, and bh= and b= behind them: for what our signer never writes.
/// `signer` signs a digest.
inline std::string hand_signed(const std::string &tags, auth::HashKind hash, const std::string &section,
                               const std::string &covered,
                               const std::function<std::string(const std::string &)> &signer) {
  auth::BodyHashes bodies;
  (void)bodies.want(auth::Canonical::simple, hash, std::nullopt);
  bodies.write(covered);
  bodies.end();
  const std::string field = "DKIM-Signature: " + tags + "; bh=" + smtp::to_base64(bodies.digest(0)) + "; b=";
  const auth::HeaderFields fields(field + "\r\n" + section);
  auth::FieldIndex index(fields);
  auth::Signature signature;
  signature.hash = hash;
  signature.names = {"from"};
  const std::string digest = auth::hash_signed_header(index, fields.all()[0], signature);
  return field + smtp::to_base64(signer(digest)) + "\r\n";
}

/// `text` with `from` replaced by `to`, which must be there.
inline std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  if (at == std::string::npos) throw std::runtime_error("nothing to replace: " + std::string(from));
  return text.replace(at, from.size(), to);
}

} // namespace test
