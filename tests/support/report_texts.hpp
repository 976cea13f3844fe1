// Reports and mails as texts, and what packs them, for the tests of received reports.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>

#include "smtp/base/base64.hpp"

namespace support {

inline std::string dmarc_text(const std::string &records, const std::string &id = "r-1",
                              const std::string &organisation = "example.net") {
  return R"(<?xml version="1.0" encoding="UTF-8"?>
<feedback><report_metadata><org_name>)" +
         organisation + R"(</org_name><email>dmarc@example.net</email><report_id>)" + id + R"(</report_id>
<date_range><begin>1700000000</begin><end>1700086399</end></date_range></report_metadata>
<policy_published><domain>Example.COM</domain><adkim>r</adkim><aspf>s</aspf><p>reject</p><pct>100</pct></policy_published>
)" + records +
         "</feedback>\n";
}

inline const std::string one_record = R"(<record><row><source_ip>192.0.2.7</source_ip><count>3</count>
<policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>
<identifiers><envelope_from>bounce.example.com</envelope_from><header_from>example.com</header_from></identifiers>
<auth_results><dkim><domain>example.com</domain><selector>s1</selector><result>pass</result></dkim>
<spf><domain>bounce.example.com</domain><scope>mfrom</scope><result>softfail</result></spf></auth_results></record>
)";

inline const std::string tls_text = R"({"organization-name":"Company-X","contact-info":"tls@company-x.example",
"date-range":{"start-datetime":"2026-04-01T00:00:00Z","end-datetime":"2026-04-01T23:59:59Z"},"report-id":"t-1",
"policies":[{"policy":{"policy-type":"sts","policy-string":["version: STSv1","mode: testing"],
"policy-domain":"Example.COM","mx-host":["mx1.example.com","mx2.example.com"]},
"summary":{"total-successful-session-count":10,"total-failure-session-count":2},
"failure-details":[{"result-type":"certificate-expired","sending-mta-ip":"2001:db8::1",
"receiving-mx-hostname":"mx1.example.com","receiving-ip":"192.0.2.1","failed-session-count":2,
"failure-reason-code":"X509_V_ERR_CERT_HAS_EXPIRED"}]}]}
)";

inline std::string pack_gzip(std::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, static_cast<uLong>(text.size())) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef *>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// `options` as archive_write_set_options takes them: "zip:compression=store", "zip:encryption=zipcrypt".
inline std::string pack_zip(const std::vector<std::pair<std::string, std::string>> &entries, const char *options = "") {
  std::size_t room = 65'536;
  for (const auto &[name, text] : entries) room += 2 * text.size() + 2 * name.size() + 1'024;
  std::string out(room, '\0');
  std::size_t used = 0;
  archive *zip = archive_write_new();
  archive_write_set_format_zip(zip);
  archive_write_set_options(zip, options);
  archive_write_set_passphrase(zip, "secret");
  archive_write_open_memory(zip, out.data(), out.size(), &used);
  for (const auto &[name, text] : entries) {
    archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(text.size()));
    archive_entry_set_filetype(entry, name.ends_with('/') ? AE_IFDIR : AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(zip, entry);
    archive_write_data(zip, text.data(), text.size());
    archive_entry_free(entry);
  }
  archive_write_close(zip);
  archive_write_free(zip);
  out.resize(used);
  return out;
}

/// base64 in lines, as the body of a part has it.
inline std::string base64(std::string_view octets) {
  std::string out;
  for (std::size_t at = 0; at < octets.size(); at += 57) out += smtp::to_base64(octets.substr(at, 57)) + "\r\n";
  return out;
}

/// A mail with one attachment beside a text.
inline std::string mail_with(const std::string &fields, const std::string &contents) {
  return "From: =?utf-8?q?Reporter_=C3=A9?= <dmarc@example.net>\r\nTo: rua@example.com\r\n"
         "Subject: Report domain: example.com\r\n"
         " Submitter: example.net\r\nMessage-ID: <m1@example.net>\r\nMIME-Version: 1.0\r\n"
         "Content-Type: multipart/mixed; boundary=\"b 1\"\r\n\r\npreamble\r\n--b 1\r\n"
         "Content-Type: text/plain\r\n\r\nThis is a report.\r\n--b 1\r\n" +
         fields + "\r\n\r\n" + contents + "\r\n--b 1--\r\nepilogue\r\n";
}

} // namespace support
