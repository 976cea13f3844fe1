// InboundFixture: a real InboundServer on loopback with a spool in memory, and certificates made for it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "mta/config/snapshot.hpp"
#include "mta/inbound/server.hpp"
#include "tests/support/log_capture.hpp"
#include "tests/support/memory_spool.hpp"
#include "tests/support/smtp_client.hpp"
#include "tests/support/temp_folder.hpp"
#include "tls/certificate.hpp"

namespace support {

/// Self-signed certificates in a folder that lives as long as the process.
class Certificates {
public:
  static const Certificates &instance() {
    static const Certificates certificates;
    return certificates;
  }
  tls::KeyPairFiles server;   ///< mx.example.org
  tls::KeyPairFiles client;   ///< gateway.partner.example
  tls::KeyPairFiles stranger; ///< gateway.partner.example too, but made by somebody else
  tls::KeyPairFiles other;    ///< other.example

  Certificates(const Certificates &) = delete;
  Certificates &operator=(const Certificates &) = delete;

private:
  Certificates() {
    server = make("server", "mx.example.org");
    client = make("client", "gateway.partner.example");
    stranger = make("stranger", "gateway.partner.example");
    other = make("other", "other.example");
  }
  [[nodiscard]] tls::KeyPairFiles make(const std::string &file, const std::string &name) const {
    const auto pem = tls::make_self_signed(tls::KeyType::ec_p256, {name}, std::chrono::days(30));
    if (!pem) throw std::runtime_error(pem.error().detail);
    const std::string base = folder_.file(file);
    std::ofstream(base + ".pem") << pem->certificate;
    std::ofstream(base + ".key") << pem->key;
    std::filesystem::permissions(base + ".key", std::filesystem::perms::owner_read);
    return {.certificate = base + ".pem", .key = base + ".key"};
  }
  ::test::TempFolder folder_;
};

/// The configuration that tests start from: one listener on a free port, example.org and bücher.example with the
/// recipients of tests/dialog/README.md.
inline mta::Config base_config() {
  mta::Config config;
  config.file = "portcullis.toml";
  config.server.hostname = "mx.example.org";
  config.limits.connection_rate = 1'000'000;
  config.limits.connections_per_address = 100'000;
  config.limits.connections_per_network = 100'000;
  config.certificates.push_back(
      {.name = "main", .files = Certificates::instance().server, .place = "portcullis.toml:1"});
  mta::ListenerConfig listener;
  listener.name = "test";
  listener.place = "portcullis.toml:2";
  listener.addresses.push_back(smtp::SocketAddress::parse("127.0.0.1:0", 0).value());
  config.listeners.push_back(std::move(listener));
  for (const char *name : {"example.org", "bücher.example"}) {
    mta::DomainConfig domain{
        .domain = smtp::Domain::parse(name).value(),
        .catch_all = false,
        .recipients = {"alice", "bob", "carol", "postmaster", "abuse", "jörg", "quoted user", "a>b"},
        .recipients_file = "",
        .route = std::nullopt,
        .place = "portcullis.toml:3"};
    const std::string key = domain.domain.ascii();
    config.domains.emplace(key, std::move(domain));
  }
  config.authentication.enabled = false; // tests of the checks switch them on, with answers from their resolver
  config.authentication.authserv_id = config.server.hostname;
  config.queue.postmaster = smtp::Mailbox::parse("postmaster@example.org").value();
  return config;
}

class InboundFixture {
public:
  explicit InboundFixture(mta::Config config = base_config(), mta::InboundOptions options = {}, std::size_t threads = 2,
                          mta::Resolver *resolver = nullptr)
      : workers_(threads) {
    auto shared = std::make_shared<const mta::Config>(std::move(config));
    auto snapshot = mta::Snapshot::build(shared, std::make_shared<tls::TicketKeys>());
    if (!snapshot) throw std::runtime_error(snapshot.error().detail);
    snapshot_.set(std::move(*snapshot));
    server_ = std::make_unique<mta::InboundServer>(
        mta::InboundServer::Services{.workers = workers_,
                                     .snapshot = snapshot_,
                                     .spool = spool,
                                     .log = log,
                                     .submit =
                                         [this](std::shared_ptr<mta::QueuedMessage> message) {
                                           const std::scoped_lock lock(mutex_);
                                           submitted_.push_back(std::move(message));
                                         }},
        options);
    if (const auto bound = server_->bind(*shared); !bound) throw std::runtime_error(bound.error().detail);
    workers_.start();
    server_->start(resolver, nullptr);
  }
  ~InboundFixture() {
    spool.release();
    workers_.stop();
    workers_.join();
  }
  InboundFixture(const InboundFixture &) = delete;
  InboundFixture &operator=(const InboundFixture &) = delete;

  [[nodiscard]] std::uint16_t port(std::size_t index = 0) const {
    const auto bound = server_->status().bound;
    return smtp::SocketAddress::parse(bound.at(index).address, 0).value().port;
  }
  [[nodiscard]] SmtpClient connect(const std::string &source = "127.0.0.1") const { return SmtpClient(port(), source); }
  /// Connected, greeted, EHLO said.
  [[nodiscard]] SmtpClient greeted(const std::string &source = "127.0.0.1") const {
    SmtpClient client(port(), source);
    client.reply();
    client.ask("EHLO client.example\r\n");
    return client;
  }
  /// As greeted(), inside TLS.
  [[nodiscard]] SmtpClient encrypted(const tls::KeyPairFiles *certificate = nullptr,
                                     const std::string &source = "127.0.0.1") const {
    SmtpClient client = greeted(source);
    client.ask("STARTTLS\r\n");
    if (!client.start_tls(certificate)) throw std::runtime_error("the handshake failed");
    client.ask("EHLO client.example\r\n");
    return client;
  }

  [[nodiscard]] std::vector<std::shared_ptr<mta::QueuedMessage>> submitted() const {
    const std::scoped_lock lock(mutex_);
    return submitted_;
  }
  [[nodiscard]] mta::InboundServer &server() { return *server_; }
  /// Puts another configuration in force.
  void reload(mta::Config config) {
    auto snapshot = mta::Snapshot::build(std::make_shared<const mta::Config>(std::move(config)),
                                         std::make_shared<tls::TicketKeys>());
    if (!snapshot) throw std::runtime_error(snapshot.error().detail);
    snapshot_.set(std::move(*snapshot));
  }

  MemorySpool spool;
  LogCapture log;

private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<mta::QueuedMessage>> submitted_;
  mta::CurrentSnapshot snapshot_;
  mta::Workers workers_;
  std::unique_ptr<mta::InboundServer> server_;
};

} // namespace support
