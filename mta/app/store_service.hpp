// The daemon's store of what is not mail: opened, its news in the log, its state in the answer of `status`.
#pragma once

#include <memory>

#include <boost/json/object.hpp>

#include "mta/config/config.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/store/store.hpp"

namespace mta {

/// The log must outlive it. Errors: see store::Store::open().
[[nodiscard]] smtp::Result<std::unique_ptr<store::Store>> open_store(const Config &config, MailLog &log);

[[nodiscard]] boost::json::object describe_store(const store::Store &store);

} // namespace mta
