#include "mta/control/client.hpp"

#include <cerrno>
#include <cstring>
#include <string_view>

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <fmt/format.h>

namespace mta {

namespace {

constexpr std::size_t answer_limit = 268'435'456;

/// Closes the descriptor at the end of its scope.
struct Descriptor {
  int number = -1;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

} // namespace

smtp::Result<boost::json::object> call_daemon(const std::string &socket_path, const boost::json::object &request,
                                              std::chrono::seconds patience) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path)
    return smtp::fail(smtp::ErrorCode::too_long, fmt::format("the socket's path is {} octets, limit is {}",
                                                             socket_path.size(), sizeof address.sun_path - 1));
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  const Descriptor socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (socket.number < 0) return smtp::fail(smtp::ErrorCode::io, fmt::format("socket: {}", std::strerror(errno)));
  if (patience.count() > 0) {
    const timeval time{.tv_sec = patience.count(), .tv_usec = 0};
    (void)::setsockopt(socket.number, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    (void)::setsockopt(socket.number, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
  }
  if (::connect(socket.number, reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0) {
    const int cause = errno;
    if (cause == EACCES || cause == EPERM)
      return smtp::fail(smtp::ErrorCode::not_permitted,
                        fmt::format("you may not use {}: ask for membership of the control group", socket_path));
    return smtp::fail(smtp::ErrorCode::not_found,
                      fmt::format("no daemon answers on {}: {}", socket_path, std::strerror(cause)));
  }
  const std::string line = boost::json::serialize(request) + "\n";
  for (std::string_view rest = line; !rest.empty();) {
    const auto written = ::send(socket.number, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return smtp::fail(smtp::ErrorCode::io, fmt::format("sending: {}", std::strerror(errno)));
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  std::string answer;
  char buffer[65536];
  while (answer.empty() || answer.back() != '\n') {
    const auto count = ::recv(socket.number, buffer, sizeof buffer, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return smtp::fail(smtp::ErrorCode::io, fmt::format("receiving: {}", std::strerror(errno)));
    if (count == 0) return smtp::fail(smtp::ErrorCode::closed, "the daemon closed the connection without an answer");
    answer.append(buffer, static_cast<std::size_t>(count));
    if (answer.size() > answer_limit)
      return smtp::fail(smtp::ErrorCode::too_long, fmt::format("the answer is longer than {} octets", answer_limit));
  }
  boost::system::error_code error;
  auto value = boost::json::parse(answer, error);
  if (error || !value.is_object())
    return smtp::fail(smtp::ErrorCode::protocol, "the daemon's answer is not a JSON object");
  return std::move(value.as_object());
}

} // namespace mta
