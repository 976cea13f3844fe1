// DmarcWalk: see the header.
#include "auth/core/dmarc_walk.hpp"

#include <algorithm>

#include <fmt/core.h>

namespace auth {

namespace {

std::size_t label_count(std::string_view name) {
  return static_cast<std::size_t>(std::count(name.begin(), name.end(), '.')) + 1;
}

/// The last `count` labels.
std::string_view last_labels(std::string_view name, std::size_t count) {
  for (std::size_t extra = label_count(name); extra > count; --extra) name.remove_prefix(name.find('.') + 1);
  return name;
}

/// Steps 2 and 6: records of another version are discarded; of several DMARC records, all.
std::optional<DmarcRecord> only_record(const DnsFact &fact, const std::string &name, std::string &problem) {
  const std::string *only = nullptr;
  for (const std::string &text : fact.texts) {
    if (!is_dmarc_record(text)) continue;
    if (only) {
      problem = fmt::format("several DMARC records at _dmarc.{}, so none counts", name);
      return std::nullopt;
    }
    only = &text;
  }
  if (!only) return std::nullopt;
  auto record = parse_dmarc_record(*only);
  if (!record)
    problem = fmt::format("the DMARC record at _dmarc.{} is {} octets, limit is {}", name, only->size(),
                          longest_dmarc_record);
  return record;
}

/// RFC 9989 section 4.10.2, from the longest name to the shortest.
std::string find_org_domain(std::string_view domain, const std::vector<DmarcStep> &steps) {
  std::string_view shortest;
  for (const DmarcStep &step : steps) {
    if (!step.record) continue;
    // 1. psd=n: this is the Organizational Domain.
    if (step.record->psd == DmarcPsd::no) return step.name;
    // 2. psd=y, not where the walk started: the domain one label below.
    if (step.record->psd == DmarcPsd::yes && step.name != domain)
      return std::string(last_labels(domain, label_count(step.name) + 1));
    // 3. Otherwise the record at the name with the fewest labels.
    shortest = step.name;
  }
  // Nothing found: the domain itself.
  return std::string(shortest.empty() ? domain : shortest);
}

} // namespace

std::vector<std::string> walk_names(std::string_view domain) {
  // RFC 9989 section 4.10 steps 3, 4 and 7: with 8 labels or more, the second name has 7; then one label less each
  // time.
  std::vector<std::string> names{std::string(domain)};
  const std::size_t labels = label_count(domain);
  for (std::size_t left = std::min<std::size_t>(labels - 1, 7); left > 0; --left)
    names.emplace_back(last_labels(domain, left));
  return names;
}

const DmarcRecord *DmarcWalk::at(std::string_view name) const noexcept {
  for (const DmarcStep &step : steps)
    if (step.name == name) return step.record ? &*step.record : nullptr;
  return nullptr;
}

DmarcWalk walk_dmarc_tree(std::string_view domain, DnsFacts &facts) {
  DmarcWalk walk;
  for (std::string &name : walk_names(domain)) {
    const DnsFact *fact = facts.find("_dmarc." + name, RecordType::txt);
    if (!fact) {
      walk.missing = true; // the loop goes on, so that one round of questions is enough
      continue;
    }
    if (walk.missing) continue;
    DmarcStep step{.name = std::move(name), .record = std::nullopt};
    if (fact->status == smtp::DnsStatus::temporary) {
      walk.temporary = true;
      walk.problem =
          fmt::format("_dmarc.{}: {}", step.name, fact->detail.empty() ? "temporary DNS failure" : fact->detail);
    } else if (fact->status == smtp::DnsStatus::ok) {
      std::string problem;
      step.record = only_record(*fact, step.name, problem);
      if (!walk.temporary && !problem.empty()) walk.problem = std::move(problem);
    }
    const bool stop = step.record && step.record->psd != DmarcPsd::unknown;
    walk.steps.push_back(std::move(step));
    if (stop) break;
  }
  walk.org_domain = find_org_domain(domain, walk.steps);
  return walk;
}

} // namespace auth
