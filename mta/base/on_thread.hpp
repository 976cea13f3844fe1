// on_thread, give_way: how the main thread lets others have their turn while a disk or a long look is waited for.
#pragma once

#include <utility>

#include "mta/base/async.hpp"

namespace mta {

/// What `act` returns, which runs on `executor` (none: here). What it refers to must outlive it. The act and the task
/// are to have names of their own where this is called: g++ 12 destroys temporaries of a co_await too early.
template <typename T, typename Act> Task<T> on_thread(asio::any_io_executor executor, Act act) {
  if (!executor) co_return act();
  const auto begin = [&](auto done) {
    asio::post(executor, [act = std::move(act), done = std::move(done)]() mutable { done(act()); });
  };
  auto result = co_await await_callback<T>(begin);
  co_return result;
}

/// Lets what else waits on the executor have its turn.
inline Task<> give_way() {
  const auto executor = co_await asio::this_coro::executor;
  co_await asio::post(executor, asio::use_awaitable);
}

} // namespace mta
