// read_zip_entry: the wrapper of libarchive.
#include <array>
#include <memory>
#include <optional>

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include "mta/received/unpack.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

using smtp::ErrorCode;
using smtp::fail;
using smtp::Result;

// APPNOTE.TXT 4.3.12 and 4.3.16: signatures of the central directory's entries, and of its end.
constexpr std::string_view directory_entry = "PK\x01\x02";
constexpr std::string_view end_of_directory = "PK\x05\x06";

struct FreeArchive {
  void operator()(archive *opened) const { archive_read_free(opened); }
};
using Archive = std::unique_ptr<archive, FreeArchive>;

Result<void> damaged(archive *zip) {
  const char *reason = archive_error_string(zip);
  return fail(ErrorCode::bad_syntax,
              fmt::format("zip file is damaged: {}", smtp::escape(reason ? reason : "libarchive gives no reason")));
}

/// Zip and nothing else: no other format, no filter. Only by the central directory: libarchive's other way, from entry
/// to entry, unpacks an entry whose length stands behind it in order to pass it over, and no limit holds there.
Result<Archive> open_zip(std::string_view octets) {
  Archive zip(archive_read_new());
  if (!zip || archive_read_support_format_zip_seekable(zip.get()) != ARCHIVE_OK)
    return fail(ErrorCode::full, "no memory for libarchive");
  if (archive_read_open_memory(zip.get(), octets.data(), octets.size()) != ARCHIVE_OK)
    return tl::unexpected(damaged(zip.get()).error());
  return zip;
}

/// The central directory is there, and no larger than libarchive may keep in memory: it reads all of it first.
Result<void> check_directory(std::string_view octets, const UnpackLimits &limits) {
  if (octets.rfind(end_of_directory) == std::string_view::npos)
    return fail(ErrorCode::bad_syntax, "zip file is damaged: its central directory is missing");
  std::size_t listed = 0;
  for (auto at = octets.find(directory_entry); at != std::string_view::npos; at = octets.find(directory_entry, at + 1))
    if (++listed > limits.listed_entries)
      return fail(ErrorCode::too_long,
                  fmt::format("zip file lists more than the limit of {} entries", limits.listed_entries));
  return {};
}

/// Bzip2, LZMA, PPMd and others are refused: an entry chooses how much memory they take.
bool is_plain_method(archive *zip) {
  const char *format = archive_format_name(zip); // "ZIP 2.0 (deflation)"
  const std::string_view text = format ? format : "";
  return text.find("(deflation)") != std::string_view::npos || text.find("(uncompressed)") != std::string_view::npos;
}

bool is_report_name(std::string_view name) {
  const std::string lower = smtp::to_lower(name);
  const auto slash = lower.rfind('/');
  // macOS adds "__MACOSX/._name.xml", which is not XML.
  if (lower.starts_with("__macosx/") || (slash == std::string::npos ? lower : lower.substr(slash + 1)).starts_with('.'))
    return false;
  return lower.ends_with(".xml") || lower.ends_with(".json");
}

/// Which entry is read.
struct Choice {
  std::optional<std::size_t> named; ///< the first with a report's name
  std::optional<std::size_t> any;   ///< the first file
  [[nodiscard]] std::optional<std::size_t> best() const { return named ? named : any; }
};

/// Steps to the next entry: false at the end.
Result<bool> step(archive *zip, archive_entry *&entry, const UnpackLimits &limits) {
  const int code = archive_read_next_header(zip, &entry);
  if (code == ARCHIVE_EOF) return false;
  if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return tl::unexpected(damaged(zip).error());
  const char *name = archive_entry_pathname(entry);
  if (name && std::string_view(name).size() > limits.name_size)
    return fail(ErrorCode::too_long, fmt::format("zip entry's name is over the limit of {} octets", limits.name_size));
  return true;
}

Result<Choice> choose(std::string_view octets, const UnpackLimits &limits) {
  auto zip = open_zip(octets);
  if (!zip) return tl::unexpected(zip.error());
  Choice choice;
  archive_entry *entry = nullptr;
  for (std::size_t i = 0; !choice.named; ++i) {
    const auto more = step(zip->get(), entry, limits);
    if (!more) return tl::unexpected(more.error());
    if (!*more) break;
    if (i >= limits.entries)
      return fail(ErrorCode::too_long,
                  fmt::format("zip file has no *.xml or *.json among its first {} entries, the limit", limits.entries));
    if (archive_entry_filetype(entry) != AE_IFREG) continue;
    const char *name = archive_entry_pathname(entry);
    if (!choice.any) choice.any = i;
    if (name && is_report_name(name)) choice.named = i;
  }
  return choice;
}

Result<std::string> read_data(archive *zip, std::uint64_t packed_size, const UnpackLimits &limits) {
  std::string text;
  std::array<char, 65'536> piece{};
  for (;;) {
    const la_ssize_t size = archive_read_data(zip, piece.data(), piece.size());
    if (size == 0) return text;
    if (size < 0) return tl::unexpected(damaged(zip).error());
    const auto made = static_cast<std::size_t>(size);
    if (auto checked = check_expansion(text.size() + made, packed_size, limits); !checked)
      return tl::unexpected(checked.error());
    text.append(piece.data(), made);
  }
}

} // namespace

Result<std::string> read_zip_entry(std::string_view octets, const UnpackLimits &limits) {
  if (auto checked = check_directory(octets, limits); !checked) return tl::unexpected(checked.error());
  const auto choice = choose(octets, limits);
  if (!choice) return tl::unexpected(choice.error());
  const auto wanted = choice->best();
  if (!wanted) return fail(ErrorCode::bad_syntax, "zip file holds no file");
  auto zip = open_zip(octets);
  if (!zip) return tl::unexpected(zip.error());
  archive_entry *entry = nullptr;
  for (std::size_t i = 0; i <= *wanted; ++i) {
    const auto more = step(zip->get(), entry, limits);
    if (!more) return tl::unexpected(more.error());
    if (!*more) return fail(ErrorCode::bad_syntax, "zip file is damaged: an entry is gone");
  }
  if (archive_entry_is_encrypted(entry)) return fail(ErrorCode::bad_syntax, "zip entry is encrypted");
  if (!is_plain_method(zip->get()))
    return fail(ErrorCode::bad_syntax, fmt::format("zip entry is packed in a way that is not read ({}); deflate is",
                                                   smtp::escape(archive_format_name(zip->get()))));
  return read_data(zip->get(), octets.size(), limits);
}

} // namespace mta
