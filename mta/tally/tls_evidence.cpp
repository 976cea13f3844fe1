#include "mta/tally/tls_evidence.hpp"

#include <algorithm>
#include <utility>

namespace mta {

DayFiles evidence_files(std::string folder) {
  return {std::move(folder), "evidence-"};
}

TlsEvidence::TlsEvidence(TlsEvidenceOptions options, std::unique_ptr<DayTally> tally)
    : options_(std::move(options)), tally_(std::move(tally)) {}

smtp::Result<std::unique_ptr<TlsEvidence>> TlsEvidence::open(TlsEvidenceOptions options, MailLog &log) {
  DayTallyOptions days;
  days.folder = options.folder;
  days.prefix = "evidence-";
  days.event = "tls_evidence";
  days.day_limit = options.day_limit;
  days.flush_interval = options.flush_interval;
  auto tally = DayTally::open(std::move(days), log);
  if (!tally) return tl::unexpected(tally.error());
  std::unique_ptr<TlsEvidence> evidence(new TlsEvidence(std::move(options), std::move(*tally)));
  evidence->thread_.start(evidence->options_.flush_interval, [&self = *evidence] { self.hand_on(); });
  return evidence;
}

TlsEvidence::~TlsEvidence() {
  thread_.stop();
}

/// Called with the mutex. Null: the limit is reached.
TlsEvidence::Pending *TlsEvidence::find_pending(const std::shared_ptr<const TlsSession> &session) {
  const auto found = pending_.find(session.get());
  if (found != pending_.end()) return &found->second;
  if (pending_.size() >= options_.pending_limit) {
    ++dropped_;
    return nullptr;
  }
  Pending &fresh = pending_[session.get()];
  fresh.session = session; // keeps the key from being given to another one
  return &fresh;
}

void TlsEvidence::session(const std::shared_ptr<const TlsSession> &session) {
  const std::scoped_lock lock(mutex_);
  Pending *pending = find_pending(session);
  if (!pending) return;
  ++pending->sessions;
  pending->last = std::max(pending->last, session->time);
}

void TlsEvidence::messages(const std::shared_ptr<const TlsSession> &session, std::string_view domain,
                           std::uint32_t count) {
  const auto now = std::chrono::system_clock::now();
  const std::scoped_lock lock(mutex_);
  Pending *pending = find_pending(session);
  if (!pending) return;
  pending->last = now;
  if (domain == session->domain) {
    pending->messages += count;
    return;
  }
  const auto other = pending->others.find(domain);
  if (other != pending->others.end())
    other->second += count;
  else
    pending->others.emplace(domain, count);
}

void TlsEvidence::hand_on() {
  std::unordered_map<const TlsSession *, Pending> pending;
  {
    const std::scoped_lock lock(mutex_);
    pending.swap(pending_);
  }
  for (const auto &[key, counts] : pending) {
    const TlsSession &session = *counts.session;
    if (counts.sessions > 0 || counts.messages > 0) {
      const policy::EvidenceRow row = make_evidence_row(session, session.domain);
      if (counts.sessions > 0) tally_->add(encode_evidence(EvidenceKind::session, row), session.time, counts.sessions);
      if (counts.messages > 0) tally_->add(encode_evidence(EvidenceKind::message, row), counts.last, counts.messages);
    }
    for (const auto &[domain, messages] : counts.others)
      tally_->add(encode_evidence(EvidenceKind::message, make_evidence_row(session, domain)), counts.last, messages);
  }
}

smtp::Result<void> TlsEvidence::flush() {
  hand_on();
  return tally_->flush();
}

std::uint64_t TlsEvidence::dropped() const {
  const std::uint64_t rows = tally_->status().dropped;
  const std::scoped_lock lock(mutex_);
  return dropped_ + rows;
}

smtp::Result<StoredEvidence> read_evidence(const DayFiles &files, UtcDay today, unsigned days,
                                           const std::function<bool(const policy::EvidenceRow &)> &wanted,
                                           std::size_t row_limit) {
  StoredEvidence result;
  const auto known = files.list();
  if (!known) return tl::unexpected(known.error());
  const UtcDay first = today - std::chrono::days(days > 0 ? days - 1 : 0);
  for (const UtcDay day : *known) {
    if (day < first || day > today) continue;
    // Both kinds of a row are one entry, found by the octets of its session form.
    std::unordered_map<std::string, std::optional<std::size_t>> places;
    const auto damaged = files.scan(day, [&](const TallyRecord &record) {
      auto place = places.find(std::string(record.row));
      std::optional<EvidenceKind> kind;
      if (record.row.size() > 1) kind = record.row[1] == 0 ? EvidenceKind::session : EvidenceKind::message;
      if (place == places.end()) {
        if (places.size() >= 2 * row_limit) {
          result.omitted += record.count;
          return;
        }
        auto decoded = decode_evidence(record.row);
        if (!decoded) {
          ++result.damaged;
          return;
        }
        kind = decoded->kind;
        std::string twin(record.row);
        twin[1] =
            static_cast<char>(decoded->kind == EvidenceKind::session ? EvidenceKind::message : EvidenceKind::session);
        const auto other = places.find(twin);
        std::optional<std::size_t> at;
        if (other != places.end()) {
          at = other->second;
        } else if (wanted(decoded->row)) {
          if (result.rows.size() >= row_limit) {
            result.omitted += record.count;
            return;
          }
          at = result.rows.size();
          result.rows.push_back({std::move(decoded->row), day, 0, 0, record.last});
        }
        place = places.emplace(record.row, at).first;
      }
      if (!place->second) return;
      policy::Evidence &evidence = result.rows[*place->second];
      (kind == EvidenceKind::session ? evidence.sessions : evidence.messages) += record.count;
      evidence.last = std::max(evidence.last, record.last);
    });
    if (!damaged) return tl::unexpected(damaged.error());
    result.damaged += *damaged;
  }
  return result;
}

} // namespace mta
