#include <algorithm>
#include <iostream>

#include "cli/accounts.hpp"
#include "cli/commands.hpp"
#include "cli/stores.hpp"

namespace cpns::cli {
namespace {

struct device_options {
  std::string config = "server.yaml";
  std::string file;
  std::string entity;
  import_options how;
  bool no_presence = false;
};

void print_diagnostics(const std::string& file, const std::vector<row_diagnostic>& rows) {
  for (const auto& p : rows) std::cerr << p.in(file) << "\n";
}

/// The file may be readable for others or a pipe: it is the operator's, at this moment.
result<device_rows> load_to_import(const std::string& file) {
  CPNS_TRY(const auto open, private_file::open(file, pipes::accept, readers::anybody));
  if (!open.only_owner())
    std::cerr << "cpns: warning: group or others may use " << file
              << ", which holds factory keys; run: chmod 600 " << file << "\n";
  return load_device_rows(open);
}

int run_import(device_options& o) {
  auto rows = load_to_import(o.file);
  if (!rows) return report(rows.error());
  const auto stretched =
      std::count_if(rows->good.begin(), rows->good.end(), [](const device_row& r) { return r.stretch; });
  if (stretched > 20)
    std::cerr << "cpns: stretching " << stretched << " keys takes about " << (stretched * 150 + 999) / 1000
              << " seconds\n";
  auto opened = open_server_store(o.config);
  if (!opened) return report(opened.error());
  if (o.how.batch.empty()) o.how.batch = std::filesystem::path(o.file).filename().string();
  o.how.require_presence = !o.no_presence;
  const auto done = import_devices(opened->sealed(), crypto::openssl_suite(), std::move(*rows), o.how);
  if (!done) return report(done.error());
  print_diagnostics(o.file, done->bad);
  print_diagnostics(o.file, done->remarks);
  if (done->bad.empty()) {
    std::cout << "Imported " << done->imported << " devices.\n";
    return exit_done;
  }
  if (o.how.partial)
    std::cout << "Imported " << done->imported << " devices, left out " << done->bad.size() << ".\n";
  else
    std::cerr << "cpns: nothing was imported: " << done->bad.size()
              << " rows cannot be used; correct them, or keep the others with --partial\n";
  return exit_failed;
}

std::string line_of(const protocol::device_secret_record& r) {
  return r.entity.text() + "\t" + (r.stretched ? "stretch" : "128bit") + "\t" +
         (r.owner ? r.owner->text() : "-") + "\t" + (r.require_presence ? "presence" : "no-presence") + "\t" +
         (r.batch.empty() ? "-" : r.batch) + "\n";
}

int run_list(device_options& o) {
  auto opened = open_server_store(o.config);
  if (!opened) return report(opened.error());
  const auto devices = list_devices(opened->sealed());
  if (!devices) return report(devices.error());
  for (const auto& d : *devices) std::cout << line_of(d);
  return exit_done;
}

int run_show(device_options& o) {
  const auto entity = entity_id::parse(o.entity);
  if (!entity) return report(error{errc::config_usage, entity.error().detail});
  auto opened = open_server_store(o.config);
  if (!opened) return report(opened.error());
  const auto device = find_device(opened->sealed(), *entity);
  if (!device) return report(device.error());
  if (!*device) return report(error{errc::state_unknown, "the device " + o.entity});
  const auto& r = **device;
  std::cout << "entity            " << r.entity.text() << "\nstrength          "
            << (r.stretched ? "stretch" : "128bit") << "\nowner             "
            << (r.owner ? r.owner->text() : "the first user that claims it") << "\npresence          "
            << (r.require_presence ? "required" : "not required") << "\nbatch             "
            << (r.batch.empty() ? "-" : r.batch) << "\n";
  return exit_done;
}

CLI::App* command(CLI::App& parent, const std::shared_ptr<device_options>& o, int& code, const char* name,
                  const char* what, int (*run)(device_options&)) {
  auto* c = parent.add_subcommand(name, what);
  c->add_option("--config", o->config, "The server's configuration, which names the store")
      ->capture_default_str();
  c->callback([o, run, &code] { code = run(*o); });
  return c;
}

}  // namespace

void add_device(CLI::App& app, int& code) {
  auto* device = app.add_subcommand(
      "device", "The manufactured devices in a server's store, while the server is stopped");
  device->require_subcommand(1);
  const auto o = std::make_shared<device_options>();

  auto* import_command =
      command(*device, o, code, "import", "Import devices and their Temporary Keys, all of a file or none",
              run_import);
  import_command
      ->add_option("FILE", o->file, "CSV or JSON Lines: entity_id, temporary_key, strength, owner, encoding")
      ->required();
  import_command->add_flag("--partial", o->how.partial,
                           "Import the good rows although others cannot be used");
  import_command->add_flag("--replace", o->how.replace,
                           "Give devices that are in the store already the new key");
  import_command->add_flag("--no-presence", o->no_presence,
                           "Release keys of this batch without a fresh answer of the device");
  import_command->add_flag("--allow-constant", o->how.allow_constant,
                           "Take keys of one repeated byte or pattern, or that count, such as all zeros");
  import_command->add_flag("--allow-repeats", o->how.allow_repeats,
                           "Take one key for several devices of the file");
  import_command->add_option("--batch", o->how.batch,
                             "What this batch is called; without it: the file's name");
  import_command->footer(
      "A CSV file has the names of its columns in the first line:\n"
      "  entity_id,temporary_key,strength,owner\n"
      "  urn:dev:mac:0024befffe804ff1,8f14e45fceea167a5a36dedd4bea2543,128bit,alice@example.org\n"
      "  urn:dev:mac:0024befffe804ff2,text:correct horse,stretch,\n"
      "JSON Lines has one object a line with the same names:\n"
      "  "
      "{\"entity_id\":\"urn:dev:mac:0024befffe804ff1\",\"temporary_key\":\"hex:8f14...\",\"strength\":"
      "\"128bit\"}\n"
      "temporary_key says what it is: hex:8f14..., base64:jxTkX87qFnpaNt7dS+olQw== or text:correct horse; or "
      "a\n"
      "column encoding says hex, base64 or text. Without either it is hexadecimal (32 digits and more, a "
      "multiple\n"
      "of 8) or, with strength stretch, a text. What looks like digits that a spreadsheet or a person "
      "changed is\n"
      "an error: a leading zero lost, colons, blanks, 0x, an O for a 0. Keys that are constant, and one key "
      "for\n"
      "several devices of the file, are errors without the flag; an owner that is not a user is a warning.\n"
      "strength is 128bit when the manufacturer declares that many random bits, else stretch. Exit code 1 if "
      "any\n"
      "row could not be used.\n"
      "Examples:\n  cpns device import devices.csv --config trial/server.yaml\n"
      "  cpns device import lot7.jsonl --partial --batch lot7");

  auto* list =
      command(*device, o, code, "list", "List the devices: strength, owner, presence, batch", run_list);
  list->footer("Example:\n  cpns device list --config trial/server.yaml");

  auto* show = command(*device, o, code, "show", "Show what is known of one device; never its key", run_show);
  show->add_option("ENTITY", o->entity, "The Entity ID")->required();
  show->footer("Example:\n  cpns device show urn:dev:mac:0024befffe804ff1");
}

}  // namespace cpns::cli
