// ClientJudge: collects what policy must know of one client (network, certificate, recipients) and asks it to decide.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "mta/config/snapshot.hpp"
#include "policy/allowed_senders.hpp"
#include "policy/decide.hpp"
#include "policy/relay.hpp"
#include "tls/context.hpp"
#include "tls/core/facts.hpp"

namespace mta::inbound {

/// The name that a client's certificate carries, for the Received field and the log.
struct ClientCertificate {
  std::string name;      ///< empty: none was presented
  bool verified = false; ///< its chain leads to a trust store that was asked
};

/// One client of one listener. The snapshot, the listener and (after tls_done) the facts must outlive it. Never blocks
/// but for the arithmetic of verifying a chain, at most once for each trust store that rules name.
class ClientJudge {
public:
  using Now = std::chrono::system_clock::time_point;

  ClientJudge(const Snapshot &snapshot, const ListenerConfig &listener, smtp::IpAddress client)
      : snapshot_(snapshot), listener_(listener), client_(client) {}

  /// The handshake is done; everything judged before it is forgotten.
  void tls_done(const tls::Facts &facts, std::shared_ptr<const tls::PeerChain> chain);

  /// Something that this listener decides or counts may ask for the client's certificates again: names, keys or a CA of
  /// its own, or a rule or the evidence of a partner.
  [[nodiscard]] bool needs_certificates() const;
  /// What certificate() says stays; the chain is forgotten. Only where nothing needs it, and facts() forget it too.
  void forget_certificates(Now now);

  /// What the listener demands of everybody: the refusal that says what was missing, or nothing.
  [[nodiscard]] std::optional<smtp::Reply> judge_listener(Now now);
  /// The inbound rule of an author's domain (header From), where it says that it holds for authors; else nothing.
  [[nodiscard]] std::optional<policy::SenderVerdict> judge_author(const smtp::Domain &author, Now now);
  /// Some rule holds for authors on this listener: what readers see has to be looked at, whoever the client is.
  [[nodiscard]] bool has_author_rules();
  /// The partner table's inbound rules.
  [[nodiscard]] policy::SenderVerdict judge_sender(const smtp::ReversePath &sender, Now now);
  [[nodiscard]] std::optional<smtp::Reply> judge_recipient(const smtp::ForwardPath &path, Now now);
  /// May relay: on a relay listener, by network or by client certificate.
  [[nodiscard]] bool is_trusted(Now now);
  /// Why its certificate does not let the client relay, as one clause for the reply and the log; empty: it does, or the
  /// listener asks for none. To be read after is_trusted().
  [[nodiscard]] const std::string &certificate_problem() const noexcept { return certificate_problem_; }
  /// Which senders a trusted client of a relay listener may use.
  [[nodiscard]] const policy::SenderPermit &sender_permit(Now now);
  [[nodiscard]] ClientCertificate certificate(Now now);
  [[nodiscard]] const std::string &listener() const noexcept { return listener_.name; }
  [[nodiscard]] const tls::Facts *facts() const noexcept { return facts_; }
  /// The session's facts with the verdict that a rule needs; facts() must not be null.
  [[nodiscard]] tls::Facts facts_for(const policy::NeededVerdict &needed, Now now);

private:
  /// The session's facts with the verdict of `trust` and its revocation lists in them.
  [[nodiscard]] const tls::Facts &facts_against(const std::string &trust, const std::vector<std::string> &crls,
                                                tls::Purpose purpose, Now now);
  [[nodiscard]] bool certificate_may_relay(Now now);
  [[nodiscard]] std::string find_certificate_problem(Now now);
  [[nodiscard]] tls::Purpose relay_purpose() const noexcept;
  /// The client's certificate carries one of the names, and its chain leads to the listener's trusted_ca.
  [[nodiscard]] bool is_named(const std::vector<std::string> &names, Now now);
  /// Empty: the certificate meets the demand of the listener; else what was missing.
  [[nodiscard]] std::string missing_in_certificate(Now now);

  struct Judged {
    std::string trust;
    std::vector<std::string> crls;
    tls::Purpose purpose = tls::Purpose::client;
    tls::Facts facts;
  };

  const Snapshot &snapshot_;
  const ListenerConfig &listener_;
  smtp::IpAddress client_;
  const tls::Facts *facts_ = nullptr; ///< null: no TLS
  std::shared_ptr<const tls::PeerChain> chain_;
  std::optional<ClientCertificate> remembered_; ///< of a chain that was forgotten
  std::unique_ptr<Judged> judged_;              ///< the last one: sessions rarely need a second
  std::optional<bool> trusted_;
  std::string certificate_problem_;
  bool for_now_ = false; ///< the certificate is refused since lists of revoked ones are missing or too old
  std::optional<policy::SenderPermit> permit_;
  std::optional<bool> author_rules_;
  bool verified_ = false; ///< some verdict was good
};

} // namespace mta::inbound
