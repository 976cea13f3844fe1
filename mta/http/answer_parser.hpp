// HttpAnswerParser: reads one HTTP/1.1 answer from octets as they come; limits everything, keeps no socket.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "mta/http/fetch.hpp"
#include "smtp/base/result.hpp"

namespace mta {

/// What may end a body: its length or its last chunk; or, where the end of the connection cannot be forged (TLS with
/// close_notify), that as well (RFC 9112 section 6.3).
enum class HttpBodyEnd : std::uint8_t { counted, with_connection };

/// Content-Length and chunked bodies of a 2xx; bodies that end with the connection are refused unless `with_connection`
/// was given, because a cut one looks like a whole one. The body of other answers is not read: they are complete with
/// their header.
class HttpAnswerParser {
public:
  explicit HttpAnswerParser(std::uint64_t max_body, HttpBodyEnd end = HttpBodyEnd::counted);
  ~HttpAnswerParser();
  HttpAnswerParser(HttpAnswerParser &&) noexcept;
  HttpAnswerParser &operator=(HttpAnswerParser &&) noexcept;

  /// Octets read from the server, any cut. True: the answer is complete; what follows it is dropped. Errors: protocol,
  /// too_long. Not to be called after either.
  [[nodiscard]] smtp::Result<bool> feed(std::string_view octets);
  /// The connection has ended, and it is known that nothing was cut off. True: the answer is complete with that.
  [[nodiscard]] bool end();
  /// Once feed() or end() has given true. `tls` is not filled.
  [[nodiscard]] HttpAnswer take();
  /// The error when the connection ends now.
  [[nodiscard]] smtp::Error cut() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace mta
