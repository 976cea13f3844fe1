// walk_mime: the leaf parts of a message (RFC 2046), one after the other while it is read; memory does not grow with
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mta/received/octet_source.hpp"

namespace mta {

struct MimeLimits {
  std::uint64_t message_size = 67'108'864;
  std::size_t header_size = 262'144; ///< octets of one header section
  std::size_t field_size = 16'384;   ///< of a field that we read, with its folds
  std::size_t depth = 10;            ///< multiparts and messages in each other
  std::size_t parts = 100;           ///< leaf parts
};

struct MimePart {
  std::string type; ///< lower case, "application/gzip"
  std::string name; ///< of the attachment; empty: none
};

/// Of the outermost header; decoded, each one line of valid UTF-8.
struct MailFacts {
  std::string from;
  std::string subject;
  std::string message_id;
  std::string tls_report_domain; ///< RFC 8460 section 5.3
};

/// Told of every leaf part, in order.
class PartVisitor {
public:
  virtual ~PartVisitor() = default;
  /// Once, when the outermost header has ended.
  virtual void begin_message(MailFacts facts) = 0;
  /// False: its contents are of no interest.
  virtual bool begin_part(const MimePart &part) = 0;
  /// Contents with the transfer encoding undone; only between begin_part() that was true and end_part(). False: no more
  /// of this part, please.
  virtual bool take(std::string_view octets) = 0;
  virtual void end_part() = 0;
};

/// Errors: too_long with the limit that was passed (parts before it were visited); io from the source.
[[nodiscard]] smtp::Result<void> walk_mime(const OctetSource &source, const MimeLimits &limits, PartVisitor &visitor);

} // namespace mta
