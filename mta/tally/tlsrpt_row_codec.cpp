// The form of a TlsrptRow in the tally's files (tlsrpt_row.hpp).
#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "mta/tally/row_octets.hpp"
#include "mta/tally/tlsrpt_row.hpp"

namespace mta {

namespace {

constexpr std::uint64_t row_version = 1;
constexpr auto last_fault = policy::TlsFault::sts_webpki_invalid;

/// Texts up to the limits; `room` is what the whole policy may still take.
void write_list(RowWriter &out, const std::vector<std::string> &texts, std::size_t most, std::size_t &room) {
  std::size_t count = 0;
  std::size_t left = room;
  for (const std::string &text : texts) {
    const std::size_t size = std::min(text.size(), TlsrptRowLimits::string);
    if (count == most || size > left) break;
    left -= size;
    ++count;
  }
  room = left;
  out.number(count);
  for (std::size_t i = 0; i < count; ++i) out.text(texts[i], TlsrptRowLimits::string);
}

std::vector<std::string> read_list(RowReader &in, std::string_view field, std::size_t most) {
  std::vector<std::string> texts;
  for (auto left = in.number(field, most); left > 0; --left) texts.push_back(in.text(field, TlsrptRowLimits::string));
  return texts;
}

} // namespace

std::string encode_tlsrpt_row(const TlsrptRow &row) {
  RowWriter out;
  out.number(row_version);
  out.text(row.domain, TlsrptRowLimits::name);
  out.word(row.policy.type);
  out.text(row.policy.domain, TlsrptRowLimits::name);
  std::size_t room = TlsrptRowLimits::policy;
  write_list(out, row.policy.strings, TlsrptRowLimits::strings, room);
  write_list(out, row.policy.mx_hosts, TlsrptRowLimits::mx_hosts, room);
  out.word(row.fault);
  out.text(row.sending_address, TlsrptRowLimits::address);
  out.text(row.receiving_host, TlsrptRowLimits::name);
  out.text(row.receiving_address, TlsrptRowLimits::address);
  out.text(row.reason, TlsrptRowLimits::reason);
  return std::move(out).take();
}

smtp::Result<TlsrptRow> decode_tlsrpt_row(std::string_view octets) {
  RowReader in(octets);
  if (const auto version = in.number("version", std::numeric_limits<std::uint64_t>::max()); version != row_version)
    in.fail(fmt::format("version is {}, known is {}", version, row_version));
  TlsrptRow row;
  row.domain = in.text("domain", TlsrptRowLimits::name);
  row.policy.type = in.word("policy type", TlsPolicyType::tlsa);
  row.policy.domain = in.text("policy domain", TlsrptRowLimits::name);
  row.policy.strings = read_list(in, "policy string", TlsrptRowLimits::strings);
  row.policy.mx_hosts = read_list(in, "mx host", TlsrptRowLimits::mx_hosts);
  row.fault = in.word("fault", last_fault);
  row.sending_address = in.text("sending address", TlsrptRowLimits::address);
  row.receiving_host = in.text("receiving host", TlsrptRowLimits::name);
  row.receiving_address = in.text("receiving address", TlsrptRowLimits::address);
  row.reason = in.text("reason", TlsrptRowLimits::reason);
  if (in.error().empty() && !in.is_at_end()) in.fail("octets after the last field");
  if (!in.error().empty()) return smtp::fail(smtp::ErrorCode::bad_syntax, "row: " + in.error());
  return row;
}

} // namespace mta
