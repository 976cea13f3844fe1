// ClientJudge: see judge.hpp.
#include "mta/inbound/judge.hpp"

#include <algorithm>
#include <string_view>

#include "tls/core/name_match.hpp"

namespace mta::inbound {

namespace {

/// Pins are written "sha256//base64" or as the base64 alone.
bool is_pinned(const std::vector<std::string> &pins, const tls::CertificateFacts &leaf) {
  constexpr std::string_view prefix = "sha256//";
  return std::any_of(pins.begin(), pins.end(), [&](std::string_view pin) {
    if (pin.substr(0, prefix.size()) == prefix) pin.remove_prefix(prefix.size());
    return pin == leaf.spki_sha256;
  });
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
  verified_ = false;
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
    judged->facts.verdict = tls::ChainVerdict{false, "the trust store \"" + trust + "\" is not loaded", tls::ChainFault::untrusted};
  }
  verified_ = verified_ || judged->facts.verdict->trusted;
  judged_ = std::move(judged);
  return judged_->facts;
}

policy::SenderVerdict ClientJudge::judge_sender(const smtp::ReversePath &sender, Now now) {
  const policy::PartnerTable &partners = snapshot_.config().partners;
  policy::SenderFacts facts{.client = client_, .facts = facts_};
  const tls::Facts clear{};
  if (facts_ == nullptr) {
    facts.facts = &clear;
  } else if (const auto needed = policy::needed_verdict(partners, sender)) {
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
  if (facts.local == policy::LocalRecipient::not_ours) facts.client_trusted = is_trusted(now);
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

bool ClientJudge::certificate_may_relay(Now now) {
  if (facts_ == nullptr || facts_->chain.empty()) return false;
  const tls::CertificateFacts &leaf = facts_->chain.front();
  // The handshake proved possession of the leaf's key only: a pin on a certificate further up would prove nothing.
  if (is_pinned(listener_.trusted_pins, leaf)) return true;
  if (listener_.trusted_names.empty() || listener_.trusted_ca.empty()) return false;
  if (tls::first_match(listener_.trusted_names, leaf.dns_names).empty()) return false;
  return facts_against(listener_.trusted_ca, {}, tls::Purpose::client, now).verdict->trusted;
}

ClientCertificate ClientJudge::certificate(Now now) {
  ClientCertificate certificate;
  if (facts_ == nullptr || facts_->chain.empty()) return certificate;
  const tls::CertificateFacts &leaf = facts_->chain.front();
  certificate.name = leaf.dns_names.empty() ? leaf.subject : leaf.dns_names.front();
  if (!judged_) {
    // No rule asked yet: the listener's own CA, or the system's, says whether the name is anybody's.
    const std::string trust = listener_.trusted_ca.empty() ? "system" : listener_.trusted_ca;
    if (snapshot_.trust_store(trust)) (void)facts_against(trust, {}, tls::Purpose::client_or_server, now);
  }
  certificate.verified = verified_;
  return certificate;
}

} // namespace mta::inbound
