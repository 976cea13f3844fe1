// Reads every include line of the product against the table of docs/architecture.md: who may know whom, and which
// library.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "source_dir.hpp"

namespace {

namespace fs = std::filesystem;

/// What the files of a folder may include: prefixes of project paths and of library headers. The longest folder counts.
struct Row {
  std::string folder;
  std::vector<std::string> project;
  std::vector<std::string> libraries;
};

const std::vector<Row> table = {
    {"smtp/", {"smtp/"}, {"tl/expected.hpp", "fmt/", "idn2.h"}},
    {"tls/core/", {"tls/core/", "smtp/base/", "smtp/names/", "smtp/dns/", "smtp/message/"}, {}},
    {"auth/core/", {"auth/core/", "smtp/base/", "smtp/names/", "smtp/dns/", "smtp/message/"}, {"fmt/"}},
    {"auth/spf/", {"auth/spf/", "auth/core/", "smtp/"}, {"spf2/", "fmt/"}},
    {"auth/dkim/", {"auth/dkim/", "auth/core/", "smtp/"}, {"opendkim/", "openssl/", "fmt/"}},
    {"auth/arc/", {"auth/arc/", "auth/dkim/", "auth/core/", "smtp/"}, {"fmt/"}},
    {"tls/", {"tls/", "smtp/base/", "smtp/dns/"}, {"openssl/", "fmt/"}},
    {"tls/stream", {"tls/", "smtp/base/", "smtp/dns/"}, {"openssl/", "fmt/", "boost/asio", "boost/system"}},
    {"policy/", {"policy/", "smtp/", "tls/core/", "auth/core/"}, {"fmt/"}},
    {"mta/base/", {"mta/base/", "smtp/"}, {"boost/asio", "fmt/"}},
    {"mta/config/",
     {"mta/config/", "mta/base/", "auth/core/", "auth/dkim/signing_key.hpp", "policy/", "tls/", "smtp/"},
     {"toml++/", "tl/expected.hpp", "fmt/", "boost/json"}},
    {"mta/log/", {"mta/log/", "mta/config/", "mta/base/", "smtp/"}, {"fmt/", "spdlog/", "boost/json"}},
    {"mta/store/",
     {"mta/store/", "mta/base/", "auth/dkim/digest.hpp", "policy/", "tls/core/", "smtp/"},
     {"SQLiteCpp/", "sqlite3.h", "fmt/"}},
    {"mta/net/", {"mta/net/", "mta/base/", "tls/", "smtp/"}, {"boost/asio", "boost/system", "fmt/"}},
    {"mta/dns/",
     {"mta/dns/", "mta/log/", "mta/config/", "mta/base/", "smtp/"},
     {"boost/asio", "boost/system", "fmt/", "unbound.h"}},
    {"mta/spool/", {"mta/spool/", "mta/base/", "smtp/"}, {"fmt/"}},
    {"mta/http/",
     {"mta/http/", "mta/net/", "mta/dns/", "mta/config/", "mta/base/", "tls/", "smtp/"},
     {"boost/asio", "boost/system", "boost/beast", "fmt/"}},
    {"mta/crl/",
     {"mta/crl/", "mta/store/", "mta/http/", "mta/dns/", "mta/log/", "mta/config/", "mta/base/", "tls/", "smtp/"},
     {"boost/asio", "boost/system", "fmt/"}},
    {"mta/sts/",
     {"mta/sts/", "mta/store/", "mta/http/", "mta/dns/", "mta/log/", "mta/config/", "mta/base/", "policy/", "tls/",
      "smtp/"},
     {"boost/asio", "boost/system", "fmt/"}},
    {"mta/tally/",
     {"mta/tally/", "mta/store/", "mta/log/", "mta/config/", "mta/base/", "auth/core/", "policy/", "tls/core/",
      "smtp/"},
     {"boost/json", "fmt/"}},
    {"mta/auth/",
     {"mta/auth/", "mta/dns/", "mta/log/", "mta/config/", "mta/base/", "auth/", "policy/", "smtp/"},
     {"boost/asio", "boost/system", "boost/json", "fmt/"}},
    {"mta/queue/",
     {"mta/queue/", "mta/spool/", "mta/log/", "mta/config/", "mta/base/", "policy/", "smtp/"},
     {"boost/asio", "boost/system", "boost/intrusive/", "fmt/"}},
    {"mta/received/",
     {"mta/received/", "mta/store/", "mta/queue/", "mta/spool/", "mta/log/", "mta/config/", "mta/base/", "auth/core/",
      "auth/dkim/digest.hpp", "policy/", "smtp/"},
     {"boost/json", "fmt/", "pugixml.hpp", "zlib.h", "archive.h", "archive_entry.h", "gmime/"}},
    {"mta/inbound/",
     {"mta/inbound/", "mta/auth/", "mta/tally/", "auth/", "mta/queue/", "mta/spool/", "mta/log/", "mta/net/",
      "mta/config/", "mta/base/", "policy/", "tls/", "smtp/"},
     {"boost/asio", "boost/system", "fmt/"}},
    {"mta/outbound/",
     {"mta/outbound/", "mta/sts/", "mta/tally/", "mta/queue/", "mta/spool/", "mta/log/", "mta/net/", "mta/dns/",
      "mta/config/", "mta/base/", "policy/", "tls/", "smtp/"},
     {"boost/asio", "boost/system", "boost/json", "fmt/"}},
    {"mta/report/",
     {"mta/report/", "mta/http/", "mta/tally/", "mta/auth/", "mta/dns/", "auth/core/", "mta/queue/", "mta/spool/",
      "mta/log/", "mta/config/", "mta/base/", "policy/", "smtp/"},
     {"boost/asio", "boost/system", "boost/json", "fmt/", "pugixml.hpp", "zlib.h", "archive.h", "archive_entry.h",
      "gmime/"}},
    {"mta/control/",
     {"mta/", "auth/", "policy/", "tls/", "smtp/"},
     {"boost/asio", "boost/system", "boost/json", "fmt/"}},
    {"mta/app/", {"mta/", "auth/", "policy/", "tls/", "smtp/"}, {"boost/asio", "boost/system", "boost/json", "fmt/"}},
    {"mta/cli/",
     {"mta/", "auth/", "policy/", "tls/", "smtp/"},
     {"boost/asio", "boost/system", "boost/json", "fmt/", "CLI/", "zlib.h"}},
    {"mta/portcullis", {"mta/"}, {"CLI/"}},
};

/// Only control, app and cli may include these; nothing includes app or cli but their own.
bool is_top(const std::string &path) {
  return path.starts_with("mta/app/") || path.starts_with("mta/cli/");
}

const Row *row_of(const std::string &path) {
  const Row *best = nullptr;
  for (const auto &row : table)
    if (path.starts_with(row.folder) && (!best || row.folder.size() > best->folder.size())) best = &row;
  return best;
}

bool starts_with_any(const std::string &text, const std::vector<std::string> &prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const auto &prefix) { return text.starts_with(prefix); });
}

