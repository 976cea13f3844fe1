#include "mta/spool/segment.hpp"

#include <algorithm>
#include <charconv>
#include <random>

#include <fmt/format.h>

namespace mta::spool {

using smtp::ErrorCode;
using smtp::Result;

namespace {

constexpr std::size_t fill_slice = 1U << 20U;
constexpr std::size_t fill_slices_per_sync = 8; // so that the disk never has a whole segment of zeros in its queue

Result<std::unique_ptr<File>> fill_file(FileSystem &files, const std::string &path, const SegmentHeader &header,
                                        const std::atomic<bool> &stop) {
  auto file = files.open(path, FileSystem::Access::create_new);
  if (!file) return file;
  if (const auto reserved = (*file)->allocate(header.size); !reserved) return tl::unexpected(reserved.error());
  if (const auto written = write_all(**file, 0, encode_segment_header(header)); !written)
    return tl::unexpected(written.error());
  const std::string zeros(std::min<std::uint64_t>(fill_slice, header.size), '\0');
  std::size_t slices = 0;
  for (std::uint64_t offset = segment_header_size; offset < header.size;) {
    if (stop.load(std::memory_order_relaxed)) return smtp::fail(ErrorCode::stopping, "the spool is closing");
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(zeros.size(), header.size - offset));
    if (const auto written = write_all(**file, offset, std::string_view(zeros).substr(0, length)); !written)
      return tl::unexpected(written.error());
    offset += length;
    if (++slices % fill_slices_per_sync == 0 && offset < header.size) {
      if (const auto synced = (*file)->sync_data(); !synced) return tl::unexpected(synced.error());
    }
  }
  if (const auto synced = (*file)->sync_data(); !synced) return tl::unexpected(synced.error());
  return file;
}

Result<std::shared_ptr<Segment>> publish(FileSystem &files, const std::string &folder, const std::string &from,
                                         const SegmentHeader &header, std::unique_ptr<File> file) {
  if (const auto renamed = files.rename(from, file_path(folder, FileKind::segment, header.number)); !renamed)
    return tl::unexpected(renamed.error());
  if (const auto synced = files.sync_folder(folder); !synced) return tl::unexpected(synced.error());
  return std::make_shared<Segment>(header, std::move(file));
}

} // namespace

FileName parse_file_name(std::string_view name) noexcept {
  if (name == "lock") return {FileKind::lock, 0};
  if (name == "damaged") return {FileKind::damaged, 0};
  if (name == "reserve" || name == "reserve.new") return {FileKind::reserve, 0};
  constexpr std::size_t digits = 8;
  if (name.size() <= digits || name.find_first_not_of("0123456789abcdef") != digits) return {};
  const std::string_view suffix = name.substr(digits);
  FileName result;
  if (suffix == ".segment") result.kind = FileKind::segment;
  if (suffix == ".spare") result.kind = FileKind::spare;
  if (suffix == ".new") result.kind = FileKind::unfinished;
  std::from_chars(name.data(), name.data() + digits, result.number, 16);
  if (result.number == 0) return {}; // never given out: it stands for "nowhere"
  return result;
}

std::string file_path(const std::string &folder, FileKind kind, std::uint32_t number) {
  const char *suffix = kind == FileKind::segment ? "segment" : kind == FileKind::spare ? "spare" : "new";
  return fmt::format("{}/{:08x}.{}", folder, number, suffix);
}

Result<std::shared_ptr<Segment>> create_segment(FileSystem &files, const std::string &folder,
                                                const SegmentHeader &header, const std::atomic<bool> &stop) {
  const std::string path = file_path(folder, FileKind::unfinished, header.number);
  auto file = fill_file(files, path, header, stop);
  if (file) {
    auto segment = publish(files, folder, path, header, std::move(*file));
    if (segment) return segment;
    file = tl::unexpected(segment.error());
  }
  static_cast<void>(files.remove(path)); // a leftover is removed by the next recovery
  return tl::unexpected(file.error());
}

namespace {

Result<std::shared_ptr<Segment>> reuse_file(FileSystem &files, const std::string &folder, const SegmentHeader &header,
                                            const std::string &path) {
  auto file = files.open(path, FileSystem::Access::read_write);
  if (!file) return tl::unexpected(file.error());
  const auto size = (*file)->size();
  if (!size) return tl::unexpected(size.error());
  if (*size != header.size)
    return smtp::fail(ErrorCode::io, fmt::format("{} has {} octets, not {}", path, *size, header.size));
  if (const auto written = write_all(**file, 0, encode_segment_header(header)); !written)
    return tl::unexpected(written.error());
  // Before the rename: under a segment's name there is never a file with another segment's header.
  if (const auto synced = (*file)->sync_data(); !synced) return tl::unexpected(synced.error());
  return publish(files, folder, path, header, std::move(*file));
}

} // namespace

Result<std::shared_ptr<Segment>> recycle_segment(FileSystem &files, const std::string &folder,
                                                 const SegmentHeader &header, std::uint32_t spare_number) {
  return reuse_file(files, folder, header, file_path(folder, FileKind::spare, spare_number));
}

Result<void> create_reserve(FileSystem &files, const std::string &folder, std::uint64_t size,
                            const std::atomic<bool> &stop) {
  const std::string fresh = folder + "/reserve.new";
  static_cast<void>(files.remove(fresh)); // of an earlier process
  const SegmentHeader header{.number = 0, .key = draw_key(), .size = size, .id_limit = 0};
  Result<void> made;
  if (const auto file = fill_file(files, fresh, header, stop); !file) made = tl::unexpected(file.error());
  if (made) made = files.rename(fresh, folder + "/reserve");
  if (made) made = files.sync_folder(folder);
  if (!made) static_cast<void>(files.remove(fresh));
  return made;
}

Result<std::shared_ptr<Segment>> use_reserve(FileSystem &files, const std::string &folder,
                                             const SegmentHeader &header) {
  auto segment = reuse_file(files, folder, header, folder + "/reserve");
  if (segment) (*segment)->mark_reserve();
  return segment;
}

std::uint64_t draw_key() {
  std::random_device device;
  return std::uint64_t{device()} << 32U | device();
}

} // namespace mta::spool
