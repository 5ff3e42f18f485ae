#include <boost/json.hpp>
#include <iostream>
#include <memory>

#include "cli/commands.hpp"
#include "cli/daemon.hpp"
#include "cli/terminal.hpp"
#include "cli/transfer.hpp"

namespace cpns::cli {
namespace {

namespace json = boost::json;

struct command_options {
  std::string config, file, passphrase_file;
  bool force = false;
  bool json = false;
};

transfer_options options_of(const command_options& o) {
  transfer_options out{o.config, o.file, o.passphrase_file, o.force, {}};
  if (!o.json)
    out.progress = [](const std::string& what, std::uint64_t done, std::uint64_t all) {
      show_status(all == 0 ? std::to_string(done) + " " + what : bar(done, all) + " " + what);
    };
  return out;
}

json::object json_of(const transferred& done, const std::string& file) {
  json::object tables;
  for (const auto& [t, n] : done.counts) tables[name_of(t)] = n;
  return {{"file", file}, {"file_id", done.file_id}, {"rows", done.rows()}, {"tables", std::move(tables)}};
}

std::string list_of(const storage::row_counts& counts) {
  std::string out;
  for (const auto& [t, n] : counts)
    if (t != storage::table::meta)
      out += (out.empty() ? "" : ", ") + std::string{name_of(t)} + " " + std::to_string(n);
  return out.empty() ? "none" : out;
}

int run_export(const command_options& o) {
  block_signals();
  const auto done = export_store(options_of(o));
  if (!o.json) clear_status();
  if (!done && done.error() == errc::state_stopping) return interrupted("no file was written");
  if (!done) return report(done.error());
  if (o.json)
    std::cout << json::serialize(json_of(*done, o.file)) << "\n";
  else
    std::cout << "Exported " << done->rows() << " rows to " << o.file << " (" << list_of(done->counts)
              << "). The file id is " << done->file_id << ".\n";
  return exit_done;
}

int run_import(const command_options& o) {
  block_signals();
  const auto done = import_store(options_of(o));
  if (!o.json) clear_status();
  if (!done && done.error() == errc::state_stopping)
    return interrupted("the import is not complete; repeat the same command, it goes on");
  if (!done) return report(done.error());
  if (o.json) {
    auto out = json_of(*done, o.file);
    out["resumed"] = done->resumed;
    out["complete_before"] = done->complete_before;
    out["incarnation"] = done->incarnation == 0 ? json::value(nullptr) : json::value(done->incarnation);
    std::cout << json::serialize(out) << "\n";
    return exit_done;
  }
  if (done->complete_before)
    std::cout << "An earlier call imported " << o.file << " completely (" << list_of(done->counts)
              << "). This one wrote nothing, and changes since then stay.\n";
  else
    std::cout << "Imported " << done->rows() << " rows from " << o.file << " (" << list_of(done->counts)
              << ")" << (done->resumed ? "; an earlier call had begun" : "") << ".\n";
  if (done->incarnation != 0)
    std::cout << "The import raised the incarnation of the server to " << done->incarnation
              << ": the next generation of each device skips ahead. Never start a server with the old "
                 "store again.\n";
  return exit_done;
}

std::shared_ptr<command_options> add_common(CLI::App& c, const char* config, const char* file) {
  auto o = std::make_shared<command_options>();
  c.add_option("FILE", o->file, file)->required();
  c.add_option("--config", o->config, config)->required();
  c.add_option(
      "--passphrase-file", o->passphrase_file,
      "Seal or open FILE with the passphrase in the first line of this file of mode 0600, in place of "
      "the key of the configuration");
  c.add_flag("--json", o->json, "Print the outcome as JSON");
  return o;
}

void add_export(CLI::App& store, int& code) {
  auto* c = store.add_subcommand("export", "Write the rows of a stopped server's store to a sealed file");
  const auto o =
      add_common(*c, "The configuration of the server, which names its store", "The new file, of mode 0600");
  c->add_flag("--force", o->force, "Replace FILE if it exists");
  c->footer(
      R"(For a move to another engine (rocksdb or postgresql), and for a backup that each engine can read. The file has
users, devices, batches, entities with their keys, gateways with their blocks and keys, and the keys that all
servers have in common. It is sealed under the key of the configuration ('protector'), or under a passphrase;
without that key nobody can read it, and nobody can change it unnoticed. Not in the file: the audit trail,
imports of devices that were not decided, and the key of the store, because the target has its own.

Stop the server first; on a database, stop all servers. The command waits 3.5 s if the database does not say that
each of them ended in order. FILE gets its name when it is complete: an interrupted export leaves no FILE, and has to be
repeated from the beginning. One that was killed leaves FILE.creating, which the next export to FILE replaces.

Exit codes: 0 exported, 1 failed: no new file is left, 2 invalid command line, 130 interrupted.

Examples:
  cpns store export server.export --config trial/server.yaml
  cpns store export server.export --config node1.yaml --passphrase-file export.passphrase --force)");
  c->callback([o, &code] { code = run_export(*o); });
}

void add_import(CLI::App& store, int& code) {
  auto* c = store.add_subcommand("import", "Write the rows of an exported file into an empty store");
  const auto o = add_common(*c, "The configuration of the new server, which names the empty store",
                            "A file of `cpns store export`");
  c->footer(
      R"(The command first reads the whole file, and writes nothing if a part is missing or was changed. The store must be
empty: a folder that does not exist, or a database with the tables of `cpns store migrate` in which no server
started. Rows of lists are written again. At the end the incarnation is raised by one, as by `cpns store restored`, so that
no index of a key is issued twice, even if the old server ran on after the export.

If the import is interrupted, even by a power cut, repeat the same command: it goes on behind the last rows that
were written. Until it is complete, a server refuses to start with the store, and so do commands that change it.
After that the command says that the import is complete, and writes nothing.

The audit trail begins again: give the new server an 'audit.file' of its own, and keep the old one.
Never start a server with the old store again: both would issue keys for the same devices.

Exit codes: 0 imported, 1 failed, 2 invalid command line, 130 interrupted: repeat the command.

Examples:
  cpns store import server.export --config node1.yaml
  cpns store import server.export --config node1.yaml --passphrase-file export.passphrase --json)");
  c->callback([o, &code] { code = run_import(*o); });
}

}  // namespace

void add_store_transfer(CLI::App& store, int& code) {
  add_export(store, code);
  add_import(store, code);
}

}  // namespace cpns::cli
