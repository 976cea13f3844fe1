// SmtpFixture: a scripted SMTP server on loopback, plain or TLS, that notes every command and every octet of a message.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "tls/context.hpp"

namespace test {

/// What STARTTLS leads to.
enum class ScriptedTls : std::uint8_t {
  absent,          ///< not offered
  good,            ///< offered and done
  refused,         ///< offered, answered 454
  broken,          ///< answered 220, then no TLS follows
  injecting,       ///< answered 220 with a command's reply behind it in clear
  injecting_later, ///< answered 220, and the command's reply comes in clear once the client has begun its handshake
  implicit,        ///< TLS from the first octet
};

struct SmtpScript {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0; ///< 0: the system chooses
  ScriptedTls tls = ScriptedTls::absent;
  std::shared_ptr<const tls::Context> context;
  std::vector<std::string> extensions{"PIPELINING",          "8BITMIME",    "SMTPUTF8", "DSN",
                                      "ENHANCEDSTATUSCODES", "SIZE 1000000"};
  /// Replies by step: "CONNECT", a verb, "." for the end of the data. "VERB#2" is the second of its kind on a
  /// connection, "VERB text" one whose argument holds the text. "<close>" closes without a reply, "<silent>" never
  /// answers; a reply that begins with 421 is followed by the end. "BODY", with any text, closes in the midst of the
  /// message.
  std::map<std::string, std::string> replies;
  /// The connection is closed behind the reply to so many messages; 0: never.
  std::size_t messages_per_connection = 0;
};

class SmtpFixture {
public:
  explicit SmtpFixture(SmtpScript script);
  ~SmtpFixture();
  SmtpFixture(const SmtpFixture &) = delete;
  SmtpFixture &operator=(const SmtpFixture &) = delete;

  struct Command {
    std::size_t connection = 0;
    bool tls = false;
    std::string line; ///< without CRLF
  };
  struct Message {
    std::size_t connection = 0;
    bool tls = false;
    std::vector<std::string> commands; ///< MAIL and RCPT lines that were accepted
    std::string body;                  ///< dots unstuffed
  };

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] std::size_t connections() const;
  [[nodiscard]] std::vector<Command> commands() const;
  [[nodiscard]] std::vector<Message> messages() const;
  /// Octets after DATA or BDAT, whether the message was completed or not.
  [[nodiscard]] std::size_t message_octets() const;
  /// How many commands begin with this verb.
  [[nodiscard]] std::size_t count(const std::string &verb) const;
  /// Names in the certificates that clients showed, in order.
  [[nodiscard]] std::vector<std::string> client_names() const;
  /// Blocks until so many connections have ended.
  void wait_until_ended(std::size_t connections);
  /// Blocks until a command with this verb has come.
  void wait_for(const std::string &verb);
  /// Replaces the script's replies for what comes from now on.
  void set_replies(std::map<std::string, std::string> replies);

private:
  struct Session;
  boost::asio::awaitable<void> listen();
  boost::asio::awaitable<void> serve(boost::asio::ip::tcp::socket socket, std::size_t number);
  /// False when the connection is to end.
  boost::asio::awaitable<bool> answer(Session &session, std::string step, std::string argument, std::string usual);
  boost::asio::awaitable<bool> start_tls(Session &session);
  boost::asio::awaitable<bool> take_data(Session &session);
  boost::asio::awaitable<bool> take_chunk(Session &session, std::string argument);
  boost::asio::awaitable<bool> finish_message(Session &session);
  boost::asio::awaitable<bool> command(Session &session, std::string line);
  [[nodiscard]] std::string reply_for(Session &session, const std::string &step, const std::string &argument,
                                      const std::string &usual);

  SmtpScript script_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t connections_ = 0;
  std::size_t ended_ = 0;
  std::size_t message_octets_ = 0;
  std::vector<Command> commands_;
  std::vector<Message> messages_;
  std::vector<std::string> client_names_;
  std::uint16_t port_ = 0;
  boost::asio::io_context context_{1};
  boost::asio::ip::tcp::acceptor acceptor_{context_};
  std::thread thread_;
};

} // namespace test
