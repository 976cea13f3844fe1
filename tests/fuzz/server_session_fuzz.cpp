// Fuzzes ServerSession: options, cuts, answers and interruptions come from the input; the order of actions is checked.
#include "smtp/session/server_session.hpp"

#include <cstdlib>

namespace {

/// Ends the run: an invariant does not hold.
void require(bool holds) {
  if (!holds) std::abort();
}

/// Input: one octet of options, then records: an octet that says what to do, and for octets to feed a length in front.
class Driver {
public:
  Driver(const std::uint8_t *data, std::size_t size) : input_(reinterpret_cast<const char *>(data), size) {}

  void run() {
    const auto flags = take();
    smtp::ServerOptions options;
    options.hostname = "mx.example.org";
    options.offer_starttls = (flags & 1) != 0;
    options.bare_lf = (flags & 2) != 0 ? smtp::BareLf::convert : smtp::BareLf::refuse;
    options.tls_from_start = (flags & 4) != 0;
    options.limits.text_line = (flags & 8) != 0 ? 20 : 8192;
    options.limits.message_size = (flags & 16) != 0 ? 50 : 100'000;
    options.limits.recipients = (flags & 32) != 0 ? 1 : 1000;
    options.limits.errors = (flags & 64) != 0 ? 2 : 100;
    limit_ = options.limits.message_size;
    in_tls_ = options.tls_from_start;
    smtp::ServerSession session(options);
    session.greet();
    if ((flags & 128) != 0) { // straight into a transaction, so that bodies are reached soon
      session.feed("EHLO c.example\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\n");
    }
    pump(session);
    while (!input_.empty()) {
      step(session);
      pump(session);
    }
    session.end_of_input();
    pump(session);
    require(closed_ || tls_);
  }

private:
  std::uint8_t take() {
    if (input_.empty()) return 0;
    const auto octet = static_cast<std::uint8_t>(input_.front());
    input_.remove_prefix(1);
    return octet;
  }

  void step(smtp::ServerSession &session) {
    const auto what = take();
    if (what < 240) { // mostly octets; the low values are their number
      const auto octets = input_.substr(0, what < 200 ? what + 1U : 4096U);
      input_.remove_prefix(octets.size());
      session.feed(octets);
    } else if (what < 246) {
      answers_ = what; // how questions are answered from here on
    } else if (what == 246) {
      session.refuse({421, smtp::EnhancedCode{4, 4, 2}, "too slow"});
    } else if (what == 247) {
      session.shut_down("shutting down");
    } else if (what == 248) {
      session.answer({250, {}, "nobody asked"});
    } else if (what == 249) {
      session.tls_done();
      in_tls_ = in_tls_ || tls_;
      tls_ = false;
    }
  }

  void pump(smtp::ServerSession &session) {
    for (std::size_t actions = 0;; ++actions) {
      require(actions < 100'000);
      auto action = session.next();
      if (std::holds_alternative<smtp::Wait>(action)) return;
      require(!closed_);
      require(!tls_ || std::holds_alternative<smtp::Close>(action) || std::holds_alternative<smtp::Send>(action));
      std::visit([&](auto &what) { on(session, what); }, action);
    }
  }

  smtp::Reply reply() {
    switch (answers_) {
    case 241: return {550, smtp::EnhancedCode{5, 7, 1}, "no"};
    case 242: return {451, smtp::EnhancedCode{4, 3, 0}, "later"};
    case 243: answers_ = 240; return {550, {}, "this time\nno"};
    case 244: return {421, {}, "busy"};
    default: return {250, smtp::EnhancedCode{2, 0, 0}, "ok"};
    }
  }

  void answer(smtp::ServerSession &session, const smtp::Reply &reply) {
    require(std::holds_alternative<smtp::Wait>(session.next())); // nothing goes on while a question is open
    require(!session.is_idle());
    session.answer(reply);
  }

  void on(smtp::ServerSession &, smtp::Wait &) {}
  void on(smtp::ServerSession &, smtp::Send &send) {
    require(send.octets.size() >= 5 && send.octets.ends_with("\r\n") && send.octets.size() < 20'000);
  }
  void on(smtp::ServerSession &, smtp::StartTls &) {
    require(!open_);
    tls_ = true;
  }
  void on(smtp::ServerSession &session, smtp::AskSender &ask) {
    recipients_ = 0;
    require(!ask.sender.parameters.requiretls || in_tls_);
    require(!open_ && !session.facts().helo.empty());
    answer(session, reply());
  }
  void on(smtp::ServerSession &session, smtp::AskRecipient &) {
    require(!open_);
    const auto given = reply();
    if (given.is_positive()) ++recipients_;
    answer(session, given);
  }
  void on(smtp::ServerSession &session, smtp::BeginBody &) {
    require(!open_ && recipients_ > 0);
    const auto given = reply();
    open_ = given.is_positive();
    size_ = 0;
    answer(session, given);
  }
  void on(smtp::ServerSession &, smtp::Body &body) {
    require(open_ && !body.octets.empty());
    for (const char c : body.octets) {
      require(c != '\0' && (c == '\n') == last_was_cr_); // CR only before LF, LF only behind CR
      last_was_cr_ = c == '\r';
    }
    size_ += body.octets.size();
    require(size_ <= limit_);
  }
  void on(smtp::ServerSession &session, smtp::AskMessage &ask) {
    require(open_ && ask.size == size_ && !last_was_cr_);
    open_ = false;
    recipients_ = 0;
    answer(session, reply());
  }
  void on(smtp::ServerSession &, smtp::AbortBody &) {
    require(open_);
    open_ = false;
    last_was_cr_ = false;
    recipients_ = 0;
  }
  void on(smtp::ServerSession &, smtp::Close &close) {
    require(!open_ && !close.reason.empty());
    closed_ = true;
  }

  std::string_view input_;
  std::uint8_t answers_ = 240;
  std::uint64_t limit_ = 0;
  std::uint64_t size_ = 0;
  std::size_t recipients_ = 0;
  bool open_ = false;
  bool tls_ = false; ///< StartTls was said
  bool in_tls_ = false;
  bool closed_ = false;
  bool last_was_cr_ = false;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  Driver(data, size).run();
  return 0;
}
