#include "smtp/session/client_commands.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "smtp/base/text.hpp"
#include "smtp/wire/utf8_address.hpp"

namespace smtp {

namespace {
constexpr std::size_t orcpt_limit = 500;
}

bool needs_smtputf8(const Transaction &transaction) noexcept {
  const auto *sender = transaction.sender.path.mailbox();
  return transaction.needs_smtputf8 || (sender && sender->needs_smtputf8()) ||
         std::any_of(transaction.recipients.begin(), transaction.recipients.end(),
                     [](const Recipient &recipient) { return recipient.mailbox.needs_smtputf8(); });
}

void append_mail_command(std::string &out, const Transaction &transaction, const Capabilities &offered) {
  out += "MAIL FROM:";
  out += transaction.sender.path.to_string();
  if (offered.size && transaction.size > 0) fmt::format_to(std::back_inserter(out), " SIZE={}", transaction.size);
  if (offered.eight_bit_mime && transaction.has_8bit) out += " BODY=8BITMIME";
  if (offered.smtputf8 && needs_smtputf8(transaction)) out += " SMTPUTF8";
  const bool requiretls = transaction.sender.parameters.requiretls;
  if (requiretls && offered.requiretls) out += " REQUIRETLS";
  if (offered.dsn) {
    switch (transaction.sender.parameters.ret) {
    case DsnReturn::unspecified: break;
    // RFC 8689 section 5: "If both RET=FULL and REQUIRETLS are present, the RET=FULL MUST be disregarded."
    case DsnReturn::full: out += requiretls ? " RET=HDRS" : " RET=FULL"; break;
    case DsnReturn::headers: out += " RET=HDRS"; break;
    }
    if (const auto &envid = transaction.sender.parameters.envid; !envid.empty()) {
      out += " ENVID=";
      out += encode_xtext(envid);
    }
  }
  out += "\r\n";
}

void append_recipient_command(std::string &out, const Recipient &recipient, const Capabilities &offered,
                              bool smtputf8) {
  out += "RCPT TO:<";
  out += recipient.mailbox.to_string();
  out += '>';
  if (offered.dsn) {
    if (const auto &notify = recipient.parameters.notify; notify.given) {
      // RFC 3461 section 4.1: NEVER stands alone, the others are a list.
      std::string_view separator = " NOTIFY=";
      const auto add = [&](bool wanted, std::string_view word) {
        if (!wanted) return;
        out += separator;
        out += word;
        separator = ",";
      };
      const bool listed = notify.success || notify.failure || notify.delay;
      add(notify.never && !listed, "NEVER");
      add(notify.success, "SUCCESS");
      add(notify.failure, "FAILURE");
      add(notify.delay, "DELAY");
    }
    if (const auto &original = recipient.parameters.orcpt) {
      // RFC 6533 section 3: a utf-8 address has an encoding of its own, by what the hop can take.
      const auto form = smtputf8 ? Utf8AddressForm::unitext : Utf8AddressForm::xtext;
      const std::string value =
          original->type + ';' +
          (equals_ignoring_case(original->type, "utf-8") ? encode_utf8_address(original->address, form)
                                                         : encode_xtext(original->address));
      // RFC 3461 section 4.2 allows 500 octets. Encoding may have made it longer than it came; the address is worth
      // more than the note of what it once was.
      if (value.size() <= orcpt_limit) (out += " ORCPT=") += value;
    }
  }
  out += "\r\n";
}

} // namespace smtp
