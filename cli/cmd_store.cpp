#include <algorithm>
#include <boost/json.hpp>
#include <cstdint>
#include <iostream>
#include <optional>

#include "cli/commands.hpp"
#include "cli/live_rewrap.hpp"
#include "cli/restored.hpp"
#include "cli/rewrap_report.hpp"
#include "cli/role_client.hpp"
#include "config/describe.hpp"

namespace cpns::cli {
namespace {

struct store_options {
  role_options role{.role = std::nullopt};
  std::string new_file, new_passphrase_file;
  bool in_place = false;
  bool json = false;
};

/// `path` as a value of YAML, in quotes if a reader of YAML could take it for something else.
std::string yaml_value(const std::filesystem::path& path) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
  auto text = path.string();
  if (text.find_first_not_of(plain) == std::string::npos) return text;
  auto out = boost::json::serialize(boost::json::string(text));
  for (auto at = out.find("${"); at != std::string::npos; at = out.find("${", at + 3)) out.insert(at, "$");
  return out;
}

std::string count_of(std::size_t n) { return std::to_string(n) + (n == 1 ? " data key" : " data keys"); }

void print_text(const rewrap_outcome& r, bool in_place) {
  std::cout << r.place << ": rewrapped " << count_of(r.keys.rewrapped) << ".\n";
  if (r.keys.already > 0) std::cout << "An earlier call had rewrapped " << count_of(r.keys.already) << ".\n";
  if (in_place) {
    std::cout << "The new key is in " << r.now.file.string() << "; the configuration stays as it is.\n";
  } else {
    std::cout << (r.key_made ? "Made the key file " + r.now.file.string() + ".\n" : std::string{})
              << "Before the " << config::word_of(r.role) << " starts again, its configuration must have:\n"
              << "  protector:\n    kind: " << config::word_of(r.now.kind)
              << "\n    file: " << yaml_value(r.now.file) << "\n";
  }
  std::cout << "The old " << (r.before.kind == config::protector_kind::file ? "key" : "passphrase")
            << " is still in " << r.old_key.string() << ": backups from before need it.\n";
}

int print_outcome(const store_options& o, const rewrap_outcome& done) {
  if (o.json)
    std::cout << boost::json::serialize(json_of(done, o.in_place)) << "\n";
  else
    print_text(done, o.in_place);
  return exit_done;
}

int run_rewrap(const store_options& o) {
  if (const auto named = check_naming(o.role); !named) return report(named.error());
  rewrap_options r;
  r.config = o.role.config;
  r.new_file = o.new_file;
  r.new_passphrase_file = o.new_passphrase_file;
  r.in_place = o.in_place;
  r.progress = [&o](std::size_t done, std::size_t all) {
    if (!o.json && all > 1) show_status(bar(done, all) + " " + std::to_string(done) + " of " + count_of(all));
  };
  if (o.role.names_running()) {
    auto role = connect_role(o.role);
    if (!role) return report(role.error());
    const auto live = rewrap_running(*role, r, o.role.remote());
    return live ? print_outcome(o, *live) : report(live.error());
  }
  const auto done = rewrap_role(r);
  if (!o.json) clear_status();
  if (done) return print_outcome(o, *done);
  if (done.error() != errc::store_locked) return report(done.error());
  const auto file = config::check_file(r.config);
  if (!file) return report(file.error().as_error());
  auto role = connect_role(std::visit([](const auto& c) { return c.api; }, file->config));
  if (!role) return report_running(done.error(), role.error());
  const auto live = rewrap_running(*role, r, false);
  return live ? print_outcome(o, *live) : report_running(done.error(), live.error());
}

struct restored_options {
  std::string config;
  std::optional<std::uint64_t> incarnation;
  bool json = false;
};

int run_restored(const restored_options& o) {
  const auto raised = raise_incarnation(o.config, o.incarnation);
  if (!raised) return report(raised.error());
  if (o.json)
    std::cout << boost::json::serialize(
                     boost::json::object{{"before", raised->before}, {"incarnation", raised->now}})
              << "\n";
  else
    std::cout << "The incarnation of the server is " << raised->now << ", and was " << raised->before
              << ". Start the server: the next generation of each device skips ahead.\n";
  return exit_done;
}

void add_restored(CLI::App& store, int& code) {
  const auto o = std::make_shared<restored_options>();
  auto* c = store.add_subcommand("restored", "Tell a stopped server that its store is a restored backup");
  c->add_option("--config", o->config, "The configuration of the server, which names the store")->required();
  c->add_option("--incarnation", o->incarnation,
                "The new incarnation, in place of the next one; it must be higher than the present one")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{UINT32_MAX}));
  c->add_flag("--json", o->json, "Print the outcome as JSON");
  c->footer(
      R"(A restored store does not know the keys that the server assigned after the backup. The command raises the
incarnation of the server by one: the next generation of each device then begins 16 above the newest one that
the store, the gateway or the device knows, so that no generation is used for two sets, and reports on keys of
before are answered `resync`. Call it after each restore, before the server starts.

If the log of the server has `incarnation-behind`, an earlier restore raised the incarnation already, and the
backup is from before that: stop the server, and call the command with an --incarnation above `seen_incarnation`.

Exit codes: 0 raised, 1 failed: nothing was changed, 2 invalid command line.

Examples:
  cpns store restored --config trial/server.yaml
  cpns store restored --config trial/server.yaml --incarnation 7)");
  c->callback([o, &code] { code = run_restored(*o); });
}

}  // namespace

