// Plays every script of tests/dialog against a ServerSession in process, with the octets cut every 1, 3 and 4096.
#include "tests/support/dialog_script.hpp"
#include "tests/support/server_harness.hpp"

#include "source_dir.hpp"

#include <gtest/gtest.h>

#include <set>

namespace dialog_test {

using smtp::EnhancedCode;
using smtp::Reply;

/// The recipients that tests/dialog/README.md promises.
Reply judge_recipient(const smtp::AskRecipient &ask) {
  static const std::set<std::string> known = {"alice", "bob",  "carol",       "postmaster",
                                              "abuse", "jörg", "quoted user", "a>b"};
  if (ask.path.is_postmaster()) return {250, EnhancedCode{2, 1, 5}, "ok"};
  const auto *domain = ask.path.mailbox()->domain();
  if (domain == nullptr || (domain->ascii() != "example.org" && domain->ascii() != "xn--bcher-kva.example"))
    return {550, EnhancedCode{5, 7, 1}, "we do not relay"};
  if (!known.contains(smtp::to_lower(ask.path.mailbox()->local_part())))
    return {550, EnhancedCode{5, 1, 1}, "no such user"};
  return {250, EnhancedCode{2, 1, 5}, "ok"};
}

smtp::ServerOptions make_options(const std::map<std::string, std::string> &given) {
  smtp::ServerOptions options;
  options.hostname = "mx.example.org";
  for (const auto &[name, value] : given) {
    const auto number = smtp::parse_number(value).value_or(0);
    if (name == "bare_lf") {
      options.bare_lf = value == "convert" ? smtp::BareLf::convert : smtp::BareLf::refuse;
    } else if (name == "starttls") {
      options.offer_starttls = value == "on";
    } else if (name == "requiretls") {
      options.offer_requiretls = value == "on";
    } else if (name == "limits.command_line") {
      options.limits.command_line = number;
    } else if (name == "limits.text_line") {
      options.limits.text_line = number;
    } else if (name == "limits.recipients") {
      options.limits.recipients = number;
    } else if (name == "limits.message_size") {
      options.limits.message_size = number;
    } else if (name == "limits.errors") {
      options.limits.errors = number;
    } else if (name == "limits.idle_commands") {
      options.limits.idle_commands = number;
    } else if (name == "limits.refused_recipients") {
      options.limits.refused_recipients = number;
    } else if (name == "limits.transactions") {
      options.limits.transactions = number;
    } else {
      throw std::runtime_error("unknown OPTION " + name);
    }
  }
  return options;
}

class Player {
public:
  Player(const test::DialogScript &script, std::size_t cut)
      : script_(script), cut_(cut), server_(make_options(script.options), {.recipient = judge_recipient}) {}

  void play() {
    server_.session.greet();
    server_.pump();
    for (const auto &step : script_.steps) {
      SCOPED_TRACE("script line " + std::to_string(step.line));
      run(step);
      ASSERT_EQ(server_.broken, "");
      if (testing::Test::HasFailure()) return;
    }
    EXPECT_EQ(server_.output, "") << "replies that the script does not expect";
    EXPECT_EQ(message_, server_.messages.size()) << "messages that the script does not look at";
  }

private:
  void run(const test::DialogStep &step) {
    using Kind = test::DialogStep::Kind;
    switch (step.kind) {
    case Kind::send: return server_.feed(step.text, cut_);
    case Kind::expect:
      reply_ = test::take_reply(server_.output);
      EXPECT_TRUE(test::begins_with(reply_, step.text)) << "expected " << step.text << ", got " << reply_;
      return;
    case Kind::expect_line:
      EXPECT_TRUE(test::has_line(reply_, step.text)) << step.text << " is not in " << reply_;
      return;
    case Kind::expect_no_line:
      EXPECT_FALSE(test::has_line(reply_, step.text)) << step.text << " is in " << reply_;
      return;
    case Kind::closed:
      EXPECT_EQ(server_.output, "");
      EXPECT_TRUE(server_.closed);
      return;
    case Kind::tls:
      ASSERT_TRUE(server_.tls_wanted);
      server_.tls_wanted = false;
      server_.session.tls_done();
      return;
    case Kind::hang_up:
      server_.session.end_of_input();
      server_.pump();
      EXPECT_TRUE(server_.closed);
      return;
    case Kind::body:
      ASSERT_LT(message_, server_.messages.size()) << "no further message was accepted";
      EXPECT_EQ(server_.messages[message_++].body, step.text);
      return;
    case Kind::envelope: {
      ASSERT_LT(message_, server_.messages.size()) << "no further message was accepted";
      std::string seen = server_.messages[message_].from;
      for (const auto &recipient : server_.messages[message_].to) seen += " " + recipient;
      EXPECT_EQ(seen, step.text);
      return;
    }
    case Kind::messages:
      EXPECT_EQ(std::to_string(server_.messages.size()), step.text);
      message_ = server_.messages.size();
      return;
    }
  }

  const test::DialogScript &script_;
  std::size_t cut_;
  test::ServerHarness server_;
  std::string reply_;
  std::size_t message_ = 0;
};

class Dialog : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(Dialog, goes_as_written_however_the_octets_are_cut) {
  const auto script = test::load_dialog(GetParam());
  ASSERT_FALSE(script.steps.empty());
  for (const std::size_t cut : {std::size_t{1}, std::size_t{3}, std::size_t{4096}}) {
    SCOPED_TRACE("cut every " + std::to_string(cut));
    Player(script, cut).play();
    if (HasFailure()) return;
  }
}

std::vector<std::filesystem::path> scripts() {
  std::vector<std::filesystem::path> found;
  for (const auto &entry : std::filesystem::directory_iterator(std::filesystem::path(source_dir) / "tests/dialog"))
    if (entry.path().extension() == ".smtp") found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

INSTANTIATE_TEST_SUITE_P(Scripts, Dialog, testing::ValuesIn(scripts()),
                         [](const auto &row) { return row.param.stem().string(); });

TEST(DialogScripts, are_many) {
  EXPECT_GE(scripts().size(), 25U);
}

TEST(DialogScripts, with_a_mistake_are_refused) {
  for (const std::string text :
       {"X: what\n", "C~ bad \\q escape\n", "OPTION lonely\n", "C: x\nOPTION late 1\n", "C* many x\n"}) {
    std::istringstream in(text);
    EXPECT_THROW((void)test::parse_dialog(in, "script"), std::runtime_error) << text;
  }
}

} // namespace dialog_test
