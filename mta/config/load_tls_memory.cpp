// [tls_memory] and [tls_evidence].
#include "mta/config/loading.hpp"

namespace mta {

namespace {

using namespace std::chrono_literals;

constexpr const char *default_protect = "*.gov.uk";

void load_memory(Section &root, Loading &loading) {
  TlsMemoryConfig &out = loading.config.tls_memory;
  out.protect = {smtp::DomainPattern::parse(default_protect).value()};
  out.place = "default";
  auto section = root.table("tls_memory");
  if (!section) return;
  section->read("enabled", out.enabled);
  section->read_list("protect", out.protect, [](std::string_view text) { return smtp::DomainPattern::parse(text); });
  if (section->has("protect")) out.place = section->place("protect");
  section->read_duration("release_after", out.release_after, 0s, 30 * 24h);
  section->read_count("keep_days", out.keep_days, 1, 3'660);
  section->read_count("many_domains", out.many_domains, 0, 100'000);
  section->finish();
}

void load_evidence(Section &root, Loading &loading) {
  TlsEvidenceConfig &out = loading.config.tls_evidence;
  auto section = root.table("tls_evidence");
  if (!section) return;
  section->read("enabled", out.enabled);
  section->read_count("keep_days", out.keep_days, 1, 3'660);
  section->read_size("day_limit", out.day_limit, 1'048'576, 1ULL << 40U);
  section->read_count("alert_deferrals", out.alert_deferrals, 0, 1'000'000);
  section->read_duration("alert_waiting", out.alert_waiting, std::chrono::seconds(0), std::chrono::hours(24 * 60));
  section->finish();
}

} // namespace

void load_tls_memory(Section &root, Loading &loading) {
  load_memory(root, loading);
  load_evidence(root, loading);
}

} // namespace mta
