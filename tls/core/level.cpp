#include "tls/core/level.hpp"

namespace tls {

const char *to_string(Level level) noexcept {
  switch (level) {
  case Level::none: return "none";
  case Level::opportunistic: return "opportunistic";
  case Level::encrypted: return "encrypted";
  case Level::authenticated: return "authenticated";
  case Level::dane: return "dane";
  }
  return "none";
}

std::optional<Level> parse_level(std::string_view word) noexcept {
  for (const Level level : {Level::none, Level::opportunistic, Level::encrypted, Level::authenticated, Level::dane}) {
    if (word == to_string(level)) return level;
  }
  return std::nullopt;
}

} // namespace tls
