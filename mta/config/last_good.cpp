#include "mta/config/last_good.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "mta/base/files.hpp"
#include "mta/config/faults.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::string_view first_line = "portcullis last good configuration 1";
constexpr std::size_t total_limit = 512 * 1024 * 1024;
constexpr std::size_t copy_limit = 16 * 1024 * 1024; ///< of one certificate, key or CA file

std::string index_file(const std::string &folder) {
  return folder + "/index";
}

/// Lines of the index cannot hold these; names with them are not kept.
bool fits_a_line(std::string_view text) {
  return text.find_first_of(std::string_view("\n\0", 2)) == std::string_view::npos;
}

/// `text` up to the next line's end, which is taken away.
std::string_view take_line(std::string_view &text) {
  const auto end = text.find('\n');
  const auto line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

/// "WORD NUMBER REST".
struct Numbered {
  std::size_t number = 0;
  std::string rest;
};
std::optional<Numbered> parse_numbered(std::string_view line) {
  const auto space = line.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto number = smtp::parse_number(line.substr(0, space));
  if (!number || *number > total_limit) return std::nullopt;
  return Numbered{static_cast<std::size_t>(*number), std::string(line.substr(space + 1))};
}

} // namespace

smtp::Result<std::string> RecordingFiles::read(const std::string &path, std::size_t limit) const {
  auto text = disk_.read(path, limit);
  if (text) seen_.texts[path] = *text;
  return text;
}

smtp::Result<std::vector<std::string>> RecordingFiles::list(const std::string &folder) const {
  auto names = disk_.list(folder);
  if (names) seen_.folders[folder] = *names;
  return names;
}

smtp::Result<std::vector<tls::CertificateFacts>> RecordingFiles::certificates(const std::string &path) const {
  seen_.by_path.insert(path);
  return disk_.certificates(path);
}

smtp::Result<void> RecordingFiles::check_key_pair(const std::string &certificate, const std::string &key) const {
  seen_.by_path.insert(certificate);
  seen_.by_path.insert(key);
  return disk_.check_key_pair(certificate, key);
}

std::string last_good_folder(const std::string &spool_path) {
  return spool_path + "/last-good";
}

