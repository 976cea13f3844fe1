// Fuzz target: the rows and records of the DMARC tally. The first octet says where a file's first piece ends.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "mta/tally/dmarc_days.hpp"
#include "mta/tally/dmarc_row.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

std::vector<std::string> scan(std::string_view octets, std::size_t cut) {
  std::vector<std::string> rows;
  const auto visit = [&](const mta::TallyRecord &record) { rows.emplace_back(record.row); };
  mta::TallyRecordScanner scanner;
  scanner.feed(octets.substr(0, cut), visit);
  scanner.feed(octets.substr(cut), visit);
  scanner.finish(visit);
  return rows;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view octets(reinterpret_cast<const char *>(data) + 1, size - 1);
  const std::size_t cut = std::min<std::size_t>(data[0], octets.size());

  // A row that can be read has one form.
  if (const auto row = mta::decode_row(octets)) {
    const std::string again = mta::encode_row(*row);
    const auto read = mta::decode_row(again);
    require(read.has_value() && *read == *row && mta::encode_row(*read) == again);
  }
  // Pieces make no difference, and whatever stands in front hides no record.
  const auto found = scan(octets, cut);
  require(found == scan(octets, octets.size()));
  std::string file(octets);
  mta::append_record(file, {octets.substr(0, 1000), 1, {}});
  const auto more = scan(file, cut);
  require(more.size() == found.size() + 1 && more.back() == octets.substr(0, 1000));
  return 0;
}
