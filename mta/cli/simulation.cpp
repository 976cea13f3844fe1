#include "mta/cli/simulation.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>

#include <boost/asio/co_spawn.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/config/config_files.hpp"
#include "mta/config/crl_files.hpp"
#include "mta/config/partner_values.hpp"
#include "mta/crl/kept_crl.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/net/workers.hpp"
#include "mta/outbound/probe.hpp"
#include "smtp/base/text.hpp"

namespace mta::cli {

namespace {

constexpr std::size_t probe_limit = 20; ///< domains

smtp::Result<policy::Partner> find_base(const policy::PartnerTable &table, const SimulationOptions &options) {
  if (options.partner.empty() == options.domain.empty())
    return smtp::fail(smtp::ErrorCode::bad_syntax, "name either --partner or --domain");
  if (!options.partner.empty()) {
    for (const policy::Partner &partner : table.partners())
      if (partner.name == options.partner) return partner;
    return smtp::fail(smtp::ErrorCode::not_found,
                      fmt::format("no partner is named \"{}\"", smtp::escape(options.partner)));
  }
  auto pattern = smtp::DomainPattern::parse(options.domain);
  if (!pattern) return tl::unexpected(pattern.error());
  policy::Partner base;
  if (!pattern->is_wildcard())
    if (const auto domain = smtp::Domain::parse(options.domain))
      if (const policy::Partner *partner = table.find(*domain)) base = *partner; // its rule, for this domain alone
  base.name = pattern->to_string();
  base.domains = {std::move(*pattern)};
  return base;
}

/// As the partner files have them.
smtp::Result<std::vector<std::string>> read_match(const SimulationOptions &options) {
  std::vector<std::string> match;
  for (const std::string &text : options.match) {
    auto name = parse_name_pattern(text);
    if (!name) return smtp::fail(name.error().code, "--match: " + name.error().detail);
    match.push_back(std::move(*name));
  }
  return match;
}

/// An absolute path, "system", or nothing when the rule's own is wanted.
smtp::Result<std::string> read_trust(const SimulationOptions &options) {
  if (options.trust.empty() || options.trust == "system") return options.trust;
  std::string path = std::filesystem::absolute(options.trust).lexically_normal().string();
  if (const auto checked = check_trust_file(DiskFiles(), path, options.trust); !checked)
    return smtp::fail(checked.error().code, "--trust: " + checked.error().detail);
  return path;
}

smtp::Result<void> apply(policy::Partner &partner, const SimulationOptions &options) {
  const auto level = tls::parse_level(options.level);
  if (!level || (*level != tls::Level::encrypted && *level != tls::Level::authenticated))
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("--tls {}: give encrypted or authenticated", smtp::escape(options.level)));
  const auto match = read_match(options);
  if (!match) return tl::unexpected(match.error());
  const auto trust = read_trust(options);
  if (!trust) return tl::unexpected(trust.error());
  const auto set = [&](auto &rule, std::vector<std::string> &names, const std::string &section) {
    rule.level = *level;
    if (!match->empty()) names = *match;
    if (!trust->empty()) rule.trust = *trust;
    // Below "authenticated" no certificate is judged; the table allows no pins there either.
    if (*level < tls::Level::authenticated) rule.pins.clear();
    if (rule.place.empty()) rule.place = "simulated " + section;
  };
  if (options.direction == policy::Direction::outbound) {
    if (!partner.outbound) partner.outbound.emplace();
    set(*partner.outbound, partner.outbound->match, "outbound");
  } else {
    if (!partner.inbound) partner.inbound.emplace();
    set(*partner.inbound, partner.inbound->names, "inbound");
  }
  return {};
}

} // namespace

smtp::Result<policy::PartnerTable> enforced_table(const policy::PartnerTable &partners) {
  std::vector<policy::Partner> enforced;
  enforced.reserve(partners.partners().size());
  for (const policy::Partner &partner : partners.partners()) enforced.push_back(policy::as_enforced(partner));
  return partners.with(std::move(enforced));
}

