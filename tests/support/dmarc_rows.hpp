// Rows of the DMARC tally for tests, and the files they lie in.
#pragma once

#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "mta/tally/dmarc_days.hpp"
#include "mta/tally/dmarc_row.hpp"
#include "tests/support/temp_folder.hpp"

namespace support {

inline std::string read_all(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void write_all(const std::string &path, std::string_view octets) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << octets;
}

inline mta::UtcDay day(const char *text) {
  return mta::parse_day(text).value();
}

/// An aligned message of example.com from 192.0.2.1, with every field set.
inline mta::DmarcRow a_row() {
  mta::DmarcRow row;
  row.source = smtp::IpAddress::parse("192.0.2.1").value();
  row.header_from = "news.example.com";
  row.org_domain = "example.com";
  row.published.domain = "example.com";
  row.published.p = auth::DmarcPolicy::reject;
  row.published.sp = auth::DmarcPolicy::quarantine;
  row.published.rua = {"mailto:reports@example.com"};
  row.policy = auth::DmarcPolicy::quarantine;
  row.spf_aligned = true;
  row.dkim_aligned = true;
  row.spf = {{"news.example.com", mta::SpfScope::mail_from, auth::SpfResult::pass},
             {"mx.example.com", mta::SpfScope::helo, auth::SpfResult::none}};
  row.dkim = {{"example.com", "s1", auth::DkimResult::pass}};
  row.envelope_from = "news.example.com";
  row.envelope_to = "example.org";
  return row;
}

} // namespace support
