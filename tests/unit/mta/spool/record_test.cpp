// Records, segment headers, checksums and queue ids: that what is written is read, and nothing else is.
#include "mta/spool/record.hpp"

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "mta/spool/crc32c.hpp"
#include "mta/spool/segment.hpp"
#include "mta/spool/spool.hpp"

namespace mta::spool {
namespace record_test {

TEST(Crc32c, GivesThePublishedValues) {
  // RFC 3720 appendix B.4.
  struct Row {
    const char *name;
    std::string octets;
    std::uint32_t crc;
  };
  std::string rising;
  for (int i = 0; i < 32; ++i) rising.push_back(static_cast<char>(i));
  const std::vector<Row> rows = {
      {"nothing", "", 0},
      {"the check value", "123456789", 0xE3069283},
      {"32 octets of zero", std::string(32, '\0'), 0x8A9136AA},
      {"32 octets of ones", std::string(32, '\xff'), 0x62A8AB43},
      {"32 rising octets", rising, 0x46DD794E},
  };
  for (const Row &row : rows) {
    EXPECT_EQ(crc32c(row.octets), row.crc) << row.name;
    EXPECT_EQ(crc32c_by_table(row.octets), row.crc) << row.name;
  }
}

TEST(Crc32c, InstructionAndTableAgreeAtEveryCut) {
  std::mt19937_64 random(7);
  std::string octets(300, '\0');
  for (char &octet : octets) octet = static_cast<char>(random());
  const std::string_view all = octets;
  const std::uint32_t whole = crc32c_by_table(all);
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    EXPECT_EQ(crc32c(all.substr(cut), crc32c(all.substr(0, cut))), whole) << cut;
    EXPECT_EQ(crc32c_by_table(all.substr(cut), crc32c_by_table(all.substr(0, cut))), whole) << cut;
    EXPECT_EQ(crc32c(all.substr(cut)), crc32c_by_table(all.substr(cut))) << cut;
  }
}

RecordHeader sample() {
  return {.type = RecordType::envelope,
          .length = 1234,
          .payload_crc = 0xDEADBEEF,
          .sequence = 0x0102030405060708,
          .durable = 42,
          .id = 77,
          .extra = 5000,
          .segment_key = 0xA1A2A3A4A5A6A7A8,
          .copy = 3};
}

TEST(Record, IsReadBack) {
  const auto octets = encode_record_header(sample());
  EXPECT_EQ(decode_record_header(octets, sample().segment_key), sample());
  EXPECT_EQ(decode_record_header(octets, std::nullopt), sample());
}

TEST(Record, OfAnotherUseOfTheSegmentIsNone) {
  const auto octets = encode_record_header(sample());
  EXPECT_EQ(decode_record_header(octets, sample().segment_key + 1), std::nullopt);
}

TEST(Record, WithAnyBitFlippedIsNone) {
  const auto octets = encode_record_header(sample());
  for (std::size_t bit = 0; bit < octets.size() * 8; ++bit) {
    auto flipped = octets;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(decode_record_header(flipped, std::nullopt), std::nullopt) << "bit " << bit;
  }
}

TEST(Record, CutShortOrOfAnUnknownTypeIsNone) {
  const auto octets = encode_record_header(sample());
  for (std::size_t length = 0; length < octets.size(); ++length)
    EXPECT_EQ(decode_record_header(std::span(octets).first(length), std::nullopt), std::nullopt) << length;
  for (const int type : {0, 9, 255}) {
    auto header = sample();
    header.type = static_cast<RecordType>(type);
    EXPECT_EQ(decode_record_header(encode_record_header(header), std::nullopt), std::nullopt) << type;
  }
}

TEST(Record, TakesWholeUnitsOfSpace) {
  EXPECT_EQ(record_space(0), 64U);
  EXPECT_EQ(record_space(1), 128U);
  EXPECT_EQ(record_space(64), 128U);
  EXPECT_EQ(record_space(65), 192U);
}

TEST(SegmentHeader, IsReadFromEitherCopy) {
  const SegmentHeader header{.number = 3, .key = 0x1122334455667788, .size = 65536, .id_limit = 99};
  const std::string block = encode_segment_header(header);
  ASSERT_EQ(block.size(), segment_header_size);
  for (const std::size_t damaged : {std::size_t{0}, std::size_t{2048}}) {
    std::string octets = block;
    octets[damaged + 20] = static_cast<char>(octets[damaged + 20] ^ 1);
    const auto read = decode_segment_header(octets);
    ASSERT_TRUE(read) << damaged;
    EXPECT_EQ(*read, header);
  }
}

TEST(SegmentHeader, DamagedInBothCopiesIsRefused) {
  std::string block = encode_segment_header({.number = 3, .key = 1, .size = 65536, .id_limit = 99});
  block[20] = static_cast<char>(block[20] ^ 1);
  block[2048 + 33] = static_cast<char>(block[2048 + 33] ^ 1);
  const auto read = decode_segment_header(block);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, smtp::ErrorCode::bad_syntax);
  EXPECT_FALSE(decode_segment_header(""));
  EXPECT_FALSE(decode_segment_header(std::string(4096, '\0')));
}

