// check_system: see the header.
#include "mta/cli/check_system.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include "mta/config/faults.hpp"
#include "smtp/base/text.hpp"
#include "tls/core/name_match.hpp"

namespace mta::cli {

namespace {

namespace fs = std::filesystem;

/// Whom the daemon will be.
struct Identity {
  bool known = false;
  uid_t user = 0;
  std::set<gid_t> groups;
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
      if (root) return add(Severity::error, "server.user", "is empty: started as root, the daemon needs a user of its own to become");
      identity_ = {true, ::geteuid(), {::getegid()}};
      return;
    }
    const passwd *entry = ::getpwnam(server.user.c_str());
    if (!entry)
      return add(Severity::error, "server.user",
                 fmt::format("there is no user \"{0}\" on this host; create it with: adduser --system --group {0}",
                             smtp::escape(server.user)));
    if (entry->pw_uid == 0) return add(Severity::error, "server.user", "the daemon does not run as root");
    identity_ = {true, entry->pw_uid, {entry->pw_gid}};
    if (!server.group.empty()) {
      const ::group *group = ::getgrnam(server.group.c_str());
      if (!group)
        return add(Severity::error, "server.group", fmt::format("there is no group \"{}\" on this host", smtp::escape(server.group)));
      identity_.groups = {group->gr_gid};
    }
    if (!config_.control.group.empty() && !::getgrnam(config_.control.group.c_str()))
      add(Severity::error, "control.group", fmt::format("there is no group \"{}\" on this host", smtp::escape(config_.control.group)));
  }

  /// By its mode and owner, as the kernel would judge the daemon's user; `bits` of "rwx". ACLs are not looked at.
  [[nodiscard]] bool may(const struct stat &status, unsigned bits) const {
    if (!identity_.known) return true;
    const unsigned mode = status.st_mode;
    if (status.st_uid == identity_.user) return ((mode >> 6U) & bits) == bits;
    if (identity_.groups.contains(status.st_gid)) return ((mode >> 3U) & bits) == bits;
    return (mode & bits) == bits;
  }

  /// What keeps the daemon's user from this folder or file; empty: nothing. Every folder above must let it through.
  [[nodiscard]] std::string obstacle(const fs::path &path, unsigned bits) const {
    fs::path above;
    for (const auto &part : path.parent_path()) {
      above /= part;
      struct stat status {};
      if (::stat(above.c_str(), &status) != 0) return errno == EACCES ? std::string() : fmt::format("there is no folder {}", above.string());
      if (!may(status, 1)) return fmt::format("user {} may not pass through {}", user(), above.string());
    }
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return {};
    if (!may(status, bits)) return fmt::format("user {} may not {} {}", user(), (bits & 2U) != 0 ? "write" : "read", path.string());
    return {};
  }

  [[nodiscard]] std::string user() const { return config_.server.user.empty() ? std::string("of this command") : config_.server.user; }

  void check_spool() {
    const fs::path path = config_.spool.path;
    std::error_code error;
    if (!fs::exists(path, error)) {
      if (error && error.value() == EACCES) return; // beyond our rights
      if (::geteuid() == 0) return;                 // a start as root makes it, with the folders above
      fs::path above = path.parent_path();
      while (!above.empty() && above != above.parent_path() && !fs::exists(above, error)) above = above.parent_path();
      if (::access(above.c_str(), W_OK | X_OK) != 0)
        add(Severity::error, "spool.path", fmt::format("{} is not there, and {} may not be written: {}", path.string(), above.string(), std::strerror(errno)));
      return;
    }
    if (!fs::is_directory(path, error)) return add(Severity::error, "spool.path", fmt::format("{} is no folder", path.string()));
    if (const auto found = obstacle(path, 7); !found.empty()) return add(Severity::error, "spool.path", found);
    check_spool_files(path);
    struct statvfs room {};
    if (::statvfs(path.c_str(), &room) == 0) {
      const auto free = static_cast<std::uint64_t>(room.f_bavail) * room.f_frsize;
      if (free < config_.spool.min_free)
        add(Severity::fault, "spool.min_free",
            fmt::format("{} octets are free on the disk of {}, min_free is {}: all mail would be put off", free, path.string(),
                        config_.spool.min_free));
    }
  }

