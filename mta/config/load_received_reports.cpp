// [received_reports]: mailboxes of ours whose mail is read as reports of others about us.
#include <fmt/format.h>

#include "mta/config/loading.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

smtp::Result<smtp::Mailbox> parse_one(std::string_view text) {
  return smtp::Mailbox::parse(text);
}

/// To be named here makes a mailbox known: it need not stand in the list of its domain.
void admit_recipients(Section &section, Config &config) {
  for (const smtp::Mailbox &mailbox : config.received_reports.recipients) {
    const auto domain = mailbox.domain() ? config.domains.find(mailbox.domain()->ascii()) : config.domains.end();
    if (domain == config.domains.end())
      section.error("recipients", fmt::format("{} is not in a domain of ours: add a [[domain]], or correct the address",
                                              mailbox.to_string()));
    else
      domain->second.recipients.insert(smtp::to_lower(mailbox.local_part()));
  }
}

void check_copies(Section &section, const Config &config) {
  for (const smtp::Mailbox &mailbox : config.received_reports.copy_to)
    if (config.is_report_mailbox(mailbox))
      section.error("copy_to",
                    fmt::format("{} is one of the recipients: its mail is read, not delivered", mailbox.to_string()));
  if (!config.received_reports.copy_to.empty() && !section.has("recipients"))
    section.error("copy_to", "there are no recipients whose mail could be copied");
}

} // namespace

void load_received_reports(Section &root, Loading &loading) {
  ReceivedReportsConfig &out = loading.config.received_reports;
  auto section = root.table("received_reports");
  if (!section) return;
  section->read_list("recipients", out.recipients, parse_one);
  section->read_list("copy_to", out.copy_to, parse_one);
  section->read_size("max_size", out.max_size, 65'536, 1ULL << 28U);
  section->read_count("keep_days", out.keep_days, 1, 3'660);
  admit_recipients(*section, loading.config);
  check_copies(*section, loading.config);
  section->finish();
}

} // namespace mta