void add_store(CLI::App& app, int& code) {
  auto* store = app.add_subcommand(
      "store",
      "Change the key of a role's store or key files; after a restore; after an upgrade; the tables of a "
      "database; move a store to another engine");
  store->require_subcommand(1);
  store->footer("Examples:\n  cpns store rewrap --config trial/server.yaml --in-place\n"
                "  cpns store restored --config trial/server.yaml\n"
                "  cpns store migrate --config trial/server.yaml\n"
                "  cpns store schema --dialect postgresql\n"
                "  cpns store verify --config trial/server.yaml\n"
                "  cpns store export server.export --config trial/server.yaml\n"
                "  cpns store import server.export --config node1.yaml");
  const auto o = std::make_shared<store_options>();
  auto* rewrap = store->add_subcommand(
      "rewrap", "Protect the store, or the key files of a PNE, with another key or passphrase");
  add_role_options(*rewrap, o->role, "the store, the old key and the API socket");
  auto* file = rewrap->add_option("--new-file", o->new_file,
                                  "The new key file; it is made, with mode 0600, if it does not exist");
  auto* passphrase = rewrap->add_option("--new-passphrase-file", o->new_passphrase_file,
                                        "The new passphrase is the first line of this file of mode 0600");
  auto* in_place = rewrap->add_flag("--in-place", o->in_place,
                                    "Make a new key, and put it where the old key file is, now FILE.old");
  file->excludes(passphrase)->excludes(in_place);
  passphrase->excludes(in_place);
  rewrap->add_flag("--json", o->json, "Print the outcome as JSON");
  rewrap->footer(
      std::string{
          R"(The data key of the store stays; it is wrapped for the new key, and no row is encrypted again. So a
person who had the old key and a copy of the store keeps access to that copy.

The command never edits the configuration: with --new-file and --new-passphrase-file it prints the lines
that the configuration must have. --in-place needs no change there, but is not for a key file that several
roles share: each of the others opens only with FILE.old afterwards.
A role that runs changes its key itself, asked over its API: it goes on working, and takes a new key only
from the folder protector.new_keys (by default that of the old key), so that a client cannot make it read
another file. With --url the new file is named without that folder.

If the role is stopped, the command does it, as the user of the role. If it is interrupted, repeat the same
command; keep both keys until it succeeds. Each key file of a PNE is rewrapped by itself, so a repetition
leaves out those that are done.

Exit codes: 0 rewrapped, 1 failed: nothing was changed, unless the error says so, 2 invalid command line.

Examples:
  cpns store rewrap --config trial/server.yaml --new-file trial/keys/server/2.kek
  cpns store rewrap --config trial/gateway.yaml --in-place
  cpns store rewrap --config trial/pne.yaml --new-passphrase-file trial/passphrase --json
)"} + url_example("store rewrap --new-file 3.kek"));
  rewrap->callback([o, &code] { code = run_rewrap(*o); });
  add_restored(*store, code);
  add_store_migrate(*store, code);
  add_store_verify(*store, code);
  add_store_transfer(*store, code);
}

}  // namespace cpns::cli
