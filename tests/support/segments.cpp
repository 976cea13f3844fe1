#include "tests/support/segments.hpp"

#include <stdexcept>

#include <linux/tcp.h> // has more than netinet/tcp.h and cannot be included beside it
#include <netinet/in.h>
#include <sys/socket.h>

namespace test {

std::uint32_t data_segments_in(int descriptor) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) throw std::runtime_error("TCP_INFO");
  return info.tcpi_data_segs_in;
}

} // namespace test
