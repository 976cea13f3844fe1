// [mta_sts] and [domain.mta_sts]: the policies of others, and those of our own domains.
#include <fmt/format.h>

#include "mta/config/loading.hpp"
#include "policy/mta_sts.hpp"

namespace mta {

using namespace std::chrono_literals;

void load_mta_sts(Section &root, Loading &loading) {
  auto section = root.table("mta_sts");
  if (!section) return;
  StsConfig &out = loading.config.mta_sts;
  section->read("enabled", out.enabled);
  read_trust(*section, "trust", out.trust, loading);
  section->read_count("port", out.port, 1, 65535);
  section->read_duration("timeout", out.timeout, 1s, 5min);
  section->read_size("max_size", out.max_size, 1024, policy::sts_text_limit);
  section->read_duration("unknown_wait", out.unknown_wait, 0s, 120h);
  section->read_duration("refresh", out.refresh, 1h, 720h);
  section->read_count("max_policies", out.max_policies, 1, 1'000'000);
  section->read("allow_private_addresses", out.allow_private_addresses);
  section->finish();
}

void read_own_mta_sts(Section &domain, std::optional<OwnStsConfig> &out) {
  auto section = domain.table("mta_sts");
  if (!section) return;
  OwnStsConfig own;
  own.place = section->place();
  section->require("mode", "testing, enforce, or none to take a policy back");
  section->read_word<OwnStsConfig::Mode>("mode", own.mode,
                                         {{"none", OwnStsConfig::Mode::none},
                                          {"testing", OwnStsConfig::Mode::testing},
                                          {"enforce", OwnStsConfig::Mode::enforce}});
  section->read_list("mx", own.mx, [](std::string_view text) { return policy::parse_sts_pattern(text); });
  section->read_duration("max_age", own.max_age, 0s, policy::sts_longest_age);
  if (!section->has("mx") && own.mode != OwnStsConfig::Mode::none)
    section->error("mx", "must be there: the names of the domain's MX hosts, such as mx = [\"mx.example.org\"]");
  else if (section->has("mx") && own.mx.empty() && own.mode != OwnStsConfig::Mode::none)
    section->error("mx", "names no host; only a policy with mode \"none\" may do so");
  if (own.mx.size() > policy::sts_mx_limit)
    section->error("mx", fmt::format("{} patterns, the limit is {}", own.mx.size(), policy::sts_mx_limit));
  section->finish();
  out = std::move(own);
}

} // namespace mta
