// `cpns config`, and the check of the files that a configuration names.

#include <sys/stat.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <optional>
#include <set>

#include "api/access.hpp"
#include "base/private_file.hpp"
#include "cli/commands.hpp"
#include "cli/json_text.hpp"
#include "cli/role_client.hpp"
#include "cli/stores.hpp"
#include "config/describe.hpp"
#include "config/effective.hpp"
#include "config/loader.hpp"
#include "crypto/psk_key.hpp"
#include "crypto/tls.hpp"
#include "server/device_rows.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

crypto::tls_files files_of(const config::tls_files& c) {
  return {c.ca.string(), c.certificate.string(), c.key.string(), c.crl.string()};
}

const char* key_of(const crypto::tls_file_fault& f) {
  return f.file == &crypto::tls_files::ca            ? "tls.ca"
         : f.file == &crypto::tls_files::certificate ? "tls.certificate"
         : f.file == &crypto::tls_files::crl         ? "tls.crl"
                                                     : "tls.key";
}

class file_checks {
 public:
  explicit file_checks(const config::checked_file& in) : in_(in), found_{in.file, {}} {}

  void visit(const config::server_config& c) {
    tls("", c.tls, crypto::tls_role::server);
    for (std::size_t i = 0; i < c.temporary_keys.services.size(); ++i)
      tls(config::service_key(i), c.temporary_keys.services[i].tls, crypto::tls_role::api_client);
    store(c.store);
    protector(c.protector);
    common(c);
  }
  void visit(const config::gateway_config& c) {
    if (c.tls) tls("", *c.tls, crypto::tls_role::client);
    if (c.psk) note("psk.key_file", crypto::psk_key::read(c.psk->key_file));
    store(c.store);
    protector(c.protector);
    password(c.user_password_file);
    folders(c.plugin_dirs);
    common(c);
  }
  void visit(const config::pne_config& c) {
    protector(c.protector);
    device_list(c.devices_file);
    folder("keys_dir", c.keys_dir);
    for (std::size_t i = 0; i < c.devices.size(); ++i) device(i, c.devices[i]);
    folders(c.plugin_dirs);
    common(c);
  }
  config::diagnostics take() {
    found_.sort();
    return std::move(found_);
  }

 private:
  void bad(const std::string& key, errc code, const std::string& text) {
    found_.add(config::place_in(in_.places, key), code, "'" + key + "': " + text);
  }
  template <class T>
  void note(const std::string& key, const result<T>& r) {
    if (!r) bad(key, r.error().code, r.error().detail);
  }

  void tls(const std::string& section, const config::tls_files& c, crypto::tls_role role) {
    for (const auto& f : crypto::check_tls_files(files_of(c), role))
      bad(section + key_of(f), f.what.code, f.what.detail);
  }
  void protector(const config::protector_config& c) { note("protector.file", open_protector(c)); }
  void store(const config::store_config& c) {
    if (c.kind != config::store_kind::memory) folder("store.path", c.path);
    if (c.postgresql) database(*c.postgresql);
  }
  void database(const config::postgresql_config& c) {
    constexpr std::size_t longest = 1024;
    if (!c.password_file.empty())
      note("store.postgresql.password_file", read_secret_line(c.password_file, longest));
    constexpr std::size_t largest = 1 << 20;
    if (!c.ca.empty()) note("store.postgresql.ca", read_private_file(c.ca, largest, readers::anybody));
  }
  void password(const fs::path& file) {
    std::error_code ec;
    if (!file.empty() && fs::exists(file, ec))
      note("user_password_file", read_secret_line(file, password_max));
  }
  void device_list(const fs::path& file) {
    if (file.empty()) return;
    const auto rows = server::load_device_rows(file);
    note("devices_file", rows);
    if (!rows) return;
    for (const auto& row : rows->bad) {
      if (found_.all.size() > config::diagnostics::lines_max) return;
      bad("devices_file", errc::config_syntax, row.in(file.string()));
    }
  }
  void device(std::size_t i, const config::pne_device& d) {
    const auto at = "devices[" + std::to_string(i) + "]";
    if (const auto entity = entity_id::parse(d.entity))
      note(at + ".temporary_key_file", server::load_temporary_key(d.temporary_key_file, *entity));
    written(at + ".key_file", d.key_file, S_IFREG);
  }
  template <class Config>
  void common(const Config& c) {
    written("ready_file", c.ready_file, S_IFREG);
    written("log.file", c.log.file, 0);  // its folder is created
    if (c.api.socket && !c.api.socket_is_default) written("api.socket", *c.api.socket, S_IFSOCK);
    written("audit.file", c.audit.file, S_IFREG);
    if (c.api.tls) tls("api.", *c.api.tls, crypto::tls_role::api_server);
    if constexpr (requires { c.application_keys; })
      if (c.application_keys) application_keys(*c.application_keys);
    groups("api.groups.viewer", c.api.groups.viewer);
    groups("api.groups.operator", c.api.groups.operator_);
    groups("api.groups.admin", c.api.groups.admin);
  }
  void groups(const std::string& key, const std::vector<std::string>& names) {
    for (std::size_t i = 0; i < names.size(); ++i)
      note(key + "[" + std::to_string(i) + "]", api::group_named(names[i]));
  }
  void application_keys(const config::application_keys_config& c) {
    written("application_keys.socket", c.socket, S_IFSOCK);
    for (const auto& [name, purpose] : c.purposes) {
      const auto allow = "application_keys.purposes." + name + ".allow";
      const auto& users = purpose.allow.users;
      const auto& groups = purpose.allow.groups;
      for (std::size_t i = 0; i < users.size(); ++i)
        note(allow + ".users[" + std::to_string(i) + "]", api::own_user_named(users[i], allow + ".users"));
      for (std::size_t i = 0; i < groups.size(); ++i)
        note(allow + ".groups[" + std::to_string(i) + "]",
             api::own_group_named(groups[i], allow + ".groups"));
    }
  }

