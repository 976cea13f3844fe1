// check_system: see the header.
#include "mta/cli/check_system.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>

#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/config/faults.hpp"
#include "mta/config/load.hpp"
#include "mta/control/client.hpp"
#include "mta/spool/segment.hpp"
#include "smtp/base/text.hpp"
#include "tls/core/name_match.hpp"

namespace mta::cli {

namespace {

namespace fs = std::filesystem;

/// Whom the daemon will be.
struct Identity {
  bool known = false;
  uid_t user = 0;
  gid_t group = 0;
};

/// Root looks as the daemon's user does, without groups beside `group`, until the end; others stay who they are.
class LookingAs {
public:
  LookingAs(uid_t user, gid_t group) {
    if (::geteuid() != 0 || user == 0) return;
    const int count = ::getgroups(0, nullptr);
    if (count < 0) return;
    groups_.resize(static_cast<std::size_t>(count));
    if (::getgroups(count, groups_.data()) < 0 || ::setgroups(0, nullptr) != 0) return;
    active_ = true;
    own_group_ = ::getegid();
    is_user_ = ::setegid(group) == 0 && ::seteuid(user) == 0;
  }
  LookingAs(const LookingAs &) = delete;
  LookingAs &operator=(const LookingAs &) = delete;
  ~LookingAs() {
    if (!active_) return;
    // Going on with half of root's rights would make every later answer wrong.
    if (::seteuid(0) != 0 || ::setegid(own_group_) != 0 || ::setgroups(groups_.size(), groups_.data()) != 0)
      std::terminate();
  }
  [[nodiscard]] bool is_user() const noexcept { return is_user_; }

private:
  std::vector<gid_t> groups_;
  gid_t own_group_ = 0;
  bool active_ = false;
  bool is_user_ = false;
};

class SystemCheck {
public:
  explicit SystemCheck(const Config &config) : config_(config), file_(fs::path(config.file).filename().string()) {}

  std::vector<Finding> run() {
    check_user();
    check_spool();
    check_log();
    check_control();
    check_addresses();
    check_names();
    check_keys();
    check_partner_folder();
    check_reload();
    return std::move(findings_);
  }

private:
  void add(Severity severity, std::string key, std::string message) {
    findings_.push_back({severity, file_, 0, std::move(key), std::move(message)});
  }
  void add_at(Severity severity, const std::string &place, std::string key, std::string message) {
    findings_.push_back(finding_at(severity, place, std::move(key), std::move(message)));
  }

  void check_user() {
    const ServerConfig &server = config_.server;
    const bool root = ::geteuid() == 0;
    if (server.user.empty()) {
      if (root)
        return add(Severity::error, "server.user",
                   "is empty: started as root, the daemon needs a user of its own to become");
      identity_ = {true, ::geteuid(), ::getegid()};
      return;
    }
    const passwd *entry = ::getpwnam(server.user.c_str());
    if (!entry)
      return add(Severity::error, "server.user",
                 fmt::format("there is no user \"{0}\" on this host; create it with: adduser --system --group {0}",
                             smtp::escape(server.user)));
    if (entry->pw_uid == 0) return add(Severity::error, "server.user", "the daemon does not run as root");
    identity_ = {true, entry->pw_uid, entry->pw_gid};
    if (!server.group.empty()) {
      const ::group *group = ::getgrnam(server.group.c_str());
      if (!group)
        return add(Severity::error, "server.group",
                   fmt::format("there is no group \"{}\" on this host", smtp::escape(server.group)));
      identity_.group = group->gr_gid;
    }
    if (!config_.control.group.empty() && !::getgrnam(config_.control.group.c_str()))
      add(Severity::error, "control.group",
          fmt::format("there is no group \"{}\" on this host", smtp::escape(config_.control.group)));
  }

