#include "mta/inbound/edge.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "mta/inbound/reply.hpp"
#include "mta/inbound/session.hpp"

namespace mta::inbound {

namespace {

constexpr std::chrono::milliseconds storage_look_every{100};
constexpr std::uint64_t refused_connection_lines_per_second = 5;
constexpr std::chrono::seconds memory_told_every{10};
constexpr std::uint64_t unfinished_share = 8; ///< an address may hold one part of so many of the room on the disk
constexpr std::uint64_t quarantine_share = 4; ///< held mail may be one part of so many of the queue and the disk
constexpr std::uint64_t whole_messages = 2;   ///< and always as many of the largest messages

std::string_view refused_first(MemoryNeed need) {
  switch (need) {
  case MemoryNeed::large_header: return "messages with large headers";
  case MemoryNeed::stranger: return "new sessions of strangers";
  case MemoryNeed::message: break;
  }
  return "new messages";
}

smtp::Reply queue_is_full(const SpoolConfig &config) {
  return make_reply(452, {4, 3, 1}, fmt::format("the queue is full, limit is {} messages", config.max_messages));
}

} // namespace

std::string WorkerEdge::next_session_name() {
  return fmt::format("{}-{:06x}", number_, ++named_);
}

void WorkerEdge::look_at_storage(std::chrono::steady_clock::time_point now) {
  if (now - storage_look_ < storage_look_every) return;
  storage_ = shared_.services.spool.status();
  storage_look_ = now;
}

std::uint64_t WorkerEdge::room_left(const SpoolConfig &config, std::chrono::steady_clock::time_point now) {
  look_at_storage(now);
  return storage_.free_octets > config.min_free ? storage_.free_octets - config.min_free : 0;
}

ConnectionLimits::Room WorkerEdge::unfinished_room(const Config &config, std::chrono::steady_clock::time_point now) {
  const std::uint64_t left = room_left(config.spool, now);
  return {.for_address = std::max(whole_messages * config.limits.smtp.message_size, left / unfinished_share),
          .for_all = (left + shared_.limits.unfinished()) / 2};
}

std::optional<WorkerEdge::StorageRefusal> WorkerEdge::quarantine_refusal(const SpoolConfig &config,
                                                                         std::chrono::steady_clock::time_point now) {
  const auto &held = shared_.services.held;
  if (!held) return std::nullopt;
  const auto refusal = [](std::string detail) {
    return StorageRefusal{make_reply(452, {4, 3, 1}, detail + "; try again later"), Resource::quarantine, detail};
  };
  const std::uint64_t messages = held->messages, octets = held->octets;
  const auto most = std::max<std::uint64_t>(config.max_messages / quarantine_share, 1);
  if (messages >= most) return refusal(fmt::format("{} messages are held, limit is {}", messages, most));
  const std::uint64_t most_octets = (room_left(config, now) + octets) / quarantine_share;
  if (octets > most_octets) return refusal(fmt::format("{} octets of mail are held, limit is {}", octets, most_octets));
  return std::nullopt;
}

std::optional<WorkerEdge::StorageRefusal> WorkerEdge::storage_refusal(const SpoolConfig &config,
                                                                      std::uint64_t announced,
                                                                      std::chrono::steady_clock::time_point now) {
  look_at_storage(now);
  if (!storage_.healthy) {
    const bool full = storage_.state == StorageState::disk_full;
    return StorageRefusal{full ? make_reply(452, {4, 3, 1}, "insufficient system storage, try again later")
                               : make_reply(451, {4, 3, 0}, "mail cannot be stored at the moment, try again later"),
                          full ? Resource::disk : Resource::spool, storage_.problem};
  }
  if (storage_.messages >= config.max_messages)
    return StorageRefusal{queue_is_full(config), Resource::queue,
                          fmt::format("{} messages are queued, limit is {}", storage_.messages, config.max_messages)};
  if (storage_.free_octets < config.min_free || storage_.free_octets - config.min_free < announced)
    return StorageRefusal{make_reply(452, {4, 3, 1}, "insufficient system storage, try again later"), Resource::disk,
                          fmt::format("{} octets are free, {} must stay free and {} were announced",
                                      storage_.free_octets, config.min_free, announced)};
  return std::nullopt;
}

bool WorkerEdge::has_memory(MemoryNeed need, std::uint64_t budget, std::uint64_t more,
                            std::chrono::steady_clock::time_point now) {
  MemoryAccount &memory = shared_.memory;
  if (memory.has_room(need, budget, more, now)) return true;
  if (now - memory_told_ >= memory_told_every) {
    memory_told_ = now;
    log().write(Event("memory", LogLevel::warning)
                    .with("refused", refused_first(need))
                    .with("used", memory.used(now))
                    .with("limit", MemoryAccount::share(need, budget))
                    .with("budget", budget));
  }
  return false;
}

void WorkerEdge::note_resource_refusal(Resource resource, const smtp::IpAddress &client, std::string_view command,
                                       const smtp::Reply &reply, std::string_view detail) {
  const auto count = shared_.resources.note(resource, std::chrono::steady_clock::now());
  if (!count) return;
  log().write(Event("resource_refusal", LogLevel::warning)
                  .with("reason", to_string(resource))
                  .with("count", *count)
                  .with("client", client.to_string())
                  .with("command", command)
                  .with("reply", reply.to_line())
                  .with_if("detail", detail));
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

ConnectionVerdict judge_connection(WorkerEdge &edge, const Config &config, const ListenerConfig &listener,
                                   const smtp::IpAddress &client, int descriptor,
                                   std::chrono::steady_clock::time_point now) {
  ConnectionVerdict verdict;
  if (edge.is_stopping()) {
    verdict.refusal = make_reply(421, {4, 3, 2}, config.server.hostname + " is shutting down");
    return verdict;
  }
  const bool trusted = listener.role == policy::ListenerRole::relay &&
                       std::any_of(listener.trusted_networks.begin(), listener.trusted_networks.end(),
                                   [&](const smtp::Network &network) { return network.contains(client); });
  const DescriptorReserve &descriptors = edge.shared().descriptors;
  const DescriptorUse use = trusted ? DescriptorUse::delivery : DescriptorUse::session;
  if (!descriptors.may_keep(descriptor, use)) {
    verdict.short_of_descriptors = true;
    verdict.refusal = make_reply(
        421, {4, 3, 2},
        fmt::format("{} has no descriptors for new sessions, limit is {} of {} for sessions; try again later",
                    config.server.hostname, descriptors.room_for(use), descriptors.limit()));
    return verdict;
  }
  const std::uint64_t budget = config.server.memory_budget;
  const MemoryNeed need = trusted ? MemoryNeed::message : MemoryNeed::stranger;
  if (!edge.has_memory(need, budget, session_memory, now)) {
    verdict.refusal =
        make_reply(421, {4, 3, 2},
                   fmt::format("{} is out of memory for new sessions, limit is {} octets; try again later",
                               config.server.hostname, MemoryAccount::share(need, budget)));
    edge.note_resource_refusal(Resource::memory, client, "connect", verdict.refusal,
                               fmt::format("server.memory_budget is {} octets", budget));
    return verdict;
  }
  auto ticket = edge.shared().limits.admit(client, config.limits, now, trusted);
  if (!ticket) {
    verdict.refusal = make_reply(421, {4, 7, 0}, config.server.hostname + ' ' + ticket.error().detail);
    return verdict;
  }
  verdict.ticket.emplace(std::move(*ticket));
  return verdict;
}

smtp::Reply storage_reply(const smtp::Error &error, const SpoolStatus &status, const SpoolConfig &config) {
  if (error.code != smtp::ErrorCode::full)
    return make_reply(451, {4, 3, 0}, "the message cannot be stored at the moment, try again later");
  if (status.state == StorageState::queue_full) return queue_is_full(config);
  return make_reply(452, {4, 3, 1}, "insufficient system storage, try again later");
}

} // namespace mta::inbound
