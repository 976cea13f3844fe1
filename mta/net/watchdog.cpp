#include "mta/net/watchdog.hpp"

#include <boost/asio/steady_timer.hpp>

namespace mta {

/// An intrusive list of what is watched. `cursor` is the watch that the running look visits next, so that a watch may
/// end while expire() is called.
struct Watchdog::State : std::enable_shared_from_this<Watchdog::State> {
  State(asio::io_context &context, std::chrono::milliseconds every) : timer(context), tick(every) {}

  void arm();
  void look();
  void add(Watch &watch);
  void remove(Watch &watch) noexcept;
  void end() noexcept;

  asio::steady_timer timer;
  std::chrono::milliseconds tick;
  Watch *first = nullptr;
  Watch *cursor = nullptr;
  bool armed = false;
  bool stopped = false;
};

void Watchdog::State::arm() {
  if (armed || stopped || first == nullptr) return;
  armed = true;
  timer.expires_after(tick);
  timer.async_wait([state = shared_from_this()](const boost::system::error_code &error) {
    state->armed = false;
    if (error || state->stopped) return;
    state->look();
    state->arm();
  });
}

void Watchdog::State::look() {
  const auto now = tls::Stream::Clock::now();
  cursor = first;
  while (cursor != nullptr) {
    tls::Stream &stream = cursor->stream_;
    cursor = cursor->next_;
    // Not cleared here: a deadline that passes between two operations must end the next one too.
    const auto deadline = stream.deadline();
    if (deadline && *deadline <= now) stream.expire();
  }
}

void Watchdog::State::add(Watch &watch) {
  watch.next_ = first;
  if (first != nullptr) first->previous_ = &watch;
  first = &watch;
  arm();
}

void Watchdog::State::remove(Watch &watch) noexcept {
  if (cursor == &watch) cursor = watch.next_;
  if (watch.next_ != nullptr) watch.next_->previous_ = watch.previous_;
  if (watch.previous_ != nullptr) watch.previous_->next_ = watch.next_;
  if (first == &watch) first = watch.next_;
}

void Watchdog::State::end() noexcept {
  stopped = true;
  for (Watch *watch = first; watch != nullptr; watch = watch->next_) watch->state_ = nullptr;
  first = nullptr;
  cursor = nullptr;
  timer.cancel();
}

Watchdog::Watchdog(asio::io_context &context, std::chrono::milliseconds tick)
    : state_(std::make_shared<State>(context, tick)) {}

Watchdog::~Watchdog() {
  state_->end();
}

void Watchdog::stop() {
  state_->stopped = true;
  state_->timer.cancel();
}

Watchdog::Watch::Watch(Watchdog &dog, tls::Stream &stream) : state_(dog.state_.get()), stream_(stream) {
  state_->add(*this);
}

Watchdog::Watch::~Watch() {
  if (state_ != nullptr) state_->remove(*this);
}

} // namespace mta
