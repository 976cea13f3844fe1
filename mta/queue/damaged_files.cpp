#include "mta/queue/damaged_files.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "mta/base/files.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::size_t first_line_limit = 500;

/// Names that recovery and note() give: nothing that leaves the folder, hides, or drives a terminal.
bool is_damaged_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > 100 || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char octet) {
    return (octet >= '0' && octet <= '9') || (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') ||
           octet == '.' || octet == '-';
  });
}

/// FNV-1a: the same words give the same name.
std::uint64_t digest_of(std::string_view text) noexcept {
  std::uint64_t digest = 14'695'981'039'346'656'037U;
  for (const char octet : text) digest = (digest ^ static_cast<std::uint8_t>(octet)) * 1'099'511'628'211U;
  return digest;
}

std::string problem_of(std::string_view name, const std::string &text) {
  if (name.ends_with(".txt")) {
    const auto first = text.find('\n') + 1; // behind the line with the time; npos + 1 is 0
    const std::string_view line = std::string_view(text).substr(first, text.find('\n', first) - first);
    const auto lines = std::count(text.begin() + static_cast<std::ptrdiff_t>(first), text.end(), '\n');
    return fmt::format("a recovery said: {}{}", smtp::escape(line, first_line_limit),
                       lines > 1 ? fmt::format(" (and {} lines more)", lines - 1) : std::string());
  }
  if (name.ends_with(".eml")) return "what is left of the body of a message whose envelope is lost";
  if (name.ends_with(".segment")) return "a segment in which nothing is readable";
  return "octets of a segment of which no record can be made: mail, or the state of mail";
}

} // namespace

DamagedFiles::DamagedFiles(std::string spool_folder) : folder_(std::move(spool_folder) + "/damaged") {}

std::string DamagedFiles::path_of(std::string_view name) const {
  return fmt::format("{}/{}", folder_, name);
}

std::vector<std::string> DamagedFiles::names() const {
  std::vector<std::string> found;
  if (const std::unique_ptr<DIR, int (*)(DIR *)> folder{::opendir(folder_.c_str()), ::closedir})
    while (const dirent *entry = ::readdir(folder.get()))
      if (found.size() < list_limit && is_damaged_name(entry->d_name)) found.emplace_back(entry->d_name);
  if (!unwritten_name_.empty()) found.push_back(unwritten_name_);
  std::sort(found.begin(), found.end());
  return found;
}

std::size_t DamagedFiles::count() const {
  return names().size();
}

smtp::Result<void> DamagedFiles::note(const std::vector<std::string> &damage, WallTime now) {
  if (damage.empty()) return {};
  std::string said;
  for (const std::string &line : damage) said += line + "\n";
  const std::string name = fmt::format("recovery-{:016x}.txt", digest_of(said));
  struct stat facts {};
  if (::lstat(path_of(name).c_str(), &facts) == 0) return {};
  std::string text =
      fmt::format("{:%Y-%m-%dT%H:%M:%SZ}\n", fmt::gmtime(std::chrono::system_clock::to_time_t(now))) + said;
  auto written = make_folder(folder_);
  if (written) written = replace_file(path_of("." + name), path_of(name), text);
  if (written) return {};
  unwritten_name_ = name;
  unwritten_ = std::move(text);
  return written;
}

std::vector<DamagedFiles::File> DamagedFiles::list() const {
  std::vector<File> files;
  for (std::string &name : names()) {
    File file;
    struct stat facts {};
    if (name == unwritten_name_) {
      file.size = unwritten_.size();
    } else {
      if (::lstat(path_of(name).c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) continue;
      file.size = static_cast<std::uint64_t>(facts.st_size);
      file.time = std::chrono::system_clock::from_time_t(facts.st_mtime);
    }
    const bool is_text = name.ends_with(".txt");
    file.problem = problem_of(name, is_text ? read(name, 0, 65'536).value_or(std::string()) : std::string());
    file.name = std::move(name);
    files.push_back(std::move(file));
  }
  return files;
}

smtp::Result<std::string> DamagedFiles::read(std::string_view name, std::uint64_t offset, std::size_t limit) const {
  if (!unwritten_name_.empty() && name == unwritten_name_)
    return unwritten_.substr(static_cast<std::size_t>(std::min<std::uint64_t>(offset, unwritten_.size())), limit);
  if (!is_damaged_name(name))
    return smtp::fail(smtp::ErrorCode::not_found,
                      fmt::format("\"{}\" is not a name of a file in {}", smtp::escape(name, 40), folder_));
  const std::string path = path_of(name);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return file_failure("open", path, errno);
  std::string part(limit, '\0');
  std::size_t filled = 0;
  while (filled < limit) {
    const ssize_t count =
        ::pread(descriptor, part.data() + filled, limit - filled, static_cast<off_t>(offset + filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int cause = errno;
      ::close(descriptor);
      return file_failure("read", path, cause);
    }
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  ::close(descriptor);
  part.resize(filled);
  return part;
}

smtp::Result<void> DamagedFiles::remove(std::string_view name) {
  if (!unwritten_name_.empty() && name == unwritten_name_) {
    unwritten_name_.clear();
    unwritten_.clear();
    return {};
  }
  if (!is_damaged_name(name))
    return smtp::fail(smtp::ErrorCode::not_found,
                      fmt::format("\"{}\" is not a name of a file in {}", smtp::escape(name, 40), folder_));
  const std::string path = path_of(name);
  if (::unlink(path.c_str()) != 0) return file_failure("remove", path, errno);
  return sync_folder(folder_);
}

} // namespace mta
