// Intake: see the header.
#include "mta/inbound/intake.hpp"

#include <algorithm>
#include <array>

#include "auth/core/header_fields.hpp"
#include "auth/core/results_field.hpp"
#include "mta/auth/sign_message.hpp"

namespace mta::inbound {

namespace {

constexpr std::size_t subject_limit = 1000;

} // namespace

Intake::Intake(const Config &config, CheckRequest request, bool sealed)
    : config_(config), check_(std::make_unique<MessageCheck>(std::move(request))), sealed_(sealed) {}

Intake::Intake(const Config &config, std::chrono::system_clock::time_point now) : config_(config), now_(now) {}

smtp::Result<void> Intake::feed(std::string_view octets, const smtp::HeaderScanner &scanner, MessageWriter &writer) {
  if (header_done_) return feed_body(octets, writer);
  header_ += octets;
  if (!scanner.is_header_complete()) return {};
  return end_header(static_cast<std::size_t>(scanner.facts().header_size), writer);
}

smtp::Result<void> Intake::end(MessageWriter &writer) {
  if (!header_done_)
    if (auto ended = end_header(header_.size(), writer); !ended) return ended;
  if (check_) check_->end();
  if (!signer_) return {};
  auto made = signer_->end();
  signer_.reset();
  if (!made) return tl::unexpected(made.error());
  signatures_ = std::move(*made);
  return {};
}

smtp::Result<void> Intake::end_header(std::size_t size, MessageWriter &writer) {
  header_done_ = true;
  const std::string rest = header_.substr(size);
  header_.resize(size);
  const auth::HeaderFields fields(std::move(header_));
  header_ = {};
  if (const auto subjects = fields.named("Subject"); !subjects.empty())
    subject_ = auth::unfold(subjects.front()->value.substr(0, subject_limit));
  smtp::Result<void> kept;
  if (check_) {
    check_->header(fields);
    const std::array<std::string, 1> ids{config_.authentication.authserv_id};
    removed_fields_ = auth::find_forged(fields, ids).size();
    if (removed_fields_ == 0) {
      begin_sealing(fields);
      kept = writer.append(fields.section());
    } else {
      const auth::HeaderFields cleaned(auth::remove_forged(fields, ids));
      removed_ = fields.section().size() - cleaned.section().size();
      begin_sealing(cleaned);
      kept = writer.append(cleaned.section());
    }
  } else {
    begin_signing(fields);
    kept = writer.append(fields.section());
  }
  if (!kept || rest.empty()) return kept;
  return feed_body(rest, writer);
}

smtp::Result<void> Intake::feed_body(std::string_view octets, MessageWriter &writer) {
  if (check_) check_->body(octets);
  if (signer_) signer_->body(octets);
  if (sealer_) sealer_->body(octets);
  return writer.append(octets);
}

void Intake::begin_signing(const auth::HeaderFields &fields) {
  auto identities = find_identities(config_, fields, now_);
  if (identities.empty()) return;
  if (added_.empty()) {
    signer_.emplace(fields, std::move(identities));
  } else {
    const auth::HeaderFields with_added(added_ + fields.section());
    signer_.emplace(with_added, std::move(identities));
  }
}

void Intake::begin_sealing(const auth::HeaderFields &fields) {
  if (!sealed_ || !config_.arc.key) return;
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
                                                             .from_outside = true});
}

} // namespace mta::inbound
