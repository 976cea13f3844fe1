// Task and the one place where mta includes Asio: names for coroutines, executors, and results that cross threads.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace mta {

namespace asio = boost::asio;

template <typename T = void> using Task = asio::awaitable<T>;

/// Suspends the coroutine, calls `start` with a callback that any thread may call once, and resumes on the coroutine's own
/// executor with the value given. The callback may be called before `start` returns.
template <typename T, typename Start> Task<T> await_callback(Start start) {
  auto executor = co_await asio::this_coro::executor;
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(T)>(
      [executor](auto handler, Start begin) {
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        auto work = std::make_shared<std::optional<decltype(asio::prefer(executor, asio::execution::outstanding_work.tracked))>>(
            asio::prefer(executor, asio::execution::outstanding_work.tracked));
        begin([shared, executor, work](T value) {
          asio::post(executor, [shared, work, value = std::move(value)]() mutable {
            work->reset();
            std::move (*shared)(std::move(value));
          });
        });
      },
      asio::use_awaitable, std::move(start));
}

} // namespace mta
