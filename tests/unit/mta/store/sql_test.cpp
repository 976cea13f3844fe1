// The SQL of the store: it is whole, each statement fits the schema, and nothing in it is of SQLite alone.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <sqlite3.h>

#include "mta/store/embedded_sql.hpp"
#include "tests/unit/mta/store/store_fixture.hpp"

namespace sql_test {

using namespace mta::store;

std::string in_capitals(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

TEST(StoreSql, EachStatementFitsTheSchemaAndItsParametersComeInOrder) {
  ::test::TempFolder folder;
  Connection connection(folder.write("x.sqlite", ""), Connection::Access::write, std::chrono::milliseconds(0));
  const auto steps = schema_steps();
  ASSERT_FALSE(steps.empty());
  ASSERT_TRUE(connection.migrate(steps));
  std::size_t prepared = 0;
  for (const SqlFile &file : embedded_sql()) {
    if (file.name == "sqlite" || file.name.starts_with("schema_")) continue;
    for (const auto &[name, text] : named_statements()) {
      if (file.text.find("-- name: " + name + "\n") == std::string_view::npos) continue;
      ++prepared;
      sqlite3_stmt *statement = nullptr;
      const char *rest = nullptr;
      ASSERT_EQ(sqlite3_prepare_v2(connection.database().getHandle(), text.c_str(), -1, &statement, &rest), SQLITE_OK)
          << name << ": " << connection.database().getErrorMsg();
      EXPECT_EQ(std::string_view(rest).find_first_not_of(" \n"), std::string_view::npos) << name << " is one statement";
      for (int i = 1; i <= sqlite3_bind_parameter_count(statement); ++i)
        EXPECT_EQ(std::string(sqlite3_bind_parameter_name(statement, i)), fmt::format("${}", i)) << name;
      sqlite3_finalize(statement);
    }
  }
  EXPECT_GT(prepared, 20U);
}

TEST(StoreSql, NothingIsOfSqliteAlone) {
  for (const SqlFile &file : embedded_sql()) {
    if (file.name == "sqlite") continue;
    std::string text;
    for (std::size_t at = 0; at < file.text.size();) { // without comments
      const auto end = std::min(file.text.find('\n', at), file.text.size());
      const auto line = file.text.substr(at, end - at);
      text += in_capitals(line.substr(0, line.find("--"))) + '\n';
      at = end + 1;
    }
    for (const char *word : {"PRAGMA", "WITHOUT ROWID", "INSERT OR", "REPLACE INTO", "AUTOINCREMENT", "ROWID", "IFNULL",
                             "INTEGER", "STRICT", "GLOB", "DATETIME", "STRFTIME", "SQLITE_", "BLOB"})
      EXPECT_EQ(text.find(word), std::string::npos) << file.name << ".sql: " << word;
  }
}

TEST(StoreSql, EveryTableSaysWhatItHolds) {
  // Each table has a comment above it.
  const std::string_view schema = schema_steps().front();
  for (auto at = schema.find("\nCREATE TABLE"); at != std::string_view::npos;
       at = schema.find("\nCREATE TABLE", at + 1)) {
    const auto line = schema.rfind('\n', at - 1);
    EXPECT_TRUE(schema.substr(line + 1).starts_with("-- ")) << schema.substr(at, 60);
  }
}

} // namespace sql_test
