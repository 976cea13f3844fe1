// What Receiver does with a message's checks: ask for them, act on their results, write them down.
#include <algorithm>

#include <fmt/format.h>

#include "auth/core/authentication_results.hpp"
#include "mta/auth/client_resolver.hpp"
#include "mta/inbound/receiver.hpp"
#include "mta/queue/recipient_event.hpp"
#include "mta/tally/dmarc_row.hpp"
#include "smtp/base/text.hpp"
#include "smtp/message/plain_text.hpp"
#include "smtp/message/received.hpp"

namespace mta::inbound {

namespace {

std::string address_of(const smtp::ReversePath &path) {
  const smtp::Mailbox *mailbox = path.mailbox();
  return mailbox != nullptr ? mailbox->to_string() : std::string();
}

std::string domain_of(const smtp::Mailbox *mailbox) {
  return mailbox != nullptr && mailbox->domain() != nullptr ? mailbox->domain()->ascii() : std::string();
}

/// "pass" of the strongest signature, or the result of the first.
std::string_view dkim_word(const std::vector<auth::DkimVerdict> &verdicts) {
  if (verdicts.empty()) return "none";
  const auto passed = std::find_if(verdicts.begin(), verdicts.end(),
                                   [](const auto &verdict) { return verdict.result == auth::DkimResult::pass; });
  return auth::to_string(passed != verdicts.end() ? passed->result : verdicts.front().result);
}

std::string dkim_domains(const std::vector<auth::DkimVerdict> &verdicts) {
  std::string text;
  for (const auth::DkimVerdict &verdict : verdicts) {
    if (!text.empty()) text += ',';
    text += fmt::format("{}:{}", verdict.domain, auth::to_string(verdict.result));
    if (text.size() > 300) return text + ",...";
  }
  return text;
}

/// Some recipient's mail goes on to where our results are to be believed.
bool wants_seal(const Config &config, const QueuedMessage &message) {
  if (!config.arc.key) return false;
  return std::any_of(message.recipients.begin(), message.recipients.end(), [&](const RecipientState &state) {
    const smtp::Domain *domain = state.recipient.mailbox.domain();
    return domain != nullptr && std::any_of(config.arc.recipients.begin(), config.arc.recipients.end(),
                                            [&](const auto &pattern) { return pattern.matches(*domain); });
  });
}

} // namespace

bool Receiver::from_client_of_ours() {
  return in_force_.listener->role == policy::ListenerRole::relay && judge_.is_trusted(std::chrono::system_clock::now());
}

/// Clients of ours get their header section made whole; from outside it is fields up to an empty line, or not mail.
void Receiver::begin_gate() {
  const bool refuses = in_force_.listener->malformed_header == MalformedHeader::refuse &&
                       in_force_.snapshot->config().authentication.rules.mode == policy::Mode::enforce;
  const auto strangers = refuses ? smtp::HeaderRule::refuse : smtp::HeaderRule::split;
  gate_ = std::make_unique<smtp::HeaderGate>(from_client_of_ours() ? smtp::HeaderRule::mend : strangers);
  header_fault_told_ = false;
}

void Receiver::judge_header_form() {
  if (!gate_->fault() || std::exchange(header_fault_told_, true)) return;
  const std::string problem = gate_->fault()->to_string();
  if (gate_->is_refused()) {
    // RFC 3463: X.6.0, "some aspect of the message's content causes it to be considered undeliverable".
    failure_ = make_reply(550, {5, 6, 0}, problem + "; a header section is fields up to an empty line");
    policy_says_so_ = true;
    return;
  }
  const bool own = from_client_of_ours();
  const bool observed = !own && in_force_.listener->malformed_header == MalformedHeader::refuse;
  edge_.log().write(Event("malformed_header", own ? LogLevel::debug : LogLevel::info)
                        .with("session", session_)
                        .with("id", writer_->id().to_string())
                        .with("client", client_.to_string())
                        .with("action", own ? "mended" : "split")
                        .with_if("observed", observed ? "refuse" : "")
                        .with("reason", problem));
}

bool Receiver::may_use(const smtp::Mailbox &sender) {
  return !from_client_of_ours() || judge_.sender_permit(std::chrono::system_clock::now()).allows(sender);
}

/// Not so: who is exempt from what holds for each address.
bool Receiver::is_limited() const {
  const auto &exempt = in_force_.snapshot->config().limits.exempt_networks;
  return std::none_of(exempt.begin(), exempt.end(),
                      [this](const smtp::Network &network) { return network.contains(client_); });
}

std::shared_ptr<Resolver> Receiver::make_resolver(std::chrono::steady_clock::time_point deadline) const {
  Edge &edge = edge_.shared();
  if (edge.resolver == nullptr || !is_limited()) return nullptr;
  ClientResolver::Client client{client_, question_limits(in_force_.snapshot->config()), deadline};
  return std::make_shared<ClientResolver>(*edge.resolver, edge.questions, std::move(client));
}

void Receiver::begin_intake() {
  const Config &config = in_force_.snapshot->config();
  const auto now = std::chrono::system_clock::now();
  intake_.reset();
  added_fields_.clear();
  added_message_id_.clear();
  fields_added_ = false;
  // Such a rule holds as that for the envelope does: for clients of ours too, and whether or not senders are checked.
  const bool by_author = judge_.has_author_rules();
  if (from_client_of_ours()) {
    const policy::SenderPermit &permit = judge_.sender_permit(now);
    if (!config.dkim_keys.empty() || permit.is_restricted() || by_author) {
      intake_ = std::make_unique<Intake>(config, now);
      intake_->restrict_to(permit);
      if (by_author) intake_->want_authors();
    }
    return;
  }
  const AuthenticationConfig &rules = config.authentication;
  const bool passed_on = !in_force_.listener->check_senders; // another hop of ours did: what it wrote stays
  if (passed_on && !by_author) return;
  if (passed_on || !rules.enabled) {
    intake_ = std::make_unique<Intake>(config);
    if (passed_on) intake_->keep_as_it_is();
    if (by_author) intake_->want_authors();
    return;
  }
  CheckRequest request;
  request.client = client_;
  request.helo = machine_.facts().helo;
  request.mail_from = address_of(message_->envelope.sender.path);
  request.receiver = config.server.hostname;
  request.dkim.max_signatures = rules.max_signatures;
  request.dkim.stepwise = true;
  request.cpu_budget = rules.cpu_budget;
  request.dkim.keys = &edge_.keys();
  request.dkim.now = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  request.dmarc.accept_partial_body = rules.accept_partial_body;
  // Where several authors are let pass, each has to be proven.
  if (!rules.rules.refuse_several_authors) request.dmarc.several_authors = auth::SeveralAuthors::check_each;
  intake_ = std::make_unique<Intake>(config, std::move(request), wants_seal(config, *message_));
  if (by_author) intake_->want_authors();
}

void Receiver::add_missing_fields() {
  if (std::exchange(fields_added_, true) || !from_client_of_ours()) return;
  const Config &config = in_force_.snapshot->config();
  const smtp::MessageFacts &seen = scanner_->facts();
  if (!seen.has_date) added_fields_ += "Date: " + smtp::format_date(std::chrono::system_clock::now()) + "\r\n";
  if (!seen.has_message_id) {
    added_message_id_ = fmt::format("<{}@{}>", writer_->id().to_string(), config.server.hostname);
    added_fields_ += "Message-ID: " + added_message_id_ + "\r\n";
  }
  if (intake_) intake_->add_fields(added_fields_);
}

bool Receiver::checked(bool settled) {
  const Config &config = in_force_.snapshot->config();
  const MessageCheck &check = *intake_->check();
  policy::MessageDecision decision = judge_message(config, check);
  if (!settled) {
    decision.action = policy::MessageAction::defer;
    decision.reply = smtp::Reply{
        .code = 451, .enhanced = smtp::EnhancedCode{4, 7, 0}, .text = "the sender checks did not end, try again later"};
    decision.reasons = {"the checks ask for more DNS answers than the limit allows"};
  }
  if (!decision.reply) {
    if (auto refusal = judge_authors()) {
      decision.action = refusal->is_permanent() ? policy::MessageAction::reject : policy::MessageAction::defer;
      decision.reasons.push_back(refusal->text);
      decision.reply = std::move(refusal);
    }
  }
  log_checks(decision);
  const auth::SpfVerdict &spf = check.results().spf.mail_from;
  spf_passed_ =
      settled && spf.result == auth::SpfResult::pass && observed_session_ && spf.domain == observed_session_->domain;
  if (settled) count_for_report(decision);
  if (decision.reply) {
    const std::string reason = decision.reasons.empty() ? decision.reply->text : decision.reasons.back();
    end_message();
    const LogLevel level = settled ? LogLevel::warning : LogLevel::info;
    refuse(std::move(*decision.reply),
           {.command = "message", .reason = reason, .level = level, .sender = {}, .recipient = {}});
    drop_message();
    return false;
  }
  std::string tls;
  if (const tls::Facts *facts = judge_.facts())
    tls = fmt::format("{} {}", tls::to_string(facts->version), facts->suite);
  const ClientCertificate certificate = judge_.certificate(std::chrono::system_clock::now());
  if (!tls.empty() && !certificate.name.empty())
    tls += fmt::format(" client={} verified={}", certificate.name, certificate.verified ? "yes" : "no");
  const auth::CheckedMessage view = describe_checks(check, config.authentication.authserv_id, true, std::move(tls));
  std::string fields = auth::format_authentication_results(view);
  auto seal = intake_->seal(auth::format_results_payload(view));
  if (!seal) { // the mail is whole without it
    edge_.log().write(Event("arc_seal", LogLevel::error)
                          .with("session", session_)
                          .with("id", writer_->id().to_string())
                          .with("problem", seal.error().detail));
  } else {
    fields.insert(0, *seal);
  }
  if (config.authentication.received_spf) fields += auth::format_received_spf(view, auth::SpfIdentity::mail_from);
  message_->envelope.trace = std::move(fields);
  if (decision.action == policy::MessageAction::quarantine) {
    if (auto refusal = quarantine(decision)) {
      end_message();
      refuse(std::move(*refusal), {.command = "message", .reason = "quarantine_full", .sender = {}, .recipient = {}});
      drop_message();
      return false;
    }
  }
  complete_envelope();
  return true;
}

/// Partners whose rule holds for the author too: what readers see is held to it, whatever envelope it comes in.
std::optional<smtp::Reply> Receiver::judge_authors() {
  const auto now = std::chrono::system_clock::now();
  for (const std::string &name : intake_->authors()) {
    const auto domain = smtp::Domain::parse(name);
    if (!domain) continue;
    auto verdict = judge_.judge_author(*domain, now);
    if (!verdict || verdict->satisfied) continue;
    log_policy(message_->envelope.sender.path, *verdict);
    if (!verdict->refusal) continue;
    verdict->refusal->text = "the author's domain: " + verdict->refusal->text;
    return std::move(verdict->refusal);
  }
  return std::nullopt;
}

std::optional<smtp::Reply> Receiver::quarantine(const policy::MessageDecision &decision) {
  const Config &config = in_force_.snapshot->config();
  const AuthenticationConfig &rules = config.authentication;
  if (rules.quarantine == QuarantineAction::hold) {
    if (auto full = edge_.quarantine_refusal(config.spool, std::chrono::steady_clock::now())) {
      edge_.note_resource_refusal(full->resource, client_, "message", full->reply, full->detail);
      return std::move(full->reply);
    }
  }
  const std::string reason = decision.reasons.empty() ? "DMARC policy" : decision.reasons.back();
  std::string value = reason;
  if (rules.quarantine == QuarantineAction::redirect && rules.quarantine_recipient) {
    value += "; intended for:";
    for (const RecipientState &state : message_->recipients) {
      value += ' ' + state.recipient.mailbox.to_string();
      edge_.log().write(recipient_event(writer_->id(), state, "quarantined", LogLevel::warning)
                            .with("redirected_to", rules.quarantine_recipient->to_string()));
    }
    message_->recipients.clear();
    smtp::RecipientParameters parameters;
    parameters.notify.given = true;
    parameters.notify.never = true;
    message_->recipients.push_back(RecipientState{smtp::Recipient{*rules.quarantine_recipient, std::move(parameters)}});
  }
  if (rules.quarantine == QuarantineAction::hold) {
    message_->held = true;
    message_->hold_reason = "quarantine: " + reason;
  }
  message_->envelope.trace += smtp::fold_field(quarantine_field, smtp::one_line(value, smtp::TextCharset::ascii, 4000));
  return std::nullopt;
}

void Receiver::log_checks(const policy::MessageDecision &decision) {
  const CheckResults &results = intake_->check()->results();
  const bool refused = decision.reply.has_value();
  std::string overrides;
  for (const auth::PolicyOverride &entry : decision.overrides)
    overrides += fmt::format("{}{}: {}", overrides.empty() ? "" : "; ", auth::to_string(entry.kind), entry.comment);
  const std::string author = results.authors.domains.empty() ? std::string() : results.authors.domains.front();
  edge_.log().write(Event("auth", refused ? LogLevel::warning : LogLevel::info)
                        .with("session", session_)
                        .with("id", writer_->id().to_string())
                        .with("client", client_.to_string())
                        .with_if("from_domain", author)
                        .with_if("from_status", results.authors.salvaged  ? "salvaged"
                                                : results.authors.is_ok() ? ""
                                                                          : auth::to_string(results.authors.status))
                        .with("spf", auth::to_string(results.spf.mail_from.result))
                        .with_if("spf_domain", results.spf.mail_from.domain)
                        .with("spf_helo", auth::to_string(results.spf.helo.result))
                        .with("dkim", dkim_word(results.dkim))
                        .with_if("dkim_signatures", dkim_domains(results.dkim))
                        .with("dmarc", auth::to_string(results.dmarc.result))
                        .with("policy", auth::to_string(results.dmarc.policy))
                        .with("arc", auth::to_string(results.arc.result))
                        .with("iprev", auth::to_string(results.iprev.result))
                        .with("action", policy::to_string(decision.action))
                        .with("observed", policy::to_string(decision.observed))
                        .with_if("override", overrides)
                        .with_if("forged_fields_removed", intake_->removed_fields() == 0
                                                              ? std::string()
                                                              : std::to_string(intake_->removed_fields()))
                        .with_if("reason", decision.reasons.empty() ? std::string() : decision.reasons.back()));
}

void Receiver::count_for_report(const policy::MessageDecision &decision) {
  DmarcTally *tally = edge_.shared().tally;
  if (tally == nullptr || !in_force_.snapshot->config().dmarc_reports.enabled) return;
  const CheckResults &results = intake_->check()->results();
  const std::string from = domain_of(message_->envelope.sender.path.mailbox());
  const std::string to =
      message_->recipients.empty() ? std::string() : domain_of(&message_->recipients.front().recipient.mailbox);
  const RowFacts counted{.source = client_,
                         .spf = results.spf,
                         .dkim = results.dkim,
                         .dmarc = results.dmarc,
                         .disposition = decision.disposition,
                         .reasons = decision.overrides,
                         .envelope_from = from,
                         .envelope_to = to,
                         .subject = intake_->subject()};
  if (const auto row = make_dmarc_row(counted)) tally->add(*row, std::chrono::system_clock::now());
}

} // namespace mta::inbound
