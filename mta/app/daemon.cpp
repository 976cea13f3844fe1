#include "mta/app/daemon.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <random>
#include <thread>

#include <malloc.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/app/describe_certificates.hpp"
#include "mta/app/privileges.hpp"
#include "mta/app/report_service.hpp"
#include "mta/app/restart.hpp"
#include "mta/app/service_manager.hpp"
#include "mta/app/service_thread.hpp"
#include "mta/app/start_config.hpp"
#include "mta/app/store_service.hpp"
#include "mta/app/tls_services.hpp"
#include "mta/base/files.hpp"
#include "mta/base/on_thread.hpp"
#include "mta/base/version.hpp"
#include "mta/config/delivery_changes.hpp"
#include "mta/config/faults.hpp"
#include "mta/config/last_good.hpp"
#include "mta/config/load.hpp"
#include "mta/config/losses.hpp"
#include "mta/control/commands.hpp"
#include "mta/control/message_requests.hpp"
#include "mta/control/queue_look.hpp"
#include "mta/control/server.hpp"
#include "mta/crl/kept_crl.hpp"
#include "mta/outbound/delivery.hpp"
#include "mta/outbound/explain_probe.hpp"
#include "mta/queue/damaged_files.hpp"
#include "mta/queue/hold_rules.hpp"
#include "mta/queue/partner_queue.hpp"
#include "mta/queue/unreadable.hpp"
#include "mta/received/report_intake.hpp"
#include "mta/report/hold_reminder.hpp"
#include "mta/report/notifier.hpp"
#include "mta/report/report_settings.hpp"

namespace mta {

namespace {

constexpr auto ticket_rotation = std::chrono::hours(12);
constexpr auto trim_interval = std::chrono::seconds(10);
/// When memory is short; but a hundred times as long as the last trim took, for the allocator's locks stop everybody.
constexpr auto shortest_trim_interval = std::chrono::seconds(1);
constexpr auto longest_trim_interval = std::chrono::seconds(30);
constexpr int trim_share = 100;
constexpr auto list_interval = std::chrono::hours(1);
constexpr auto partner_interval = std::chrono::seconds(30);
constexpr std::size_t partner_step = 2'000; ///< messages and recipients looked at before others have their turn
constexpr auto unreadable_interval = std::chrono::hours(1);
constexpr std::uint64_t spool_reserve = 8U << 20U; ///< octets kept for a full disk
constexpr std::size_t trim_above = 16'777'216;     ///< octets that the allocator holds without use

/// On the worker's thread, while the caller's goes on.
Task<Explanation> probe_on(Worker &worker, Explanation explanation) {
  auto probing = asio::co_spawn(worker.context, probe_explained(worker, std::move(explanation)), asio::use_awaitable);
  auto probed = co_await std::move(probing);
  co_return probed;
}

double random_unit() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return std::uniform_real_distribution<double>(0.0, 1.0)(engine);
}

void log_findings(MailLog &log, const std::vector<Finding> &findings) {
  for (const auto &finding : findings)
    log.write(Event("config", finding.severity == Severity::warning ? LogLevel::warning : LogLevel::error)
                  .with("finding", finding.to_string()));
}

Scheduler::Options scheduler_options(const Config &config) {
  const OutboundConfig &outbound = config.outbound;
  const bool has_own = !config.domains.empty() || !config.routes.empty() || !config.partners.partners().empty();
  return {.retry = config.queue.retry,
          .connections = outbound.connections,
          .connections_per_destination = outbound.connections_per_destination,
          .reserved_percent = has_own ? outbound.reserved_percent : 0,
          .notices_percent = outbound.notices_percent,
          .unreached_percent = outbound.unreached_percent};
}

/// What a reload read, on the loader's thread.
struct Loaded {
  LoadedConfig config;
  smtp::Result<std::shared_ptr<const Snapshot>> snapshot = nullptr;
  RecordingFiles::Seen seen; ///< of a good load
};

/// Reads the files as they are. `before`: what is in force; `force`: what is lost between them is told, and taken.
std::shared_ptr<Loaded> load_anew(const std::string &file, const std::shared_ptr<tls::TicketKeys> &tickets,
                                  const Config &before, bool force, const KeptCrls &lists) {
  const auto now = std::chrono::system_clock::now();
  auto loaded = std::make_shared<Loaded>();
  RecordingFiles files;
  loaded->config = load_config(file, now, files);
  if (!loaded->config.config) return loaded;
  auto &findings = loaded->config.findings;
  const auto faults = find_faults(*loaded->config.config, now);
  findings.insert(findings.end(), faults.begin(), faults.end());
  const Losses losses = find_losses(before, *loaded->config.config, now);
  for (const auto &lost : {losses.recipients, losses.protection}) {
    const auto told = with_remedy(lost, force ? Severity::warning : Severity::error,
                                  force ? "It was taken because of --force"
                                        : "What is in force is kept; `portcullis reload --force` takes this");
    findings.insert(findings.end(), told.begin(), told.end());
  }
  if (!losses.empty() && !force) {
    loaded->config.config = nullptr;
    return loaded;
  }
  loaded->snapshot = Snapshot::build(loaded->config.config, tickets);
  if (loaded->snapshot) loaded->snapshot = (*loaded->snapshot)->renew_crls(lists).snapshot;
  loaded->seen = files.take();
  return loaded;
}

/// The services of a running daemon, in the order in which they are built; destroyed in reverse.
class Running {
public:
  Running(std::shared_ptr<tls::TicketKeys> tickets, std::shared_ptr<const Snapshot> snapshot)
      : tickets_(std::move(tickets)), initial_(std::move(snapshot)),
        workers_(config().server.threads != 0 ? config().server.threads
                                              : std::max(1U, std::thread::hardware_concurrency())) {
    snapshot_.set(initial_);
    signals_.add(SIGUSR1);
  }

