#include "mta/tally/tls_memory_row.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "mta/tally/row_octets.hpp"

namespace mta {

namespace {

constexpr std::uint64_t memory_row_version = 1;
constexpr std::uint64_t longest = std::numeric_limits<std::int64_t>::max() / 2;

void write_time(RowWriter &out, std::chrono::sys_seconds time) {
  out.number(static_cast<std::uint64_t>(std::max<std::int64_t>(time.time_since_epoch().count(), 0)));
}

std::chrono::sys_seconds read_time(RowReader &in, std::string_view field) {
  return std::chrono::sys_seconds(std::chrono::seconds(static_cast<std::int64_t>(in.number(field, longest))));
}

} // namespace

std::string encode_memory(const DomainMemory &memory) {
  RowWriter out;
  out.number(memory_row_version);
  out.text(memory.domain, MemoryLimits::name);
  for (const auto time :
       {memory.first_tls, memory.last_tls, memory.last_clear, memory.always_since, memory.failing_since})
    write_time(out, time);
  out.number(memory.failing_sessions);
  out.text(memory.failing_why, MemoryLimits::reason);
  out.number(memory.was_let_go);
  out.number(memory.release.has_value());
  if (memory.release) {
    write_time(out, memory.release->when);
    out.text(memory.release->reason, MemoryLimits::reason);
    out.text(memory.release->by, MemoryLimits::name);
  }
  const std::size_t hosts = std::min(memory.hosts.size(), MemoryLimits::hosts);
  out.number(hosts);
  for (std::size_t i = memory.hosts.size() - hosts; i < memory.hosts.size(); ++i) {
    const HostMemory &host = memory.hosts[i];
    out.text(host.name, MemoryLimits::name);
    out.word(host.best_version);
    out.number(host.authenticated);
    for (const auto time : {host.first_tls, host.last_tls, host.last_clear}) write_time(out, time);
  }
  return std::move(out).take();
}

smtp::Result<DomainMemory> decode_memory(std::string_view octets) {
  RowReader in(octets);
  if (const auto version = in.number("version", longest); version != memory_row_version)
    in.fail(fmt::format("version is {}, known is {}", version, memory_row_version));
  DomainMemory memory;
  memory.domain = in.text("domain", MemoryLimits::name);
  memory.first_tls = read_time(in, "first TLS");
  memory.last_tls = read_time(in, "last TLS");
  memory.last_clear = read_time(in, "last clear");
  memory.always_since = read_time(in, "always since");
  memory.failing_since = read_time(in, "failing since");
  memory.failing_sessions = in.number("failing sessions", longest);
  memory.failing_why = in.text("why", MemoryLimits::reason);
  memory.was_let_go = in.truth("let go");
  if (in.truth("released")) {
    memory.release.emplace();
    memory.release->when = read_time(in, "release");
    memory.release->reason = in.text("reason", MemoryLimits::reason);
    memory.release->by = in.text("operator", MemoryLimits::name);
  }
  for (auto left = in.number("host count", MemoryLimits::hosts); left > 0; --left) {
    HostMemory host;
    host.name = in.text("host", MemoryLimits::name);
    host.best_version = in.word("version of TLS", tls::Version::tls1_3);
    host.authenticated = in.truth("authenticated");
    host.first_tls = read_time(in, "first TLS of the host");
    host.last_tls = read_time(in, "last TLS of the host");
    host.last_clear = read_time(in, "last clear of the host");
    memory.hosts.push_back(std::move(host));
  }
  if (in.error().empty() && !in.is_at_end()) in.fail("octets after the last field");
  if (in.error().empty() && memory.domain.empty()) in.fail("domain is empty");
  if (!in.error().empty()) return smtp::fail(smtp::ErrorCode::bad_syntax, "memory: " + in.error());
  return memory;
}

} // namespace mta