  /// As the kernel judges the daemon's user, where we can be it; else by mode and owner alone. `bits` of "rwx"; a link
  /// is judged itself.
  [[nodiscard]] bool may(const fs::path &path, unsigned bits) const { return may(path, bits, identity_.group); }
  [[nodiscard]] bool may(const fs::path &path, unsigned bits, gid_t group) const {
    if (!identity_.known) return true;
    static_assert(R_OK == 4 && W_OK == 2 && X_OK == 1);
    const auto ask = [&] {
      return ::faccessat(AT_FDCWD, path.c_str(), static_cast<int>(bits), AT_EACCESS | AT_SYMLINK_NOFOLLOW) == 0;
    };
    if (is_we()) return ask();
    if (const LookingAs looking(identity_.user, group); looking.is_user()) return ask();
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return true; // beyond our rights
    const unsigned mode = status.st_mode;
    if (status.st_uid == identity_.user) return ((mode >> 6U) & bits) == bits;
    if (status.st_gid == group) return ((mode >> 3U) & bits) == bits;
    return (mode & bits) == bits;
  }

  /// The daemon would be started by who asks, without root's help.
  [[nodiscard]] bool is_we() const { return ::geteuid() != 0 && identity_.known && identity_.user == ::geteuid(); }

  /// What keeps the daemon's user from this folder or file; empty: nothing. Every folder above must let it through.
  [[nodiscard]] std::string obstacle(const fs::path &path, unsigned bits) const {
    return obstacle(path, bits, identity_.group);
  }
  [[nodiscard]] std::string obstacle(const fs::path &path, unsigned bits, gid_t group) const {
    fs::path above;
    for (const auto &part : path.parent_path()) {
      above /= part;
      struct stat status {};
      if (::stat(above.c_str(), &status) != 0)
        return errno == EACCES ? std::string() : fmt::format("there is no folder {}", above.string());
      if (!may(fs::path(above) / ".", 1, group))
        return fmt::format("user {} may not pass through {}", user(), above.string());
    }
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return {};
    if (!may(S_ISDIR(status.st_mode) ? path / "." : path, bits, group))
      return fmt::format("user {} may not {} {}", user(), (bits & 2U) != 0 ? "write" : "read", path.string());
    return {};
  }

  /// The closest folder above that is there; nothing: it cannot be looked at.
  [[nodiscard]] static std::optional<fs::path> closest_above(const fs::path &path) {
    for (fs::path above = path.parent_path();; above = above.parent_path()) {
      std::error_code error;
      if (fs::exists(above, error) || above == above.parent_path()) return above;
      if (error.value() == EACCES) return std::nullopt;
    }
  }

  [[nodiscard]] std::string user() const {
    return config_.server.user.empty() ? std::string("of this command") : config_.server.user;
  }

  void check_spool() {
    const fs::path path = config_.spool.path;
    std::error_code error;
    if (!fs::exists(path, error)) {
      if (error && error.value() == EACCES) return; // beyond our rights
      if (!is_we()) return;                         // a start as root makes it, with the folders above
      const auto above = closest_above(path);
      if (above && !may(*above / ".", 3))
        add(Severity::error, "spool.path",
            fmt::format("{} is not there, and {} may not be written: {}", path.string(), above->string(),
                        std::strerror(errno)));
      return;
    }
    if (!fs::is_directory(path, error))
      return add(Severity::error, "spool.path", fmt::format("{} is not a folder", path.string()));
    if (const auto found = obstacle(path, 7); !found.empty()) return add(Severity::error, "spool.path", found);
    check_spool_files(path);
    struct statfs kind {};
    constexpr long tmpfs_magic = 0x01021994, ramfs_magic = 0x858458f6; // statfs(2)
    if (::statfs(path.c_str(), &kind) == 0 && (kind.f_type == tmpfs_magic || kind.f_type == ramfs_magic))
      add(Severity::warning, "spool.path",
          fmt::format("{} is in memory: acknowledged mail is lost when the machine restarts", path.string()));
    struct statvfs room {};
    if (::statvfs(path.c_str(), &room) == 0) {
      const auto free = static_cast<std::uint64_t>(room.f_bavail) * room.f_frsize;
      if (free < config_.spool.min_free)
        add(Severity::fault, "spool.min_free",
            fmt::format("{} octets are free on the disk of {}, min_free is {}: all mail would be put off", free,
                        path.string(), config_.spool.min_free));
    }
  }

