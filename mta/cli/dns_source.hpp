// DnsSource: where the DNS answers of a command come from: a zone file, or the real DNS.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "mta/auth/offline.hpp"
#include "mta/auth/zone.hpp"
#include "mta/config/config.hpp"
#include "smtp/base/result.hpp"

namespace mta::cli {

class LiveDns;

/// Opened when first needed, once. Must outlive the functions that it gives.
class DnsSource {
public:
  /// `config` says how the real DNS is asked, when it is.
  explicit DnsSource(std::function<DnsConfig()> config);
  ~DnsSource();
  DnsSource(const DnsSource &) = delete;
  DnsSource &operator=(const DnsSource &) = delete;

  /// An empty path: the real DNS. Errors: the file, or what the resolver refused.
  [[nodiscard]] smtp::Result<AnswerAll> from_file(const std::string &path);
  [[nodiscard]] static AnswerAll from_zone(Zone zone);

private:
  [[nodiscard]] smtp::Result<AnswerAll> live();
  std::function<DnsConfig()> config_;
  std::string zone_path_;
  std::shared_ptr<const Zone> zone_;
  std::unique_ptr<LiveDns> live_;
};

} // namespace mta::cli
