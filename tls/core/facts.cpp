#include "tls/core/facts.hpp"

namespace tls {

const char *to_string(Version version) noexcept {
  switch (version) {
  case Version::tls1_0: return "TLSv1";
  case Version::tls1_1: return "TLSv1.1";
  case Version::tls1_2: return "TLSv1.2";
  case Version::tls1_3: return "TLSv1.3";
  }
  return "TLSv1.2";
}

} // namespace tls
