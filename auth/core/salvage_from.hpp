// salvage_from: whom a header From names that follows no grammar, or one that readers do not read alike.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace auth {

/// Every domain that stands behind an "@", wherever that is: in quotes, in comments, in encoded words. Whatever way a
/// reader takes the field apart, it can show no other.
struct SalvagedFrom {
  std::vector<std::string> domains; ///< distinct, lower case, A-labels, as they come
  std::string problem; ///< for people, printable ASCII: why some "@" has no domain that all see; empty: none

  /// No "@" at all, nor what looks like one.
  [[nodiscard]] bool names_nobody() const noexcept { return domains.empty() && problem.empty(); }
};

/// The texts in which some reader looks for addresses.
struct FromReadings {
  std::vector<std::string> texts; ///< the value without folds; what each encoded word says; all of it, decoded at once
  std::string problem;            ///< for people, printable ASCII: why there may be others; empty: none
};

/// `value` is at most longest_from_field octets, folds included.
[[nodiscard]] FromReadings readings_of_from(std::string_view value);
[[nodiscard]] SalvagedFrom salvage_from(std::string_view value);

/// A domain as header From has it, in lower case and A-labels; empty when it is none.
[[nodiscard]] std::string author_domain(std::string_view name);

} // namespace auth
