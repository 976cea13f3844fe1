// Opens the daemon's store and tells of it.
#include "mta/app/store_service.hpp"

namespace mta {

namespace {

void log_news(MailLog &log, const store::News &news) {
  using Kind = store::News::Kind;
  const bool is_good = news.kind == Kind::made || news.kind == Kind::migrated || news.kind == Kind::works_again;
  log.write(Event("store", is_good ? LogLevel::info : LogLevel::error)
                .with("result", store::to_string(news.kind))
                .with("detail", news.detail));
}

} // namespace

smtp::Result<std::unique_ptr<store::Store>> open_store(const Config &config, MailLog &log) {
  store::StoreOptions options;
  options.folder = store::store_folder(config.spool.path);
  options.tell = [&log](const store::News &news) { log_news(log, news); };
  return store::Store::open(std::move(options));
}

boost::json::object describe_store(const store::Store &store) {
  const auto status = store.status();
  return {{"healthy", status.problem.empty()}, {"problem", status.problem}, {"waiting", status.waiting},
          {"committed", status.committed},     {"dropped", status.dropped}, {"refused", status.refused}};
}

} // namespace mta
