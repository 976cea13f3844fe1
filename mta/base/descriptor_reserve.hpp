// DescriptorReserve: how many of the process's descriptors strangers may take, so that enough are left for the spool,
// the log, the control socket and delivery.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mta {

/// What a descriptor is for. Each use leaves room for those behind it.
enum class DescriptorUse : std::uint8_t {
  session,  ///< a client's connection: first to be refused
  delivery, ///< a connection of ours to a next hop or to a web server
  service,  ///< files of the spool, the log, the control socket, the resolver: may take the last one
};

/// POSIX gives a new descriptor the lowest free number. So the number itself says how many are in use, and nobody has
/// to count: a socket that got a number of the reserve is closed again by whoever opened it. A plain value; never
/// blocks.
///
///   0 ……… sessions ………| delivery |service| limit
class DescriptorReserve {
public:
  /// No limit: everybody may keep everything.
  DescriptorReserve() = default;
  /// A sixteenth (16 to 512, at most a quarter) for services and a quarter (at most 4,096) for delivery.
  [[nodiscard]] static DescriptorReserve for_limit(std::size_t limit) noexcept;
  /// By the soft RLIMIT_NOFILE in force now.
  [[nodiscard]] static DescriptorReserve of_process() noexcept;

  /// False: `descriptor`, which was just opened for `use`, belongs to those behind it; close it.
  [[nodiscard]] bool may_keep(int descriptor, DescriptorUse use) const noexcept {
    return descriptor < 0 || static_cast<std::size_t>(descriptor) < room_for(use);
  }
  /// How many descriptors there may be, of all uses, when one of `use` is opened.
  [[nodiscard]] std::size_t room_for(DescriptorUse use) const noexcept;
  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }

private:
  std::size_t limit_ = SIZE_MAX;
  std::size_t delivery_ = 0;
  std::size_t service_ = 0;
};

} // namespace mta
