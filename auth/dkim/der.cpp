// The DER of RSA public keys, read and written.
#include "auth/dkim/public_key.hpp"

namespace auth {

namespace {

constexpr char sequence = 0x30;
constexpr char integer = 0x02;
constexpr char bit_string = 0x03;
/// AlgorithmIdentifier of rsaEncryption with NULL parameters (RFC 8017 appendix A.1), and without them.
constexpr std::string_view rsa_encryption{"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00", 13};

/// Takes one element of this tag from the front and gives its content; nothing when the front is something else.
std::optional<std::string_view> take(std::string_view &der, char tag) {
  if (der.size() < 2 || der[0] != tag) return std::nullopt;
  std::size_t length = static_cast<unsigned char>(der[1]);
  std::size_t header = 2;
  if (length > 0x82 || length == 0x80) return std::nullopt; // over 65535 octets: no key record holds it
  if (length > 0x80) {
    const std::size_t count = length - 0x80;
    if (der.size() < 2 + count) return std::nullopt;
    length = 0;
    for (std::size_t i = 0; i < count; ++i) length = length << 8 | static_cast<unsigned char>(der[2 + i]);
    header += count;
  }
  if (der.size() < header + length) return std::nullopt;
  const std::string_view content = der.substr(header, length);
  der.remove_prefix(header + length);
  return content;
}

/// A positive INTEGER without its leading zeros.
std::optional<std::string_view> take_number(std::string_view &der) {
  auto number = take(der, integer);
  if (!number || number->empty() || (static_cast<unsigned char>(number->front()) & 0x80) != 0) return std::nullopt;
  while (!number->empty() && number->front() == '\0') number->remove_prefix(1);
  if (number->empty()) return std::nullopt;
  return number;
}

std::string element(char tag, std::string_view content) {
  std::string out(1, tag);
  if (content.size() < 0x80) {
    out += static_cast<char>(content.size());
  } else if (content.size() < 0x100) {
    out += static_cast<char>(0x81);
    out += static_cast<char>(content.size());
  } else {
    out += static_cast<char>(0x82);
    out += static_cast<char>(content.size() >> 8);
    out += static_cast<char>(content.size() & 255);
  }
  return out.append(content);
}

std::string number_element(std::string_view number) {
  std::string content;
  if ((static_cast<unsigned char>(number.front()) & 0x80) != 0) content += '\0';
  return element(integer, content.append(number));
}

} // namespace

unsigned RsaNumbers::bits() const noexcept {
  if (modulus.empty()) return 0;
  unsigned bits = static_cast<unsigned>(modulus.size()) * 8;
  for (unsigned top = static_cast<unsigned char>(modulus.front()); (top & 0x80) == 0; top <<= 1) --bits;
  return bits;
}

std::optional<RsaNumbers> parse_rsa_key(std::string_view der) {
  auto key = take(der, sequence);
  if (!key) return std::nullopt;
  if (key->starts_with(sequence)) { // SubjectPublicKeyInfo
    const auto algorithm = take(*key, sequence);
    if (!algorithm || algorithm->empty() || !rsa_encryption.starts_with(*algorithm) || algorithm->size() < 11)
      return std::nullopt;
    auto bits = take(*key, bit_string);
    if (!bits || bits->empty() || bits->front() != '\0') return std::nullopt; // unused bits: none
    bits->remove_prefix(1);
    key = take(*bits, sequence);
    if (!key) return std::nullopt;
  }
  const auto modulus = take_number(*key);
  if (!modulus) return std::nullopt;
  const auto exponent = take_number(*key);
  if (!exponent) return std::nullopt;
  return RsaNumbers{*modulus, *exponent};
}

std::string format_rsa_key(const RsaNumbers &key) {
  const std::string numbers = element(sequence, number_element(key.modulus) + number_element(key.exponent));
  return element(sequence, element(sequence, rsa_encryption) + element(bit_string, std::string(1, '\0') + numbers));
}

} // namespace auth
