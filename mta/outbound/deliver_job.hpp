// deliver_job: one job from its plan to its result, host by host; the flow of docs/architecture.md, "A message, end to
// end".
#pragma once

#include <memory>

#include "mta/outbound/delivery_worker.hpp"

namespace mta {

/// Runs on the worker's thread. Never throws; `done` is called exactly once.
[[nodiscard]] Task<void> deliver_job(std::shared_ptr<DeliveryWorker> worker, Job job,
                                     std::function<void(JobResult)> done);

} // namespace mta
