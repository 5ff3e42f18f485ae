#include <iostream>

#include "cli/commands.hpp"
#include "cli/named_files.hpp"
#include "config/describe.hpp"
#include "config/loader.hpp"
#include "config/manual.hpp"

namespace cpns::cli {
namespace {

int check(const std::vector<std::string>& files, const radio_check& radio) {
  int code = exit_done;
  for (const auto& file : files) {
    const auto checked = config::check_file(file);
    config::diagnostics wrong{file, {}};
    if (!checked) {
      wrong = checked.error();
    } else {
      wrong = check_named_files(*checked);
      for (const auto& t : checked->transports)
        for (auto& p : radio(t, checked->plugin_dirs, checked->role).all) wrong.all.push_back(std::move(p));
    }
    if (wrong.none()) {
      std::cout << file << ": ok, a " << config::word_of(checked->role) << "\n";
      continue;
    }
    wrong.sort();
    for (const auto& line : wrong.lines()) std::cerr << line << "\n";
    code = exit_failed;
  }
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

}  // namespace

void add_config(CLI::App& app, int& code, const radio_check& radio) {
  auto* config = app.add_subcommand("config", "Check configuration files, and print what they may hold");
  config->require_subcommand(1);

  struct options {
    std::vector<std::string> files;
    std::string role = "server";
    bool markdown = false;
  };
  const auto o = std::make_shared<options>();

  auto* check_command = config->add_subcommand(
      "check", "Report every mistake in a file, and in the files that it names, as FILE:LINE:COLUMN");
  check_command->add_option("FILE", o->files, "Configurations of any role")->required();
  check_command->footer(
      "Run it as the user of the role, who must be able to read what the file names.\n\nExamples:\n  cpns "
      "config check gateway.yaml\n  cpns config check *.yaml && "
      "systemctl reload cpns-server");
  check_command->callback([o, radio, &code] { code = check(o->files, radio); });

  auto* schema_command =
      config->add_subcommand("schema", "Print the JSON Schema of a role's file, for editors");
  schema_command->add_option("ROLE", o->role, "server, gateway or pne")
      ->check(CLI::IsMember({"server", "gateway", "pne"}))
      ->capture_default_str();
  schema_command->add_flag("--markdown", o->markdown, "Print the reference page of all roles instead");
  schema_command->footer("Examples:\n  cpns config schema gateway > gateway.schema.json\n  cpns config "
                         "schema --markdown > docs/config.md");
  schema_command->callback([o, &code] { code = schema(o->role, o->markdown); });
}

}  // namespace cpns::cli
