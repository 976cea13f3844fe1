// DnsFacts: see the header.
#include "auth/core/dns_facts.hpp"

#include <algorithm>

#include "smtp/base/text.hpp"

namespace auth {

namespace {

/// The limits of RFC 1035 section 2.3.4, in the textual form without a final dot.
bool can_be_asked(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  for (const std::string_view label : smtp::split(name, '.'))
    if (label.empty() || label.size() > 63) return false;
  return true;
}

} // namespace

std::string_view to_string(RecordType type) noexcept {
  switch (type) {
  case RecordType::a: return "a";
  case RecordType::aaaa: return "aaaa";
  case RecordType::mx: return "mx";
  case RecordType::txt: return "txt";
  case RecordType::ptr: return "ptr";
  }
  return "?";
}

const DnsFact *DnsFacts::find(std::string_view name, RecordType type) {
  static const DnsFact no_name{
      .status = smtp::DnsStatus::no_name, .addresses = {}, .hosts = {}, .texts = {}, .detail = {}};
  if (name.ends_with('.')) name.remove_suffix(1);
  if (!can_be_asked(name)) return &no_name;
  DnsQuestion question{smtp::to_lower(name), type};
  if (const auto found = facts_.find(question); found != facts_.end()) return found->second.get();
  if (source_)
    if (auto known = source_(question))
      return facts_.emplace(std::move(question), std::move(known)).first->second.get();
  if (std::find(missing_.begin(), missing_.end(), question) == missing_.end()) missing_.push_back(std::move(question));
  return nullptr;
}

void DnsFacts::put(const DnsQuestion &question, DnsFact fact) {
  put(question, std::make_shared<const DnsFact>(std::move(fact)));
}

void DnsFacts::put(const DnsQuestion &question, std::shared_ptr<const DnsFact> fact) {
  facts_.insert_or_assign(question, std::move(fact));
}

} // namespace auth
