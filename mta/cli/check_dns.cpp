// check_dns: see the header.
#include "mta/cli/check_dns.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "auth/core/dmarc_record.hpp"
#include "auth/dkim/key_record.hpp"
#include "auth/spf/spf.hpp"
#include "mta/sts/publication.hpp"
#include "policy/tlsrpt.hpp"
#include "smtp/base/text.hpp"

namespace mta::cli {

namespace {

using auth::RecordType;

class DnsCheck {
public:
  DnsCheck(const Config &config, const AnswerAll &answer) : config_(config), answer_(answer) {}

  std::vector<DnsLine> run() {
    check_host();
    std::set<std::string> names;
    for (const auto &[name, domain] : config_.domains) names.insert(name);
    for (const std::string &name : names) check_domain(config_.domains.at(name));
    std::vector<const SigningKeyConfig *> keys;
    for (const SigningKeyConfig &key : config_.dkim_keys) keys.push_back(&key);
    if (config_.arc.key) keys.push_back(&*config_.arc.key);
    for (const SigningKeyConfig *key : keys) {
      const std::string problem = dkim_problem(*key, answer_);
      add(fmt::format("{}._domainkey.{} DKIM", key->selector, key->domain.ascii()),
          problem.empty()                              ? DnsState::right
          : problem.starts_with("cannot be looked up") ? DnsState::unknown
          : problem == "is not published"              ? DnsState::missing
                                                       : DnsState::wrong,
          problem.empty() ? "is the key's" : fmt::format("{}; publish: {}", problem, key->key->public_record()));
    }
    return std::move(lines_);
  }

private:
  void add(std::string subject, DnsState state, std::string detail) {
    lines_.push_back({std::move(subject), state, std::move(detail)});
  }

  /// Null never: an answer that did not come is "temporary".
  const auth::DnsFact &ask(const std::string &name, RecordType type) {
    static const auth::DnsFact none;
    for (int round = 0; round < 3; ++round) {
      if (const auth::DnsFact *fact = facts_.find(name, type)) return *fact;
      answer_(facts_);
      facts_.clear_missing();
    }
    const auth::DnsFact *fact = facts_.find(name, type);
    return fact ? *fact : none;
  }
  [[nodiscard]] static bool is_unknown(const auth::DnsFact &fact) { return fact.status == smtp::DnsStatus::temporary; }
  [[nodiscard]] static std::string why(const auth::DnsFact &fact) {
    return fmt::format("cannot be looked up now{}{}", fact.detail.empty() ? "" : ": ", smtp::escape(fact.detail, 200));
  }

  /// Our own name: its addresses, and what they say of themselves.
  void check_host() {
    const std::string &host = config_.server.hostname;
    std::vector<smtp::IpAddress> addresses;
    bool unknown = false;
    for (const RecordType type : {RecordType::a, RecordType::aaaa}) {
      const auto &fact = ask(host, type);
      unknown = unknown || is_unknown(fact);
      addresses.insert(addresses.end(), fact.addresses.begin(), fact.addresses.end());
    }
    if (addresses.empty())
      add(host + " A/AAAA", unknown ? DnsState::unknown : DnsState::missing,
          unknown ? "cannot be looked up now" : "our own name has no address: nobody can reach the MX that it is");
    // What we send from: as configured, else the addresses of our name.
    sending_ = config_.outbound.source_addresses.empty() ? addresses : config_.outbound.source_addresses;
    for (const auto &address : addresses)
      if (std::find(sending_.begin(), sending_.end(), address) == sending_.end()) check_reverse(address);
    for (const auto &address : sending_) check_reverse(address);
  }

  void check_reverse(const smtp::IpAddress &address) {
    const std::string subject = address.to_string() + " PTR";
    const auto &fact = ask(address.reverse_name(), RecordType::ptr);
    if (is_unknown(fact)) return add(subject, DnsState::unknown, why(fact));
    if (fact.texts.empty())
      return add(subject, DnsState::missing,
                 "has no reverse name: many refuse mail from it; publish " + config_.server.hostname);
    for (const std::string &name : fact.texts) {
      const auto &forward = ask(name, address.is_v6() ? RecordType::aaaa : RecordType::a);
      const bool confirmed =
          std::find(forward.addresses.begin(), forward.addresses.end(), address) != forward.addresses.end();
      if (confirmed && smtp::equals_ignoring_case(name, config_.server.hostname))
        return add(subject, DnsState::right, "is " + config_.server.hostname);
    }
    add(subject, DnsState::wrong,
        fmt::format("is {}, and should be {} with this address", smtp::escape(fact.texts.front(), 100),
                    config_.server.hostname));
  }

