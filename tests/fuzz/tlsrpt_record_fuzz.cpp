// Fuzzes TLSRPT records: whatever is read can be served, and what is said of it is printable.
#include "policy/tlsrpt.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "smtp/names/mailbox.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string text(reinterpret_cast<const char *>(data), size);
  const auto record = policy::parse_tlsrpt_record(text);
  const bool is_record = policy::is_tlsrpt_record(text);
  if (record && !is_record) std::abort();
  if (!is_record && record.error().code != smtp::ErrorCode::not_found) std::abort();
  const std::vector<std::string> twice{text, "v=spf1 -all", text};
  if (policy::choose_tlsrpt_record(twice)) std::abort();
  if (!record) return 0;
  if (record->rua.size() > policy::most_tlsrpt_uris) std::abort();
  for (const auto &destination : record->rua) {
    const bool is_mail = destination.scheme == policy::TlsrptDestination::Scheme::mailto;
    if (is_mail && !smtp::Mailbox::parse(destination.address)) std::abort();
    if (!is_mail && destination.address.size() <= std::string("https:").size()) std::abort();
  }
  for (const std::string &problem : record->problems)
    for (const char c : problem)
      if (c < ' ' || c > '~') std::abort();
  return 0;
}
