// FakeResolver: DNS answers from maps, with DNSSEC states and failures, and a count of the questions.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mta/dns/resolver.hpp"

namespace test {

/// A name that nothing was said of is NXDOMAIN; one that has records of other types is NODATA. Thread-safe.
class FakeResolver : public mta::Resolver {
public:
  using Trust = smtp::DnsTrust;

  FakeResolver &add_mx(const std::string &name, std::uint16_t preference, const std::string &host,
                       Trust trust = Trust::insecure) {
    return add(mx_, name, smtp::MxRecord{preference, host}, trust);
  }
  /// IPv4 or IPv6.
  FakeResolver &add_address(const std::string &name, const std::string &text, Trust trust = Trust::insecure) {
    const auto address = smtp::IpAddress::parse(text).value();
    return add(address.is_v6() ? v6_ : v4_, name, address, trust);
  }
  FakeResolver &add_cname(const std::string &name, const std::string &target, Trust trust = Trust::insecure) {
    return add(cname_, name, target, trust);
  }
  FakeResolver &add_tlsa(const std::string &name, smtp::TlsaRecord record, Trust trust = Trust::secure) {
    return add(tlsa_, name, std::move(record), trust);
  }
  FakeResolver &add_txt(const std::string &name, const std::string &text, Trust trust = Trust::insecure) {
    return add(txt_, name, text, trust);
  }
  FakeResolver &add_ptr(const std::string &address, const std::string &name, Trust trust = Trust::insecure) {
    return add(ptr_, smtp::IpAddress::parse(address).value().reverse_name(), name, trust);
  }
  /// Every question about the name fails for now.
  FakeResolver &fail(const std::string &name, const std::string &detail = "SERVFAIL from the resolver") {
    const std::lock_guard lock(mutex_);
    failures_[name] = detail;
    return *this;
  }
  /// Answers that something is not there are DNSSEC-secure for this name and those below it.
  FakeResolver &add_secure_zone(const std::string &name) {
    const std::lock_guard lock(mutex_);
    secure_zones_.push_back(name);
    return *this;
  }
  /// Forgets everything about the name.
  FakeResolver &forget(const std::string &name) {
    const std::lock_guard lock(mutex_);
    for (auto *map : {&v4_, &v6_}) map->erase(name);
    for (auto *map : {&txt_, &ptr_}) map->erase(name);
    mx_.erase(name);
    tlsa_.erase(name);
    cname_.erase(name);
    failures_.erase(name);
    return *this;
  }
  /// How often "mx NAME", "a NAME", "aaaa NAME", "txt NAME" or "ptr NAME" was asked.
  [[nodiscard]] std::size_t asked(const std::string &question) const {
    const std::lock_guard lock(mutex_);
    const auto found = asked_.find(question);
    return found == asked_.end() ? 0 : found->second;
  }

  mta::Task<smtp::DnsAnswer<smtp::MxRecord>> mx(std::string name) override {
    auto answer = look_up(mx_, "mx", name);
    co_return answer;
  }
  mta::Task<smtp::DnsAnswer<smtp::IpAddress>> addresses_v4(std::string name) override {
    auto answer = look_up(v4_, "a", name);
    co_return answer;
  }
  mta::Task<smtp::DnsAnswer<smtp::IpAddress>> addresses_v6(std::string name) override {
    auto answer = look_up(v6_, "aaaa", name);
    co_return answer;
  }
  mta::Task<smtp::DnsAnswer<std::string>> txt(std::string name) override {
    auto answer = look_up(txt_, "txt", name);
    co_return answer;
  }
  mta::Task<smtp::DnsAnswer<std::string>> cname(std::string name) override {
    auto answer = look_up(cname_, "cname", name);
    co_return answer;
  }
  mta::Task<smtp::DnsAnswer<smtp::TlsaRecord>> tlsa(std::string name) override {
    auto answer = look_up(tlsa_, "tlsa", name);
    co_return answer;
  }
  mta::Task<smtp::DnsAnswer<std::string>> ptr(const smtp::IpAddress &address) override {
    return ptr_of(address.reverse_name());
  }

private:
  template <typename Record> using Map = std::map<std::string, smtp::DnsAnswer<Record>>;

  mta::Task<smtp::DnsAnswer<std::string>> ptr_of(std::string name) {
    auto answer = look_up(ptr_, "ptr", name);
    co_return answer;
  }
  template <typename Record> FakeResolver &add(Map<Record> &map, const std::string &name, Record record, Trust trust) {
    const std::lock_guard lock(mutex_);
    auto &answer = map[name];
    answer.status = smtp::DnsStatus::ok;
    answer.trust = trust;
    answer.ttl = std::chrono::seconds(300);
    answer.records.push_back(std::move(record));
    return *this;
  }
  [[nodiscard]] bool knows(const std::string &name) const {
    return mx_.contains(name) || v4_.contains(name) || v6_.contains(name) || txt_.contains(name) ||
           tlsa_.contains(name) || ptr_.contains(name);
  }
  template <typename Record>
  smtp::DnsAnswer<Record> look_up(const Map<Record> &map, const std::string &type, const std::string &name) {
    const std::lock_guard lock(mutex_);
    ++asked_[type + " " + name];
    smtp::DnsAnswer<Record> answer;
    if (const auto failure = failures_.find(name); failure != failures_.end()) {
      answer.detail = failure->second;
      return answer;
    }
    if (const auto found = map.find(name); found != map.end()) return found->second;
    for (const auto &zone : secure_zones_)
      if (name == zone || name.ends_with("." + zone)) answer.trust = Trust::secure;
    answer.status = knows(name) ? smtp::DnsStatus::no_data : smtp::DnsStatus::no_name;
    return answer;
  }

  mutable std::mutex mutex_;
  Map<smtp::MxRecord> mx_;
  Map<smtp::IpAddress> v4_, v6_;
  Map<std::string> txt_, ptr_;
  Map<std::string> cname_;
  Map<smtp::TlsaRecord> tlsa_;
  std::map<std::string, std::string> failures_;
  std::vector<std::string> secure_zones_;
  std::map<std::string, std::size_t> asked_;
};

} // namespace test