  void check_domain(const DomainConfig &domain) {
    const std::string name = domain.domain.ascii();
    check_mx(name);
    check_spf(name);
    check_signing(name);
    check_dmarc(name);
    check_sts(domain);
    check_tlsrpt(name);
  }

  void check_mx(const std::string &name) {
    const auto &fact = ask(name, RecordType::mx);
    if (is_unknown(fact)) return add(name + " MX", DnsState::unknown, why(fact));
    std::string hosts;
    for (const auto &mx : fact.hosts) {
      if (smtp::equals_ignoring_case(mx.host, config_.server.hostname))
        return add(name + " MX", DnsState::right, fmt::format("names {}", config_.server.hostname));
      hosts += (hosts.empty() ? "" : ", ") + smtp::escape(mx.host, 100);
    }
    if (fact.hosts.empty())
      return add(name + " MX", DnsState::missing, fmt::format("publish: {}. MX 10 {}.", name, config_.server.hostname));
    add(name + " MX", DnsState::wrong, fmt::format("names {}, and not us ({})", hosts, config_.server.hostname));
  }

  void check_spf(const std::string &name) {
    const auto &fact = ask(name, RecordType::txt);
    if (is_unknown(fact)) return add(name + " SPF", DnsState::unknown, why(fact));
    const bool any = std::any_of(fact.texts.begin(), fact.texts.end(), [](const std::string &text) {
      return text == "v=spf1" || text.starts_with("v=spf1 ");
    });
    if (!any) return add(name + " SPF", DnsState::missing, fmt::format("publish: {}. TXT \"v=spf1 mx -all\"", name));
    if (sending_.empty()) return add(name + " SPF", DnsState::unknown, "is there, but our own addresses are not known");
    for (const auto &address : sending_) {
      auth::SpfRequest request;
      request.client = address;
      request.helo = config_.server.hostname;
      request.mail_from = "postmaster@" + name;
      request.receiver = config_.server.hostname;
      auth::SpfVerdict verdict;
      auth::DnsFacts facts;
      for (int round = 0; round < 30; ++round) {
        verdict = auth::check_spf_mail_from(request, facts);
        if (facts.missing().empty()) break;
        answer_(facts);
        facts.clear_missing();
      }
      if (verdict.result == auth::SpfResult::pass) continue;
      return add(name + " SPF", verdict.result == auth::SpfResult::temperror ? DnsState::unknown : DnsState::wrong,
                 fmt::format("{} for our address {}: {}", auth::to_string(verdict.result), address.to_string(),
                             smtp::escape(verdict.reason, 200)));
    }
    add(name + " SPF", DnsState::right, "passes for our addresses");
  }

  /// What the keys themselves publish is looked up once for each key; here whether there is one.
  void check_signing(const std::string &name) {
    const auto keys = config_.find_dkim_keys(name);
    if (keys.empty())
      return add(
          name + " DKIM", DnsState::missing,
          fmt::format(
              "no [[dkim_key]] signs its mail: portcullis dkim keygen {} SELECTOR, publish what it prints, and add "
              "the block",
              name));
    if (const std::string above = keys.front()->domain.ascii(); above != name)
      add(name + " DKIM", DnsState::right, fmt::format("its mail is signed with the keys of {}", above));
  }

  void check_dmarc(const std::string &name) {
    const auto &fact = ask("_dmarc." + name, RecordType::txt);
    if (is_unknown(fact)) return add("_dmarc." + name + " DMARC", DnsState::unknown, why(fact));
    std::vector<auth::DmarcRecord> records;
    for (const std::string &text : fact.texts)
      if (auto record = auth::parse_dmarc_record(text)) records.push_back(std::move(*record));
    const std::string subject = "_dmarc." + name + " DMARC";
    if (records.empty())
      return add(subject, DnsState::missing,
                 fmt::format("publish: _dmarc.{}. TXT \"v=DMARC1; p=none; rua=mailto:…\" for a start", name));
    if (records.size() > 1)
      return add(subject, DnsState::wrong, fmt::format("{} records count as none", records.size()));
    if (!records.front().problems.empty()) return add(subject, DnsState::wrong, records.front().problems.front());
    add(subject, DnsState::right, smtp::escape(records.front().text, 200));
  }

