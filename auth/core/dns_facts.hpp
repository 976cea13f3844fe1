// DnsFacts: the DNS answers that a check has so far, and the questions that it asked in vain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "smtp/dns/answer.hpp"
#include "smtp/names/ip_address.hpp"

namespace auth {

enum class RecordType : std::uint8_t { a, aaaa, mx, txt, ptr };

/// "a", "aaaa", "mx", "txt", "ptr".
[[nodiscard]] std::string_view to_string(RecordType type) noexcept;

struct DnsQuestion {
  std::string name; ///< lower case, no final dot; for ptr the reverse name ("1.2.0.192.in-addr.arpa")
  RecordType type = RecordType::txt;
  friend auto operator<=>(const DnsQuestion &, const DnsQuestion &) = default;
};

/// An answer of any type; only the list that belongs to the type is filled. CNAMEs have been followed.
struct DnsFact {
  smtp::DnsStatus status = smtp::DnsStatus::temporary;
  std::vector<smtp::IpAddress> addresses; ///< a, aaaa
  std::vector<smtp::MxRecord> hosts;      ///< mx, in the order of the answer
  /// txt: each record's strings joined, any octets; ptr: names, lower case, no final dot.
  std::vector<std::string> texts;
  std::string detail; ///< for temporary: why
};

/// The checks of this layer never wait for the DNS. They look an answer up here; what is not here is noted, the check
/// gives a preliminary result, its caller fetches what is missing and runs the check again. A result counts only when
/// nothing was missing while it was made.
class DnsFacts {
public:
  /// Null: not known.
  using Source = std::function<std::shared_ptr<const DnsFact>(const DnsQuestion &)>;

  /// What a check does with a question that it cannot answer yet: nullptr, and the question is noted as missing. A name
  /// that no DNS message can carry (empty label, label over 63 octets, over 253 in all) is answered no_name at once.
  [[nodiscard]] const DnsFact *find(std::string_view name, RecordType type);
  /// Replaces what was known.
  void put(const DnsQuestion &question, std::shared_ptr<const DnsFact> fact);
  void put(const DnsQuestion &question, DnsFact fact);
  /// Asked for what is not here before it counts as missing; its answers are kept. An empty one: there is none.
  void set_source(Source source) { source_ = std::move(source); }
  /// The questions asked in vain since the last clear_missing(), each once.
  [[nodiscard]] const std::vector<DnsQuestion> &missing() const noexcept { return missing_; }
  void clear_missing() noexcept { missing_.clear(); }
  [[nodiscard]] std::size_t size() const noexcept { return facts_.size(); }

private:
  std::map<DnsQuestion, std::shared_ptr<const DnsFact>> facts_;
  Source source_;
  std::vector<DnsQuestion> missing_;
};

} // namespace auth
