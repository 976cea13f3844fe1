// OpenSSL's own DANE suite against verify_dane(): each block's chain with its TLSA records, as RFC 7672 sees them.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "source_dir.hpp"
#include "tests/support/dane_fixture.hpp"
#include "tls/dane.hpp"

namespace {

/// "<n TLSA> <n certs> <no name checks> <wanted verify result> <wanted depth>", TLSA lines, PEM certificates.
struct Block {
  int line = 0;
  int wanted = 0; ///< OpenSSL's X509_V_…
  int depth = 0;
  std::vector<smtp::TlsaRecord> records;
  std::string chain;
};

std::string from_hex(const std::string &hex) {
  std::string octets;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    octets += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return octets;
}

/// As OpenSSL reads it: what stands between the last record that the first line counts and the certificates is passed
/// over.
std::vector<Block> read_blocks(std::istream &file) {
  std::vector<Block> blocks;
  std::string line;
  int number = 0, records_left = 0, certificates_left = 0;
  bool in_certificate = false;
  while (std::getline(file, line)) {
    ++number;
    const bool begins_with_number = !line.empty() && line.front() >= '0' && line.front() <= '9';
    std::istringstream words(line);
    if (in_certificate || line.starts_with("-----BEGIN")) {
      blocks.back().chain += line + '\n';
      in_certificate = !line.starts_with("-----END");
      if (!in_certificate) --certificates_left;
    } else if (begins_with_number && certificates_left == 0) {
      Block block;
      int no_names = 0;
      block.line = number;
      words >> records_left >> certificates_left >> no_names >> block.wanted >> block.depth;
      blocks.push_back(block);
    } else if (begins_with_number && records_left > 0) {
      int usage = 0, selector = 0, type = 0;
      std::string hex;
      words >> usage >> selector >> type >> hex;
      blocks.back().records.push_back({static_cast<std::uint8_t>(usage), static_cast<std::uint8_t>(selector),
                                       static_cast<std::uint8_t>(type), from_hex(hex)});
      --records_left;
    }
  }
  return blocks;
}

TEST(DaneConformance, EveryBlockHasItsAnswer) {
  const auto path =
      std::filesystem::path(source_dir) / "tests" / "data" / "conformance" / "dane" / "openssl-danetest.in";
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  const auto blocks = read_blocks(file);
  EXPECT_EQ(blocks.size(), 27U);
  int matched = 0, unusable = 0, refused = 0;
  for (const Block &block : blocks) {
    SCOPED_TRACE("block at line " + std::to_string(block.line));
    const auto verdict = tls::verify_dane(test::chain_of(block.chain).get(), block.records, {"example.com"},
                                          std::chrono::system_clock::now());
    // RFC 7672 section 3.1.3: usages 0 and 1 are unusable for SMTP, whatever OpenSSL's answer to them is.
    const bool has_smtp_usage =
        std::any_of(block.records.begin(), block.records.end(), [](const auto &record) { return record.usage >= 2; });
    for (const auto &record : block.records) EXPECT_EQ(tls::is_usable(record), record.usage >= 2);
    if (!has_smtp_usage) {
      EXPECT_FALSE(verdict.matched);
      EXPECT_EQ(verdict.reason, "none of " + std::to_string(block.records.size()) + " TLSA records can be used");
      ++unusable;
    } else if (block.wanted == X509_V_OK) {
      EXPECT_TRUE(verdict.matched) << verdict.reason;
      EXPECT_TRUE(verdict.reason.ends_with("depth " + std::to_string(block.depth))) << verdict.reason;
      ++matched;
    } else {
      EXPECT_FALSE(verdict.matched);
      const char *why = block.wanted == X509_V_ERR_HOSTNAME_MISMATCH ? "the certificate is for" : "no record matches";
      EXPECT_NE(verdict.reason.find(why), std::string::npos) << verdict.reason;
      ++refused;
    }
  }
  EXPECT_EQ(matched, 14);
  EXPECT_EQ(unusable, 10);
  EXPECT_EQ(refused, 3);
}

} // namespace
