// Privileges: see privileges.hpp.
#include "mta/app/privileges.hpp"

#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

struct Identity {
  uid_t user;
  gid_t group;
};

smtp::Result<Identity> find_identity(const std::string &user, const std::string &group) {
  const passwd *entry = ::getpwnam(user.c_str());
  if (!entry)
    return smtp::fail(smtp::ErrorCode::not_found,
                      fmt::format("server.user: there is no user \"{}\"; create it with adduser --system", smtp::escape(user)));
  Identity identity{entry->pw_uid, entry->pw_gid};
  if (!group.empty()) {
    const ::group *found = ::getgrnam(group.c_str());
    if (!found)
      return smtp::fail(smtp::ErrorCode::not_found,
                        fmt::format("server.group: there is no group \"{}\"", smtp::escape(group)));
    identity.group = found->gr_gid;
  }
  return identity;
}

tl::unexpected<smtp::Error> failed(const char *call) {
  return smtp::fail(smtp::ErrorCode::not_permitted, fmt::format("{}: {}", call, std::strerror(errno)));
}

} // namespace

smtp::Result<void> drop_privileges(const std::string &user, const std::string &group) {
  if (user.empty()) {
    if (::geteuid() == 0)
      return smtp::fail(smtp::ErrorCode::not_permitted,
                        "server.user is empty: started as root, the daemon needs a user of its own to become");
    return {};
  }
  const auto identity = find_identity(user, group);
  if (!identity) return tl::unexpected(identity.error());
  if (identity->user == 0)
    return smtp::fail(smtp::ErrorCode::not_permitted, "server.user: the daemon does not run as root");
  if (::geteuid() != 0) {
    if (::geteuid() == identity->user) return {};
    return smtp::fail(smtp::ErrorCode::not_permitted,
                      fmt::format("server.user: only root can become \"{}\"; start as root, or as that user", user));
  }
  if (::setgroups(0, nullptr) != 0) return failed("setgroups");
  if (::setresgid(identity->group, identity->group, identity->group) != 0) return failed("setresgid");
  if (::setresuid(identity->user, identity->user, identity->user) != 0) return failed("setresuid"); // clears all capabilities
  if (::setuid(0) == 0) return smtp::fail(smtp::ErrorCode::not_permitted, "root could be regained after setresuid");
  return {};
}

smtp::Result<ActingAsUser> ActingAsUser::begin(const std::string &user, const std::string &group) {
  if (user.empty() || ::geteuid() != 0) return ActingAsUser(false);
  const auto identity = find_identity(user, group);
  if (!identity) return tl::unexpected(identity.error());
  if (::setegid(identity->group) != 0) return failed("setegid");
  ActingAsUser acting(true);
  if (::seteuid(identity->user) != 0) return failed("seteuid");
  return acting;
}

ActingAsUser::ActingAsUser(ActingAsUser &&other) noexcept : active_(std::exchange(other.active_, false)) {}

ActingAsUser::~ActingAsUser() {
  if (!active_) return;
  // Going on without having root back would fail later and less clearly.
  if (::seteuid(0) != 0 || ::setegid(0) != 0) std::terminate();
}

smtp::Result<void> forbid_new_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("prctl(PR_SET_NO_NEW_PRIVS)");
  return {};
}

smtp::Result<void> give_to_user(const std::string &path, const std::string &user, const std::string &group) {
  if (user.empty() || ::geteuid() != 0) return {};
  const auto identity = find_identity(user, group);
  if (!identity) return tl::unexpected(identity.error());
  if (::lchown(path.c_str(), identity->user, identity->group) != 0)
    return smtp::fail(smtp::ErrorCode::not_permitted, fmt::format("cannot give {} to {}: {}", path, user, std::strerror(errno)));
  return {};
}

std::size_t raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

} // namespace mta