  void check_sts(const DomainConfig &domain) {
    if (!domain.mta_sts) return;
    const StsPublication publication = make_sts_publication(domain);
    const auto &fact = ask(publication.record_name, RecordType::txt);
    const std::string subject = publication.record_name + " MTA-STS";
    if (is_unknown(fact)) return add(subject, DnsState::unknown, why(fact));
    const bool listed =
        std::any_of(domain.mta_sts->mx.begin(), domain.mta_sts->mx.end(), [&](const std::string &pattern) {
          if (!pattern.starts_with("*.")) return smtp::equals_ignoring_case(pattern, config_.server.hostname);
          const auto dot = config_.server.hostname.find('.');
          return dot != std::string::npos &&
                 smtp::equals_ignoring_case(pattern.substr(1), config_.server.hostname.substr(dot));
        });
    if (domain.mta_sts->mode != OwnStsConfig::Mode::none && !listed)
      add(subject, DnsState::wrong, fmt::format("the policy does not name us ({})", config_.server.hostname));
    if (std::find(fact.texts.begin(), fact.texts.end(), publication.record) != fact.texts.end())
      return add(subject, DnsState::right, "is the policy's; `portcullis sts fetch` looks at the file");
    const bool any = std::any_of(fact.texts.begin(), fact.texts.end(),
                                 [](const std::string &text) { return text.starts_with("v=STSv1"); });
    add(subject, any ? DnsState::wrong : DnsState::missing,
        fmt::format("{}publish: {}. TXT \"{}\"", any ? "has another id than the policy here; " : "",
                    publication.record_name, publication.record));
  }

  void check_tlsrpt(const std::string &name) {
    const std::string record_name = policy::tlsrpt_name(name);
    const auto &fact = ask(record_name, RecordType::txt);
    if (is_unknown(fact)) return add(record_name + " TLSRPT", DnsState::unknown, why(fact));
    const auto record = policy::choose_tlsrpt_record(fact.texts);
    if (record)
      return add(record_name + " TLSRPT", DnsState::right, fmt::format("{} addresses for reports", record->rua.size()));
    const bool absent = record.error().code == smtp::ErrorCode::not_found;
    add(record_name + " TLSRPT", absent ? DnsState::missing : DnsState::wrong,
        absent ? fmt::format("publish: {}. TXT \"v=TLSRPTv1; rua=mailto:…\"", record_name) : record.error().detail);
  }

  const Config &config_;
  const AnswerAll &answer_;
  auth::DnsFacts facts_;
  std::vector<smtp::IpAddress> sending_;
  std::vector<DnsLine> lines_;
};

} // namespace

std::vector<DnsLine> check_dns(const Config &config, const AnswerAll &answer) {
  return DnsCheck(config, answer).run();
}

std::string dkim_problem(const SigningKeyConfig &key, const AnswerAll &answer) {
  const std::string name = fmt::format("{}._domainkey.{}", key.selector, key.domain.ascii());
  auth::DnsFacts facts;
  for (int round = 0; round < 3 && facts.find(name, RecordType::txt) == nullptr; ++round) answer(facts);
  const auth::DnsFact *fact = facts.find(name, RecordType::txt);
  if (fact == nullptr || fact->status == smtp::DnsStatus::temporary)
    return fmt::format("cannot be looked up now: {}", fact != nullptr ? fact->detail : "no answer");
  if (fact->texts.empty()) return "is not published";
  if (fact->texts.size() > 1) return fmt::format("{} records are published, there must be one", fact->texts.size());
  const auto record = auth::KeyRecord::parse(fact->texts.front());
  if (!record) return "the published record cannot be read: " + record.error().detail;
  if (record->public_key.empty()) return "is revoked in the DNS (empty p=)";
  if (record->type != key.key->type())
    return fmt::format("the published record has k={}, the key is {}", auth::to_string(record->type),
                       auth::to_string(key.key->type()));
  if (record->public_key != key.key->public_key()) return "the published record belongs to another key";
  if (!record->allows_sha256 || !record->allows_email) return "the published record does not allow sha256 for mail";
  if (record->testing) return "is published with t=y: verifiers may take signatures as absent";
  return {};
}

} // namespace mta::cli
