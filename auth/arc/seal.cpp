// ArcSealer: see the header.
#include "auth/arc/seal.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "auth/arc/sets.hpp"
#include "auth/arc/validate.hpp"
#include "auth/dkim/body_hashes.hpp"
#include "auth/dkim/field_index.hpp"
#include "auth/dkim/tag_writer.hpp"
#include "smtp/base/base64.hpp"
#include "smtp/base/text.hpp"

namespace auth {

using smtp::ErrorCode;

const std::vector<std::string> &sealed_headers() {
  static const std::vector<std::string> names = {"from",
                                                 "to",
                                                 "cc",
                                                 "subject",
                                                 "date",
                                                 "message-id",
                                                 "reply-to",
                                                 "sender",
                                                 "in-reply-to",
                                                 "references",
                                                 "mime-version",
                                                 "content-type",
                                                 "content-transfer-encoding",
                                                 "list-id",
                                                 "list-unsubscribe",
                                                 "list-unsubscribe-post",
                                                 "dkim-signature"};
  return names;
}

namespace {

/// A list of names that is folded only where a line would not be allowed any more (RFC 5322 section 2.1.1): the
/// conformance suite and other sealers want none inside h=.
constexpr std::size_t longest_list = 900;
/// No message has more fields of one name that anybody reads; what h= names is bounded by it.
constexpr std::size_t most_sealed_of_name = 50;

/// The field with its payload folded behind semicolons, unless the caller folded it.
std::string results_field(unsigned instance, std::string_view results) {
  std::string field = fmt::format("ARC-Authentication-Results: i={};", instance);
  std::size_t line = field.size();
  const auto put = [&](std::string_view part) {
    const bool folds = line + part.size() + 1 > 76;
    field += folds ? "\r\n " : " ";
    line = folds ? 1 : line + 1;
    field += part;
    line += part.size();
  };
  if (results.find('\n') != std::string_view::npos) {
    field += ' ';
    field += results;
    return field + "\r\n";
  }
  while (!results.empty()) {
    const auto semicolon = results.find("; ");
    if (semicolon == std::string_view::npos) break;
    put(results.substr(0, semicolon + 1));
    results.remove_prefix(semicolon + 2);
  }
  if (!results.empty()) put(results);
  return field + "\r\n";
}

/// Every line behind the first begins with white space, and no octet ends the field early.
bool stays_one_field(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\0') return false;
    if (text[at] == '\n' && (at == 0 || text[at - 1] != '\r')) return false;
    if (text[at] != '\r') continue;
    if (text.substr(at, 2) != "\r\n" || at + 2 >= text.size()) return false;
    if (text[at + 2] != ' ' && text[at + 2] != '\t') return false;
  }
  return true;
}

std::string_view chain_word(const ArcVerdict &incoming, bool first) {
  if (first) return "none";
  return incoming.result == ArcResult::pass ? "pass" : "fail";
}

} // namespace

class ArcSealer::Implementation {
public:
  Implementation(const HeaderFields &fields, std::shared_ptr<const SigningKey> signing_key, SealOptions chosen);

  smtp::Result<std::string> sign(TagWriter &writer, Digest digest) const;

  std::shared_ptr<const SigningKey> key;
  SealOptions options;
  unsigned instance = 0;          ///< ours; 0: the chain may not be continued
  bool first = false;             ///< no chain came with the message
  std::string sets;               ///< the canonical sets that came: our seal covers them when they pass
  std::vector<std::string> names; ///< of h=
  Digest message{HashKind::sha256};
  BodyHashes bodies;
  std::size_t body = 0;
};

ArcSealer::Implementation::Implementation(const HeaderFields &fields, std::shared_ptr<const SigningKey> signing_key,
                                          SealOptions chosen)
    : key(std::move(signing_key)), options(std::move(chosen)) {
  const ArcFields found = collect_arc_fields(fields);
  if (found.highest >= max_arc_sets) return; // RFC 8617 section 4.2.1
  if (found.highest > 0 && found.sets.back().seal != nullptr) {
    // A chain that is marked as failed is not continued: nobody would look at the set.
    Seal newest;
    if (read_seal(found.sets.back().seal->value, newest) && newest.chain == ChainValue::fail) return;
  }
  instance = found.highest + 1;
  first = found.highest == 0 && found.fault.empty();
  for (const ArcFieldSet &set : found.sets)
    if (set.whole()) append_canonical_set(set, false, sets);
  FieldIndex index(fields);
  for (const std::string &name : options.headers) names.push_back(smtp::to_lower(name));
  if (names.empty())
    for (const std::string &name : sealed_headers())
      names.insert(names.end(), std::min(index.count(name), most_sealed_of_name), name);
  message.write(index.canonical_fields(names, Canonical::relaxed));
  body = bodies.want(Canonical::relaxed, HashKind::sha256, std::nullopt);
}

