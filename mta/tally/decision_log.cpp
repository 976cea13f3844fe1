// The day's file has rows of two kinds: a part of a decision's text under the hash
// of the whole, and a note that names the hash.
#include "mta/tally/decision_log.hpp"

#include <algorithm>
#include <deque>
#include <iterator>
#include <limits>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "mta/tally/row_octets.hpp"
#include "mta/tally/tally_file.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::uint64_t decision_row_version = 3;
constexpr std::uint64_t recipients_row_version = 3;     ///< the first with sender and recipients
constexpr std::uint64_t first_decision_row_version = 1; ///< notes without certificate and observed verdict; still read
enum class RowKind : std::uint8_t { text, note };

constexpr std::size_t part_size = 60'000; ///< below longest_tally_row
constexpr std::size_t longest_text = 1'048'576;
constexpr std::size_t name_limit = 255;
constexpr std::size_t reason_limit = 500;
constexpr std::size_t reply_limit = 500;
constexpr std::size_t digest_limit = 64;
constexpr std::size_t address_limit = 600; ///< a local part may have 256 octets, and a null sender is two
constexpr std::size_t recipient_reply_limit = 200;
constexpr std::size_t recipients_room = 40'000; ///< octets; with all the rest below longest_tally_row
constexpr std::uint64_t most_recipients = recipients_room;
constexpr auto last_verdict = policy::VerdictKind::outside_profile;
constexpr std::uint64_t longest_number = std::numeric_limits<std::int64_t>::max() / 2;
constexpr std::uint64_t largest_hash = longest_number;

/// Never 0, which stands for "no decision".
std::uint64_t hash_of(std::string_view text) {
  return (tally_checksum(text) & largest_hash) | 1U;
}

std::string encode_text(std::uint64_t hash, std::size_t index, std::size_t parts, std::string_view part) {
  RowWriter out;
  out.number(decision_row_version);
  out.word(RowKind::text);
  out.number(hash);
  out.number(index);
  out.number(parts);
  out.text(part, part_size);
  return std::move(out).take();
}

void encode_recipients(RowWriter &out, const DecisionNote &note) {
  std::size_t kept = 0;
  for (std::size_t room = recipients_room; kept < note.recipients.size(); ++kept) {
    const NotedRecipient &one = note.recipients[kept];
    const std::size_t needed = std::min(one.address.size(), address_limit) + std::min(one.status.size(), name_limit) +
                               std::min(one.reply.size(), recipient_reply_limit) + 8;
    if (needed > room) break;
    room -= needed;
  }
  out.number(kept);
  for (std::size_t i = 0; i < kept; ++i) {
    out.text(note.recipients[i].address, address_limit);
    out.text(note.recipients[i].status, name_limit);
    out.text(note.recipients[i].reply, recipient_reply_limit);
  }
  out.number(note.recipients.size() - kept + note.recipients_left_out);
}

void read_recipients(RowReader &in, DecisionNote &note) {
  const std::uint64_t count = in.number("recipients", most_recipients);
  for (std::uint64_t i = 0; i < count && in.error().empty(); ++i) {
    NotedRecipient one;
    one.address = in.text("address", address_limit);
    one.status = in.text("status", name_limit);
    one.reply = in.text("reply", recipient_reply_limit);
    note.recipients.push_back(std::move(one));
  }
  note.recipients_left_out = in.number("recipients left out", longest_number);
}

