// TlsSources: the words of its enumerations.
#include "policy/tls_sources.hpp"

namespace policy {

const char *to_string(DaneFacts::State state) noexcept {
  switch (state) {
  case DaneFacts::State::off: return "off";
  case DaneFacts::State::insecure: return "insecure";
  case DaneFacts::State::none: return "none";
  case DaneFacts::State::unusable: return "unusable";
  case DaneFacts::State::usable: return "usable";
  case DaneFacts::State::failed: return "failed";
  }
  return "?";
}

const char *to_string(StsFacts::State state) noexcept {
  switch (state) {
  case StsFacts::State::off: return "off";
  case StsFacts::State::none: return "none";
  case StsFacts::State::testing: return "testing";
  case StsFacts::State::enforce: return "enforce";
  case StsFacts::State::failed: return "failed";
  }
  return "?";
}

const char *to_string(Wish wish) noexcept {
  switch (wish) {
  case Wish::none: return "none";
  case Wish::require_tls: return "requiretls";
  case Wish::tls_optional: return "tls-required-no";
  case Wish::tls_optional_outside: return "tls-required-no-outside";
  case Wish::report: return "report";
  }
  return "?";
}

} // namespace policy
