// Feeds arbitrary octets to everything that reads the spool's files: headers, the scan of a segment, a whole recovery.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mta/spool/crc32c.hpp"
#include "mta/spool/file_system.hpp"
#include "mta/spool/index.hpp"
#include "mta/spool/reader.hpp"
#include "mta/spool/recovery.hpp"

namespace {

using mta::FileSystem;
using mta::spool::File;
using smtp::Result;

/// One file in memory; every other call succeeds and does nothing.
class OneFile final : public FileSystem {
public:
  explicit OneFile(std::string_view octets) : octets_(std::make_shared<std::string>(octets)) {}
  Result<std::unique_ptr<File>> open(const std::string &, Access access) override {
    if (access == Access::create_new) return std::make_unique<Contents>(std::make_shared<std::string>());
    return std::make_unique<Contents>(octets_);
  }
  Result<std::unique_ptr<File>> lock(const std::string &path) override { return open(path, Access::read_write); }
  Result<std::vector<std::string>> list(const std::string &) override {
    return std::vector<std::string>{"00000001.segment"};
  }
  Result<void> make_folder(const std::string &) override { return {}; }
  Result<void> rename(const std::string &, const std::string &) override { return {}; }
  Result<void> remove(const std::string &) override { return {}; }
  Result<void> sync_folder(const std::string &) override { return {}; }
  Result<std::uint64_t> free_space(const std::string &) override { return std::uint64_t{1} << 40U; }

private:
  class Contents final : public File {
  public:
    explicit Contents(std::shared_ptr<std::string> octets) : octets_(std::move(octets)) {}
    Result<std::uint64_t> size() const override { return octets_->size(); }
    Result<std::size_t> preadv(std::uint64_t offset, std::span<const iovec> into) const override {
      std::size_t done = 0;
      for (const iovec &piece : into) {
        if (offset + done >= octets_->size()) break;
        const std::size_t length = octets_->copy(static_cast<char *>(piece.iov_base), piece.iov_len, offset + done);
        done += length;
      }
      return done;
    }
    Result<std::size_t> pwritev(std::uint64_t offset, std::span<const iovec> from) override {
      std::size_t done = 0;
      for (const iovec &piece : from) {
        if (octets_->size() < offset + done + piece.iov_len) octets_->resize(offset + done + piece.iov_len);
        std::memcpy(octets_->data() + offset + done, piece.iov_base, piece.iov_len);
        done += piece.iov_len;
      }
      return done;
    }
    Result<void> allocate(std::uint64_t) override { return {}; }
    Result<void> sync_data() override { return {}; }

  private:
    std::shared_ptr<std::string> octets_;
  };
  std::shared_ptr<std::string> octets_;
};

void require(bool condition) {
  if (!condition) std::abort();
}

void put32(std::string &octets, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) octets[at + i] = static_cast<char>(value >> (8 * i));
}

/// Gives whatever begins like a record or a segment header its right checksums and key, so that the fuzzer comes past
/// them.
std::string repair(std::string_view input) {
  using namespace mta::spool;
  std::string octets(input);
  if (octets.size() < segment_header_size) return octets;
  put32(octets, 60, crc32c(std::string_view(octets).substr(0, 60)));
  for (std::size_t at = segment_header_size; at + record_header_size <= octets.size(); at += record_alignment) {
    if (octets.compare(at, 4, "PTCR") != 0) continue;
    std::uint32_t length = 0;
    for (std::size_t i = 4; i-- > 0;) length = length << 8U | static_cast<unsigned char>(octets[at + 8 + i]);
    put32(octets, at + 12, crc32c(std::string_view(octets).substr(at + record_header_size, length)));
    octets.replace(at + 48, 8, octets, 16, 8);
    put32(octets, at + 4, crc32c(std::string_view(octets).substr(at + 8, record_header_size - 8)));
  }
  return octets;
}

std::vector<std::string> recover_once(OneFile &files) {
  mta::spool::Index index;
  mta::Recovery report;
  const auto end = mta::spool::recover(files, "/spool", index, report);
  if (!end) return {};
  std::vector<std::string> found;
  for (const mta::RecoveredMessage &message : report.messages) {
    require(message.id.value < end->next_id);
    found.push_back(message.id.to_string() + message.envelope + "|" + message.update);
    auto place = index.find_body(message.id.value);
    require(place.has_value());
    const auto reader = mta::spool::make_reader(message.id, std::move(*place));
    require(reader->size() == message.body_size);
    std::vector<char> room(4096);
    for (std::uint64_t offset = 0; offset < message.body_size && offset < 100'000; offset += room.size())
      static_cast<void>(reader->read(offset, room));
  }
  return found;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view octets(reinterpret_cast<const char *>(data), size);
  static_cast<void>(mta::spool::decode_segment_header(octets));
  static_cast<void>(mta::spool::decode_abandoned(octets));
  static_cast<void>(mta::spool::decode_record_header({octets.data(), octets.size()}, std::nullopt));
  static_cast<void>(mta::QueueId::parse(octets));

  for (const std::string &image : {std::string(octets), repair(octets)}) {
    OneFile files(image);
    const auto first = recover_once(files);
    require(recover_once(files) == first); // a recovery done again finds the same
  }
  return 0;
}
