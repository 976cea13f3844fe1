// TlsRecall: the question that delivery asks of the TLS memory.
#pragma once

#include <string_view>

#include "policy/tls_sources.hpp"

namespace mta {

/// Thread-safe; answers from memory, without the disk.
class TlsRecall {
public:
  virtual ~TlsRecall() = default;
  [[nodiscard]] virtual policy::MemoryFacts recall(std::string_view domain) const = 0;
};

} // namespace mta
