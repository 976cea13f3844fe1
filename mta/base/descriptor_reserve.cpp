#include "mta/base/descriptor_reserve.hpp"

#include <algorithm>

#include <sys/resource.h>

namespace mta {

namespace {

constexpr std::size_t least_for_services = 16;
constexpr std::size_t most_for_services = 512;
constexpr std::size_t most_for_delivery = 4096;

} // namespace

DescriptorReserve DescriptorReserve::for_limit(std::size_t limit) noexcept {
  DescriptorReserve reserve;
  reserve.limit_ = limit;
  reserve.service_ = std::min(std::clamp(limit / 16, least_for_services, most_for_services), limit / 4);
  reserve.delivery_ = std::min(limit / 4, most_for_delivery);
  return reserve;
}

DescriptorReserve DescriptorReserve::of_process() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return {};
  return for_limit(static_cast<std::size_t>(limit.rlim_cur));
}

std::size_t DescriptorReserve::room_for(DescriptorUse use) const noexcept {
  switch (use) {
  case DescriptorUse::session: return limit_ - service_ - delivery_;
  case DescriptorUse::delivery: return limit_ - service_;
  case DescriptorUse::service: break;
  }
  return limit_;
}

} // namespace mta
