// parse_toml: values with their lines, and what toml++ must not stumble over.
#include "mta/config/toml_tree.hpp"

#include <gtest/gtest.h>

namespace toml_tree_test {

using namespace mta::toml_tree;

TEST(TomlTree, KindsAndLines) {
  const auto tree = parse_toml(
      "a = \"x\"\nb = 1\nc = 1.5\nd = true\ne = 2027-04-01\nf = 07:32:00\ng = [\n  1,\n  2]\n\n[h]\ni = 1\n[[j]]\n");
  ASSERT_TRUE(tree);
  const std::vector<std::tuple<const char *, std::size_t, const char *>> rows = {
      {"a", 1, "a string"}, {"b", 2, "a number"}, {"c", 3, "a fraction"}, {"d", 4, "true or false"}, {"e", 5, "a date"},
      {"f", 6, "a time"},   {"g", 7, "a list"},   {"h", 11, "a table"},   {"j", 13, "a list"}};
  ASSERT_EQ(tree->entries.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto &[key, line, kind] = rows[i];
    EXPECT_EQ(tree->entries[i].key, key) << "in the order of the file";
    EXPECT_EQ(tree->entries[i].line, line) << key;
    EXPECT_STREQ(tree->entries[i].value.kind(), kind) << key;
  }
  EXPECT_EQ(std::get<Array>(tree->find("g")->value.data).at(1).line, 9U);
  EXPECT_EQ(std::get<Table>(tree->find("h")->value.data).line, 11U);
  EXPECT_EQ(tree->find("k"), nullptr);
}

TEST(TomlTree, SyntaxErrorsAreErrorsInEveryBuild) {
  const std::vector<std::pair<const char *, std::string>> rows = {
      {"a header that a line end cuts", "[[\nx]]\n"},
      {"a header of one bracket that a line end cuts", "[\nx]\n"},
      {"a letter outside a string", "hostn\xC3\xA9 = 1\n"},
      {"a letter that begins a line", "\xC3\xA9 = 1\n"},
      {"a letter behind a value", "a = 1 \xD0\x8A\n"},
      {"octets that are not UTF-8", "a = \"\xFF\xFE\"\n"},
      {"a surrogate", "a = \"\xED\xA0\x80\"\n"},
      {"a list nested too deep", "a = " + std::string(300, '[') + std::string(300, ']')},
      {"a NUL", std::string("a = 1\0b", 7)},
      {"a bare CR", "a = 1\rb = 2\n"},
      {"an open string", "a = \"x\n"},
      {"a key twice", "a = 1\na = 2\n"},
      {"a number that does not fit", "a = 9223372036854775808\n"},
      {"a day that is not", "a = 2027-02-30\n"},
  };
  for (const auto &[name, text] : rows) {
    const auto tree = parse_toml(text);
    ASSERT_FALSE(tree) << name;
    EXPECT_GT(tree.error().line, 0U) << name;
    EXPECT_FALSE(tree.error().message.empty()) << name;
    for (const char c : tree.error().message) EXPECT_GE(static_cast<unsigned char>(c), ' ') << name;
  }
  EXPECT_TRUE(parse_toml("a = \"\xC3\xA9\xD0\x8A\" # \xC3\xA9\n")) << "letters are welcome in strings and comments";
}

} // namespace toml_tree_test
