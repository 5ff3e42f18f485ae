#include <unistd.h>

#include <iostream>

#include "cli/audited.hpp"
#include "cli/commands.hpp"
#include "cli/device_import.hpp"
#include "cli/role_client.hpp"
#include "cli/stores.hpp"

namespace cpns::cli {
namespace {

struct device_options {
  std::string config = "server.yaml";
  std::string file;
  std::string entity;
  server::import_options import;
  role_options role{};
  bool no_presence = false;
};

/// Unlike a role, an operator may import from a pipe, or from a file that others can read.
result<private_file> open_list(const std::string& file) {
  CPNS_TRY(auto open, private_file::open(file, pipes::accept, readers::anybody));
  if (!open.only_owner())
    std::cerr << "cpns: warning: group or others may use " << file
              << ", which holds factory keys; run: chmod 600 " << file << "\n";
  return open;
}

result<import_request> request_of(const device_options& o, const private_file& list) {
  import_request r;
  r.file = list.name();
  r.options = o.import;
  r.options.require_presence = !o.no_presence;
  if (r.options.batch.empty()) r.options.batch = std::filesystem::path(o.file).filename().string();
  CPNS_TRY(r.name, import_name(list, r.options));
  r.source = [&list](std::span<std::uint8_t> to) { return list.read(to); };
  r.seek = [fd = list.fd()](std::uint64_t to) { return ::lseek(fd, static_cast<off_t>(to), SEEK_SET) >= 0; };
  return r;
}

int report_import(const device_options& o, const import_report& done) {
  if (done.bad == 0) {
    std::cout << "Imported " << done.imported << " devices.\n";
    return exit_done;
  }
  if (o.import.partial)
    std::cout << "Imported " << done.imported << " devices, left out " << done.bad << ".\n";
  else
    std::cerr << "cpns: nothing was imported: " << done.bad
              << " rows cannot be used; correct them, or import the others with --partial\n";
  return exit_failed;
}

int import_to(imports_end& to, import_request r, const device_options& o) {
  const auto done =
      import_devices(to, std::move(r), [](const std::string& row) { std::cerr << row << "\n"; });
  if (!done) return report(done.error());
  return report_import(o, *done);
}

result<int> run_import(device_options& o) {
  CPNS_TRY(const auto list, open_list(o.file));
  CPNS_TRY(auto request, request_of(o, list));
  if (o.role.remote() || !o.role.socket.empty()) {
    CPNS_TRY(const auto named, running_imports(o.role));
    return import_to(*named, std::move(request), o);
  }
  const auto c = config::load_server(o.config);
  if (!c) return fail(c.error().as_error());
  CPNS_TRY(const auto running, running_imports(*c));
  if (running) return import_to(*running, std::move(request), o);
  CPNS_TRY(auto opened, open_audited_server(o.config));
  CPNS_TRY(const auto stopped, stopped_imports(opened));
  return import_to(*stopped, std::move(request), o);
}

std::string line_of(const protocol::device_secret_record& r) {
  return r.entity.text() + "\t" + (r.stretched ? "stretch" : "128bit") + "\t" +
         (r.owner ? r.owner->text() : "-") + "\t" + (r.require_presence ? "presence" : "no-presence") + "\t" +
         (r.batch.empty() ? "-" : r.batch) + "\n";
}

result<int> run_list(device_options& o) {
  CPNS_TRY(auto opened, open_server_store(o.config));
  CPNS_TRY(const auto devices, list_devices(opened.sealed()));
  for (const auto& d : devices) std::cout << line_of(d);
  return exit_done;
}

result<int> run_show(device_options& o) {
  const auto entity = entity_id::parse(o.entity);
  if (!entity) return fail(errc::config_usage, entity.error().detail);
  CPNS_TRY(auto opened, open_server_store(o.config));
  CPNS_TRY(const auto device, find_device(opened.sealed(), *entity));
  if (!device) return fail(errc::state_unknown, "the device " + o.entity);
  std::cout << "entity            " << device->entity.text() << "\nstrength          "
            << (device->stretched ? "stretch" : "128bit") << "\nowner             "
            << (device->owner ? device->owner->text() : "the first user that claims it")
            << "\npresence          " << (device->require_presence ? "required" : "not required")
            << "\nbatch             " << (device->batch.empty() ? "-" : device->batch) << "\n";
  return exit_done;
}

}  // namespace

void add_device(CLI::App& app, int& code) {
  auto* device = app.add_subcommand("device", "Manage the manufactured devices in a server's store");
  device->require_subcommand(1);
  const auto o = std::make_shared<device_options>();

  auto* import_command =
      store_command(*device, o, code, "import",
                    "Import the devices of a file with their Temporary Keys, all or none", run_import);
  import_command
      ->add_option("FILE", o->file, "CSV or JSON Lines: entity_id, temporary_key, strength, owner, encoding")
      ->required();
  import_command->add_flag("--partial", o->import.partial, "Import the good rows although others are bad");
  import_command->add_flag("--replace", o->import.replace,
                           "Give devices that are already in the store the new key");
  import_command->add_flag("--no-presence", o->no_presence,
                           "Release keys of this batch without a fresh answer of the device");
  import_command->add_flag("--allow-constant", o->import.allow_constant,
                           "Accept constant keys: a repeated byte or pattern, bytes that count up or down");
  import_command->add_flag("--allow-repeats", o->import.allow_repeats,
                           "Accept one key for several devices of the file");
  import_command->add_option("--batch", o->import.batch, "The name of this batch; default: the file's name");
  add_remote_options(*import_command, o->role);
  import_command->footer(R"(A CSV file has the names of its columns in the first line:
  entity_id,temporary_key,strength,owner
  urn:dev:mac:0024befffe804ff1,8f14e45fceea167a5a36dedd4bea2543,128bit,alice@example.org
  urn:dev:mac:0024befffe804ff2,text:correct horse,stretch,
JSON Lines has one object per line with the same names:
  {"entity_id":"urn:dev:mac:0024befffe804ff1","temporary_key":"hex:8f14...","strength":"128bit"}

temporary_key begins with its encoding: hex:8f14..., base64:jxTkX87qFnpaNt7dS+olQw== or
text:correct horse; or the column encoding names it: hex, base64 or text. Without either, the key is
hexadecimal (at least 32 digits, a multiple of 8) or, with strength stretch, a text. Digits that a
spreadsheet or a person changed are errors: a lost leading zero, colons, blanks, 0x, an O for a 0.
So are constant keys, and one key for several devices of the file, unless an option allows them.
An owner that is not a user is a warning.
strength is 128bit if the manufacturer declares that many random bits, else stretch.

A running server is asked through its socket (api.socket) and goes on assigning keys meanwhile; of a stopped
one the store is used. If the command or the server is interrupted, the same command goes on where it stopped;
no device is imported before all rows were checked.

Exit codes: 0 all rows are imported, 1 a row is bad, or another error, 2 invalid command line.

Examples:
  cpns device import devices.csv --config trial/server.yaml
  cpns device import lot7.jsonl --partial --batch lot7)");

  auto* list =
      store_command(*device, o, code, "list", "List the devices: strength, owner, presence, batch", run_list);
  list->footer("Example:\n  cpns device list --config trial/server.yaml");

  auto* show = store_command(*device, o, code, "show", "Show one device, but never its key", run_show);
  show->add_option("ENTITY", o->entity, "The Entity ID")->required();
  show->footer("Example:\n  cpns device show urn:dev:mac:0024befffe804ff1");
}

}  // namespace cpns::cli
