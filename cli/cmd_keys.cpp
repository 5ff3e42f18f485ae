// `cpns keys`: application keys of a running gateway or process of PNEs, from its key socket.

#include <boost/json.hpp>
#include <exception>
#include <functional>
#include <iostream>
#include <stdexcept>

#include "api/routes.hpp"
#include "api/strict_json.hpp"
#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/secret.hpp"
#include "cli/commands.hpp"
#include "cli/keys/key_socket.hpp"
#include "cli/role_client.hpp"
#include "cli/server_access.hpp"

namespace cpns::cli {
namespace {

struct keys_options {
  keys::key_socket_options where{};
  std::string purpose, entity;
  std::string format = "hex";
  bool all = false, json = false;
};

/// Calls `use` with the document of a request, whose text is wiped after that. Buffers of the HTTP library and of standard
/// output are not: they end with the process.
done_or<void> read_keys(const keys_options& o, const std::string& list,
                        const std::function<void(const std::string& text, const boost::json::object&)>& use) {
  if (!o.entity.empty()) CPNS_CHECK(entity_id::parse(o.entity));
  CPNS_TRY(const auto path, keys::key_socket_of(o.where));
  CPNS_TRY(auto role, api::client::connect(path, keys::access_hint));
  auto target = "/v1/" + list + "/" + api::encode_percent(o.purpose);
  if (!o.entity.empty()) target += "/" + api::encode_percent(o.entity);
  CPNS_TRY(auto answer, role.ask(api::verb::get, target));
  if (!answer.good()) return fail(command_failed{api::problem_of(answer)});
  api::detail::wiping_memory memory;
  const auto document = api::detail::parse_strictly(memory, answer.body);
  std::string fault;
  try {
    if (document && document->is_object())
      use(answer.body, document->get_object());
    else
      fault = "it is not an object of JSON";
  } catch (const std::exception&) {  // of boost::json: a member is missing, or of another type
    fault = "this cpns does not know its form; use the cpns of the version of the role";
  }
  wipe(answer.body);
  if (!fault.empty())
    return fail(command_failed{error{errc::wire_grammar, "the answer of the role cannot be used: " + fault}});
  return {};
}

std::string_view view_of_member(const boost::json::object& o, std::string_view name) {
  const auto& text = o.at(name).as_string();
  return {text.data(), text.size()};
}

/// A line: the identity and the key.
void print_key(const boost::json::object& k, bool base64) {
  const auto hex = view_of_member(k, "key");
  std::cout << view_of_member(k, "identity") << " ";
  if (base64) {
    auto raw = from_hex(hex);
    if (!raw) throw std::invalid_argument{"key"};
    auto text = to_base64(*raw);
    wipe(*raw);
    std::cout << text << "\n";
    wipe(text);
  } else {
    std::cout << hex << "\n";
  }
}

void tell_unreadable(const boost::json::object& document) {
  if (const auto n = document.at("unreadable").to_number<std::uint64_t>(); n > 0)
    std::cerr << "cpns: the records of " << n << " devices cannot be read; their keys are missing\n";
}

done_or<int> get_keys(const keys_options& o) {
  std::size_t printed = 0;
  const auto done = read_keys(o, "keys", [&](const std::string& text, const boost::json::object& document) {
    if (o.json) {
      std::cout << text;
      ++printed;
      return;
    }
    for (const auto& k : document.at("keys").as_array()) {
      const auto& key = k.as_object();
      if (!o.all && !key.at("use").as_bool()) continue;
      print_key(key, o.format == "base64");
      ++printed;
    }
    tell_unreadable(document);
  });
  if (!done) return fail(done.error());
  std::cout.flush();
  if (printed > 0 || o.entity.empty()) return exit_done;
  return fail(command_failed{error{
      errc::state_unknown, o.entity + " has no key that this side uses; --all shows those that it accepts"}});
}

done_or<int> show_fingerprints(const keys_options& o) {
  const auto done =
      read_keys(o, "fingerprints", [&](const std::string& text, const boost::json::object& document) {
        if (o.json) {
          std::cout << text;
          return;
        }
        const auto length = std::to_string(document.at("bytes").to_number<std::uint64_t>());
        table rows({"EPOCH", "STATE", "USE", "BYTES", "FINGERPRINT"});
        for (const auto& k : document.at("keys").as_array()) {
          const auto& key = k.as_object();
          rows.add({std::string{view_of_member(key, "epoch")}, std::string{view_of_member(key, "state")},
                    key.at("use").as_bool() ? "yes" : "no", length,
                    std::string{view_of_member(key, "fingerprint")}});
        }
        rows.print();
      });
  if (!done) return fail(done.error());
  return exit_done;
}

CLI::App* add_keys_command(CLI::App& parent, const std::shared_ptr<keys_options>& o, int& code,
                           const char* name, const char* help, done_or<int> (*run)(const keys_options&)) {
  auto* c = parent.add_subcommand(name, help);
  c->add_option("PURPOSE", o->purpose, "A member of application_keys.purposes")->required();
  keys::add_key_socket_options(*c, o->where);
  c->add_flag("--json", o->json, "Print the answer as JSON");
  c->callback([o, run, &code] {
    const auto done = run(*o);
    code = done ? *done : report(done.error());
  });
  return c;
}

}  // namespace

void add_keys(CLI::App& app, int& code) {
  auto* keys = app.add_subcommand("keys", "Application keys of a running gateway or PNE, for programs");
  keys->require_subcommand(1);
  keys->footer(
      "The user that runs the command, or one of its groups, must be in "
      "application_keys.purposes.PURPOSE.allow.\n"
      "Root is refused unless it is there. The socket is that of application_keys.socket in the YAML "
      "file.\n\n"
      "Examples:\n"
      "  cpns keys get mqtt urn:dev:mac:0024befffe804ff1 --socket /run/cpns/gateway/keys.sock\n"
      "  cpns keys fingerprint mqtt urn:dev:mac:0024befffe804ff1 --config trial/gateway.yaml\n"
      "  cpns keys exec mqtt urn:dev:mac:0024befffe804ff1 --socket /run/cpns/pne/keys.sock -- ./sensor");
  const auto o = std::make_shared<keys_options>();
  auto* get = add_keys_command(*keys, o, code, "get",
                               "Print the key that this side uses now, after its identity", get_keys);
  get->add_option("ENTITY", o->entity, "The Entity ID of a device; without it: all devices");
  get->add_option("--format", o->format, "Of the keys")
      ->check(CLI::IsMember({"hex", "base64"}))
      ->capture_default_str();
  get->add_flag("--all", o->all, "Also the keys that this side accepts and does not begin with");
  get->footer(
      "A key that is read once grows old: the next update replaces it. Ask again before each connection.\n"
      "Exit codes: 0 printed, 1 no key yet, refused or no role, 2 invalid command line.\n\nExamples:\n"
      "  cpns keys get mqtt urn:dev:mac:0024befffe804ff1 --socket /run/cpns/gateway/keys.sock\n"
      "  cpns keys get mqtt --all --json --config trial/gateway.yaml");
  auto* fingerprint = add_keys_command(
      *keys, o, code, "fingerprint",
      "Print a check value of each key, equal on both sides, that reveals nothing", show_fingerprints);
  fingerprint->add_option("ENTITY", o->entity, "The Entity ID of a device")->required();
  fingerprint->footer(
      "Exit codes: 0 printed, 1 no key yet, refused or no role, 2 invalid command line.\n\nExamples:\n"
      "  cpns keys fingerprint mqtt urn:dev:mac:0024befffe804ff1 --config trial/gateway.yaml\n"
      "  cpns keys fingerprint mqtt urn:dev:mac:0024befffe804ff1 --config trial/pne.yaml");
  add_keys_watch(*keys, code);
  add_keys_render(*keys, code);
  add_keys_exec(*keys, code);
}

}  // namespace cpns::cli
