#include "tls/openssl.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <openssl/pem.h>

#include "smtp/base/text.hpp"

namespace tls {
namespace {

smtp::ErrorCode code_of(int error) noexcept {
  switch (error) {
  case ENOENT:
  case ENOTDIR: return smtp::ErrorCode::not_found;
  case EACCES:
  case EPERM: return smtp::ErrorCode::not_permitted;
  default: return smtp::ErrorCode::io;
  }
}

tl::unexpected<smtp::Error> file_error(const std::string &path, int error) {
  return smtp::fail(code_of(error), fmt::format("{}: {}", path, smtp::to_lower(std::strerror(error))));
}

BioPtr memory_bio(const std::string &text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

int no_passphrase(char *, int, int, void *asked) {
  *static_cast<bool *>(asked) = true;
  return -1;
}

} // namespace

bool is_end_of_pem() noexcept {
  const unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

std::string take_error_text(std::string_view otherwise) {
  const unsigned long error = ERR_peek_error();
  std::string text(otherwise);
  if (error != 0) {
    if (const char *reason = ERR_reason_error_string(error); reason != nullptr) {
      text = reason;
    } else if (ERR_SYSTEM_ERROR(error)) {
      text = smtp::to_lower(std::strerror(ERR_GET_REASON(error)));
    }
  }
  ERR_clear_error();
  return text;
}

smtp::Result<std::string> read_small_file(const std::string &path, std::size_t limit) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) return file_error(path, errno);
  struct Close {
    int descriptor;
    ~Close() { ::close(descriptor); }
  } const close_later{descriptor};

  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return file_error(path, errno);
  if (!S_ISREG(status.st_mode)) return smtp::fail(smtp::ErrorCode::io, path + ": not a regular file");
  std::string text;
  std::array<char, 16384> part{};
  while (true) {
    const ssize_t got = ::read(descriptor, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error(path, errno);
    if (got == 0) return text;
    text.append(part.data(), static_cast<std::size_t>(got));
    if (text.size() > limit) {
      return smtp::fail(smtp::ErrorCode::too_long, fmt::format("{}: larger than the limit of {} octets", path, limit));
    }
  }
}

smtp::Result<std::vector<X509Ptr>> parse_pem_certificates(const std::string &text, const std::string &path) {
  ERR_clear_error();
  const BioPtr bio = memory_bio(text);
  std::vector<X509Ptr> certificates;
  while (X509 *certificate = PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(certificate);
  }
  if (!is_end_of_pem()) {
    return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("{}: certificate {} cannot be read: {}", path,
                                                               certificates.size() + 1, take_error_text("not valid")));
  }
  ERR_clear_error();
  if (certificates.empty()) return smtp::fail(smtp::ErrorCode::bad_syntax, path + ": contains no PEM certificate");
  return certificates;
}

smtp::Result<std::vector<X509Ptr>> load_pem_certificates(const std::string &path) {
  auto text = read_small_file(path, max_pem_octets);
  if (!text) return tl::unexpected(text.error());
  return parse_pem_certificates(*text, path);
}

smtp::Result<KeyPtr> load_pem_key(const std::string &path) {
  auto text = read_small_file(path, max_pem_octets);
  if (!text) return tl::unexpected(text.error());
  // OpenSSL's decoders would only say "unsupported".
  if (text->find("PRIVATE KEY-----") == std::string::npos) {
    return smtp::fail(smtp::ErrorCode::bad_syntax, path + ": contains no PEM private key");
  }
  ERR_clear_error();
  bool passphrase_asked = false;
  KeyPtr key;
  {
    const BioPtr bio = memory_bio(*text);
    key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, &passphrase_asked));
  }
  OPENSSL_cleanse(text->data(), text->size());
  if (key) {
    ERR_clear_error();
    return key;
  }
  if (passphrase_asked) {
    ERR_clear_error();
    return smtp::fail(smtp::ErrorCode::bad_syntax, path + ": the private key is protected by a passphrase");
  }
  return smtp::fail(smtp::ErrorCode::bad_syntax,
                    fmt::format("{}: the private key cannot be read: {}", path, take_error_text("not valid")));
}

} // namespace tls
