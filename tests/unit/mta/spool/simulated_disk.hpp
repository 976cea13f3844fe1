// SimulatedDisk: a file system in memory whose calls can be made to fail, and whose power can be cut.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "mta/spool/file_system.hpp"

namespace mta::spool::test {

enum class Fault : std::uint8_t {
  none,
  io_error,    ///< the call fails; a failed sync loses a random part of what was written, and forgets that it was dirty
  no_space,    ///< the call fails with full
  short_write, ///< a write takes half of what it was given; other calls succeed
  kill,        ///< the process ends before the call: what was written stays
  power_loss,  ///< the machine ends before the call: sectors that were not synced are old, new, or in between
};

/// What a file is on the disk, and what the system shows of it.
struct Node {
  static constexpr std::size_t sector = 512;
  using Sector = std::array<char, sector>;
  std::vector<char> shown;
  std::vector<char> durable;
  std::map<std::size_t, std::vector<Sector>> dirty; ///< each version since the last sync

  void note(std::size_t begin, std::size_t end) {
    for (std::size_t at = begin / sector; at * sector < end; ++at) {
      Sector octets{};
      const std::size_t from = at * sector;
      std::copy_n(shown.begin() + static_cast<std::ptrdiff_t>(from), std::min(sector, shown.size() - from),
                  octets.begin());
      dirty[at].push_back(octets);
    }
  }
  void make_durable() {
    durable = shown;
    dirty.clear();
  }
  /// The disk after power was cut: each dirty sector is one of its versions.
  void tear(std::mt19937_64 &random) {
    if (!dirty.empty() && durable.size() < shown.size() && random() % 2 == 0) durable.resize(shown.size());
    for (const auto &[at, versions] : dirty) {
      const std::size_t choice = random() % (versions.size() + 1);
      const std::size_t from = at * sector;
      if (choice == versions.size() || from >= durable.size()) continue;
      std::copy_n(versions[choice].begin(), std::min(sector, durable.size() - from),
                  durable.begin() + static_cast<std::ptrdiff_t>(from));
    }
    dirty.clear();
  }
};

class SimulatedDisk final : public FileSystem, public std::enable_shared_from_this<SimulatedDisk> {
public:
  explicit SimulatedDisk(std::uint64_t seed = 1) : random_(seed) {}

  /// The call number `at` from now on (1: the next) meets the fault.
  void fail_at(std::uint64_t at, Fault fault) {
    const std::scoped_lock lock(mutex_);
    fault_at_ = calls_ + at;
    fault_ = fault;
  }
  /// Every call that can need space fails until it is called with false.
  void set_full(bool full) {
    const std::scoped_lock lock(mutex_);
    full_ = full;
  }
  /// No block is left: what is there can be written over, and nothing becomes larger.
  void set_out_of_blocks(bool out) {
    const std::scoped_lock lock(mutex_);
    out_of_blocks_ = out;
  }
  void set_read_only() {
    const std::scoped_lock lock(mutex_);
    read_only_ = true;
  }
  void set_free_space(std::uint64_t octets) {
    const std::scoped_lock lock(mutex_);
    free_ = octets;
  }
  /// While held, no sync and no write ends.
  [[nodiscard]] std::unique_lock<std::mutex> hold_writes() { return std::unique_lock(write_mutex_); }
  [[nodiscard]] std::uint64_t calls() const {
    const std::scoped_lock lock(mutex_);
    return calls_;
  }
  [[nodiscard]] bool is_off() const {
    const std::scoped_lock lock(mutex_);
    return off_;
  }
  [[nodiscard]] std::uint64_t reads() const {
    const std::scoped_lock lock(mutex_);
    return reads_;
  }
  /// Cuts the power now, unless it is off already.
  void cut_power() {
    const std::scoped_lock lock(mutex_);
    if (!off_) turn_off(Fault::power_loss);
  }
  /// A machine with this disk as it is after the fault (or now), its locks free and its faults gone.
  [[nodiscard]] std::shared_ptr<SimulatedDisk> reboot() const {
    const std::scoped_lock lock(mutex_);
    auto disk = std::make_shared<SimulatedDisk>();
    disk->random_ = random_;
    const auto &names = off_ ? after_ : names_;
    for (const auto &[name, node] : names) {
      auto copy = std::make_shared<Node>();
      copy->shown = off_ ? node->durable : node->shown;
      copy->durable = copy->shown;
      disk->names_.emplace(name, std::move(copy));
    }
    disk->durable_names_ = disk->names_;
    disk->folders_ = folders_;
    return disk;
  }
  /// The contents of a file, to look at or to damage.
  [[nodiscard]] std::vector<char> &contents(const std::string &path) { return names_.at(path)->shown; }
  void put_file(const std::string &path, std::string_view octets) {
    auto node = std::make_shared<Node>();
    node->shown.assign(octets.begin(), octets.end());
    node->make_durable();
    names_[path] = std::move(node);
  }
  [[nodiscard]] std::vector<std::string> files(std::string_view suffix) const {
    const std::scoped_lock lock(mutex_);
    std::vector<std::string> result;
    for (const auto &[name, node] : names_)
      if (name.ends_with(suffix)) result.push_back(name);
    return result;
  }

