// The real Resolver: libunbound in thread mode, its answers fetched when its descriptor becomes readable.
#include "mta/dns/resolver.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <list>
#include <mutex>

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

/// Ends one query: with libunbound's result, or with the reason why there is none. Called exactly once.
using Finish = std::function<void(const ub_result *result, const std::string &failure)>;

/// All queries under way. Every call into libunbound is made under `mutex_`, so an answer cannot come between asking
/// and noting the query; libunbound's own thread calls nothing of ours. Answers are handed out after the lock is let
/// go.
class Core : public std::enable_shared_from_this<Core> {
public:
  Core(Context context, asio::any_io_executor executor, std::chrono::milliseconds timeout)
      : context_(std::move(context)), timeout_(timeout), descriptor_(executor, ub_fd(context_.get())),
        timer_(executor) {}
  ~Core() { stop(); }
  Core(const Core &) = delete;
  Core &operator=(const Core &) = delete;

  void ask(const std::string &name, int type, Finish finish) {
    std::string failure;
    {
      const std::lock_guard lock(mutex_);
      if (!context_) {
        failure = "the resolver is shutting down";
      } else {
        const auto query = queries_.emplace(queries_.end());
        query->core = this;
        query->self = query;
        query->deadline = Clock::now() + timeout_;
        const int error =
            ub_resolve_async(context_.get(), name.c_str(), type, class_in, &*query, &Core::on_result, &query->id);
        if (error == 0) {
          query->finish = std::move(finish);
          wait_for_answers();
          wait_for_deadline();
          return;
        }
        queries_.erase(query);
        failure = fmt::format("the resolver cannot ask for it: {}", ub_strerror(error));
      }
    }
    finish(nullptr, failure);
  }

  /// Ends every query as temporary, and libunbound's thread. Any thread; may be called again.
  void stop() noexcept {
    std::list<Query> left;
    {
      const std::lock_guard lock(mutex_);
      if (!context_) return;
      timer_.cancel();
      descriptor_.release(); // cancels the wait; the descriptor is libunbound's to close
      for (const Query &query : queries_) ub_cancel(context_.get(), query.id);
      left.swap(queries_);
      context_.reset();
    }
    for (Query &query : left) query.finish(nullptr, "the resolver is shutting down");
  }

private:
  struct Query {
    Core *core = nullptr;
    std::list<Query>::iterator self;
    int id = 0;
    Clock::time_point deadline;
    Finish finish;
  };
  struct Finished {
    Finish finish;
    ub_result *result = nullptr;
    std::string failure;
  };

  /// Called by ub_process(), so under the lock.
  static void on_result(void *data, int error, ub_result *result) {
    auto *query = static_cast<Query *>(data);
    Core &core = *query->core;
    Finished finished{std::move(query->finish), result, {}};
    if (error != 0) finished.failure = fmt::format("the resolver failed: {}", ub_strerror(error));
    core.finished_.push_back(std::move(finished));
    core.queries_.erase(query->self);
  }

