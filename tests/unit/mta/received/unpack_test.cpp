// unpack: what is opened, and bombs, damage and archives in archives that are not.
#include <gtest/gtest.h>

#include "mta/received/unpack.hpp"
#include "tests/support/report_texts.hpp"

namespace unpack_test {

using namespace mta;
using support::pack_gzip;
using support::pack_zip;

const std::string text = "<feedback>" + std::string(3'000, 'x') + "</feedback>";

struct Case {
  const char *name;
  std::string octets;
  std::string refusal; ///< empty: `text` comes of it
};

std::string damaged_end(std::string octets) {
  octets[octets.size() - 6] = static_cast<char>(octets[octets.size() - 6] ^ 1); // in the CRC
  return octets;
}

/// What an entry that stands alone, length at its end, looks like: libarchive can read it, and would have to unpack it
/// to find the next.
std::string without_directory(const std::string &zip) {
  return zip.substr(0, zip.find("PK\x01\x02"));
}
const std::string end_of_directory = std::string("PK\x05\x06") + std::string(18, '\xFF');

TEST(Unpack, FormsAndRefusals) {
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 40; ++i) many.emplace_back("f" + std::to_string(i) + ".bin", "x");
  std::vector<std::pair<std::string, std::string>> crowd = {{"r.xml", text}};
  for (int i = 0; i < 1'000; ++i) crowd.emplace_back("f" + std::to_string(i), "");
  const std::string lone = without_directory(pack_zip({{"a.txt", std::string(100'000, ' ')}, {"r.xml", text}}));
  std::string members;
  for (int i = 0; i < 101; ++i) members += pack_gzip("x");
  const std::vector<Case> cases = {
      {"as it is", text, ""},
      {"gzip", pack_gzip(text), ""},
      {"gzip in two members", pack_gzip(text.substr(0, 100)) + pack_gzip(text.substr(100)), ""},
      {"gzip with zeros behind it", pack_gzip(text) + std::string(500, '\0'), ""},
      {"zip", pack_zip({{"report.xml", text}}), ""},
      {"zip, stored", pack_zip({{"report.xml", text}}, "zip:compression=store"), ""},
      {"zip with a name without an ending", pack_zip({{"report", text}}), ""},
      {"zip where the report is not the first", pack_zip({{"a/", ""}, {"a/readme.txt", "hi"}, {"a/R.XML", text}}), ""},
      {"zip with what macOS adds", pack_zip({{"__MACOSX/._r.xml", "?"}, {"r.xml", text}}), ""},
      {"zip with two reports gives the first", pack_zip({{"r.xml", text}, {"s.xml", "<other/>"}}), ""},
      {"nothing", "", "report is empty"},
      {"something else", "hello", "neither gzip, zip, XML nor JSON"},
      {"gzip cut short", pack_gzip(text).substr(0, 40), "gzip data end too early"},
      {"gzip with a wrong checksum", damaged_end(pack_gzip(text)), "gzip data are damaged"},
      {"gzip of too many members", members, "more than the limit of 100 members"},
      {"zip cut short", pack_zip({{"r.xml", text}}).substr(0, 30), "zip file is damaged"},
      {"zip without a central directory", lone, "its central directory is missing"},
      {"zip with an end of directory that leads nowhere", lone + end_of_directory, "zip file is damaged"},
      {"zip with a crowded directory", pack_zip(crowd), "lists more than the limit of 1000 entries"},
      {"zip without a file", pack_zip({{"folder/", ""}}), "zip file holds no file"},
      {"zip with many files and no report", pack_zip(many), "among its first 16 entries, the limit"},
      {"zip with a long name", pack_zip({{std::string(1'100, 'n') + ".xml", text}}), "name is over the limit of 1024"},
      {"zip that is encrypted", pack_zip({{"r.xml", text}}, "zip:encryption=zipcrypt"), "zip entry is encrypted"},
      {"gzip in gzip", pack_gzip(pack_gzip(text)), "packed twice"},
      {"zip in gzip", pack_gzip(pack_zip({{"r.xml", text}})), "packed twice"},
      {"gzip in zip", pack_zip({{"r.xml.gz", pack_gzip(text)}}), "packed twice"},
  };
  for (const Case &one : cases) {
    const auto unpacked = unpack(one.octets, {});
    if (one.refusal.empty()) {
      ASSERT_TRUE(unpacked) << one.name << ": " << unpacked.error().detail;
      EXPECT_TRUE(*unpacked == text) << one.name;
    } else {
      ASSERT_FALSE(unpacked) << one.name;
      EXPECT_NE(unpacked.error().detail.find(one.refusal), std::string::npos)
          << one.name << ": " << unpacked.error().detail;
    }
  }
}

TEST(Unpack, BombsStopAtTheLimits) {
  const std::string bomb = "<" + std::string(8U << 20U, ' ');
  for (const auto &[name, octets] :
       {std::pair("gzip", pack_gzip(bomb)), std::pair("zip", pack_zip({{"r.xml", bomb}}))}) {
    const auto ratio = unpack(octets, {});
    ASSERT_FALSE(ratio) << name;
    EXPECT_EQ(ratio.error().code, smtp::ErrorCode::too_long) << name;
    EXPECT_NE(ratio.error().detail.find("more than 250 times its " + std::to_string(octets.size()) + " octets"),
              std::string::npos)
        << name << ": " << ratio.error().detail;
    UnpackLimits limits;
    limits.max_ratio = 10'000;
    limits.max_size = 100'000;
    const auto size = unpack(octets, limits);
    ASSERT_FALSE(size) << name;
    EXPECT_EQ(size.error().detail, "report unpacks to more than the limit of 100000 octets") << name;
    limits.max_size = bomb.size();
    EXPECT_TRUE(unpack(octets, limits)) << name << ": the limit itself is allowed";
  }
  const auto beside = unpack(pack_zip({{"a.txt", bomb}, {"r.xml", text}}), {});
  ASSERT_TRUE(beside) << beside.error().detail;
  EXPECT_TRUE(*beside == text) << "a bomb beside the report is not unpacked";
  UnpackLimits limits;
  limits.max_size = 10;
  EXPECT_EQ(unpack(text, limits).error().detail, "report is over the limit of 10 octets");
}

} // namespace unpack_test
