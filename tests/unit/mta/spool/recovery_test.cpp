// Recovery from damage: flipped bits, torn tails, cut and empty files, files that are not ours, unknown versions.
#include "mta/spool/recovery.hpp"

#include "mta/spool/crc32c.hpp"
#include "workload.hpp"

namespace mta::spool::test {
namespace recovery_test {

using testing::Test;

class SpoolRecovery : public Test {
protected:
  std::unique_ptr<Spool> open() {
    recovery = {};
    auto opened = Spool::open(small_options(), recovery, disk);
    EXPECT_TRUE(opened) << opened.error().detail;
    return opened ? std::move(*opened) : nullptr;
  }
  void reboot() { disk = disk->reboot(); }

  /// Where a record of the message is in the first segment that has one.
  struct Place {
    std::string path;
    std::size_t offset = 0;
    RecordHeader header;
  };
  std::optional<Place> find(QueueId id, RecordType type) {
    for (const std::string &path : disk->files(".segment")) {
      const std::vector<char> &octets = disk->contents(path);
      for (std::size_t at = segment_header_size; at + record_header_size <= octets.size(); at += record_alignment) {
        const auto header = decode_record_header(std::span(octets).subspan(at, record_header_size), std::nullopt);
        if (header && header->id == id.value && header->type == type) return Place{path, at, *header};
      }
    }
    return std::nullopt;
  }
  void flip(const Place &place, std::size_t octet) {
    char &damaged = disk->contents(place.path)[place.offset + octet];
    damaged = static_cast<char>(damaged ^ 4);
  }
  std::vector<std::uint64_t> found() const {
    std::vector<std::uint64_t> ids;
    for (const RecoveredMessage &message : recovery.messages) ids.push_back(message.id.value);
    return ids;
  }
  /// Ends without a clean close.
  void kill(std::unique_ptr<Spool> &spool) {
    disk->fail_at(1, Fault::kill);
    spool.reset();
    reboot();
  }