smtp::Result<void> keep_last_good(const Config &config, RecordingFiles::Seen seen,
                                  std::chrono::system_clock::time_point now) {
  const std::string folder = last_good_folder(config.spool.path);
  if (auto made = make_folder(folder); !made) return made;
  // Files that libraries read by their path need a copy of their own: those of the configuration, and what [dns] names.
  for (const std::string *path : {&config.dns.hosts_file, &config.dns.trust_anchor})
    if (seen.texts.contains(*path)) seen.by_path.insert(*path);
  const auto stamp = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  std::string index = fmt::format("{}\nmain {}\nsaved {:%Y-%m-%dT%H:%M:%SZ}\n", first_line, config.file,
                                  fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
  const DiskFiles disk;
  std::set<std::string> kept{"index"};
  std::size_t total = 0;
  const auto too_large = [] {
    return smtp::fail(smtp::ErrorCode::too_long,
                      fmt::format("the configuration and its lists have more than {} octets together", total_limit));
  };
  for (const std::string &path : seen.by_path) {
    // As the daemon's own user: what it may not read stays where root can.
    const auto octets = fits_a_line(path) ? disk.read(path, copy_limit) : smtp::Result<std::string>(std::string());
    if (!octets || octets->empty()) continue;
    if ((total += octets->size()) > total_limit) return too_large();
    const std::string name = fmt::format("{}-{}", stamp, kept.size());
    if (auto written = replace_file(folder + "/new", folder + '/' + name, *octets); !written) return written;
    index += fmt::format("copy {} {}\n", name, path);
    kept.insert(name);
  }
  for (const auto &[path, names] : seen.folders) {
    if (!fits_a_line(path)) continue;
    index += fmt::format("folder {} {}\n", names.size(), path);
    for (const auto &name : names) index += fits_a_line(name) ? fmt::format("{}\n", name) : std::string("\n");
  }
  std::string contents;
  for (const auto &[path, text] : seen.texts) {
    if (seen.by_path.contains(path) || !fits_a_line(path)) continue;
    if ((total += text.size()) > total_limit) return too_large();
    index += fmt::format("text {} {}\n", text.size(), path);
    contents += text;
  }
  index += fmt::format("contents {} octets\n", contents.size());
  if (auto written = replace_file(folder + "/new", index_file(folder), index + contents); !written) return written;
  std::error_code error;
  for (const auto &entry : std::filesystem::directory_iterator(folder, error))
    if (!kept.contains(entry.path().filename().string()))
      (void)remove_file(entry.path().string()); // of the time before
  return {};
}

smtp::Result<std::unique_ptr<KeptFiles>> KeptFiles::open(const std::string &folder, const std::string &main_file) {
  const auto text = read_whole_file(index_file(folder), total_limit + copy_limit);
  if (!text) return tl::unexpected(text.error());
  auto kept = std::make_unique<KeptFiles>();
  kept->folder_ = folder;
  if (auto parsed = kept->parse(*text, main_file); !parsed) return tl::unexpected(parsed.error());
  return kept;
}

smtp::Result<void> KeptFiles::parse(std::string_view text, const std::string &main_file) {
  const auto damaged = [this](std::string_view line) {
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("{} is damaged at \"{}\"", index_file(folder_), smtp::escape(line, 80)));
  };
  if (take_line(text) != first_line) return damaged("its first line");
  std::vector<Numbered> sizes;
  for (;;) {
    const auto line = take_line(text);
    const auto space = line.find(' ');
    if (space == std::string_view::npos) return damaged(line);
    const auto word = line.substr(0, space);
    const auto rest = line.substr(space + 1);
    if (word == "main") {
      if (rest != main_file)
        return smtp::fail(smtp::ErrorCode::not_found,
                          fmt::format("what is kept in {} is of {}", folder_, smtp::escape(rest)));
    } else if (word == "saved") {
      saved_ = std::string(rest);
    } else if (word == "copy") {
      const auto gap = rest.find(' ');
      const auto name = rest.substr(0, gap);
      if (gap == std::string_view::npos || name.empty() || name.find('/') != std::string_view::npos)
        return damaged(line);
      copies_[std::string(rest.substr(gap + 1))] = std::string(name);
    } else {
      auto numbered = parse_numbered(rest);
      if (!numbered) return damaged(line);
      if (word == "folder") {
        auto &names = folders_[numbered->rest];
        for (std::size_t i = 0; i < numbered->number && !text.empty(); ++i)
          if (const auto name = take_line(text); !name.empty()) names.emplace_back(name);
      } else if (word == "text") {
        sizes.push_back(std::move(*numbered));
      } else if (word == "contents") {
        if (numbered->number != text.size()) return damaged(line);
        break;
      } else {
        return damaged(line);
      }
    }
  }
  for (auto &[size, path] : sizes) {
    if (size > text.size()) return damaged(path);
    texts_[std::move(path)] = std::string(text.substr(0, size));
    text.remove_prefix(size);
  }
  return {};
}

std::string KeptFiles::locate(const std::string &path) const {
  const auto copy = copies_.find(path);
  if (copy == copies_.end()) return path;
  std::string kept = folder_ + '/' + copy->second;
  std::error_code error; // never through a link that somebody put there
  return std::filesystem::symlink_status(kept, error).type() == std::filesystem::file_type::regular ? kept : path;
}

smtp::Result<std::string> KeptFiles::read(const std::string &path, std::size_t limit) const {
  const auto found = texts_.find(path);
  if (found == texts_.end()) {
    // Who can write the folder chooses the path, and a start reads it as root: keys and certificates, and nothing else.
    auto text = disk_.read(path, limit);
    const bool is_copy = std::any_of(copies_.begin(), copies_.end(),
                                     [&](const auto &copy) { return path == folder_ + '/' + copy.second; });
    if (text && !is_copy && text->find("-----BEGIN ") == std::string::npos)
      return smtp::fail(smtp::ErrorCode::not_permitted, "it is not kept with the last good configuration");
    return text;
  }
  if (found->second.size() > limit) return smtp::fail(smtp::ErrorCode::too_long, "larger than the limit");
  return found->second;
}

smtp::Result<std::vector<std::string>> KeptFiles::list(const std::string &folder) const {
  const auto found = folders_.find(folder);
  if (found == folders_.end()) return smtp::fail(smtp::ErrorCode::not_found, "no such folder");
  return found->second;
}

smtp::Result<std::vector<tls::CertificateFacts>> KeptFiles::certificates(const std::string &path) const {
  return disk_.certificates(path);
}

smtp::Result<void> KeptFiles::check_key_pair(const std::string &certificate, const std::string &key) const {
  return disk_.check_key_pair(certificate, key);
}

} // namespace mta
