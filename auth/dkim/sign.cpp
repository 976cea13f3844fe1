// DkimSigner: see the header.
#include "auth/dkim/sign.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "auth/dkim/body_hashes.hpp"
#include "auth/dkim/field_index.hpp"
#include "auth/dkim/signature.hpp"
#include "auth/dkim/tag_writer.hpp"
#include "smtp/base/base64.hpp"
#include "smtp/base/text.hpp"

namespace auth {

const std::vector<std::string> &oversigned_headers() {
  static const std::vector<std::string> names = {"From",     "Subject",    "Date",         "To",          "Cc",
                                                 "Reply-To", "Message-ID", "MIME-Version", "Content-Type"};
  return names;
}

const std::vector<std::string> &signed_headers() {
  static const std::vector<std::string> names = {
      "Sender",           "In-Reply-To",           "References",     "Content-Transfer-Encoding",
      "Resent-Date",      "Resent-From",           "Resent-To",      "Resent-Cc",
      "Resent-Sender",    "Resent-Message-ID",     "List-Id",        "List-Help",
      "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post",
      "List-Owner",       "List-Archive",          "Auto-Submitted"};
  return names;
}

namespace {

/// h= stays readable to verifiers, ours too, whatever a message has.
constexpr std::size_t most_signed_of_name = 50;

/// h=: each name as often as the message has it, and once more when it is oversigned.
std::vector<std::string> names_to_sign(const FieldIndex &index, const SignOptions &options) {
  std::vector<std::string> names;
  for (const std::string &name : options.oversigned)
    names.insert(names.end(), std::min(index.count(name), most_signed_of_name) + 1, name);
  for (const std::string &name : options.headers)
    names.insert(names.end(), std::min(index.count(name), most_signed_of_name), name);
  return names;
}

struct Job {
  SigningIdentity identity;
  std::vector<std::string> names;
  Digest header;
  std::size_t body = 0; ///< its number in BodyHashes
};

} // namespace

class DkimSigner::Implementation {
public:
  Implementation(const HeaderFields &fields, std::vector<SigningIdentity> identities);

  smtp::Result<std::string> sign(const Job &job) const;

  std::vector<Job> jobs;
  BodyHashes bodies;
  bool has_from = false;
};

DkimSigner::Implementation::Implementation(const HeaderFields &fields, std::vector<SigningIdentity> identities) {
  FieldIndex index(fields);
  has_from = index.count("from") != 0;
  for (SigningIdentity &identity : identities) {
    const SignOptions &options = identity.options;
    std::vector<std::string> names = names_to_sign(index, options);
    const std::size_t body = bodies.want(options.body, HashKind::sha256, std::nullopt);
    if (!jobs.empty() && jobs.back().names == names && jobs.back().identity.options.header == options.header) {
      Digest header = jobs.back().header;
      jobs.push_back({std::move(identity), std::move(names), std::move(header), body});
      continue;
    }
    Digest header(HashKind::sha256);
    header.write(index.canonical_fields(names, options.header));
    jobs.push_back({std::move(identity), std::move(names), std::move(header), body});
  }
}

smtp::Result<std::string> DkimSigner::Implementation::sign(const Job &job) const {
  const SignOptions &options = job.identity.options;
  TagWriter writer("DKIM-Signature");
  writer.tag("v", "1");
  writer.tag("a", job.identity.key->algorithm());
  writer.tag("c", fmt::format("{}/{}", to_string(options.header), to_string(options.body)));
  writer.tag("d", options.domain);
  writer.tag("s", options.selector);
  writer.tag("t", std::to_string(options.now));
  if (options.valid_for) writer.tag("x", std::to_string(options.now + *options.valid_for));
  if (!options.identity.empty()) writer.tag("i", options.identity);
  writer.list("h", job.names, 0);
  writer.tag("bh", smtp::to_base64(bodies.digest(job.body)));
  writer.signature_tag("b");

  std::string text;
  append_canonical_field(options.header, writer.field_name(), writer.value(), text);
  text.resize(text.size() - 2); // RFC 6376 section 3.7: without the final CRLF
  Digest header = job.header;
  header.write(text);
  const auto signature = job.identity.key->sign_digest(header.finish());
  if (!signature) return tl::unexpected(signature.error());
  std::string field = writer.field(smtp::to_base64(*signature), TagWriter::SignatureFolds::short_lines);
  // A domain, selector or identity that no verifier would take is found here, by our own.
  Signature read;
  if (const auto vetted =
          read_dkim_signature(std::string_view(field).substr(writer.field_name().size() + 1), Dialect::rfc6376, read);
      !vetted)
    return smtp::fail(smtp::ErrorCode::bad_syntax, "signature for " + options.domain + ": " + vetted.error().detail);
  // One that ends its tag early has begun others.
  if (read.domain != smtp::to_lower(options.domain) || read.selector != smtp::to_lower(options.selector) ||
      (!options.identity.empty() && read.identity != options.identity))
    return smtp::fail(smtp::ErrorCode::bad_syntax, "signature for " + smtp::escape(options.domain) +
                                                       ": domain, selector or identity is not just that");
  return field;
}

DkimSigner::DkimSigner(const HeaderFields &fields, std::vector<SigningIdentity> identities)
    : implementation_(std::make_unique<Implementation>(fields, std::move(identities))) {}
DkimSigner::~DkimSigner() = default;
DkimSigner::DkimSigner(DkimSigner &&) noexcept = default;
DkimSigner &DkimSigner::operator=(DkimSigner &&) noexcept = default;

void DkimSigner::body(std::string_view octets) {
  implementation_->bodies.write(octets);
}

smtp::Result<std::string> DkimSigner::end() {
  if (!implementation_->has_from)
    return smtp::fail(smtp::ErrorCode::bad_syntax, "message without a From field cannot be signed");
  implementation_->bodies.end();
  std::string fields;
  for (const Job &job : implementation_->jobs) {
    auto field = implementation_->sign(job);
    if (!field) return field;
    fields += *field;
  }
  return fields;
}

} // namespace auth