std::string encode_note(const DecisionNote &note, std::uint64_t hash) {
  RowWriter out;
  out.number(decision_row_version);
  out.word(RowKind::note);
  out.number(note.id & 0xFFFF'FFFFU);
  out.number(note.id >> 32U);
  out.number(static_cast<std::uint64_t>(
      std::max<std::int64_t>(std::chrono::floor<std::chrono::milliseconds>(note.time).time_since_epoch().count(), 0)));
  out.number(hash);
  out.text(note.domain, name_limit);
  out.text(note.host, name_limit);
  out.text(note.address, name_limit);
  out.optional_word(note.verdict);
  out.text(note.reason, reason_limit);
  out.text(note.result, name_limit);
  out.text(note.reply, reply_limit);
  out.text(note.certificate, name_limit);
  out.text(note.chain_digest, digest_limit);
  out.optional_word(note.observed);
  out.text(note.observed_reason, reason_limit);
  out.text(note.sender, address_limit);
  encode_recipients(out, note);
  return std::move(out).take();
}

struct TextPart {
  std::uint64_t hash = 0;
  std::uint64_t index = 0;
  std::uint64_t parts = 0;
  std::string_view text;
};

struct StoredNote {
  DecisionNote note;
  std::uint64_t hash = 0;
};

struct RowHead {
  std::uint64_t version = 0;
  std::optional<RowKind> kind; ///< nothing: the row is damaged or of another version
};

/// The reader then stands behind it.
RowHead read_head(RowReader &in) {
  RowHead head;
  head.version = in.number("version", longest_number);
  if (head.version < first_decision_row_version || head.version > decision_row_version) in.fail("unknown version");
  const auto kind = in.word("kind", RowKind::note);
  if (in.error().empty()) head.kind = kind;
  return head;
}

std::optional<TextPart> read_text(RowReader &in) {
  TextPart part;
  part.hash = in.number("hash", largest_hash);
  part.index = in.number("part", longest_text / part_size + 1);
  part.parts = in.number("parts", longest_text / part_size + 1);
  part.text = in.octets("text", part_size);
  if (!in.error().empty() || !in.is_at_end() || part.index >= part.parts) return std::nullopt;
  return part;
}

std::uint64_t read_id(RowReader &in) {
  const std::uint64_t low = in.number("id", 0xFFFF'FFFFU);
  return low | in.number("id", 0xFFFF'FFFFU) << 32U;
}

/// `in` stands behind the id.
std::optional<StoredNote> read_note(RowReader &in, std::uint64_t version, std::uint64_t id) {
  StoredNote stored;
  stored.note.id = id;
  // Beyond it the clock's unit would not hold it.
  constexpr std::uint64_t last_time = 9'000'000'000'000;
  stored.note.time = std::chrono::system_clock::time_point(
      std::chrono::milliseconds(static_cast<std::int64_t>(in.number("time", last_time))));
  stored.hash = in.number("hash", largest_hash);
  stored.note.domain = in.text("domain", name_limit);
  stored.note.host = in.text("host", name_limit);
  stored.note.address = in.text("address", name_limit);
  stored.note.verdict = in.optional_word("verdict", last_verdict);
  stored.note.reason = in.text("reason", reason_limit);
  stored.note.result = in.text("result", name_limit);
  stored.note.reply = in.text("reply", reply_limit);
  if (version > first_decision_row_version) {
    stored.note.certificate = in.text("certificate", name_limit);
    stored.note.chain_digest = in.text("chain digest", digest_limit);
    stored.note.observed = in.optional_word("observed verdict", last_verdict);
    stored.note.observed_reason = in.text("observed reason", reason_limit);
  }
  if (version >= recipients_row_version) {
    stored.note.sender = in.text("sender", address_limit);
    read_recipients(in, stored.note);
  }
  if (!in.error().empty() || !in.is_at_end()) return std::nullopt;
  return stored;
}

/// The texts of one day under these hashes; a text of which a part is missing is not among them.
smtp::Result<std::unordered_map<std::uint64_t, std::string>> read_texts(const DayFiles &files, UtcDay day,
                                                                        const std::set<std::uint64_t> &hashes) {
  std::unordered_map<std::uint64_t, std::map<std::uint64_t, std::string>> parts;
  std::unordered_map<std::uint64_t, std::uint64_t> counts;
  const auto scanned = files.scan(day, [&](const TallyRecord &record) {
    RowReader in(record.row);
    if (read_head(in).kind != RowKind::text) return;
    const auto part = read_text(in);
    if (!part || !hashes.contains(part->hash)) return;
    parts[part->hash].try_emplace(part->index, part->text);
    counts[part->hash] = part->parts;
  });
  if (!scanned) return tl::unexpected(scanned.error());
  std::unordered_map<std::uint64_t, std::string> texts;
  for (const auto &[hash, pieces] : parts) {
    if (pieces.size() != counts[hash]) continue;
    std::string text;
    for (const auto &[index, piece] : pieces) text += piece;
    if (hash_of(text) == hash) texts.emplace(hash, std::move(text));
  }
  return texts;
}

std::string_view without_angles(std::string_view path) noexcept {
  const bool bracketed = path.size() > 1 && path.front() == '<' && path.back() == '>';
  return bracketed ? path.substr(1, path.size() - 2) : path;
}

bool names_address(const DecisionNote &note, std::string_view address) {
  return smtp::equals_ignoring_case(without_angles(note.sender), address) ||
         std::any_of(note.recipients.begin(), note.recipients.end(),
                     [&](const NotedRecipient &one) { return smtp::equals_ignoring_case(one.address, address); });
}

/// Cheaper than to take every row apart.
bool may_name(std::string_view row, std::string_view lower) {
  return std::search(row.begin(), row.end(), lower.begin(), lower.end(),
                     [](char a, char b) { return smtp::to_lower(a) == b; }) != row.end();
}

} // namespace

DayFiles decision_files(std::string folder) {
  return {std::move(folder), "decisions-"};
}

DecisionLog::DecisionLog(DecisionLogOptions options, std::unique_ptr<DayTally> tally, MailLog &log)
    : options_(std::move(options)), log_(log), tally_(std::move(tally)) {}

smtp::Result<std::unique_ptr<DecisionLog>> DecisionLog::open(DecisionLogOptions options, MailLog &log) {
  DayTallyOptions days;
  days.folder = options.folder;
  days.prefix = "decisions-";
  days.event = "decision_log";
  days.day_limit = options.day_limit;
  days.flush_interval = options.flush_interval;
  auto tally = DayTally::open(std::move(days), log);
  if (!tally) return tl::unexpected(tally.error());
  std::unique_ptr<DecisionLog> decisions(new DecisionLog(std::move(options), std::move(*tally), log));
  decisions->thread_.start(decisions->options_.flush_interval, [&self = *decisions] { self.hand_on(); });
  return decisions;
}

DecisionLog::~DecisionLog() {
  thread_.stop();
}

void DecisionLog::note(DecisionNote note) {
  const std::scoped_lock lock(mutex_);
  if (pending_.size() >= options_.pending_limit)
    ++dropped_;
  else
    pending_.push_back(std::move(note));
}

/// Called with writing_.
std::uint64_t DecisionLog::store_text(const std::shared_ptr<const std::string> &text, UtcDay day,
                                      std::chrono::system_clock::time_point time) {
  const std::string_view whole = std::string_view(*text).substr(0, longest_text);
  const std::uint64_t hash = hash_of(whole);
  // A run that begins anew stores the day's texts once more: that costs only room.
  StoredTexts &stored = stored_[day];
  if (stored.hashes.contains(hash)) return hash;
  // A note says under which hash its text would be, so that a text that is not kept is told from none. Half of the
  // day's room is left to the notes.
  if (stored.hashes.size() >= options_.text_limit || stored.octets + whole.size() > options_.day_limit / 2) {
    if (!std::exchange(stored.is_full, true))
      log_.write(
          Event("decision_log", LogLevel::warning)
              .with("day", format_day(day))
              .with("problem",
                    fmt::format("further decisions of the day are noted without their sources: {} texts "
                                "with {} octets are stored, limits are {} and {}",
                                stored.hashes.size(), stored.octets, options_.text_limit, options_.day_limit / 2)));
    return hash;
  }
  stored.hashes.insert(hash);
  stored.octets += whole.size();
  const std::size_t parts = std::max<std::size_t>((whole.size() + part_size - 1) / part_size, 1);
  for (std::size_t i = 0; i < parts; ++i)
    tally_->add_unique(encode_text(hash, i, parts, whole.substr(i * part_size, part_size)), time);
  return hash;
}

void DecisionLog::hand_on() {
  const std::scoped_lock writing(writing_);
  std::vector<DecisionNote> notes;
  {
    const std::scoped_lock lock(mutex_);
    notes.swap(pending_);
    pending_.reserve(std::min(notes.size(), options_.pending_limit));
  }
  // Most notes of one second share a few plans: each text is hashed once for all of them.
  std::map<std::pair<UtcDay, const std::string *>, std::uint64_t> known;
  for (const DecisionNote &note : notes) {
    std::uint64_t hash = 0;
    if (note.decision) {
      const UtcDay day = std::chrono::floor<std::chrono::days>(note.time);
      const auto [place, fresh] = known.try_emplace({day, note.decision.get()}, 0);
      if (fresh) place->second = store_text(note.decision, day, note.time);
      hash = place->second;
    }
    tally_->add_unique(encode_note(note, hash), note.time);
  }
  while (stored_.size() > 2) stored_.erase(stored_.begin());
}

smtp::Result<void> DecisionLog::flush() {
  hand_on();
  return tally_->flush();
}

std::uint64_t DecisionLog::dropped() const {
  const std::uint64_t rows = tally_->status().dropped;
  const std::scoped_lock lock(mutex_);
  return dropped_ + rows;
}

smtp::Result<std::vector<RecordedDecision>> find_decisions(const DayFiles &files, std::uint64_t id) {
  const auto days = files.list();
  if (!days) return tl::unexpected(days.error());
  std::vector<RecordedDecision> result;
  for (auto day = days->rbegin(); day != days->rend(); ++day) {
    std::vector<StoredNote> notes;
    std::uint64_t largest = 0;
    bool has_notes = false;
    const auto scanned = files.scan(*day, [&](const TallyRecord &record) {
      RowReader in(record.row);
      const RowHead head = read_head(in);
      if (head.kind != RowKind::note) return;
      const std::uint64_t found = read_id(in);
      if (!in.error().empty()) return;
      has_notes = true;
      largest = std::max(largest, found);
      if (found != id) return;
      if (auto note = read_note(in, head.version, found)) notes.push_back(std::move(*note));
    });
    if (!scanned) return tl::unexpected(scanned.error());
    if (has_notes && largest < id) break; // the message came after this day
    if (notes.empty()) continue;
    std::set<std::uint64_t> hashes;
    for (const StoredNote &note : notes)
      if (note.hash != 0) hashes.insert(note.hash);
    auto texts = read_texts(files, *day, hashes);
    if (!texts) return tl::unexpected(texts.error());
    std::stable_sort(notes.begin(), notes.end(),
                     [](const StoredNote &left, const StoredNote &right) { return left.note.time > right.note.time; });
    for (StoredNote &note : notes) {
      RecordedDecision decision{.note = std::move(note.note), .decision = {}, .has_decision = note.hash != 0};
      if (const auto text = texts->find(note.hash); text != texts->end()) decision.decision = text->second;
      result.push_back(std::move(decision));
    }
  }
  return result;
}

smtp::Result<AddressDecisions> find_attempts(const DayFiles &files, std::string_view address,
                                             std::chrono::system_clock::time_point since, std::size_t most) {
  const std::string lower = smtp::to_lower(without_angles(address));
  AddressDecisions found;
  const auto days = files.list();
  if (!days) return tl::unexpected(days.error());
  for (auto day = days->rbegin(); day != days->rend() && *day + std::chrono::days(1) > since; ++day) {
    const std::size_t room = most - found.notes.size();
    std::deque<DecisionNote> notes; // of the day, the oldest first
    const auto scanned = files.scan(*day, [&](const TallyRecord &record) {
      if (!may_name(record.row, lower)) return;
      RowReader in(record.row);
      const RowHead head = read_head(in);
      if (head.kind != RowKind::note) return;
      const std::uint64_t id = read_id(in);
      auto stored = read_note(in, head.version, id);
      if (!stored || stored->note.time < since || !names_address(stored->note, lower)) return;
      notes.push_back(std::move(stored->note));
      if (notes.size() <= room) return;
      found.is_cut = true;
      notes.pop_front();
    });
    if (!scanned) return tl::unexpected(scanned.error());
    std::stable_sort(notes.begin(), notes.end(),
                     [](const auto &left, const auto &right) { return left.time > right.time; });
    std::move(notes.begin(), notes.end(), std::back_inserter(found.notes));
    if (found.is_cut) break;
  }
  return found;
}

} // namespace mta
