#include "mta/outbound/host_walk.hpp"

#include <algorithm>

#include "mta/outbound/attempt.hpp"

namespace mta {

namespace {

using Kind = RecipientResult::Kind;

template <typename Value> bool holds(const std::vector<Value> &values, const Value &value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

/// RFC 5321 section 4.5.3.1.10: 452, or 552 in its place, to RCPT may mean "no more in this transaction".
bool means_too_many(const smtp::Reply &reply) noexcept {
  if (reply.code != 452 && reply.code != 552) return false;
  return !reply.enhanced || (reply.enhanced->subject == 5 && reply.enhanced->detail == 3);
}

} // namespace

bool is_verdict(const smtp::Reply &reply, HostWalk::Clear clear) noexcept {
  if (clear == HostWalk::Clear::no || !reply.is_permanent()) return true;
  if (reply.code == 530 || reply.code == 538 || reply.code == 523) return false;
  const auto &enhanced = reply.enhanced;
  if (clear == HostWalk::Clear::not_offered)
    return !enhanced || enhanced->subject != 7 || (enhanced->detail != 10 && enhanced->detail != 11);
  return enhanced &&
         (enhanced->subject == 1 || enhanced->subject == 2 || enhanced->subject == 3 || enhanced->subject == 6);
}

HostWalk::HostWalk(std::vector<Host> hosts, std::vector<std::size_t> recipients, Clock::time_point now, Start start)
    : hosts_(std::move(hosts)), dropped_(hosts_.size(), false), unsure_at_(std::move(start.unsure)), began_(now),
      open_(std::move(recipients)) {
  for (std::size_t i = 0; i < hosts_.size(); ++i) order_.push_back(i);
  const auto at = [this](std::string_view name) {
    return std::find_if(order_.begin(), order_.end(), [&](std::size_t i) { return hosts_[i].name == name; });
  };
  std::rotate(order_.begin(), start.resume_at.empty() ? order_.begin() : at(start.resume_at), order_.end());
  const std::string_view unsure = std::string_view(unsure_at_).substr(0, unsure_at_.find('['));
  if (const auto first = unsure.empty() ? order_.end() : at(unsure); first != order_.end())
    std::rotate(order_.begin(), first, first + 1);
}

bool HostWalk::may_connect(Clock::time_point now) const noexcept {
  return connects_ < limits_.connects && sessions_ < limits_.sessions && now - began_ < limits_.time;
}

HostWalk::Step HostWalk::next(Clock::time_point now) {
  if (open_.empty()) return Done{};
  if (round_ == Round::plain) {
    if (!addresses_.empty() && may_connect(now)) {
      ++connects_;
      return Connect{current_, addresses_, false, {}};
    }
    cut_short_ = cut_short_ || !addresses_.empty();
    addresses_.clear();
    while (cursor_ < order_.size()) {
      if (dropped_[order_[cursor_]]) {
        ++cursor_;
        continue;
      }
      if (!may_connect(now)) {
        cut_short_ = true;
        break;
      }
      current_ = order_[cursor_++];
      return LookUp{current_};
    }
    round_ = Round::converting;
  }
  while (next_to_convert_ < to_convert_.size()) {
    const Offer &offer = to_convert_[next_to_convert_++];
    if (dropped_[offer.host]) continue;
    current_ = offer.host;
    return Connect{offer.host, {offer.address}, false, {}};
  }
  round_ = Round::in_clear;
  while (!injected_ && next_in_clear_ < in_clear_.size()) {
    const Offer &offer = in_clear_[next_in_clear_++];
    if (dropped_[offer.host]) continue;
    current_ = offer.host;
    return Connect{offer.host, {offer.address}, true, offer.reason};
  }
  return Done{};
}

void HostWalk::found(std::vector<smtp::SocketAddress> addresses) {
  addresses_.clear();
  for (auto &address : addresses)
    if (!holds(spent_, address)) addresses_.push_back(address);
  // A message that may have arrived at one address goes there again.
  const auto same = std::find_if(addresses_.begin(), addresses_.end(), [this](const auto &address) {
    return !unsure_at_.empty() && label_host(hosts_[current_].name, address.address.to_string()) == unsure_at_;
  });
  if (same != addresses_.end()) std::rotate(addresses_.begin(), same, same + 1);
}

void HostWalk::note(HostFailure failure) {
  reached_ = reached_ || failure.lesson == HostLesson::message;
  failures_.push_back(std::move(failure));
}

void HostWalk::pass_over(HostFailure failure) {
  addresses_.clear();
  note(std::move(failure));
}

void HostWalk::is_us(HostFailure failure) {
  const auto worst = hosts_[current_].preference;
  for (std::size_t i = 0; i < hosts_.size(); ++i)
    if (hosts_[i].preference >= worst) dropped_[i] = true;
  pass_over(std::move(failure));
}

void HostWalk::tried(const std::vector<smtp::SocketAddress> &addresses) {
  spent_.insert(spent_.end(), addresses.begin(), addresses.end());
  std::erase_if(addresses_, [&](const auto &address) { return holds(addresses, address); });
}

bool HostWalk::was_asked(const smtp::SocketAddress &address) const noexcept {
  return holds(spent_, address);
}

void HostWalk::busy(const std::vector<smtp::SocketAddress> &addresses) {
  busy_ = true;
  std::erase_if(addresses_, [&](const auto &address) { return holds(addresses, address); });
}

void HostWalk::no_session(HostFailure failure, const std::string &clear_reason, const smtp::SocketAddress &address) {
  if (!clear_reason.empty() && round_ != Round::in_clear) {
    tls_failed_ = true;
    in_clear_.push_back({current_, address, clear_reason});
  }
  note(std::move(failure));
}

bool HostWalk::others_are_left() const noexcept {
  if (round_ != Round::plain) return false;
  if (!addresses_.empty()) return true;
  return std::any_of(order_.begin() + static_cast<std::ptrdiff_t>(cursor_), order_.end(),
                     [this](std::size_t host) { return !dropped_[host]; });
}

bool HostWalk::puts_off_clear(const smtp::SocketAddress &address, const std::string &reason) {
  if (!tls_failed_ || !others_are_left()) return false;
  in_clear_.push_back({current_, address, reason});
  return true;
}

void HostWalk::begin_session(Session session) {
  ++sessions_;
  session_ = std::move(session);
  asked_.clear();
  spent_.push_back(session_.address);
  std::erase(addresses_, session_.address);
}

std::vector<std::size_t> HostWalk::batch(std::size_t limit) const {
  std::vector<std::size_t> batch;
  for (const auto recipient : open_)
    if (batch.size() < limit && !holds(asked_, recipient)) batch.push_back(recipient);
  return batch;
}

void HostWalk::session_was_stale() {
  --sessions_;
  std::erase(spent_, session_.address);
}

void HostWalk::reconnect(const smtp::SocketAddress &address, const std::string &clear_reason) {
  if (round_ != Round::plain) {
    auto &offers = round_ == Round::in_clear ? in_clear_ : to_convert_;
    if (connects_++ < limits_.connects) offers.push_back({current_, address, clear_reason});
  } else {
    addresses_.insert(addresses_.begin(), address);
  }
}

void HostWalk::close(std::size_t recipient, const RecipientResult &result) {
  std::erase(open_, recipient);
  results_.push_back(result);
}

RecipientResult HostWalk::to_row(std::size_t recipient, const smtp::RecipientOutcome &outcome, bool progress) {
  auto row = to_result(recipient, outcome, session_.label);
  const bool about_tls = row.kind == Kind::permanent && !outcome.local && !is_verdict(outcome.reply, session_.clear);
  if (row.kind != Kind::temporary && !outcome.lacking && !about_tls) {
    close(recipient, row);
    return row;
  }
  // It took some and wants no more at once: the rest goes in another transaction of the same session.
  const bool again = progress && row.kind == Kind::temporary && means_too_many(outcome.reply);
  if (!again) asked_.push_back(recipient);
  if (outcome.lacking) { // its failure is the host's: see answered()
    row.kind = Kind::temporary;
    return row;
  }
  if (about_tls) {
    row.kind = Kind::temporary;
    row.detail += ", which is no verdict on the message: it went in clear because TLS failed";
  }
  std::erase_if(answers_, [recipient](const Answer &answer) { return answer.recipient == recipient; });
  answers_.push_back({recipient, row});
  return row;
}

std::size_t HostWalk::host_of_session() const noexcept {
  const std::string_view name = std::string_view(session_.label).substr(0, session_.label.find('['));
  for (std::size_t i = 0; i < hosts_.size(); ++i)
    if (hosts_[i].name == name) return i;
  return current_;
}

bool HostWalk::may_convert() const noexcept {
  return round_ != Round::plain || (to_convert_.empty() && !others_are_left());
}

std::vector<RecipientResult> HostWalk::answered(const std::vector<std::size_t> &batch,
                                                const std::vector<smtp::RecipientOutcome> &outcomes) {
  reached_ = true;
  const bool progress = std::any_of(outcomes.begin(), outcomes.end(), [](const auto &outcome) {
    return outcome.kind == smtp::RecipientOutcome::Kind::delivered;
  });
  std::vector<RecipientResult> rows;
  for (std::size_t i = 0; i < batch.size() && i < outcomes.size(); ++i)
    rows.push_back(to_row(batch[i], outcomes[i], progress));
  const auto lacking =
      std::find_if(outcomes.begin(), outcomes.end(), [](const auto &outcome) { return outcome.lacking; });
  if (lacking == outcomes.end()) return rows;
  if (lacking->reply.enhanced == smtp::EnhancedCode{5, 6, 3} && !may_convert() && round_ == Round::plain)
    to_convert_.push_back({host_of_session(), session_.address, {}});
  else
    note(lacking_failure(session_.label, lacking->reply));
  return rows;
}

std::vector<RecipientResult> HostWalk::broke_off(const std::vector<std::size_t> &batch,
                                                 const std::vector<smtp::RecipientOutcome> &outcomes,
                                                 HostFailure failure, bool unsure) {
  std::vector<RecipientResult> rows;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (i < outcomes.size() && outcomes[i].kind != smtp::RecipientOutcome::Kind::temporary) {
      rows.push_back(to_row(batch[i], outcomes[i], false));
      continue;
    }
    asked_.push_back(batch[i]);
    // A recipient that was refused for now by itself did not get the message that may have arrived.
    const bool own_answer = i < outcomes.size() && !outcomes[i].local && outcomes[i].reply.code >= 400 &&
                            outcomes[i].reply != failure.reply;
    if (own_answer) {
      rows.push_back(to_row(batch[i], outcomes[i], false));
    } else if (unsure) {
      auto row = to_result(batch[i], std::vector<HostFailure>{failure}, false);
      row.kind = Kind::temporary;
      close(batch[i], row);
      rows.push_back(std::move(row));
    }
  }
  note(std::move(failure));
  return rows;
}

std::vector<RecipientResult> HostWalk::failed_here(const std::vector<std::size_t> &batch, const std::string &detail) {
  std::vector<RecipientResult> rows;
  for (const auto recipient : batch) {
    rows.push_back(to_local_failure(recipient, detail));
    close(recipient, rows.back());
  }
  return rows;
}

std::vector<RecipientResult> HostWalk::lost_here(const std::vector<std::size_t> &batch) {
  std::vector<RecipientResult> rows;
  for (const auto recipient : batch) {
    rows.push_back(to_lost_message(recipient));
    close(recipient, rows.back());
  }
  return rows;
}

bool HostWalk::is_put_off() const noexcept {
  return busy_ && !open_.empty() && failures_.empty() && answers_.empty() && results_.empty();
}

std::vector<RecipientResult> HostWalk::finish(bool stopped) {
  const bool all_tried = !cut_short_ && !busy_ && cursor_ == order_.size();
  for (const auto recipient : std::exchange(open_, {})) {
    const auto answer = std::find_if(answers_.begin(), answers_.end(),
                                     [recipient](const Answer &one) { return one.recipient == recipient; });
    if (answer != answers_.end())
      results_.push_back(answer->result);
    else if (stopped)
      results_.push_back(to_local_failure(recipient, "the daemon is shutting down"));
    else if (!failures_.empty())
      results_.push_back(to_result(recipient, failures_, all_tried));
    else if (busy_)
      results_.push_back(to_local_failure(recipient, "every address of the hosts is at its limit of connections"));
    else // nothing failed, but a limit of ours ended it: more recipients than one try carries
      results_.push_back(to_local_failure(recipient, "the rest of the recipients follows in the next try"));
  }
  return std::move(results_);
}

DestinationLesson HostWalk::lesson() const noexcept {
  if (reached_) return DestinationLesson::reached;
  // One host that only this message may not use leaves the destination usable for others.
  const bool dead = !failures_.empty() && std::all_of(failures_.begin(), failures_.end(), [](const auto &failure) {
    return failure.lesson == HostLesson::host;
  });
  return dead && !busy_ ? DestinationLesson::failed : DestinationLesson::unknown;
}

std::string HostWalk::resume_at() const {
  return cut_short_ && cursor_ < order_.size() ? hosts_[order_[cursor_]].name : std::string();
}

} // namespace mta