  std::shared_ptr<SimulatedDisk> disk = std::make_shared<SimulatedDisk>();
  Recovery recovery;
  std::mt19937_64 random{1};
};

TEST_F(SpoolRecovery, AnEmptyFolderIsANewSpool) {
  const auto spool = open();
  EXPECT_TRUE(recovery.messages.empty());
  EXPECT_EQ(recovery.notes, std::vector<std::string>{});
  EXPECT_EQ(spool->status().messages, 0U);
  EXPECT_TRUE(spool->status().healthy);
}

TEST_F(SpoolRecovery, ABitFlippedInABodyIsReportedAndTheRestIsKept) {
  auto spool = open();
  const QueueId first = store(*spool, make_octets(random, 3'000), "1");
  const QueueId second = store(*spool, make_octets(random, 3'000), "2");
  const QueueId third = store(*spool, make_octets(random, 3'000), "3");
  kill(spool);
  const auto place = find(second, RecordType::body);
  ASSERT_TRUE(place);
  flip(*place, record_header_size + 1'000);
  const std::vector<char> damaged(disk->contents(place->path).begin() + static_cast<std::ptrdiff_t>(place->offset),
                                  disk->contents(place->path).begin() +
                                      static_cast<std::ptrdiff_t>(place->offset + record_space(3'000)));
  spool = open();
  EXPECT_EQ(found(), (std::vector<std::uint64_t>{first.value, second.value, third.value}));
  ASSERT_EQ(recovery.damage.size(), 2U);
  EXPECT_TRUE(recovery.damage[0].find("a record of message " + second.to_string()) != std::string::npos)
      << recovery.damage[0];
  EXPECT_TRUE(recovery.damage[0].find("set aside in /spool/damaged/") != std::string::npos) << recovery.damage[0];
  EXPECT_EQ(recovery.damage[1], "message " + second.to_string() + ": 3000 of 3000 octets of its body are lost");
  ASSERT_EQ(disk->files(".octets").size(), 1U);
  EXPECT_TRUE(disk->contents(disk->files(".octets")[0]) == damaged);
  EXPECT_TRUE(read_all(*spool, first));
  EXPECT_TRUE(read_all(*spool, third));
  EXPECT_TRUE(spool->read_body(first).value()->is_whole());
  EXPECT_FALSE(spool->read_body(second).value()->is_whole());
  const auto lost = read_all(*spool, second);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, smtp::ErrorCode::io);
  EXPECT_EQ(lost.error().detail, "message " + second.to_string() + ": the body's octets from 0 on were lost");
}

TEST_F(SpoolRecovery, DamageIsSetAsideOnce) {
  auto spool = open();
  const QueueId first = store(*spool, make_octets(random, 3'000), "1");
  store(*spool, "second", "2");
  kill(spool);
  flip(*find(first, RecordType::body), record_header_size);
  spool = open();
  EXPECT_EQ(disk->files(".octets").size(), 1U);
  kill(spool);
  spool = open();
  // The message still lacks its body; the place of the damage has been passed over.
  EXPECT_EQ(recovery.damage.size(), 1U);
  EXPECT_EQ(disk->files(".octets").size(), 1U);
  EXPECT_EQ(recovery.messages.size(), 2U);
}

TEST_F(SpoolRecovery, AMarkOverDamageSaysAgainWhatWasOnDisk) {
  auto spool = open();
  const QueueId first = store(*spool, make_octets(random, 3'000), "1");
  const QueueId last = store(*spool, make_octets(random, 3'000), "2");
  kill(spool);
  const auto damaged = find(first, RecordType::body);
  const auto carrier = find(last, RecordType::envelope);
  ASSERT_TRUE(damaged && carrier);
  ASSERT_GE(carrier->header.durable, damaged->header.sequence);
  flip(*damaged, record_header_size + 10);
  spool = open();
  kill(spool);
  const auto mark = decode_record_header(
      std::span(disk->contents(damaged->path)).subspan(damaged->offset, record_header_size), std::nullopt);
  ASSERT_TRUE(mark);
  EXPECT_EQ(mark->type, RecordType::gap);
  EXPECT_GE(mark->durable, carrier->header.durable);
}

TEST_F(SpoolRecovery, ALostEnvelopeIsNamed) {
  auto spool = open();
  const QueueId first = store(*spool, "body", std::string(500, 'e'));
  const QueueId second = store(*spool, "second", "2");
  kill(spool);
  flip(*find(first, RecordType::envelope), record_header_size + 10);
  spool = open();
  EXPECT_EQ(found(), std::vector<std::uint64_t>{second.value});
  ASSERT_EQ(recovery.damage.size(), 2U);
  const std::string path = "/spool/damaged/" + first.to_string() + ".eml";
  EXPECT_EQ(recovery.damage[1], "message " + first.to_string() +
                                    ": its envelope is lost, and with it the message; 4 octets "
                                    "of its body are set aside in " +
                                    path);
  const std::string_view body = "body";
  ASSERT_EQ(disk->files(".eml"), std::vector<std::string>{path});
  EXPECT_TRUE(std::ranges::equal(disk->contents(path), body));
  kill(spool);
  spool = open();
  EXPECT_EQ(recovery.damage, std::vector<std::string>{}) << "once";
}

TEST_F(SpoolRecovery, WhatIsLeftOfTheBodyOfALostEnvelopeIsKept) {
  auto spool = open();
  const std::string body = make_octets(random, 700'000); // several parts
  const QueueId first = store(*spool, body, "1");
  const QueueId second = store(*spool, {}, "2");
  store(*spool, "third", "3");
  kill(spool);
  flip(*find(first, RecordType::envelope), record_header_size);
  flip(*find(second, RecordType::envelope), record_header_size);
  spool = open();
  const auto files = disk->files(".eml");
  ASSERT_EQ(files.size(), 1U);
  EXPECT_TRUE(std::ranges::equal(disk->contents(files[0]), body));
  ASSERT_FALSE(recovery.damage.empty());
  EXPECT_TRUE(recovery.damage.back().ends_with("nothing of its body is left")) << recovery.damage.back();
}

TEST_F(SpoolRecovery, ADamagedRecordHeaderCostsOnlyThatRecord) {
  auto spool = open();
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(store(*spool, make_octets(random, 700), "e").value);
  kill(spool);
  for (std::size_t octet : {0U, 8U, 20U, 50U, 60U}) {
    SCOPED_TRACE(octet);
    const auto image = disk;
    reboot();
    flip(*find({ids[2]}, RecordType::body), octet);
    spool = open();
    EXPECT_EQ(found(), ids);
    EXPECT_EQ(recovery.damage.size(), 2U);
    for (const std::size_t i : {0U, 1U, 3U, 4U}) EXPECT_TRUE(read_all(*spool, {ids[i]})) << i;
    EXPECT_FALSE(read_all(*spool, {ids[2]}));
    spool.reset();
    disk = image;
  }
}

TEST_F(SpoolRecovery, DamageThatHappensWhileItRunsIsSeenByTheReader) {
  auto spool = open();
  const QueueId id = store(*spool, make_octets(random, 3'000), "1");
  flip(*find(id, RecordType::body), record_header_size + 2'999);
  for (const std::size_t room : {100U, 10'000U}) {
    const auto got = read_all(*spool, id, room);
    ASSERT_FALSE(got) << room;
    EXPECT_EQ(got.error().detail, "segment 00000001: checksum of the body is wrong at offset 8192");
  }
  flip(*find(id, RecordType::body), 4);
  EXPECT_FALSE(read_all(*spool, id));
}

TEST_F(SpoolRecovery, ATornTailIsCutWhereverItIsTorn) {
  auto spool = open();
  const QueueId first = store(*spool, make_octets(random, 2'000), "1");
  const QueueId last = store(*spool, make_octets(random, 2'000), "2");
  kill(spool);
  const auto body = find(last, RecordType::body);
  const auto envelope = find(last, RecordType::envelope);
  ASSERT_TRUE(body && envelope);
  const std::size_t end = envelope->offset + record_space(1);
  for (std::size_t cut = body->offset; cut < end; cut += 64) {
    SCOPED_TRACE("cut at " + std::to_string(cut));
    const auto image = disk;
    reboot();
    std::vector<char> &octets = disk->contents(body->path);
    std::fill(octets.begin() + static_cast<std::ptrdiff_t>(cut), octets.end(), '\0');
    for (int round = 0; round < 3; ++round) {
      spool = open();
      // The last record's padding may be cut without harm.
      const bool whole = cut > envelope->offset + record_header_size;
      EXPECT_EQ(found(), whole ? (std::vector<std::uint64_t>{first.value, last.value})
                               : std::vector<std::uint64_t>{first.value});
      EXPECT_EQ(recovery.damage, std::vector<std::string>{});
      kill(spool);
    }
    disk = image;
  }
}

TEST_F(SpoolRecovery, WhatIsWholeBehindATornWriteIsKept) {
  auto spool = open();
  std::vector<QueueId> ids;
  std::vector<std::unique_ptr<MessageWriter>> writers;
  std::promise<void> all;
  int left = 3;
  {
    // One batch, so that nothing says that any of it was durable.
    const auto held = disk->hold_writes();
    for (int i = 0; i < 3; ++i) {
      writers.push_back(*spool->begin());
      ids.push_back(writers.back()->id());
      ASSERT_TRUE(writers.back()->append(make_octets(random, 1'000)));
      writers.back()->commit("e", [&](smtp::Result<void>) {
        if (--left == 0) all.set_value();
      });
    }
  }
  all.get_future().wait();
  writers.clear();
  kill(spool);
  const auto place = find(ids[1], RecordType::body);
  const auto next = find(ids[2], RecordType::body);
  ASSERT_TRUE(place && next);
  if (next->header.durable >= place->header.sequence) GTEST_SKIP() << "the batch was written in two";
  flip(*place, record_header_size + 5);
  spool = open();
  EXPECT_EQ(found(), (std::vector<std::uint64_t>{ids[0].value, ids[2].value}));
  EXPECT_EQ(recovery.damage, std::vector<std::string>{});
  EXPECT_EQ(recovery.notes.size(), 1U);
  kill(spool);
  spool = open();
  EXPECT_EQ(found(), (std::vector<std::uint64_t>{ids[0].value, ids[2].value}));
  EXPECT_EQ(recovery.damage, std::vector<std::string>{});
  EXPECT_EQ(recovery.notes, std::vector<std::string>{});
}

TEST_F(SpoolRecovery, ACutFileKeepsWhatIsLeft) {
  auto spool = open();
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 14; ++i) ids.push_back(store(*spool, make_octets(random, 3'000), "e").value);
  kill(spool);
  const auto place = find({ids[2]}, RecordType::body);
  ASSERT_TRUE(place);
  disk->contents(place->path).resize(place->offset + 100);
  spool = open();
  EXPECT_EQ(found().front(), ids[0]);
  EXPECT_EQ(found()[1], ids[1]);
  EXPECT_EQ(found().back(), ids.back());
  ASSERT_FALSE(recovery.damage.empty());
  EXPECT_TRUE(read_all(*spool, {ids[0]}));
  EXPECT_TRUE(read_all(*spool, {ids.back()}));
}

TEST_F(SpoolRecovery, ASegmentWithoutASealWhoseEndIsGoneIsDamage) {
  auto spool = open();
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 14; ++i) ids.push_back(store(*spool, make_octets(random, 3'000), "e").value);
  kill(spool);
  const auto place = find({ids[2]}, RecordType::body);
  ASSERT_TRUE(place);
  std::vector<char> &octets = disk->contents(place->path);
  std::fill(octets.begin() + static_cast<std::ptrdiff_t>(place->offset), octets.end(), '\0');
  spool = open();
  ASSERT_EQ(recovery.damage.size(), 1U);
  EXPECT_TRUE(recovery.damage[0].ends_with("are missing; nothing is left of them")) << recovery.damage[0];
}

TEST_F(SpoolRecovery, AnEmptyFileIsMovedAside) {
  auto spool = open();
  const QueueId id = store(*spool, "a", "e");
  kill(spool);
  disk->put_file("/spool/00000077.segment", "");
  spool = open();
  EXPECT_EQ(found(), std::vector<std::uint64_t>{id.value});
  EXPECT_EQ(recovery.damage, std::vector<std::string>{"segment 00000077: nothing in its 0 octets is readable; moved to "
                                                      "/spool/damaged/00000077.segment"});
  EXPECT_EQ(disk->files("damaged/00000077.segment").size(), 1U);
  // Its number is not used again.
  EXPECT_TRUE(disk->files("/00000078.segment").size() == 1U);
}

TEST_F(SpoolRecovery, ASegmentWithADamagedHeaderIsStillRead) {
  auto spool = open();
  const QueueId id = store(*spool, "a", "e");
  kill(spool);
  const std::string path = find(id, RecordType::envelope)->path;
  std::fill_n(disk->contents(path).begin(), 4096, 'x');
  spool = open();
  EXPECT_EQ(found(), std::vector<std::uint64_t>{id.value});
  ASSERT_EQ(recovery.damage.size(), 1U);
  EXPECT_EQ(recovery.damage[0],
            "segment 00000001: header was damaged; its records are kept, and the header is restored");
  // What the header had reserved is unknown: the ids go on far away.
  EXPECT_GT(store(*spool, "b", "e").value, 1U << 20U);
  kill(spool);
  spool = open();
  EXPECT_EQ(recovery.damage, std::vector<std::string>{});
  EXPECT_EQ(recovery.messages.size(), 2U);
}

TEST_F(SpoolRecovery, ASegmentOfAnUnknownVersionIsRefused) {
  auto spool = open();
  const QueueId id = store(*spool, "a", "e");
  kill(spool);
  std::vector<char> &octets = disk->contents(find(id, RecordType::envelope)->path);
  for (const std::size_t copy : {0U, 2048U}) {
    octets[copy + 8] = 9;
    const std::uint32_t crc = crc32c(std::string_view(octets.data() + copy, 60));
    for (std::size_t i = 0; i < 4; ++i) octets[copy + 60 + i] = static_cast<char>(crc >> (8 * i));
  }
  const auto opened = Spool::open(small_options(), recovery, disk);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, smtp::ErrorCode::protocol);
  EXPECT_EQ(opened.error().detail,
            "spool /spool: segment 00000001: segment has format version 9, this program reads version 1");
}

TEST_F(SpoolRecovery, FilesThatAreNotOursAreLeftAlone) {
  auto spool = open();
  const QueueId id = store(*spool, "a", "e");
  kill(spool);
  disk->put_file("/spool/README", "hands off");
  disk->put_file("/spool/3.segment", "not a name of ours");
  spool = open();
  EXPECT_EQ(found(), std::vector<std::uint64_t>{id.value});
  EXPECT_EQ(recovery.notes, (std::vector<std::string>{"file 3.segment is not part of the spool: left alone",
                                                      "file README is not part of the spool: left alone"}));
  EXPECT_EQ(disk->contents("/spool/README").size(), 9U);
}

TEST_F(SpoolRecovery, HalfMadeSegmentsAreRemovedAndSparesAreNotRead) {
  auto spool = open();
  const QueueId id = store(*spool, "a", "e");
  spool.reset();
  const std::string segment = find(id, RecordType::envelope)->path;
  const std::vector<char> old = disk->contents(segment);
  disk->put_file("/spool/00000044.new", "half");
  // A spare with the same records must not bring messages back.
  disk->put_file("/spool/00000045.spare", {old.data(), old.size()});
  spool = open();
  EXPECT_EQ(found(), std::vector<std::uint64_t>{id.value});
  EXPECT_TRUE(disk->files(".new").empty());
}

TEST_F(SpoolRecovery, RecordsOfAnEarlierUseOfASegmentAreNotRead) {
  auto spool = open();
  // Two rounds over the same files; in the second every body imitates a record of the first.
  for (int i = 0; i < 100; ++i) spool->remove(store(*spool, make_octets(random, 6'000), "old"));
  wait_until([&] { return spool->status().messages == 0; });
  const QueueId kept = store(*spool, "kept", "new");
  kill(spool);
  spool = open();
  EXPECT_EQ(found(), std::vector<std::uint64_t>{kept.value});
  EXPECT_EQ(recovery.damage, std::vector<std::string>{});
}

TEST_F(SpoolRecovery, ABodyThatImitatesARecordIsNotTakenForOne) {
  auto spool = open();
  const QueueId victim = store(*spool, "victim", "e");
  RecordHeader forged{.type = RecordType::done, .sequence = 1'000, .durable = 999, .id = victim.value};
  std::string body(4'000, '\0');
  for (std::size_t at = 0; at + 64 <= body.size(); at += 64) {
    const auto octets = encode_record_header(forged);
    body.replace(at, 64, octets.data(), octets.size());
    ++forged.sequence;
  }
  const QueueId attack = store(*spool, body, "e");
  const QueueId last = store(*spool, "last", "e");
  kill(spool);
  // Even when the header in front of the forged ones is damaged, and recovery has to search.
  flip(*find(attack, RecordType::body), 5);
  spool = open();
  EXPECT_EQ(found(), (std::vector<std::uint64_t>{victim.value, attack.value, last.value}));
  EXPECT_TRUE(read_all(*spool, victim));
}

TEST_F(SpoolRecovery, AnyOneBitFlippedAnywhereLosesAtMostOneMessage) {
  auto spool = open();
  std::map<std::uint64_t, std::string> bodies;
  for (int i = 0; i < 6; ++i) {
    const std::string body = make_octets(random, 500);
    bodies[store(*spool, body, "envelope").value] = body;
  }
  spool.reset(); // cleanly: everything is known to be durable
  const auto image = disk->reboot();
  const std::string path = find({1}, RecordType::envelope)->path;
  for (int round = 0; round < 300; ++round) {
    disk = image->reboot();
    std::vector<char> &octets = disk->contents(path);
    const std::size_t at = random() % 32'768;
    octets[at] = static_cast<char>(octets[at] ^ (1 << (random() % 8)));
    SCOPED_TRACE("octet " + std::to_string(at));
    spool = open();
    ASSERT_TRUE(spool);
    std::size_t readable = 0;
    for (const auto &[id, body] : bodies) {
      const auto got = read_all(*spool, {id});
      if (!got) continue;
      EXPECT_TRUE(*got == body);
      ++readable;
    }
    EXPECT_GE(readable, bodies.size() - 1);
    EXPECT_TRUE(readable == bodies.size() || !recovery.damage.empty());
    spool.reset();
    if (HasFailure()) return;
  }
}

} // namespace recovery_test
} // namespace mta::spool::test
