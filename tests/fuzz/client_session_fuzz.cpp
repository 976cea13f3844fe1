// A server that says anything, in any cut: the client ends or waits, and calls nobody delivered before its message has
// left.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/session/client_session.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

smtp::Transaction some_transaction(unsigned flags) {
  smtp::Transaction transaction;
  transaction.sender.path = smtp::ReversePath(smtp::Mailbox::parse("a@example.org").value());
  for (unsigned i = 0; i < flags % 3 + 1; ++i)
    transaction.recipients.push_back({smtp::Mailbox::parse("b" + std::to_string(i) + "@x.example").value(), {}});
  transaction.recipients[0].parameters.notify = {
      .given = true, .never = false, .success = true, .failure = false, .delay = false};
  transaction.size = 20;
  transaction.sender.parameters.requiretls = (flags & 2) != 0;
  transaction.has_8bit = (flags & 8) != 0;
  transaction.needs_smtputf8 = (flags & 16) != 0;
  return transaction;
}

/// What the session does with its server's words.
class Run {
public:
  explicit Run(unsigned flags)
      : flags_(flags), session_({.hostname = "c.example", .starttls = static_cast<smtp::StartTlsUse>(flags / 32 % 3)}) {
  }

  void feed(std::string_view octets) {
    session_.feed(octets);
    go();
  }
  void end() {
    session_.end_of_input();
    require(go()); // nothing may be waited for any more
  }

private:
  void judge(const std::vector<smtp::RecipientOutcome> &outcomes, bool with_failure) {
    if (outcomes.empty()) return;
    require(outcomes.size() == open_);
    open_ = 0;
    for (const auto &outcome : outcomes)
      if (outcome.kind == smtp::RecipientOutcome::Kind::delivered)
        require(!with_failure && message_left_ && !outcome.local && outcome.reply.is_positive());
  }
  void begin_or_quit() {
    if (begun_ == 3) return session_.quit();
    auto transaction = some_transaction(flags_ + begun_++);
    open_ = transaction.recipients.size();
    message_left_ = false;
    session_.begin(std::move(transaction));
  }
  /// True when the session is over.
  bool go() {
    for (int i = 0; i < 10'000; ++i) {
      auto action = session_.next();
      if (auto *send = std::get_if<smtp::ClientSend>(&action)) {
        require(!send->octets.empty());
        message_left_ = message_left_ || send->octets.ends_with("\r\n.\r\n") || send->octets.starts_with("BDAT");
      } else if (std::holds_alternative<smtp::ClientStartTls>(action)) {
        session_.tls_done();
      } else if (std::holds_alternative<smtp::ClientReady>(action)) {
        begin_or_quit();
      } else if (std::holds_alternative<smtp::ClientNeedBody>(action)) {
        session_.give_body((flags_ & 4) != 0 ? "bad\n" : "Subject: x\r\n\r\n.hi\r\n", true);
      } else if (auto *done = std::get_if<smtp::TransactionDone>(&action)) {
        require(!done->outcomes.empty());
        judge(done->outcomes, false);
        begin_or_quit();
      } else if (auto *failed = std::get_if<smtp::ClientFailed>(&action)) {
        require(!failed->detail.empty() && (open_ == 0 || !failed->outcomes.empty()));
        judge(failed->outcomes, true);
        return true;
      } else if (std::holds_alternative<smtp::ClientClosed>(action)) {
        return true;
      } else {
        return false;
      }
    }
    std::abort(); // endless
  }

  unsigned flags_;
  smtp::ClientSession session_;
  unsigned begun_ = 0;
  std::size_t open_ = 0;
  bool message_left_ = false;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t cut = data[1] == 0 ? size : data[1];
  std::string_view words(reinterpret_cast<const char *>(data) + 2, size - 2);
  Run run(data[0]);
  while (!words.empty()) {
    // 0x1E ends a feed before its time, so that the fuzzer can place its replies.
    auto part = words.substr(0, std::min(words.find('\x1e'), cut));
    run.feed(part);
    words.remove_prefix(std::min(words.size(), part.size() + (part.size() < cut ? 1U : 0U)));
  }
  run.end();
  return 0;
}
