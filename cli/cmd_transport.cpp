// `cpns transport list`, `show` and `new`; `check` has a file of its own.

#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>

#include "cli/commands.hpp"
#include "cli/transport_check.hpp"
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

std::string number_of(const plugin_description& d) {
  return std::to_string(d.abi_major) + "." + std::to_string(d.abi_minor);
}

std::string interface_of(const plugin_description& d) { return "interface " + number_of(d); }

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

std::string as_text(const plugin_description& d) {
  std::string out =
      paint(colour::bold, d.name) + " " + d.version + ", " + interface_of(d) + "\n" + d.description + "\n";
  if (!d.declares) return out + "\nIt does not declare its parameters.\n";
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
          {"interface", number_of(d)},
          {"declares", d.declares},
          {"parameters", std::move(parameters)}};
}

result<plugin_description> described(const std::string& text) {
  CPNS_TRY(const auto named, plugins::parse_moniker(text));
  return plugins::describe_transport({named.plugin, plugins::transport_role::central, {}, {}});
}

constexpr const char* page_head = R"(# The radios of this project, and their parameters

Written by `cpns transport show tcp loopback ble --format markdown`; `make docs` updates it. Set the parameters
under `params:` of a transport in the configuration ([config.md](config.md)), or behind the name on a command line:
`cpns demo --transport tcp:127.0.0.1:7000,mtu=200`.
)";

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

/// `file`: null for a plugin that is built into this program.
boost::json::object listed(const std::string& name, const boost::json::value& file,
                           const result<plugin_description>& d) {
  if (!d) return {{"name", name}, {"file", file}, {"error", d.error().message()}};
  return {{"name", name},
          {"file", file},
          {"version", d->version},
          {"interface", number_of(*d)},
          {"description", d->description}};
}

int list(bool json) {
  std::set<std::string> seen;
  boost::json::array objects;
  int code = exit_done;
  const auto row = [&](const std::string& name, const std::string& plugin, const boost::json::value& file) {
    const auto d = described(plugin);
    if (!d) code = exit_failed;
    if (json) {
      objects.emplace_back(listed(name, file, d));
      return;
    }
    const std::string where = file.is_null() ? "built into this program" : plugin;
    std::cout << paint(d ? colour::bold : colour::red, padded(name, 12)) << "  "
              << (d ? padded(d->version, 8) + "  " + d->description : d.error().message())
              << "\n              " << paint(colour::dim, where) << "\n";
  };
  for (const auto& name : plugins::linked_transports())
    if (seen.insert(name).second) row(name, name, nullptr);
  for (const auto& folder : plugins::default_plugin_dirs()) {
    std::set<fs::path> files;
    std::error_code wrong;
    for (const auto& e : fs::directory_iterator(folder, wrong))
      if (e.path().extension() == ".so") files.insert(e.path());
    for (const auto& file : files) {
      if (!seen.insert(file.stem().string()).second) continue;  // the plugin of an earlier folder is used
      row(file.stem().string(), file.string(), boost::json::string(file.string()));
    }
  }
  if (seen.empty()) {
    std::string searched;
    for (const auto& folder : plugins::default_plugin_dirs())
      searched += (searched.empty() ? "" : ", ") + folder;
    return report({errc::plugin_load, "no plugin was found in " + searched});
  }
  if (json) std::cout << boost::json::serialize(objects) << "\n";
  return code;
}

/// The name of the examples; the new name replaces it in all their files.
constexpr std::string_view example = "unixgram";

struct new_options {
  std::string name, lang = "c", folder;
};

std::string renamed(std::string text, const std::string& name) {
  for (auto at = text.find(example); at != std::string::npos; at = text.find(example, at + name.size()))
    text.replace(at, example.size(), name);
  return text;
}

status check_name(const std::string& name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  if (name.empty() || name.size() > 32 || name.front() < 'a' || name.front() > 'z' ||
      !std::all_of(name.begin(), name.end(), fits))
    return fail(errc::config_usage,
                "'" + name + "' is not a valid name: 1 to 32 of a-z, 0-9, '-' and '_', a letter first");
  if (plugins::find_plugin({name, plugins::transport_role::central, {}, {}}))
    return fail(errc::config_usage, "the plugin '" + name + "' exists already; see cpns transport list");
  return {};
}

/// The folder of the examples beside this program's folder, in build and install trees alike.
result<fs::path> examples(const std::string& lang) {
  std::error_code wrong;
  const auto program = fs::read_symlink("/proc/self/exe", wrong);
  auto folder = program.parent_path().parent_path() / "share" / "cpns" / "examples" / lang;
  if (wrong || !fs::is_directory(folder, wrong))
    return fail(errc::config_file, "no examples were found in " + folder.string() +
                                       "; the Debian package cpns-transport-sdk has them, and so has cmake "
                                       "--install beside the program");
  return folder;
}

