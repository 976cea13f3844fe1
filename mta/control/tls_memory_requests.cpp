#include "mta/control/tls_memory_requests.hpp"

#include <algorithm>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/control/answers.hpp"
#include "smtp/base/text.hpp"
#include "smtp/names/domain.hpp"

namespace mta {

namespace {

namespace json = boost::json;

constexpr std::size_t memory_list_limit = 10'000;

json::value time_of(std::chrono::sys_seconds time) {
  if (time == std::chrono::sys_seconds{}) return nullptr;
  return json::value(time_text(std::chrono::system_clock::time_point(time)));
}

json::object describe(const RememberedDomain &remembered, bool detailed) {
  const DomainMemory &memory = remembered.memory;
  const bool fails = memory.failing_since != std::chrono::sys_seconds{};
  json::object object{{"domain", memory.domain},
                      {"best", tls::to_string(remembered.facts.best_version)},
                      {"authenticated", remembered.facts.authenticated},
                      {"always", remembered.facts.always},
                      {"protected", remembered.facts.protect},
                      {"rule", remembered.facts.rule},
                      {"held", fails && remembered.facts.protect}};
  object["first_tls"] = time_of(memory.first_tls);
  object["last_tls"] = time_of(memory.last_tls);
  object["last_clear"] = time_of(memory.last_clear);
  object["failing_since"] = time_of(memory.failing_since);
  if (fails) {
    object["failing_sessions"] = memory.failing_sessions;
    object["why"] = memory.failing_why;
  }
  if (memory.release) {
    json::object release{{"by", memory.release->by}, {"reason", memory.release->reason}};
    release["when"] = time_of(memory.release->when);
    object["release"] = std::move(release);
  }
  if (!detailed) return object;
  json::array hosts;
  for (const HostMemory &host : memory.hosts) {
    const bool had_tls = host.first_tls != std::chrono::sys_seconds{};
    json::object row{{"host", smtp::escape(host.name)}, {"authenticated", host.authenticated}};
    row["best"] = had_tls ? json::value(tls::to_string(host.best_version)) : json::value(nullptr);
    row["first_tls"] = time_of(host.first_tls);
    row["last_tls"] = time_of(host.last_tls);
    row["last_clear"] = time_of(host.last_clear);
    hosts.push_back(std::move(row));
  }
  object["hosts"] = std::move(hosts);
  return object;
}

json::object list(const TlsMemory &memory, const json::object &request) {
  std::size_t limit = memory_list_limit;
  if (const auto *value = request.if_contains("limit"); value && value->is_int64() && value->get_int64() > 0)
    limit = std::min(limit, static_cast<std::size_t>(value->get_int64()));
  const auto *failing = request.if_contains("failing");
  json::array rows;
  for (const auto &remembered : memory.list(limit, failing && failing->is_bool() && failing->get_bool()))
    rows.push_back(describe(remembered, false));
  json::object answer{{"ok", true}, {"total", memory.size()}};
  answer["domains"] = std::move(rows);
  return answer;
}

} // namespace

json::object answer_tls_memory(TlsMemory &memory, const json::object &request, const std::string &by) {
  const std::string action = text_of(request, "action");
  if (action == "list") return list(memory, request);
  // Whom the operator names comes beside whom the kernel names.
  std::string who = text_of(request, "by");
  who = who.empty() || who == by ? by : fmt::format("{} ({})", who, by);
  if (action == "accept-loss") {
    if (auto accepted = memory.accept_loss(text_of(request, "reason"), std::move(who)); !accepted)
      return failure(accepted.error().detail);
    return {{"ok", true}};
  }
  if (action != "show" && action != "release")
    return failure(fmt::format("unknown tls-memory action \"{}\"", smtp::escape(action)));
  const auto domain = smtp::Domain::parse(text_of(request, "domain"));
  if (!domain) return failure(domain.error().detail);
  if (action == "release") {
    if (auto released = memory.release(domain->ascii(), text_of(request, "reason"), std::move(who)); !released)
      return failure(released.error().detail);
  }
  const auto remembered = memory.show(domain->ascii());
  if (!remembered) return failure(fmt::format("{} is not remembered: no session with TLS was seen", domain->ascii()));
  json::object answer{{"ok", true}};
  answer["memory"] = describe(*remembered, true);
  return answer;
}

} // namespace mta
