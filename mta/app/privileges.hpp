// Privileges: becoming the daemon's own user for good, once ports are bound and keys are read.
#pragma once

#include <string>

#include "smtp/base/result.hpp"

namespace mta {

/// Changes to `user` (and `group`, or the user's own), without supplementary groups, capabilities or a way back, and makes
/// sure of it. Does nothing when not root and `user` is empty or is who we are. Errors: unknown user or group; root
/// without a user ("the daemon does not run as root"); not root and another user is asked for.
[[nodiscard]] smtp::Result<void> drop_privileges(const std::string &user, const std::string &group);

/// While it lives, files are made and opened as `user`, and root can still be had back: for the spool and the log. Does
/// nothing when not root or `user` is empty. Threads started meanwhile follow every later change of the process.
class ActingAsUser {
public:
  [[nodiscard]] static smtp::Result<ActingAsUser> begin(const std::string &user, const std::string &group);
  ActingAsUser(ActingAsUser &&other) noexcept;
  ActingAsUser &operator=(ActingAsUser &&) = delete;
  ~ActingAsUser();

private:
  explicit ActingAsUser(bool active) : active_(active) {}
  bool active_;
};

/// Gives `path` (a file or folder) to the user, when we are root and `user` is not empty.
[[nodiscard]] smtp::Result<void> give_to_user(const std::string &path, const std::string &user, const std::string &group);

/// No program that the process might ever start can gain rights (PR_SET_NO_NEW_PRIVS). Before the first thread.
[[nodiscard]] smtp::Result<void> forbid_new_privileges();

/// Raises the soft limit of open files to the hard one; returns it.
std::size_t raise_descriptor_limit() noexcept;

} // namespace mta
