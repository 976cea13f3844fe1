// build_simulation: the options are checked as the keys of a partner file are; and the folder of explain.
#include "mta/cli/simulation.hpp"

#include <gtest/gtest.h>

#include "mta/cli/explain_sources.hpp"
#include "tests/support/fake_resolver.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/test_ca.hpp"

namespace simulation_test {

using namespace mta;
using namespace mta::cli;

TEST(Simulation, OptionsAreCheckedAsTheKeysOfAPartnerFile) {
  const test::TempFolder folder;
  const std::string good = folder.write("ca.pem", test::TestCa().pem());
  const std::string empty = folder.write("empty.pem", "");
  const struct {
    const char *name;
    std::vector<std::string> match;
    std::string trust;
    std::string refusal; ///< empty: taken
  } rows[] = {
      {"names", {"MX.example.org", "*.example.org"}, "system", ""},
      {"a file of CAs", {}, good, ""},
      {"a star within",
       {"mx.example.org", "a.*.b"},
       "",
       "--match: \"a.*.b\" is not a certificate name: write \"mx.example.org\", or \"*.example.org\" for any one "
       "label"},
      {"a whole top-level domain",
       {"*.org"},
       "",
       "--match: \"*.org\" would cover a whole top-level domain: two labels must follow \"*.\""},
      {"a file that is not there",
       {},
       folder.path() / "absent.pem",
       "--trust: " + (folder.path() / "absent.pem").string()},
      {"a file without certificates", {}, empty, "--trust: " + empty},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    SimulationOptions options;
    options.domain = "example.org";
    options.level = "authenticated";
    options.match = row.match;
    options.trust = row.trust;
    const auto simulation = build_simulation(Config(), options);
    if (row.refusal.empty()) {
      ASSERT_TRUE(simulation) << simulation.error().detail;
      if (!row.match.empty()) {
        EXPECT_EQ(simulation->table.partners()[0].outbound->match[0], "mx.example.org");
      }
      continue;
    }
    ASSERT_FALSE(simulation);
    EXPECT_TRUE(simulation.error().detail.starts_with(row.refusal)) << simulation.error().detail;
  }
}

TEST(PolicyFolder, MustBeThere) {
  const test::TempFolder folder;
  test::FakeResolver resolver;
  EXPECT_NO_THROW(PolicyFolder(resolver, ""));
  EXPECT_NO_THROW(PolicyFolder(resolver, folder.path()));
  const std::string absent = folder.path() / "absent";
  for (const std::string &wrong : {absent, folder.write("file", "x")}) {
    try {
      const PolicyFolder opened(resolver, wrong);
      ADD_FAILURE() << wrong;
    } catch (const std::runtime_error &error) {
      EXPECT_EQ(std::string(error.what()).find("--sts-dir " + wrong + ": "), 0U) << error.what();
    }
  }
}

} // namespace simulation_test
