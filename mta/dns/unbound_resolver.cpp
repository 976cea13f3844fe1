// The real Resolver: libunbound in thread mode, its answers fetched when its descriptor becomes readable.
#include "mta/dns/resolver.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <list>
#include <mutex>
#include <type_traits>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <unbound.h>

#include "mta/dns/rdata.hpp"
#include "smtp/base/text.hpp"

namespace mta {

using smtp::DnsAnswer;
using smtp::DnsStatus;
using smtp::ErrorCode;
using smtp::Result;

namespace {

constexpr int class_in = 1;
constexpr int type_a = 1, type_cname = 5, type_ptr = 12, type_mx = 15, type_txt = 16, type_aaaa = 28, type_tlsa = 52;
constexpr std::size_t descriptors_at_start = 16; ///< what libunbound takes with its first question, and some to spare
constexpr auto start_timeout = std::chrono::seconds(10);
constexpr int rcode_no_error = 0, rcode_servfail = 2, rcode_name_error = 3;

using Clock = std::chrono::steady_clock;

struct ContextDelete {
  void operator()(ub_ctx *context) const noexcept { ub_ctx_delete(context); }
};
using Context = std::unique_ptr<ub_ctx, ContextDelete>;

const char *rcode_name(int rcode) {
  switch (rcode) {
  case 1: return "FORMERR";
  case rcode_servfail: return "SERVFAIL";
  case 4: return "NOTIMP";
  case 5: return "REFUSED";
  default: return "an unknown error";
  }
}

/// The soft limit of open files.
std::size_t descriptor_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::size_t>(limit.rlim_cur) : 1024;
}

/// Error io: fewer descriptors are left than the library takes when it starts.
Result<void> need_descriptors() {
  std::array<int, descriptors_at_start> taken{};
  std::size_t count = 0;
  while (count < taken.size() && (taken.at(count) = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) ++count;
  for (std::size_t i = 0; i < count; ++i) ::close(taken.at(i));
  if (count == taken.size()) return {};
  return smtp::fail(ErrorCode::io,
                    fmt::format("{} more descriptors are left, and the resolver needs {} to start: raise "
                                "the limit of open files, which is {}",
                                count, taken.size(), descriptor_limit()));
}

/// Ends one query: with libunbound's result, or with the reason why there is none. Called exactly once.
using Finish = std::function<void(const ub_result *result, const std::string &failure)>;

/// All questions. Every call into libunbound is made under `mutex_`, so an answer cannot come between asking and noting
/// the query; libunbound's own thread calls nothing of ours. Answers are handed out after the lock is let go.
///   waiting_    not yet asked: `limit` are with libunbound
///   live_       with libunbound, and somebody waits for the answer
///   abandoned_  with libunbound, and past their deadline: it works on, and what it holds for them is memory that
///               counts towards `limit`; to cancel one would only make us blind to that
class Core : public std::enable_shared_from_this<Core> {
public:
  Core(Context context, asio::any_io_executor executor, std::chrono::milliseconds timeout, std::size_t limit)
      : context_(std::move(context)), timeout_(timeout), limit_(limit), descriptor_(executor, ub_fd(context_.get())),
        timer_(executor) {}
  ~Core() { stop(); }
  Core(const Core &) = delete;
  Core &operator=(const Core &) = delete;

  void ask(const std::string &name, int type, Finish finish) {
    std::string failure;
    std::vector<Finished> refused;
    {
      const std::lock_guard lock(mutex_);
      if (!context_) {
        failure = "the resolver is shutting down";
      } else if (waiting_.size() >= waiting_factor * limit_) {
        failure = fmt::format("{} questions wait already, the limit", waiting_.size());
      } else {
        const auto query = waiting_.emplace(waiting_.end());
        query->core = this;
        query->self = query;
        query->name = name;
        query->type = type;
        query->deadline = Clock::now() + timeout_;
        query->finish = std::move(finish);
        ask_waiting(refused);
        wait_for_answers();
        wait_for_deadline();
      }
    }
    if (!failure.empty()) finish(nullptr, failure);
    for (Finished &one : refused) one.finish(nullptr, one.failure);
  }

  /// Ends every query as temporary, and libunbound's thread. Any thread; may be called again.
  void stop() noexcept {
    std::list<Query> left;
    std::list<Query> abandoned;
    {
      const std::lock_guard lock(mutex_);
      if (!context_) return;
      timer_.cancel();
      descriptor_.release(); // cancels the wait; the descriptor is libunbound's to close
      left.swap(live_);
      abandoned.swap(abandoned_);
      for (const Query &query : left) ub_cancel(context_.get(), query.id);
      for (const Query &query : abandoned) ub_cancel(context_.get(), query.id);
      left.splice(left.end(), waiting_);
      context_.reset();
    }
    for (Query &query : left) query.finish(nullptr, "the resolver is shutting down");
  }

  [[nodiscard]] ResolverStatus status() const {
    const std::lock_guard lock(mutex_);
    return {.under_way = with_library(),
            .abandoned = abandoned_.size(),
            .waiting = waiting_.size(),
            .limit = limit_,
            .answered = answered_,
            .unanswered = unanswered_};
  }

private:
  static constexpr std::size_t waiting_factor = 16; ///< questions of ours that may wait, for each that is asked

  struct Query {
    Core *core = nullptr;
    std::list<Query>::iterator self;
    std::string name;
    int type = 0;
    int id = 0;
    bool abandoned = false;
    Clock::time_point deadline;
    Finish finish;
  };
  struct Finished {
    Finish finish; ///< null: it was abandoned
    ub_result *result = nullptr;
    std::string failure;
  };

  [[nodiscard]] std::size_t with_library() const { return live_.size() + abandoned_.size(); }
  [[nodiscard]] bool is_idle() const { return live_.empty() && waiting_.empty(); }

  /// As many as there is room for. What libunbound does not take goes to `refused`.
  void ask_waiting(std::vector<Finished> &refused) {
    while (!waiting_.empty() && with_library() < limit_) {
      live_.splice(live_.end(), waiting_, waiting_.begin());
      Query &query = live_.back();
      const int error = ub_resolve_async(context_.get(), query.name.c_str(), query.type, class_in, &query,
                                         &Core::on_result, &query.id);
      if (error == 0) continue;
      refused.push_back(
          {std::move(query.finish), nullptr, fmt::format("the resolver cannot ask for it: {}", ub_strerror(error))});
      live_.pop_back();
    }
  }

  /// Called by ub_process(), so under the lock.
  static void on_result(void *data, int error, ub_result *result) {
    auto *query = static_cast<Query *>(data);
    Core &core = *query->core;
    Finished finished{std::move(query->finish), result, {}};
    if (error != 0) finished.failure = fmt::format("the resolver failed: {}", ub_strerror(error));
    const bool answered = error == 0 && result != nullptr && result->rcode != rcode_servfail;
    if (!query->abandoned) ++(answered ? core.answered_ : core.unanswered_);
    core.finished_.push_back(std::move(finished));
    (query->abandoned ? core.abandoned_ : core.live_).erase(query->self);
  }

  // The descriptor and the timer are waited for only while somebody waits for an answer: an idle resolver does not keep
  // its context running.
  void wait_for_answers() {
    if (watching_ || is_idle()) return;
    watching_ = true;
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [self = shared_from_this(), round = ++wait_round_](const boost::system::error_code &error) {
                             if (!error) self->process(round);
                           });
  }

  void stop_watching() {
    boost::system::error_code ignored;
    descriptor_.cancel(ignored); // what libunbound still says is read with the next answer
    watching_ = false;
  }

  void process(std::uint64_t round) {
    std::vector<Finished> finished;
    {
      const std::lock_guard lock(mutex_);
      if (!context_ || round != wait_round_) return;
      watching_ = false;
      const int error = ub_process(context_.get());
      finished.swap(finished_);
      if (error != 0) fail_all(finished, fmt::format("the resolver failed: {}", ub_strerror(error)));
      ask_waiting(finished);
      wait_for_answers();
      if (is_idle()) stop_timer();
    }
    for (Finished &one : finished) {
      if (one.finish) one.finish(one.failure.empty() ? one.result : nullptr, one.failure);
      if (one.result != nullptr) ub_resolve_free(one.result);
    }
  }

  void fail_all(std::vector<Finished> &finished, const std::string &failure) {
    for (Query &query : live_) finished.push_back({std::move(query.finish), nullptr, failure});
    for (std::list<Query> *list : {&live_, &abandoned_}) {
      for (const Query &query : *list) ub_cancel(context_.get(), query.id);
      list->clear();
    }
  }

  // All queries have the same timeout, and wait in the order in which they came, so that both lists are in order of
  // deadlines, the one before the other, and one timer is enough.
  void wait_for_deadline() {
    if (timing_ || is_idle()) return;
    timing_ = true;
    timer_.expires_at((live_.empty() ? waiting_ : live_).front().deadline);
    timer_.async_wait([self = shared_from_this(), round = ++timer_round_](const boost::system::error_code &) {
      self->expire(round);
    });
  }

  void stop_timer() {
    if (!timing_) return;
    timing_ = false;
    timer_.cancel();
  }

  void expire(std::uint64_t round) {
    std::vector<Finish> expired;
    std::vector<Finish> never_asked;
    {
      const std::lock_guard lock(mutex_);
      if (!context_ || !timing_ || round != timer_round_) return;
      timing_ = false;
      const auto now = Clock::now();
      // A dead server takes libunbound up to 21 s: our deadline is the one that counts.
      while (!live_.empty() && live_.front().deadline <= now) {
        Query &query = live_.front();
        query.abandoned = true;
        expired.push_back(std::exchange(query.finish, nullptr));
        ++unanswered_;
        abandoned_.splice(abandoned_.end(), live_, live_.begin());
      }
      while (!waiting_.empty() && waiting_.front().deadline <= now) {
        never_asked.push_back(std::move(waiting_.front().finish));
        waiting_.pop_front();
      }
      wait_for_deadline();
      if (is_idle()) stop_watching();
    }
    const auto seconds = std::chrono::duration<double>(timeout_).count();
    for (Finish &finish : expired) finish(nullptr, fmt::format("no answer in {:g} s", seconds));
    for (Finish &finish : never_asked)
      finish(nullptr, fmt::format("not asked in {:g} s: {} questions are under way, the limit", seconds, limit_));
  }

  mutable std::mutex mutex_;
  Context context_; ///< null after stop()
  const std::chrono::milliseconds timeout_;
  const std::size_t limit_; ///< of the questions that libunbound works at
  asio::posix::stream_descriptor descriptor_;
  asio::steady_timer timer_;
  bool watching_ = false;
  bool timing_ = false;
  std::uint64_t wait_round_ = 0;
  std::uint64_t timer_round_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t unanswered_ = 0;
  std::list<Query> waiting_;
  std::list<Query> live_;
  std::list<Query> abandoned_;
  std::vector<Finished> finished_;
};

template <typename Record> using Parse = Result<Record> (*)(Rdata);

/// Turns libunbound's result into ours. A bogus answer comes with data: it is a failure all the same (RFC 4035
/// section 5.5).
template <typename Record> DnsAnswer<Record> read_result(const ub_result &result, Parse<Record> parse) {
  DnsAnswer<Record> answer;
  const auto temporary = [&answer](std::string detail) {
    answer.status = DnsStatus::temporary;
    answer.trust = smtp::DnsTrust::insecure;
    answer.records.clear();
    answer.detail = std::move(detail);
    return answer;
  };
  if (result.bogus != 0) {
    const char *why = result.why_bogus != nullptr ? result.why_bogus : "DNSSEC validation failed";
    return temporary(fmt::format("bogus: {}", smtp::escape(why, 300)));
  }
  if (result.rcode != rcode_no_error && result.rcode != rcode_name_error)
    return temporary(fmt::format("{} from the resolver", rcode_name(result.rcode)));
  answer.trust = result.secure != 0 ? smtp::DnsTrust::secure : smtp::DnsTrust::insecure;
  answer.ttl = std::chrono::seconds(std::max(result.ttl, 0));
  if (result.canonname != nullptr) {
    std::string canonical = smtp::to_lower(result.canonname);
    if (canonical.ends_with('.')) canonical.pop_back();
    std::string asked = smtp::to_lower(result.qname);
    if (asked.ends_with('.')) asked.pop_back();
    if (canonical != asked) answer.canonical_name = std::move(canonical);
  }
  if (result.nxdomain != 0 || result.rcode == rcode_name_error) {
    answer.status = DnsStatus::no_name;
    return answer;
  }
  if (result.havedata == 0) {
    answer.status = DnsStatus::no_data;
    return answer;
  }
  std::size_t octets = 0;
  for (std::size_t i = 0; result.data[i] != nullptr; ++i) {
    if (i == dns_record_limit) return temporary(fmt::format("more than {} records in the answer", dns_record_limit));
    const Rdata data(reinterpret_cast<const unsigned char *>(result.data[i]), static_cast<std::size_t>(result.len[i]));
    octets += data.size();
    if (octets > dns_text_limit) return temporary(fmt::format("more than {} octets in the answer", dns_text_limit));
    auto record = parse(data);
    if (record) {
      answer.records.push_back(std::move(*record));
      continue;
    }
    // One that cannot be read is the domain's own slip: it takes nothing from the others.
    if (answer.unreadable++ == 0) answer.detail = std::move(record.error().detail);
  }
  // A domain all of whose MX records are unreadable has some all the same: its own address is not a host for its mail.
  const bool counts = std::is_same_v<Record, smtp::MxRecord> && answer.unreadable != 0;
  answer.status = answer.records.empty() && !counts ? DnsStatus::no_data : DnsStatus::ok;
  return answer;
}

template <typename Record>
Task<DnsAnswer<Record>> ask(std::shared_ptr<Core> core, std::string name, int type, Parse<Record> parse) {
  using Done = std::function<void(DnsAnswer<Record>)>;
  auto start = [&core, &name, type, parse](Done done) {
    core->ask(name, type, [done = std::move(done), parse](const ub_result *result, const std::string &failure) {
      if (result != nullptr) return done(read_result(*result, parse));
      DnsAnswer<Record> answer;
      answer.detail = failure;
      done(std::move(answer));
    });
  };
  auto answer = co_await await_callback<DnsAnswer<Record>>(start);
  co_return answer;
}

/// Sets up one libunbound context; the first refusal is kept and everything after it is skipped.
class Setup {
public:
  explicit Setup(ub_ctx *context) : context_(context) {}

