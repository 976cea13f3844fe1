// The writer: a bounded line of changes, a thread that commits them, and what it does when the file does not let it.
#include "mta/store/store.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <SQLiteCpp/Transaction.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mta/base/files.hpp"
#include "mta/store/connection.hpp"
#include "mta/store/embedded_sql.hpp"
#include "mta/store/set_aside.hpp"

namespace mta::store {

using smtp::ErrorCode;
using smtp::Result;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t largest_batch = 10'000; ///< changes of one transaction
constexpr auto retry_after = std::chrono::seconds(1);
constexpr auto told_interval = std::chrono::seconds(60);
constexpr auto trim_pause = std::chrono::milliseconds(100); ///< between steps, so that changes come in between
constexpr auto salvage_time = std::chrono::seconds(10);
/// A file that is damaged again so soon is the disk's fault: it is not renamed again and again.
constexpr auto renewal_pause = std::chrono::minutes(1);

struct Item {
  Store::Change change;
  std::size_t octets = 0;
  Store::Weight weight = Store::Weight::kept;
  std::function<void(Result<void>)> done; ///< somebody waits: the change is tried once
};

/// 0600 from its first moment; SQLite gives its other files the same mode.
Result<bool> make_file(const std::string &path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0 && errno == EEXIST) {
    struct stat facts {};
    return ::stat(path.c_str(), &facts) == 0 && facts.st_size == 0;
  }
  if (descriptor < 0) return file_failure("create", path, errno);
  ::close(descriptor);
  return true;
}

} // namespace

const char *to_string(News::Kind kind) noexcept {
  switch (kind) {
  case News::Kind::made: return "made";
  case News::Kind::migrated: return "migrated";
  case News::Kind::set_aside: return "set_aside";
  case News::Kind::failing: return "failing";
  case News::Kind::works_again: return "works_again";
  case News::Kind::dropped: return "dropped";
  case News::Kind::refused: return "refused";
  }
  return "";
}

struct Store::Impl {
  explicit Impl(StoreOptions given)
      : options(std::move(given)), path(store_file(options.folder)),
        reader(options.folder, options.busy, [this](const std::string &damage) { suspect(damage); }) {
    if (options.schema.empty()) options.schema = schema_steps();
  }

  // The file, on one thread at a time: of open(), then the store's own.
  Result<void> open_file();
  Result<void> open_checked();
  Result<void> begin_anew(const std::string &damage);
  void bring_over();
  void note_trouble(const smtp::Error &error);
  void note_success(std::size_t changes);

  void run();
  bool write(std::vector<Item> batch);
  std::optional<std::size_t> carry_out(const std::vector<Item> &batch, smtp::Error &refused);
  void refuse(Item item, const smtp::Error &error);
  bool give_up(std::vector<Item> batch, const smtp::Error &error);
  void trim();
  bool make_room(std::size_t more);
  void tell_of_losses();
  void suspect(const std::string &damage);
  void tell(News::Kind kind, std::string detail) const { options.tell({kind, std::move(detail)}); }

  StoreOptions options;
  const std::string path;
  Reader reader;
  std::unique_ptr<Connection> connection; ///< of the thread
  Clock::time_point next_try{};           ///< of the thread
  Clock::time_point next_trim{};          ///< of the thread
  std::uint64_t told_dropped = 0;         ///< of the thread
  Clock::time_point next_told{};          ///< of the thread
  bool is_foreign = false;                ///< the file is not ours to touch
  struct Damaged {
    std::string aside; ///< its name now; empty: there is none to bring over
    std::string damage;
  };
  Damaged damaged;                             ///< of the thread
  std::optional<Clock::time_point> renewed_at; ///< of the thread
  bool is_checked = false;                     ///< for damage, once; later a query or a change finds it

  mutable std::mutex mutex; ///< of what follows
  std::condition_variable wake;
  std::condition_variable settled;
  std::deque<Item> line;
  std::size_t octets = 0;    ///< of the line
  std::size_t urgent = 0;    ///< of the line, those with `done`
  std::size_t under_way = 0; ///< taken out of the line, not yet settled
  std::uint64_t flushes = 0; ///< who waits for an empty line
  bool stopping = false;
  std::string suspected; ///< what a query found
  std::vector<Trim> trims;
  Status status;
  std::thread thread;
};

Result<void> Store::Impl::open_file() {
  auto opened = open_checked();
  if (!opened && opened.error().code == ErrorCode::bad_syntax) opened = begin_anew(opened.error().detail);
  if (!opened) connection.reset();
  return opened;
}

