#include "cli/transport_show.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <iostream>
#include <set>

#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "plugins/host/loader.hpp"
#include "plugins/host/moniker.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;
using plugins::parameter_description;
using plugins::plugin_description;

std::string role_of(const parameter_description& p) {
  const bool gateway = p.is_of(plugins::transport_role::central);
  const bool pne = p.is_of(plugins::transport_role::peripheral);
  return gateway && pne ? "both" : gateway ? "gateway" : "PNE";
}

std::string preset_of(const parameter_description& p) {
  return !p.preset ? "required" : p.preset->empty() ? "empty" : *p.preset;
}

std::string interface_of(const plugin_description& d) {
  return "interface " + std::to_string(d.abi_major) + "." + std::to_string(d.abi_minor);
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

std::string as_text(const plugin_description& d) {
  std::string out =
      paint(colour::bold, d.name) + " " + d.version + ", " + interface_of(d) + "\n" + d.description + "\n";
  if (!d.declares) return out + "\nIt does not say what it can be told.\n";
  if (d.parameters.empty()) return out + "\nIt has no parameters.\n";
  std::size_t width = 0;
  for (const auto& p : d.parameters) width = std::max(width, p.name.size());
  for (const auto& p : d.parameters)
    out += "\n  " + paint(colour::bold, padded(p.name, width)) + "  " + role_of(p) + "; " + p.form() + "; " +
           (p.preset ? "preset: " : "") + preset_of(p) +
           (p.is_address() ? "; the ADDRESS of a moniker" : "") + "\n  " + std::string(width, ' ') + "  " +
           p.sentence;
  return out + "\n";
}

std::string as_markdown(const plugin_description& d) {
  std::string out =
      "## " + d.name + "\n\n" + d.description + ". Version " + d.version + ", " + interface_of(d) + ".\n\n";
  if (d.parameters.empty()) return out;
  out += "| parameter | role | value | preset | |\n|---|---|---|---|---|\n";
  for (const auto& p : d.parameters)
    out += "| `" + p.name + "` | " + role_of(p) + " | " + p.form() + " | " +
           (p.preset && !p.preset->empty() ? "`" + *p.preset + "`" : preset_of(p)) + " | " + p.sentence +
           (p.is_address() ? " The ADDRESS of a moniker." : "") + " |\n";
  return out;
}

boost::json::object as_json(const plugin_description& d) {
  boost::json::array parameters;
  for (const auto& p : d.parameters) {
    boost::json::object one{{"name", p.name},    {"sentence", p.sentence}, {"role", role_of(p)},
                            {"value", p.form()}, {"required", !p.preset},  {"address", p.is_address()}};
    if (p.preset) one["preset"] = *p.preset;
    parameters.emplace_back(std::move(one));
  }
  return {{"name", d.name},
          {"version", d.version},
          {"description", d.description},
          {"interface", std::to_string(d.abi_major) + "." + std::to_string(d.abi_minor)},
          {"declares", d.declares},
          {"parameters", std::move(parameters)}};
}

result<plugin_description> described(const std::string& text) {
  CPNS_TRY(const auto named, plugins::parse_moniker(text));
  return plugins::describe_transport({named.plugin, plugins::transport_role::central, {}, {}});
}

constexpr const char* page_head =
    "# The radios of this project, and what they can be told\n\n"
    "Written by `cpns transport show tcp loopback ble --format markdown`; `make docs` writes it again. The "
    "parameters stand under\n`params:` of a transport in the configuration ([config.md](config.md)), or "
    "behind "
    "the name on a command line:\n`cpns demo --transport tcp:127.0.0.1:7000,mtu=200`.\n";

int show(const std::vector<std::string>& names, const std::string& format) {
  std::vector<plugin_description> all;
  for (const auto& n : names) {
    auto d = described(n);
    if (!d) return report(d.error());
    all.push_back(std::move(*d));
  }
  if (format == "markdown") std::cout << page_head;
  boost::json::array objects;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (format == "json") {
      objects.emplace_back(as_json(all[i]));
      continue;
    }
    const bool markdown = format == "markdown";
    if (i > 0 || markdown) std::cout << "\n";
    std::cout << (markdown ? as_markdown(all[i]) : as_text(all[i]));
  }
  if (format == "json") std::cout << boost::json::serialize(objects) << "\n";
  return exit_done;
}

int list() {
  std::set<std::string> seen;
  int code = exit_done;
  const auto row = [&code](const std::string& name, const std::string& plugin, const std::string& where) {
    const auto d = described(plugin);
    if (!d) code = exit_failed;
    std::cout << paint(d ? colour::bold : colour::red, padded(name, 12)) << "  "
              << (d ? padded(d->version, 8) + "  " + d->description : d.error().message())
              << "\n              " << paint(colour::dim, where) << "\n";
  };
  for (const auto& name : plugins::linked_transports())
    if (seen.insert(name).second) row(name, name, "part of this program");
  for (const auto& folder : plugins::default_plugin_dirs()) {
    std::set<fs::path> files;
    std::error_code wrong;
    for (const auto& e : fs::directory_iterator(folder, wrong))
      if (e.path().extension() == ".so") files.insert(e.path());
    for (const auto& file : files) {
      if (!seen.insert(file.stem().string()).second) continue;  // an earlier folder's is the one that is used
      row(file.stem().string(), file.string(), file.string());
    }
  }
  if (seen.empty()) {
    std::string searched;
    for (const auto& folder : plugins::default_plugin_dirs())
      searched += (searched.empty() ? "" : ", ") + folder;
    return report({errc::plugin_load, "there is no plugin in " + searched});
  }
  return code;
}

}  // namespace

void add_list(CLI::App& transport, int& code) {
  auto* c = transport.add_subcommand("list", "Name the plugins that are found without a path");
  c->footer(
      "They are looked for in CPNS_PLUGIN_PATH (folders with colons between) and in lib/cpns/transports "
      "beside this program's folder.\n\nExamples:\n  cpns transport list\n"
      "  CPNS_PLUGIN_PATH=build cpns transport list");
  c->callback([&code] { code = list(); });
}

void add_show(CLI::App& transport, int& code) {
  struct options {
    std::vector<std::string> names;
    std::string format = "text";
  };
  const auto o = std::make_shared<options>();
  auto* c = transport.add_subcommand("show", "Say what a plugin is and what it can be told");
  c->add_option("PLUGIN", o->names, "FILE.so (a path with a '/') or the name of an installed plugin")
      ->required();
  c->add_option("--format", o->format, "text, json or markdown")
      ->check(CLI::IsMember({"text", "json", "markdown"}))
      ->capture_default_str();
  c->footer("Examples:\n  cpns transport show tcp\n  cpns transport show ./libradio.so --format json");
  c->callback([o, &code] { code = show(o->names, o->format); });
}

}  // namespace cpns::cli
