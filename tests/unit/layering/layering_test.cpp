// Reads every include line of the product against the table of docs/architecture.md: who may know whom, and which
// library.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "source_dir.hpp"

namespace layering_test {

namespace fs = std::filesystem;

/// What the files of a folder may include: prefixes of project paths and of library headers. The longest folder counts.
struct Row {
  std::string folder;
  std::vector<std::string> project;
  std::vector<std::string> libraries;
};

/// "`a/{b,c}`, `d`" → a/b, a/c, d.
std::vector<std::string> names_in(const std::string &cell) {
  std::vector<std::string> names;
  std::size_t at = 0;
  for (std::size_t open = 0; (open = cell.find('`', at)) != std::string::npos;) {
    const auto close = cell.find('`', open + 1);
    if (close == std::string::npos) break;
    const std::string text = cell.substr(open + 1, close - open - 1);
    at = close + 1;
    const auto brace = text.find('{');
    if (brace == std::string::npos) {
      names.push_back(text);
      continue;
    }
    std::istringstream inside(text.substr(brace + 1, text.find('}') - brace - 1));
    for (std::string one; std::getline(inside, one, ',');) names.push_back(text.substr(0, brace) + one);
  }
  return names;
}

std::vector<std::string> cells_of(const std::string &line) {
  std::vector<std::string> cells;
  std::istringstream text(line.substr(1));
  for (std::string cell; std::getline(text, cell, '|');) cells.push_back(cell);
  return cells;
}

/// The table of docs/architecture.md.
std::vector<Row> read_table() {
  std::ifstream page(fs::path(source_dir) / "docs/architecture.md");
  std::vector<Row> rows;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("| Folder | May include | Libraries |")) {
      inside = true;
    } else if (inside && line.starts_with("| `")) {
      const auto cells = cells_of(line);
      if (cells.size() < 3) continue;
      for (const std::string &folder : names_in(cells[0])) {
        Row row{folder, names_in(cells[1]), names_in(cells[2])};
        row.project.push_back(folder); // every folder may include itself
        rows.push_back(std::move(row));
      }
    } else if (inside && !line.starts_with("|")) {
      break;
    }
  }
  return rows;
}

const std::vector<Row> &table() {
  static const std::vector<Row> rows = read_table();
  return rows;
}

/// A file or folder of the table names itself and what lies in it: `mta/auth` is not a prefix of mta/authority.hpp.
bool lies_in(const std::string &path, const std::string &name) {
  return path.starts_with(name) &&
         (path.size() == name.size() || path[name.size()] == '/' || path[name.size()] == '.' || name.ends_with('/'));
}

/// Only control, app and cli may include these; nothing includes app or cli but their own.
bool is_top(const std::string &path) {
  return path.starts_with("mta/app/") || path.starts_with("mta/cli/");
}

const Row *row_of(const std::string &path) {
  const Row *best = nullptr;
  for (const auto &row : table())
    if (lies_in(path, row.folder) && (!best || row.folder.size() > best->folder.size())) best = &row;
  return best;
}

bool lies_in_any(const std::string &path, const std::vector<std::string> &names) {
  return std::any_of(names.begin(), names.end(), [&](const auto &name) { return lies_in(path, name); });
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
  ASSERT_GT(table().size(), 20U) << "the table of docs/architecture.md was not found";
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
        EXPECT_TRUE(lies_in_any(header, row->project)) << path << " may not include " << header;
        if (is_top(header)) {
          EXPECT_TRUE(path.starts_with(header.substr(0, 8)) || path.starts_with("mta/portcullis"))
              << path << " includes " << header;
        }
      } else if (is_library(header)) {
        EXPECT_TRUE(lies_in_any(header, row->libraries)) << path << " may not use <" << header << ">";
      }
    }
  }
  EXPECT_GT(lines, 100U) << "the include lines were not found";
}

TEST(Layering, EveryFileSaysWhatItIsForInItsFirstLine) {
  for (const auto &file : product_files()) {
    // A source is for what its header says.
    if (file.extension() == ".cpp" && fs::exists(fs::path(file).replace_extension(".hpp"))) continue;
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

} // namespace layering_test