smtp::Result<Simulation> build_simulation(const Config &config, SimulationOptions &options) {
  if (options.direction_word == "inbound")
    options.direction = policy::Direction::inbound;
  else if (options.direction_word == "outbound")
    options.direction = policy::Direction::outbound;
  else
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("--direction {}: give outbound or inbound", smtp::escape(options.direction_word)));
  auto partner = find_base(config.partners, options);
  if (!partner) return tl::unexpected(partner.error());
  if (auto applied = apply(*partner, options); !applied) return tl::unexpected(applied.error());
  Simulation simulation;
  simulation.partner = partner->name;
  std::vector<policy::Partner> partners;
  for (const policy::Partner &other : config.partners.partners()) {
    if (other.name == options.partner) continue;
    policy::Partner kept = policy::as_enforced(other);
    std::erase_if(kept.domains, [&](const auto &pattern) {
      return std::find(partner->domains.begin(), partner->domains.end(), pattern) != partner->domains.end();
    });
    partners.push_back(std::move(kept));
  }
  // The exceptions stand in the other table already, where the rule was only borrowed.
  if (options.partner.empty()) partner->exceptions.clear();
  partners.push_back(policy::as_enforced(std::move(*partner)));
  auto table = config.partners.with(std::move(partners));
  if (!table) return tl::unexpected(table.error());
  simulation.table = std::move(*table);
  return simulation;
}

policy::EvidenceQuestion question_for(const Config &config, const policy::PartnerTable &table,
                                      const std::string &partner, policy::Direction direction, unsigned days,
                                      std::chrono::system_clock::time_point now) {
  policy::EvidenceQuestion question;
  question.direction = direction;
  question.partners = &table;
  for (const policy::Partner &each : table.partners())
    if (!partner.empty() && each.name == partner) question.partner = &each;
  question.defaults = [&config](const smtp::Domain &domain) { return config.outbound_defaults(domain); };
  question.route = [&config](const smtp::Domain &domain) { return config.find_route(domain); };
  question.now = now;
  question.days = days;
  return question;
}

namespace {

/// Runs the probes of all domains one after the other on a loop of its own.
class Prober {
public:
  Prober(const Config &config, const policy::EvidenceQuestion &question) : config_(config), question_(question) {}

  smtp::Result<void> open() {
    const policy::OutboundRule &rule = *question_.partner->outbound;
    tls::ClientContextOptions options;
    options.profile = rule.profile;
    if (rule.route && !rule.route->client_certificate.empty())
      if (const auto *certificate = config_.find_certificate(rule.route->client_certificate))
        options.certificate = certificate->files;
    auto context = tls::Context::client(options);
    if (!context) return tl::unexpected(context.error());
    context_ = std::move(*context);
    auto system = tls::TrustStore::system();
    if (!system) return tl::unexpected(system.error());
    stores_.emplace_back("system", std::move(*system));
    if (rule.trust != "system" || !rule.crls.empty()) {
      store::Reader reader(store::store_folder(config_.spool.path));
      auto store = tls::TrustStore::load(rule.trust, crl_sources(rule.crls, kept_crls(reader)));
      if (!store) return tl::unexpected(store.error());
      stores_.emplace_back(policy::trust_key(rule.trust, rule.crls), std::move(*store));
    }
    for (const RouteConfig &route : config_.routes) { // whose demands may hold beside the rule's
      const std::string key = policy::trust_key(route.tls_trust, {});
      if (std::any_of(stores_.begin(), stores_.end(), [&](const auto &known) { return known.first == key; })) continue;
      auto store = tls::TrustStore::from_file(route.tls_trust);
      if (!store) return tl::unexpected(store.error());
      stores_.emplace_back(key, std::move(*store));
    }
    auto resolver = make_resolver(config_.dns, worker_.context.get_executor());
    if (!resolver) return tl::unexpected(resolver.error());
    resolver_ = std::move(*resolver);
    return {};
  }

