// UserNames: who a user id is, asked where it keeps nobody waiting: behind LDAP or sssd the answer is a network away.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "mta/base/async.hpp"

namespace mta {

/// Used on one executor. Asks on a thread of its own, one question at a time, and keeps the last answers.
class UserNames {
public:
  /// The name, or empty when the user has none; may block.
  using Find = std::function<std::string(unsigned uid)>;
  explicit UserNames(Find find = {}); ///< none: the system's user database

  /// Begins to ask, when the answer is not known.
  void prepare(unsigned uid);
  /// The name; the number, when there is no name or it does not come within `patience`. What was known before is said
  /// at once, and asked anew when it is old.
  [[nodiscard]] Task<std::string> name(unsigned uid);

  static constexpr std::chrono::milliseconds patience{250};
  static constexpr std::chrono::minutes lifetime{10};
  static constexpr std::size_t limit = 256; ///< of answers that are kept, and of questions

private:
  struct State;
  std::shared_ptr<State> state_; ///< the thread's too: it may hang for longer than this lives
};

} // namespace mta