Result<void> Store::Impl::open_checked() {
  if (auto made = make_folder(options.folder); !made) return made;
  const auto is_new = make_file(path);
  if (!is_new) return tl::unexpected(is_new.error());
  if (const auto foreign = set_aside_foreign_wal(path, std::chrono::system_clock::now()); !foreign.empty())
    tell(News::Kind::set_aside,
         fmt::format("{}-wal was damaged: it is {} now; what it alone held is lost", path, foreign));
  errno = 0;
  try {
    connection = std::make_unique<Connection>(path, Connection::Access::write, options.busy);
    if (!is_checked)
      if (auto damage = connection->find_damage(options.check_for); !damage.empty())
        return smtp::fail(ErrorCode::bad_syntax, std::move(damage));
    is_checked = true;
    const auto before = connection->version();
    if (auto migrated = connection->migrate(options.schema); !migrated) {
      is_foreign = true;
      return migrated;
    }
    if (!damaged.aside.empty())
      bring_over();
    else if (*is_new)
      tell(News::Kind::made, path);
    else if (const auto now = connection->version(); now != before)
      tell(News::Kind::migrated, fmt::format("{}: from schema version {} to {}", path, before, now));
    return {};
  } catch (const SQLite::Exception &thrown) {
    return tl::unexpected(connection ? connection->describe(thrown) : describe(thrown, path, errno));
  }
}

/// The damaged file gets another name; what can be read of it is brought over, now or when a new one can be made.
Result<void> Store::Impl::begin_anew(const std::string &damage) {
  connection.reset();
  if (renewed_at && Clock::now() - *renewed_at < renewal_pause)
    return smtp::fail(ErrorCode::io, fmt::format("{}: damaged again within a minute: {}", path, damage));
  renewed_at = Clock::now();
  reader.close();
  {
    const std::scoped_lock lock(mutex);
    suspected.clear(); // what queries found so far was in this file
  }
  is_checked = false;
  auto aside = set_aside(path, std::chrono::system_clock::now());
  if (!aside) return tl::unexpected(aside.error());
  damaged = {std::move(*aside), damage};
  return open_checked();
}

void Store::Impl::bring_over() {
  const auto [aside, damage] = std::exchange(damaged, {});
  const Salvage saved = salvage(aside, *connection, salvage_time, std::chrono::system_clock::now());
  tell(News::Kind::set_aside,
       fmt::format("{} was damaged ({}): it is {} now, and a new file began; {} rows were brought over{}{}", path,
                   damage, aside, saved.rows, saved.refused == 0 ? "" : fmt::format(", {} could not be", saved.refused),
                   saved.incomplete.empty() ? "" : "; a part may be lost of: " + saved.incomplete));
}

void Store::Impl::note_trouble(const smtp::Error &error) {
  next_try = Clock::now() + retry_after;
  bool is_first = false;
  {
    const std::scoped_lock lock(mutex);
    is_first = status.problem != error.detail;
    status.problem = error.detail;
  }
  if (is_first) tell(News::Kind::failing, error.detail);
}

void Store::Impl::note_success(std::size_t changes) {
  next_try = {};
  bool was_failing = false;
  std::uint64_t dropped = 0;
  {
    const std::scoped_lock lock(mutex);
    was_failing = !status.problem.empty();
    status.problem.clear();
    status.committed += changes;
    ++status.batches;
    dropped = status.dropped;
  }
  if (was_failing) tell(News::Kind::works_again, fmt::format("{}: {} changes were lost so far", path, dropped));
}

/// Under the mutex. The oldest of what is only counted goes for what comes.
bool Store::Impl::make_room(std::size_t more) {
  const auto is_full = [&] { return line.size() >= options.most_waiting || octets + more > options.most_octets; };
  for (auto item = line.begin(); is_full() && item != line.end();) {
    if (item->weight == Weight::kept) {
      ++item;
      continue;
    }
    octets -= item->octets;
    item = line.erase(item);
    ++status.dropped;
  }
  if (!is_full()) return true;
  ++status.dropped;
  return false;
}

void Store::Impl::suspect(const std::string &damage) {
  const std::scoped_lock lock(mutex);
  suspected = damage;
  wake.notify_one();
}

void Store::Impl::tell_of_losses() {
  std::uint64_t dropped = 0;
  {
    const std::scoped_lock lock(mutex);
    dropped = status.dropped;
  }
  if (dropped == told_dropped || Clock::now() < next_told) return;
  tell(News::Kind::dropped,
       fmt::format("{} changes had no room in memory ({} changes, {} octets) while {} could not be written",
                   dropped - told_dropped, options.most_waiting, options.most_octets, path));
  told_dropped = dropped;
  next_told = Clock::now() + told_interval;
}

