#include "mta/tally/partner_watch.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "mta/tally/decision_log.hpp"
#include "mta/tally/tls_evidence.hpp"
#include "policy/evidence.hpp"
#include "smtp/base/text.hpp"

namespace mta {

using namespace std::chrono_literals;

namespace {

constexpr auto window = 1h;
constexpr auto daily_look = 60s; ///< how often it is looked whether a new day has come
constexpr std::chrono::days exception_margin{30};
constexpr unsigned pin_days = 7; ///< of evidence that pins are looked for in
constexpr std::size_t reasons_kept = 20;
constexpr std::size_t most_proven = 10'000;
constexpr std::size_t reasons_shown = 3;

std::int64_t days_left(std::chrono::sys_seconds end, std::chrono::system_clock::time_point now) {
  return (std::chrono::floor<std::chrono::days>(end) - std::chrono::floor<std::chrono::days>(now)).count();
}

void warn_of_exceptions(const policy::Partner &partner, MailLog &log, std::chrono::system_clock::time_point now) {
  const auto today = std::chrono::floor<std::chrono::days>(now);
  for (const policy::Exception &exception : partner.exceptions) {
    // It counts through its day, so it has expired when the next one begins. A far date does not fit the clock's unit.
    const auto left = (exception.expires - today).count();
    if (left > exception_margin.count()) continue;
    log.write(Event("exception_expires", LogLevel::warning)
                  .with("partner", partner.name)
                  .with("domain", exception.domain.to_string())
                  .with("tls", tls::to_string(exception.level))
                  .with("expires", format_day(exception.expires))
                  .with("days", static_cast<std::int64_t>(left))
                  .with("state", left < 0 ? "expired: it no longer counts" : "counts")
                  .with("owner", exception.owner)
                  .with("reason", exception.reason)
                  .with("place", exception.place));
  }
}

struct Pins {
  const policy::Partner *partner = nullptr;
  const std::vector<std::string> *pins = nullptr;
  const std::string *place = nullptr;
};

Pins pins_of(const policy::PartnerTable &partners, const policy::EvidenceRow &row) {
  const auto domain = smtp::Domain::parse(row.domain);
  if (!domain) return {};
  const policy::Partner *partner = partners.find(*domain);
  if (!partner) return {};
  if (row.direction == policy::Direction::outbound) {
    if (!partner->outbound || partner->outbound->pins.empty()) return {};
    return {partner, &partner->outbound->pins, &partner->outbound->place};
  }
  if (!partner->inbound || partner->inbound->pins.empty()) return {};
  return {partner, &partner->inbound->pins, &partner->inbound->place};
}

void warn_of_pins(const policy::PartnerTable &partners, const DayFiles &files, MailLog &log,
                  std::chrono::system_clock::time_point now) {
  const auto limit = std::chrono::floor<std::chrono::seconds>(now) + policy::SafetyLimits::pin_margin;
  const auto evidence =
      read_evidence(files, std::chrono::floor<std::chrono::days>(now), pin_days, [&](const policy::EvidenceRow &row) {
        if (!row.not_after || *row.not_after > limit || row.keys.empty()) return false;
        const Pins found = pins_of(partners, row);
        return found.pins &&
               std::find(found.pins->begin(), found.pins->end(), row.keys.front().spki_sha256) != found.pins->end();
      });
  if (!evidence) {
    log.write(Event("pin_expires", LogLevel::error).with("problem", evidence.error().detail));
    return;
  }
  std::set<std::pair<std::string, std::string>> said;
  for (const policy::Evidence &seen : evidence->rows) {
    const policy::EvidenceRow &row = seen.row;
    const Pins found = pins_of(partners, row);
    if (!said.emplace(*found.place, row.keys.front().spki_sha256).second) continue;
    log.write(Event("pin_expires", LogLevel::warning)
                  .with("partner", found.partner->name)
                  .with("direction", policy::to_string(row.direction))
                  .with("domain", row.domain)
                  .with("host", row.host)
                  .with("pin", row.keys.front().spki_sha256)
                  .with("expires", format_day(std::chrono::floor<std::chrono::days>(*row.not_after)))
                  .with("days", days_left(*row.not_after, now))
                  .with("other_pins", static_cast<std::uint64_t>(found.pins->size() - 1))
                  .with("note", "the certificate with this pinned key ends soon: ask for the next key, and add its pin")
                  .with("place", *found.place));
  }
}

} // namespace

void write_partner_warnings(const Config &config, const DayFiles &evidence, MailLog &log,
                            std::chrono::system_clock::time_point now) {
  bool has_pins = false;
  for (const policy::Partner &partner : config.partners.partners()) {
    warn_of_exceptions(partner, log, now);
    has_pins = has_pins || (partner.outbound && !partner.outbound->pins.empty()) ||
               (partner.inbound && !partner.inbound->pins.empty());
  }
  if (has_pins) warn_of_pins(config.partners, evidence, log, now);
}

void remove_old_evidence(const Config &config, const std::string &folder, MailLog &log,
                         std::chrono::system_clock::time_point now) {
  const auto today = std::chrono::floor<std::chrono::days>(now);
  for (const DayFiles &files : {evidence_files(folder), decision_files(folder)})
    if (const auto removed = files.remove_older(today, config.tls_evidence.keep_days); !removed)
      log.write(Event("tls_evidence", LogLevel::error).with("problem", removed.error().detail));
}

void PartnerWatch::start() {
  run_daily();
  thread_.start(daily_look, [this] { run_daily(); });
}

void PartnerWatch::run_daily() {
  const auto now = services_.now();
  const auto today = std::chrono::floor<std::chrono::days>(now);
  bool is_new_day = false;
  {
    const std::scoped_lock lock(mutex_);
    is_new_day = done_ != today;
    if (!is_new_day && !is_new_config_) return;
    done_ = today;
    is_new_config_ = false;
  }
  const auto config = services_.config();
  if (is_new_day) {
    write_partner_warnings(*config, evidence_files(services_.folder), services_.log, now);
    remove_old_evidence(*config, services_.folder, services_.log, now);
  }
  auto ending = find_ending_certificates(*config, evidence_files(services_.folder), services_.log, now);
  tell_ending_certificates(ending, told_, services_.log, now);
  const std::scoped_lock lock(mutex_);
  ending_ = std::move(ending);
}

void PartnerWatch::reconfigured() {
  const std::scoped_lock lock(mutex_);
  is_new_config_ = true;
}

std::vector<EndingCertificate> PartnerWatch::ending() const {
  const std::scoped_lock lock(mutex_);
  return ending_;
}

void PartnerWatch::messages(const std::shared_ptr<const TlsSession> &session, std::string_view /*domain*/,
                            std::uint32_t /*count*/) {
  if (session->direction != TlsSession::Direction::inbound || !session->is_proven) return;
  const auto config = services_.config();
  const auto domain = smtp::Domain::parse(session->domain);
  const policy::Partner *partner = domain ? config->partners.find(*domain) : nullptr;
  if (!partner) return;
  const std::scoped_lock lock(mutex_);
  if (proven_.size() >= most_proven) proven_.clear(); // they come again with their next message
  proven_.insert(partner->name + '\n' + session->address);
}

void PartnerWatch::session(const std::shared_ptr<const TlsSession> &session) {
  // Only what the partner's own rule refused: DANE, MTA-STS and the memory have alerts of their own.
  if (!session->refused || session->refused_by_partner.empty()) return;
  const auto config = services_.config();
  const unsigned limit = config->tls_evidence.alert_deferrals;
  if (limit == 0) return;
  const auto domain = smtp::Domain::parse(session->domain);
  const policy::Partner *partner = domain ? config->partners.find(*domain) : nullptr;
  if (!partner) return;
  const bool is_inbound = session->direction == TlsSession::Direction::inbound;
  // Anybody may claim to be the partner, and is refused: nobody need get up for that.
  if (is_inbound && !session->is_proven) {
    const std::scoped_lock lock(mutex_);
    if (!proven_.contains(partner->name + '\n' + session->address)) return;
  }
  const std::string reason = session->verdict ? session->verdict->reason : session->tls_problem;
  const auto now = services_.now();
  std::optional<Event> alert;
  {
    const std::scoped_lock lock(mutex_);
    Deferrals &deferrals = partners_[partner->name];
    while (!deferrals.times.empty() && now - deferrals.times.front() >= window) deferrals.times.pop_front();
    if (deferrals.times.empty()) {
      deferrals.count = 0;
      deferrals.reasons.clear();
    }
    deferrals.times.push_back(now);
    while (deferrals.times.size() > limit) deferrals.times.pop_front();
    ++deferrals.count;
    if (deferrals.reasons.size() < reasons_kept || deferrals.reasons.contains(reason)) ++deferrals.reasons[reason];
    const bool was_said = deferrals.alerted && now - *deferrals.alerted < window;
    if (deferrals.times.size() >= limit && !was_said) {
      std::vector<std::pair<std::uint64_t, std::string>> reasons;
      for (const auto &[text, count] : deferrals.reasons) reasons.emplace_back(count, text);
      std::sort(reasons.rbegin(), reasons.rend());
      std::string shown;
      for (std::size_t i = 0; i < reasons.size() && i < reasons_shown; ++i)
        shown += fmt::format("{}{} x {}", i == 0 ? "" : "; ", reasons[i].first, reasons[i].second);
      alert = Event("partner_deferrals", LogLevel::error)
                  .with("partner", partner->name)
                  .with("direction", is_inbound ? "inbound" : "outbound")
                  .with("domain", session->domain)
                  .with("count", deferrals.count)
                  .with("limit", static_cast<std::uint64_t>(limit))
                  .with("rule", session->refused_by_partner)
                  .with("reasons", shown)
                  .with("contact", partner->contact)
                  .with("note", "the rule stays as it is: see `portcullis partner status`, and call the partner");
      deferrals.alerted = now;
      deferrals.count = 0;
      deferrals.reasons.clear();
    }
  }
  if (alert) services_.log.write(*alert);
}

} // namespace mta