/// Third-party headers are those with a folder or an ending, or the names in this list; the rest is the standard
/// library or POSIX.
bool is_library(const std::string &header) {
  if (starts_with_any(header, {"sys/", "netinet/", "arpa/", "net/", "linux/"})) return false;
  return header.find('/') != std::string::npos || header == "unbound.h" || header == "idn2.h" || header == "zlib.h" ||
         header == "pugixml.hpp" || header == "sqlite3.h" || header.starts_with("archive");
}

/// An include line: what stands between quotes or angle brackets.
struct Include {
  std::string header;
  bool quoted = false;
};

std::optional<Include> parse_include(const std::string &line) {
  const auto start = line.find_first_not_of(" \t");
  if (start == std::string::npos || line[start] != '#') return std::nullopt;
  const auto word = line.find("include", start);
  const auto open = word == std::string::npos ? word : line.find_first_of("<\"", word);
  if (open == std::string::npos) return std::nullopt;
  const auto close = line.find_first_of(">\"", open + 1);
  if (close == std::string::npos) return std::nullopt;
  return Include{line.substr(open + 1, close - open - 1), line[open] == '"'};
}

std::vector<fs::path> product_files() {
  std::vector<fs::path> files;
  for (const auto *top : {"smtp", "tls", "auth", "policy", "mta"})
    for (const auto &entry : fs::recursive_directory_iterator(fs::path(source_dir) / top))
      if (entry.path().extension() == ".hpp" || entry.path().extension() == ".cpp") files.push_back(entry.path());
  return files;
}

TEST(Layering, IncludeLinesFollowTheTable) {
  std::size_t lines = 0;
  for (const auto &file : product_files()) {
    const std::string path = fs::relative(file, source_dir).generic_string();
    const Row *row = row_of(path);
    ASSERT_NE(row, nullptr) << path << " is in no folder of the table";
    std::ifstream text(file);
    std::string line;
    while (std::getline(text, line)) {
      const auto include = parse_include(line);
      if (!include) continue;
      ++lines;
      const std::string &header = include->header;
      if (include->quoted) {
        EXPECT_TRUE(starts_with_any(header, row->project)) << path << " may not include " << header;
        if (is_top(header)) {
          EXPECT_TRUE(path.starts_with(header.substr(0, 8)) || path.starts_with("mta/portcullis"))
              << path << " includes " << header;
        }
      } else if (is_library(header)) {
        EXPECT_TRUE(starts_with_any(header, row->libraries)) << path << " may not use <" << header << ">";
      }
    }
  }
  EXPECT_GT(lines, 100U) << "the include lines were not found";
}

TEST(Layering, EveryFileSaysWhatItIsForInItsFirstLine) {
  for (const auto &file : product_files()) {
    std::ifstream text(file);
    std::string line;
    std::getline(text, line);
    EXPECT_TRUE(line.starts_with("// ") && line.size() > 12) << file << " begins with: " << line;
  }
}

TEST(Layering, NoWrappedLibraryNameInAHeader) {
  // OpenSSL and libunbound stay behind their wrappers; toml++ behind mta/config's own.
  for (const auto &file : product_files()) {
    if (file.extension() != ".hpp") continue;
    const std::string path = fs::relative(file, source_dir).generic_string();
    if (path.starts_with("tls/")) continue; // the wrapper of OpenSSL has private headers
    std::ifstream text(file);
    std::string line;
    while (std::getline(text, line)) {
      const auto include = parse_include(line);
      if (include && !include->quoted) {
        EXPECT_FALSE(starts_with_any(include->header, {"openssl/", "unbound.h", "spdlog/", "spf2/", "opendkim/"}))
            << path << ": " << line;
      }
    }
  }
}

} // namespace
