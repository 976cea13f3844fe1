// judge_recipient: never an open relay.
#include "policy/relay.hpp"

#include <gtest/gtest.h>

namespace relay_test {

using namespace policy;

struct Row {
  const char *name;
  RecipientFacts facts;
  const char *path;
  const char *refusal; ///< empty: accepted
};

constexpr auto mx = ListenerRole::mx;
constexpr auto relay = ListenerRole::relay;
constexpr auto not_ours = LocalRecipient::not_ours;
constexpr auto unknown = LocalRecipient::unknown;
constexpr auto known = LocalRecipient::known;

const std::vector<Row> rows = {
    {"mx takes a known recipient", {mx, false, known, false}, "<a@ours.example>", ""},
    {"mx refuses an unknown recipient",
     {mx, false, unknown, false},
     "<x@ours.example>",
     "550 5.1.1 no such recipient here: <x@ours.example>"},
    {"mx refuses to relay",
     {mx, false, not_ours, false},
     "<a@other.example>",
     "550 5.7.1 relaying denied: <a@other.example> is not a recipient of this system"},
    {"mx refuses to relay for a client that a relay listener would trust",
     {mx, true, not_ours, false},
     "<a@other.example>",
     "550 5.7.1 relaying denied: <a@other.example> is not a recipient of this system"},
    {"mx refuses an address literal",
     {mx, false, not_ours, true},
     "<a@[192.0.2.1]>",
     "550 5.7.1 relaying denied: <a@[192.0.2.1]> is not a recipient of this system"},
    {"mx refuses an address literal that someone looked up as known",
     {mx, false, known, true},
     "<a@[192.0.2.1]>",
     "550 5.7.1 relaying denied: <a@[192.0.2.1]> is not a recipient of this system"},
    {"relay takes anything from a trusted client", {relay, true, not_ours, false}, "<a@other.example>", ""},
    {"relay takes a literal from a trusted client", {relay, true, not_ours, true}, "<a@[192.0.2.1]>", ""},
    {"relay takes a known recipient of ours from a trusted client",
     {relay, true, known, false},
     "<a@ours.example>",
     ""},
    {"relay refuses our unknown recipient even from a trusted client",
     {relay, true, unknown, false},
     "<x@ours.example>",
     "550 5.1.1 no such recipient here: <x@ours.example>"},
    {"relay refuses to relay for an untrusted client",
     {relay, false, not_ours, false},
     "<a@other.example>",
     "550 5.7.1 relaying denied: <a@other.example> is not a recipient of this system"},
    {"a client whose certificate cannot be checked now comes again",
     {.role = relay, .why_untrusted = "no list of revoked certificates is in force", .untrusted_for_now = true},
     "<a@other.example>",
     "450 4.7.1 relaying denied: <a@other.example> is not a recipient of this system, and no list of revoked "
     "certificates is in force"},
    {"relay refuses a literal from an untrusted client",
     {relay, false, not_ours, true},
     "<a@[192.0.2.1]>",
     "550 5.7.1 relaying denied: <a@[192.0.2.1]> is not a recipient of this system"},
    {"relay takes our known recipient from an untrusted client", {relay, false, known, false}, "<a@ours.example>", ""},
    {"relay refuses our unknown recipient from an untrusted client",
     {relay, false, unknown, false},
     "<x@ours.example>",
     "550 5.1.1 no such recipient here: <x@ours.example>"},
    {"a caught recipient is taken", {mx, false, known, false, true}, "<a@ours.example>", ""},
    {"the percent hack is refused where a domain takes everybody",
     {mx, false, known, false, true},
     "<user%evil.example@ours.example>",
     "550 5.7.1 relaying denied: the local part of <user%evil.example@ours.example> names a further hop (\"%\", \"!\" "
     "or \"@\")"},
    {"a bang path",
     {mx, false, known, false, true},
     "<evil.example!user@ours.example>",
     "550 5.7.1 relaying denied: the local part of <evil.example!user@ours.example> names a further hop (\"%\", \"!\" "
     "or \"@\")"},
    {"a quoted at sign",
     {mx, false, known, false, true},
     "<\"user@evil.example\"@ours.example>",
     "550 5.7.1 relaying denied: the local part of <\"user@evil.example\"@ours.example> names a further hop (\"%\", "
     "\"!\" or \"@\")"},
    {"a quoted at sign that is quoted once more",
     {relay, false, known, false, true},
     "<\"user\\@evil.example\"@ours.example>",
     "550 5.7.1 relaying denied: the local part of <\"user@evil.example\"@ours.example> names a further hop (\"%\", "
     "\"!\" or \"@\")"},
    {"a trusted client may write it", {relay, true, known, false, true}, "<user%evil.example@ours.example>", ""},
    {"a recipient that a list names may have it", {mx, false, known, false, false}, "<50%off@ours.example>", ""},
    {"a source route is dropped, as ever", {mx, false, known, false, true}, "<@evil.example:user@ours.example>", ""},
    {"Postmaster without a domain is always taken", {mx, false, not_ours, false}, "<Postmaster>", ""},
};

TEST(JudgeRecipient, Table) {
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto refusal = judge_recipient(row.facts, smtp::ForwardPath::parse(row.path).value());
    EXPECT_EQ(refusal ? refusal->to_line() : "", row.refusal);
  }
}

} // namespace relay_test
