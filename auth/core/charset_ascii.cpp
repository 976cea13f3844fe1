#include "auth/core/charset_ascii.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include "smtp/base/text.hpp"

namespace auth {

namespace {

enum class Family : std::uint8_t {
  plain,       ///< an octet below 128 is that character of ASCII, wherever it stands
  gb2312,      ///< the same by its standard; many readers take it for GBK
  gbk,         ///< and GB 18030
  big5,        ///<
  shift_jis,   ///<
  iso_2022_jp, ///< RFC 1468
};

struct Charset {
  std::string_view name; ///< in lower case; a "*" at its end: and what begins so
  Family family;
};

/// The names of IANA's registry that mail has, and what software writes in their place.
constexpr std::array charsets = {
    Charset{"utf-8", Family::plain},
    Charset{"utf8", Family::plain},
    Charset{"us-ascii", Family::plain},
    Charset{"ascii", Family::plain},
    Charset{"ansi_x3.4-1968", Family::plain},
    Charset{"iso-8859-*", Family::plain},
    Charset{"iso_8859-*", Family::plain},
    Charset{"iso8859-*", Family::plain},
    Charset{"latin1", Family::plain},
    Charset{"windows-125*", Family::plain},
    Charset{"windows-874", Family::plain},
    Charset{"cp125*", Family::plain},
    Charset{"cp866", Family::plain},
    Charset{"ibm866", Family::plain},
    Charset{"koi8-*", Family::plain},
    Charset{"cp437", Family::plain},
    Charset{"cp85*", Family::plain},
    Charset{"ibm85*", Family::plain},
    Charset{"macintosh", Family::plain},
    Charset{"x-mac-*", Family::plain},
    Charset{"tis-620", Family::plain},
    Charset{"euc-jp", Family::plain}, // the octets of its characters are all above 128
    Charset{"eucjp", Family::plain},
    Charset{"x-euc-jp", Family::plain},
    Charset{"euc-kr", Family::plain},
    Charset{"euckr", Family::plain},
    Charset{"cp949", Family::plain}, // the second octet may be a letter, and no sign
    Charset{"uhc", Family::plain},
    Charset{"ks_c_5601-*", Family::plain},
    Charset{"unknown-8bit", Family::plain},
    Charset{"x-unknown", Family::plain},
    Charset{"gb2312", Family::gb2312},
    Charset{"gb_2312*", Family::gb2312},
    Charset{"gbk", Family::gbk},
    Charset{"cp936", Family::gbk},
    Charset{"gb18030", Family::gbk},
    Charset{"big5*", Family::big5},
    Charset{"cp950", Family::big5},
    Charset{"shift_jis", Family::shift_jis},
    Charset{"shift-jis", Family::shift_jis},
    Charset{"sjis", Family::shift_jis},
    Charset{"x-sjis", Family::shift_jis},
    Charset{"cp932", Family::shift_jis},
    Charset{"windows-31j", Family::shift_jis},
    Charset{"iso-2022-jp", Family::iso_2022_jp},
};

std::optional<Family> family_of(std::string_view charset) {
  const std::string name = smtp::to_lower(charset.substr(0, charset.find('*')));
  for (const Charset &known : charsets) {
    const bool is_prefix = known.name.ends_with('*');
    const std::string_view wanted = known.name.substr(0, known.name.size() - (is_prefix ? 1 : 0));
    if (is_prefix ? name.starts_with(wanted) : name == wanted) return known.family;
  }
  return std::nullopt;
}

constexpr std::string_view other_character = "\xEF\xBF\xBD"; // U+FFFD
constexpr std::string_view wide_at = "\xEF\xBC\xA0";         // U+FF20
constexpr unsigned at_sign = '@';

bool is_between(unsigned octet, unsigned first, unsigned last) noexcept {
  return octet >= first && octet <= last;
}

bool is_lead(Family family, unsigned octet) noexcept {
  if (family == Family::shift_jis) return is_between(octet, 0x81, 0x9f) || is_between(octet, 0xe0, 0xfc);
  return is_between(octet, 0x81, 0xfe);
}

bool is_trail(Family family, unsigned octet) noexcept {
  // GB 18030 has characters of four octets: the second and the fourth are digits.
  if (family == Family::gbk && is_between(octet, '0', '9')) return true;
  return is_between(octet, 0x40, 0x7e) || octet >= 0x80;
}

/// Whether every reader makes one character of `lead` and 0x40: the code table has one there. Else some see a "@"
/// behind an octet that says nothing.
bool makes_character_with_at_sign(Family family, unsigned lead) noexcept {
  switch (family) {
  case Family::gbk: return is_between(lead, 0x81, 0xa0) || is_between(lead, 0xa8, 0xfe);
  case Family::big5: return is_between(lead, 0xa1, 0xc7) || is_between(lead, 0xc9, 0xf9);
  case Family::shift_jis:
    return lead == 0x81 || lead == 0x83 || lead == 0x84 || is_between(lead, 0x89, 0x9f) || is_between(lead, 0xe0, 0xea);
  case Family::gb2312:
  case Family::plain:
  case Family::iso_2022_jp: break;
  }
  return false;
}

bool is_wide_at_sign(Family family, unsigned lead, unsigned trail) noexcept {
  switch (family) {
  case Family::gb2312:
  case Family::gbk: return lead == 0xa3 && trail == 0xc0;
  case Family::big5: return lead == 0xa2 && trail == 0x49;
  case Family::shift_jis: return lead == 0x81 && trail == 0x97;
  case Family::iso_2022_jp: return lead == 0x21 && trail == 0x77;
  case Family::plain: break;
  }
  return false;
}

unsigned octet_at(std::string_view text, std::size_t at) noexcept {
  return static_cast<unsigned char>(text[at]);
}

AsciiReading read_pairs(Family family, std::string_view octets) {
  AsciiReading reading;
  for (std::size_t at = 0; at < octets.size(); ++at) {
    const unsigned octet = octet_at(octets, at);
    if (octet < 0x80) {
      reading.text += octets[at];
      continue;
    }
    if (!is_lead(family, octet)) {
      reading.text += other_character;
      continue;
    }
    if (at + 1 == octets.size()) { // some readers take the first octet of the next word for the second of this one
      reading.text += other_character;
      reading.is_sure = false;
      continue;
    }
    const unsigned next = octet_at(octets, at + 1);
    if (next == at_sign && !makes_character_with_at_sign(family, octet)) {
      reading.text += other_character;
      reading.is_sure = false;
      continue;
    }
    reading.text += is_wide_at_sign(family, octet, next) ? wide_at : other_character;
    if (is_trail(family, next)) ++at;
  }
  return reading;
}

/// RFC 1468: ASCII and JIS X 0201 between ESC ( B or ESC ( J, pairs of octets after ESC $ @ or ESC $ B.
std::optional<AsciiReading> read_iso_2022_jp(std::string_view octets) {
  AsciiReading reading;
  bool in_pairs = false;
  for (std::size_t at = 0; at < octets.size(); ++at) {
    const unsigned octet = octet_at(octets, at);
    if (octet == 0x1b) {
      const std::string_view escape = octets.substr(at + 1, 2);
      if (escape == "(B" || escape == "(J")
        in_pairs = false;
      else if (escape == "$@" || escape == "$B")
        in_pairs = true;
      else
        return std::nullopt;
      at += 2;
      continue;
    }
    if (octet >= 0x80) return std::nullopt;
    if (!in_pairs) {
      reading.text += octets[at];
      continue;
    }
    // Rows without characters are taken apart in different ways.
    const bool is_row = is_between(octet, 0x21, 0x28) || is_between(octet, 0x30, 0x74);
    if (!is_row || at + 1 == octets.size() || !is_between(octet_at(octets, at + 1), 0x21, 0x7e)) return std::nullopt;
    reading.text += is_wide_at_sign(Family::iso_2022_jp, octet, octet_at(octets, at + 1)) ? wide_at : other_character;
    ++at;
  }
  if (in_pairs) return std::nullopt;
  return reading;
}

} // namespace

std::optional<AsciiReading> read_as_ascii(std::string_view charset, std::string_view octets) {
  const auto family = family_of(charset);
  if (!family) return std::nullopt;
  if (*family == Family::plain) return AsciiReading{std::string(octets), true};
  if (*family == Family::iso_2022_jp) return read_iso_2022_jp(octets);
  return read_pairs(*family, octets);
}

} // namespace auth
