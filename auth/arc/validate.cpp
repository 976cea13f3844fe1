// ArcValidator: see the header.
#include "auth/arc/validate.hpp"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "auth/arc/sets.hpp"
#include "auth/dkim/body_hashes.hpp"
#include "auth/dkim/field_index.hpp"
#include "auth/dkim/key_choice.hpp"
#include "auth/dkim/signed_header.hpp"
#include "smtp/base/text.hpp"

namespace auth {

namespace {

/// No more different body hashes are computed for one message: each costs a pass over the body.
constexpr std::size_t max_body_hashes = 4;

/// What a check of one signature found.
struct Check {
  enum class Outcome { good, bad, waiting };
  Outcome outcome = Outcome::good;
  std::string reason;
};

/// How many signatures one step may still check.
struct Steps {
  bool limited = false;
  unsigned left = 0;
  bool busy = false;
};

/// One instance, ready but for its keys.
struct Link {
  Signature message;
  std::string message_digest;
  std::string message_fault; ///< not empty: the message signature cannot verify
  std::size_t body = 0;      ///< its number in BodyHashes
  Seal seal;
  std::string seal_digest;
  const HeaderField *field = nullptr; ///< the message signature's, until its header is hashed
  std::optional<Check> message_check; ///< once it is known for good
  std::optional<Check> seal_check;
};

Check check_signature(const SignatureBase &base, std::string_view digest, const DkimOptions &options, DnsFacts &facts,
                      Steps &steps) {
  const KeyChoice choice = choose_key(base, facts, options.keys);
  switch (choice.state) {
  case KeyChoice::State::missing:
  case KeyChoice::State::temporary: return {Check::Outcome::waiting, choice.reason};
  case KeyChoice::State::unusable: return {Check::Outcome::bad, choice.reason};
  case KeyChoice::State::ready: break;
  }
  if (!options.allow_weak_keys && base.key_type == KeyType::rsa && choice.key().bits() < min_rsa_bits)
    return {Check::Outcome::bad, fmt::format("{}-bit key, at least {} are needed", choice.key().bits(), min_rsa_bits)};
  if (steps.limited && steps.left == 0) {
    steps.busy = true;
    return {Check::Outcome::waiting, "not checked yet"};
  }
  if (steps.limited) --steps.left;
  if (!choice.key().verify(base.hash, digest, base.signature)) return {Check::Outcome::bad, "did not verify"};
  return {};
}

} // namespace

class ArcValidator::Implementation {
public:
  Implementation(const HeaderFields &fields, const DkimOptions &options);

  void prepare(const HeaderFields &fields, const ArcFields &found);
  void prepare_message(Link &link, const ArcFieldSet &set);
  bool hash_next();
  Check check_message(Link &link, DnsFacts &facts);
  Check check_seal(Link &link, DnsFacts &facts);
  ArcVerdict judge(DnsFacts &facts);

