// Authentication-Results of others, read with tolerance: which claim to be ours, and what they say (RFC 8601 section
// 5).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "auth/core/header_fields.hpp"

namespace auth {

/// "dmarc=pass (p=reject) header.from=example.com". Names and results in lower case, values unquoted.
struct MethodResult {
  std::string method;
  std::string result;
  std::vector<std::pair<std::string, std::string>> properties; ///< "header.from", "example.com"; reason too
  /// Empty when it is absent.
  [[nodiscard]] std::string_view property(std::string_view name) const noexcept;
};

struct ResultsPayload {
  std::string authserv_id; ///< lower case, unquoted; empty: none
  std::vector<MethodResult> results;
};

/// The value of an Authentication-Results field, or of ARC-Authentication-Results behind its instance. What is not
/// understood is passed over; at most 64 KiB and 200 results are read.
[[nodiscard]] ResultsPayload parse_results(std::string_view value);

/// True for an Authentication-Results field that has this authserv-id, in any spelling: case, folds, comments, quotes,
/// U-labels, a final dot, a version; and for one that follows no grammar and has the id in it as a word.
[[nodiscard]] bool bears_authserv_id(const HeaderField &field, std::string_view authserv_id);

/// The fields that bear one of the ids.
[[nodiscard]] std::vector<const HeaderField *> find_forged(const HeaderFields &fields,
                                                           std::span<const std::string> authserv_ids);

/// The header section without these fields, which are `fields`'; what is behind the last field stays.
[[nodiscard]] std::string without_fields(const HeaderFields &fields, std::vector<const HeaderField *> unwanted);

/// The header section without them (RFC 8601 section 5); what is behind the last field stays.
[[nodiscard]] std::string remove_forged(const HeaderFields &fields, std::span<const std::string> authserv_ids);

} // namespace auth