  /// One file of another owner, made by a start as the wrong user, keeps the daemon from starting; deeper (tally,
  /// last-good, …) it keeps it from counting and keeping what is there. A folder of other things is not a spool.
  void check_spool_files(const fs::path &path) {
    std::error_code error;
    bool ours = fs::is_empty(path, error);
    std::optional<Finding> found;
    constexpr auto options = fs::directory_options::skip_permission_denied;
    for (fs::recursive_directory_iterator entry(path, options, error), end; !error && entry != end;
         entry.increment(error)) {
      const std::string name = entry->path().filename().string();
      const bool top = entry.depth() == 0;
      if (top) ours = ours || name == "lost+found" || spool::parse_file_name(name).kind != spool::FileKind::foreign;
      if (top && name == "lost+found") entry.disable_recursion_pending(); // the file system's own
      struct stat status {};
      if ((top && name == "lost+found") || ::lstat(entry->path().c_str(), &status) != 0) continue;
      const bool folder = S_ISDIR(status.st_mode);
      if (may(entry->path(), folder ? 7 : 6)) continue;
      const bool in_store = entry.depth() == 1 && entry->path().parent_path().filename() == "state";
      const bool ends_start = (top && (!folder || name == "tally" || name == "state")) || in_store;
      if (found && (found->severity == Severity::error || !ends_start)) continue;
      const passwd *owner = ::getpwuid(status.st_uid);
      found =
          Finding{ends_start ? Severity::error : Severity::fault, file_, 0, "spool.path",
                  fmt::format("{} belongs to {}, and user {} may not write it: chown -R {} {}", entry->path().string(),
                              owner ? owner->pw_name : std::to_string(status.st_uid), user(), user(), path.string())};
    }
    if (!ours && !error)
      add(Severity::error, "spool.path",
          fmt::format("{} holds other files and no spool: give the spool a folder of its own", path.string()));
    if (found) findings_.push_back(std::move(*found));
  }

  void check_log() {
    if (config_.log.file.empty()) return;
    const fs::path path = config_.log.file;
    std::error_code error;
    const fs::path folder = path.parent_path();
    if (!fs::is_directory(folder, error)) {
      if (error.value() != EACCES)
        add(Severity::error, "log.file", fmt::format("there is no folder {}", folder.string()));
      return;
    }
    if (fs::exists(path, error)) {
      if (const auto found = obstacle(path, 2); !found.empty()) add(Severity::error, "log.file", found);
    } else if (const auto found = obstacle(folder, 3); !found.empty()) {
      add(Severity::error, "log.file", found);
    }
  }

  /// The socket is made by the daemon's user, with the group that may use it as its own; root makes only its folder,
  /// and only where it is not there.
  void check_control() {
    const fs::path path = config_.control.socket;
    const fs::path folder = path.parent_path();
    const std::string key = "control.socket";
    gid_t group = identity_.group;
    if (const ::group *found = config_.control.group.empty() ? nullptr : ::getgrnam(config_.control.group.c_str())) {
      if (!is_we())
        group = found->gr_gid;
      else if (!is_our_group(found->gr_gid))
        add(Severity::error, "control.group",
            fmt::format("user {} is not in the group \"{}\", and cannot give it the socket", user(),
                        config_.control.group));
    }
    std::error_code error;
    if (!fs::exists(folder, error)) {
      if (error.value() == EACCES) return; // beyond our rights
      const auto above = closest_above(folder);
      struct stat status {};
      if (!above || ::stat(above->c_str(), &status) != 0) return;
      if (!S_ISDIR(status.st_mode))
        return add(Severity::error, key, fmt::format("{} is not a folder", above->string()));
      // Below a folder of the daemon's user root makes nothing.
      const bool made_by_user = is_we() || (identity_.known && status.st_uid == identity_.user);
      if (made_by_user && !may(*above / ".", 3, group))
        add(Severity::error, key,
            fmt::format("there is no folder {}, and user {} may not make it: {} may not be written", folder.string(),
                        user(), above->string()));
      return;
    }
    if (!fs::is_directory(folder, error))
      return add(Severity::error, key, fmt::format("{} is not a folder", folder.string()));
    if (const auto found = obstacle(folder, 3, group); !found.empty())
      return add(Severity::error, key,
                 fmt::format("{}, and so not make {}: give the socket a folder of its own, such as /run/portcullis",
                             found, path.filename().string()));
    struct stat socket {};
    struct stat holder {};
    if (::lstat(path.c_str(), &socket) != 0 || ::stat(folder.c_str(), &holder) != 0 || !identity_.known) return;
    if (!S_ISSOCK(socket.st_mode))
      add(Severity::error, key,
          fmt::format("{} is there and is not a socket: it is left alone, and the daemon does not start",
                      path.string()));
    else if ((holder.st_mode & S_ISVTX) != 0 && socket.st_uid != identity_.user && holder.st_uid != identity_.user)
      add(Severity::error, key,
          fmt::format("{} is there, and user {} may not replace it: {} has the sticky bit", path.string(), user(),
                      folder.string()));
  }

