// The version of Portcullis; CMake reads it from here.
#pragma once

#include <string_view>

namespace mta {

inline constexpr std::string_view version = "0.1.0";

} // namespace mta
