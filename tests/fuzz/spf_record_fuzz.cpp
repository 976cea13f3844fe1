// Fuzzes SPF: a record, a second record and a macro string; libspf2 and its wrapper must agree, and every limit must
// hold.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "auth/spf/macro.hpp"
#include "auth/spf/spf.hpp"

namespace {

/// The parts of the input, cut at '\n': the record of the domain, that of every other name, the text of the macro
/// string (also explanation, local part and HELO).
struct Parts {
  std::string_view record;
  std::string_view other;
  std::string_view macro;
};

Parts split(std::string_view input) {
  const auto take = [&] {
    const auto end = input.find('\n');
    const auto part = input.substr(0, end);
    input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
    return part;
  };
  Parts parts;
  parts.record = take();
  parts.other = take();
  parts.macro = input;
  return parts;
}

/// A zone without end: the name's length decides whether it exists.
auth::DnsFact answer(const Parts &parts, const auth::DnsQuestion &question) {
  auth::DnsFact fact;
  fact.status = smtp::DnsStatus::ok;
  if (question.type == auth::RecordType::txt) {
    const bool is_explanation = question.name.starts_with("e");
    fact.texts.emplace_back(question.name == "d.example" ? parts.record : is_explanation ? parts.macro : parts.other);
  } else if (question.name.size() % 5 == 0) {
    fact.status = question.name.size() % 2 == 0 ? smtp::DnsStatus::no_name : smtp::DnsStatus::no_data;
  } else if (question.name.size() % 31 == 0) {
    fact.status = smtp::DnsStatus::temporary;
  } else if (question.type == auth::RecordType::mx) {
    for (std::size_t i = 0; i < question.name.size() % 12; ++i)
      fact.hosts.push_back({1, "h" + std::to_string(i) + '.' + question.name});
  } else if (question.type == auth::RecordType::ptr) {
    fact.texts = {"p.d.example", "x.example", std::string(parts.macro)};
  } else if (question.type == auth::RecordType::a) {
    fact.addresses = {smtp::IpAddress::v4({192, 0, 2, 9}),
                      smtp::IpAddress::v4({198, 51, 100, static_cast<std::uint8_t>(question.name.size())})};
  } else {
    fact.addresses = {smtp::IpAddress::parse("2001:db8::9").value()};
  }
  return fact;
}

void check(const Parts &parts, const char *client) {
  const auth::SpfRequest request{smtp::IpAddress::parse(client).value(), std::string(parts.macro),
                                 std::string(parts.macro) + "@d.example", "mx.receiver.example", 1700000000};
  auth::DnsFacts facts;
  auth::SpfVerdict verdict;
  unsigned rounds = 0;
  do {
    if (++rounds > 60 || facts.size() > 60) std::abort(); // questions without end
    facts.clear_missing();
    verdict = auth::check_spf_mail_from(request, facts);
    for (const auto &question : facts.missing()) facts.put(question, answer(parts, question));
  } while (!facts.missing().empty());
  // "libspf2 says pass, its wrapper fail", "libspf2: cannot compile": the one or the other is wrong.
  if (verdict.reason.find("libspf2") != std::string::npos && parts.record.find("libspf2") == std::string_view::npos &&
      parts.other.find("libspf2") == std::string_view::npos && parts.macro.find("libspf2") == std::string_view::npos)
    std::abort();
  if (verdict.lookups > 10 || verdict.void_lookups > 3) std::abort();
  if (verdict.explanation.size() > 450) std::abort();
  if (!verdict.explanation.empty() && verdict.result != auth::SpfResult::fail) std::abort();
  for (const char c : verdict.explanation)
    if (c < ' ' || c > '~') std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size > 16384) return 0;
  const Parts parts = split({reinterpret_cast<const char *>(data), size});
  for (const char *client : {"192.0.2.1", "198.51.100.11", "2001:db8::1"}) check(parts, client);
  const auth::MacroValues values{.local_part = std::string(parts.macro.substr(0, 256)),
                                 .sender_domain = "d.example",
                                 .current_domain = "d.example",
                                 .client = smtp::IpAddress::v4({192, 0, 2, 1}),
                                 .validated_name = "unknown",
                                 .helo = "h.example",
                                 .receiver = "r.example",
                                 .now = 0};
  if (auth::check_macro_string(parts.macro, auth::MacroPlace::free_text)) {
    const auto expanded = auth::expand_macros(parts.macro, values);
    if (expanded && expanded->size() > auth::spf_expansion_limit) std::abort();
    if (auth::check_domain_spec(parts.macro) && expanded && auth::fit_domain_name(*expanded).size() > 253 &&
        auth::fit_domain_name(*expanded).find('.') != std::string::npos)
      std::abort();
  }
  return 0;
}