  /// What needs root: low ports, folders below /var and /run. No thread is running and no file of the daemon is made
  /// before root is given up (but the control socket, which is made as the daemon's user).
  smtp::Result<void> bind(const std::optional<DaemonIdentity> &identity);
  /// Opens log and spool as whoever we are now; they are made by their user, on every thread.
  smtp::Result<Recovery> open();
  /// Starts everything; `recovered` is what the spool held.
  smtp::Result<void> start(DecodedRecovery recovered);
  /// The start's own configuration is good, and is kept; or (`last_good`: when that was kept) it is wrong.
  void started_on(RecordingFiles::Seen seen, std::string last_good);
  ExitStatus run();
  MailLog &log() { return *log_; }

private:
  Task<> watch_signals();
  Task<> rotate_tickets();
  Task<> return_memory();
  Task<ReloadOutcome> reload(bool force);
  void keep(std::shared_ptr<const Config> config, RecordingFiles::Seen seen);
  void warn_of_last_good();
  void describe(boost::json::object &answer);
  [[nodiscard]] std::string describe_state() const;
  Task<> renew_trust();
  Task<> watch_lists();
  Task<> remind_of_holds();
  Task<> watch_partners();
  void try_again(const std::string &domain);
  Task<> remind_of_unreadable();
  void start_control();
  void begin_shutdown(std::string_view why);
  void finish_shutdown();
  /// The configuration that the daemon was started with: what a reload cannot change is read here.
  [[nodiscard]] const Config &config() const { return initial_->config(); }

