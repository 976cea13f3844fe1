#include "policy/partner.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace policy {

namespace {

/// Calls `visit(base)` for each parent of `name`, nearest first, and for the root (""); stops when it returns true.
template <typename Visit> void for_each_parent(std::string_view name, Visit visit) {
  for (auto dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
    name.remove_prefix(dot + 1);
    if (visit(name)) return;
  }
  visit(std::string_view());
}

} // namespace

smtp::Result<PartnerTable> PartnerTable::with(std::vector<Partner> partners) const {
  std::vector<std::string> own;
  own.reserve(own_.size());
  for (const auto &[name, is_ours] : own_) own.push_back(name);
  return build(std::move(partners), own);
}

smtp::Result<PartnerTable> PartnerTable::build(std::vector<Partner> partners, const std::vector<std::string> &own) {
  PartnerTable table;
  for (const auto &name : own) table.own_.emplace(name, true);
  table.partners_ = std::move(partners);
  for (std::size_t i = 0; i < table.partners_.size(); ++i) {
    const Partner &partner = table.partners_[i];
    for (const auto &pattern : partner.domains) {
      auto &index = pattern.is_wildcard() ? table.wildcard_ : table.exact_;
      const auto [place, inserted] = index.try_emplace(pattern.base(), i);
      if (inserted) continue;
      const Partner &first = table.partners_[place->second];
      return smtp::fail(smtp::ErrorCode::bad_syntax,
                        fmt::format("overlapping rules: {} is claimed by \"{}\" ({}) and by \"{}\" ({})",
                                    pattern.to_string(), smtp::escape(first.name), first.file,
                                    smtp::escape(partner.name), partner.file));
    }
    for (std::size_t e = 0; e < partner.exceptions.size(); ++e) {
      const auto &pattern = partner.exceptions[e].domain;
      auto &index = pattern.is_wildcard() ? table.wildcard_exceptions_ : table.exact_exceptions_;
      index[pattern.base()].push_back({i, e});
    }
  }
  const auto last_to_expire_first = [&table](const ExceptionIndex &left, const ExceptionIndex &right) {
    return table.at(left).expires > table.at(right).expires;
  };
  for (auto *index : {&table.exact_exceptions_, &table.wildcard_exceptions_})
    for (auto &[base, found] : *index) std::stable_sort(found.begin(), found.end(), last_to_expire_first);
  return table;
}

PartnerTable::Match PartnerTable::match(const smtp::Domain &domain) const noexcept {
  const std::string_view name = domain.ascii();
  if (const auto found = exact_.find(name); found != exact_.end()) return {&partners_[found->second], name, true};
  Match match;
  if (own_.contains(name)) return match; // "*.gov.uk" means those who are not us
  for_each_parent(name, [&](std::string_view base) {
    const auto found = wildcard_.find(base);
    if (found == wildcard_.end()) return false;
    match = {&partners_[found->second], base, false};
    return true;
  });
  return match;
}

const Partner *PartnerTable::find(const smtp::Domain &domain) const noexcept {
  return match(domain).partner;
}

std::vector<const Exception *> PartnerTable::find_exceptions(const smtp::Domain &domain) const {
  std::vector<const Exception *> result;
  if (exact_exceptions_.empty() && wildcard_exceptions_.empty()) return result;
  const Match best = match(domain);
  const auto take = [&](const ExceptionMap &index, std::string_view base, bool wildcard) {
    const auto found = index.find(base);
    if (found == index.end()) return;
    for (const auto &place : found->second) {
      // A broad exception of another partner does not undo a rule that is closer to the domain.
      const bool own = best.partner == &partners_[place.partner];
      const bool closer = !best.partner || !wildcard || (!best.exact && base.size() >= best.base.size());
      if (own || closer) result.push_back(&at(place));
    }
  };
  take(exact_exceptions_, domain.ascii(), false);
  if (own_.contains(domain.ascii())) return result;
  for_each_parent(domain.ascii(), [&](std::string_view base) {
    take(wildcard_exceptions_, base, true);
    return false;
  });
  return result;
}

const Exception *PartnerTable::find_exception(const smtp::Domain &domain) const {
  const auto found = find_exceptions(domain);
  return found.empty() ? nullptr : found.front();
}

} // namespace policy
