// Fuzzes DkimVerifier: a key record in the first line, a message behind it. Whatever the octets, nothing crashes, any
// cut of the body gives the same verdicts, and what the library hashes is what we hash.
#include "auth/dkim/verify.hpp"

#include <cstdint>
#include <cstdlib>

#include "auth/core/dns_facts.hpp"
#include "auth/dkim/library_hashes.hpp"
#include "auth/dkim/signed_header.hpp"

namespace {

/// Every key asked for is this record.
std::vector<auth::DkimVerdict> run(const auth::HeaderFields &fields, std::string_view body, std::size_t cut,
                                   std::string_view record, bool weak) {
  auth::DkimOptions options;
  options.now = 1700000000;
  options.allow_weak_keys = weak;
  auth::DkimVerifier verifier(fields, options);
  auth::DnsFacts facts;
  verifier.ask_for_keys(facts);
  const auto questions = facts.missing();
  for (const auto &question : questions) {
    auth::DnsFact fact;
    fact.status = smtp::DnsStatus::ok;
    fact.texts = {std::string(record)};
    facts.put(question, fact);
  }
  facts.clear_missing();
  for (std::size_t at = 0; at < body.size(); at += cut) verifier.body(body.substr(at, cut));
  verifier.end();
  auto verdicts = verifier.verdicts(facts);
  if (!facts.missing().empty()) std::abort(); // all was asked before
  return verdicts;
}

void check_library(const auth::HeaderFields &fields) {
  auth::FieldIndex index(fields);
  for (const auth::HeaderField *field : fields.named("dkim-signature")) {
    auth::Signature signature;
    if (!auth::read_dkim_signature(field->value, auth::Dialect::rfc6376, signature)) continue;
    const auto digests = auth::library_header_hashes(fields, {{field, &signature}});
    if (!digests[0].empty() && digests[0] != auth::hash_signed_header(index, *field, signature)) std::abort();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char *>(data), size);
  const auto line = input.find('\n');
  if (line == std::string_view::npos) return 0;
  const std::string_view record = input.substr(0, line);
  const std::string_view message = input.substr(line + 1);
  const auto end = message.find("\r\n\r\n");
  const auth::HeaderFields fields{std::string(message.substr(0, end == std::string_view::npos ? end : end + 2))};
  const std::string_view body = end == std::string_view::npos ? std::string_view() : message.substr(end + 4);
  const auto whole = run(fields, body, size, record, true);
  const auto pieces = run(fields, body, 3, record, true);
  const auto strict = run(fields, body, 7, record, false);
  if (whole.size() != pieces.size() || whole.size() != strict.size()) std::abort();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (whole[i].result != pieces[i].result || whole[i].reason != pieces[i].reason) std::abort();
    for (const char c : whole[i].reason + whole[i].domain + whole[i].selector)
      if (c < 0x20 || c > 0x7e) std::abort(); // it goes into a header field and the log
  }
  check_library(fields);
  return 0;
}
