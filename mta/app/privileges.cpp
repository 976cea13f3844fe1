#include "mta/app/privileges.hpp"

#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

tl::unexpected<smtp::Error> failed(const char *call) {
  return smtp::fail(smtp::ErrorCode::not_permitted, fmt::format("{}: {}", call, std::strerror(errno)));
}

/// A descriptor that is closed.
class Folder {
public:
  explicit Folder(int descriptor) noexcept : descriptor_(descriptor) {}
  Folder(Folder &&other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Folder &operator=(Folder &&other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Folder() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  [[nodiscard]] int get() const noexcept { return descriptor_; }

private:
  int descriptor_;
};

/// A folder below `parent`; a link only when it is root's own. Errors: as errno says.
Folder open_below(const Folder &parent, const char *name) {
  Folder found(::openat(parent.get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (found.get() >= 0 || (errno != ENOTDIR && errno != ELOOP)) return found;
  struct stat facts {};
  if (::fstatat(parent.get(), name, &facts, AT_SYMLINK_NOFOLLOW) != 0) return found;
  if (S_ISLNK(facts.st_mode) && facts.st_uid == 0)
    return Folder(::openat(parent.get(), name, O_PATH | O_DIRECTORY | O_CLOEXEC));
  errno = S_ISLNK(facts.st_mode) ? ELOOP : ENOTDIR;
  return found;
}

} // namespace

smtp::Result<gid_t> find_group(const std::string &name, const std::string &key) {
  if (const ::group *found = ::getgrnam(name.c_str())) return found->gr_gid;
  return smtp::fail(smtp::ErrorCode::not_found, fmt::format("{}: there is no group \"{}\"", key, smtp::escape(name)));
}

smtp::Result<std::optional<DaemonIdentity>> find_daemon_identity(const std::string &user, const std::string &group) {
  if (user.empty()) {
    if (::geteuid() == 0)
      return smtp::fail(smtp::ErrorCode::not_permitted,
                        "server.user is empty: started as root, the daemon needs a user of its own to become");
    return std::optional<DaemonIdentity>();
  }
  const passwd *entry = ::getpwnam(user.c_str());
  if (!entry)
    return smtp::fail(
        smtp::ErrorCode::not_found,
        fmt::format("server.user: there is no user \"{}\"; create it with adduser --system", smtp::escape(user)));
  DaemonIdentity identity{entry->pw_uid, entry->pw_gid, user};
  if (!group.empty()) {
    const auto found = find_group(group, "server.group");
    if (!found) return tl::unexpected(found.error());
    identity.group = *found;
  }
  if (identity.user == 0)
    return smtp::fail(smtp::ErrorCode::not_permitted, "server.user: the daemon does not run as root");
  if (::geteuid() != 0) {
    if (::geteuid() == identity.user) return std::optional<DaemonIdentity>();
    return smtp::fail(smtp::ErrorCode::not_permitted,
                      fmt::format("server.user: only root can become \"{}\"; start as root, or as that user", user));
  }
  return std::optional<DaemonIdentity>(std::move(identity));
}

namespace {

/// Those that a service manager gave an ordinary user, so that it may bind low ports.
smtp::Result<void> drop_capabilities() {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
    return failed("prctl(PR_CAP_AMBIENT)");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capset, &header, none) != 0) return failed("capset");
  return {};
}

} // namespace

smtp::Result<void> drop_privileges(const std::optional<DaemonIdentity> &identity) {
  if (!identity) return drop_capabilities();
  if (::setgroups(0, nullptr) != 0) return failed("setgroups");
  if (::setresgid(identity->group, identity->group, identity->group) != 0) return failed("setresgid");
  if (::setresuid(identity->user, identity->user, identity->user) != 0)
    return failed("setresuid"); // clears all capabilities
  if (::setuid(0) == 0) return smtp::fail(smtp::ErrorCode::not_permitted, "root could be regained after setresuid");
  return {};
}

smtp::Result<void> make_folder_for(const DaemonIdentity &identity, const std::string &path, mode_t mode) {
  const auto whole = std::filesystem::absolute(path).lexically_normal();
  const auto refused = [&](const char *act) {
    return smtp::fail(smtp::ErrorCode::io, fmt::format("cannot {} folder {}: {}", act, path, std::strerror(errno)));
  };
  Folder folder(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return refused("open");
  std::vector<std::string> names;
  for (const auto &part : whole.relative_path())
    if (!part.empty()) names.push_back(part.string());
  for (std::size_t i = 0; i < names.size(); ++i) {
    struct stat facts {};
    if (::fstat(folder.get(), &facts) != 0) return refused("look at");
    if (facts.st_uid == identity.user) return {};
    Folder next = open_below(folder, names[i].c_str());
    if (next.get() < 0 && errno == ENOENT) {
      if (::mkdirat(folder.get(), names[i].c_str(), 0700) != 0) return refused("make");
      next = Folder(::openat(folder.get(), names[i].c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (next.get() < 0) return refused("open");
      const bool is_last = i + 1 == names.size();
      if (is_last && ::fchown(next.get(), identity.user, identity.group) != 0) return refused("give away");
      if (::fchmod(next.get(), is_last ? mode : 0755) != 0) return refused("set the mode of");
    }
    if (next.get() < 0) return refused("open");
    folder = std::move(next);
  }
  return {};
}

smtp::Result<ActingAs> ActingAs::begin(const std::optional<DaemonIdentity> &identity, std::optional<gid_t> group) {
  if (!identity) return ActingAs(false);
  if (::setgroups(0, nullptr) != 0) return failed("setgroups"); // root needs none of them again
  if (::setegid(group.value_or(identity->group)) != 0) return failed("setegid");
  ActingAs acting(true);
  if (::seteuid(identity->user) != 0) return failed("seteuid");
  return acting;
}

ActingAs::ActingAs(ActingAs &&other) noexcept : active_(std::exchange(other.active_, false)) {}

ActingAs::~ActingAs() {
  if (!active_) return;
  // Going on without having root back would fail later and less clearly.
  if (::seteuid(0) != 0 || ::setegid(0) != 0) std::terminate();
}

smtp::Result<void> forbid_new_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("prctl(PR_SET_NO_NEW_PRIVS)");
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
