// Fuzzes ArcValidator and ArcSealer: a key record in the first line, a message behind it. Nothing crashes, any cut of
// the body gives the same verdict, and what we seal over a chain that passes, passes.
#include "auth/arc/seal.hpp"
#include "auth/arc/validate.hpp"

#include <cstdint>
#include <cstdlib>

#include "auth/dkim/signing_key.hpp"

namespace {

auth::ArcVerdict run(const auth::HeaderFields &fields, std::string_view body, std::size_t cut, std::string_view record,
                     const auth::SigningKey &ours) {
  auth::DkimOptions options;
  options.now = 1700000000;
  auth::ArcValidator validator(fields, options);
  for (std::size_t at = 0; at < body.size(); at += cut) validator.body(body.substr(at, cut));
  validator.end();
  auth::DnsFacts facts;
  for (int round = 0; round < 4; ++round) {
    auto verdict = validator.verdict(facts);
    if (facts.missing().empty()) return verdict;
    const auto questions = facts.missing();
    for (const auto &question : questions) {
      auth::DnsFact fact;
      fact.status = smtp::DnsStatus::ok;
      fact.texts = {question.name == "ours._domainkey.example.org" ? ours.public_record() : std::string(record)};
      facts.put(question, fact);
    }
    facts.clear_missing();
  }
  std::abort(); // it asks for ever
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const auto key = std::make_shared<const auth::SigningKey>(auth::SigningKey::generate_ed25519().value());
  const std::string_view input(reinterpret_cast<const char *>(data), size);
  const auto line = input.find('\n');
  if (line == std::string_view::npos) return 0;
  const std::string_view record = input.substr(0, line);
  const std::string_view message = input.substr(line + 1);
  const auto end = message.find("\r\n\r\n");
  const std::string section(message.substr(0, end == std::string_view::npos ? end : end + 2));
  const auth::HeaderFields fields(section);
  const std::string_view body = end == std::string_view::npos ? std::string_view() : message.substr(end + 4);
  const auto whole = run(fields, body, size, record, *key);
  const auto pieces = run(fields, body, 3, record, *key);
  if (whole.result != pieces.result || whole.reason != pieces.reason) std::abort();
  if (whole.chain.size() > auth::max_arc_sets) std::abort();

  auth::SealOptions options;
  options.domain = "example.org";
  options.selector = "ours";
  options.authserv_id = "mx.example.org";
  options.now = 1700000000;
  options.results = "mx.example.org; none";
  options.incoming = whole;
  auth::ArcSealer sealer(fields, key, options);
  sealer.body(body);
  const auto set = sealer.end();
  if (!set || set->empty()) return 0;
  const auth::HeaderFields sealed(*set + section);
  const auto after = run(sealed, body, size, record, *key);
  const bool continues = whole.result != auth::ArcResult::fail;
  if (continues != (after.result == auth::ArcResult::pass)) std::abort();
  return 0;
}
