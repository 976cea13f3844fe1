// run: what the command line makes of right and wrong arguments.
#include <stdexcept>

#include <gtest/gtest.h>

#include "mta/cli/command.hpp"

namespace run_test {

using mta::cli::GlobalOptions;

TEST(RunProgram, ExitStatus) {
  const struct {
    const char *name;
    std::vector<const char *> arguments;
    int status;
  } rows[] = {
      {"a command that succeeds", {"p", "act", "--count", "1", "x"}, 0},
      {"a command that says no", {"p", "act", "refuse"}, 1},
      {"a command that throws", {"p", "act", "throw"}, 2},
      {"help", {"p", "--help"}, 0},
      {"help of a command", {"p", "act", "--help"}, 0},
      {"the version", {"p", "--version"}, 0},
      {"no command", {"p"}, 2},
      {"an unknown command", {"p", "fly"}, 2},
      {"a missing argument", {"p", "act"}, 2},
      {"an unknown option", {"p", "act", "--tempo", "x"}, 2},
      {"an option without its value", {"p", "act", "x", "--count"}, 2},
      {"a value of the wrong kind", {"p", "act", "--count", "many", "x"}, 2},
      {"a value that is not allowed", {"p", "act", "--count", "9", "x"}, 2},
      {"options that exclude each other", {"p", "act", "--count", "1", "--none", "x"}, 2},
      {"too many arguments", {"p", "act", "x", "y"}, 2},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    GlobalOptions global;
    CLI::App program{"A program."};
    program.set_version_flag("--version", std::string("1"));
    program.require_subcommand(1);
    auto *act = program.add_subcommand("act", "Act.");
    std::string what;
    int number = 0;
    act->add_option("what", what, "")->required();
    auto *count = act->add_option("--count", number, "")->check(CLI::Range(0, 5));
    bool none = false;
    act->add_flag("--none", none, "")->excludes(count);
    act->callback([&] {
      if (what == "throw") throw std::runtime_error("no such folder");
      if (what == "refuse") global.status = 1;
    });
    EXPECT_EQ(mta::cli::run(program, global, static_cast<int>(row.arguments.size()), row.arguments.data()), row.status);
  }
}

} // namespace run_test