  smtp::Result<std::unique_ptr<File>> open(const std::string &path, Access access) override {
    const std::scoped_lock lock(mutex_);
    if (auto allowed = count(access == Access::create_new ? Need::space : Need::nothing); !allowed)
      return tl::unexpected(allowed.error());
    const auto found = names_.find(path);
    if (access == Access::create_new) {
      if (read_only_) return smtp::fail(smtp::ErrorCode::not_permitted, "read-only file system");
      if (out_of_blocks_) return smtp::fail(smtp::ErrorCode::full, "no space left on device");
      if (found != names_.end()) return smtp::fail(smtp::ErrorCode::io, path + " exists");
      auto node = std::make_shared<Node>();
      set_name(path, node);
      return make_file(node, {});
    }
    if (found == names_.end()) return smtp::fail(smtp::ErrorCode::not_found, path + " is not there");
    return make_file(found->second, {});
  }
  smtp::Result<std::unique_ptr<File>> lock(const std::string &path) override {
    const std::scoped_lock guard(mutex_);
    if (auto allowed = count(Need::space); !allowed) return tl::unexpected(allowed.error());
    if (read_only_) return smtp::fail(smtp::ErrorCode::not_permitted, path + ": read-only file system");
    if (!locks_.insert(path).second)
      return smtp::fail(smtp::ErrorCode::not_permitted, path + " is locked by another process");
    if (!names_.contains(path)) set_name(path, std::make_shared<Node>());
    return make_file(names_.at(path), path);
  }
  smtp::Result<std::vector<std::string>> list(const std::string &folder) override {
    const std::scoped_lock lock(mutex_);
    if (auto allowed = count(Need::nothing); !allowed) return tl::unexpected(allowed.error());
    std::vector<std::string> result;
    for (const auto &[name, node] : names_) {
      if (!name.starts_with(folder + "/")) continue;
      const std::string rest = name.substr(folder.size() + 1);
      if (rest.find('/') == std::string::npos) result.push_back(rest);
    }
    for (const std::string &each : folders_)
      if (each.starts_with(folder + "/")) result.push_back(each.substr(folder.size() + 1));
    return result;
  }
  smtp::Result<void> make_folder(const std::string &path) override {
    const std::scoped_lock lock(mutex_);
    if (auto allowed = count(Need::space); !allowed) return allowed;
    folders_.insert(path);
    return {};
  }
  smtp::Result<void> rename(const std::string &from, const std::string &to) override {
    const std::scoped_lock lock(mutex_);
    if (auto allowed = count(Need::nothing); !allowed) return allowed;
    if (!names_.contains(from)) return smtp::fail(smtp::ErrorCode::not_found, from + " is not there");
    auto node = names_.at(from);
    pending_.emplace_back([from, to, node](Names &names) {
      names.erase(from);
      names[to] = node;
    });
    pending_.back()(names_);
    return {};
  }
  smtp::Result<void> remove(const std::string &path) override {
    const std::scoped_lock lock(mutex_);
    if (auto allowed = count(Need::nothing); !allowed) return allowed;
    if (!names_.contains(path)) return smtp::fail(smtp::ErrorCode::not_found, path + " is not there");
    pending_.emplace_back([path](Names &names) { names.erase(path); });
    pending_.back()(names_);
    return {};
  }
  smtp::Result<void> sync_folder(const std::string &) override {
    const std::scoped_lock lock(mutex_);
    if (auto allowed = count(Need::nothing); !allowed) return allowed;
    durable_names_ = names_;
    pending_.clear();
    return {};
  }
  smtp::Result<std::uint64_t> free_space(const std::string &) override {
    const std::scoped_lock lock(mutex_);
    if (off_) return smtp::fail(smtp::ErrorCode::io, "off");
    return free_; // not counted: how often it is asked depends on the clock
  }

private:
  using Names = std::map<std::string, std::shared_ptr<Node>>;
  enum class Need : std::uint8_t { nothing, space };

