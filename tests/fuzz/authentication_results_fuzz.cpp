// Fuzzes Authentication-Results both ways: foreign text as a value that we write, and as a field that we read.
#include "auth/core/authentication_results.hpp"
#include "auth/core/results_field.hpp"

#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string text(reinterpret_cast<const char *>(data), size);

  auth::SpfVerdicts spf;
  spf.mail_from.result = auth::SpfResult::fail;
  spf.mail_from.domain = spf.mail_from.reason = text;
  auth::DkimVerdict dkim;
  dkim.result = auth::DkimResult::fail;
  dkim.domain = dkim.selector = dkim.identity = dkim.reason = dkim.signature_start = text;
  auth::CheckedMessage message;
  message.authserv_id = "mx.example.org";
  message.mail_from = message.helo = message.tls = text;
  message.spf = &spf;
  message.dkim = {&dkim, 1};
  const std::string field = auth::format_authentication_results(message);
  const auth::HeaderFields written(field);
  if (written.all().size() != 1 || written.all().front().text != field) std::abort();
  if (auth::unfold(written.all().front().value) != auth::format_results_payload(message)) std::abort();
  if (!auth::bears_authserv_id(written.all().front(), "MX.example.org.")) std::abort();
  const auth::ResultsPayload read = auth::parse_results(written.all().front().value);
  if (read.authserv_id != "mx.example.org" || read.results.size() != 2) std::abort();
  for (const auth::MethodResult &result : read.results)
    if (result.result != "fail") std::abort();
  std::size_t line = 0;
  for (const char c : field) {
    line = c == '\n' ? 0 : line + 1;
    if (line > 999 || ((c < ' ' || c > '~') && c != '\r' && c != '\n')) std::abort();
  }
  (void)auth::format_received_spf(message, auth::SpfIdentity::mail_from);

  // As a header, and as the value of one field: what is taken out does not come back.
  const std::vector<std::string> ids{"mx.example.org"};
  for (const std::string &section : {text, "Authentication-Results: " + text + "\r\n"}) {
    const auth::HeaderFields fields{section};
    const std::string kept = auth::remove_forged(fields, ids);
    const auth::HeaderFields rest{kept};
    if (kept.size() > section.size() || (auth::find_forged(fields, ids).empty() && kept != section)) std::abort();
    (void)auth::remove_forged(rest, ids);
  }
  (void)auth::parse_results(text);
  return 0;
}
