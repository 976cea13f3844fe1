#include "mta/control/user_names.hpp"

#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include <pwd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>

namespace mta {

namespace {

std::string find_in_user_database(unsigned uid) {
  std::vector<char> buffer(16'384);
  passwd entry{};
  passwd *found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return {};
  return entry.pw_name;
}

} // namespace

struct UserNames::State {
  using Clock = std::chrono::steady_clock;
  struct Answer {
    std::string name;
    Clock::time_point when;
  };
  Find find;
  std::mutex mutex;
  std::map<unsigned, Answer> answers;
  std::deque<unsigned> questions; ///< the first is being asked
  bool is_asking = false;

  static void ask_all(const std::shared_ptr<State> &self) {
    std::unique_lock lock(self->mutex);
    while (!self->questions.empty()) {
      const unsigned uid = self->questions.front();
      lock.unlock();
      std::string name = self->find(uid);
      lock.lock();
      self->questions.pop_front();
      if (self->answers.size() >= limit) self->answers.clear();
      self->answers[uid] = {name.empty() ? std::to_string(uid) : std::move(name), Clock::now()};
    }
    self->is_asking = false;
  }

  static void prepare(const std::shared_ptr<State> &self, unsigned uid) {
    const std::scoped_lock lock(self->mutex);
    const auto known = self->answers.find(uid);
    if (known != self->answers.end() && Clock::now() - known->second.when < lifetime) return;
    for (const unsigned asked : self->questions)
      if (asked == uid) return;
    if (self->questions.size() >= limit) return;
    self->questions.push_back(uid);
    if (self->is_asking) return;
    try {
      std::thread([self] { ask_all(self); }).detach(); // nobody waits for a user database that hangs
      self->is_asking = true;
    } catch (const std::system_error &) { // no thread to be had now
      self->questions.clear();
    }
  }

  [[nodiscard]] std::optional<std::string> known(unsigned uid) {
    const std::scoped_lock lock(mutex);
    const auto found = answers.find(uid);
    return found == answers.end() ? std::nullopt : std::optional(found->second.name);
  }
};

UserNames::UserNames(Find find) : state_(std::make_shared<State>()) {
  state_->find = find ? std::move(find) : find_in_user_database;
}

void UserNames::prepare(unsigned uid) {
  State::prepare(state_, uid);
}

Task<std::string> UserNames::name(unsigned uid) {
  const auto state = state_;
  State::prepare(state, uid);
  const auto until = State::Clock::now() + patience;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (auto wait = std::chrono::milliseconds(1);; wait *= 2) {
    if (auto known = state->known(uid)) co_return std::move(*known);
    if (State::Clock::now() >= until) break;
    timer.expires_at(std::min(State::Clock::now() + wait, until));
    const auto [error] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) break;
  }
  co_return std::to_string(uid);
}

} // namespace mta