  class SimulatedFile final : public File {
  public:
    SimulatedFile(std::shared_ptr<SimulatedDisk> disk, std::shared_ptr<Node> node, std::string lock)
        : disk_(std::move(disk)), node_(std::move(node)), lock_(std::move(lock)) {}
    SimulatedFile(const SimulatedFile &) = delete;
    SimulatedFile &operator=(const SimulatedFile &) = delete;
    ~SimulatedFile() override {
      if (lock_.empty()) return;
      const std::scoped_lock lock(disk_->mutex_);
      disk_->locks_.erase(lock_);
    }
    smtp::Result<std::uint64_t> size() const override {
      const std::scoped_lock lock(disk_->mutex_);
      if (auto allowed = disk_->count(Need::nothing); !allowed) return tl::unexpected(allowed.error());
      return node_->shown.size();
    }
    smtp::Result<std::size_t> preadv(std::uint64_t offset, std::span<const iovec> into) const override {
      const std::scoped_lock lock(disk_->mutex_);
      if (auto allowed = disk_->count(Need::nothing); !allowed) return tl::unexpected(allowed.error());
      ++disk_->reads_;
      std::size_t done = 0;
      for (const iovec &piece : into) {
        if (offset >= node_->shown.size()) break;
        const std::size_t length = std::min<std::size_t>(piece.iov_len, node_->shown.size() - offset);
        std::memcpy(piece.iov_base, node_->shown.data() + offset, length);
        done += length;
        offset += length;
      }
      return done;
    }
    smtp::Result<std::size_t> pwritev(std::uint64_t offset, std::span<const iovec> from) override {
      const std::scoped_lock writing(disk_->write_mutex_);
      const std::scoped_lock lock(disk_->mutex_);
      std::string octets;
      for (const iovec &piece : from) octets.append(static_cast<const char *>(piece.iov_base), piece.iov_len);
      Fault fault = Fault::none;
      if (auto allowed = disk_->count(Need::space, &fault); !allowed) {
        // A write that fails may have come half of the way.
        if (fault == Fault::io_error) put(offset, std::string_view(octets).substr(0, octets.size() / 2));
        return tl::unexpected(allowed.error());
      }
      if (disk_->out_of_blocks_ && static_cast<std::size_t>(offset) + octets.size() > node_->shown.size())
        return smtp::fail(smtp::ErrorCode::full, "no space left on device");
      if (fault == Fault::short_write && octets.size() > 1) octets.resize(octets.size() / 2);
      put(offset, octets);
      return octets.size();
    }
    smtp::Result<void> allocate(std::uint64_t size) override {
      const std::scoped_lock lock(disk_->mutex_);
      if (auto allowed = disk_->count(Need::space); !allowed) return allowed;
      node_->shown.resize(static_cast<std::size_t>(size));
      return {};
    }
    smtp::Result<void> sync_data() override {
      const std::scoped_lock writing(disk_->write_mutex_);
      const std::scoped_lock lock(disk_->mutex_);
      Fault fault = Fault::none;
      auto allowed = disk_->count(Need::nothing, &fault);
      if (allowed)
        node_->make_durable();
      else if (fault == Fault::io_error)
        node_->tear(disk_->random_);
      return allowed;
    }

