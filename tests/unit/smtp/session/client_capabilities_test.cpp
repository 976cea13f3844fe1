// parse_capabilities: what EHLO replies of many kinds offer.
#include "smtp/session/client_capabilities.hpp"

#include <gtest/gtest.h>

namespace client_capabilities_test {

using smtp::Capabilities;

TEST(ClientCapabilities, keywords_are_read_and_rubbish_is_passed_over) {
  struct Row {
    std::string name;
    std::string text;
    Capabilities offered;
  };
  const std::vector<Row> rows{
      {"a greeting alone", "mx.example", {.extended = true}},
      {"the first line is a name, even when it looks like a keyword", "STARTTLS\nDSN", {.extended = true, .dsn = true}},
      {"every keyword",
       "mx\nSTARTTLS\nPIPELINING\n8BITMIME\nSMTPUTF8\nCHUNKING\nDSN\nENHANCEDSTATUSCODES\nREQUIRETLS\nSIZE "
       "10240\nLIMITS RCPTMAX=5 "
       "MAILMAX=7",
       {.extended = true,
        .starttls = true,
        .pipelining = true,
        .eight_bit_mime = true,
        .smtputf8 = true,
        .chunking = true,
        .dsn = true,
        .enhanced_status_codes = true,
        .requiretls = true,
        .size = true,
        .size_limit = 10240,
        .rcpt_max = 5,
        .mail_max = 7}},
      {"any case", "mx\nstartTLS\nPipelining", {.extended = true, .starttls = true, .pipelining = true}},
      {"SIZE without a number is no limit", "mx\nSIZE", {.extended = true, .size = true}},
      {"SIZE 0 is no limit", "mx\nSIZE 0", {.extended = true, .size = true}},
      {"a SIZE that is not a number", "mx\nSIZE big", {.extended = true, .size = true}},
      {"a SIZE over 64 bits", "mx\nSIZE 99999999999999999999", {.extended = true, .size = true}},
      {"a keyword within a word", "mx\nXSTARTTLS\nSTARTTLSX\nSTARTTLS-X", {.extended = true}},
      {"the old AUTH= form and an empty line", "mx\nAUTH=PLAIN\n\nDSN ", {.extended = true, .dsn = true}},
      {"limits of 0 and without value say nothing",
       "mx\nLIMITS RCPTMAX=0 MAILMAX RCPTDOMAINMAX=1 MAILMAX=x",
       {.extended = true}},
      {"limits in any case and spacing", "mx\nLIMITS   rcptmax=12  X=1", {.extended = true, .rcpt_max = 12}},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(smtp::parse_capabilities({250, {}, row.text}), row.offered);
  }
}

} // namespace client_capabilities_test
