// The form of a DmarcRow in the tally's files (dmarc_row.hpp).
#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "mta/tally/dmarc_row.hpp"
#include "mta/tally/row_octets.hpp"

namespace mta {

namespace {

constexpr std::uint64_t dmarc_row_version = 1;

bool is_within(std::string_view name, std::string_view parent) {
  return name == parent ||
         (name.size() > parent.size() && name.ends_with(parent) && name[name.size() - parent.size() - 1] == '.');
}

/// RFC 9990, "DKIM Signatures in Aggregate Reports": which to keep when there are too many, the best first.
int rank(const DkimFact &signature, const DmarcRow &row) {
  if (signature.result != auth::DkimResult::pass) return 3;
  if (signature.domain == row.header_from) return 0;
  return !row.org_domain.empty() && is_within(signature.domain, row.org_domain) ? 1 : 2;
}

void write_published(RowWriter &out, const DmarcPublished &published) {
  out.text(published.domain, DmarcRowLimits::name);
  out.word(published.p);
  out.optional_word(published.sp);
  out.optional_word(published.np);
  out.number(published.strict_dkim);
  out.number(published.strict_spf);
  out.number(published.testing);
  out.number(published.uses_rfc9989);
  out.word(published.discovery);
  out.text(published.fo, DmarcRowLimits::name);
  // A URI that does not fit is none when it is cut, so it is left out.
  const auto fits = [](const std::string &uri) { return uri.size() <= DmarcRowLimits::uri; };
  const auto count = std::min<std::size_t>(
      static_cast<std::size_t>(std::count_if(published.rua.begin(), published.rua.end(), fits)), DmarcRowLimits::uris);
  out.number(count);
  std::size_t written = 0;
  for (const std::string &uri : published.rua)
    if (fits(uri) && written++ < count) out.text(uri, DmarcRowLimits::uri);
}

DmarcPublished read_policy(RowReader &in) {
  DmarcPublished published;
  published.domain = in.text("policy domain", DmarcRowLimits::name);
  published.p = in.word("p", auth::DmarcPolicy::reject);
  published.sp = in.optional_word("sp", auth::DmarcPolicy::reject);
  published.np = in.optional_word("np", auth::DmarcPolicy::reject);
  published.strict_dkim = in.truth("adkim");
  published.strict_spf = in.truth("aspf");
  published.testing = in.truth("testing");
  published.uses_rfc9989 = in.truth("newer tags");
  published.discovery = in.word("discovery", DmarcDiscovery::psl);
  published.fo = in.text("fo", DmarcRowLimits::name);
  for (auto left = in.number("rua count", DmarcRowLimits::uris); left > 0; --left)
    published.rua.push_back(in.text("rua", DmarcRowLimits::uri));
  return published;
}

void write_signatures(RowWriter &out, const DmarcRow &row) {
  std::vector<const DkimFact *> order;
  order.reserve(row.dkim.size());
  for (const DkimFact &signature : row.dkim) order.push_back(&signature);
  std::stable_sort(order.begin(), order.end(),
                   [&](const DkimFact *left, const DkimFact *right) { return rank(*left, row) < rank(*right, row); });
  order.resize(std::min(order.size(), DmarcRowLimits::signatures));
  out.number(order.size());
  for (const DkimFact *signature : order) {
    out.text(signature->domain, DmarcRowLimits::name);
    out.text(signature->selector, DmarcRowLimits::name);
    out.word(signature->result);
  }
}

smtp::IpAddress read_address(RowReader &in) {
  const std::string_view octets = in.octets("source", 16);
  std::array<std::uint8_t, 16> six{};
  std::copy(octets.begin(), octets.end(), six.begin());
  if (octets.size() == 16) {
    const auto address = smtp::IpAddress::v6(six);
    if (!address.is_v6()) in.fail("source is a mapped address");
    return address;
  }
  if (octets.size() != 4) in.fail(fmt::format("source is {} octets, an address is 4 or 16", octets.size()));
  return smtp::IpAddress::v4({six[0], six[1], six[2], six[3]});
}

} // namespace

std::string encode_row(const DmarcRow &row) {
  RowWriter out;
  out.number(dmarc_row_version);
  const std::size_t address_size = row.source.is_v6() ? 16 : 4;
  out.number(address_size);
  for (std::size_t i = 0; i < address_size; ++i) {
    const char octet = static_cast<char>(row.source.octets()[i]);
    out.octets({&octet, 1});
  }
  write_published(out, row.published);
  out.text(row.header_from, DmarcRowLimits::name);
  out.text(row.org_domain, DmarcRowLimits::name);
  out.word(row.policy);
  out.word(row.disposition);
  out.number(row.spf_aligned);
  out.number(row.dkim_aligned);
  out.number(row.is_report);
  const auto reasons = std::min(row.reasons.size(), DmarcRowLimits::reasons);
  out.number(reasons);
  for (std::size_t i = 0; i < reasons; ++i) {
    out.word(row.reasons[i].kind);
    out.text(row.reasons[i].comment, DmarcRowLimits::comment);
  }
  const auto identities = std::min(row.spf.size(), DmarcRowLimits::identities);
  out.number(identities);
  for (std::size_t i = 0; i < identities; ++i) {
    out.text(row.spf[i].domain, DmarcRowLimits::name);
    out.word(row.spf[i].scope);
    out.word(row.spf[i].result);
  }
  write_signatures(out, row);
  out.text(row.envelope_from, DmarcRowLimits::name);
  out.text(row.envelope_to, DmarcRowLimits::name);
  return std::move(out).take();
}

smtp::Result<DmarcRow> decode_row(std::string_view octets) {
  RowReader in(octets);
  if (const auto version = in.number("version", std::numeric_limits<std::uint64_t>::max());
      version != dmarc_row_version)
    in.fail(fmt::format("version is {}, known is {}", version, dmarc_row_version));
  DmarcRow row;
  row.source = read_address(in);
  row.published = read_policy(in);
  row.header_from = in.text("header from", DmarcRowLimits::name);
  row.org_domain = in.text("organizational domain", DmarcRowLimits::name);
  row.policy = in.word("policy", auth::DmarcPolicy::reject);
  row.disposition = in.word("disposition", auth::DmarcPolicy::reject);
  row.spf_aligned = in.truth("spf aligned");
  row.dkim_aligned = in.truth("dkim aligned");
  row.is_report = in.truth("report");
  for (auto left = in.number("reason count", DmarcRowLimits::reasons); left > 0; --left) {
    auth::PolicyOverride reason;
    reason.kind = in.word("reason type", auth::OverrideKind::trusted_forwarder);
    reason.comment = in.text("reason comment", DmarcRowLimits::comment);
    row.reasons.push_back(std::move(reason));
  }
  for (auto left = in.number("spf count", DmarcRowLimits::identities); left > 0; --left) {
    SpfFact fact;
    fact.domain = in.text("spf domain", DmarcRowLimits::name);
    fact.scope = in.word("spf scope", SpfScope::mail_from);
    fact.result = in.word("spf result", auth::SpfResult::permerror);
    row.spf.push_back(std::move(fact));
  }
  for (auto left = in.number("dkim count", DmarcRowLimits::signatures); left > 0; --left) {
    DkimFact fact;
    fact.domain = in.text("dkim domain", DmarcRowLimits::name);
    fact.selector = in.text("dkim selector", DmarcRowLimits::name);
    fact.result = in.word("dkim result", auth::DkimResult::permerror);
    row.dkim.push_back(std::move(fact));
  }
  row.envelope_from = in.text("envelope from", DmarcRowLimits::name);
  row.envelope_to = in.text("envelope to", DmarcRowLimits::name);
  if (in.error().empty() && !in.is_at_end()) in.fail("octets after the last field");
  if (!in.error().empty()) return smtp::fail(smtp::ErrorCode::bad_syntax, "row: " + in.error());
  return row;
}

} // namespace mta
