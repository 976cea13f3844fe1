// DeliveryChanges: whose delivery a reload changes, by what the configuration says and by what the files hold that it
// names.
#include "mta/config/delivery_changes.hpp"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "config_fakes.hpp"
#include "mta/config/load.hpp"
#include "source_dir.hpp"
#include "tests/support/temp_folder.hpp"

namespace delivery_changes_test {

using namespace mta;
using namespace std::chrono_literals;

const std::string certificates = std::string(source_dir) + "/tests/system/bad-config/certificates/";
const auto now = std::chrono::sys_days(2027y / 1 / 15) + 12h;

std::string text_of_file(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Files of a configuration: text, partner file, CA file, client certificate.
struct World {
  std::string more;
  std::string partner = "name = \"P\"\ndomains = [\"p.example\"]\n[outbound]\ntrust = \"ca.pem\"\n";
  std::string authority = text_of_file(certificates + "mx.pem");
  std::string pair = "mx";
  std::string server;
};

std::shared_ptr<const Snapshot> load(const ::test::TempFolder &folder, const World &world) {
  for (const char *end : {".pem", ".key"})
    (void)folder.write("client" + std::string(end), text_of_file(certificates + world.pair + end));
  (void)folder.write("ca.pem", world.authority);
  (void)folder.write("partners.d/p.toml", world.partner);
  const auto file = folder.write(
      "portcullis.toml",
      "[server]\nhostname = \"mx.example.org\"\n" + world.server +
          "[[certificate]]\nname = \"client\"\ncertificate = \"client.pem\"\nkey = \"client.key\"\n"
          "[[listener]]\nname = \"mx\"\naddresses = [\"127.0.0.1:0\"]\ntls = \"none\"\n[queue]\npostmaster = "
          "\"a@example.org\"\n"
          "[[domain]]\ndomain = \"example.org\"\nrecipients = [\"a\"]\nroute = [\"store.example.org\"]\n"
          "[[route]]\ndomains = [\"routed.example\"]\nhosts = [\"hub.example\"]\nclient_certificate = \"client\"\n"
          "[[route]]\ndomains = [\"private.example\"]\nhosts = [\"inner.example\"]\ntls = \"authenticated\"\ntrust = "
          "\"ca.pem\"\n" +
          world.more);
  const auto loaded = load_config(file, now);
  EXPECT_TRUE(loaded.config) << mta::config_fakes::text_of(loaded.findings);
  if (!loaded.config) return nullptr;
  const auto snapshot = Snapshot::build(loaded.config, std::make_shared<tls::TicketKeys>());
  EXPECT_TRUE(snapshot) << snapshot.error().detail;
  return snapshot ? *snapshot : nullptr;
}

struct Row {
  const char *name;
  void (*change)(World &);
  std::string concerned; ///< of p, routed, private, kept (protected), other, ours: the first letters
};

const Row rows[] = {
    {"nothing", [](World &) {}, ""},
    {"a CA file with other content", [](World &world) { world.authority = text_of_file(certificates + "expired.pem"); },
     "p private"},
    {"a CA file with one more", [](World &world) { world.authority += text_of_file(certificates + "expired.pem"); },
     "p private"},
    {"a CA file that says the same in other words",
     [](World &world) { world.authority = "a comment\n" + world.authority; }, ""},
    {"our certificate", [](World &world) { world.pair = "expired"; }, "routed"},
    {"a partner's rule", [](World &world) { world.partner += "match = [\"mx.p.example\"]\n"; }, "p"},
    {"a place in a file", [](World &world) { world.partner = "\n\n" + world.partner; }, ""},
    {"a domain taken from the memory's protection",
     [](World &world) { world.more = "[tls_memory]\nprotect = [\"*.gov.uk\"]\n"; }, "kept"},
    {"the memory switched off", [](World &world) { world.more = "[tls_memory]\nenabled = false\n"; }, "kept"},
    {"how long protected mail waits",
     [](World &world) { world.more = "[tls_memory]\nprotect = [\"kept.example\"]\nrelease_after = \"3d\"\n"; }, "kept"},
    {"what the memory does else",
     [](World &world) { world.more = "[tls_memory]\nprotect = [\"kept.example\"]\nkeep_days = 100\n"; }, ""},
    {"our addresses outside", [](World &world) { world.server = "outside_addresses = [\"203.0.113.9\"]\n"; },
     "p routed private kept other ours"},
    {"a domain that becomes ours",
     [](World &world) { world.more += "[[domain]]\ndomain = \"routed.example\"\nrecipients = [\"a\"]\n"; }, "routed"},
};

TEST(DeliveryChanges, ConcernWhatIsDeliveredOtherwise) {
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const ::test::TempFolder folder;
    World world;
    world.more = "[tls_memory]\nprotect = [\"kept.example\"]\n";
    const auto before = load(folder, world);
    row.change(world);
    const auto after = load(folder, world);
    ASSERT_TRUE(before && after);
    DeliveryChanges changes(before, after);
    std::string concerned;
    for (const char *domain :
         {"p.example", "routed.example", "private.example", "kept.example", "other.example", "example.org"}) {
      const bool is_ours = std::string_view(domain) == "example.org";
      if (!changes.concern(smtp::Mailbox::parse("a@" + std::string(domain)).value())) continue;
      const std::string word = is_ours ? "ours" : std::string(domain).substr(0, std::string_view(domain).find('.'));
      concerned += (concerned.empty() ? "" : " ") + word;
    }
    EXPECT_EQ(concerned, row.concerned);
  }
}

} // namespace delivery_changes_test
