// ControlServer: see server.hpp.
#include "mta/control/server.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/control/answers.hpp"
#include "mta/log/printable.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

using asio::local::stream_protocol;
namespace json = boost::json;

constexpr std::size_t request_limit = 65'536;
constexpr std::size_t connection_limit = 32;
constexpr auto value_token = asio::as_tuple(asio::use_awaitable);

std::string user_name(unsigned uid) {
  if (const passwd *entry = ::getpwuid(uid)) return entry->pw_name;
  return std::to_string(uid);
}

/// True when a daemon answers on the socket file.
bool is_alive(const sockaddr_un &address) {
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return false;
  const bool alive = ::connect(descriptor, reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0;
  ::close(descriptor);
  return alive;
}

} // namespace

struct ControlServer::State : std::enable_shared_from_this<ControlServer::State> {
  State(asio::io_context &context, std::string socket_path) : acceptor(context), path(std::move(socket_path)) {}

  stream_protocol::acceptor acceptor;
  std::string path;
  ControlHandler handler;
  std::set<stream_protocol::socket *> open;
  bool stopped = false;

  static Task<> accept_loop(std::shared_ptr<State> state);
  static Task<> serve(std::shared_ptr<State> state, stream_protocol::socket socket);
  static Task<json::object> answer(std::shared_ptr<State> state, std::string line, ControlPeer peer);
};

Task<json::object> ControlServer::State::answer(std::shared_ptr<State> state, std::string line, ControlPeer peer) {
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = 8;
  json::value request = json::parse(line, error, {}, options);
  if (error || !request.is_object()) co_return failure("the request is not a JSON object");
  std::string problem;
  try {
    co_return co_await state->handler(std::move(request.as_object()), std::move(peer));
  } catch (const std::exception &thrown) { // a bug in a command must not end the daemon
    problem = thrown.what();
  }
  co_return failure(fmt::format("the command failed: {}", problem));
}

Task<> ControlServer::State::serve(std::shared_ptr<State> state, stream_protocol::socket socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) co_return;
  const ControlPeer peer{credentials.uid, user_name(credentials.uid)};
  state->open.insert(&socket);
  asio::streambuf buffer(request_limit);
  for (;;) {
    const auto [error, length] = co_await asio::async_read_until(socket, buffer, '\n', value_token);
    json::object reply;
    if (error == asio::error::not_found) {
      reply = failure(fmt::format("the request is longer than {} octets", request_limit));
    } else if (error) {
      break;
    } else {
      std::string line(static_cast<const char *>(buffer.data().data()), length);
      buffer.consume(length);
      reply = co_await answer(state, std::move(line), peer);
    }
    make_utf8(reply); // the client would refuse the whole answer for one octet of a stranger
    const std::string text = json::serialize(reply) + "\n";
    const auto [write_error, written] = co_await asio::async_write(socket, asio::buffer(text), value_token);
    if (error || write_error || state->stopped) break;
  }
  state->open.erase(&socket);
}

Task<> ControlServer::State::accept_loop(std::shared_ptr<State> state) {
  while (!state->stopped) {
    auto [error, socket] = co_await state->acceptor.async_accept(value_token);
    if (error) {
      if (error == asio::error::operation_aborted || state->stopped) co_return;
      continue; // the peer went away again, or no descriptor is free: the next accept may do better
    }
    if (state->open.size() >= connection_limit) continue; // closes it
    asio::co_spawn(state->acceptor.get_executor(), serve(state, std::move(socket)), asio::detached);
  }
}

ControlServer::ControlServer(std::shared_ptr<State> state) : state_(std::move(state)) {}

ControlServer::~ControlServer() { stop(); }

smtp::Result<std::unique_ptr<ControlServer>> ControlServer::bind(asio::io_context &context,
                                                                 const ControlConfig &config) {
  const auto failed = [&](std::string_view what) {
    return smtp::fail(smtp::ErrorCode::io,
                      fmt::format("control.socket: cannot {} {}: {}", what, config.socket, std::strerror(errno)));
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (config.socket.size() >= sizeof address.sun_path)
    return smtp::fail(smtp::ErrorCode::too_long, fmt::format("control.socket: the path is {} octets, limit is {}",
                                                            config.socket.size(), sizeof address.sun_path - 1));
  std::memcpy(address.sun_path, config.socket.c_str(), config.socket.size() + 1);

  gid_t gid = ::getegid();
  mode_t mode = 0600;
  if (!config.group.empty()) {
    const group *entry = ::getgrnam(config.group.c_str());
    if (!entry)
      return smtp::fail(smtp::ErrorCode::not_found,
                        fmt::format("control.group: there is no group {}", smtp::escape(config.group)));
    gid = entry->gr_gid;
    mode = 0660;
  }

  std::error_code ignored;
  const auto folder = std::filesystem::path(config.socket).parent_path();
  if (!folder.empty() && !std::filesystem::exists(folder, ignored)) {
    if (!std::filesystem::create_directories(folder, ignored)) return failed("create the folder of");
    if (::chmod(folder.c_str(), 0755) != 0) return failed("set the permissions of the folder of");
  }
  if (is_alive(address))
    return smtp::fail(smtp::ErrorCode::not_permitted,
                      fmt::format("control.socket: a daemon already answers on {}", config.socket));
  struct stat facts {};
  if (::lstat(config.socket.c_str(), &facts) == 0) {
    if (!S_ISSOCK(facts.st_mode))
      return smtp::fail(smtp::ErrorCode::not_permitted,
                        fmt::format("control.socket: {} is there and is no socket: it is left alone", config.socket));
    if (::unlink(config.socket.c_str()) != 0) return failed("replace");
  }

  auto state = std::make_shared<State>(context, config.socket);
  boost::system::error_code error;
  state->acceptor.open(stream_protocol(), error);
  const mode_t before = ::umask(0777 & ~mode); // it never has other permissions than these
  if (!error) state->acceptor.bind(stream_protocol::endpoint(config.socket), error);
  ::umask(before);
  if (error) {
    errno = error.value();
    auto refused = failed("bind");
    if (error.value() == EACCES)
      refused.value().detail += "; the daemon's user must be able to make it: give it a folder of its own";
    return refused;
  }
  // Made with the right group by a daemon that started as root; else the group must be one of ours.
  if (::lstat(config.socket.c_str(), &facts) != 0) return failed("look at");
  if (facts.st_gid != gid && !config.group.empty() && ::lchown(config.socket.c_str(), static_cast<uid_t>(-1), gid) != 0)
    return failed("set the group of");
  state->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    errno = error.value();
    return failed("listen on");
  }
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(state)));
}

void ControlServer::start(ControlHandler handler) {
  state_->handler = std::move(handler);
  asio::co_spawn(state_->acceptor.get_executor(), State::accept_loop(state_), asio::detached);
}

void ControlServer::stop() {
  if (state_->stopped) return;
  state_->stopped = true;
  boost::system::error_code ignored;
  state_->acceptor.close(ignored);
  for (auto *socket : state_->open) socket->close(ignored);
  ::unlink(state_->path.c_str());
}

} // namespace mta