  ProbedDomain run(const smtp::Domain &domain) {
    std::vector<ProbeResult> results;
    const ProbeServices services{
        .config = config_, .resolver = *resolver_, .worker = worker_, .context = context_, .stores = stores_};
    bool done = false;
    worker_.context.restart();
    asio::co_spawn(worker_.context, probe(services, domain),
                   [&](const std::exception_ptr &thrown, std::vector<ProbeResult> found) {
                     if (!thrown) results = std::move(found);
                     done = true;
                   });
    const auto work = asio::make_work_guard(worker_.context);
    while (!done) worker_.context.run_one();
    ProbedDomain probed;
    probed.domain = domain.ascii();
    for (const ProbeResult &result : results) probed.addresses.push_back(judge(result));
    probed.is_good = !probed.addresses.empty() && std::all_of(probed.addresses.begin(), probed.addresses.end(),
                                                              [](const auto &each) { return each.is_good; });
    return probed;
  }

private:
  ProbedAddress judge(const ProbeResult &result) const {
    ProbedAddress probed;
    probed.host = result.host;
    probed.address = result.address;
    if (!result.problem.empty()) {
      probed.tls = "none";
      probed.verdict = "not_reached";
      probed.reason = result.problem;
      return probed;
    }
    const policy::Judged judged = policy::judge_evidence(question_, result.row);
    probed.tls = result.row.is_encrypted ? tls::to_string(result.row.version) : "none";
    probed.verdict = policy::to_string(judged.kind);
    probed.reason = judged.reason;
    probed.is_good = !judged.is_refused;
    return probed;
  }

  const Config &config_;
  const policy::EvidenceQuestion &question_;
  Worker worker_;
  std::shared_ptr<const tls::Context> context_;
  std::vector<std::pair<std::string, std::shared_ptr<const tls::TrustStore>>> stores_;
  std::unique_ptr<Resolver> resolver_;
};

} // namespace

smtp::Result<std::vector<ProbedDomain>> probe_domains(const Config &config, const policy::EvidenceQuestion &question,
                                                      std::span<const policy::Evidence> evidence) {
  if (question.direction != policy::Direction::outbound || !question.partner || !question.partner->outbound)
    return smtp::fail(smtp::ErrorCode::bad_syntax, "--probe is for --direction outbound");
  std::set<std::string> domains;
  for (const smtp::DomainPattern &pattern : question.partner->domains)
    if (!pattern.is_wildcard() && domains.size() < probe_limit) domains.insert(pattern.base());
  for (const policy::Evidence &each : evidence)
    if (domains.size() < probe_limit) domains.insert(each.row.domain);
  auto prober = std::make_unique<Prober>(config, question);
  if (auto opened = prober->open(); !opened) return tl::unexpected(opened.error());
  std::vector<ProbedDomain> result;
  for (const std::string &name : domains)
    if (const auto domain = smtp::Domain::parse(name)) result.push_back(prober->run(*domain));
  if (result.empty())
    return smtp::fail(smtp::ErrorCode::not_found,
                      "there is no domain to probe: no traffic was seen, and the rule names "
                      "none without \"*\"");
  return result;
}

std::string format_probe(const std::vector<ProbedDomain> &probed) {
  std::string text;
  for (const ProbedDomain &domain : probed) {
    text += fmt::format("probe of {}: {}\n", smtp::escape(domain.domain),
                        domain.is_good ? "every address would be accepted" : "NOT every address would be accepted");
    for (const ProbedAddress &each : domain.addresses)
      text += fmt::format("  {} {} {}: {}{}{}\n", each.is_good ? "+" : "-", smtp::escape(each.host, 100),
                          each.address.empty() ? "-" : each.address, each.tls.empty() ? "" : each.tls + ", ",
                          each.verdict, each.reason.empty() ? "" : ": " + smtp::escape(each.reason, 500));
  }
  return text;
}

boost::json::array describe_probe(const std::vector<ProbedDomain> &probed) {
  boost::json::array array;
  for (const ProbedDomain &domain : probed) {
    boost::json::array addresses;
    for (const ProbedAddress &each : domain.addresses)
      addresses.push_back(boost::json::object{{"host", smtp::escape(each.host)},
                                              {"address", each.address},
                                              {"tls", each.tls},
                                              {"verdict", each.verdict},
                                              {"reason", smtp::escape(each.reason, 500)},
                                              {"accepted", each.is_good}});
    array.push_back(
        boost::json::object{{"domain", domain.domain}, {"good", domain.is_good}, {"addresses", std::move(addresses)}});
  }
  return array;
}

} // namespace mta::cli
