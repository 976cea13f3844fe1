// DkimVerifier: see the header.
#include "auth/dkim/verify.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "auth/dkim/body_hashes.hpp"
#include "auth/dkim/field_index.hpp"
#include "auth/dkim/key_choice.hpp"
#include "auth/dkim/library_hashes.hpp"
#include "auth/dkim/signature.hpp"
#include "auth/dkim/signed_header.hpp"
#include "smtp/base/text.hpp"

namespace auth {

namespace {

/// One signature field, from its vetting to its verdict.
struct Candidate {
  Signature signature;
  DkimVerdict verdict;                ///< what is known before the key
  bool decided = false;               ///< nothing more is computed
  const HeaderField *field = nullptr; ///< stepwise, until the header is hashed
  std::size_t body = 0;               ///< its number in BodyHashes
  std::string header_digest;
};

void decide(Candidate &candidate, DkimResult result, std::string reason) {
  candidate.verdict.result = result;
  candidate.verdict.reason = to_printable(std::move(reason));
  candidate.decided = true;
}

/// RFC 6376 section 6.1.1, with the time of `options`.
void vet(Candidate &candidate, const HeaderField &field, const DkimOptions &options) {
  Signature &signature = candidate.signature;
  const auto read =
      read_dkim_signature(field.value, options.allow_weak_keys ? Dialect::drafts : Dialect::rfc6376, signature);
  DkimVerdict &verdict = candidate.verdict;
  verdict.domain = signature.domain;
  verdict.selector = signature.selector;
  verdict.identity = smtp::escape(signature.identity);
  verdict.algorithm = smtp::escape(signature.algorithm, 40);
  verdict.signature_start = smtp::escape(signature.start);
  if (!read) return decide(candidate, DkimResult::permerror, read.error().detail);
  // Section 6.1.1: an expired signature is a PERMFAIL. A t= in the future is no reason (section 3.5: MAY ignore).
  const std::int64_t latest = options.now - options.clock_skew;
  if (signature.expires && latest > 0 && *signature.expires < static_cast<std::uint64_t>(latest))
    return decide(candidate, DkimResult::permerror, fmt::format("signature expired at {}", *signature.expires));
}

/// RFC 4871 section 3.6.1: one '*' stands for any octets; an empty g= allows nothing. RFC 6376 dropped the tag: only
/// the mode for corpora of that time obeys it.
bool matches_granularity(std::string_view pattern, std::string_view local) {
  const auto star = pattern.find('*');
  if (star == std::string_view::npos) return !pattern.empty() && pattern == local;
  const std::string_view behind = pattern.substr(star + 1);
  return local.size() + 1 >= pattern.size() && local.starts_with(pattern.substr(0, star)) && local.ends_with(behind);
}

} // namespace

class DkimVerifier::Implementation {
public:
  Implementation(const HeaderFields &message, const DkimOptions &chosen);

  DkimVerdict judge(Candidate &candidate, DnsFacts &facts);
  /// Hashes the header for the next signature that wants it; false when none is left.
  bool hash_next();

  const HeaderFields *fields = nullptr; ///< while hashes are to be made
  std::optional<FieldIndex> index;
  unsigned checks_left = 0;
  bool busy = false;

  DkimOptions options;
  std::vector<Candidate> candidates;
  BodyHashes bodies;
  bool ended = false;
};

DkimVerifier::Implementation::Implementation(const HeaderFields &message, const DkimOptions &chosen) : options(chosen) {
  const auto found = message.named("dkim-signature");
  candidates.resize(std::min(found.size(), max_signature_fields));
  std::vector<VettedField> vetted;
  std::vector<std::size_t> numbers; // of the vetted among the candidates
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    Candidate &candidate = candidates[i];
    if (message.section().size() > max_signed_header) {
      decide(candidate, DkimResult::permerror,
             fmt::format("header section is {} octets, limit is {}", message.section().size(), max_signed_header));
    } else if (i >= options.max_signatures) {
      decide(candidate, DkimResult::policy, fmt::format("more than {} signatures", options.max_signatures));
    } else {
      vet(candidate, *found[i], options);
    }
    if (candidate.decided) continue;
    vetted.push_back({found[i], &candidate.signature});
    numbers.push_back(i);
    const Signature &signature = candidate.signature;
    candidate.body = bodies.want(signature.body, signature.hash, signature.length);
  }
  if (vetted.empty()) return;
  const std::vector<std::string> digests = library_header_hashes(message, vetted);
  for (std::size_t i = 0; i < vetted.size(); ++i) {
    Candidate &candidate = candidates[numbers[i]];
    candidate.header_digest = digests[i];
    if (!candidate.header_digest.empty()) continue;
    candidate.field = vetted[i].field;
    fields = &message;
  }
  if (options.stepwise) return;
  while (hash_next()) {
  }
}

