#include "mta/cli/queue_list.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

#include <boost/json/array.hpp>

#include "mta/cli/command.hpp"

namespace mta::cli {

std::optional<boost::json::object>
list_queue(boost::json::object request, std::size_t limit,
           const std::function<std::optional<boost::json::object>(const boost::json::object &)> &ask) {
  request["limit"] = limit;
  auto answer = ask(request);
  if (!answer || !answer->contains("messages") || !answer->at("messages").is_array()) return answer;
  auto &messages = answer->at("messages").as_array();
  std::string next = text_at(*answer, "next");
  while (!next.empty() && messages.size() < limit) {
    request["from"] = next;
    request["limit"] = limit - messages.size();
    auto part = ask(request);
    if (!part) return std::nullopt;
    if (const auto *rows = part->if_contains("messages"); rows != nullptr && rows->is_array())
      for (const auto &row : rows->get_array()) messages.push_back(row);
    next = text_at(*part, "next");
  }
  // The queue moves on between two answers.
  const auto shown = static_cast<std::int64_t>(messages.size());
  const auto total = next.empty() ? shown : std::max(shown, number_at(*answer, "total"));
  (*answer)["total"] = total;
  answer->erase("next");
  answer->erase("more");
  if (total > shown) (*answer)["more"] = total - shown;
  return answer;
}

} // namespace mta::cli
