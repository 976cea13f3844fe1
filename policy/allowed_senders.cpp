#include "policy/allowed_senders.hpp"

#include <algorithm>

#include "smtp/base/text.hpp"

namespace policy {

smtp::Result<SenderPattern> SenderPattern::parse(std::string_view text) {
  SenderPattern pattern;
  if (text.find('@') != std::string_view::npos) {
    auto mailbox = smtp::Mailbox::parse(text);
    if (!mailbox) return tl::unexpected(mailbox.error());
    pattern.mailbox = std::move(*mailbox);
    return pattern;
  }
  auto domain = smtp::DomainPattern::parse(text);
  if (!domain) return tl::unexpected(domain.error());
  pattern.domain = std::move(*domain);
  return pattern;
}

bool SenderPattern::allows(const smtp::Mailbox &sender) const noexcept {
  if (mailbox)
    return mailbox->host() == sender.host() && smtp::equals_ignoring_case(mailbox->local_part(), sender.local_part());
  return domain && sender.domain() != nullptr && domain->matches(*sender.domain());
}

std::string SenderPattern::to_string() const {
  if (mailbox) return mailbox->to_string();
  return domain ? domain->to_string() : std::string();
}

bool SenderPermit::allows(const smtp::Mailbox &sender) const noexcept {
  if (!blocks_) return true;
  return std::any_of(blocks_->begin(), blocks_->end(), [&](const AllowedSenders *block) {
    return std::any_of(block->senders.begin(), block->senders.end(),
                       [&](const SenderPattern &pattern) { return pattern.allows(sender); });
  });
}

bool SenderPermit::allows_domain(const smtp::Domain &domain) const noexcept {
  if (!blocks_) return true;
  return std::any_of(blocks_->begin(), blocks_->end(), [&](const AllowedSenders *block) {
    return std::any_of(block->senders.begin(), block->senders.end(),
                       [&](const SenderPattern &pattern) { return pattern.domain && pattern.domain->matches(domain); });
  });
}

} // namespace policy