  [[nodiscard]] static bool is_our_group(gid_t group) {
    if (group == ::getegid()) return true;
    const int count = ::getgroups(0, nullptr);
    std::vector<gid_t> groups(static_cast<std::size_t>(std::max(count, 0)));
    if (::getgroups(count, groups.data()) < 0) return true;
    return std::find(groups.begin(), groups.end(), group) != groups.end();
  }

  /// A daemon of this configuration, and where it listens: those addresses are taken rightly.
  struct RunningDaemon {
    enum class State : std::uint8_t { absent, unknown, answers };
    State state = State::absent;
    std::vector<smtp::SocketAddress> addresses{};
  };
  [[nodiscard]] RunningDaemon find_running() const {
    namespace json = boost::json;
    const auto answer =
        call_daemon(config_.control.socket, json::object{{"command", "status"}}, std::chrono::seconds(10));
    if (!answer)
      return {answer.error().code == smtp::ErrorCode::not_found ? RunningDaemon::State::absent
                                                                : RunningDaemon::State::unknown};
    RunningDaemon running{RunningDaemon::State::answers};
    const json::value *inbound = answer->if_contains("inbound");
    const json::value *listeners =
        inbound && inbound->is_object() ? inbound->as_object().if_contains("listeners") : nullptr;
    if (!listeners || !listeners->is_array()) return running;
    for (const json::value &row : listeners->as_array()) {
      const json::value *text = row.is_object() ? row.as_object().if_contains("address") : nullptr;
      if (!text || !text->is_string()) continue;
      if (const auto address = smtp::SocketAddress::parse(text->as_string(), 25)) running.addresses.push_back(*address);
    }
    return running;
  }

  /// 0, or errno of binding it as the daemon does.
  static int try_to_bind(const smtp::SocketAddress &address) {
    const bool v6 = address.address.is_v6();
    const int socket = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return errno == EAFNOSUPPORT ? EAFNOSUPPORT : 0;
    const int on = 1;
    (void)::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const auto &octets = address.address.octets();
    int result = 0;
    if (v6) {
      (void)::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
      sockaddr_in6 name{};
      name.sin6_family = AF_INET6;
      name.sin6_port = htons(address.port);
      std::memcpy(&name.sin6_addr, octets.data(), sizeof name.sin6_addr);
      result = ::bind(socket, reinterpret_cast<const sockaddr *>(&name), sizeof name);
    } else {
      sockaddr_in name{};
      name.sin_family = AF_INET;
      name.sin_port = htons(address.port);
      std::memcpy(&name.sin_addr, octets.data(), sizeof name.sin_addr);
      result = ::bind(socket, reinterpret_cast<const sockaddr *>(&name), sizeof name);
    }
    const int error = result == 0 ? 0 : errno;
    ::close(socket);
    return error;
  }

