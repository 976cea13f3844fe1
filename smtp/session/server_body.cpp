// Message bodies of a server session: DATA and BDAT, refusals that read on to the end, and chunks that nobody wants.
#include "smtp/session/server_impl.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace smtp {

namespace {

/// A refused body is read this many times the message limit, so that a client hears the reply, then the connection is
/// closed.
constexpr std::uint64_t drain_factor = 4;
constexpr std::uint64_t least_drain = 1'048'576;

} // namespace

Reply ServerSession::Impl::too_big() const {
  return Reply{552, EnhancedCode{5, 3, 4},
               fmt::format("the message is too big, limit is {} octets", options_.limits.message_size)};
}

std::uint64_t ServerSession::Impl::drain_limit() const noexcept {
  const auto size = options_.limits.message_size;
  return size > UINT64_MAX / (2 * drain_factor) ? UINT64_MAX : drain_factor * size + least_drain;
}

void ServerSession::Impl::begin_body(const BodyQuestion &question) {
  const auto framing = question.chunk ? Framing::counted : Framing::dot;
  ReceivingBody body(DataDecoder(framing, options_.bare_lf, options_.limits.text_line));
  if (question.chunk) {
    body.chunked = true;
    body.chunk = *question.chunk;
    body.chunk_left = question.chunk->size;
  } else {
    reply(Reply{354, std::nullopt, "send the message, end it with <CRLF>.<CRLF>"});
  }
  state_ = std::move(body);
  body_open_ = true;
}

/// RFC 3030 section 2: the octets of a refused chunk follow nevertheless, and are not commands.
void ServerSession::Impl::refuse_chunk(const ChunkCommand &chunk, const Reply &refusal) {
  if (chunk.size > drain_limit()) {
    reply(refusal);
    return close("a refused chunk is too big to be read to its end");
  }
  swallow_ = Swallow{chunk.size, refusal, std::string(about_line_.substr(0, 100))};
}

bool ServerSession::Impl::step_swallow() {
  const auto taken = std::min<std::uint64_t>(swallow_->octets, unread().size());
  consumed_ += static_cast<std::size_t>(taken);
  swallow_->octets -= taken;
  if (swallow_->octets > 0) return false;
  const auto refusal = std::move(swallow_->reply);
  const std::string line = std::move(swallow_->line);
  swallow_.reset();
  about_line_ = line;
  refuse(refusal);
  about_line_ = {};
  if (refusal.code == 421) close("421 was the answer");
  return true;
}

/// Reads a message with a bare CR or LF in it on to its end, so that the client, which sends first and listens later,
/// hears why it is refused. Lines may end in anything here: a client that writes LF alone ends its message so, and
/// waits. Taking an end too soon does no harm, since nothing behind it is run.
bool ServerSession::Impl::step_closing_body(ReceivingBody &body) {
  const auto input = unread();
  std::size_t taken = 0;
  bool at_end = false;
  while (taken < input.size() && !at_end) {
    const char c = input[taken++];
    const bool line_end = c == '\r' || c == '\n';
    at_end = line_end && body.lone_dot;
    body.lone_dot = body.at_line_start && c == '.';
    body.at_line_start = line_end;
  }
  consumed_ += taken;
  body.drained += taken;
  if (!at_end && body.drained <= drain_limit()) return false;
  const Reply refusal = *body.refusal;
  reply(refusal);
  close(std::string(body.closing));
  return true;
}

bool ServerSession::Impl::step_body() {
  auto &body = std::get<ReceivingBody>(state_);
  if (!body.closing.empty()) return step_closing_body(body);
  auto input = unread();
  if (body.chunked) input = input.substr(0, std::min<std::uint64_t>(input.size(), body.chunk_left));
  const auto available = input.size();
  const auto step = body.decoder.next(input);
  const auto taken = available - input.size();
  consumed_ += taken;
  if (body.chunked) body.chunk_left -= taken;
  if (body.refusal) body.drained += taken;
  // The decoder leaves what it refuses in the input, but for a lone dot and its LF.
  body.lone_dot = taken > 0 && input_[consumed_ - 1] == '\n';
  return take(body, step);
}

bool ServerSession::Impl::take(ReceivingBody &body, const DataStep &step) {
  switch (step.event) {
  case DataEvent::octets: {
    const auto limit = options_.limits.message_size;
    if (limit > 0 && step.octets.size() > limit - body.size) {
      refuse_body(body, too_big());
      return true;
    }
    body.size += step.octets.size();
    actions_.emplace_back(Body{step.octets});
    return true;
  }
  case DataEvent::line_too_long:
    refuse_body(body, Reply{554, EnhancedCode{5, 6, 0},
                            fmt::format("a line is too long, limit is {} octets", options_.limits.text_line)});
    return true;
  case DataEvent::nul:
    refuse_body(body, Reply{554, EnhancedCode{5, 6, 0}, "the message has a NUL octet, which mail must not have"});
    return true;
  case DataEvent::bare_cr:
  case DataEvent::bare_lf: refuse_bare_line_end(body, step.event == DataEvent::bare_cr); return true;
  case DataEvent::end: end_message(body); return true;
  case DataEvent::need_more: break;
  }
  if (body.refusal && body.drained > drain_limit()) {
    const auto refusal = *body.refusal;
    reply(refusal);
    close("a refused message did not end");
    return true;
  }
  if (!body.chunked || body.chunk_left > 0) return false;
  end_chunk(body);
  return true;
}

/// What follows could be meant as data or as commands: none of it is run.
void ServerSession::Impl::refuse_bare_line_end(ReceivingBody &body, bool cr) {
  refuse_body(body,
              Reply{554, EnhancedCode{5, 6, 0},
                    fmt::format("bare {} in the message: lines end in CRLF; the connection closes", cr ? "CR" : "LF")});
  body.closing = cr ? "bare CR in data" : "bare LF in data";
  body.at_line_start = true;
  const bool lone_dot = std::exchange(body.lone_dot, false) && !cr;
  // A lone dot and the LF behind it: an end, as this client writes it, and it waits for the reply now. A chunk has no
  // end to look for: the edge listens on after the reply.
  if (!lone_dot && !body.chunked) return;
  const Reply refusal = *body.refusal;
  reply(refusal);
  close(std::string(body.closing));
}

void ServerSession::Impl::refuse_body(ReceivingBody &body, Reply refusal) {
  abort_body();
  body.refusal = std::move(refusal);
  body.decoder.discard();
}

void ServerSession::Impl::end_chunk(ReceivingBody &body) {
  if (body.refusal) return end_message(body); // at the end of this chunk: later ones are out of sequence
  if (!body.chunk.last) {
    body.reading = false;
    return reply(250, {2, 0, 0}, fmt::format("{} octets taken", body.chunk.size));
  }
  // A final CRLF that was missing is handed out first; the next step comes here again and finds the end.
  (void)take(body, body.decoder.finish());
}

void ServerSession::Impl::end_message(ReceivingBody &body) {
  if (body.refusal) {
    const auto refusal = std::move(*body.refusal);
    state_ = Greeted{};
    return refuse(refusal);
  }
  question_ = MessageQuestion{};
  actions_.emplace_back(AskMessage{body.size});
}

} // namespace smtp