  /// A folder that exists, or that the role can create.
  void folder(const std::string& key, const fs::path& p) {
    struct stat about {};
    if (p.empty()) return;
    for (auto made = p; made != made.parent_path(); made = made.parent_path()) made_.insert(made);
    if (::stat(p.c_str(), &about) == 0) {
      if (!S_ISDIR(about.st_mode)) bad(key, errc::config_file, p.string() + ": this is not a folder");
    } else if (errno != ENOENT) {
      bad(key, errc::config_file, p.string() + ": " + std::strerror(errno));
    }
  }
  /// Folders that the role only searches.
  void folders(const std::vector<fs::path>& list) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto key = "plugin_dirs[" + std::to_string(i) + "]";
      std::error_code ec;
      if (!fs::is_directory(list[i], ec))
        bad(key, errc::config_file,
            list[i].string() + ": " + (ec ? ec.message() : std::string{"this is not a folder"}));
    }
  }
  /// A file that the role creates, of this kind (0: any but a folder), in a folder that exists.
  void written(const std::string& key, const fs::path& p, mode_t kind) {
    if (p.empty()) return;
    struct stat about {};
    if (::stat(p.c_str(), &about) == 0) {
      const auto is = about.st_mode & S_IFMT;
      if (is == S_IFDIR || (kind != 0 && is != kind))
        bad(key, errc::config_file,
            p.string() +
                (is == S_IFDIR      ? ": this is a folder"
                 : kind == S_IFSOCK ? ": this is not a socket"
                                    : ": this is not a regular file") +
                "; name another path");
    } else if (std::error_code ec;
               kind != 0 && !made_.contains(p.parent_path()) && !fs::is_directory(p.parent_path(), ec)) {
      bad(key, errc::config_file, p.string() + ": its folder does not exist");
    }
  }

  const config::checked_file& in_;
  config::diagnostics found_;
  std::set<fs::path> made_;  ///< folders that the role creates
};

/// What `config check` found in one file.
struct verdict {
  std::optional<config::role_kind> role;  ///< none: the file cannot be read as a configuration
  config::diagnostics errors, warnings;
};

verdict examined(const std::string& file, const radio_check& radio) {
  const auto checked = config::check_file(file);
  if (!checked) {
    verdict out{std::nullopt, checked.error(), {file, {}}};
    out.errors.sort();
    return out;
  }
  verdict out{checked->role, check_named_files(*checked), remarks_on_named_files(*checked, now_wall())};
  for (const auto& t : checked->transports)
    for (auto& p : radio(t, checked->plugin_dirs, checked->role).all) out.errors.all.push_back(std::move(p));
  out.errors.sort();
  return out;
}

boost::json::array json_of(const config::diagnostics& found) {
  boost::json::array out;
  for (const auto& d : found.all) {
    // The whole file has no line.
    const auto number = [&d](std::size_t n) { return d.at.line > 0 ? boost::json::value(n) : nullptr; };
    out.push_back(boost::json::object{{"file", found.file.string()},
                                      {"line", number(d.at.line)},
                                      {"column", number(d.at.column)},
                                      {"text", d.text}});
  }
  return out;
}

boost::json::object json_of(const std::string& file, const verdict& v) {
  return {{"file", file},
          {"role", v.role ? boost::json::value(std::string{config::word_of(*v.role)}) : nullptr},
          {"ok", v.errors.none()},
          {"errors", json_of(v.errors)},
          {"warnings", json_of(v.warnings)}};
}

void print(const std::string& file, const verdict& v) {
  for (const auto& line : v.warnings.lines()) std::cerr << line << "\n";
  if (v.errors.none()) std::cout << file << ": ok, a " << config::word_of(*v.role) << "\n";
  for (const auto& line : v.errors.lines()) std::cerr << line << "\n";
}

int check(const std::vector<std::string>& files, const radio_check& radio, bool json) {
  int code = exit_done;
  boost::json::array objects;
  for (const auto& file : files) {
    const auto found = examined(file, radio);
    if (!found.errors.none()) code = exit_failed;
    if (json)
      objects.emplace_back(json_of(file, found));
    else
      print(file, found);
  }
  if (json) std::cout << boost::json::serialize(objects) << "\n";
  return code;
}

