// MemoryLog: keeps the events of a test as logfmt lines without time.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "mta/log/mail_log.hpp"

namespace support {

class MemoryLog : public mta::MailLog {
public:
  void write(const mta::Event &event) override {
    const std::string line = mta::format_logfmt(event, "T");
    lines.push_back(line.substr(line.find(" event=") + 1));
  }
  void reopen() override {}
  void flush() override {}
  /// How many lines hold all parts.
  [[nodiscard]] std::size_t count(const std::vector<std::string> &parts) const {
    return static_cast<std::size_t>(std::count_if(lines.begin(), lines.end(), [&](const std::string &line) {
      return std::all_of(parts.begin(), parts.end(),
                         [&](const std::string &part) { return line.find(part) != std::string::npos; });
    }));
  }
  std::vector<std::string> lines;
};

} // namespace support
