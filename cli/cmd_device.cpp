#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <iostream>

#include "api/routes.hpp"
#include "audit/server_states.hpp"
#include "base/text.hpp"
#include "cli/audited.hpp"
#include "cli/commands.hpp"
#include "cli/device_import.hpp"
#include "cli/device_members.hpp"
#include "cli/role_client.hpp"
#include "cli/server_access.hpp"
#include "cli/stores.hpp"

namespace cpns::cli {
namespace {

struct device_options {
  role_options role{.config = server_file};
  std::string file;
  std::string entity;
  server::import_options import;
  bool no_presence = false;
  bool json = false;
};

/// Of the commands on one device or on all, which work on a running server, too.
struct device_query {
  role_options role{.config = server_file};
  std::string entity, key_file, owner, batch, prefix;
  std::string strength = "128bit";
  bool standard_input = false, no_presence = false, allow_constant = false;
  list_page page;
  bool json = false;
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
  if (r.options.batch.empty())
    r.options.batch = without_controls(std::filesystem::path(o.file).filename().string());
  CPNS_TRY(r.name, import_name(list, r.options));
  r.source = [&list](std::span<std::uint8_t> to) { return list.read(to); };
  r.seek = [fd = list.fd()](std::uint64_t to) { return ::lseek(fd, static_cast<off_t>(to), SEEK_SET) >= 0; };
  return r;
}

int report_import(const device_options& o, const import_report& done) {
  if (o.json) print_answer(boost::json::object{{"imported", done.imported}, {"bad", done.bad}});
  if (!done.ended_before.empty()) {
    if (!o.json)
      std::cout << o.file << " was imported before (" << done.ended_before
                << "): " << plural(done.imported, "device") << ", and " << plural(done.bad, "row")
                << " left out. To import it again: touch " << o.file << "\n";
    return done.bad == 0 ? exit_done : exit_failed;
  }
  if (done.bad == 0) {
    if (!o.json) std::cout << "Imported " << plural(done.imported, "device") << ".\n";
    return exit_done;
  }
  if (o.json && (done.imported > 0 || o.import.partial)) return exit_failed;
  if (o.import.partial)
    std::cout << "Imported " << plural(done.imported, "device") << ", left out " << done.bad << ".\n";
  else
    std::cerr << "cpns: nothing was imported: " << plural(done.bad, "row")
              << " cannot be used; correct the file, or import the other rows with --partial\n";
  return exit_failed;
}

done_or<int> import_to(imports_end& to, import_request r, const device_options& o) {
  CPNS_TRY(const auto done,
           import_devices(to, std::move(r), [](const std::string& row) { std::cerr << row << "\n"; }));
  return report_import(o, done);
}

done_or<int> run_import(device_options& o) {
  CPNS_CHECK(check_naming(o.role));
  CPNS_TRY(const auto list, open_list(o.file));
  CPNS_TRY(auto request, request_of(o, list));
  if (o.role.names_running()) {
    CPNS_TRY(const auto named, running_imports(o.role));
    return import_to(*named, std::move(request), o);
  }
  const auto c = config::load_server(o.role.config);
  if (!c) return fail(command_failed{c.error().as_error()});
  CPNS_TRY(const auto running, running_imports(*c));
  if (running) return import_to(*running, std::move(request), o);
  CPNS_TRY(auto opened, open_audited_server(o.role.config));
  CPNS_TRY(const auto stopped, stopped_imports(opened));
  return import_to(*stopped, std::move(request), o);
}

std::vector<std::string> row_of(const boost::json::object& d) {
  const bool blocked = d.at("blocked").as_bool();
  return {member_text(d, "entity"), blocked ? "blocked" : member_text(d, "strength"), member_text(d, "owner"),
          d.at("presence").as_bool() ? "presence" : "no-presence", member_text(d, "batch")};
}

result<user_id> named_user(const std::string& text) {
  auto user = user_id::parse(text);
  if (!user) return fail(errc::config_usage, user.error().detail);
  return user;
}

done_or<int> run_list(device_query& o) {
  server::device_filter filter{.prefix = o.prefix, .batch = o.batch};
  if (!o.owner.empty()) {
    CPNS_TRY(filter.owner, named_user(o.owner));
  }
  CPNS_TRY(auto server, server_access::open(o.role, false));
  const auto query = "&prefix=" + api::encode_percent(o.prefix) +
                     (o.owner.empty() ? "" : "&owner=" + api::encode_percent(o.owner)) +
                     (o.batch.empty() ? "" : "&batch=" + api::encode_percent(o.batch));
  CPNS_TRY(auto devices, server.list(
                             "/v1/devices", query, "devices", "entity",
                             [&filter](const auto& store, const auto& asked) {
                               return server::devices_page(store, asked, filter);
                             },
                             &o.page));
  if (o.json) {
    print_rows("devices", std::move(devices), o.page);
    return exit_done;
  }
  table out{{"ENTITY", "STRENGTH", "OWNER", "PRESENCE", "BATCH"}};
  for (const auto& d : devices) out.add(row_of(d.as_object()));
  out.print();
  print_next(o.page);
  return exit_done;
}

done_or<boost::json::object> one_device(server_access& server, const entity_id& entity) {
  if (server.running()) {
    CPNS_TRY(auto answer, server.ask(api::verb::get, "/v1/devices/" + api::encode_percent(entity.text())));
    return std::move(answer.as_object());
  }
  CPNS_TRY(const auto device, find_device(server.store(), entity));
  if (!device) return fail(errc::state_unknown, "the device " + entity.text());
  return server::view_of(*device);
}

result<entity_id> named_entity(const std::string& text) {
  auto entity = entity_id::parse(text);
  if (!entity) return fail(errc::config_usage, entity.error().detail);
  return entity;
}

done_or<int> run_show(device_query& o) {
  CPNS_TRY(const auto entity, named_entity(o.entity));
  CPNS_TRY(auto server, server_access::open(o.role, false));
  CPNS_TRY(const auto d, one_device(server, entity));
  if (o.json) {
    print_answer(d);
    return exit_done;
  }
  if (d.at("blocked").as_bool()) {
    std::cout << "entity            " << member_text(d, "entity")
              << "\nblocked           no gateway gets keys for it\n";
    return exit_done;
  }
  std::cout << "entity            " << member_text(d, "entity") << "\nstrength          "
            << member_text(d, "strength") << "\nowner             "
            << member_text(d, "owner", "the first user that claims it") << "\npresence          "
            << (d.at("presence").as_bool() ? "required" : "not required") << "\nbatch             "
            << member_text(d, "batch") << "\n";
  return exit_done;
}

result<secret_bytes> key_text_of(const device_query& o) {
  if (o.standard_input == !o.key_file.empty())
    return fail(errc::config_usage,
                "name the file of the Temporary Key with --key-file, or pass the key with --stdin");
  if (o.standard_input) return read_secret_line(STDIN_FILENO, "standard input", server::device_line_max);
  return read_secret_line(o.key_file, server::device_line_max, pipes::accept);
}

status add_to_store(server_access& server, const protocol::device_secret_record& device) {
  const auto name = device.entity.text();
  CPNS_TRY(auto before, audit::device_state(server.store(), name));
  const auto change = change_by_command(audit::device_add, name, std::move(before), audit::state_of(device));
  return with_audit(server.trail(), change, [&] {
    return server::add_device(server.store(), server::write_to(server.store()), device);
  });
}

done_or<int> run_add_device(device_query& o) {
  CPNS_TRY(const auto entity, named_entity(o.entity));
  device_members m;
  m.entity = o.entity;
  m.strength = o.strength;
  if (!o.owner.empty()) m.owner = o.owner;
  if (!o.batch.empty()) m.batch = o.batch;
  m.presence = !o.no_presence;
  m.allow_constant = o.allow_constant;
  CPNS_TRY(m.temporary_key, key_text_of(o));
  CPNS_TRY(const auto device, make_device(m));
  CPNS_TRY(auto server, server_access::open(o.role, true));
  if (server.running()) {
    CPNS_CHECK(server.ask(api::verb::post, "/v1/devices", body_of(m)));
  } else {
    CPNS_CHECK(add_to_store(server, device));
  }
  print_done(o.json, "Added the device " + o.entity + ".");
  return exit_done;
}

status remove_from_store(server_access& server, const entity_id& entity) {
  CPNS_TRY(auto before, audit::device_state(server.store(), entity.text()));
  const auto change = change_by_command(audit::device_remove, entity.text(), std::move(before), nullptr);
  return with_audit(server.trail(), change, [&] {
    return server::remove_device(server.store(), server::write_to(server.store()), entity);
  });
}

done_or<int> run_remove(device_query& o) {
  CPNS_TRY(const auto entity, named_entity(o.entity));
  CPNS_TRY(auto server, server_access::open(o.role, true));
  if (server.running()) {
    CPNS_CHECK(server.ask(api::verb::del, "/v1/devices/" + api::encode_percent(entity.text())));
  } else {
    CPNS_CHECK(remove_from_store(server, entity));
  }
  print_done(o.json, "Removed the device " + o.entity + ". It keeps the key that it has.");
  return exit_done;
}

status block_in_store(server_access& server, const entity_id& entity) {
  CPNS_TRY(auto before, audit::device_state(server.store(), entity.text()));
  const auto change = change_by_command(audit::device_block, entity.text(), std::move(before),
                                        boost::json::object{{"blocked", true}});
  return with_audit(server.trail(), change, [&] {
    return server::block_device(server.store(), server::write_to(server.store()), entity);
  });
}

done_or<int> run_block(device_query& o) {
  CPNS_TRY(const auto entity, named_entity(o.entity));
  CPNS_TRY(auto server, server_access::open(o.role, true));
  if (server.running()) {
    CPNS_CHECK(server.ask(api::verb::post, "/v1/devices/" + api::encode_percent(entity.text()) + "/block"));
  } else {
    CPNS_CHECK(block_in_store(server, entity));
  }
  print_done(o.json, "Blocked the device " + o.entity + ". It keeps the key that it has.");
  return exit_done;
}

void add_add_command(CLI::App& device, const std::shared_ptr<device_query>& q, int& code) {
  auto* add = server_command(device, q, code, "add", "Add one device with its Temporary Key", run_add_device);
  add->add_option("ENTITY", q->entity, "The Entity ID")->required();
  auto* file = add->add_option("--key-file", q->key_file,
                               "Read the Temporary Key from the first line of a file of mode 0600");
  auto* in = add->add_flag("--stdin", q->standard_input,
                           "Read the Temporary Key from the first line of standard input");
  file->excludes(in);
  add->add_option("--strength", q->strength,
                  "128bit if the manufacturer declares that many random bits, else stretch")
      ->check(CLI::IsMember({"128bit", "stretch"}))
      ->capture_default_str();
  add->add_option("--owner", q->owner, "The User ID that owns the device from the start");
  add->add_option("--batch", q->batch, "Where the device comes from, for people");
  add->add_flag("--no-presence", q->no_presence, "Release its keys without a fresh answer of the device");
  add->add_flag("--allow-constant", q->allow_constant, "Accept a constant key");
  add->footer(
      "The key is written as in a list of devices: hex:..., base64:... or text:... It is never an argument:\n"
      "every user of the machine can read command lines.\n\nExamples:\n"
      "  cpns device add urn:dev:mac:0024befffe804ff9 --key-file key --config trial/server.yaml\n"
      "  echo 'text:correct horse' | cpns device add urn:dev:mac:0024befffe804ff9 --stdin --strength "
      "stretch\n" +
      url_example("device add urn:dev:mac:0024befffe804ff9 --key-file key"));
}

}  // namespace

void add_device(CLI::App& app, int& code) {
  auto* device =
      app.add_subcommand("device", "Manage the manufactured devices of a server, running or stopped");
  device->require_subcommand(1);
  device->footer("Examples:\n  cpns device import devices.csv --config trial/server.yaml\n  cpns device list "
                 "--config trial/server.yaml");
  const auto o = std::make_shared<device_options>();

  auto* import_command = server_command(
      *device, o, code, "import",
      "Import the devices of a file with their Temporary Keys, all or none, into a running or stopped server",
      run_import);
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
  import_command->footer(std::string{R"(A CSV file has the names of its columns in the first line:
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
no device is imported before all rows were checked. A running server remembers the last imports: of a file
that it has imported, with the same options, the command prints the counts and changes nothing.

Exit codes: 0 all rows are imported, 1 a row is bad, or another error, 2 invalid command line.

--json prints the numbers of devices that were imported and of rows that are bad.

Examples:
  cpns device import devices.csv --config trial/server.yaml
  cpns device import lot7.jsonl --partial --batch lot7
)"} + url_example("device import devices.csv"));

  const auto q = std::make_shared<device_query>();
  auto* list = server_command(*device, q, code, "list", "List the devices: strength, owner, presence, batch",
                              run_list);
  list->add_option("--prefix", q->prefix, "Only Entity IDs that begin with this text");
  list->add_option("--owner", q->owner, "Only devices whose import names this user as the owner");
  list->add_option("--batch", q->batch, "Only devices of this batch, or file, of an import");
  add_page_options(*list, q->page);
  list->footer("Examples:\n  cpns device list --config trial/server.yaml\n"
               "  cpns device list --batch lot7 --limit 1000 --config trial/server.yaml\n" +
               url_example("device list"));

  auto* show = server_command(*device, q, code, "show", "Show one device, but never its key", run_show);
  show->add_option("ENTITY", q->entity, "The Entity ID")->required();
  show->footer("Examples:\n  cpns device show urn:dev:mac:0024befffe804ff1\n" +
               url_example("device show urn:dev:mac:0024befffe804ff1"));

  add_add_command(*device, q, code);

  auto* block = server_command(*device, q, code, "block",
                               "Block a device, also one of a batch; no gateway gets keys for it", run_block);
  block->add_option("ENTITY", q->entity, "The Entity ID")->required();
  block->footer(
      "Its Temporary Key, if it was imported, is erased. To end the block, remove the device (it then has\n"
      "the key of its batch, if it is in one) or import it again with --replace.\n\nExamples:\n"
      "  cpns device block urn:dev:mac:0024befffe804ff1\n" +
      url_example("device block urn:dev:mac:0024befffe804ff1"));

  auto* remove = server_command(*device, q, code, "remove",
                                "Remove a device; no gateway gets keys for it any more", run_remove);
  remove->add_option("ENTITY", q->entity, "The Entity ID")->required();
  remove->footer("Examples:\n  cpns device remove urn:dev:mac:0024befffe804ff1\n" +
                 url_example("device remove urn:dev:mac:0024befffe804ff1"));
}

}  // namespace cpns::cli