  std::shared_ptr<tls::TicketKeys> tickets_;
  std::shared_ptr<const Snapshot> initial_;
  CurrentSnapshot snapshot_;
  std::unique_ptr<MailLog> log_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<store::Store> store_; ///< what is not mail
  asio::io_context main_{1};            ///< queue, control socket, signals: nobody's network
  ServiceThread names_;                 ///< the resolvers' callbacks
  ServiceThread fetches_;               ///< policies and lists of others, and the tests of the resolver
  Workers workers_;
  // Of one thread each, from open() on.
  std::optional<asio::thread_pool> notices_; ///< builds and signs notices
  std::optional<asio::thread_pool>
      loader_; ///< reads the configuration of a reload, so that the queue goes on meanwhile
  std::optional<asio::thread_pool>
      files_; ///< waits for the disk in place of operators' requests, and for the allocator
  asio::signal_set signals_{main_, SIGTERM, SIGINT, SIGHUP};
  asio::steady_timer rotation_{main_};
  asio::steady_timer trim_{main_};
  asio::steady_timer lists_{main_};
  asio::steady_timer reminder_{main_};
  asio::steady_timer partners_{main_};
  PartnerQueue partner_queue_;
  asio::steady_timer unreadable_reminder_{main_};
  std::vector<UnreadableMessage> unreadable_;
  std::unique_ptr<DamagedFiles> damaged_;
  std::unique_ptr<ControlServer> control_;
  ListenSockets sockets_;                  ///< until the server has them
  std::unique_ptr<ReportService> reports_; ///< the sessions count into it
  std::unique_ptr<InboundServer> inbound_;
  std::unique_ptr<Resolver> resolver_; ///< of deliveries, fetches and reports
  /// Of the checks of mail from outside: what strangers have it ask for takes nothing from deliveries.
  std::unique_ptr<Resolver> check_resolver_;
  std::unique_ptr<TlsServices> tls_; ///< deliveries and sessions count into it
  std::unique_ptr<ReportIntake> received_;
  std::unique_ptr<Delivery> delivery_;
  std::unique_ptr<Notifier> notifier_;
  std::optional<HoldRules> holds_;
  std::unique_ptr<Scheduler> scheduler_;
  std::shared_ptr<HeldMail> held_ = std::make_shared<HeldMail>();
  std::unique_ptr<MessageRequests> messages_;
  std::unique_ptr<Commands> commands_;
  WallTime started_ = std::chrono::system_clock::now();
  std::string last_good_; ///< the files are wrong: when the configuration in force was kept
  bool draining_ = false;
  bool stopping_ = false;
  int still_busy_ = 0; ///< parts of the shutdown that have not yet ended
};

smtp::Result<void> Running::bind(const std::optional<DaemonIdentity> &identity) {
  auto sockets = ListenSockets::bind(config(), workers_.size());
  if (!sockets) return tl::unexpected(sockets.error());
  sockets_ = std::move(*sockets);

  std::optional<gid_t> control_group;
  if (const auto &name = config().control.group; !name.empty()) {
    const auto found = find_group(name, "control.group");
    if (!found) return tl::unexpected(found.error());
    control_group = *found;
  }
  if (identity) {
    if (auto made = make_folder_for(*identity, config().spool.path, 0700); !made)
      return smtp::fail(made.error().code, "spool.path: " + made.error().detail);
    const auto folder = std::filesystem::path(config().control.socket).parent_path().string();
    if (auto made = make_folder_for(*identity, folder, 0755); !folder.empty() && !made)
      return smtp::fail(made.error().code, "control.socket: " + made.error().detail);
  }
  // Where root made it, a link in a folder of the daemon's user would say whose file is replaced and given away.
  auto acting = ActingAs::begin(identity, control_group);
  if (!acting) return tl::unexpected(acting.error());
  auto control = ControlServer::bind(main_, config().control);
  if (!control) return tl::unexpected(control.error());
  control_ = std::move(*control);
  return {};
}

smtp::Result<Recovery> Running::open() {
  for (auto *pool : {&notices_, &loader_, &files_}) pool->emplace(1);
  auto log = MailLog::open(config().log);
  if (!log) return tl::unexpected(log.error());
  log_ = std::move(*log);
  const SpoolConfig &wanted = config().spool;
  std::error_code ignored; // the spool says what is wrong with its folder
  std::filesystem::create_directories(std::filesystem::path(wanted.path).parent_path(), ignored);
  SpoolOptions options;
  options.path = wanted.path;
  options.segment_size = wanted.segment_size;
  options.min_free = wanted.min_free;
  options.max_messages = wanted.max_messages;
  options.reserve_size = spool_reserve;
  Recovery recovery;
  auto spool = Spool::open(options, recovery);
  if (!spool) return tl::unexpected(spool.error());
  spool_ = std::move(*spool);
  damaged_ = std::make_unique<DamagedFiles>(wanted.path);
  if (const auto noted = damaged_->note(recovery.damage, std::chrono::system_clock::now()); !noted)
    log_->write(
        Event("spool", LogLevel::error).with("problem", "what recovery lost is not kept: " + noted.error().detail));
  auto opened = open_store(config(), *log_);
  if (!opened) return tl::unexpected(opened.error());
  store_ = std::move(*opened);
  snapshot_.set(initial_->renew_crls(kept_crls(store_->reader())).snapshot);
  inbound_ = std::make_unique<InboundServer>(InboundServer::Services{
      workers_, snapshot_, *spool_, *log_,
      [this](std::shared_ptr<QueuedMessage> message) { scheduler_->submit(std::move(message)); }, held_});
  inbound_->adopt(std::move(sockets_));
  return recovery;
}

smtp::Result<void> Running::start(DecodedRecovery decoded) {
  std::vector<QueuedMessage> recovered = std::move(decoded.messages);
  unreadable_ = std::move(decoded.unreadable);
  for (auto *made : {&resolver_, &check_resolver_}) {
    auto resolver = make_resolver(config().dns, names_.executor());
    if (!resolver) return tl::unexpected(resolver.error());
    *made = std::move(*resolver);
  }
  auto opened = TlsServices::open(
      {snapshot_, *resolver_, *log_, fetches_.executor(), *store_,
       [this] { asio::co_spawn(main_, renew_trust(), asio::detached); },
       [this](std::string domain) { asio::post(main_, [this, domain = std::move(domain)] { try_again(domain); }); },
       check_resolver_.get()});
  if (!opened) return tl::unexpected(opened.error());
  tls_ = std::move(*opened);

  const auto submit = [this](std::shared_ptr<QueuedMessage> message) { scheduler_->submit(std::move(message)); };
  const auto now = [] { return std::chrono::system_clock::now(); };
  const PolicySources sources = tls_->sources();
  received_ = std::make_unique<ReportIntake>(ReportIntake::Services{snapshot_, *spool_, *log_, now, *store_});
  const auto take_report = [this](Job job, std::function<void(JobResult)> done) {
    received_->take(std::move(job), std::move(done));
  };
  delivery_ = std::make_unique<Delivery>(Delivery::Services{.workers = workers_,
                                                            .snapshot = snapshot_,
                                                            .resolver = *resolver_,
                                                            .spool = *spool_,
                                                            .log = *log_,
                                                            .sts = sources.sts,
                                                            .memory = sources.memory,
                                                            .observer = &tls_->observers(),
                                                            .decisions = tls_->decisions(),
                                                            .dns_validates = sources.dns_validates,
                                                            .reports = take_report});
  notifier_ = std::make_unique<Notifier>(Notifier::Services{snapshot_, *spool_, *log_, submit, now});
  Scheduler::Hooks hooks;
  hooks.deliver = [this](Job job, std::function<void(JobResult)> done) {
    delivery_->deliver(std::move(job), std::move(done));
  };
  hooks.notify = [this](NotificationRequest request, std::function<void(bool)> stored) {
    asio::post(*notices_, [this, request = std::move(request), stored = std::move(stored)]() mutable {
      notifier_->notify(std::move(request), std::move(stored));
    });
  };
  hooks.destination_of = [this](const smtp::Mailbox &mailbox) {
    return destination_of(snapshot_.get()->config(), mailbox);
  };
  hooks.is_ours = [this](std::string_view key) { return is_own_destination(snapshot_.get()->config(), key); };
  if (auto made = make_folder(tally_folder(config())); !made) return tl::unexpected(made.error());
  auto holds = HoldRules::open(tally_folder(config()) + "/standing-holds");
  if (!holds) return tl::unexpected(holds.error());
  holds_ = std::move(*holds);
  hooks.hold_for = [this](const QueuedMessage &message) {
    const HoldRule *rule = holds_->find(message);
    return rule != nullptr ? hold_reason_of(*rule) : std::string();
  };
  hooks.held = held_;
  hooks.now = now;
  hooks.random = random_unit;
  hooks.steady = [] { return std::chrono::steady_clock::now(); };
  scheduler_ =
      std::make_unique<Scheduler>(main_.get_executor(), *spool_, *log_, scheduler_options(config()), std::move(hooks));

  log_->write(Event("start")
                  .with("version", version)
                  .with("hostname", config().server.hostname)
                  .with("config", config().file)
                  .with("queued", static_cast<std::uint64_t>(recovered.size())));
  scheduler_->start(std::move(recovered));
  start_control();
  auto reports =
      ReportService::open({snapshot_, *spool_, *log_, *resolver_, submit, now, random_unit}, tally_folder(config()));
  if (!reports) return tl::unexpected(reports.error());
  reports_ = std::move(*reports);
  for (const auto &bound : inbound_->status().bound)
    log_->write(Event("listening").with("listener", bound.listener).with("address", bound.address));
  tls_->observers().add(reports_->tls_observer());
  tls_->start();
  names_.start();
  fetches_.start();
  inbound_->start(check_resolver_.get(), reports_->tally(), &tls_->observers());
  return {};
}

/// What waited for the MTA-STS record of the domain.
void Running::try_again(const std::string &domain) {
  QueueFilter filter;
  filter.recipient_domain = domain;
  filter.reason = "_mta-sts." + domain;
  filter.held = false;
  delivery_->forget_plans(domain); // those that say to wait
  scheduler_->retry_at(domain, filter, [](std::size_t) {});
}

void Running::start_control() {
  Commands::Services services{*scheduler_, *inbound_, *spool_, snapshot_, tls_->sources(), *log_, {}, {}, {}, started_};
  services.reload = [this](bool force) { return reload(force); };
  services.describe = [this](boost::json::object &answer) { describe(answer); };
  services.set_draining = [this](bool draining) {
    draining_ = draining;
    inbound_->set_accepting(!draining);
  };
  services.is_draining = [this] { return draining_; };
  messages_ = std::make_unique<MessageRequests>(
      MessageRequests::Services{*scheduler_, *spool_, snapshot_, *log_, *holds_, files_->get_executor()});
  services.messages = messages_.get();
  services.memory = tls_->memory();
  services.files = files_->get_executor();
  services.unreadable = &unreadable_;
  services.damaged = damaged_.get();
  services.forget_plans = [this] { delivery_->close_idle(); };
  services.ask_anew = [this] { delivery_->forget_plans(); };
  services.load = &delivery_->load();
  services.probe = [this](Explanation explanation) { return probe_on(workers_[0], std::move(explanation)); };
  commands_ = std::make_unique<Commands>(std::move(services));
  control_->start([this](boost::json::object request, ControlPeer peer) {
    return commands_->handle(std::move(request), std::move(peer));
  });
}

/// Kept by the loader's thread, as the daemon's user.
void Running::keep(std::shared_ptr<const Config> config, RecordingFiles::Seen seen) {
  asio::post(*loader_, [this, config = std::move(config), seen = std::move(seen)]() mutable {
    if (const auto kept = keep_last_good(*config, std::move(seen), std::chrono::system_clock::now()); !kept)
      log_->write(Event("last_good", LogLevel::warning)
                      .with("problem", kept.error().detail)
                      .with("note", "a restart with a wrong configuration would not start"));
  });
}

void Running::started_on(RecordingFiles::Seen seen, std::string last_good) {
  last_good_ = std::move(last_good);
  if (last_good_.empty()) return keep(snapshot_.get()->config_pointer(), std::move(seen));
  warn_of_last_good();
}

void Running::warn_of_last_good() {
  if (last_good_.empty()) return;
  log_->write(Event("last_good", LogLevel::error)
                  .with("config", config().file)
                  .with("kept", last_good_)
                  .with("note",
                        "the configuration files are wrong: this is the last good configuration; see `portcullis "
                        "check`, mend the files and reload"));
}

/// For the service manager's own status line.
std::string Running::describe_state() const {
  return last_good_.empty() ? "STATUS=the configuration is in force"
                            : "STATUS=THE CONFIGURATION IS WRONG: runs on the last good one, kept at " + last_good_;
}

void Running::describe(boost::json::object &answer) {
  if (!last_good_.empty()) answer["last_good"] = last_good_;
  answer["wrong_config"] = !last_good_.empty();
  answer["store"] = describe_store(*store_);
  if (const auto health = tls_->resolver_health())
    answer["dns"] = {{"answers", health->answers}, {"problem", health->problem}, {"silent", health->silent()}};
  describe_certificates(answer, snapshot_.get()->config(), tls_->ending_certificates(),
                        std::chrono::system_clock::now());
}

Task<ReloadOutcome> Running::reload(bool force) {
  const std::string file = config().file;
  auto tickets = tickets_;
  const auto before = snapshot_.get();
  const auto begin = [this, file, tickets, before, force](auto done) {
    asio::post(*loader_, [this, file, tickets, before, force, done]() mutable {
      done(load_anew(file, tickets, before->config(), force, kept_crls(store_->reader())));
    });
  };
  const std::shared_ptr<Loaded> loaded = co_await await_callback<std::shared_ptr<Loaded>>(begin);

  ReloadOutcome outcome;
  for (const auto &finding : loaded->config.findings) outcome.findings.push_back(finding.to_string());
  log_findings(*log_, loaded->config.findings);
  if (loaded->config.config && !loaded->snapshot) outcome.findings.push_back(loaded->snapshot.error().detail);
  if (!loaded->config.config || !loaded->snapshot) {
    log_->write(Event("reload", LogLevel::error)
                    .with("result", "kept the configuration in force")
                    .with_if("reason", loaded->snapshot ? std::string() : loaded->snapshot.error().detail));
    co_return outcome;
  }
  for (auto &key : needs_restart(config(), *loaded->config.config)) {
    auto text = fmt::format("{}: the change takes effect only after a restart", key);
    log_->write(Event("reload", LogLevel::warning).with("note", text));
    outcome.findings.push_back(std::move(text));
  }
  const auto replaced = snapshot_.get();
  snapshot_.set(*loaded->snapshot);
  // Plans are made anew; a kept connection is judged again by the new plan before it is used.
  delivery_->forget_plans();
  tls_->reconfigure(*loaded->config.config); // before the first attempt under the new rules
  const auto changes = std::make_shared<DeliveryChanges>(replaced, *loaded->snapshot);
  scheduler_->reconfigure(scheduler_options(*loaded->config.config),
                          [changes](const smtp::Mailbox &mailbox) { return changes->concern(mailbox); });
  last_good_.clear();
  keep(loaded->config.config, std::move(loaded->seen));
  outcome.ok = true;
  notify_service_manager(describe_state());
  log_->write(Event("reload").with("result", "new configuration in force"));
  co_return outcome;
}

/// The revocation lists are read anew, on the loader's thread, without a look at the configuration.
Task<> Running::renew_trust() {
  const auto before = snapshot_.get();
  if (!before->has_crls()) co_return;
  const auto begin = [this, before](auto done) {
    asio::post(*loader_, [this, before, done]() mutable {
      done(std::make_shared<Snapshot::Renewed>(before->renew_crls(kept_crls(store_->reader()))));
    });
  };
  const std::shared_ptr<Snapshot::Renewed> renewed = co_await await_callback<std::shared_ptr<Snapshot::Renewed>>(begin);
  for (const auto &problem : renewed->problems) log_->write(Event("crl", LogLevel::warning).with("problem", problem));
  if (snapshot_.get() != before) co_return; // a reload came between, and has read them itself
  snapshot_.set(renewed->snapshot);
  delivery_->close_idle();
  if (!renewed->is_changed) co_return;
  // Mail that waited for a list goes on with it.
  const auto changes = std::make_shared<DeliveryChanges>(before, renewed->snapshot);
  scheduler_->reconfigure(scheduler_options(renewed->snapshot->config()),
                          [changes](const smtp::Mailbox &mailbox) { return changes->concern(mailbox); });
}

/// Lists in local files are replaced by whoever looks after them.
Task<> Running::watch_lists() {
  while (!stopping_) {
    lists_.expires_after(list_interval);
    const auto [error] = co_await lists_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
    warn_of_last_good();
    co_await renew_trust();
  }
}

/// So that what somebody held is not forgotten: in the log, and to the postmaster.
Task<> Running::remind_of_holds() {
  constexpr auto while_off = std::chrono::minutes(1); // how often it is looked whether a reload has switched it on
  while (!stopping_) {
    const auto interval = snapshot_.get()->config().queue.hold_reminder;
    reminder_.expires_after(interval.count() > 0 ? interval : while_off);
    const auto [error] = co_await reminder_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
    if (interval.count() == 0) continue;
    const std::size_t total = scheduler_->count({}).held;
    if (total == 0) continue;
    QueueFilter filter;
    filter.held = true;
    std::vector<std::shared_ptr<const QueuedMessage>> held;
    const std::function<bool(const Scheduler::Match &)> take = [&held](const Scheduler::Match &match) {
      held.push_back(std::make_shared<QueuedMessage>(match.message));
      return held.size() < reminded_messages;
    };
    std::optional<std::uint64_t> next = 0;
    while (next && held.size() < reminded_messages) {
      next = scheduler_->visit(filter, *next, Scheduler::step, take);
      if (next) co_await give_way();
    }
    if (held.empty()) continue; // released meanwhile
    log_->write(Event("held_mail", LogLevel::warning)
                    .with("messages", static_cast<std::uint64_t>(total))
                    .with("first", held.front()->id.to_string())
                    .with("reason", held.front()->hold_reason));
    asio::post(*notices_,
               [this, held = std::move(held), total]() mutable { notifier_->remind_of_holds(std::move(held), total); });
  }
}

/// A look at the whole queue each minute, in steps that leave the thread to others.
Task<> Running::watch_partners() {
  while (!stopping_) {
    const auto limit = snapshot_.get()->config().tls_evidence.alert_waiting;
    partners_.expires_after(std::clamp<std::chrono::seconds>(limit, std::chrono::seconds(1), partner_interval));
    const auto [error] = co_await partners_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
    const auto snapshot = snapshot_.get();
    if (!partner_queue_.begin(snapshot->config())) continue;
    std::optional<std::uint64_t> next = 0;
    while (next && !stopping_) {
      next = scheduler_->visit(*next, partner_step, [this](const QueuedMessage &message, std::chrono::seconds waited) {
        partner_queue_.see(message, waited);
      });
      co_await asio::post(main_, asio::use_awaitable);
    }
    if (!stopping_) partner_queue_.end(*log_, std::chrono::steady_clock::now());
  }
}

/// What waits unread is not forgotten.
Task<> Running::remind_of_unreadable() {
  while (!stopping_) {
    const auto damaged = damaged_->list();
    if (!unreadable_.empty() || !damaged.empty())
      log_->write(Event("unreadable", LogLevel::warning)
                      .with("messages", static_cast<std::uint64_t>(unreadable_.size()))
                      .with("damaged", static_cast<std::uint64_t>(damaged.size()))
                      .with("first", unreadable_.empty() ? damaged.front().name : unreadable_.front().id.to_string())
                      .with("problem", unreadable_.empty() ? damaged.front().problem : unreadable_.front().problem)
                      .with("note", "nobody delivers them: portcullis queue unreadable"));
    unreadable_reminder_.expires_after(unreadable_interval);
    const auto [error] = co_await unreadable_reminder_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
  }
}

Task<> Running::watch_signals() {
  for (;;) {
    const auto [error, number] = co_await signals_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
    if (number == SIGUSR1) { // rotation of the log, and nothing else
      log_->reopen();
      log_->write(Event("log_reopened"));
      continue;
    }
    if (number == SIGHUP) {
      log_->reopen();
      notify_service_manager("RELOADING=1");
      const ReloadOutcome outcome = co_await reload(false);
      (void)outcome; // already in the log
      notify_service_manager("READY=1");
      continue;
    }
    if (stopping_) {
      log_->write(Event("stop", LogLevel::warning).with("note", "second signal: sessions are cut"));
      finish_shutdown();
      co_return;
    }
    begin_shutdown(number == SIGTERM ? "SIGTERM" : "SIGINT");
  }
}

Task<> Running::rotate_tickets() {
  while (!stopping_) {
    rotation_.expires_after(ticket_rotation);
    const auto [error] = co_await rotation_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
    tickets_->rotate();
  }
}

/// Many handshakes at once leave holes between the sessions that stay, which the allocator does not give back by
/// itself: with 2,000 idle sessions that made 52 KiB each instead of 26.
Task<> Running::return_memory() {
  std::chrono::steady_clock::duration took{};
  while (!stopping_) {
    // What a flood of large messages has left behind is not to keep honest ones out for long.
    const bool is_short = inbound_ && inbound_->is_short_of_memory();
    const auto soon = std::clamp<std::chrono::steady_clock::duration>(trim_share * took, shortest_trim_interval,
                                                                      longest_trim_interval);
    trim_.expires_after(is_short ? soon : std::max<std::chrono::steady_clock::duration>(soon, trim_interval));
    const auto [error] = co_await trim_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
    took = co_await on_thread<std::chrono::steady_clock::duration>(files_->get_executor(), [] {
      const auto began = std::chrono::steady_clock::now();
      if (::mallinfo2().fordblks > trim_above) ::malloc_trim(0);
      return std::chrono::steady_clock::now() - began;
    });
  }
}

void Running::begin_shutdown(std::string_view why) {
  stopping_ = true;
  notify_service_manager("STOPPING=1");
  const auto grace = snapshot_.get()->config().server.shutdown_grace;
  log_->write(Event("stop").with("reason", why).with("grace_s", static_cast<std::int64_t>(grace.count())));
  still_busy_ = 2;
  const auto ended = [this] {
    asio::post(main_, [this] {
      if (--still_busy_ == 0) finish_shutdown();
    });
  };
  inbound_->shut_down(grace, ended);
  scheduler_->drain(ended);
  delivery_->shut_down(grace);
}

void Running::finish_shutdown() {
  control_->stop();
  rotation_.cancel();
  trim_.cancel();
  lists_.cancel();
  reminder_.cancel();
  unreadable_reminder_.cancel();
  partners_.cancel();
  signals_.cancel();
  main_.stop();
}

ExitStatus Running::run() {
  asio::co_spawn(main_, watch_signals(), asio::detached);
  asio::co_spawn(main_, rotate_tickets(), asio::detached);
  asio::co_spawn(main_, return_memory(), asio::detached);
  asio::co_spawn(main_, watch_lists(), asio::detached);
  asio::co_spawn(main_, remind_of_holds(), asio::detached);
  asio::co_spawn(main_, watch_partners(), asio::detached);
  asio::co_spawn(main_, remind_of_unreadable(), asio::detached);
  workers_.start();
  log_->keep_brief();
  notify_service_manager("READY=1\n" + describe_state());
  main_.run();
  workers_.stop();
  workers_.join();
  loader_->join();
  files_->join();
  fetches_.stop();
  names_.stop();
  notices_->join();
  reports_->stop();
  received_->shut_down();
  tls_->stop();
  store_->stop();
  spool_->close();
  log_->write(Event("stopped"));
  log_->flush();
  return ExitStatus::success;
}

} // namespace

