// BodySource: a message as it goes out, trace fields in front of the stored body, handed out in parts.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "mta/spool/spool.hpp"

namespace mta {

/// Refers to the trace text, which must outlive it.
class BodySource {
public:
  BodySource(std::string_view trace, std::unique_ptr<BodyReader> reader) : trace_(trace), reader_(std::move(reader)) {}

  struct Part {
    std::size_t size = 0; ///< octets placed in the buffer
    bool last = false;
  };
  /// Fills the buffer as far as there is something left; does not suspend. Errors: the body cannot be read.
  [[nodiscard]] smtp::Result<Part> read(std::span<char> into);
  [[nodiscard]] std::uint64_t size() const noexcept { return trace_.size() + reader_->size(); }

private:
  std::string_view trace_;
  std::unique_ptr<BodyReader> reader_;
  std::uint64_t offset_ = 0; ///< in trace and body together
};

} // namespace mta
