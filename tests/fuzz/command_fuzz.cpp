// Fuzzes the command line parser: what is accepted can be written and read again, what is refused has a 5xx reply.
#include "smtp/wire/command.hpp"

#include <cstdlib>

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

template <typename T> void require_refusal(const smtp::Parsed<T> &parsed) {
  require(parsed.has_value() ||
          (parsed.error().is_permanent() && parsed.error().enhanced && !parsed.error().text.empty()));
  if (!parsed) require(smtp::format_reply(parsed.error()).ends_with("\r\n"));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char *>(data), size);
  const auto command = smtp::split_command(line);
  require(command.argument.size() <= line.size());
  const auto sender = smtp::parse_mail(command.argument);
  require_refusal(sender);
  if (sender) {
    const auto again = smtp::parse_mail("FROM:" + sender->path.to_string() + " SMTPUTF8");
    require(again && again->path == sender->path);
    if (const auto &envid = sender->parameters.envid; !envid.empty())
      require(smtp::decode_xtext(smtp::encode_xtext(envid)) == envid);
  }
  for (const auto utf8 : {smtp::Utf8::refused, smtp::Utf8::allowed}) {
    const auto recipient = smtp::parse_rcpt(command.argument, utf8);
    require_refusal(recipient);
    if (!recipient) continue;
    const auto again = smtp::parse_rcpt("TO:" + recipient->path.to_string(), smtp::Utf8::allowed);
    require(again && again->path == recipient->path);
  }
  require_refusal(smtp::parse_bdat(command.argument));
  require_refusal(smtp::parse_hello(command.argument));
  return 0;
}
