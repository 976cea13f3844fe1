// BodySource: a message as it goes out, trace fields in front of the stored body, handed out in parts.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "mta/spool/spool.hpp"
#include "smtp/message/eight_bit.hpp"

namespace mta {

/// One attempt's. `trace` must outlive it.
class BodySource {
public:
  BodySource(std::string_view trace, std::unique_ptr<BodyReader> reader) : trace_(trace), reader_(std::move(reader)) {}

  struct Part {
    std::size_t size = 0; ///< octets placed in the buffer
    bool last = false;
  };
  /// Fills the buffer as far as there is something left; does not suspend. Errors: the body cannot be read.
  [[nodiscard]] smtp::Result<Part> read(std::span<char> into);
  /// Octets; of a message that is converted, an estimate.
  [[nodiscard]] std::uint64_t size() const noexcept { return converter_ ? size_converted_ : stored_size(); }

  /// For a hop without 8BITMIME, before the first read(): looks at the next part of the message; true when more is
  /// left.
  [[nodiscard]] smtp::Result<bool> survey(std::span<char> scratch);
  /// The survey is complete: from here on read() gives the message in 7 bits, from its beginning.
  void convert();

  /// False: reading has found that the stored message is damaged, or recovery had.
  [[nodiscard]] bool is_whole() const noexcept { return reader_->is_whole(); }

private:
  [[nodiscard]] std::uint64_t stored_size() const noexcept { return trace_.size() + reader_->size(); }
  [[nodiscard]] smtp::Result<Part> read_stored(std::span<char> into);

  std::string_view trace_;
  std::unique_ptr<BodyReader> reader_;
  std::uint64_t offset_ = 0; ///< in trace and body together
  std::optional<smtp::SevenBitConverter> survey_;
  std::optional<smtp::SevenBitConverter> converter_;
  std::uint64_t size_converted_ = 0;
  std::string converted_;          ///< not yet handed out
  std::size_t converted_used_ = 0; ///< of it
  bool all_converted_ = false;
};

} // namespace mta
