// Mailbox, ReversePath and ForwardPath: the addresses of an SMTP envelope as types (RFC 5321 section 4.1.2, RFC 6531).
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "smtp/base/result.hpp"
#include "smtp/names/domain.hpp"
#include "smtp/names/ip_address.hpp"

namespace smtp {

/// local-part "@" ( Domain / address-literal ). The local part is kept without quoting (quoted pairs undone); it is
/// at most 256 octets. UTF-8 in it is allowed here; whether the session allows it (SMTPUTF8) is the session's matter.
///
/// Wider than RFC 5321 where real senders are: its 64 octets of a local part are few for VERP, SRS and BATV; dots may
/// stand anywhere in a local part without quotes (user..name@, user.@), which is then written as it came; a dot behind
/// the domain is dropped.
class Mailbox {
public:
  [[nodiscard]] static Result<Mailbox> parse(std::string_view text);
  [[nodiscard]] static Result<Mailbox> create(std::string local_part, Domain domain);

  /// Unquoted.
  [[nodiscard]] const std::string &local_part() const noexcept { return local_part_; }
  /// Nothing when the right side is an address literal.
  [[nodiscard]] const Domain *domain() const noexcept { return std::get_if<Domain>(&host_); }
  [[nodiscard]] const IpAddress *literal() const noexcept { return std::get_if<IpAddress>(&host_); }
  /// The domain's A-label form or the literal with brackets.
  [[nodiscard]] std::string host() const;
  /// Wire form without "<>": the local part quoted when it must be; the domain in A-label form.
  [[nodiscard]] std::string to_string() const;
  /// True when the local part holds octets above 127, so that only an SMTPUTF8 hop can take it.
  [[nodiscard]] bool needs_smtputf8() const noexcept;

  friend auto operator<=>(const Mailbox &, const Mailbox &) = default;

private:
  Mailbox(std::string local_part, std::variant<Domain, IpAddress> host, bool loose_dots = false)
      : local_part_(std::move(local_part)), host_(std::move(host)), loose_dots_(loose_dots) {}
  std::string local_part_;
  std::variant<Domain, IpAddress> host_;
  bool loose_dots_ = false; ///< came without the quotes that its dots need, and goes on without them
};

/// The argument of MAIL FROM: "<>" (the null reverse-path of notifications) or a mailbox. Source routes are read and
/// dropped (RFC 5321 appendix C).
class ReversePath {
public:
  /// The null reverse-path.
  ReversePath() = default;
  explicit ReversePath(Mailbox mailbox) : mailbox_(std::move(mailbox)) {}
  /// `text` must have its angle brackets.
  [[nodiscard]] static Result<ReversePath> parse(std::string_view text);

  [[nodiscard]] bool is_null() const noexcept { return !mailbox_; }
  /// Nothing for the null reverse-path.
  [[nodiscard]] const Mailbox *mailbox() const noexcept { return mailbox_ ? &*mailbox_ : nullptr; }
  /// With angle brackets.
  [[nodiscard]] std::string to_string() const;

  friend auto operator<=>(const ReversePath &, const ReversePath &) = default;

private:
  std::optional<Mailbox> mailbox_;
};

/// The argument of RCPT TO: a mailbox, or "<Postmaster>" without a domain (RFC 5321 section 4.1.1.3).
class ForwardPath {
public:
  explicit ForwardPath(Mailbox mailbox) : mailbox_(std::move(mailbox)) {}
  [[nodiscard]] static ForwardPath postmaster() { return ForwardPath(); }
  [[nodiscard]] static Result<ForwardPath> parse(std::string_view text);

  [[nodiscard]] bool is_postmaster() const noexcept { return !mailbox_; }
  [[nodiscard]] const Mailbox *mailbox() const noexcept { return mailbox_ ? &*mailbox_ : nullptr; }
  [[nodiscard]] std::string to_string() const;

  friend auto operator<=>(const ForwardPath &, const ForwardPath &) = default;

private:
  ForwardPath() = default;
  std::optional<Mailbox> mailbox_;
};

} // namespace smtp