void Store::Impl::run() {
  std::unique_lock lock(mutex);
  auto next_commit = Clock::now() + options.commit_every;
  for (;;) {
    const auto due = std::min(next_commit, next_trim);
    wake.wait_until(lock, due, [&] {
      return stopping || urgent != 0 || !suspected.empty() || flushes != 0 ||
             (line.size() >= largest_batch && Clock::now() >= next_try);
    });
    const bool is_last = stopping;
    const std::uint64_t flushing = flushes; // who comes later is not answered by this turn
    if (const std::string damage = std::exchange(suspected, {}); !damage.empty()) {
      lock.unlock();
      if (auto renewed = begin_anew(damage); !renewed) note_trouble(renewed.error());
      lock.lock();
    }
    const auto now = Clock::now();
    const bool may_try = urgent != 0 || flushes != 0 || is_last || now >= next_try;
    while (may_try && !line.empty() && suspected.empty()) {
      std::vector<Item> batch;
      while (!line.empty() && batch.size() < largest_batch) {
        octets -= line.front().octets;
        if (line.front().done) --urgent;
        batch.push_back(std::move(line.front()));
        line.pop_front();
      }
      under_way = batch.size();
      lock.unlock();
      const bool written = write(std::move(batch));
      lock.lock();
      under_way = 0;
      if (!written) break;
    }
    if (!suspected.empty()) continue; // nothing more goes into a damaged file
    flushes -= flushing;
    settled.notify_all();
    if (is_last) return;
    next_commit = Clock::now() + options.commit_every;
    lock.unlock();
    if (Clock::now() >= next_trim) trim();
    tell_of_losses();
    lock.lock();
  }
}

/// True: each change of the batch is on its way to the disk, or was refused. False: nothing can be written now.
bool Store::Impl::write(std::vector<Item> batch) {
  for (;;) {
    if (!connection)
      if (auto opened = open_file(); !opened) return give_up(std::move(batch), opened.error());
    try {
      connection->sync_each_commit(std::any_of(
          batch.begin(), batch.end(), [](const Item &item) { return item.done || item.weight == Weight::kept; }));
      smtp::Error refused;
      const auto bad = carry_out(batch, refused);
      if (!bad) break;
      refuse(std::move(batch[*bad]), refused);
      batch.erase(batch.begin() + static_cast<std::ptrdiff_t>(*bad));
    } catch (const SQLite::Exception &thrown) {
      const smtp::Error error = connection->describe(thrown);
      if (trouble_of(thrown) == Trouble::statement) { // nothing that a second try would mend
        for (Item &item : batch) refuse(std::move(item), error);
        return true;
      }
      if (trouble_of(thrown) != Trouble::damage) {
        connection.reset(); // and what it may have kept of a disk that is full or a file that is gone
        return give_up(std::move(batch), error);
      }
      if (auto renewed = begin_anew(error.detail); !renewed) return give_up(std::move(batch), renewed.error());
    }
  }
  note_success(batch.size());
  for (const Item &item : batch)
    if (item.done) item.done({});
  return true;
}

/// All of the batch in one transaction; or nothing, and which change cannot be carried out.
std::optional<std::size_t> Store::Impl::carry_out(const std::vector<Item> &batch, smtp::Error &refused) {
  SQLite::Transaction all(connection->database(), SQLite::TransactionBehavior::IMMEDIATE);
  for (std::size_t index = 0; index < batch.size(); ++index) {
    try {
      batch[index].change(*connection);
    } catch (const SQLite::Exception &thrown) {
      if (trouble_of(thrown) != Trouble::statement) throw;
      refused = {ErrorCode::io, fmt::format("{}: {}", path, thrown.what())};
      return index;
    } catch (const std::exception &thrown) {
      refused = {ErrorCode::io, fmt::format("{}: {}", path, thrown.what())};
      return index;
    }
  }
  all.commit();
  return std::nullopt;
}

void Store::Impl::refuse(Item item, const smtp::Error &error) {
  if (item.done) {
    item.done(tl::unexpected(error));
    return;
  }
  {
    const std::scoped_lock lock(mutex);
    ++status.refused;
  }
  tell(News::Kind::refused, error.detail);
}

