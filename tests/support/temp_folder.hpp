// TempFolder: a folder that lives as long as a test.
#pragma once

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include <stdlib.h>

namespace test {

/// A folder of its own under the system's temporary folder; gone with the object, also where a test took rights away.
class TempFolder {
public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "portcullis-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder &) = delete;
  TempFolder &operator=(const TempFolder &) = delete;

  [[nodiscard]] const std::filesystem::path &path() const { return path_; }
  /// The path of a file or folder in it.
  [[nodiscard]] std::string file(const std::string &name) const { return (path_ / name).string(); }
  /// Writes a file, makes the folders above it, and returns its whole path.
  std::string write(const std::string &name, const std::string &text) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream out(file, std::ios::binary | std::ios::trunc);
    out << text;
    out.close();
    if (!out.good()) throw std::runtime_error(file.string() + " cannot be written");
    return file.string();
  }

private:
  std::filesystem::path path_;
};

} // namespace test
