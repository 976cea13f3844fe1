// SpfEvaluation: one run of check_host() (RFC 7208 section 4.6): libspf2 walks, this answers it, counts and keeps
// limits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/dns_facts.hpp"
#include "auth/core/results.hpp"
#include "auth/spf/library.hpp"
#include "auth/spf/macro.hpp"
#include "auth/spf/record.hpp"

namespace auth {

/// RFC 7208 section 4.6.4: terms that ask the DNS, lookups without an answer, names of one mx or of the client.
inline constexpr unsigned spf_lookup_limit = 10;
inline constexpr unsigned spf_void_limit = 2;
inline constexpr std::size_t spf_name_limit = 10;
/// Ours: the RFC would let one check ask 110 questions and more. Permerror when a check uses more.
inline constexpr std::size_t spf_question_limit = 30;
/// Ours: a first miss goes on to gather others only while there are fewer facts and misses than this.
inline constexpr std::size_t spf_gather_limit = 24;
/// Octets of an explanation (RFC 7208 section 6.2: it should be short, it goes into a reply).
inline constexpr std::size_t spf_explanation_limit = 450;

/// A name of two labels or more that a DNS message can carry and that is ASCII without control characters and
/// backslashes. Spaces may be in it: "%_" makes them (RFC 7208 section 7.1).
[[nodiscard]] bool can_be_asked(std::string_view name) noexcept;

/// The record of each domain is vetted and written anew for libspf2: each term that asks the DNS gets a name of ours
/// ("7.x": term 7), so that libspf2's question tells which term it evaluates, and nothing that was published reaches it
/// but the networks of ip4 and ip6. The real question is made and answered here.
class SpfEvaluation final : private SpfAnswers {
public:
  /// `identity` has all but current_domain and validated_name. `facts` must outlive this.
  SpfEvaluation(MacroValues identity, DnsFacts &facts);
  /// Once. `domain` is the <domain> of check_host().
  [[nodiscard]] SpfVerdict run(const std::string &domain);

private:
  struct LoadedRecord {
    std::string domain;
    SpfRecord record;
    std::size_t first = 0; ///< asks_[first + i] is its term i; the redirect is behind the last term
  };
  /// A term that libspf2 may ask about.
  struct Ask {
    const SpfTerm *term = nullptr; ///< none: a redirect
    std::size_t owner = 0;         ///< index of its record
    bool begun = false;            ///< counted as a lookup
    bool was_void = false;
    bool matched = false;
    const std::vector<smtp::MxRecord> *hosts = nullptr;
    std::optional<std::size_t> child = {}; ///< the record that include or redirect brought
  };
  struct Match {
    SpfResult result = SpfResult::neutral;
    std::string path; ///< "include:a.example, ip4:192.0.2.0/24"; empty: no mechanism matched
  };

  std::optional<std::string> record(std::string_view name) override;
  std::optional<std::vector<smtp::IpAddress>> addresses(std::string_view name) override;
  std::optional<std::vector<std::string>> hosts(std::string_view name) override;

  enum class Load : std::uint8_t { ready, no_record, missing, stopped };
  /// Fetches, vets and keeps the record of `domain`: the last of records_ when it is ready.
  Load load(const std::string &domain);
  /// The vetted record in libspf2's words.
  std::string rewrite(std::size_t index) const;
  /// The answer, or nothing when it is missing or an error ended the evaluation.
  const DnsFact *find(std::string_view name, RecordType type);
  /// As find() for a term: void answers are counted, a temporary error ends the evaluation.
  const DnsFact *find_for(Ask &ask, std::string_view name, RecordType type);
  std::optional<std::vector<smtp::IpAddress>> addresses_of(Ask &ask, std::string_view name);
  /// False when that was one too many.
  bool count_void(Ask &ask);
  /// Counts the term as a lookup; false when that was one too many.
  bool begin(Ask &ask);
  /// The domain that the term is about; nothing when %{p} in it waits for the DNS.
  std::optional<std::string> target_of(const Ask &ask);
  std::optional<std::string> expand_name(std::string_view domain_spec, const std::string &current_domain);
  bool validates(const std::string &name);
  bool matches_ptr(Ask &ask, const std::string &target);
  std::string validated_name(const std::string &domain);
  /// The void lookup counts for `ask`, if there is one.
  std::vector<std::string> client_names(Ask *ask);
  std::string explain();
  /// What matched, from the answers that were given: for the reason, and to hold libspf2's result against.
  Match find_match(std::size_t index) const;
  void judge(const SpfOutcome &outcome);
  void stop(SpfResult result, std::string reason);
  bool may_go_on() const;
  Ask *find_ask(std::string_view name);
  std::string text_of(const Ask &ask) const;
  RecordType address_type() const { return identity_.client.is_v6() ? RecordType::aaaa : RecordType::a; }

  MacroValues identity_;
  DnsFacts &facts_;
  SpfVerdict verdict_;
  std::deque<LoadedRecord> records_;
  std::deque<Ask> asks_;
  std::size_t top_ = 0;  ///< the record whose directives make the result: the first, or where redirect led from it
  bool stopped_ = false; ///< verdict_ has its final result
  bool missed_ = false;  ///< an answer was missing
  std::vector<const DnsFact *> used_; ///< each once
  std::size_t misses_ = 0;
  bool explaining_ = false; ///< limits no longer make an error
};

} // namespace auth