  DkimOptions options;
  std::vector<Link> links; ///< empty when there is no chain or it failed by its form
  ArcVerdict verdict;      ///< what is known before the keys
  BodyHashes bodies;
  bool ended = false;
  const HeaderFields *message = nullptr; ///< while hashes are to be made
  std::optional<FieldIndex> index;
  Steps steps;
};

ArcValidator::Implementation::Implementation(const HeaderFields &fields, const DkimOptions &chosen) : options(chosen) {
  // RFC 8617 section 5.2 step 1: collect the sets; none: the status is none.
  const ArcFields found = collect_arc_fields(fields);
  if (found.sets.empty() && found.fault.empty()) return;
  verdict.result = ArcResult::fail;
  verdict.reason = found.fault;
  prepare(fields, found);
  if (!verdict.reason.empty()) links.clear();
  if (links.empty() || options.stepwise) return;
  while (hash_next()) {
  }
}

/// Steps 1 to 3 of section 5.2, and all hashes.
void ArcValidator::Implementation::prepare(const HeaderFields &fields, const ArcFields &found) {
  const auto fault = [this](std::string text) {
    if (verdict.reason.empty()) verdict.reason = to_printable(std::move(text));
  };
  links.resize(found.sets.size());
  for (std::size_t i = 0; i < links.size(); ++i) {
    if (!found.sets[i].whole()) continue;
    const auto read = read_seal(found.sets[i].seal->value, links[i].seal);
    const auto instance = static_cast<unsigned>(i + 1);
    verdict.chain.push_back({instance, links[i].seal.domain, links[i].seal.selector,
                             smtp::escape(unfold(found.sets[i].results_text), 2000)});
    if (!read) fault(fmt::format("ARC-Seal i={}: {}", instance, read.error().detail));
  }
  if (fields.section().size() > max_signed_header)
    fault(fmt::format("header section is {} octets, limit is {}", fields.section().size(), max_signed_header));
  if (!verdict.reason.empty()) return;
  // Step 2: the newest seal says fail.
  if (links.back().seal.chain == ChainValue::fail) return fault("the chain is marked as failed");
  // Step 3: cv= is none in the first set and pass in all others.
  for (std::size_t i = 0; i < links.size(); ++i)
    if (links[i].seal.chain != (i == 0 ? ChainValue::none : ChainValue::pass))
      return fault(fmt::format("ARC-Seal i={} has the wrong cv=", i + 1));

  Digest before(HashKind::sha256); // the sets so far
  std::string text;
  for (std::size_t i = 0; i < links.size(); ++i) {
    const ArcFieldSet &set = found.sets[i];
    Digest seal = before;
    text.clear();
    append_canonical_set(set, true, text);
    seal.write(text);
    links[i].seal_digest = seal.finish();
    text.clear();
    append_canonical_set(set, false, text);
    before.write(text);
  }
  for (std::size_t i = links.size(); i-- > 0;) // the newest first: its body hash is always computed
    prepare_message(links[i], found.sets[i]);
  message = &fields;
}

/// The newest first: it is always looked at.
bool ArcValidator::Implementation::hash_next() {
  if (message == nullptr) return false;
  if (!index) index.emplace(*message);
  for (std::size_t i = links.size(); i-- > 0;) {
    Link &link = links[i];
    if (link.field == nullptr) continue;
    link.message_digest = hash_signed_header(*index, *std::exchange(link.field, nullptr), link.message);
    return true;
  }
  index.reset();
  message = nullptr;
  return false;
}

void ArcValidator::Implementation::prepare_message(Link &link, const ArcFieldSet &set) {
  Signature &signature = link.message;
  if (const auto read = read_arc_message_signature(set.message->value, signature); !read) {
    link.message_fault = read.error().detail;
    return;
  }
  const std::int64_t latest = options.now - options.clock_skew;
  if (signature.expires && latest > 0 && *signature.expires < static_cast<std::uint64_t>(latest)) {
    link.message_fault = fmt::format("signature expired at {}", *signature.expires);
    return;
  }
  if (bodies.size() >= max_body_hashes && !bodies.find(signature.body, signature.hash, signature.length)) {
    link.message_fault = fmt::format("more than {} different body hashes", max_body_hashes);
    return;
  }
  link.body = bodies.want(signature.body, signature.hash, signature.length);
  link.field = set.message;
}

Check ArcValidator::Implementation::check_message(Link &link, DnsFacts &facts) {
  if (link.message_check) return *link.message_check;
  if (!link.message_fault.empty()) return {Check::Outcome::bad, link.message_fault};
  const Signature &signature = link.message;
  if (signature.length && *signature.length > bodies.length(link.body))
    return {Check::Outcome::bad, "l= is larger than the body"};
  if (bodies.digest(link.body) != signature.body_hash) return {Check::Outcome::bad, "body hash did not verify"};
  Check check = check_signature(signature, link.message_digest, options, facts, steps);
  if (options.stepwise && check.outcome != Check::Outcome::waiting) link.message_check = check;
  return check;
}

Check ArcValidator::Implementation::check_seal(Link &link, DnsFacts &facts) {
  if (link.seal_check) return *link.seal_check;
  Check check = check_signature(link.seal, link.seal_digest, options, facts, steps);
  if (options.stepwise && check.outcome != Check::Outcome::waiting) link.seal_check = check;
  return check;
}

/// Steps 4 to 7 of section 5.2. The newest signatures come first: a forged chain costs one or two key lookups, not a
/// hundred.
ArcVerdict ArcValidator::Implementation::judge(DnsFacts &facts) {
  ArcVerdict result = verdict;
  if (links.empty()) return result;
  const auto settle = [&](const Check &check, std::string_view field, std::size_t instance) {
    result.reason = to_printable(fmt::format("{} i={}: {}", field, instance, check.reason));
    result.temporary = check.outcome == Check::Outcome::waiting;
    return result;
  };
  (void)facts.find(links.back().seal.key_name(), RecordType::txt);
  const Check newest = check_message(links.back(), facts);
  if (newest.outcome != Check::Outcome::good) return settle(newest, "ARC-Message-Signature", links.size());
  const Check seal = check_seal(links.back(), facts);
  if (seal.outcome != Check::Outcome::good) return settle(seal, "ARC-Seal", links.size());
  for (const Link &link : links) { // all questions in one round
    (void)facts.find(link.seal.key_name(), RecordType::txt);
    if (link.message_fault.empty()) (void)facts.find(link.message.key_name(), RecordType::txt);
  }
  for (std::size_t i = links.size() - 1; i-- > 0;) {
    const Check older = check_seal(links[i], facts);
    if (older.outcome != Check::Outcome::good) return settle(older, "ARC-Seal", i + 1);
  }
  // Step 5: the oldest message signature in an unbroken row of passing ones from the newest down.
  for (std::size_t i = links.size() - 1; i-- > 0;) {
    if (check_message(links[i], facts).outcome == Check::Outcome::good) continue;
    result.oldest_pass = static_cast<unsigned>(i + 2);
    break;
  }
  result.result = ArcResult::pass;
  return result;
}

ArcValidator::ArcValidator(const HeaderFields &fields, const DkimOptions &options)
    : implementation_(std::make_unique<Implementation>(fields, options)) {}
ArcValidator::~ArcValidator() = default;
ArcValidator::ArcValidator(ArcValidator &&) noexcept = default;
ArcValidator &ArcValidator::operator=(ArcValidator &&) noexcept = default;

void ArcValidator::body(std::string_view octets) {
  if (!implementation_->links.empty() && !implementation_->ended) implementation_->bodies.write(octets);
}

void ArcValidator::end() {
  if (implementation_->ended) return;
  implementation_->ended = true;
  implementation_->bodies.end();
}

void ArcValidator::ask_for_keys(DnsFacts &facts) const {
  if (implementation_->links.empty()) return;
  const Link &newest = implementation_->links.back();
  if (newest.message_fault.empty()) (void)facts.find(newest.message.key_name(), RecordType::txt);
  (void)facts.find(newest.seal.key_name(), RecordType::txt);
}

bool ArcValidator::work() {
  return implementation_->hash_next() && implementation_->message != nullptr;
}

void ArcValidator::give_up(const std::string &reason) {
  Implementation &validator = *implementation_;
  validator.message = nullptr;
  validator.index.reset();
  if (validator.links.empty()) return;
  validator.links.clear();
  validator.bodies = BodyHashes();
  validator.verdict.result = ArcResult::fail;
  validator.verdict.reason = to_printable(reason);
}

bool ArcValidator::is_busy() const noexcept {
  return implementation_->steps.busy;
}

ArcVerdict ArcValidator::verdict(DnsFacts &facts) {
  end();
  implementation_->steps = {.limited = implementation_->options.stepwise, .left = checks_in_step, .busy = false};
  return implementation_->judge(facts);
}

} // namespace auth
