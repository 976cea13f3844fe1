// Plays tests/dialog/*.smtp over a real socket against InboundServer, each script with its octets cut in several ways.
#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "source_dir.hpp"
#include "tests/support/dialog_script.hpp"
#include "tests/support/inbound_fixture.hpp"

namespace dialog_socket_test {

using support::InboundFixture;
using support::SmtpClient;
using test::DialogScript;
using test::DialogStep;

void apply_option(mta::Config &config, const std::string &name, const std::string &value) {
  smtp::Limits &limits = config.limits.smtp;
  const auto number = smtp::parse_number(value);
  if (name == "bare_lf") {
    config.listeners[0].bare_lf = value == "convert" ? smtp::BareLf::convert : smtp::BareLf::refuse;
  } else if (name == "starttls") {
    config.listeners[0].tls = value == "on" ? mta::ListenerTls::starttls : mta::ListenerTls::none;
  } else if (name == "requiretls") {
    config.outbound.requiretls = value == "on";
  } else if (!number) {
    ADD_FAILURE() << "unknown option " << name << " " << value;
  } else if (name == "limits.command_line") {
    limits.command_line = *number;
  } else if (name == "limits.text_line") {
    limits.text_line = *number;
  } else if (name == "limits.recipients") {
    limits.recipients = *number;
  } else if (name == "limits.message_size") {
    limits.message_size = *number;
  } else if (name == "limits.errors") {
    limits.errors = *number;
  } else if (name == "limits.idle_commands") {
    limits.idle_commands = *number;
  } else if (name == "limits.refused_recipients") {
    limits.refused_recipients = *number;
  } else if (name == "limits.transactions") {
    limits.transactions = *number;
  } else {
    ADD_FAILURE() << "unknown option " << name;
  }
}

/// One run of one script.
class Player {
public:
  Player(InboundFixture &fixture, std::size_t cut) : fixture_(fixture), client_(fixture.connect()), cut_(cut) {}

  void play(const DialogScript &script) {
    for (const DialogStep &step : script.steps) {
      step_ = &step;
      play(step);
      if (testing::Test::HasFatalFailure()) return;
    }
  }

private:
  void play(const DialogStep &step) {
    using Kind = DialogStep::Kind;
    switch (step.kind) {
    case Kind::send:
      for (std::string_view rest = step.text; !rest.empty(); rest.remove_prefix(std::min(rest.size(), cut_))) {
        if (!client_.send(rest.substr(0, cut_))) break; // the server may close before it has everything
      }
      break;
    case Kind::expect:
      reply_ = client_.reply();
      ASSERT_TRUE(test::begins_with(reply_, step.text)) << at() << ": expected " << step.text << ", got " << reply_;
      break;
    case Kind::expect_line: EXPECT_TRUE(test::has_line(reply_, step.text)) << at() << ": " << reply_; break;
    case Kind::expect_no_line: EXPECT_FALSE(test::has_line(reply_, step.text)) << at() << ": " << reply_; break;
    case Kind::closed: EXPECT_TRUE(client_.is_closed()) << at(); break;
    case Kind::tls: ASSERT_TRUE(client_.start_tls()) << at(); break;
    case Kind::hang_up:
      client_.end_sending();
      EXPECT_TRUE(client_.is_closed()) << at();
      break;
    case Kind::body: {
      const auto stored = fixture_.spool.stored();
      ASSERT_LT(looked_at_, stored.size()) << at() << ": there is no further message";
      std::string body = std::next(stored.begin(), static_cast<std::ptrdiff_t>(looked_at_++))->second.body;
      // The empty line that was put in front of a text without a header.
      if (body.starts_with("\r\n") && !step.text.starts_with("\r\n")) body.erase(0, 2);
      EXPECT_EQ(body, step.text) << at();
      break;
    }
    case Kind::envelope: {
      const auto submitted = fixture_.submitted();
      ASSERT_LT(looked_at_, submitted.size()) << at() << ": there is no further message";
      std::string words = submitted[looked_at_]->envelope.sender.path.to_string();
      for (const auto &state : submitted[looked_at_]->recipients) {
        words += " <" + state.recipient.mailbox.to_string() + ">";
      }
      EXPECT_EQ(smtp::to_lower(words), smtp::to_lower(resolved(step.text))) << at();
      break;
    }
    case Kind::messages:
      EXPECT_EQ(fixture_.submitted().size(), smtp::parse_number(step.text).value_or(0)) << at();
      break;
    }
  }
  /// The daemon has turned <Postmaster> into a mailbox.
  static std::string resolved(std::string words) {
    const std::string bare = "<postmaster>";
    const std::size_t found = smtp::to_lower(words).find(bare);
    if (found != std::string::npos) words.replace(found, bare.size(), "<postmaster@example.org>");
    return words;
  }
  [[nodiscard]] std::string at() const { return "line " + std::to_string(step_->line); }

  InboundFixture &fixture_;
  SmtpClient client_;
  std::size_t cut_;
  const DialogStep *step_ = nullptr;
  std::string reply_;
  std::size_t looked_at_ = 0;
};

std::vector<std::filesystem::path> scripts() {
  std::vector<std::filesystem::path> found;
  const std::filesystem::path folder = std::filesystem::path(source_dir) / "tests" / "dialog";
  for (const auto &entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".smtp") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

class DialogSocket : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(DialogSocket, Plays) {
  const DialogScript script = test::load_dialog(GetParam());
  // Every octet in a segment of its own is slow over a socket for the large ones: they come in larger pieces.
  std::size_t longest = 0;
  for (const DialogStep &step : script.steps) longest = std::max(longest, step.text.size());
  for (const std::size_t cut : {longest > 20'000 ? std::size_t{1000} : std::size_t{7}, std::size_t{65'536}}) {
    SCOPED_TRACE("cut every " + std::to_string(cut) + " octets");
    auto config = support::base_config();
    // The scripts are about the protocol: most of their messages are a line of text.
    config.listeners[0].malformed_header = mta::MalformedHeader::split;
    config.some_domain_keeps_requiretls = true;
    for (auto &[name, domain] : config.domains) domain.requiretls = true;
    for (const auto &[name, value] : script.options) apply_option(config, name, value);
    InboundFixture fixture(std::move(config), {}, 1);
    Player player(fixture, cut);
    player.play(script);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Scripts, DialogSocket, testing::ValuesIn(scripts()),
                         [](const testing::TestParamInfo<std::filesystem::path> &script) {
                           return script.param.stem().string();
                         });

} // namespace dialog_socket_test