/// Hashes the field behind what `digest` holds and gives the whole field.
smtp::Result<std::string> ArcSealer::Implementation::sign(TagWriter &writer, Digest digest) const {
  std::string text;
  append_canonical_field(Canonical::relaxed, writer.field_name(), writer.value(), text);
  text.resize(text.size() - 2);
  digest.write(text);
  const auto signature = key->sign_digest(digest.finish());
  if (!signature) return tl::unexpected(signature.error());
  return writer.field(smtp::to_base64(*signature), TagWriter::SignatureFolds::none);
}

ArcSealer::ArcSealer(const HeaderFields &fields, std::shared_ptr<const SigningKey> key, SealOptions options)
    : implementation_(std::make_unique<Implementation>(fields, std::move(key), std::move(options))) {}
ArcSealer::~ArcSealer() = default;
ArcSealer::ArcSealer(ArcSealer &&) noexcept = default;
ArcSealer &ArcSealer::operator=(ArcSealer &&) noexcept = default;

void ArcSealer::body(std::string_view octets) {
  if (implementation_->instance != 0) implementation_->bodies.write(octets);
}

void ArcSealer::set_results(std::string results, ArcVerdict incoming) {
  implementation_->options.results = std::move(results);
  implementation_->options.incoming = std::move(incoming);
}

smtp::Result<std::string> ArcSealer::end() {
  Implementation &sealer = *implementation_;
  const SealOptions &options = sealer.options;
  if (sealer.instance == 0) return std::string();
  std::string results = options.results;
  if (!smtp::equals_ignoring_case(smtp::trim(std::string_view(results).substr(0, results.find(';'))),
                                  options.authserv_id))
    results = results.empty() ? options.authserv_id + "; none" : options.authserv_id + "; " + results;
  if (!stays_one_field(results)) return smtp::fail(ErrorCode::bad_syntax, "results for ARC are not one header field");
  sealer.bodies.end();
  const std::string instance = std::to_string(sealer.instance);
  const std::string results_text = results_field(sealer.instance, results);

  // The tags stand in the order of their names with one space between them, as the conformance suite has it.
  TagWriter message("ARC-Message-Signature");
  message.tag("a", sealer.key->algorithm());
  message.signature_tag("b");
  message.tag("bh", smtp::to_base64(sealer.bodies.digest(sealer.body)));
  message.tag("c", "relaxed/relaxed");
  message.tag("d", options.domain);
  message.list("h", sealer.names, longest_list);
  message.tag("i", instance);
  message.tag("s", options.selector);
  message.tag("t", std::to_string(options.now));
  const auto message_text = sealer.sign(message, sealer.message);
  if (!message_text) return message_text;

  TagWriter seal("ARC-Seal");
  seal.tag("a", sealer.key->algorithm());
  seal.signature_tag("b");
  const std::string_view chain = chain_word(options.incoming, sealer.first);
  seal.tag("cv", chain);
  seal.tag("d", options.domain);
  seal.tag("i", instance);
  seal.tag("s", options.selector);
  seal.tag("t", std::to_string(options.now));
  const HeaderFields ours(results_text + *message_text);
  Digest covered{HashKind::sha256};
  // RFC 8617 section 5.1.2: the seal over a failed chain covers its own set only.
  std::string text = chain == "pass" ? sealer.sets : std::string();
  for (const HeaderField &field : ours.all()) append_canonical_field(Canonical::relaxed, field, text);
  covered.write(text);
  const auto seal_text = sealer.sign(seal, std::move(covered));
  if (!seal_text) return seal_text;

  // What no validator would take is found here, by our own.
  const std::string set = *seal_text + *message_text + results_text;
  const HeaderFields made(set);
  const ArcFields found = collect_arc_fields(made);
  Seal read_back;
  Signature message_back;
  const bool whole = found.sets.size() == sealer.instance && found.sets.back().whole();
  if (!whole) return smtp::fail(ErrorCode::bad_syntax, "the ARC set for " + options.domain + " is not well-formed");
  if (const auto read = read_seal(found.sets.back().seal->value, read_back); !read)
    return smtp::fail(ErrorCode::bad_syntax, "ARC-Seal for " + options.domain + ": " + read.error().detail);
  if (const auto read = read_arc_message_signature(found.sets.back().message->value, message_back); !read)
    return smtp::fail(ErrorCode::bad_syntax,
                      "ARC-Message-Signature for " + options.domain + ": " + read.error().detail);
  const std::string domain = smtp::to_lower(options.domain);
  const std::string selector = smtp::to_lower(options.selector);
  if (read_back.domain != domain || read_back.selector != selector || message_back.domain != domain ||
      message_back.selector != selector || message_back.length)
    return smtp::fail(ErrorCode::bad_syntax,
                      "ARC set for " + smtp::escape(domain) + ": domain or selector is not just that");
  return set;
}

} // namespace auth
