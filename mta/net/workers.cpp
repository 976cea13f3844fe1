#include "mta/net/workers.hpp"

namespace mta {

Worker::Worker() : watchdog(context) {}

Workers::Workers(std::size_t count) {
  if (count == 0) count = 1;
  workers_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) workers_.push_back(std::make_unique<Worker>());
}

Workers::~Workers() {
  stop();
  join();
}

void Workers::start() {
  for (auto &worker : workers_) {
    guards_.push_back(std::make_unique<WorkGuard>(worker->context.get_executor()));
    threads_.emplace_back([&context = worker->context] { context.run(); });
  }
}

void Workers::join() {
  guards_.clear();
  for (auto &thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  threads_.clear();
}

void Workers::stop() {
  for (auto &worker : workers_) worker->context.stop();
}

} // namespace mta
