#include "mta/inbound/judge.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "mta/inbound/reply.hpp"
#include "smtp/base/text.hpp"
#include "tls/core/name_match.hpp"

namespace mta::inbound {

namespace {

bool is_pinned(const std::vector<std::string> &pins, const tls::CertificateFacts &leaf) {
  return std::find(pins.begin(), pins.end(), leaf.spki_sha256) != pins.end();
}

tls::Purpose purpose_of(const policy::NeededVerdict &needed) {
  return needed.accept_server_auth ? tls::Purpose::client_or_server : tls::Purpose::client;
}

} // namespace

void ClientJudge::tls_done(const tls::Facts &facts, std::shared_ptr<const tls::PeerChain> chain) {
  facts_ = &facts;
  chain_ = std::move(chain);
  judged_.reset();
  trusted_.reset();
  certificate_problem_.clear();
  for_now_ = false;
  permit_.reset();
  verified_ = false;
  remembered_.reset();
}

bool ClientJudge::needs_certificates() const {
  const auto by_certificate = [](const policy::AllowedSenders &block) {
    return !block.names.empty() || !block.pins.empty();
  };
  return listener_.require_client_certificate || !listener_.trusted_names.empty() || !listener_.trusted_pins.empty() ||
         std::any_of(listener_.allowed_senders.begin(), listener_.allowed_senders.end(), by_certificate) ||
         !snapshot_.config().partners.partners().empty();
}

void ClientJudge::forget_certificates(Now now) {
  remembered_ = certificate(now);
  chain_.reset();
  judged_.reset();
}

const tls::Facts &ClientJudge::facts_against(const std::string &trust, const std::vector<std::string> &crls,
                                             tls::Purpose purpose, Now now) {
  if (judged_ && judged_->trust == trust && judged_->crls == crls && judged_->purpose == purpose) return judged_->facts;
  auto judged = std::make_unique<Judged>();
  judged->trust = trust;
  judged->crls = crls;
  judged->purpose = purpose;
  judged->facts = *facts_;
  if (const auto store = snapshot_.trust_store(trust, crls)) {
    judged->facts.verdict = tls::verify_chain(chain_.get(), *store, purpose, now);
  } else {
    judged->facts.verdict =
        tls::ChainVerdict{false, "the trust store \"" + trust + "\" is not loaded", tls::ChainFault::untrusted};
  }
  verified_ = verified_ || judged->facts.verdict->trusted;
  judged_ = std::move(judged);
  return judged_->facts;
}

std::string ClientJudge::missing_in_certificate(Now now) {
  if (facts_->chain.empty()) return "none was shown";
  const tls::CertificateFacts &leaf = facts_->chain.front();
  const bool pinned = is_pinned(listener_.required_pins, leaf);
  if (pinned && listener_.crls.empty()) return {};
  const std::string name =
      leaf.dns_names.empty() ? "without a DNS name" : "for " + smtp::escape(leaf.dns_names.front(), 100);
  if (listener_.required_ca.empty())
    return fmt::format("the key of the certificate {} is not among those required", name);
  if (!pinned && !listener_.required_names.empty() &&
      tls::first_match(listener_.required_names, leaf.dns_names).empty())
    return fmt::format("one {} was shown, which is none of the names required ({})", name,
                       fmt::join(listener_.required_names, ", "));
  const auto &verdict = facts_against(listener_.required_ca, listener_.crls, relay_purpose(), now).verdict;
  if (verdict->trusted) return {};
  for_now_ = verdict->fault == tls::ChainFault::no_revocation;
  return fmt::format("one {} was shown, which is not trusted: {}", name, smtp::escape(verdict->reason, 150));
}

std::optional<smtp::Reply> ClientJudge::judge_listener(Now now) {
  // The session refuses what comes before TLS.
  if (!listener_.require_client_certificate || facts_ == nullptr) return std::nullopt;
  const std::string missing = missing_in_certificate(now);
  if (missing.empty()) return std::nullopt;
  if (for_now_) // a list that we lack is a fault near us
    return make_reply(450, {4, 7, 1}, "this listener takes mail only from clients with a certificate: " + missing);
  return make_reply(550, {5, 7, 1}, "this listener takes mail only from clients with a certificate: " + missing);
}

std::optional<policy::SenderVerdict> ClientJudge::judge_author(const smtp::Domain &author, Now now) {
  const policy::Partner *partner = snapshot_.config().partners.find(author);
  if (partner == nullptr || !partner->inbound || !partner->inbound->authors) return std::nullopt;
  // The rule looks at the domain only.
  auto mailbox = smtp::Mailbox::create("author", author);
  if (!mailbox) return std::nullopt;
  return judge_sender(smtp::ReversePath(std::move(*mailbox)), now);
}

bool ClientJudge::has_author_rules() {
  if (author_rules_) return *author_rules_;
  const auto &partners = snapshot_.config().partners.partners();
  author_rules_ = std::any_of(partners.begin(), partners.end(), [this](const policy::Partner &partner) {
    if (!partner.inbound || !partner.inbound->authors) return false;
    const auto &listeners = partner.inbound->listeners;
    return listeners.empty() || std::find(listeners.begin(), listeners.end(), listener_.name) != listeners.end();
  });
  return *author_rules_;
}

policy::SenderVerdict ClientJudge::judge_sender(const smtp::ReversePath &sender, Now now) {
  const policy::PartnerTable &partners = snapshot_.config().partners;
  policy::SenderFacts facts{.client = client_, .facts = facts_, .listener = listener_.name};
  const tls::Facts clear{};
  if (facts_ == nullptr) {
    facts.facts = &clear;
  } else if (const auto needed = policy::needed_verdict(partners, sender, listener_.name)) {
    const auto purpose = purpose_of(*needed);
    facts.facts = &facts_against(needed->trust, needed->crls, purpose, now);
  }
  return policy::judge_sender(partners, sender, facts, now);
}

tls::Facts ClientJudge::facts_for(const policy::NeededVerdict &needed, Now now) {
  return facts_against(needed.trust, needed.crls, purpose_of(needed), now);
}

std::optional<smtp::Reply> ClientJudge::judge_recipient(const smtp::ForwardPath &path, Now now) {
  policy::RecipientFacts facts{.role = listener_.role, .local = snapshot_.config().classify(path)};
  facts.is_literal = path.mailbox() != nullptr && path.mailbox()->literal() != nullptr;
  // Mail to a recipient of ours needs no trust, so that its certificate is looked at only where it decides.
  facts.is_caught = snapshot_.config().is_caught(path);
  if (facts.local == policy::LocalRecipient::not_ours || facts.is_caught) {
    facts.client_trusted = is_trusted(now);
    facts.why_untrusted = certificate_problem_;
    facts.untrusted_for_now = for_now_;
  }
  return policy::judge_recipient(facts, path);
}

bool ClientJudge::is_trusted(Now now) {
  if (listener_.role != policy::ListenerRole::relay) return false;
  if (!trusted_) {
    trusted_ = std::any_of(listener_.trusted_networks.begin(), listener_.trusted_networks.end(),
                           [&](const smtp::Network &network) { return network.contains(client_); }) ||
               certificate_may_relay(now);
  }
  return *trusted_;
}

tls::Purpose ClientJudge::relay_purpose() const noexcept {
  return listener_.accept_server_auth ? tls::Purpose::client_or_server : tls::Purpose::client;
}

bool ClientJudge::certificate_may_relay(Now now) {
  certificate_problem_.clear();
  if (listener_.trusted_names.empty() && listener_.trusted_pins.empty()) return false;
  certificate_problem_ = find_certificate_problem(now);
  return certificate_problem_.empty();
}

/// Empty: the certificate may relay.
std::string ClientJudge::find_certificate_problem(Now now) {
  if (facts_ == nullptr) return "no TLS is in use, so no client certificate was shown";
  if (facts_->chain.empty()) return "no client certificate was shown";
  const tls::CertificateFacts &leaf = facts_->chain.front();
  // The handshake proved possession of the leaf's key only: a pin on a certificate further up would prove nothing.
  const bool pinned = is_pinned(listener_.trusted_pins, leaf);
  if (pinned && listener_.crls.empty()) return {};
  if (!pinned && (listener_.trusted_names.empty() || listener_.trusted_ca.empty()))
    return "the key of the client certificate is not pinned";
  if (!pinned && tls::first_match(listener_.trusted_names, leaf.dns_names).empty()) {
    if (leaf.dns_names.empty())
      return "the client certificate has no subjectAltName with a DNS name; a common name does not count";
    return fmt::format("no name of the client certificate ({}{}) is trusted", smtp::escape(leaf.dns_names.front(), 100),
                       leaf.dns_names.size() > 1 ? fmt::format(" and {} more", leaf.dns_names.size() - 1) : "");
  }
  const tls::ChainVerdict verdict = *facts_against(listener_.trusted_ca, listener_.crls, relay_purpose(), now).verdict;
  if (verdict.trusted) return {};
  for_now_ = verdict.fault == tls::ChainFault::no_revocation;
  // Asked for the words alone: such a chain is not verified for what it is shown for.
  const auto store = snapshot_.trust_store(listener_.trusted_ca, listener_.crls);
  if (!listener_.accept_server_auth && store != nullptr &&
      tls::verify_chain(chain_.get(), *store, tls::Purpose::client_or_server, now).trusted) {
    return "the client certificate is for servers only: its extended key usage lacks clientAuth (accept_server_auth)";
  }
  return fmt::format("the client certificate is not trusted: {}", smtp::escape(verdict.reason, 150));
}

bool ClientJudge::is_named(const std::vector<std::string> &names, Now now) {
  if (names.empty() || listener_.trusted_ca.empty() || facts_ == nullptr || facts_->chain.empty()) return false;
  if (tls::first_match(names, facts_->chain.front().dns_names).empty()) return false;
  return facts_against(listener_.trusted_ca, listener_.crls, relay_purpose(), now).verdict->trusted;
}

const policy::SenderPermit &ClientJudge::sender_permit(Now now) {
  if (permit_) return *permit_;
  if (listener_.allowed_senders.empty()) return permit_.emplace();
  std::vector<const policy::AllowedSenders *> blocks;
  for (const policy::AllowedSenders &block : listener_.allowed_senders) {
    const bool from_network = std::any_of(block.networks.begin(), block.networks.end(),
                                          [&](const smtp::Network &network) { return network.contains(client_); });
    bool by_key = facts_ != nullptr && !facts_->chain.empty() && is_pinned(block.pins, facts_->chain.front());
    if (by_key && !listener_.crls.empty()) // what was taken back speaks for nobody
      by_key = facts_against(listener_.trusted_ca, listener_.crls, relay_purpose(), now).verdict->trusted;
    if (from_network || by_key || is_named(block.names, now)) blocks.push_back(&block);
  }
  return permit_.emplace(std::move(blocks));
}

ClientCertificate ClientJudge::certificate(Now now) {
  if (remembered_) return *remembered_;
  ClientCertificate certificate;
  if (facts_ == nullptr || facts_->chain.empty()) return certificate;
  const tls::CertificateFacts &leaf = facts_->chain.front();
  certificate.name = leaf.dns_names.empty() ? leaf.subject : leaf.dns_names.front();
  if (!judged_) {
    // No rule asked yet: the listener's own CA, or the system's, says whether the name is anybody's.
    const std::string trust = listener_.trusted_ca.empty() ? "system" : listener_.trusted_ca;
    // For the purpose that counts here, so that the log does not call verified what may not relay.
    const auto purpose = listener_.trusted_ca.empty() ? tls::Purpose::client_or_server : relay_purpose();
    const auto &crls = listener_.trusted_ca.empty() ? std::vector<std::string>() : listener_.crls;
    if (snapshot_.trust_store(trust, crls)) (void)facts_against(trust, crls, purpose, now);
  }
  certificate.verified = verified_;
  return certificate;
}

} // namespace mta::inbound
