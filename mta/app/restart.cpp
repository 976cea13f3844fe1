#include "mta/app/restart.hpp"

#include <algorithm>

namespace mta {

namespace {

/// The parts of a listener that are fixed when it is bound; profile, certificates, trust and limits follow a reload.
bool same_binding(const ListenerConfig &left, const ListenerConfig &right) {
  return left.name == right.name && left.addresses == right.addresses;
}

} // namespace

std::vector<std::string> needs_restart(const Config &running, const Config &loaded) {
  std::vector<std::string> keys;
  const auto compare = [&](const char *key, const auto &left, const auto &right) {
    if (!(left == right)) keys.emplace_back(key);
  };
  compare("server.user", running.server.user, loaded.server.user);
  compare("server.group", running.server.group, loaded.server.group);
  compare("server.threads", running.server.threads, loaded.server.threads);
  compare("log.format", running.log.format, loaded.log.format);
  compare("log.level", running.log.level, loaded.log.level);
  compare("log.file", running.log.file, loaded.log.file);
  compare("spool.path", running.spool.path, loaded.spool.path);
  compare("spool.segment_size", running.spool.segment_size, loaded.spool.segment_size);
  compare("spool.min_free", running.spool.min_free, loaded.spool.min_free);
  compare("spool.max_messages", running.spool.max_messages, loaded.spool.max_messages);
  compare("control.socket", running.control.socket, loaded.control.socket);
  compare("control.group", running.control.group, loaded.control.group);
  compare("dns.resolvers", running.dns.resolvers, loaded.dns.resolvers);
  compare("dns.dnssec", running.dns.dnssec, loaded.dns.dnssec);
  compare("dns.trust_anchor", running.dns.trust_anchor, loaded.dns.trust_anchor);
  compare("dns.extra_anchors", running.dns.extra_anchors, loaded.dns.extra_anchors);
  compare("dns.timeout", running.dns.timeout, loaded.dns.timeout);
  compare("dns.questions", running.dns.questions, loaded.dns.questions);
  compare("dns.hosts_file", running.dns.hosts_file, loaded.dns.hosts_file);
  for (const auto &[key, content] : loaded.start_files) {
    const auto before = running.start_files.find(key);
    if (before != running.start_files.end() && before->second != content &&
        std::find(keys.begin(), keys.end(), key) == keys.end())
      keys.push_back(key + " (what is in the file)");
  }
  compare("dns.insecure_domains", running.dns.insecure_domains, loaded.dns.insecure_domains);
  compare("dns.truth_test", running.dns.truth_test, loaded.dns.truth_test);
  compare("tls_memory.enabled", running.tls_memory.enabled, loaded.tls_memory.enabled);
  compare("tls_evidence.enabled", running.tls_evidence.enabled, loaded.tls_evidence.enabled);
  compare("tls_evidence.day_limit", running.tls_evidence.day_limit, loaded.tls_evidence.day_limit);
  if (!std::equal(running.listeners.begin(), running.listeners.end(), loaded.listeners.begin(), loaded.listeners.end(),
                  same_binding))
    keys.emplace_back("listener (names and addresses)");
  return keys;
}

} // namespace mta