TEST(SegmentHeader, OfAnotherVersionIsNotTakenForDamage) {
  std::string block = encode_segment_header({.number = 3, .key = 1, .size = 65536, .id_limit = 99});
  for (const std::size_t copy : {std::size_t{0}, std::size_t{2048}}) {
    block[copy + 8] = 2;
    const std::uint32_t crc = crc32c(std::string_view(block).substr(copy, 60));
    for (std::size_t i = 0; i < 4; ++i) block[copy + 60 + i] = static_cast<char>(crc >> (8 * i));
  }
  const auto read = decode_segment_header(block);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, smtp::ErrorCode::protocol);
  EXPECT_EQ(read.error().detail, "segment has format version 2, this program reads version 1");
}

TEST(AbandonedList, IsReadBackAndRefusedWhenCut) {
  const std::vector<Abandoned> list = {{3, 1000}, {0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF}};
  const std::string payload = encode_abandoned(list);
  EXPECT_EQ(decode_abandoned(payload), list);
  EXPECT_EQ(decode_abandoned(""), std::vector<Abandoned>{});
  EXPECT_EQ(decode_abandoned(std::string_view(payload).substr(1)), std::nullopt);
}

TEST(QueueId, IsThirteenCharactersOfBase32) {
  struct Row {
    std::uint64_t value;
    const char *text;
  };
  for (const Row &row : std::vector<Row>{{0, "0000000000000"},
                                         {1, "0000000000001"},
                                         {31, "000000000000Z"},
                                         {32, "0000000000010"},
                                         {10487, "0000000000A7Q"},
                                         {0xFFFFFFFFFFFFFFFF, "FZZZZZZZZZZZZ"}}) {
    EXPECT_EQ(QueueId{row.value}.to_string(), row.text);
    EXPECT_EQ(QueueId::parse(row.text), QueueId{row.value});
  }
}

TEST(QueueId, IsRefusedInAnyOtherForm) {
  struct Row {
    const char *name;
    std::string_view text;
  };
  for (const Row &row : std::vector<Row>{{"nothing", ""},
                                         {"too short", "000000000001"},
                                         {"too long", "00000000000001"},
                                         {"lower case", "0000000000a7q"},
                                         {"letter I", "000000000000I"},
                                         {"letter L", "000000000000L"},
                                         {"letter O", "000000000000O"},
                                         {"letter U", "000000000000U"},
                                         {"a space", "00000000000 1"},
                                         {"more than 64 bits", "G000000000000"},
                                         {"a NUL octet", std::string_view("000000000000\0", 13)}})
    EXPECT_EQ(QueueId::parse(row.text), std::nullopt) << row.name;
}

TEST(FileName, TellsOursFromOthers) {
  struct Row {
    const char *text;
    FileKind kind;
    std::uint32_t number;
  };
  for (const Row &row : std::vector<Row>{{"00000003.segment", FileKind::segment, 3},
                                         {"ffffffff.spare", FileKind::spare, 0xFFFFFFFF},
                                         {"0000000a.new", FileKind::unfinished, 10},
                                         {"lock", FileKind::lock, 0},
                                         {"damaged", FileKind::damaged, 0},
                                         {"00000000.segment", FileKind::foreign, 0},
                                         {"0000000A.segment", FileKind::foreign, 0},
                                         {"3.segment", FileKind::foreign, 0},
                                         {"000000003.segment", FileKind::foreign, 0},
                                         {"00000003.segment~", FileKind::foreign, 3},
                                         {"00000003", FileKind::foreign, 0},
                                         {".segment", FileKind::foreign, 0},
                                         {"README", FileKind::foreign, 0},
                                         {"", FileKind::foreign, 0}}) {
    const FileName name = parse_file_name(row.text);
    EXPECT_EQ(name.kind, row.kind) << row.text;
    if (row.kind != FileKind::foreign) {
      EXPECT_EQ(name.number, row.number) << row.text;
    }
  }
}

} // namespace record_test
} // namespace mta::spool
