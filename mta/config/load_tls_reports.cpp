// [tls_reports].
#include <fmt/format.h>

#include "mta/config/loading.hpp"

namespace mta {

namespace {

using namespace std::chrono_literals;

} // namespace

void load_tls_reports(Section &root, Loading &loading) {
  TlsReportConfig &out = loading.config.tls_reports;
  out.org_name = loading.config.server.hostname;
  auto section = root.table("tls_reports");
  if (!section) return;
  out.enabled = true;
  section->read("enabled", out.enabled);
  section->read("org_name", out.org_name);
  section->read("contact", out.contact);
  section->read_parsed("from", out.from, parse_optional_mailbox);
  if (out.enabled && !section->has("from"))
    section->error("from", "must be there: the author of the reports, such as from = \"tls-reports@example.org\"");
  if (out.from && (!out.from->domain() || !loading.config.is_within_own_domain(out.from->domain()->ascii())))
    section->error("from", fmt::format("{} is not an address of ours; reports must be signed by its domain",
                                       out.from->to_string()));
  else if (out.enabled && out.from && loading.config.find_dkim_keys(out.from->domain()->ascii()).empty())
    section->warning("from",
                     fmt::format("no [[dkim_key]] signs for {}: whoever gets the reports may pass over unsigned ones",
                                 out.from->domain()->ascii()));
  section->read_count("hour", out.hour, 0, 23);
  section->read_duration("spread", out.spread, 0s, 20h);
  section->read_size("max_size", out.max_size, 65'536, 1ULL << 30U);
  section->read_count("keep_days", out.keep_days, 2, 366);
  section->read("https", out.https);
  read_trust(*section, "https_trust", out.https_trust, loading);
  section->read("allow_private_addresses", out.allow_private_addresses);
  section->finish();
}

} // namespace mta
