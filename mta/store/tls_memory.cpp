// Rows of the memory of TLS, in and out.
#include "mta/store/tls_memory.hpp"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "mta/store/connection.hpp"
#include "policy/mta_sts.hpp"

namespace mta::store {

using smtp::Result;
using std::chrono::sys_seconds;

namespace {

std::int64_t number_of(sys_seconds time) {
  return time.time_since_epoch().count();
}

std::string fingerprint_of(const DomainMemory &memory) {
  std::string text =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", memory.domain, number_of(memory.first_tls),
                  number_of(memory.last_tls), number_of(memory.last_clear), number_of(memory.always_since),
                  number_of(memory.failing_since), memory.failing_sessions, memory.failing_why, memory.was_let_go);
  if (memory.release)
    text += fmt::format("\n{}\n{}\n{}", number_of(memory.release->when), memory.release->reason, memory.release->by);
  for (const HostMemory &host : memory.hosts)
    text += fmt::format("\n{}\n{}\n{}\n{}\n{}\n{}", host.name, tls::to_string(host.best_version), host.authenticated,
                        number_of(host.first_tls), number_of(host.last_tls), number_of(host.last_clear));
  return policy::sts_fingerprint(text);
}

void put(Connection &connection, const DomainMemory &memory) {
  const std::string fingerprint = fingerprint_of(memory);
  const MemoryRelease release = memory.release.value_or(MemoryRelease{});
  connection.use("keep_tls_memory")
      .bind(memory.domain, memory.first_tls, memory.last_tls, memory.last_clear, memory.always_since,
            memory.failing_since, memory.failing_sessions, memory.failing_why, memory.was_let_go, release.when,
            release.reason, release.by, fingerprint)
      .run();
  connection.use("remove_tls_memory_hosts").bind(memory.domain).run();
  std::uint64_t number = 0;
  for (const HostMemory &host : memory.hosts) {
    const std::string version = tls::to_string(host.best_version);
    connection.use("add_tls_memory_host")
        .bind(memory.domain, number++, host.name, version, host.authenticated, host.first_tls, host.last_tls,
              host.last_clear)
        .run();
  }
}

/// What is none of them gives one that does not fit the fingerprint.
tls::Version version_of(std::string_view text) {
  for (const auto version : {tls::Version::tls1_1, tls::Version::tls1_2, tls::Version::tls1_3})
    if (text == tls::to_string(version)) return version;
  return tls::Version::tls1_0;
}

DomainMemory memory_at(const Query &row) {
  DomainMemory memory;
  memory.domain = row.text(0);
  memory.first_tls = row.time(1);
  memory.last_tls = row.time(2);
  memory.last_clear = row.time(3);
  memory.always_since = row.time(4);
  memory.failing_since = row.time(5);
  memory.failing_sessions = static_cast<std::uint64_t>(row.number(6));
  memory.failing_why = row.text(7);
  memory.was_let_go = row.number(8) != 0;
  if (row.number(9) != 0) memory.release = MemoryRelease{row.time(9), row.text(10), row.text(11)};
  return memory;
}

HostMemory host_at(const Query &row) {
  HostMemory host;
  host.name = row.text(1);
  host.best_version = version_of(row.text(2));
  host.authenticated = row.number(3) != 0;
  host.first_tls = row.time(4);
  host.last_tls = row.time(5);
  host.last_clear = row.time(6);
  return host;
}

StoredTlsMemory read_all(Connection &connection) {
  StoredTlsMemory out;
  std::unordered_map<std::string, std::vector<HostMemory>> hosts;
  for (auto row = connection.use("list_tls_memory_hosts"); row.next();) {
    auto &known = hosts[row.text(0)];
    if (known.size() < MemoryLimits::hosts) known.push_back(host_at(row));
  }
  for (auto row = connection.use("list_tls_memory"); row.next();) {
    DomainMemory memory = memory_at(row);
    if (const auto found = hosts.find(memory.domain); found != hosts.end()) memory.hosts = std::move(found->second);
    if (row.text(12) == fingerprint_of(memory) && !memory.domain.empty())
      out.domains.push_back(std::move(memory));
    else
      out.damaged.push_back(std::move(memory.domain));
  }
  auto damage = connection.use("find_tls_memory_damage");
  if (damage.next() && !damage.is_null(0)) out.damage = damage.time(0);
  return out;
}

} // namespace

bool keep_tls_memory(Store &store, const DomainMemory &memory) {
  constexpr std::size_t about = 512; // octets of a domain with its hosts
  return store.add([memory](Connection &connection) { put(connection, memory); }, about, Store::Weight::kept);
}

Result<void> keep_tls_memory_now(Store &store, const DomainMemory &memory) {
  return store.commit([&](Connection &connection) { put(connection, memory); });
}

void forget_tls_memory(Store &store, std::vector<std::string> domains) {
  static_cast<void>(store.add(
      [domains = std::move(domains)](Connection &connection) {
        for (const std::string &domain : domains) connection.use("remove_tls_memory").bind(domain).run();
      },
      0, Store::Weight::kept));
}

void forget_tls_memory_before(Store &store, sys_seconds time) {
  static_cast<void>(
      store.add([time](Connection &connection) { connection.use("remove_tls_memory_before").bind(time).run(); }, 0,
                Store::Weight::kept));
}

Result<StoredTlsMemory> read_tls_memory(Reader &reader) {
  StoredTlsMemory out;
  const auto asked = reader.ask([&](Connection &connection) { out = read_all(connection); });
  if (!asked && asked.error().code != smtp::ErrorCode::not_found) return tl::unexpected(asked.error());
  return out;
}

Result<void> note_tls_memory_damage(Store &store, sys_seconds now) {
  const std::string table = "tls_memory";
  return store.commit([&](Connection &connection) { connection.use("note_damage").bind(table, now).run(); });
}

Result<void> end_tls_memory_damage(Store &store) {
  return store.commit([](Connection &connection) { connection.use("end_tls_memory_damage").run(); });
}

} // namespace mta::store
