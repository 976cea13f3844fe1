// read_dmarc_xml: a DMARC aggregate report of another (RFC 7489 appendix C, RFC 9990), read with tolerance.
#pragma once

#include <cstddef>
#include <string_view>

#include "mta/received/read_hints.hpp"
#include "mta/store/received_report.hpp"
#include "smtp/base/result.hpp"

namespace mta {

struct XmlLimits {
  /// '<' and '=' in the text: what elements and attributes cost in memory, counted before the parser sees them.
  std::size_t markup = 2'000'000;
  std::size_t depth = 32;
  std::size_t rows = 50'000;
  std::size_t checks = 100; ///< DKIM or SPF results, or reasons, of one record
};

/// Names count without their namespace prefix; order, unknown elements, the case of results and white space do not
/// matter, because most real reports do not follow the schemas; where the markup itself is broken, but the report ends
/// as it should, what is not an element of a report counts as text (repair_xml). A report must have report_id,
/// date_range (in seconds, or milliseconds), the domain of policy_published or of `hints`, and a record with a source
/// address and a count; a document type declaration is refused. Errors: bad_syntax; too_long with the limit.
[[nodiscard]] smtp::Result<ReceivedReport> read_dmarc_xml(std::string_view text, const XmlLimits &limits = {});
[[nodiscard]] smtp::Result<ReceivedReport> read_dmarc_xml(std::string_view text, const XmlLimits &limits,
                                                          ReadHints &hints);

} // namespace mta