  void option(const char *name, const std::string &value) {
    check(name, value, [&] { return ub_ctx_set_option(context_, name, value.c_str()); });
  }
  template <typename Call> void check(std::string_view what, std::string_view value, Call call) {
    if (failure_) return;
    if (const int error = call(); error != 0)
      failure_ = smtp::Error{ErrorCode::not_permitted, fmt::format("libunbound refuses {} {}: {}", what,
                                                                   smtp::escape(value), ub_strerror(error))};
  }
  /// libunbound reads files late and reports that badly, so that they are opened here first.
  void readable(std::string_view what, const std::string &path) {
    if (failure_) return;
    if (!std::ifstream(path).good())
      failure_ = smtp::Error{ErrorCode::not_found, fmt::format("{} {} cannot be read", what, smtp::escape(path))};
  }
  [[nodiscard]] std::optional<smtp::Error> failure() const { return failure_; }

private:
  ub_ctx *context_;
  std::optional<smtp::Error> failure_;
};

/// What libunbound may hold and how long it remembers, chosen for a server that asks for strangers' names. Its own
/// values are those of a small tool: 16 sockets, behind which every further question waits, and 15 minutes for which a
/// server that was silent counts as dead. docs/operating.md, "The resolver", says what each means.
void set_limits(Setup &setup, const DnsConfig &config) {
  // One socket for each packet under way; a question by full recursion has several.
  const std::size_t most = descriptor_limit() / 8;
  const std::size_t sockets = std::clamp<std::size_t>(2 * config.questions, 64, std::max<std::size_t>(64, most));
  setup.option("outgoing-range:", std::to_string(sockets));
  setup.option("num-queries-per-thread:", std::to_string(config.questions));
  setup.option("outgoing-num-tcp:", "32");
  // Forwarders: that a name has no answer says nothing of the forwarder, so what was learned of it is forgotten before
  // it could count as dead (six silent packets in a row, 24 s); each packet that is lost is sent again, to another one
  // where there are several. Recursion: each server is judged for each zone, so a silent one harms nobody else's.
  setup.option("infra-host-ttl:", config.resolvers.empty() ? "60" : "2");
  setup.option("infra-cache-numhosts:", "10000");
  setup.option("outbound-msg-retry:", "5");
  setup.option("msg-cache-size:", "8m");
  setup.option("rrset-cache-size:", "16m");
  setup.option("key-cache-size:", "4m");
  setup.option("neg-cache-size:", "1m");
}

std::optional<smtp::Error> configure(ub_ctx *context, const DnsConfig &config) {
  Setup setup(context);
  setup.check("debug level", "0", [&] { return ub_ctx_debuglevel(context, 0); });
  // What it prints of sockets that it cannot have is told by the answers; a reader of standard error that stands still
  // would stop it.
  setup.check("debug output", "", [&] { return ub_ctx_debugout(context, nullptr); });
  set_limits(setup, config);
  setup.option("module-config:", config.dnssec ? "validator iterator" : "iterator");
  const bool local_resolver = std::any_of(config.resolvers.begin(), config.resolvers.end(),
                                          [](const auto &resolver) { return resolver.address.is_loopback(); });
  if (local_resolver) setup.option("do-not-query-localhost:", "no");
  if (!config.resolvers.empty()) {
    // Names of private networks: a resolver that we were told to ask may know them.
    setup.option("unblock-lan-zones:", "yes");
    setup.option("insecure-lan-zones:", "yes");
  }
  for (const auto &resolver : config.resolvers) {
    const std::string address = fmt::format("{}@{}", resolver.address.to_string(), resolver.port);
    setup.check("resolver", address, [&] { return ub_ctx_set_fwd(context, address.c_str()); });
  }
  if (config.dnssec) {
    if (!config.trust_anchor.empty()) {
      setup.readable("the trust anchor file", config.trust_anchor);
      setup.check("trust anchor file", config.trust_anchor,
                  [&] { return ub_ctx_add_ta_file(context, config.trust_anchor.c_str()); });
    }
    for (const auto &anchor : config.extra_anchors)
      setup.check("trust anchor", anchor, [&] { return ub_ctx_add_ta(context, anchor.c_str()); });
    for (const auto &domain : config.insecure_domains) setup.option("domain-insecure:", domain);
  }
  if (!config.hosts_file.empty()) {
    setup.readable("the hosts file", config.hosts_file);
    setup.check("hosts file", config.hosts_file, [&] { return ub_ctx_hosts(context, config.hosts_file.c_str()); });
  }
  // Thread mode must be chosen before the first call that finalizes the context (ub_ctx_zone_add does), or libunbound
  // forks.
  setup.check("thread mode", "", [&] { return ub_ctx_async(context, 1); });
  // libunbound answers NXDOMAIN for RFC 6761's test. by itself.
  setup.check("the zone", "test.", [&] { return ub_ctx_zone_add(context, "test.", "transparent"); });
  return setup.failure();
}

/// libunbound starts its thread and that thread's event base (libevent, an epoll descriptor, two socket pairs) with the
/// first question, and libevent ends the process where it cannot have them. So this happens before a stranger can use
/// up the descriptors, with a question that libunbound answers itself.
Result<void> start_library(ub_ctx *context) {
  if (auto enough = need_descriptors(); !enough) return enough;
  bool answered = false;
  const auto note = [](void *data, int /*error*/, ub_result *result) {
    *static_cast<bool *>(data) = true;
    ub_resolve_free(result);
  };
  int id = 0;
  if (const int error = ub_resolve_async(context, "localhost.", type_a, class_in, &answered, note, &id); error != 0)
    return smtp::fail(ErrorCode::io, fmt::format("libunbound does not start: {}", ub_strerror(error)));
  const auto end = Clock::now() + start_timeout;
  while (!answered) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd wait{.fd = ub_fd(context), .events = POLLIN, .revents = 0};
    if (left <= 0 || ::poll(&wait, 1, static_cast<int>(left)) < 0)
      return smtp::fail(ErrorCode::io, "libunbound does not answer its first question");
    if (const int error = ub_process(context); error != 0)
      return smtp::fail(ErrorCode::io, fmt::format("libunbound does not start: {}", ub_strerror(error)));
  }
  return {};
}

