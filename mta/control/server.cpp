#include "mta/control/server.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/control/answers.hpp"
#include "mta/control/user_names.hpp"
#include "mta/log/printable.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

using asio::local::stream_protocol;
namespace json = boost::json;

constexpr std::size_t request_limit = 65'536;
constexpr std::size_t connection_limit = 32;
constexpr auto value_token = asio::as_tuple(asio::use_awaitable);

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
  State(asio::io_context &context, std::string socket_path, ControlOptions chosen)
      : acceptor(context), pause(context), path(std::move(socket_path)), options(chosen) {
    keep_descriptor();
  }
  ~State() {
    if (spare >= 0) ::close(spare);
  }

  /// One connection; it is idle while it waits for a request.
  struct Open {
    Open(stream_protocol::socket from, asio::any_io_executor executor) : socket(std::move(from)), timer(executor) {}
    stream_protocol::socket socket;
    asio::steady_timer timer;
    bool is_idle = true;
    std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();

    /// Closes it unless the timer is set or cancelled before.
    static void limit(const std::shared_ptr<Open> &self, std::chrono::milliseconds time) {
      self->timer.expires_after(time);
      self->timer.async_wait([self](const boost::system::error_code &error) {
        boost::system::error_code ignored;
        if (!error) self->socket.close(ignored);
      });
    }
  };

  stream_protocol::acceptor acceptor;
  asio::steady_timer pause;
  std::string path;
  ControlOptions options;
  ControlHandler handler;
  UserNames names;
  std::set<Open *> open;
  int spare = -1; ///< given up for a connection when there is no other descriptor
  bool stopped = false;

  void keep_descriptor() {
    if (spare < 0) spare = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
  /// Closes the connection that has been idle longest; false when all are busy.
  bool close_idle();

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
  ControlPeer peer{credentials.uid, {}};
  state->names.prepare(peer.uid);
  // Held by the timer's waits as well: they may end after this coroutine.
  const auto connection = std::make_shared<Open>(std::move(socket), state->acceptor.get_executor());
  state->open.insert(connection.get());
  asio::streambuf buffer(request_limit);
  for (;;) {
    connection->is_idle = true;
    connection->since = std::chrono::steady_clock::now();
    Open::limit(connection, state->options.idle);
    const auto [error, length] = co_await asio::async_read_until(connection->socket, buffer, '\n', value_token);
    connection->is_idle = false;
    connection->timer.cancel();
    json::object reply;
    if (error == asio::error::not_found) {
      reply = failure(fmt::format("the request is longer than {} octets", request_limit));
    } else if (error) {
      break;
    } else {
      std::string line(static_cast<const char *>(buffer.data().data()), length);
      buffer.consume(length);
      if (peer.user.empty()) {
        auto name = co_await state->names.name(peer.uid);
        peer.user = std::move(name);
      }
      reply = co_await answer(state, std::move(line), peer);
    }
    make_utf8(reply); // the client would refuse the whole answer for one octet of a stranger
    const std::string text = json::serialize(reply) + "\n";
    connection->is_idle = true; // a client that does not read its answer is as good as idle
    connection->since = std::chrono::steady_clock::now();
    Open::limit(connection, state->options.idle);
    const auto [write_error, written] = co_await asio::async_write(connection->socket, asio::buffer(text), value_token);
    if (error || write_error || state->stopped) break;
  }
  state->open.erase(connection.get());
  connection->timer.cancel();
  boost::system::error_code ignored;
  connection->socket.close(ignored);
  state->keep_descriptor();
}

bool ControlServer::State::close_idle() {
  Open *longest = nullptr;
  for (Open *one : open)
    if (one->is_idle && one->socket.is_open() && (longest == nullptr || one->since < longest->since)) longest = one;
  if (longest == nullptr) return false;
  boost::system::error_code ignored;
  longest->socket.close(ignored);
  return true;
}

Task<> ControlServer::State::accept_loop(std::shared_ptr<State> state) {
  while (!state->stopped) {
    auto [error, socket] = co_await state->acceptor.async_accept(value_token);
    if (error) {
      if (error == asio::error::operation_aborted || state->stopped) co_return;
      const bool wants_descriptor = error == asio::error::no_descriptors || error.value() == ENFILE;
      if (wants_descriptor && state->spare >= 0) {
        ::close(std::exchange(state->spare, -1)); // for this connection; the next ones take turns with it
        continue;
      }
      if (wants_descriptor) (void)state->close_idle(); // whoever only holds a connection makes room for this one
      // Not at once: the connection that could not be taken still waits, and would keep us busy.
      state->pause.expires_after(state->options.accept_backoff);
      co_await state->pause.async_wait(value_token);
      state->keep_descriptor();
      continue;
    }
    if (state->open.size() >= connection_limit && !state->close_idle()) continue; // closes it
    asio::co_spawn(state->acceptor.get_executor(), serve(state, std::move(socket)), asio::detached);
  }
}

ControlServer::ControlServer(std::shared_ptr<State> state) : state_(std::move(state)) {}

ControlServer::~ControlServer() {
  stop();
}

smtp::Result<std::unique_ptr<ControlServer>> ControlServer::bind(asio::io_context &context, const ControlConfig &config,
                                                                 ControlOptions options) {
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
      return smtp::fail(
          smtp::ErrorCode::not_permitted,
          fmt::format("control.socket: {} is there and is not a socket: it is left alone", config.socket));
    if (::unlink(config.socket.c_str()) != 0) return failed("replace");
  }

  auto state = std::make_shared<State>(context, config.socket, options);
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
  state_->pause.cancel();
  for (auto *one : state_->open) {
    one->timer.cancel();
    one->socket.close(ignored);
  }
  ::unlink(state_->path.c_str());
}

} // namespace mta