bool DkimVerifier::Implementation::hash_next() {
  if (fields == nullptr) return false;
  if (!index) index.emplace(*fields);
  for (Candidate &candidate : candidates) {
    if (candidate.field == nullptr || candidate.decided) continue;
    candidate.header_digest = hash_signed_header(*index, *std::exchange(candidate.field, nullptr), candidate.signature);
    return true;
  }
  index.reset();
  fields = nullptr;
  return false;
}

/// RFC 6376 sections 6.1.2 and 6.1.3.
DkimVerdict DkimVerifier::Implementation::judge(Candidate &candidate, DnsFacts &facts) {
  DkimVerdict verdict = candidate.verdict;
  if (candidate.decided) return verdict;
  const Signature &signature = candidate.signature;
  const auto settle = [&](DkimResult result, std::string reason) {
    verdict.result = result;
    verdict.reason = to_printable(std::move(reason));
    if (candidate.decided) candidate.verdict = verdict;
    return verdict;
  };
  const KeyChoice choice = choose_key(signature, facts, options.keys);
  switch (choice.state) {
  case KeyChoice::State::missing:
  case KeyChoice::State::temporary: return settle(DkimResult::temperror, choice.reason);
  case KeyChoice::State::unusable: return settle(DkimResult::permerror, choice.reason);
  case KeyChoice::State::ready: break;
  }
  verdict.bits = choice.key().bits();
  verdict.testing = choice.record().testing;
  if (choice.record().no_subdomain && signature.identity_domain != signature.domain)
    return settle(DkimResult::permerror, "key does not allow a subdomain in i=");
  if (options.allow_weak_keys && choice.record().granularity &&
      !matches_granularity(*choice.record().granularity, signature.identity_local))
    return settle(DkimResult::permerror, "g= of the key does not allow i=");
  const std::uint64_t length = bodies.length(candidate.body);
  if (signature.length && *signature.length > length)
    return settle(DkimResult::permerror, fmt::format("l= is larger than the body of {} octets", length));
  verdict.body_goes_on = signature.length && *signature.length < length;
  if (bodies.digest(candidate.body) != signature.body_hash) return settle(DkimResult::fail, "body hash did not verify");
  if (options.stepwise) {
    if (checks_left == 0) {
      busy = true;
      return settle(DkimResult::temperror, "not checked yet");
    }
    --checks_left;
    candidate.decided = true; // by what follows; the key is there, and stays the same
  }
  if (!choice.key().verify(signature.hash, candidate.header_digest, signature.signature))
    return settle(DkimResult::fail, "signature did not verify");
  if (!options.allow_weak_keys) {
    // RFC 8301 sections 3.1 and 3.2: neither is ever a valid signature.
    if (signature.hash == HashKind::sha1) return settle(DkimResult::policy, "rsa-sha1 is not accepted");
    if (signature.key_type == KeyType::rsa && verdict.bits < min_rsa_bits)
      return settle(DkimResult::policy, fmt::format("{}-bit key, at least {} are needed", verdict.bits, min_rsa_bits));
  }
  return settle(DkimResult::pass, signature.key_type == KeyType::rsa && verdict.bits < 2048
                                      ? fmt::format("{}-bit key", verdict.bits)
                                      : std::string());
}

DkimVerifier::DkimVerifier(const HeaderFields &fields, const DkimOptions &options)
    : implementation_(std::make_unique<Implementation>(fields, options)) {}
DkimVerifier::~DkimVerifier() = default;
DkimVerifier::DkimVerifier(DkimVerifier &&) noexcept = default;
DkimVerifier &DkimVerifier::operator=(DkimVerifier &&) noexcept = default;

bool DkimVerifier::work() {
  return implementation_->hash_next() && implementation_->fields != nullptr;
}

void DkimVerifier::give_up(const std::string &reason) {
  for (Candidate &candidate : implementation_->candidates)
    if (!candidate.decided) decide(candidate, DkimResult::policy, reason);
  implementation_->fields = nullptr;
  implementation_->index.reset();
  implementation_->bodies = BodyHashes();
}

bool DkimVerifier::is_busy() const noexcept {
  return implementation_->busy;
}

void DkimVerifier::body(std::string_view octets) {
  if (!implementation_->ended) implementation_->bodies.write(octets);
}

void DkimVerifier::end() {
  if (implementation_->ended) return;
  implementation_->ended = true;
  implementation_->bodies.end();
}

void DkimVerifier::ask_for_keys(DnsFacts &facts) const {
  for (const Candidate &candidate : implementation_->candidates)
    if (!candidate.decided) (void)facts.find(candidate.signature.key_name(), RecordType::txt);
}

std::vector<DkimVerdict> DkimVerifier::verdicts(DnsFacts &facts) {
  end();
  implementation_->busy = false;
  implementation_->checks_left = checks_in_step;
  std::vector<DkimVerdict> verdicts;
  verdicts.reserve(implementation_->candidates.size());
  for (Candidate &candidate : implementation_->candidates) verdicts.push_back(implementation_->judge(candidate, facts));
  return verdicts;
}

} // namespace auth