int schema(const std::string& role, bool markdown) {
  if (markdown) {
    std::cout << config::reference_markdown();
    return exit_done;
  }
  for (const auto& [value, word] : config::enum_words<config::role_kind>::all)
    if (role == word) std::cout << config::json_schema(value);
  return exit_done;
}

/// As the file is now; with `running`, or if a running role is named, as the role uses it.
int show_configuration(const role_options& o, bool running) {
  if (!running && !o.names_running()) {
    if (const auto named = check_naming(o); !named) return report(named.error());
    const auto checked = config::check_file(o.config);
    if (!checked) return report_diagnostics(checked.error().lines());
    std::cout << indented(config::effective(*checked));
    return exit_done;
  }
  auto role = connect_role(o);
  if (!role) return report(role.error());
  const auto answer = ask_role(*role, api::verb::get, "/v1/config");
  if (!answer) return report(answer.error());
  std::cout << indented(*answer);
  return exit_done;
}

}  // namespace

config::diagnostics check_named_files(const config::checked_file& checked) {
  file_checks checks(checked);
  std::visit([&](const auto& c) { checks.visit(c); }, checked.config);
  return checks.take();
}

config::diagnostics remarks_on_named_files(const config::checked_file& checked, time_point now) {
  config::diagnostics out{checked.file, {}};
  const auto tls = [&](const config::tls_files& c, crypto::tls_role role, const std::string& section = {}) {
    for (const auto& f : crypto::ending_certificates(files_of(c), role, now)) {
      const auto key = section + key_of(f);
      out.add(config::place_in(checked.places, key), f.what.code, "warning: '" + key + "': " + f.what.detail);
    }
  };
  if (const auto* server = std::get_if<config::server_config>(&checked.config)) {
    tls(server->tls, crypto::tls_role::server);
    const auto& services = server->temporary_keys.services;
    for (std::size_t i = 0; i < services.size(); ++i)
      tls(services[i].tls, crypto::tls_role::api_client, config::service_key(i));
  }
  if (const auto* gateway = std::get_if<config::gateway_config>(&checked.config))
    if (gateway->tls) tls(*gateway->tls, crypto::tls_role::client);
  std::visit(
      [&tls](const auto& c) {
        if (c.api.tls) tls(*c.api.tls, crypto::tls_role::api_server, "api.");
      },
      checked.config);
  out.sort();
  return out;
}

void add_config(CLI::App& app, int& code, const radio_check& radio) {
  auto* config = app.add_subcommand("config", "Check and show configuration files, and print their schema");
  config->require_subcommand(1);
  config->footer("Examples:\n  cpns config check gateway.yaml\n  cpns config show --config gateway.yaml");

  struct options {
    std::vector<std::string> files;
    std::string role = "server";
    bool markdown = false;
    bool json = false;
    role_options shown{.role = std::nullopt};
    bool running = false;
  };
  const auto o = std::make_shared<options>();

  auto* check_command = config->add_subcommand(
      "check", "Report every error in a file, and in the files that it names, as FILE:LINE:COLUMN");
  check_command->add_option("FILE", o->files, "Configurations of any role")->required();
  check_command->add_flag("--json", o->json,
                          "Print a list with the role, the errors and the warnings of each file");
  check_command->footer(
      "Run it as the user of the role, which must be able to read the files that the configuration names.\n"
      "A certificate that ends within 30 days is a warning, not an error.\n\n"
      "Examples:\n  cpns config check gateway.yaml\n"
      "  cpns config check server.yaml gateway.yaml --json\n"
      "  cpns config check *.yaml && systemctl reload cpns-server");
  check_command->callback([o, radio, &code] { code = check(o->files, radio, o->json); });

  auto* schema_command =
      config->add_subcommand("schema", "Print the JSON Schema of a role's file, for editors");
  schema_command->add_option("ROLE", o->role, "server, gateway or pne")
      ->check(CLI::IsMember({"server", "gateway", "pne"}))
      ->capture_default_str();
  schema_command->add_flag("--markdown", o->markdown, "Print the reference page of all roles instead");
  schema_command->footer("Examples:\n  cpns config schema gateway > gateway.schema.json\n  cpns config "
                         "schema --markdown > docs/config.md");
  schema_command->callback([o, &code] { code = schema(o->role, o->markdown); });

  auto* show = config->add_subcommand("show", "Print the configuration with all defaults, as JSON");
  add_role_options(*show, o->shown, "its settings, and its API socket");
  show->add_flag("--running", o->running,
                 "Ask the running role for the configuration that it uses, as --socket and --url do");
  show->footer(
      "The file is read as the role would read it: each setting has its value or its default, and paths are "
      "absolute.\nIt holds no secrets, only the paths of files with secrets. A running role uses settings "
      "that take a\nrestart as they were at its start; the API gives the same at GET /v1/config.\n\n"
      "Examples:\n  cpns config show --config gateway.yaml\n"
      "  cpns config show --config gateway.yaml --running\n" +
      url_example("config show"));
  show->callback([o, &code] { code = show_configuration(o->shown, o->running); });
}

}  // namespace cpns::cli
