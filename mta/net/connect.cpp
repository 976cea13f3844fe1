#include "mta/net/connect.hpp"

#include <algorithm>

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "mta/base/descriptor_reserve.hpp"
#include "smtp/base/text.hpp"

namespace mta {

using asio::ip::tcp;
using boost::system::error_code;

namespace {

/// The attempts of one connect_to(); all on one thread. Its handlers own it.
struct Race {
  Race(asio::any_io_executor the_executor, std::vector<smtp::SocketAddress> the_addresses, ConnectOptions the_options,
       std::function<void(ConnectResult)> the_done)
      : executor(the_executor), addresses(std::move(the_addresses)), options(std::move(the_options)),
        done(std::move(the_done)), head_start(the_executor), deadline(the_executor) {
    sockets.resize(addresses.size());
  }
  asio::any_io_executor executor;
  std::vector<smtp::SocketAddress> addresses;
  ConnectOptions options;
  std::function<void(ConnectResult)> done;
  asio::steady_timer head_start;
  asio::steady_timer deadline;
  std::vector<std::optional<tcp::socket>> sockets; ///< by address; set while its attempt runs
  std::size_t next = 0;
  std::size_t running = 0;
  bool over = false;
  ConnectResult result;
};
using RacePointer = std::shared_ptr<Race>;

void finish(const RacePointer &race) {
  race->over = true;
  race->head_start.cancel();
  race->deadline.cancel();
  race->sockets.clear(); // ends the attempts that lost
  race->done(std::move(race->result));
}

void note_failure(Race &race, std::size_t index, std::string reason) {
  race.sockets[index].reset();
  race.result.failures.push_back({race.addresses[index], std::move(reason)});
}

std::string reason_of(const error_code &error) {
  std::string reason = error.message();
  if (!reason.empty()) reason.front() = smtp::to_lower(reason.front());
  return reason;
}

/// The same source for the same peer, so that greylisting there sees one client.
const smtp::IpAddress *source_for(const Race &race, const smtp::IpAddress &peer) {
  std::size_t count = 0;
  for (const auto &source : race.options.source_addresses) count += source.is_v6() == peer.is_v6() ? 1 : 0;
  if (count == 0) return nullptr;
  std::size_t sum = 0;
  for (const auto octet : peer.octets()) sum = sum * 31 + octet;
  std::size_t wanted = sum % count;
  for (const auto &source : race.options.source_addresses) {
    if (source.is_v6() != peer.is_v6()) continue;
    if (wanted-- == 0) return &source;
  }
  return nullptr;
}

error_code prepare(Race &race, std::size_t index, const tcp::endpoint &endpoint) {
  error_code error;
  tcp::socket &socket = race.sockets[index].emplace(race.executor);
  socket.open(endpoint.protocol(), error);
  if (error) return error;
  // The last descriptors are the spool's, the log's and the operator's.
  if (!DescriptorReserve::of_process().may_keep(socket.native_handle(), DescriptorUse::delivery))
    return boost::system::errc::make_error_code(boost::system::errc::too_many_files_open);
  if (const auto *source = source_for(race, race.addresses[index].address))
    socket.bind(to_endpoint({*source, 0}), error);
  return error;
}

/// Starts the next attempt that can be started; ends the race when none is left and none runs.
void start_next(const RacePointer &race) {
  while (!race->over && race->next < race->addresses.size()) {
    const std::size_t index = race->next++;
    const auto endpoint = to_endpoint(race->addresses[index]);
    if (const auto error = prepare(*race, index, endpoint)) {
      note_failure(*race, index, reason_of(error));
      continue;
    }
    ++race->running;
    race->sockets[index]->async_connect(endpoint, [race, index](const error_code &error) {
      if (race->over) return;
      --race->running;
      if (error) {
        note_failure(*race, index, reason_of(error));
        race->head_start.cancel();
        start_next(race);
        return;
      }
      race->result.socket = std::move(*race->sockets[index]);
      race->result.address = race->addresses[index];
      finish(race);
    });
    if (race->next < race->addresses.size()) {
      race->head_start.expires_after(race->options.head_start);
      race->head_start.async_wait([race](const error_code &error) {
        if (!error && !race->over) start_next(race);
      });
    }
    return;
  }
  if (!race->over && race->running == 0) finish(race);
}

void start_deadline(const RacePointer &race) {
  race->deadline.expires_after(race->options.timeout);
  race->deadline.async_wait([race](const error_code &error) {
    if (error || race->over) return;
    const double seconds = std::chrono::duration<double>(race->options.timeout).count();
    for (std::size_t index = 0; index < race->sockets.size(); ++index)
      if (race->sockets[index]) note_failure(*race, index, fmt::format("no answer in {:g} s", seconds));
    finish(race);
  });
}

} // namespace

tcp::endpoint to_endpoint(const smtp::SocketAddress &address) {
  const auto &octets = address.address.octets();
  if (address.address.is_v6()) {
    asio::ip::address_v6::bytes_type bytes{};
    std::copy(octets.begin(), octets.end(), bytes.begin());
    return {asio::ip::address_v6(bytes), address.port};
  }
  asio::ip::address_v4::bytes_type bytes{};
  std::copy_n(octets.begin(), bytes.size(), bytes.begin());
  return {asio::ip::address_v4(bytes), address.port};
}

std::vector<smtp::SocketAddress> alternate_families(std::vector<smtp::SocketAddress> addresses) {
  // RFC 8305 section 4: interleave the families, one of each in turn.
  if (addresses.size() < 2) return addresses;
  const bool first_is_v6 = addresses.front().address.is_v6();
  std::vector<smtp::SocketAddress> first;
  std::vector<smtp::SocketAddress> second;
  for (auto &address : addresses) (address.address.is_v6() == first_is_v6 ? first : second).push_back(address);
  std::vector<smtp::SocketAddress> ordered;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) ordered.push_back(first[i]);
    if (i < second.size()) ordered.push_back(second[i]);
  }
  return ordered;
}

Task<ConnectResult> connect_to(std::vector<smtp::SocketAddress> addresses, ConnectOptions options) {
  auto executor = co_await asio::this_coro::executor;
  auto ordered = alternate_families(std::move(addresses));
  auto start = [&executor, &ordered, &options](std::function<void(ConnectResult)> done) {
    auto race = std::make_shared<Race>(executor, std::move(ordered), std::move(options), std::move(done));
    start_deadline(race);
    start_next(race);
  };
  auto result = co_await await_callback<ConnectResult>(start);
  co_return result;
}

std::string format_failures(const std::vector<ConnectFailure> &failures) {
  std::string text;
  for (const auto &failure : failures) {
    if (!text.empty()) text += "; ";
    text += fmt::format("{}: {}", failure.address.address.to_string(), failure.reason);
  }
  return text;
}

} // namespace mta
