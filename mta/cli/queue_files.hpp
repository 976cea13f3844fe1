// portcullis queue show --content, export, import, and hold-rule: see queue_files.cpp.
#pragma once

#include <string>

#include "mta/cli/command.hpp"

namespace mta::cli {

/// `part`: "headers" or "all". Octets that could drive a terminal are escaped; with --json the text is in "content".
void print_content(GlobalOptions &global, const std::string &id, const std::string &part, const std::string &reason);
/// export, import and hold-rule.
void add_queue_files(CLI::App &queue, GlobalOptions &global);

} // namespace mta::cli
