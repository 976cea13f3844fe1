// Intake: see the header.
#include "mta/inbound/intake.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "auth/core/header_fields.hpp"
#include "auth/core/results_field.hpp"
#include "mta/auth/sign_message.hpp"
#include "mta/inbound/header_senders.hpp"
#include "mta/inbound/named_authors.hpp"
#include "smtp/base/text.hpp"

namespace mta::inbound {

namespace {

constexpr std::size_t subject_limit = 1000;

} // namespace

Intake::Intake(const Config &config, CheckRequest request, bool sealed)
    : config_(config), check_(std::make_unique<MessageCheck>(std::move(request))), sealed_(sealed) {}

Intake::Intake(const Config &config) : config_(config) {}

Intake::Intake(const Config &config, std::chrono::system_clock::time_point now)
    : config_(config), from_outside_(false), now_(now) {}

smtp::Result<void> Intake::feed(std::string_view octets, const smtp::HeaderScanner &scanner, MessageWriter &writer) {
  if (header_done_) return feed_body(octets, writer);
  header_ += octets;
  if (!scanner.is_header_complete()) return {};
  return end_header(static_cast<std::size_t>(scanner.facts().header_size), writer);
}

smtp::Result<void> Intake::end_of_octets(MessageWriter &writer) {
  if (header_done_) return {};
  return end_header(header_.size(), writer);
}

smtp::Result<void> Intake::end(MessageWriter &writer) {
  if (auto ended = end_of_octets(writer); !ended) return ended;
  while (has_work())
    if (auto worked = work(writer); !worked) return worked;
  if (check_) check_->end();
  if (!signer_) return {};
  if (converter_) {
    converted_.clear();
    converter_->end(converted_);
    signer_->body(converted_);
    if (auto kept = store(converted_, writer); !kept) return kept;
  }
  auto made = signer_->end();
  signer_.reset();
  if (!made) return tl::unexpected(made.error());
  signatures_ = std::move(*made);
  return {};
}

smtp::Result<void> Intake::end_header(std::size_t size, MessageWriter &writer) {
  header_done_ = true;
  waiting_ = header_.substr(size);
  header_.resize(size);
  fields_ = std::make_unique<const auth::HeaderFields>(std::move(header_));
  header_ = {};
  if (const auto subjects = fields_->named("Subject"); !subjects.empty())
    subject_ = auth::unfold(subjects.front()->value.substr(0, subject_limit));
  if (wants_authors_) authors_ = named_authors(*fields_);
  if (check_) check_->header(*fields_);
  return work(writer);
}

smtp::Result<void> Intake::work(MessageWriter &writer) {
  if (check_ && check_->work()) return {};
  const auto fields = std::move(fields_);
  auto kept = store_header(*fields, writer);
  const std::string rest = std::exchange(waiting_, {});
  if (!kept || rest.empty()) return kept;
  return feed_body(rest, writer);
}

smtp::Result<void> Intake::store_header(const auth::HeaderFields &fields, MessageWriter &writer) {
  if (!from_outside_) return sign_header(fields, writer);
  if (as_it_is_) return store_section(fields.section(), writer);
  const auto cleaned = clean(fields);
  if (!cleaned) {
    begin_sealing(fields);
    return store_section(fields.section(), writer);
  }
  const auth::HeaderFields left(*cleaned);
  begin_sealing(left);
  return store_section(left.section(), writer);
}

/// RFC 6376 section 5.3: what signs a message converts it to 7-bit first, since a hop that cannot take 8-bit content
/// would have to, and break the signature.
smtp::Result<void> Intake::sign_header(const auth::HeaderFields &fields, MessageWriter &writer) {
  refusal_ = judge_header_senders(fields, permit_);
  if (refusal_) return store_section(fields.section(), writer); // refused when it has been read
  auto identities = find_identities(config_, fields, now_);
  if (identities.empty()) return store_section(fields.section(), writer);
  converter_.emplace(smtp::SevenBitConverter::Mode::as_labelled);
  std::string section;
  converter_->feed(fields.section(), section);
  if (waiting_.empty() && section.empty()) { // no empty line came: the message is its header
    converter_.reset();
    section = fields.section();
  }
  const auth::HeaderFields signed_fields(std::move(section));
  begin_signing(signed_fields, std::move(identities));
  return store_section(signed_fields.section(), writer);
}

smtp::Result<void> Intake::store_section(std::string_view section, MessageWriter &writer) {
  stored_header_ = section.size();
  return store(section, writer);
}

smtp::Result<void> Intake::store(std::string_view octets, MessageWriter &writer) {
  stored_ += octets.size();
  if (converter_) converted_8bit_ = converted_8bit_ || !smtp::is_ascii(octets);
  return writer.append(octets);
}

smtp::Result<void> Intake::feed_body(std::string_view octets, MessageWriter &writer) {
  if (check_) check_->body(octets);
  if (sealer_) sealer_->body(octets);
  if (!converter_) {
    if (signer_) signer_->body(octets);
    return store(octets, writer);
  }
  converted_.clear();
  converter_->feed(octets, converted_);
  signer_->body(converted_);
  return store(converted_, writer);
}

/// RFC 8601 section 5: Authentication-Results in our name; and the mark that we set on mail of doubtful origin.
std::optional<std::string> Intake::clean(const auth::HeaderFields &fields) {
  const std::array<std::string, 1> ids{config_.authentication.authserv_id};
  auto forged = auth::find_forged(fields, ids);
  for (const auth::HeaderField *field : fields.named(quarantine_field)) forged.push_back(field);
  removed_fields_ = forged.size();
  if (forged.empty()) return std::nullopt;
  return auth::without_fields(fields, std::move(forged));
}

void Intake::begin_signing(const auth::HeaderFields &fields, std::vector<auth::SigningIdentity> identities) {
  if (added_.empty()) {
    signer_.emplace(fields, std::move(identities));
  } else {
    const auth::HeaderFields with_added(added_ + fields.section());
    signer_.emplace(with_added, std::move(identities));
  }
}

void Intake::begin_sealing(const auth::HeaderFields &fields) {
  if (!sealed_ || !check_ || !config_.arc.key) return;
  auth::SealOptions options;
  options.domain = config_.arc.key->domain.ascii();
  options.selector = config_.arc.key->selector;
  options.authserv_id = config_.authentication.authserv_id;
  options.now = check_->request().dkim.now;
  sealer_.emplace(fields, config_.arc.key->key, std::move(options));
}

smtp::Result<std::string> Intake::seal(std::string results) {
  if (!sealer_) return std::string();
  sealer_->set_results(std::move(results), check_->results().arc);
  auto made = sealer_->end();
  sealer_.reset();
  return made;
}

policy::MessageDecision judge_message(const Config &config, const MessageCheck &check) {
  const CheckResults &results = check.results();
  const bool own = std::any_of(results.authors.domains.begin(), results.authors.domains.end(),
                               [&](const std::string &domain) { return config.domains.contains(domain); });
  return policy::judge_message(config.authentication.rules, {.authors = results.authors,
                                                             .spf = results.spf,
                                                             .dkim = results.dkim,
                                                             .dmarc = results.dmarc,
                                                             .arc = results.arc,
                                                             .from_own_domain = own,
                                                             .from_outside = true,
                                                             .is_notice = check.request().mail_from.empty()});
}

} // namespace mta::inbound
