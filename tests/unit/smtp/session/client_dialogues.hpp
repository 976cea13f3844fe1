// The client dialogues: whole sessions as a server would see them, each row a sentence; played by the tests beside this
// file.
#pragma once

#include <string>
#include <vector>

#include "tests/support/client_script.hpp"

namespace test {

inline smtp::Mailbox mailbox(std::string_view text) {
  return smtp::Mailbox::parse(text).value();
}

inline smtp::Recipient recipient(std::string_view address) {
  return {mailbox(address), {}};
}

/// A message from a@example.org to the given addresses.
inline Message message(std::vector<std::string> addresses, std::string body = "Subject: x\r\n\r\nhi\r\n") {
  Message made{.transaction = {}, .body = std::move(body)};
  made.transaction.sender.path = smtp::ReversePath(mailbox("a@example.org"));
  for (const auto &address : addresses) made.transaction.recipients.push_back(recipient(address));
  made.transaction.size = made.body.size();
  return made;
}

template <typename Change> Message changed(Message made, Change change) {
  change(made.transaction);
  return made;
}

inline const std::string ehlo = "EHLO client.example\r\n";
inline const std::string mail = "MAIL FROM:<a@example.org>\r\n";
inline const std::string greeting = "220 mx.example ESMTP\r\n";
inline const std::string bare = "250 mx.example\r\n";
inline const std::string pipelining = "250-mx.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n";
inline const std::string chunking = "250-mx.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n";
inline const std::string body_on_wire = "Subject: x\r\n\r\nhi\r\n.\r\n";
inline const Step bye{"QUIT\r\n", "221 bye\r\n"};

inline smtp::ClientOptions options(smtp::StartTlsUse use = smtp::StartTlsUse::if_offered) {
  return {.hostname = "client.example", .starttls = use};
}

inline std::string rcpt(std::string_view address) {
  return "RCPT TO:<" + std::string(address) + ">\r\n";
}

/// Sessions in which messages are sent, wholly or in part.
inline std::vector<Dialogue> transaction_dialogues() {
  std::vector<Dialogue> rows;
  rows.push_back({.name = "without PIPELINING every command waits for its reply",
                  .options = options(),
                  .messages = {message({"b@x.example", "c@x.example"})},
                  .steps = {{"", greeting},
                            {ehlo, bare},
                            {mail, "250 ok\r\n"},
                            {rcpt("b@x.example"), "250 ok\r\n"},
                            {rcpt("c@x.example"), "251 will forward\r\n"},
                            {"DATA\r\n", "354 go on\r\n"},
                            {body_on_wire, "250 2.0.0 queued\r\n"},
                            bye},
                  .outcomes = {"delivered 250 2.0.0", "delivered 250 2.0.0"}});
  rows.push_back({.name = "with PIPELINING the envelope and DATA go out together",
                  .options = options(),
                  .messages = {message({"b@x.example", "c@x.example"})},
                  .steps = {{"", greeting},
                            {ehlo, pipelining},
                            {mail + rcpt("b@x.example") + rcpt("c@x.example") + "DATA\r\n",
                             "250 ok\r\n250 ok\r\n252 cannot verify\r\n354 go on\r\n"},
                            {body_on_wire, "250 2.0.0 queued\r\n"},
                            bye},
                  .outcomes = {"delivered 250 2.0.0", "delivered 250 2.0.0"}});
  rows.push_back({.name = "refused recipients have outcomes of their own beside a delivered one",
                  .options = options(),
                  .messages = {message({"b@x.example", "c@x.example", "d@x.example", "e@x.example"})},
                  .steps = {{"", greeting},
                            {ehlo, pipelining},
                            {mail + rcpt("b@x.example") + rcpt("c@x.example") + rcpt("d@x.example") +
                                 rcpt("e@x.example") + "DATA\r\n",
                             "250 ok\r\n550 5.1.1 no such user\r\n250 ok\r\n450 4.2.1 busy\r\n"
                             "552 too many recipients\r\n354 go on\r\n"},
                            {body_on_wire, "250 queued\r\n"},
                            bye},
                  .outcomes = {"permanent 550 5.1.1", "delivered 250", "temporary 450 4.2.1", "temporary 552"}});
  rows.push_back(
      {.name = "552 to RCPT passes as too many recipients or a full mailbox; what its enhanced code says else is final",
       .options = options(),
       .messages = {message(
           {"a@x.example", "b@x.example", "c@x.example", "d@x.example", "e@x.example", "f@x.example", "g@x.example"})},
       .steps = {{"", greeting},
                 {ehlo, pipelining},
                 {mail + rcpt("a@x.example") + rcpt("b@x.example") + rcpt("c@x.example") + rcpt("d@x.example") +
                      rcpt("e@x.example") + rcpt("f@x.example") + rcpt("g@x.example") + "DATA\r\n",
                  "250 ok\r\n552 5.2.2 full\r\n552 5.5.3 too many\r\n552 4.5.3 too many\r\n"
                  "552 5.1.1 no such user\r\n552 5.3.4 too big\r\n552 5.7.1 forbidden\r\n"
                  "552 5.2.1 turned off\r\n554 no recipients\r\n"},
                 bye},
       .outcomes = {"temporary 552 5.2.2", "temporary 552 5.5.3", "temporary 552", "permanent 552 5.1.1",
                    "permanent 552 5.3.4", "permanent 552 5.7.1", "permanent 552 5.2.1"}});
  rows.push_back({.name = "when all recipients are refused and DATA is taken nevertheless, only a dot goes out",
                  .options = options(),
                  .messages = {message({"b@x.example"})},
                  .steps = {{"", greeting},
                            {ehlo, pipelining},
                            {mail + rcpt("b@x.example") + "DATA\r\n", "250 ok\r\n550 5.1.1 no\r\n354 go on\r\n"},
                            {".\r\n", "250 an empty message, thank you\r\n"},
                            bye},
                  .outcomes = {"permanent 550 5.1.1"}});
  rows.push_back(
      {.name = "when all recipients are refused and DATA too, RSET precedes the next message",
       .options = options(),
       .messages = {message({"b@x.example"}), message({"c@x.example"})},
       .steps = {{"", greeting},
                 {ehlo, pipelining},
                 {mail + rcpt("b@x.example") + "DATA\r\n", "250 ok\r\n550 5.1.1 no\r\n554 no recipients\r\n"},
                 {"RSET\r\n" + mail + rcpt("c@x.example") + "DATA\r\n", "250 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n"},
                 {body_on_wire, "250 queued\r\n"},
                 bye},
       .outcomes = {"permanent 550 5.1.1", "delivered 250"}});
  rows.push_back({.name = "without PIPELINING RSET waits too, and DATA is not sent for nobody",
                  .options = options(),
                  .messages = {message({"b@x.example"}), message({"c@x.example"})},
                  .steps = {{"", greeting},
                            {ehlo, bare},
                            {mail, "250 ok\r\n"},
                            {rcpt("b@x.example"), "550 5.1.1 no\r\n"},
                            {"RSET\r\n", "250 ok\r\n"},
                            {mail, "250 ok\r\n"},
                            {rcpt("c@x.example"), "250 ok\r\n"},
                            {"DATA\r\n", "451 4.3.0 later\r\n"},
                            bye},
                  .outcomes = {"permanent 550 5.1.1", "temporary 451 4.3.0"}});
  rows.push_back({.name = "a refused MAIL decides every recipient, whatever follows",
                  .options = options(),
                  .messages = {message({"b@x.example", "c@x.example"})},
                  .steps = {{"", greeting},
                            {ehlo, pipelining},
                            {mail + rcpt("b@x.example") + rcpt("c@x.example") + "DATA\r\n",
                             "550 5.7.1 not you\r\n503 5.5.1 no\r\n503 5.5.1 no\r\n503 5.5.1 no\r\n"},
                            bye},
                  .outcomes = {"permanent 550 5.7.1", "permanent 550 5.7.1"}});
  rows.push_back({.name = "a refused MAIL ends a session without PIPELINING at once, and needs no RSET",
                  .options = options(),
                  .messages = {message({"b@x.example"}), message({"c@x.example"})},
                  .steps = {{"", greeting},
                            {ehlo, bare},
                            {mail, "451 4.7.1 later\r\n"},
                            {mail, "250 ok\r\n"},
                            {rcpt("c@x.example"), "250 ok\r\n"},
                            {"DATA\r\n", "354 go on\r\n"},
                            {body_on_wire, "554 5.6.0 rubbish\r\n"},
                            bye},
                  .outcomes = {"temporary 451 4.7.1", "permanent 554 5.6.0"}});
  rows.push_back({.name = "a second message needs neither RSET nor a new greeting",
                  .options = options(),
                  .messages = {message({"b@x.example"}), message({"c@x.example"}, ".one dot\r\n..two\r\n")},
                  .steps = {{"", greeting},
                            {ehlo, pipelining},
                            {mail + rcpt("b@x.example") + "DATA\r\n", "250 ok\r\n250 ok\r\n354 go on\r\n"},
                            {body_on_wire, "452 4.3.1 disk full\r\n"},
                            {mail + rcpt("c@x.example") + "DATA\r\n", "250 ok\r\n250 ok\r\n354 go on\r\n"},
                            {"..one dot\r\n...two\r\n.\r\n", "250 queued\r\n"},
                            bye},
                  .outcomes = {"temporary 452 4.3.1", "delivered 250"}});
  rows.push_back({.name = "an empty message is a dot, and a missing line end is added",
                  .options = options(),
                  .messages = {message({"b@x.example"}, ""), message({"c@x.example"}, "no end")},
                  .steps = {{"", greeting},
                            {ehlo, pipelining},
                            {mail + rcpt("b@x.example") + "DATA\r\n", "250 ok\r\n250 ok\r\n354 go on\r\n"},
                            {".\r\n", "250 queued\r\n"},
                            {mail + rcpt("c@x.example") + "DATA\r\n", "250 ok\r\n250 ok\r\n354 go on\r\n"},
                            {"no end\r\n.\r\n", "250 queued\r\n"},
                            bye},
                  .outcomes = {"delivered 250", "delivered 250"}});
  rows.push_back({.name = "CHUNKING sends the message counted and unstuffed once a recipient is taken",
                  .options = options(),
                  .messages = {message({"b@x.example"}, ".dot\r\n"), message({"c@x.example"}, "no end")},
                  .steps = {{"", greeting},
                            {ehlo, chunking},
                            {mail + rcpt("b@x.example"), "250 ok\r\n250 ok\r\n"},
                            {"BDAT 6 LAST\r\n.dot\r\n", "250 queued\r\n"},
                            {mail + rcpt("c@x.example"), "250 ok\r\n250 ok\r\n"},
                            {"BDAT 8 LAST\r\nno end\r\n", "250 queued\r\n"},
                            bye},
                  .outcomes = {"delivered 250", "delivered 250"}});
  rows.push_back({.name = "CHUNKING with nobody accepted sends no chunk, and RSET before the next message",
                  .options = options(),
                  .messages = {message({"b@x.example"}), message({"c@x.example"}, "")},
                  .steps = {{"", greeting},
                            {ehlo, chunking},
                            {mail + rcpt("b@x.example"), "250 ok\r\n550 5.1.1 no\r\n"},
                            {"RSET\r\n" + mail + rcpt("c@x.example"), "250 ok\r\n250 ok\r\n250 ok\r\n"},
                            {"BDAT 0 LAST\r\n", "554 5.6.0 empty\r\n"},
                            bye},
                  .outcomes = {"permanent 550 5.1.1", "permanent 554 5.6.0"}});
  rows.push_back({.name = "all DSN parameters, SIZE and BODY are given where they are offered",
                  .options = options(),
                  .messages = {changed(message({"b@x.example", "c@x.example"}),
                                       [](smtp::Transaction &t) {
                                         t.sender.parameters.ret = smtp::DsnReturn::headers;
                                         t.sender.parameters.envid = "id+1";
                                         t.has_8bit = true;
                                         t.recipients[0].parameters.notify = {
                                             .given = true, .success = true, .delay = true};
                                         t.recipients[0].parameters.orcpt = {"rfc822", "o=x@x.example"};
                                         t.recipients[1].parameters.notify = {.given = true, .never = true};
                                       })},
                  .steps = {{"", greeting},
                            {ehlo, "250-mx\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-DSN\r\n250 PIPELINING\r\n"},
                            {"MAIL FROM:<a@example.org> SIZE=18 BODY=8BITMIME RET=HDRS ENVID=id+2B1\r\n"
                             "RCPT TO:<b@x.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o+3Dx@x.example\r\n"
                             "RCPT TO:<c@x.example> NOTIFY=NEVER\r\nDATA\r\n",
                             "250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go on\r\n"},
                            {body_on_wire, "250 queued\r\n"},
                            bye},
                  .outcomes = {"delivered 250 dsn", "permanent 550 5.1.1"}});
  rows.push_back({.name = "a hop that lacks what the message needs is asked nothing",
                  .options = options(),
                  .messages = {changed(message({"b@x.example", "c@x.example"}), [](auto &t) { t.size = 1001; }),
                               changed(message({"b@x.example"}), [](auto &t) { t.has_8bit = true; }),
                               changed(message({"b@x.example"}), [](auto &t) { t.needs_smtputf8 = true; }),
                               message({"\xC3\xBC@x.example"})},
                  .steps = {{"", greeting}, {ehlo, "250-mx\r\n250 SIZE 1000\r\n"}, bye},
                  .outcomes = {"permanent 552 5.3.4 local", "permanent 552 5.3.4 local", "permanent 554 5.6.3 local",
                               "permanent 553 5.6.7 local", "permanent 553 5.6.7 local"}});
  rows.push_back({.name = "SMTPUTF8 is given only with the message that needs it",
                  .options = options(),
                  .messages = {message({"b@x.example"}),
                               changed(message({"\xC3\xBC@x.example"}),
                                       [](smtp::Transaction &t) {
                                         t.recipients[0].parameters.orcpt = {"utf-8", "\xC3\xBC+@x.example"};
                                       })},
                  .steps = {{"", greeting},
                            {ehlo, "250-mx\r\n250-SMTPUTF8\r\n250-8BITMIME\r\n250-DSN\r\n250 PIPELINING\r\n"},
                            {mail + rcpt("b@x.example") + "DATA\r\n", "250 ok\r\n250 ok\r\n354 go on\r\n"},
                            {body_on_wire, "250 queued\r\n"},
                            {"MAIL FROM:<a@example.org> SMTPUTF8\r\n"
                             "RCPT TO:<\xC3\xBC@x.example> ORCPT=utf-8;\xC3\xBC\\x{2B}@x.example\r\nDATA\r\n",
                             "250 ok\r\n250 ok\r\n354 go on\r\n"},
                            {body_on_wire, "250 queued\r\n"},
                            bye},
                  .outcomes = {"delivered 250", "delivered 250 dsn"}});
  rows.push_back(
      {.name = "recipients over RCPTMAX and messages over MAILMAX are left for later",
       .options = options(),
       .messages = {message({"b@x.example", "c@x.example", "d@x.example"}), message({"e@x.example"})},
       .steps = {{"", greeting},
                 {ehlo, "250-mx\r\n250-PIPELINING\r\n250 LIMITS MAILMAX=1 RCPTMAX=2\r\n"},
                 {mail + rcpt("b@x.example") + rcpt("c@x.example") + "DATA\r\n",
                  "250 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n"},
                 {body_on_wire, "250 queued\r\n"},
                 bye},
       .outcomes = {"delivered 250", "delivered 250", "temporary 452 4.5.3 local", "temporary 452 4.5.3 local"}});
  rows.push_back({.name = "421 to RCPT makes what is undecided temporary",
                  .options = options(),
                  .messages = {message({"b@x.example", "c@x.example", "d@x.example"})},
                  .steps = {{"", greeting},
                            {ehlo, pipelining},
                            {mail + rcpt("b@x.example") + rcpt("c@x.example") + rcpt("d@x.example") + "DATA\r\n",
                             "250 ok\r\n250 ok\r\n550 5.1.1 no\r\n421 4.3.2 going down\r\n"}},
                  .outcomes = {"temporary 421 4.3.2", "permanent 550 5.1.1", "temporary 421 4.3.2"},
                  .end = "transaction"});
  rows.push_back({.name = "421 after the final dot is no delivery",
                  .options = options(),
                  .messages = {message({"b@x.example"})},
                  .steps = {{"", greeting},
                            {ehlo, pipelining},
                            {mail + rcpt("b@x.example") + "DATA\r\n", "250 ok\r\n250 ok\r\n354 go on\r\n"},
                            {body_on_wire, "421 4.3.2 going down\r\n"}},
                  .outcomes = {"temporary 421 4.3.2"},
                  .end = "transaction"});
  rows.push_back(
      {.name = "the null reverse-path and a quoted local part are written as they must be",
       .options = options(),
       .messages = {changed(message({"\"b c\"@x.example"}), [](auto &t) { t.sender.path = {}; })},
       .steps = {{"", greeting},
                 {ehlo, pipelining},
                 {"MAIL FROM:<>\r\nRCPT TO:<\"b c\"@x.example>\r\nDATA\r\n", "250 ok\r\n250 ok\r\n354 go on\r\n"},
                 {body_on_wire, "250 queued\r\n"},
                 bye},
       .outcomes = {"delivered 250"}});
  rows.push_back({.name = "inside TLS what was offered in clear is forgotten",
                  .options = options(smtp::StartTlsUse::required),
                  .messages = {message({"b@x.example"})},
                  .steps = {{"", greeting},
                            {ehlo, "250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n"},
                            {"STARTTLS\r\n", "220 go ahead\r\n"},
                            {"<TLS>" + ehlo, "250-mx\r\n250 STARTTLS\r\n"},
                            {mail, "250 ok\r\n"},
                            {rcpt("b@x.example"), "250 ok\r\n"},
                            {"DATA\r\n", "354 go on\r\n"},
                            {body_on_wire, "250 queued\r\n"},
                            bye},
                  .outcomes = {"delivered 250"}});
  const auto demanding = [](smtp::Transaction &t) { t.sender.parameters.requiretls = true; };
  const std::string offering = "250-mx\r\n250-PIPELINING\r\n250 REQUIRETLS\r\n";
  const std::string demand = "MAIL FROM:<a@example.org> REQUIRETLS\r\n";
  const std::string taken = "250 ok\r\n250 ok\r\n354 go on\r\n";
  const Step in_clear{ehlo, "250-mx\r\n250-PIPELINING\r\n250-REQUIRETLS\r\n250 STARTTLS\r\n"};
  const Step to_tls{"STARTTLS\r\n", "220 go ahead\r\n"};
  rows.push_back(
      {.name = "REQUIRETLS is said to a host that offers it inside TLS, and only with the message that asks for it",
       .options = options(smtp::StartTlsUse::required),
       .messages = {changed(message({"b@x.example"}), demanding), message({"c@x.example"})},
       .steps = {{"", greeting},
                 in_clear,
                 to_tls,
                 {"<TLS>" + ehlo, offering},
                 {demand + rcpt("b@x.example") + "DATA\r\n", taken},
                 {body_on_wire, "250 queued\r\n"},
                 {mail + rcpt("c@x.example") + "DATA\r\n", taken},
                 {body_on_wire, "250 queued\r\n"},
                 bye},
       .outcomes = {"delivered 250", "delivered 250"}});
  rows.push_back({.name = "REQUIRETLS that was offered in clear does not count inside TLS, and no MAIL is said",
                  .options = options(smtp::StartTlsUse::required),
                  .messages = {changed(message({"b@x.example", "c@x.example"}), demanding), message({"d@x.example"})},
                  .steps = {{"", greeting},
                            in_clear,
                            to_tls,
                            {"<TLS>" + ehlo, pipelining},
                            {mail + rcpt("d@x.example") + "DATA\r\n", taken},
                            {body_on_wire, "250 queued\r\n"},
                            bye},
                  .outcomes = {"permanent 550 5.7.30 local", "permanent 550 5.7.30 local", "delivered 250"}});
  rows.push_back({.name = "REQUIRETLS in clear is not an offer",
                  .options = options(smtp::StartTlsUse::never),
                  .messages = {changed(message({"b@x.example"}), demanding)},
                  .steps = {{"", greeting}, {ehlo, offering}, bye},
                  .outcomes = {"permanent 550 5.7.30 local"}});
  rows.push_back({.name = "inside implicit TLS the first EHLO offers REQUIRETLS",
                  .options = {.hostname = "client.example", .starttls = smtp::StartTlsUse::never, .inside_tls = true},
                  .messages = {changed(message({"b@x.example"}), demanding)},
                  .steps = {{"", greeting},
                            {ehlo, offering},
                            {demand + rcpt("b@x.example") + "DATA\r\n", taken},
                            {body_on_wire, "250 queued\r\n"},
                            bye},
                  .outcomes = {"delivered 250"}});
  rows.push_back({.name = "a notification goes on where REQUIRETLS is not offered",
                  .options = options(smtp::StartTlsUse::required),
                  .messages = {changed(message({"b@x.example"}),
                                       [&](smtp::Transaction &t) {
                                         demanding(t);
                                         t.sender.path = {};
                                       })},
                  .steps = {{"", greeting},
                            in_clear,
                            to_tls,
                            {"<TLS>" + ehlo, pipelining},
                            {"MAIL FROM:<>\r\n" + rcpt("b@x.example") + "DATA\r\n", taken},
                            {body_on_wire, "250 queued\r\n"},
                            bye},
                  .outcomes = {"delivered 250"}});
  rows.push_back({.name = "a notification says REQUIRETLS where it is offered",
                  .options = options(smtp::StartTlsUse::required),
                  .messages = {changed(message({"b@x.example"}),
                                       [&](smtp::Transaction &t) {
                                         demanding(t);
                                         t.sender.path = {};
                                       })},
                  .steps = {{"", greeting},
                            in_clear,
                            to_tls,
                            {"<TLS>" + ehlo, offering},
                            {"MAIL FROM:<> REQUIRETLS\r\n" + rcpt("b@x.example") + "DATA\r\n", taken},
                            {body_on_wire, "250 queued\r\n"},
                            bye},
                  .outcomes = {"delivered 250"}});
  rows.push_back(
      {.name = "RET=FULL becomes RET=HDRS beside REQUIRETLS",
       .options = options(smtp::StartTlsUse::required),
       .messages = {changed(message({"b@x.example"}),
                            [&](smtp::Transaction &t) {
                              demanding(t);
                              t.sender.parameters.ret = smtp::DsnReturn::full;
                            })},
       .steps = {{"", greeting},
                 in_clear,
                 to_tls,
                 {"<TLS>" + ehlo, "250-mx\r\n250-PIPELINING\r\n250-DSN\r\n250 REQUIRETLS\r\n"},
                 {"MAIL FROM:<a@example.org> REQUIRETLS RET=HDRS\r\n" + rcpt("b@x.example") + "DATA\r\n", taken},
                 {body_on_wire, "250 queued\r\n"},
                 bye},
       .outcomes = {"delivered 250"}});
  return rows;
}

} // namespace test