  // The descriptor and the timer are waited for only while a query is open: an idle resolver does not keep its context
  // running.
  void wait_for_answers() {
    if (waiting_ || queries_.empty()) return;
    waiting_ = true;
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [self = shared_from_this(), round = ++wait_round_](const boost::system::error_code &error) {
                             if (!error) self->process(round);
                           });
  }

  void stop_waiting() {
    boost::system::error_code ignored;
    descriptor_.cancel(ignored); // what libunbound still says is read with the next answer
    waiting_ = false;
  }

  void process(std::uint64_t round) {
    std::vector<Finished> finished;
    {
      const std::lock_guard lock(mutex_);
      if (!context_ || round != wait_round_) return;
      waiting_ = false;
      const int error = ub_process(context_.get());
      finished.swap(finished_);
      if (error != 0) {
        const std::string failure = fmt::format("the resolver failed: {}", ub_strerror(error));
        for (Query &query : queries_) {
          ub_cancel(context_.get(), query.id);
          finished.push_back({std::move(query.finish), nullptr, failure});
        }
        queries_.clear();
      }
      wait_for_answers();
      if (queries_.empty()) stop_timer();
    }
    for (Finished &one : finished) {
      one.finish(one.failure.empty() ? one.result : nullptr, one.failure);
      if (one.result != nullptr) ub_resolve_free(one.result);
    }
  }

  // All queries have the same timeout, so the list is in order of deadlines and one timer is enough.
  void wait_for_deadline() {
    if (timing_ || queries_.empty()) return;
    timing_ = true;
    timer_.expires_at(queries_.front().deadline);
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
    std::list<Query> expired;
    {
      const std::lock_guard lock(mutex_);
      if (!context_ || !timing_ || round != timer_round_) return;
      timing_ = false;
      const auto now = Clock::now();
      while (!queries_.empty() && queries_.front().deadline <= now) {
        // A dead server takes libunbound up to 21 s: our deadline is the one that counts.
        ub_cancel(context_.get(), queries_.front().id);
        expired.splice(expired.end(), queries_, queries_.begin());
      }
      wait_for_deadline();
      if (queries_.empty()) stop_waiting();
    }
    const auto seconds = std::chrono::duration<double>(timeout_).count();
    for (Query &query : expired) query.finish(nullptr, fmt::format("no answer in {:g} s", seconds));
  }

  std::mutex mutex_;
  Context context_; ///< null after stop()
  const std::chrono::milliseconds timeout_;
  asio::posix::stream_descriptor descriptor_;
  asio::steady_timer timer_;
  bool waiting_ = false;
  bool timing_ = false;
  std::uint64_t wait_round_ = 0;
  std::uint64_t timer_round_ = 0;
  std::list<Query> queries_;
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
    if (!record) return temporary(fmt::format("the answer cannot be used: {}", record.error().detail));
    answer.records.push_back(std::move(*record));
  }
  answer.status = answer.records.empty() ? DnsStatus::no_data : DnsStatus::ok;
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

class UnboundResolver final : public Resolver {
public:
  explicit UnboundResolver(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  ~UnboundResolver() override { core_->stop(); }
  UnboundResolver(const UnboundResolver &) = delete;
  UnboundResolver &operator=(const UnboundResolver &) = delete;

  Task<DnsAnswer<smtp::MxRecord>> mx(std::string name) override {
    return ask<smtp::MxRecord>(core_, absolute(std::move(name)), type_mx, parse_mx);
  }
  Task<DnsAnswer<smtp::IpAddress>> addresses_v4(std::string name) override {
    return ask<smtp::IpAddress>(core_, absolute(std::move(name)), type_a, parse_a);
  }
  Task<DnsAnswer<smtp::IpAddress>> addresses_v6(std::string name) override {
    return ask<smtp::IpAddress>(core_, absolute(std::move(name)), type_aaaa, parse_aaaa);
  }
  Task<DnsAnswer<std::string>> txt(std::string name) override {
    return ask<std::string>(core_, absolute(std::move(name)), type_txt, parse_txt);
  }
  Task<DnsAnswer<std::string>> cname(std::string name) override {
    return ask<std::string>(core_, absolute(std::move(name)), type_cname, parse_wire_name);
  }
  Task<DnsAnswer<smtp::TlsaRecord>> tlsa(std::string name) override {
    return ask<smtp::TlsaRecord>(core_, absolute(std::move(name)), type_tlsa, parse_tlsa);
  }
  Task<DnsAnswer<std::string>> ptr(const smtp::IpAddress &address) override {
    return ask<std::string>(core_, absolute(address.reverse_name()), type_ptr, parse_wire_name);
  }

private:
  static std::string absolute(std::string name) {
    if (!name.ends_with('.')) name += '.';
    return name;
  }
  std::shared_ptr<Core> core_;
};

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

std::optional<smtp::Error> configure(ub_ctx *context, const DnsConfig &config) {
  Setup setup(context);
  setup.check("debug level", "0", [&] { return ub_ctx_debuglevel(context, 0); });
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

} // namespace

Result<std::unique_ptr<Resolver>> make_resolver(const DnsConfig &config, asio::any_io_executor executor) {
  if (config.timeout <= std::chrono::milliseconds::zero())
    return smtp::fail(ErrorCode::bad_syntax, "the DNS timeout must be longer than nothing");
  Context context(ub_ctx_create());
  if (!context) return smtp::fail(ErrorCode::io, "libunbound cannot be started: no memory");
  if (auto failure = configure(context.get(), config)) return tl::unexpected(std::move(*failure));
  if (ub_fd(context.get()) < 0) return smtp::fail(ErrorCode::io, "libunbound gives no descriptor to wait on");
  auto core = std::make_shared<Core>(std::move(context), std::move(executor), config.timeout);
  return std::make_unique<UnboundResolver>(std::move(core));
}

} // namespace mta
