// Edge: see edge.hpp.
#include "mta/inbound/edge.hpp"

#include <fmt/format.h>

#include "mta/inbound/reply.hpp"
#include "mta/inbound/session.hpp"

namespace mta::inbound {

namespace {

constexpr std::chrono::milliseconds storage_look_every{100};
constexpr std::uint64_t refused_connection_lines_per_second = 5;

} // namespace

std::string WorkerEdge::next_session_name() {
  return fmt::format("{}-{:06x}", number_, ++named_);
}

std::optional<smtp::Reply> WorkerEdge::storage_refusal(const SpoolConfig &config, std::uint64_t announced,
                                                       std::chrono::steady_clock::time_point now) {
  if (now - storage_look_ >= storage_look_every) {
    storage_ = shared_.services.spool.status();
    storage_look_ = now;
  }
  if (!storage_.healthy) return make_reply(451, {4, 3, 0}, "mail cannot be stored at the moment, try again later");
  if (storage_.messages >= config.max_messages) {
    return make_reply(452, {4, 3, 1}, fmt::format("the queue is full, limit is {} messages", config.max_messages));
  }
  if (storage_.free_octets < config.min_free || storage_.free_octets - config.min_free < announced) {
    return make_reply(452, {4, 3, 1}, "insufficient system storage, try again later");
  }
  return std::nullopt;
}

bool WorkerEdge::may_log_refused_connection(std::chrono::steady_clock::time_point now, std::uint64_t &suppressed) {
  if (now - log_second_ >= std::chrono::seconds(1)) {
    log_second_ = now;
    logged_in_second_ = 0;
  }
  if (logged_in_second_ >= refused_connection_lines_per_second) {
    ++suppressed_;
    return false;
  }
  ++logged_in_second_;
  suppressed = std::exchange(suppressed_, 0);
  return true;
}

void WorkerEdge::add(Session &session) noexcept {
  session.next_ = first_;
  if (first_ != nullptr) first_->previous_ = &session;
  first_ = &session;
  ++sessions_;
}

void WorkerEdge::remove(Session &session) noexcept {
  if (session.next_ != nullptr) session.next_->previous_ = session.previous_;
  if (session.previous_ != nullptr) session.previous_->next_ = session.next_;
  if (first_ == &session) first_ = session.next_;
  --sessions_;
  if (stopping_ && sessions_ == 0 && when_empty) std::exchange(when_empty, nullptr)();
}

void WorkerEdge::stop_sessions() {
  stopping_ = true;
  for (Session *session = first_; session != nullptr; session = session->next_) session->wake_to_stop();
  if (sessions_ == 0 && when_empty) std::exchange(when_empty, nullptr)();
}

void WorkerEdge::cut_sessions() {
  for (Session *session = first_; session != nullptr; session = session->next_) session->cut();
}

void WorkerEdge::orphan_sessions() noexcept {
  when_empty = nullptr;
  for (Session *session = first_; session != nullptr; session = session->next_) session->orphan();
}

ConnectionVerdict judge_connection(WorkerEdge &edge, const Config &config, const smtp::IpAddress &client,
                                   std::chrono::steady_clock::time_point now) {
  ConnectionVerdict verdict;
  if (edge.is_stopping()) {
    verdict.refusal = make_reply(421, {4, 3, 2}, config.server.hostname + " is shutting down");
    return verdict;
  }
  const std::uint64_t budget = config.server.memory_budget;
  if (budget != 0 && edge.shared().memory.resident(now) > budget) {
    verdict.refusal =
        make_reply(421, {4, 3, 2}, config.server.hostname + " is out of memory for new sessions, try again later");
    return verdict;
  }
  auto ticket = edge.shared().limits.admit(client, config.limits, now);
  if (!ticket) {
    verdict.refusal = make_reply(421, {4, 7, 0}, config.server.hostname + ' ' + ticket.error().detail);
    return verdict;
  }
  verdict.ticket.emplace(std::move(*ticket));
  return verdict;
}

smtp::Reply storage_reply(const smtp::Error &error) {
  if (error.code == smtp::ErrorCode::full)
    return make_reply(452, {4, 3, 1}, "insufficient system storage, try again later");
  return make_reply(451, {4, 3, 0}, "the message cannot be stored at the moment, try again later");
}

} // namespace mta::inbound
