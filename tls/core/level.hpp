// Level: how much TLS a rule asks for (docs/architecture.md, "TLS trust"), in the words of the configuration.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tls {

/// In rising order of strictness.
enum class Level : std::uint8_t { none, opportunistic, encrypted, authenticated, dane };

[[nodiscard]] const char *to_string(Level level) noexcept;
[[nodiscard]] std::optional<Level> parse_level(std::string_view word) noexcept;

} // namespace tls
