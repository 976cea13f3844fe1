// One way to write a reply of ours.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "smtp/wire/reply.hpp"

namespace mta::inbound {

[[nodiscard]] inline smtp::Reply make_reply(std::uint16_t code, smtp::EnhancedCode enhanced, std::string text) {
  return smtp::Reply{.code = code, .enhanced = enhanced, .text = std::move(text)};
}

} // namespace mta::inbound
