// The two encodings of a utf-8 address type, as ORCPT and delivery status notifications carry it (RFC 6533 section 3).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace smtp {

enum class Utf8AddressForm : std::uint8_t {
  xtext,   ///< utf-8-addr-xtext: ASCII only, all else as \x{HEX}
  unitext, ///< utf-8-addr-unitext: UTF-8 as it is; for SMTPUTF8 hops and message/global-delivery-status
};

/// Spaces, '+', '=', '\' and controls become \x{HEX} in both forms; octets that are no UTF-8 become U+FFFD.
[[nodiscard]] std::string encode_utf8_address(std::string_view address, Utf8AddressForm form);

} // namespace smtp