/// Who waits is told; the others go back to the front of the line.
bool Store::Impl::give_up(std::vector<Item> batch, const smtp::Error &error) {
  note_trouble(error);
  std::vector<Item> awaited;
  {
    const std::scoped_lock lock(mutex);
    for (auto item = batch.rbegin(); item != batch.rend(); ++item) {
      if (item->done) {
        awaited.push_back(std::move(*item));
        continue;
      }
      octets += item->octets;
      line.push_front(std::move(*item));
    }
  }
  for (auto item = awaited.rbegin(); item != awaited.rend(); ++item) item->done(tl::unexpected(error));
  return false;
}

void Store::Impl::trim() {
  next_trim = Clock::now() + options.trim_every;
  std::vector<Trim> all;
  {
    const std::scoped_lock lock(mutex);
    all = trims;
  }
  if (!connection) return;
  try {
    connection->sync_each_commit(false);
    bool is_more = false;
    for (const Trim &step : all) {
      SQLite::Transaction one(connection->database(), SQLite::TransactionBehavior::IMMEDIATE);
      is_more = step(*connection) || is_more;
      one.commit();
    }
    connection->execute("give_back_pages");
    if (is_more) next_trim = Clock::now() + trim_pause;
  } catch (const SQLite::Exception &thrown) {
    // A write that follows tells of it, and finds what to do.
    if (trouble_of(thrown) != Trouble::outside) tell(News::Kind::refused, connection->describe(thrown).detail);
    if (trouble_of(thrown) == Trouble::damage)
      if (auto renewed = begin_anew(thrown.what()); !renewed) note_trouble(renewed.error());
  }
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Store::~Store() {
  stop();
}

Result<std::unique_ptr<Store>> Store::open(StoreOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  if (auto opened = impl->open_file(); !opened) {
    if (impl->is_foreign) return tl::unexpected(opened.error());
    impl->note_trouble(opened.error());
  }
  impl->next_trim = Clock::now() + impl->options.trim_every;
  impl->thread = std::thread([raw = impl.get()] { raw->run(); });
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

bool Store::add(Change change, std::size_t octets, Weight weight) {
  const std::scoped_lock lock(impl_->mutex);
  if (impl_->stopping || !impl_->make_room(octets)) return false;
  impl_->octets += octets;
  impl_->line.push_back({std::move(change), octets, weight, {}});
  if (impl_->line.size() == largest_batch) impl_->wake.notify_one();
  return true;
}

void Store::commit(Change change, std::function<void(Result<void>)> done) {
  {
    const std::scoped_lock lock(impl_->mutex);
    if (!impl_->stopping) {
      impl_->line.push_back({std::move(change), 0, Weight::kept, std::move(done)});
      ++impl_->urgent;
      impl_->wake.notify_one();
      return;
    }
  }
  done(smtp::fail(ErrorCode::stopping, "the daemon is shutting down"));
}

void Store::hurry() {
  const std::scoped_lock lock(impl_->mutex);
  ++impl_->flushes; // and nobody waits for it
  impl_->wake.notify_one();
}

Result<void> Store::commit(Change change) {
  std::promise<Result<void>> promise;
  auto result = promise.get_future();
  commit(std::move(change), [&promise](Result<void> done) { promise.set_value(std::move(done)); });
  return result.get();
}

void Store::add_trim(Trim trim) {
  const std::scoped_lock lock(impl_->mutex);
  impl_->trims.push_back(std::move(trim));
}

void Store::flush() {
  std::unique_lock lock(impl_->mutex);
  if (impl_->stopping) return;
  ++impl_->flushes;
  impl_->wake.notify_one();
  impl_->settled.wait(lock, [this] { return impl_->flushes == 0 || impl_->stopping; });
}

Reader &Store::reader() noexcept {
  return impl_->reader;
}

const std::string &Store::folder() const noexcept {
  return impl_->options.folder;
}

Store::Status Store::status() const {
  const std::scoped_lock lock(impl_->mutex);
  Status status = impl_->status;
  status.waiting = impl_->line.size() + impl_->under_way;
  return status;
}

void Store::stop() {
  {
    const std::scoped_lock lock(impl_->mutex);
    if (impl_->stopping) return;
    impl_->stopping = true;
    impl_->wake.notify_one();
  }
  impl_->thread.join();
  impl_->reader.close(); // the last connection to close takes the -wal into the file
  impl_->connection.reset();
  // What could not be written.
  for (const Item &item : impl_->line)
    if (item.done) item.done(smtp::fail(ErrorCode::stopping, "the daemon is shutting down"));
  if (!impl_->line.empty())
    impl_->tell(News::Kind::dropped, fmt::format("{} changes could not be written before the end", impl_->line.size()));
}

} // namespace mta::store