namespace {

ExitStatus report(ExitStatus status, const smtp::Error &error) {
  std::fprintf(stderr, "portcullisd: %s\n", error.detail.c_str());
  return status;
}

/// What the spool held, as the queue understands it; what cannot be read stays in the spool and is logged.
DecodedRecovery decode_recovered(Recovery recovery, const std::string &path, MailLog &log) {
  if (recovery.is_new)
    log.write(Event("spool", LogLevel::warning)
                  .with("note", "a new, empty spool was made: if mail should be waiting, look at spool.path")
                  .with("path", path));
  for (const auto &note : recovery.notes) log.write(Event("spool").with("note", note));
  for (const auto &damage : recovery.damage) log.write(Event("spool", LogLevel::error).with("damage", damage));
  DecodedRecovery decoded = decode_recovery(std::move(recovery.messages));
  for (const auto &one : decoded.unreadable)
    log.write(Event("spool", LogLevel::error)
                  .with("id", one.id.to_string())
                  .with("damage", "the envelope cannot be read: " + one.problem));
  for (const auto &one : decoded.guessed)
    log.write(Event("spool", LogLevel::error).with("damage", "the message is held: " + one));
  return decoded;
}

} // namespace

ExitStatus run_daemon(const DaemonOptions &options) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGUSR1, SIG_IGN); // a rotation of the log before it is open must not end us
  auto tickets = std::make_shared<tls::TicketKeys>();
  StartConfig found = find_start_config(options.config, tickets, std::chrono::system_clock::now());
  for (const auto &finding : found.findings) std::fprintf(stderr, "%s\n", finding.to_string().c_str());
  if (!found.snapshot) {
    if (!found.problem.empty())
      std::fprintf(stderr, "portcullisd: no last good configuration: %s\n", found.problem.c_str());
    std::fprintf(stderr, "portcullisd: the configuration is wrong; nothing was started\n");
    return ExitStatus::bad_config;
  }
  if (!found.last_good.empty())
    std::fprintf(
        stderr,
        "portcullisd: THE CONFIGURATION IS WRONG, as said above: this runs on the last good one, kept at %s; mend "
        "the files and reload\n",
        found.last_good.c_str());
  const auto config_in_force = found.snapshot->config_pointer();
  const Config &config = *config_in_force;
  // Before anything is made: a start without the user must leave no folder of root's behind.
  const auto identity = find_daemon_identity(config.server.user, config.server.group);
  if (!identity) return report(ExitStatus::bad_config, identity.error());
  if (auto forbidden = forbid_new_privileges(); !forbidden) return report(ExitStatus::unavailable, forbidden.error());
  raise_descriptor_limit();

  Running running(std::move(tickets), std::move(found.snapshot));
  if (auto bound = running.bind(*identity); !bound) return report(ExitStatus::unavailable, bound.error());
  if (auto dropped = drop_privileges(*identity); !dropped) return report(ExitStatus::bad_config, dropped.error());
  auto recovery = running.open();
  if (!recovery) return report(ExitStatus::unavailable, recovery.error());
  log_findings(running.log(), found.findings);
  auto recovered = decode_recovered(std::move(*recovery), config.spool.path, running.log());
  if (auto started = running.start(std::move(recovered)); !started)
    return report(ExitStatus::unavailable, started.error());
  running.started_on(std::move(found.seen), std::move(found.last_good));
  return running.run();
}

} // namespace mta
