// OutboundFixture: a Delivery with fake DNS, fake spool and a log that keeps its events, towards scripted servers.
#pragma once

#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "mta/outbound/delivery.hpp"
#include "tests/support/fake_resolver.hpp"
#include "tests/support/memory_spool.hpp"
#include "tests/support/smtp_fixture.hpp"
#include "tests/support/test_ca.hpp"

namespace test {

class RecordingLog : public mta::MailLog {
public:
  void write(const mta::Event &event) override {
    const std::lock_guard lock(mutex_);
    std::map<std::string, std::string> fields{{"event", event.name()}};
    for (const auto &field : event.fields()) fields[field.key] = field.value;
    events_.push_back(std::move(fields));
  }
  void reopen() override {}
  void flush() override {}
  /// The events of this name, in order.
  [[nodiscard]] std::vector<std::map<std::string, std::string>> events(const std::string &name) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::map<std::string, std::string>> found;
    for (const auto &event : events_)
      if (event.at("event") == name) found.push_back(event);
    return found;
  }

private:
  mutable std::mutex mutex_;
  std::vector<std::map<std::string, std::string>> events_;
};

class OutboundTest : public testing::Test {
protected:
  using Kind = mta::RecipientResult::Kind;

  OutboundTest() {
    config.server.hostname = "out.example";
    config.outbound.connect_timeout = std::chrono::seconds(5);
    config.outbound.idle_timeout = std::chrono::seconds(60);
    config.outbound.allow_private_addresses = config.outbound.allow_loopback_addresses = true;
  }
  ~OutboundTest() override {
    if (delivery) delivery->shut_down(std::chrono::seconds(0));
    workers->join();
    delivery.reset();
  }

  /// The MX of the domain is this server, under this name.
  void point(const std::string &domain, const std::string &host, const SmtpFixture &server,
             const std::string &address = "127.0.0.1", std::uint16_t preference = 10) {
    config.outbound.port = server.port();
    dns.add_mx(domain, preference, host);
    dns.add_address(host, address);
  }

  policy::Partner &add_partner(const std::string &domain, tls::Level level) {
    partners.push_back({});
    auto &partner = partners.back();
    partner.name = "Partner " + domain;
    partner.file = "partners.d/" + domain + ".toml";
    partner.domains.push_back(smtp::DomainPattern::parse(domain).value());
    partner.outbound.emplace();
    partner.outbound->level = level;
    partner.outbound->profile = "internet";
    partner.outbound->place = partner.file + ":5";
    return partner;
  }

  /// Puts the configuration in force; again: a reload.
  void apply_config() {
    auto built = mta::Config(config);
    built.partners = policy::PartnerTable::build(partners).value();
    auto made = mta::Snapshot::build(std::make_shared<const mta::Config>(std::move(built)),
                                     std::make_shared<tls::TicketKeys>());
    ASSERT_TRUE(made) << made.error().detail;
    snapshot.set(*made);
    if (!delivery) {
      delivery.emplace(mta::Delivery::Services{.workers = *workers,
                                               .snapshot = snapshot,
                                               .resolver = dns,
                                               .spool = spool,
                                               .log = log,
                                               .sts = sts,
                                               .memory = memory,
                                               .observer = observer,
                                               .decisions = decisions});
      workers->start();
    }
  }

  mta::Job make_job(const std::vector<std::string> &recipients,
                    const std::string &body = "Subject: x\r\n\r\nhello\r\n") {
    auto message = std::make_shared<mta::QueuedMessage>();
    message->id = spool.add(body);
    message->envelope.sender.path = smtp::ReversePath::parse("<from@sender.example>").value();
    message->envelope.trace = "Received: by out.example\r\n";
    message->envelope.body_size = body.size();
    mta::Job job;
    job.number = ++jobs_;
    for (const auto &recipient : recipients) {
      mta::RecipientState state{.recipient = {smtp::Mailbox::parse(recipient).value(), {}}};
      message->recipients.push_back(std::move(state));
      job.recipients.push_back(job.recipients.size());
    }
    job.destination = mta::destination_of(snapshot.get()->config(), message->recipients.front().recipient.mailbox);
    job.message = std::move(message);
    return job;
  }

  std::future<mta::JobResult> start(mta::Job job) {
    auto promise = std::make_shared<std::promise<mta::JobResult>>();
    auto future = promise->get_future();
    delivery->deliver(std::move(job), [promise](mta::JobResult result) { promise->set_value(std::move(result)); });
    return future;
  }
  mta::JobResult deliver(mta::Job job) { return start(std::move(job)).get(); }
  mta::JobResult deliver_to(const std::string &recipient) { return deliver(make_job({recipient})); }

  /// Certificates by the faults that the tests need; the CA is trusted as `ca_file`.
  std::shared_ptr<const tls::Context> server_context(const Leaf &leaf, bool ask_client = false) {
    tls::ServerContextOptions options;
    options.certificates.push_back({leaf.chain_file, leaf.key_file});
    options.ask_client_certificate = ask_client;
    auto context = tls::Context::server(options, std::make_shared<tls::TicketKeys>());
    EXPECT_TRUE(context) << context.error().detail;
    return *context;
  }
  Leaf issue(const LeafOptions &options) {
    return ca.issue(options).write_to(folder, "leaf" + std::to_string(++leaves_));
  }

  TempFolder folder;
  TestCa ca;
  std::string ca_file = folder.write("ca.pem", ca.pem());
  FakeResolver dns;
  mta::StsPolicies *sts = nullptr;       ///< set before the first apply_config()
  mta::TlsRecall *memory = nullptr;      ///< likewise
  mta::TlsObserver *observer = nullptr;  ///< likewise
  mta::DecisionLog *decisions = nullptr; ///< likewise
  support::MemorySpool spool;
  RecordingLog log;
  mta::Config config;
  std::vector<policy::Partner> partners;
  mta::CurrentSnapshot snapshot;
  std::unique_ptr<mta::Workers> workers = std::make_unique<mta::Workers>(1);
  std::optional<mta::Delivery> delivery;

private:
  std::uint64_t jobs_ = 0;
  int leaves_ = 0;
};

} // namespace test