Result<std::shared_ptr<Core>> make_core(const DnsConfig &config, const asio::any_io_executor &executor) {
  Context context(ub_ctx_create());
  if (!context) return smtp::fail(ErrorCode::io, "libunbound cannot be started: no memory");
  if (auto failure = configure(context.get(), config)) return tl::unexpected(std::move(*failure));
  if (ub_fd(context.get()) < 0) return smtp::fail(ErrorCode::io, "libunbound gives no descriptor to wait on");
  if (auto started = start_library(context.get()); !started) return tl::unexpected(std::move(started.error()));
  return std::make_shared<Core>(std::move(context), executor, config.timeout, config.questions);
}

class UnboundResolver final : public Resolver {
public:
  UnboundResolver(DnsConfig config, asio::any_io_executor executor, std::shared_ptr<Core> core)
      : config_(std::move(config)), executor_(std::move(executor)), core_(std::move(core)), in_use_(config_.resolvers) {
  }
  ~UnboundResolver() override {
    core_->stop();
    for (const auto &old : old_)
      if (const auto core = old.lock()) core->stop();
  }
  UnboundResolver(const UnboundResolver &) = delete;
  UnboundResolver &operator=(const UnboundResolver &) = delete;

  Task<DnsAnswer<smtp::MxRecord>> mx(std::string name) override {
    return ask<smtp::MxRecord>(core(), absolute(std::move(name)), type_mx, parse_mx);
  }
  Task<DnsAnswer<smtp::IpAddress>> addresses_v4(std::string name) override {
    return ask<smtp::IpAddress>(core(), absolute(std::move(name)), type_a, parse_a);
  }
  Task<DnsAnswer<smtp::IpAddress>> addresses_v6(std::string name) override {
    return ask<smtp::IpAddress>(core(), absolute(std::move(name)), type_aaaa, parse_aaaa);
  }
  Task<DnsAnswer<std::string>> txt(std::string name) override {
    return ask<std::string>(core(), absolute(std::move(name)), type_txt, parse_txt);
  }
  Task<DnsAnswer<std::string>> cname(std::string name) override {
    return ask<std::string>(core(), absolute(std::move(name)), type_cname, parse_wire_name);
  }
  Task<DnsAnswer<smtp::TlsaRecord>> tlsa(std::string name) override {
    return ask<smtp::TlsaRecord>(core(), absolute(std::move(name)), type_tlsa, parse_tlsa);
  }
  Task<DnsAnswer<std::string>> ptr(const smtp::IpAddress &address) override {
    return ask<std::string>(core(), absolute(address.reverse_name()), type_ptr, parse_wire_name);
  }
  smtp::Result<void> use_forwarders(const std::vector<smtp::SocketAddress> &forwarders) override {
    // libunbound cannot forget one: a new context takes its place.
    if (forwarders.empty() || forwarders == in_use_) return {};
    DnsConfig config = config_;
    config.resolvers = forwarders;
    auto made = make_core(config, executor_);
    if (!made) return tl::unexpected(std::move(made.error()));
    const std::lock_guard lock(mutex_);
    std::erase_if(old_, [](const auto &old) { return old.expired(); });
    old_.push_back(core_);
    core_ = std::move(*made);
    in_use_ = forwarders;
    return {};
  }
  [[nodiscard]] ResolverStatus status() const override { return core()->status(); }

private:
  static std::string absolute(std::string name) {
    if (!name.ends_with('.')) name += '.';
    return name;
  }
  [[nodiscard]] std::shared_ptr<Core> core() const {
    const std::lock_guard lock(mutex_);
    return core_;
  }
  const DnsConfig config_;
  const asio::any_io_executor executor_;
  mutable std::mutex mutex_;
  std::shared_ptr<Core> core_;              ///< under `mutex_`
  std::vector<std::weak_ptr<Core>> old_;    ///< their last questions are under way
  std::vector<smtp::SocketAddress> in_use_; ///< of `core_`; for the one thread that changes it
};

} // namespace

Result<std::unique_ptr<Resolver>> make_resolver(const DnsConfig &config, asio::any_io_executor executor) {
  if (config.timeout <= std::chrono::milliseconds::zero())
    return smtp::fail(ErrorCode::bad_syntax, "the DNS timeout must be longer than nothing");
  auto core = make_core(config, executor);
  if (!core) return tl::unexpected(std::move(core.error()));
  return std::make_unique<UnboundResolver>(config, std::move(executor), std::move(*core));
}

} // namespace mta
