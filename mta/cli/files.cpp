// Files of the commands: see the header.
#include "mta/cli/files.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace mta::cli {

smtp::Result<std::string> read_input(const std::string &path, std::size_t limit) {
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) return smtp::fail(smtp::ErrorCode::not_found, fmt::format("{}: cannot be read", path));
  }
  std::istream &stream = path == "-" ? std::cin : file;
  std::string text;
  std::vector<char> block(65'536);
  while (stream.read(block.data(), static_cast<std::streamsize>(block.size())) || stream.gcount() > 0) {
    text.append(block.data(), static_cast<std::size_t>(stream.gcount()));
    if (text.size() > limit)
      return smtp::fail(smtp::ErrorCode::too_long, fmt::format("{}: over the limit of {} octets", path, limit));
  }
  return text;
}

smtp::Result<void> write_new(const std::string &path, const std::string &text, mode_t mode) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (descriptor < 0)
    return smtp::fail(smtp::ErrorCode::io, fmt::format("cannot create {}: {}", path, std::strerror(errno)));
  const auto written = ::write(descriptor, text.data(), text.size());
  const bool synced = ::fsync(descriptor) == 0;
  ::close(descriptor);
  if (written != static_cast<ssize_t>(text.size()) || !synced)
    return smtp::fail(smtp::ErrorCode::io, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  return {};
}

} // namespace mta::cli
