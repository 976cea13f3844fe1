// HttpAnswerParser: reads one HTTP/1.1 answer from octets as they come; limits everything, keeps no socket.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "mta/http/fetch.hpp"
#include "smtp/base/result.hpp"

namespace mta {

/// Content-Length and chunked bodies of a 2xx; bodies that end with the connection are refused, because a cut one looks
/// like a whole one. The body of other answers is not read: they are complete with their header.
class HttpAnswerParser {
public:
  explicit HttpAnswerParser(std::uint64_t max_body);
  ~HttpAnswerParser();
  HttpAnswerParser(HttpAnswerParser &&) noexcept;
  HttpAnswerParser &operator=(HttpAnswerParser &&) noexcept;

  /// Octets read from the server, any cut. True: the answer is complete; what follows it is dropped. Errors: protocol,
  /// too_long. Not to be called after either.
  [[nodiscard]] smtp::Result<bool> feed(std::string_view octets);
  /// Once feed() has given true. `tls` is not filled.
  [[nodiscard]] HttpAnswer take();
  /// The error when the connection ends now.
  [[nodiscard]] smtp::Error cut() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace mta
