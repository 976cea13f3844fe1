// Section: one table of a configuration file, read key by key; collects wrong types, bad values and unknown keys as
// findings.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mta/config/load.hpp"
#include "mta/config/toml_tree.hpp"
#include "smtp/base/result.hpp"

namespace mta {

/// Gathers findings up to a limit: a hostile or wrong file must not fill the memory.
class Findings {
public:
  static constexpr std::size_t limit = 1000;
  void add(Finding finding);
  [[nodiscard]] bool has_errors() const noexcept { return errors_; }
  /// Main file first, then the others by name; by line in each.
  [[nodiscard]] std::vector<Finding> sorted(std::string_view main_file) const;

private:
  std::vector<Finding> findings_;
  bool errors_ = false;
  std::size_t dropped_ = 0;
};

/// What sections share while one configuration is loaded.
struct Ledger {
  Findings findings;
  std::set<std::string> asked; ///< every key that was looked for, dotted
};

/// Refers to the table and the ledger, which must outlive it. Every read leaves `out` as it was when the key is absent
/// or wrong.
class Section {
public:
  Section(const toml_tree::Table &table, std::string file, std::string prefix, Ledger &ledger);

  [[nodiscard]] bool has(std::string_view key) const noexcept { return table_->find(key) != nullptr; }
  [[nodiscard]] std::size_t line(std::string_view key) const noexcept; ///< of the key, or of the section
  [[nodiscard]] std::string place(std::string_view key) const;         ///< "portcullis.toml:12"
  [[nodiscard]] std::string place() const;
  [[nodiscard]] const std::string &file() const noexcept { return file_; }
  [[nodiscard]] const std::string &prefix() const noexcept { return prefix_; }

  void error(std::string_view key, std::string message);
  void warning(std::string_view key, std::string message);
  void error_at(std::size_t line, std::string_view key, std::string message);
  /// An error when the key is absent.
  void require(std::string_view key, std::string_view what_for);

  void read(std::string_view key, std::string &out);
  void read(std::string_view key, bool &out);
  void read(std::string_view key, double &out, double least, double most);
  template <std::unsigned_integral T>
  void read_count(std::string_view key, T &out, std::uint64_t least, std::uint64_t most) {
    if (const auto value = find_count(key, least, most)) out = static_cast<T>(*value);
  }
  template <std::unsigned_integral T>
  void read_size(std::string_view key, T &out, std::uint64_t least, std::uint64_t most) {
    if (const auto value = find_size(key, least, most)) out = static_cast<T>(*value);
  }
  template <typename Rep, typename Period>
  void read_duration(std::string_view key, std::chrono::duration<Rep, Period> &out, std::chrono::milliseconds least,
                     std::chrono::milliseconds most) {
    using Out = std::chrono::duration<Rep, Period>;
    if (const auto value =
            find_duration(key, least, most, std::chrono::duration_cast<std::chrono::milliseconds>(Out(1))))
      out = std::chrono::duration_cast<Out>(*value);
  }
  void read_durations(std::string_view key, std::vector<std::chrono::seconds> &out, std::chrono::seconds least,
                      std::chrono::seconds most);
  void read_date(std::string_view key, std::optional<std::chrono::sys_days> &out);
  void read_strings(std::string_view key, std::vector<std::string> &out);

  /// One of a few words.
  template <typename T>
  void read_word(std::string_view key, T &out, const std::vector<std::pair<std::string_view, T>> &words) {
    std::string word;
    if (!take_string(key, word)) return;
    std::vector<std::string> known;
    for (const auto &[name, value] : words) {
      if (name == word) {
        out = value;
        return;
      }
      known.emplace_back(name);
    }
    unknown_word(key, word, known);
  }

  /// A string through `parse`, which gives a Result.
  template <typename T, typename Parse> void read_parsed(std::string_view key, T &out, Parse parse) {
    std::string text;
    if (!take_string(key, text)) return;
    auto value = parse(text);
    if (value)
      out = std::move(*value);
    else
      error(key, value.error().detail);
  }
  /// A list of strings, each through `parse`. A wrong element is reported in its own line; the others are kept.
  template <typename T, typename Parse> void read_list(std::string_view key, std::vector<T> &out, Parse parse) {
    const auto texts = take_strings(key);
    if (!texts) return;
    out.clear();
    for (const auto &[text, at] : *texts) {
      auto value = parse(std::string_view(text));
      if (value)
        out.push_back(std::move(*value));
      else
        error_at(at, key, value.error().detail);
    }
  }

  [[nodiscard]] std::optional<Section> table(std::string_view key); ///< [key]
  [[nodiscard]] std::vector<Section> tables(std::string_view key);  ///< [[key]]
  /// The value as it is, for keys with several forms; null when absent.
  [[nodiscard]] const toml_tree::Value *value(std::string_view key);
  [[nodiscard]] Section section_of(std::string_view key, const toml_tree::Table &table) const;
  void wrong_kind(std::string_view key, const toml_tree::Value &value, std::string_view expected);
  void unknown_word(std::string_view key, std::string_view word, const std::vector<std::string> &known);

  /// Reports the keys that nobody asked for, with what was probably meant. Call it last.
  void finish();

private:
  [[nodiscard]] std::string dotted(std::string_view key) const;
  const toml_tree::Entry *ask(std::string_view key);
  bool take_string(std::string_view key, std::string &out);
  std::optional<std::vector<std::pair<std::string, std::size_t>>> take_strings(std::string_view key);
  std::optional<std::uint64_t> find_count(std::string_view key, std::uint64_t least, std::uint64_t most);
  std::optional<std::uint64_t> find_size(std::string_view key, std::uint64_t least, std::uint64_t most);
  std::optional<std::chrono::milliseconds> find_duration(std::string_view key, std::chrono::milliseconds least,
                                                         std::chrono::milliseconds most,
                                                         std::chrono::milliseconds step);

  const toml_tree::Table *table_;
  std::string file_;
  std::string prefix_;
  Ledger *ledger_;
  std::vector<std::string> known_;
};

} // namespace mta