status copy_renamed(const fs::path& from, const fs::path& to, const std::string& name) {
  std::error_code wrong;
  fs::create_directories(to.parent_path(), wrong);
  std::ifstream in{from, std::ios::binary};
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  std::ofstream out{to, std::ios::binary};
  out << renamed(text, name) << std::flush;
  if (!in || !out) return fail(errc::config_file, to.string() + " cannot be written");
  fs::permissions(to, fs::status(from, wrong).permissions(), wrong);
  return {};
}

/// Writes into a folder of another name and renames it when it is complete.
status make_project(const new_options& o, const fs::path& folder) {
  CPNS_TRY(const auto from, examples(o.lang));
  const auto unfinished = folder.string() + ".unfinished-" + std::to_string(::getpid());
  std::error_code wrong;
  const auto remove = [&] { fs::remove_all(unfinished, wrong); };
  for (const auto& e : fs::recursive_directory_iterator(from, wrong)) {
    if (!e.is_regular_file()) continue;
    const auto to = fs::path{unfinished} / renamed(fs::relative(e.path(), from).string(), o.name);
    if (auto copied = copy_renamed(e.path(), to, o.name); !copied) return remove(), copied;
  }
  fs::rename(unfinished, folder, wrong);
  if (!wrong) return {};
  const auto why = wrong.message();
  remove();
  return fail(errc::config_file, folder.string() + ": " + why);
}

int create(const new_options& o) {
  if (const auto named = check_name(o.name); !named) return report(named.error());
  const fs::path folder = o.folder.empty() ? fs::path{o.name} : fs::path{o.folder};
  std::error_code wrong;
  if (fs::exists(folder, wrong) && !(fs::is_directory(folder, wrong) && fs::is_empty(folder, wrong)))
    return report(
        {errc::config_usage, folder.string() + " is there already; name another one with --folder"});
  if (const auto made = make_project(o, folder); !made) return report(made.error());
  const auto prefix = fs::read_symlink("/proc/self/exe", wrong).parent_path().parent_path().string();
  std::cout << "Made " << folder.string()
            << ": a radio over UNIX datagrams that works, for you to change.\n\n  cd " << folder.string()
            << "\n  cmake -B build -DCMAKE_PREFIX_PATH=" << prefix
            << "\n  cmake --build build\n  cpns transport check build/" << o.name
            << ".so\n  cpns demo --transport build/" << o.name << ".so\n";
  return exit_done;
}

void add_list(CLI::App& transport, int& code) {
  auto* c = transport.add_subcommand("list", "List the plugins that are found by name");
  c->footer(
      "The folders of CPNS_PLUGIN_PATH (separated by colons) are searched, then lib/cpns/transports\n"
      "beside this program's folder. With --json, a plugin that cannot be loaded has the member `error`.\n\n"
      "Examples:\n  cpns transport list\n  cpns transport list --json\n"
      "  CPNS_PLUGIN_PATH=build cpns transport list");
  const auto json = std::make_shared<bool>(false);
  c->add_flag("--json", *json, "Print the plugins as JSON");
  c->callback([json, &code] { code = list(*json); });
}

void add_show(CLI::App& transport, int& code) {
  struct options {
    std::vector<std::string> names;
    std::string format = "text";
    bool json = false;
  };
  const auto o = std::make_shared<options>();
  auto* c = transport.add_subcommand("show", "Show a plugin and its parameters");
  c->add_option("PLUGIN", o->names, "The name of an installed plugin, or FILE.so (a path with a '/')")
      ->required();
  auto* format = c->add_option("--format", o->format, "text, json or markdown")
                     ->check(CLI::IsMember({"text", "json", "markdown"}))
                     ->capture_default_str();
  c->add_flag("--json", o->json, "The same as --format json")->excludes(format);
  c->footer("Examples:\n  cpns transport show tcp\n  cpns transport show ./libradio.so --json");
  c->callback([o, &code] { code = show(o->names, o->json ? "json" : o->format); });
}

void add_new(CLI::App& transport, int& code) {
  const auto o = std::make_shared<new_options>();
  auto* c = transport.add_subcommand(
      "new", "Write a radio plugin to start from: it builds, passes the check, and has a CI file");
  c->add_option("NAME", o->name, "The name of the plugin")->required();
  c->add_option("--lang", o->lang, "c or c++")->check(CLI::IsMember({"c", "c++"}))->capture_default_str();
  c->add_option("--folder", o->folder, "The folder to write; default: NAME");
  c->footer(
      "Examples:\n  cpns transport new smoke\n  cpns transport new smoke --lang c++ --folder radios/smoke");
  c->callback([o, &code] { code = create(*o); });
}

}  // namespace

void add_transport(CLI::App& app, int& code) {
  auto* transport = app.add_subcommand("transport", "List, show, write and check radio plugins");
  transport->require_subcommand(1);
  transport->footer("Examples:\n  cpns transport list\n  cpns transport show tcp");
  add_list(*transport, code);
  add_show(*transport, code);
  add_transport_check(*transport, code);
  add_new(*transport, code);
}

}  // namespace cpns::cli
