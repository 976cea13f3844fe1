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

namespace detail {

/// Hands `begin` a callback that resumes the handler on its executor. The context of the coroutine must not run out of
/// work while another thread has the question, so that the callback holds a work guard.
template <typename T> struct StartCallback {
  asio::any_io_executor executor;

  template <typename Handler, typename Start> void operator()(Handler handler, Start begin) const {
    struct Waiting {
      Handler resume;
      asio::executor_work_guard<asio::any_io_executor> work;
    };
    auto waiting = std::make_shared<Waiting>(Waiting{std::move(handler), asio::make_work_guard(executor)});
    begin([waiting = std::move(waiting)](T value) mutable {
      auto target = waiting->work.get_executor();
      asio::post(target, [waiting = std::move(waiting), value = std::move(value)]() mutable {
        waiting->work.reset();
        std::move(waiting->resume)(std::move(value));
      });
    });
  }
};

} // namespace detail

/// Suspends the coroutine, calls `start` with a callback that any thread may call once, and resumes on the coroutine's
/// own executor with the value given. The callback may be called before `start` returns. The context must outlive the
/// callback.
template <typename T, typename Start> Task<T> await_callback(Start start) {
  detail::StartCallback<T> initiation{co_await asio::this_coro::executor};
  auto operation = asio::async_initiate<const asio::use_awaitable_t<>, void(T)>(std::move(initiation),
                                                                                asio::use_awaitable, std::move(start));
  co_return co_await std::move(operation);
}

} // namespace mta
