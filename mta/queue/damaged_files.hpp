// DamagedFiles: what recoveries set aside and said, in the spool's folder damaged/; kept until an operator removes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mta/queue/message.hpp"

namespace mta {

/// Used by one thread. Nothing here is needed to run: what cannot be read or written is said, and the rest goes on.
class DamagedFiles {
public:
  static constexpr std::size_t list_limit = 10'000;

  struct File {
    std::string name; ///< of a file in the folder, without it
    std::uint64_t size = 0;
    WallTime time{};
    std::string problem; ///< one sentence for people
  };
  explicit DamagedFiles(std::string spool_folder);

  /// Keeps what a recovery said as a file beside what it set aside: the log forgets. What was said before, and is still
  /// there, is not kept twice. When the file cannot be written the text is kept in memory, and the error says why.
  [[nodiscard]] smtp::Result<void> note(const std::vector<std::string> &damage, WallTime now);
  /// By name, at most list_limit of them.
  [[nodiscard]] std::vector<File> list() const;
  [[nodiscard]] std::size_t count() const;
  /// At most `limit` octets from `offset` on; none at the end. Errors: not_found, not_permitted, io.
  [[nodiscard]] smtp::Result<std::string> read(std::string_view name, std::uint64_t offset, std::size_t limit) const;
  [[nodiscard]] smtp::Result<void> remove(std::string_view name);

private:
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] std::string path_of(std::string_view name) const;
  std::string folder_;
  std::string unwritten_name_; ///< empty: none
  std::string unwritten_;
};

} // namespace mta
