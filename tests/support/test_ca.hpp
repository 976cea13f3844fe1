// TestCa: certificate authorities and certificates made on the fly, good or with exactly one fault, as PEM texts and
// files.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/temp_folder.hpp"

namespace test {

enum class Key { ec_p256, ec_p384, rsa_1024, rsa_2048 };
enum class Usage { server, client, both, unlimited };
enum class Signature { sha256, sha1 };

struct LeafOptions {
  std::vector<std::string> names; ///< subjectAltName dNSName; the octets go in as they are
  std::string common_name = "";   ///< empty: the first name
  Key key = Key::ec_p256;
  Usage usage = Usage::both;
  Signature signature = Signature::sha256;
  std::chrono::hours starts{-1}; ///< from now
  std::chrono::hours ends{24 * 30};
};

/// A certificate with its key. `chain` is the certificate followed by the intermediates above it, without the root.
struct Leaf {
  std::string certificate;
  std::string chain;
  std::string key;
  std::string chain_file; ///< after write_to()
  std::string key_file;
  /// NAME.pem and NAME.key in the folder; returns *this with the paths set.
  Leaf &write_to(const TempFolder &folder, const std::string &name);
};

struct CrlOptions {
  std::vector<std::string> revoked = {}; ///< certificates of this CA, PEM
  std::chrono::hours starts{-1};         ///< from now
  std::chrono::hours ends{24 * 7};
  std::string only_for = ""; ///< an issuingDistributionPoint, in the words of OpenSSL's configuration: "onlyCA:TRUE"
};

/// A root, or with intermediate() a CA below another. Keys are EC P-256; RSA leaf keys are made once per size and
/// shared.
class TestCa {
public:
  explicit TestCa(const std::string &common_name = "Test Root CA");
  ~TestCa();
  TestCa(TestCa &&) noexcept;
  [[nodiscard]] TestCa intermediate(const std::string &common_name) const;
  [[nodiscard]] Leaf issue(const LeafOptions &options) const;
  [[nodiscard]] std::string pem() const; ///< this CA's certificate
  /// A revocation list of this CA, PEM.
  [[nodiscard]] std::string crl(const CrlOptions &options) const;

private:
  struct Impl;
  explicit TestCa(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The DER inside the first PEM block.
[[nodiscard]] std::string der_of(const std::string &pem);

/// Signed with its own key.
[[nodiscard]] Leaf self_signed(const LeafOptions &options);

} // namespace test
