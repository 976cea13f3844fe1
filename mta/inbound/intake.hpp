// Intake: takes a message's octets on their way into the spool; checks or signs them, and removes forged result fields.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/arc/seal.hpp"
#include "auth/core/dns_facts.hpp"
#include "auth/dkim/sign.hpp"
#include "mta/auth/message_check.hpp"
#include "mta/config/config.hpp"
#include "mta/spool/spool.hpp"
#include "policy/allowed_senders.hpp"
#include "policy/message.hpp"
#include "smtp/message/eight_bit.hpp"
#include "smtp/message/header_scan.hpp"

namespace mta::inbound {

/// Says why a message was quarantined. Nobody else may say so: it is taken out of mail from outside.
inline constexpr std::string_view quarantine_field = "Portcullis-Quarantine";

/// One message. Holds its header section while that arrives (limits.header_size bounds it), and nothing of the body.
class Intake {
public:
  /// Mail from outside: checked, and `sealed` when it is passed on to someone who is to see our results.
  Intake(const Config &config, CheckRequest request, bool sealed);
  /// Mail from outside where nothing is checked: only cleaned of what would be taken for ours.
  explicit Intake(const Config &config);
  /// Mail from a client that may send for us: signed when its author is ours and a key is there.
  Intake(const Config &config, std::chrono::system_clock::time_point now);

  /// `scanner` has been fed with the same octets.
  [[nodiscard]] smtp::Result<void> feed(std::string_view octets, const smtp::HeaderScanner &scanner,
                                        MessageWriter &writer);
  /// Something of the header section is left to be computed: work(), and nothing else until it is done.
  [[nodiscard]] bool has_work() const noexcept { return fields_ != nullptr; }
  [[nodiscard]] smtp::Result<void> work(MessageWriter &writer);
  /// No more octets come: a header section without an empty line ends here. There may be work after it.
  [[nodiscard]] smtp::Result<void> end_of_octets(MessageWriter &writer);
  /// The message is complete, and no work is left. `added`: fields that will stand in front of it and are to be signed
  /// (Date, Message-ID).
  [[nodiscard]] smtp::Result<void> end(MessageWriter &writer);
  /// Fields that are put in front of a client's message and are signed with it; before end of the header section.
  void add_fields(std::string fields) { added_ = std::move(fields); }

  /// The senders that the client may use; before the first octet. Nothing is signed for a message that is refused.
  void restrict_to(const policy::SenderPermit &permit) { permit_ = permit; }
  /// From or Sender are not among them; after the header section.
  [[nodiscard]] const std::optional<smtp::Reply> &refusal() const noexcept { return refusal_; }

  /// The ARC set with these results ("mx.example.org; spf=pass …"); empty when nothing is sealed or the chain may not
  /// be continued. Once, after end() and when the check is settled.
  [[nodiscard]] smtp::Result<std::string> seal(std::string results);

  /// Of a message that another hop of ours checked: every field stays as it is. Before the first octet.
  void keep_as_it_is() noexcept { as_it_is_ = true; }
  /// Notes the domains of header From, checked or not; before the first octet.
  void want_authors() noexcept { wants_authors_ = true; }
  /// Those domains; where nobody can tell who the author is, all that From names, since some reader shows one of them.
  /// Empty unless they were wanted; after the header section.
  [[nodiscard]] const std::vector<std::string> &authors() const noexcept { return authors_; }

  /// Null for mail that is not checked.
  [[nodiscard]] MessageCheck *check() noexcept { return check_.get(); }
  [[nodiscard]] auth::DnsFacts &facts() noexcept { return facts_; }
  /// The DKIM-Signature fields; empty when nothing signs. After end().
  [[nodiscard]] const std::string &signatures() const noexcept { return signatures_; }
  /// Octets that were stored, and those of their header section: others than came where forged fields were left out, or
  /// a message was made 7-bit before it was signed.
  [[nodiscard]] std::uint64_t stored() const noexcept { return stored_; }
  [[nodiscard]] std::uint64_t stored_header() const noexcept { return stored_header_; }
  /// Whether any octet that was stored is above 127, where that may be otherwise than with what came.
  [[nodiscard]] std::optional<bool> converted_8bit() const noexcept {
    return converter_ ? std::optional(converted_8bit_) : std::nullopt;
  }
  [[nodiscard]] std::size_t removed_fields() const noexcept { return removed_fields_; }
  /// The Subject field's value, at most 1,000 octets: by it reports are known.
  [[nodiscard]] const std::string &subject() const noexcept { return subject_; }

private:
  [[nodiscard]] smtp::Result<void> end_header(std::size_t size, MessageWriter &writer);
  [[nodiscard]] smtp::Result<void> store_header(const auth::HeaderFields &fields, MessageWriter &writer);
  [[nodiscard]] smtp::Result<void> feed_body(std::string_view octets, MessageWriter &writer);
  /// The section without fields that only we write. `fields` are from outside.
  [[nodiscard]] std::optional<std::string> clean(const auth::HeaderFields &fields);
  /// The header section of a client's message as it is signed and stored.
  [[nodiscard]] smtp::Result<void> sign_header(const auth::HeaderFields &fields, MessageWriter &writer);
  void begin_signing(const auth::HeaderFields &fields, std::vector<auth::SigningIdentity> identities);
  [[nodiscard]] smtp::Result<void> store_section(std::string_view section, MessageWriter &writer);
  [[nodiscard]] smtp::Result<void> store(std::string_view octets, MessageWriter &writer);
  /// `fields` as they are stored.
  void begin_sealing(const auth::HeaderFields &fields);

  const Config &config_;
  bool from_outside_ = true;
  bool as_it_is_ = false;
  bool wants_authors_ = false;
  std::vector<std::string> authors_;
  std::unique_ptr<MessageCheck> check_;
  std::optional<auth::DkimSigner> signer_;
  bool sealed_ = false;
  std::optional<auth::ArcSealer> sealer_;
  std::chrono::system_clock::time_point now_{};
  auth::DnsFacts facts_;
  std::string header_;                               ///< until the header section is complete
  std::unique_ptr<const auth::HeaderFields> fields_; ///< while work is left
  std::string waiting_; ///< octets of the body that came with the end of the header section
  bool header_done_ = false;
  policy::SenderPermit permit_;
  std::optional<smtp::Reply> refusal_;
  std::string added_;
  std::string signatures_;
  std::string subject_;
  std::optional<smtp::SevenBitConverter> converter_;
  std::string converted_;
  std::uint64_t stored_ = 0;
  std::uint64_t stored_header_ = 0;
  bool converted_8bit_ = false;
  std::size_t removed_fields_ = 0;
};

/// The rules, the check and the config's own domains put before policy.
[[nodiscard]] policy::MessageDecision judge_message(const Config &config, const MessageCheck &check);

} // namespace mta::inbound
