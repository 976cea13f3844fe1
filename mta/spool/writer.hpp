// Writer: room for one message, as a session sees it; hands the body to the commit thread in parts.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "mta/spool/commit_thread.hpp"
#include "mta/spool/spool.hpp"

namespace mta::spool {

/// What writers share with the spool; lives until the last of them is gone, so that a writer may outlive the spool.
class Acceptance {
public:
  virtual ~Acceptance() = default;
  /// Whether there is room to go on. Errors: full, io, stopping.
  [[nodiscard]] virtual smtp::Result<void> check(Admission admission) = 0;
  [[nodiscard]] virtual CommitThread &commit_thread() noexcept = 0;

  std::atomic<std::uint64_t> open_writers{0};
};

/// All bodies in memory together; beyond this, parts are handed over early and every writer asks for a pause.
inline constexpr std::uint64_t buffer_budget = 64U << 20U;

class Writer final : public MessageWriter {
public:
  Writer(std::shared_ptr<Acceptance> acceptance, std::uint64_t id, std::size_t part_size, Admission admission);
  Writer(const Writer &) = delete;
  Writer &operator=(const Writer &) = delete;
  ~Writer() override;

  [[nodiscard]] QueueId id() const noexcept override { return {session_->id}; }
  [[nodiscard]] smtp::Result<void> append(std::string_view octets) override;
  [[nodiscard]] bool wants_pause() const noexcept override;
  void when_ready(std::function<void()> ready) override;
  void commit(std::string envelope, std::function<void(smtp::Result<void>)> done) override;

private:
  [[nodiscard]] smtp::Result<void> hand_over();

  std::shared_ptr<Acceptance> acceptance_;
  std::shared_ptr<Session> session_;
  const std::size_t part_size_;
  const Admission admission_;
  PartBuffer part_;
  bool in_log_ = false; ///< parts were handed over
  bool committed_ = false;
};

} // namespace mta::spool