  private:
    void put(std::uint64_t offset, std::string_view octets) {
      const auto at = static_cast<std::size_t>(offset);
      if (node_->shown.size() < at + octets.size()) node_->shown.resize(at + octets.size());
      std::copy(octets.begin(), octets.end(), node_->shown.begin() + static_cast<std::ptrdiff_t>(at));
      node_->note(at, at + octets.size());
    }
    std::shared_ptr<SimulatedDisk> disk_;
    std::shared_ptr<Node> node_;
    std::string lock_;
  };

  std::unique_ptr<File> make_file(std::shared_ptr<Node> node, std::string lock) {
    return std::make_unique<SimulatedFile>(shared_from_this(), std::move(node), std::move(lock));
  }
  void set_name(const std::string &path, const std::shared_ptr<Node> &node) {
    pending_.emplace_back([path, node](Names &names) { names[path] = node; });
    pending_.back()(names_);
  }
  /// Counts a call; fails it when it is its turn. `met` tells which fault, for calls that treat it in their own way.
  smtp::Result<void> count(Need need, Fault *met = nullptr) {
    if (off_) return smtp::fail(smtp::ErrorCode::io, "off");
    ++calls_;
    const Fault fault = calls_ == fault_at_ ? fault_ : Fault::none;
    if (met != nullptr) *met = fault;
    if (full_ && need == Need::space) return smtp::fail(smtp::ErrorCode::full, "no space left on device");
    switch (fault) {
    case Fault::none:
    case Fault::short_write: return {};
    case Fault::io_error: return smtp::fail(smtp::ErrorCode::io, "input/output error");
    case Fault::no_space: return smtp::fail(smtp::ErrorCode::full, "no space left on device");
    case Fault::kill:
    case Fault::power_loss: turn_off(fault); return smtp::fail(smtp::ErrorCode::io, "off");
    }
    return {};
  }
  void turn_off(Fault fault) {
    off_ = true;
    if (fault == Fault::kill) {
      for (const auto &[name, node] : names_) {
        auto copy = std::make_shared<Node>();
        copy->durable = node->shown;
        after_.emplace(name, std::move(copy));
      }
      return;
    }
    Names names = durable_names_;
    const std::size_t kept = random_() % (pending_.size() + 1);
    for (std::size_t i = 0; i < kept; ++i) pending_[i](names);
    for (const auto &[name, node] : names) {
      auto copy = std::make_shared<Node>(*node);
      copy->tear(random_);
      after_.emplace(name, std::move(copy));
    }
  }

  mutable std::mutex mutex_;
  std::mutex write_mutex_;
  std::mt19937_64 random_;
  Names names_;
  Names durable_names_;
  Names after_; ///< once it is off
  std::vector<std::function<void(Names &)>> pending_;
  std::set<std::string> folders_;
  std::set<std::string> locks_;
  std::uint64_t calls_ = 0;
  std::uint64_t reads_ = 0; ///< calls of preadv
  std::uint64_t fault_at_ = 0;
  std::uint64_t free_ = std::uint64_t{1} << 40U;
  Fault fault_ = Fault::none;
  bool off_ = false;
  bool full_ = false;
  bool out_of_blocks_ = false;
  bool read_only_ = false;
};

} // namespace mta::spool::test