  static bool is_wildcard(const smtp::IpAddress &address) {
    const auto &octets = address.octets();
    return std::all_of(octets.begin(), octets.begin() + (address.is_v6() ? 16 : 4),
                       [](auto octet) { return octet == 0; });
  }

  void check_addresses() {
    const RunningDaemon running = find_running();
    std::vector<std::pair<smtp::SocketAddress, const ListenerConfig *>> seen;
    for (const ListenerConfig &listener : config_.listeners)
      for (const smtp::SocketAddress &address : listener.addresses) {
        for (const auto &[other, owner] : seen) {
          const bool same_family = other.address.is_v6() == address.address.is_v6();
          if (address.port == 0 || other.port != address.port || !same_family || other.address == address.address)
            continue;
          if (is_wildcard(other.address) || is_wildcard(address.address))
            add_at(Severity::error, listener.place, "listener.addresses",
                   fmt::format("{} and {} of listener \"{}\" overlap: one of them is every address of this host",
                               address.to_string(), other.to_string(), owner->name));
        }
        seen.emplace_back(address, &listener);
        check_address(listener, address, running);
      }
  }

  void check_address(const ListenerConfig &listener, const smtp::SocketAddress &address, const RunningDaemon &running) {
    switch (const int error = try_to_bind(address)) {
    case 0: return;
    case EADDRNOTAVAIL:
      // Of an address that moves between hosts the running daemon has a socket, and a reload needs no other.
      if (std::find(running.addresses.begin(), running.addresses.end(), address) != running.addresses.end())
        return add_at(
            Severity::warning, listener.place, "listener.addresses",
            fmt::format("{} is not an address of this host any more: the daemon runs on, but would not start again",
                        address.to_string()));
      return add_at(Severity::error, listener.place, "listener.addresses",
                    fmt::format("{} is not an address of this host", address.to_string()));
    case EADDRINUSE: return tell_taken(listener, address, running);
    case EACCES: return; // a start as root may
    case EAFNOSUPPORT:
      return add_at(Severity::error, listener.place, "listener.addresses",
                    fmt::format("{}: this host has no IPv6", address.to_string()));
    default:
      return add_at(Severity::error, listener.place, "listener.addresses",
                    fmt::format("{}: {}", address.to_string(), std::strerror(error)));
    }
  }

  void tell_taken(const ListenerConfig &listener, const smtp::SocketAddress &address, const RunningDaemon &running) {
    const bool is_its_own =
        std::any_of(running.addresses.begin(), running.addresses.end(), [&](const smtp::SocketAddress &its) {
          return its.port == address.port && its.address.is_v6() == address.address.is_v6() &&
                 (its.address == address.address || is_wildcard(its.address) || is_wildcard(address.address));
        });
    if (is_its_own) return;
    switch (running.state) {
    case RunningDaemon::State::absent:
      return add_at(Severity::error, listener.place, "listener.addresses",
                    fmt::format("{} is taken by another program", address.to_string()));
    case RunningDaemon::State::answers:
      return add_at(
          Severity::error, listener.place, "listener.addresses",
          fmt::format("{} is taken by another program: the running daemon does not listen there", address.to_string()));
    case RunningDaemon::State::unknown:
      return add_at(Severity::warning, listener.place, "listener.addresses",
                    fmt::format("{} is taken, and the daemon at {} cannot be asked whether by itself",
                                address.to_string(), config_.control.socket));
    }
  }

  /// Each certificate of an mx listener must be for the name that our MX record will say. A relay listener may be known
  /// by another name of ours.
  [[nodiscard]] bool is_for_us(const CertificateConfig &certificate, policy::ListenerRole role) const {
    return std::any_of(certificate.dns_names.begin(), certificate.dns_names.end(), [&](const std::string &name) {
      if (tls::name_covers(name, config_.server.hostname)) return true;
      if (role == policy::ListenerRole::mx) return false;
      const auto lower = smtp::to_lower(name);
      return config_.is_within_own_domain(lower.starts_with("*.") ? std::string_view(lower).substr(2) : lower);
    });
  }

