// printable: foreign text that is already escaped in part, made safe for a terminal, and for JSON, which must be UTF-8.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

namespace mta {

/// As smtp::escape(), but a backslash stays one, so that what was escaped before is not escaped twice; never cut. For
/// one line: LF becomes \x0a.
[[nodiscard]] std::string printable(std::string_view text);

/// printable(), line by line: LF stays.
[[nodiscard]] std::string printable_lines(std::string_view text);

/// Every string in `value` that is not UTF-8 becomes printable(): a reader refuses the whole text otherwise (RFC 8259
/// section 8.1). Control characters stay: the serializer escapes them.
void make_utf8(boost::json::value &value);
void make_utf8(boost::json::object &object);

} // namespace mta
