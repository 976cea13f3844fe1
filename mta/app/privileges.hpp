// Privileges: becoming the daemon's own user for good, once ports are bound and keys are read.
#pragma once

#include <optional>
#include <string>

#include <sys/types.h>

#include "smtp/base/result.hpp"

namespace mta {

/// Whom a daemon that was started as root becomes.
struct DaemonIdentity {
  uid_t user = 0;
  gid_t group = 0;
  std::string name;
};

/// Whom it becomes; nothing when it stays who it is. Touches no file. Errors: unknown user or group; root without a
/// user or with root as the user ("the daemon does not run as root"); not root and another user is asked for.
[[nodiscard]] smtp::Result<std::optional<DaemonIdentity>> find_daemon_identity(const std::string &user,
                                                                               const std::string &group);
/// The number of a group. Error not_found.
[[nodiscard]] smtp::Result<gid_t> find_group(const std::string &name, const std::string &key);

/// Changes to that identity, without supplementary groups, capabilities or a way back, and makes sure of it; where it
/// stays who it is, gives up the capabilities that a service manager may have given it for low ports. Before the first
/// thread, so that none is left with rights, and before the first file of the daemon is made.
[[nodiscard]] smtp::Result<void> drop_privileges(const std::optional<DaemonIdentity> &identity);

/// Makes the folder for the daemon where only root can (below /var or /run) and gives it to its user. Goes from "/" by
/// descriptors and follows no link but root's own. From the first folder on that belongs to the daemon's user nothing
/// is done: what is missing there the daemon makes itself, without root's rights. A folder that is there stays as it
/// is.
[[nodiscard]] smtp::Result<void> make_folder_for(const DaemonIdentity &identity, const std::string &path, mode_t mode);

/// While it lives, files are made and opened as the identity, with `group` as theirs, and root can still be had back.
/// Only while the process has one thread.
class ActingAs {
public:
  [[nodiscard]] static smtp::Result<ActingAs> begin(const std::optional<DaemonIdentity> &identity,
                                                    std::optional<gid_t> group);
  ActingAs(ActingAs &&other) noexcept;
  ActingAs &operator=(ActingAs &&) = delete;
  ~ActingAs();

private:
  explicit ActingAs(bool active) : active_(active) {}
  bool active_;
};

/// No program that the process might ever start can gain rights (PR_SET_NO_NEW_PRIVS). Before the first thread.
[[nodiscard]] smtp::Result<void> forbid_new_privileges();

/// Raises the soft limit of open files to the hard one; returns it.
std::size_t raise_descriptor_limit() noexcept;

} // namespace mta
