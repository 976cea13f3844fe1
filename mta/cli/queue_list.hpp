// list_queue: the list of the queue for the operator's commands, fetched answer by answer, for one holds no long queue.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>

#include <boost/json/object.hpp>

namespace mta::cli {

/// Messages that a command lists unless it is told otherwise.
inline constexpr std::size_t usual_list_limit = 10'000;

/// Asks {"command":"queue","action":"list"} with the filters of `request` until `limit` messages are there or no more
/// fit. "messages", "total" (how many fit) and "more" (how many of them are not among the messages). Nothing: `ask`
/// gave nothing.
[[nodiscard]] std::optional<boost::json::object>
list_queue(boost::json::object request, std::size_t limit,
           const std::function<std::optional<boost::json::object>(const boost::json::object &)> &ask);

} // namespace mta::cli
