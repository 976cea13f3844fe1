// portcullis crl: the lists of revoked certificates that the daemon keeps.
#include <cstdio>
#include <memory>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/cli/command.hpp"
#include "mta/crl/kept_crl.hpp"
#include "mta/log/printable.hpp"
#include "mta/log/time_stamp.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;

void run_crl_list(GlobalOptions &global) {
  store::Reader reader(store::store_folder(find_places(global).spool));
  const auto urls = store::list_crls(reader);
  if (!urls) return fail(global, urls.error().detail, 2);
  json::array lists;
  for (const std::string &url : *urls) {
    const auto facts = read_kept_crl(reader, url);
    if (!facts) global.status = 1;
    const std::string issuer = facts ? facts->issuer : "damaged: it counts as no list";
    const std::string until = facts && facts->next_update ? format_time_stamp(*facts->next_update) : "-";
    if (global.json)
      lists.push_back(json::object{{"url", url}, {"issuer", issuer}, {"next_update", until}});
    else
      std::printf("%s\n  %s, next update %s\n", printable(url).c_str(), printable(issuer).c_str(), until.c_str());
  }
  if (global.json) print_json({{"ok", global.status == 0}, {"lists", std::move(lists)}});
}

void run_crl_forget(GlobalOptions &global, const std::string &url) {
  const auto done = store::forget_crl(store::store_folder(find_places(global).spool), url);
  if (!done) return fail(global, done.error().detail, done.error().code == smtp::ErrorCode::not_found ? 1 : 2);
  if (global.json) return print_json({{"ok", true}});
  std::printf("forgotten; a running daemon takes whichever list comes next, within a day\n");
}

} // namespace

void add_crl(CLI::App &program, GlobalOptions &global) {
  auto *group = program.add_subcommand("crl", "The lists of revoked certificates that were fetched and are kept.");
  group->require_subcommand(1);
  group->add_subcommand("list", "All of them.")->callback([&global] { run_crl_list(global); });
  auto url = std::make_shared<std::string>();
  auto *forget = group->add_subcommand("forget", "Remove the list of a URL, so that any good one is taken next.");
  forget->add_option("url", *url, "as the partner's file names it")->required();
  forget->callback([&global, url] { run_crl_forget(global, *url); });
}

} // namespace mta::cli
