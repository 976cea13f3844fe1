// repair_xml: a DMARC report whose markup is broken, with the markup that a report has and the rest as text.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace mta {

/// Tags of a report's elements stay, without their attributes; elements that were left open are closed where the one
/// around them ends; other tags and stray ends are left out; "<" and "&" that begin nothing become text. Comments,
/// CDATA and processing instructions go. Nothing: the text has a document type declaration, does not end its
/// <feedback>, or nests deeper than `depth`, or would become twice as long: then something is missing, or it is no
/// report.
[[nodiscard]] std::optional<std::string> repair_xml(std::string_view text, std::size_t depth);

} // namespace mta
