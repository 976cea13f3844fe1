// Fuzz target: the stored rows of evidence. What can be read has one form, and is judged without
// a crash, whatever it says.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mta/tally/evidence_row.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

policy::PartnerTable make_table() {
  policy::Partner partner;
  partner.name = "everyone";
  partner.domains = {smtp::DomainPattern::parse("*").value()};
  partner.outbound.emplace().match = {"*.example.net"};
  partner.inbound.emplace().level = tls::Level::authenticated;
  return policy::PartnerTable::build({policy::as_enforced(partner)}).value();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view octets(reinterpret_cast<const char *>(data), size);
  if (const auto record = mta::decode_evidence(octets)) {
    // Rows of an older version are written in the newest.
    const std::string written = mta::encode_evidence(record->kind, record->row);
    const auto again = mta::decode_evidence(written);
    require(again && mta::encode_evidence(again->kind, again->row) == written);
    const policy::PartnerTable table = make_table();
    policy::EvidenceQuestion question;
    question.direction = record->row.direction;
    question.partners = &table;
    question.partner = &table.partners().front();
    const policy::Evidence evidence{record->row, {}, 1, 1, {}};
    const auto summary = policy::summarise(question, {&evidence, 1});
    require(summary.sessions + summary.passed_over == 1);
  }
  return 0;
}