  /// The certificates of listeners against our names; and what MTA-STS "enforce" asks of them.
  void check_names() {
    std::set<std::string> told;
    for (const ListenerConfig &listener : config_.listeners) {
      if (listener.tls == ListenerTls::none) continue;
      std::vector<const CertificateConfig *> shown;
      for (const CertificateConfig &certificate : config_.certificates)
        if (listener.certificates.empty() || std::find(listener.certificates.begin(), listener.certificates.end(),
                                                       certificate.name) != listener.certificates.end())
          shown.push_back(&certificate);
      if (shown.empty()) continue;
      for (const CertificateConfig *certificate : shown) {
        // One certificate may serve many listeners: it is told once.
        if (is_for_us(*certificate, listener.role) || !told.insert(certificate->name).second) continue;
        add_at(Severity::warning, certificate->place, "certificate",
               fmt::format("the certificate \"{}\" of listener \"{}\" is for {}, not for {}, which is our own name",
                           smtp::escape(certificate->name, 80), listener.name,
                           certificate->dns_names.empty() ? std::string("no name")
                                                          : smtp::escape(certificate->dns_names.front(), 100),
                           config_.server.hostname));
      }
      if (listener.role != policy::ListenerRole::mx) continue;
      const bool self_signed =
          std::any_of(shown.begin(), shown.end(), [](const CertificateConfig *each) { return each->is_self_signed; });
      for (const auto &[name, domain] : config_.domains)
        if (self_signed && domain.mta_sts && domain.mta_sts->mode == OwnStsConfig::Mode::enforce)
          add_at(Severity::warning, domain.mta_sts->place.empty() ? domain.place : domain.mta_sts->place,
                 "domain.mta_sts.mode",
                 fmt::format(
                     "{} publishes \"enforce\", and listener \"{}\" shows a self-signed certificate: who keeps to the "
                     "policy sends no mail",
                     name, listener.name));
    }
  }

  void check_key(const std::string &path, const std::string &place, std::string key) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || (status.st_mode & 0007U) == 0) return;
    add_at(Severity::warning, place, std::move(key),
           fmt::format("{} can be read by every user of this host: chmod o= {}", path, path));
  }

  void check_keys() {
    for (const CertificateConfig &certificate : config_.certificates)
      check_key(certificate.files.key, certificate.place, "certificate.key");
    for (const SigningKeyConfig &key : config_.dkim_keys) check_key(key.file, key.place, "dkim_key.file");
    if (config_.arc.key) check_key(config_.arc.key->file, config_.arc.key->place, "arc.file");
  }

  /// Partner files that nobody reads: "partner.tom", "partner.toml.bak". Samples are named so on purpose.
  /// A start reads as root what a reload reads as the daemon's user.
  void check_reload() {
    if (::geteuid() != 0 || !identity_.known || identity_.user == 0) return;
    LoadedConfig seen;
    {
      const LookingAs user(identity_.user, identity_.group);
      if (!user.is_user()) return;
      seen = load_config(config_.file, std::chrono::system_clock::now());
    }
    for (Finding &finding : seen.findings) {
      if (finding.severity != Severity::error) continue;
      finding.severity = Severity::warning;
      finding.message += "; a start reads it as root, but a reload, which is the daemon's user, would be refused";
      findings_.push_back(std::move(finding));
    }
  }

  void check_partner_folder() {
    const fs::path folder = fs::path(config_.file).parent_path() / config_.server.partners;
    std::error_code error;
    std::set<std::string> names;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
      names.insert(entry->path().filename().string());
    for (const std::string &name : names)
      if (name.starts_with('.') || name.size() <= 5 || !name.ends_with(".toml"))
        if (!name.ends_with(".sample"))
          findings_.push_back({Severity::warning, config_.server.partners + "/" + smtp::escape(name), 0, "",
                               "is not read: only files that end in .toml and do not begin with a dot are"});
  }

  const Config &config_;
  const std::string file_;
  Identity identity_;
  std::vector<Finding> findings_;
};

} // namespace

std::vector<Finding> check_system(const Config &config) {
  return SystemCheck(config).run();
}

} // namespace mta::cli