  /// One file of another owner, made by a start as the wrong user, keeps the daemon from starting.
  void check_spool_files(const fs::path &path) {
    std::error_code error;
    for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
      struct stat status {};
      if (::lstat(entry->path().c_str(), &status) != 0 || may(status, S_ISDIR(status.st_mode) ? 7 : 6)) continue;
      const passwd *owner = ::getpwuid(status.st_uid);
      return add(Severity::error, "spool.path",
                 fmt::format("{} belongs to {}, and user {} may not write it: chown -R {} {}", entry->path().string(),
                             owner ? owner->pw_name : std::to_string(status.st_uid), user(), user(), path.string()));
    }
  }

  void check_log() {
    if (config_.log.file.empty()) return;
    const fs::path path = config_.log.file;
    std::error_code error;
    const fs::path folder = path.parent_path();
    if (!fs::is_directory(folder, error)) {
      if (error.value() != EACCES) add(Severity::error, "log.file", fmt::format("there is no folder {}", folder.string()));
      return;
    }
    if (fs::exists(path, error)) {
      if (const auto found = obstacle(path, 2); !found.empty()) add(Severity::error, "log.file", found);
    } else if (const auto found = obstacle(folder, 3); !found.empty()) {
      add(Severity::error, "log.file", found);
    }
  }

  void check_control() {
    const fs::path folder = fs::path(config_.control.socket).parent_path();
    std::error_code error;
    if (fs::is_directory(folder, error) || error.value() == EACCES || ::geteuid() == 0) {
      if (fs::exists(folder, error) && !fs::is_directory(folder, error))
        add(Severity::error, "control.socket", fmt::format("{} is no folder", folder.string()));
      return;
    }
    if (::access(folder.parent_path().c_str(), W_OK | X_OK) != 0)
      add(Severity::error, "control.socket", fmt::format("there is no folder {}, and it cannot be made: {}", folder.string(), std::strerror(errno)));
  }

  /// A daemon of this configuration runs: its addresses are taken, and rightly so.
  [[nodiscard]] bool is_running() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string &path = config_.control.socket;
    if (path.size() >= sizeof address.sun_path) return false;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return false;
    const bool answers = ::connect(socket, reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0;
    ::close(socket);
    return answers;
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
    return std::all_of(octets.begin(), octets.begin() + (address.is_v6() ? 16 : 4), [](auto octet) { return octet == 0; });
  }

  void check_addresses() {
    const bool running = is_running();
    std::vector<std::pair<smtp::SocketAddress, const ListenerConfig *>> seen;
    for (const ListenerConfig &listener : config_.listeners)
      for (const smtp::SocketAddress &address : listener.addresses) {
        for (const auto &[other, owner] : seen) {
          const bool same_family = other.address.is_v6() == address.address.is_v6();
          if (address.port == 0 || other.port != address.port || !same_family || other.address == address.address) continue;
          if (is_wildcard(other.address) || is_wildcard(address.address))
            add_at(Severity::error, listener.place, "listener.addresses",
                   fmt::format("{} and {} of listener \"{}\" overlap: one of them is every address of this host", address.to_string(),
                               other.to_string(), owner->name));
        }
        seen.emplace_back(address, &listener);
        check_address(listener, address, running);
      }
  }

  void check_address(const ListenerConfig &listener, const smtp::SocketAddress &address, bool running) {
    switch (const int error = try_to_bind(address)) {
    case 0: return;
    case EADDRNOTAVAIL:
      return add_at(Severity::error, listener.place, "listener.addresses", fmt::format("{} is no address of this host", address.to_string()));
    case EADDRINUSE:
      if (!running)
        add_at(Severity::error, listener.place, "listener.addresses", fmt::format("{} is taken by another program", address.to_string()));
      return;
    case EACCES: return; // a start as root may
    case EAFNOSUPPORT:
      return add_at(Severity::error, listener.place, "listener.addresses", fmt::format("{}: this host has no IPv6", address.to_string()));
    default:
      return add_at(Severity::error, listener.place, "listener.addresses", fmt::format("{}: {}", address.to_string(), std::strerror(error)));
    }
  }

  /// The certificates of an mx listener against the name that our MX record will say; and what MTA-STS "enforce" asks of them.
  void check_names() {
    for (const ListenerConfig &listener : config_.listeners) {
      if (listener.role != policy::ListenerRole::mx || listener.tls == ListenerTls::none) continue;
      std::vector<const CertificateConfig *> shown;
      for (const CertificateConfig &certificate : config_.certificates)
        if (listener.certificates.empty() ||
            std::find(listener.certificates.begin(), listener.certificates.end(), certificate.name) != listener.certificates.end())
          shown.push_back(&certificate);
      if (shown.empty()) continue;
      for (const CertificateConfig *certificate : shown) {
        const bool named = std::any_of(certificate->dns_names.begin(), certificate->dns_names.end(),
                                       [&](const std::string &name) { return tls::name_covers(name, config_.server.hostname); });
        if (!named)
          add_at(Severity::warning, certificate->place, "certificate",
                 fmt::format("the certificate \"{}\" is for {}, not for {}, which is our own name", smtp::escape(certificate->name, 80),
                             certificate->dns_names.empty() ? std::string("no name") : smtp::escape(certificate->dns_names.front(), 100),
                             config_.server.hostname));
      }
      const bool self_signed =
          std::any_of(shown.begin(), shown.end(), [](const CertificateConfig *each) { return each->is_self_signed; });
      for (const auto &[name, domain] : config_.domains)
        if (self_signed && domain.mta_sts && domain.mta_sts->mode == OwnStsConfig::Mode::enforce)
          add_at(Severity::warning, domain.mta_sts->place.empty() ? domain.place : domain.mta_sts->place, "domain.mta_sts.mode",
                 fmt::format("{} publishes \"enforce\", and listener \"{}\" shows a self-signed certificate: who keeps to the "
                             "policy sends no mail",
                             name, listener.name));
    }
  }

  void check_key(const std::string &path, const std::string &place, std::string key) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || (status.st_mode & 0007U) == 0) return;
    add_at(Severity::warning, place, std::move(key), fmt::format("{} can be read by every user of this host: chmod o= {}", path, path));
  }

  void check_keys() {
    for (const CertificateConfig &certificate : config_.certificates) check_key(certificate.files.key, certificate.place, "certificate.key");
    for (const SigningKeyConfig &key : config_.dkim_keys) check_key(key.file, key.place, "dkim_key.file");
    if (config_.arc.key) check_key(config_.arc.key->file, config_.arc.key->place, "arc.file");
  }

  /// Partner files that nobody reads: "partner.tom", "partner.toml.bak". Samples are named so on purpose.
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
