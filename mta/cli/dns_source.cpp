// DnsSource: see the header.
#include "mta/cli/dns_source.hpp"

#include <chrono>

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>

#include "mta/auth/dns_fetch.hpp"
#include "mta/cli/files.hpp"

namespace mta::cli {

namespace {

constexpr std::size_t zone_limit = std::size_t{64} * 1024 * 1024;
constexpr auto round_limit = std::chrono::seconds(20);

AnswerAll answers_of(const std::shared_ptr<const Zone> &zone) {
  return [zone](auth::DnsFacts &facts) { zone->answer_all(facts); };
}

} // namespace

/// A resolver with an event loop of its own, run while there are questions.
class LiveDns {
public:
  static smtp::Result<std::unique_ptr<LiveDns>> open(const DnsConfig &config) {
    auto dns = std::make_unique<LiveDns>();
    auto resolver = make_resolver(config, dns->context_.get_executor());
    if (!resolver) return tl::unexpected(resolver.error());
    dns->resolver_ = std::move(*resolver);
    return dns;
  }
  void answer_all(auth::DnsFacts &facts) {
    context_.restart();
    bool done = false;
    asio::co_spawn(context_, fetch_missing(*resolver_, facts, std::chrono::steady_clock::now() + round_limit),
                   [&](const std::exception_ptr & /*thrown*/) {
                     done = true;
                     context_.stop();
                   });
    const auto work = asio::make_work_guard(context_);
    while (!done) context_.run_one();
  }

private:
  asio::io_context context_{1};
  std::unique_ptr<Resolver> resolver_;
};

DnsSource::DnsSource(std::function<DnsConfig()> config) : config_(std::move(config)) {}

DnsSource::~DnsSource() = default;

smtp::Result<AnswerAll> DnsSource::from_file(const std::string &path) {
  if (path.empty()) return live();
  if (path != zone_path_ || !zone_) {
    const auto text = read_input(path, zone_limit);
    if (!text) return tl::unexpected(text.error());
    auto zone = Zone::parse(*text);
    if (!zone) return smtp::fail(zone.error().code, fmt::format("{}: {}", path, zone.error().detail));
    zone_ = std::make_shared<const Zone>(std::move(*zone));
    zone_path_ = path;
  }
  return answers_of(zone_);
}

AnswerAll DnsSource::from_zone(Zone zone) {
  return answers_of(std::make_shared<const Zone>(std::move(zone)));
}

smtp::Result<AnswerAll> DnsSource::live() {
  if (!live_) {
    auto opened = LiveDns::open(config_());
    if (!opened) return tl::unexpected(opened.error());
    live_ = std::move(*opened);
  }
  return AnswerAll([this](auth::DnsFacts &facts) { live_->answer_all(facts); });
}

} // namespace mta::cli
