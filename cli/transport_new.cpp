#include "cli/transport_new.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "cli/commands.hpp"
#include "plugins/host/loader.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

/// What the examples are called; it stands for the new name in all their files.
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
                "'" + name + "' is no name: 1 to 32 of a-z, 0-9, '-' and '_', a letter first");
  if (plugins::find_plugin({name, plugins::transport_role::central, {}, {}}))
    return fail(errc::config_usage, "there is a plugin '" + name + "' already; cpns transport list");
  return {};
}

/// Beside this program's folder, in build and install trees alike.
result<fs::path> examples(const std::string& lang) {
  std::error_code wrong;
  const auto program = fs::read_symlink("/proc/self/exe", wrong);
  auto folder = program.parent_path().parent_path() / "share" / "cpns" / "examples" / lang;
  if (wrong || !fs::is_directory(folder, wrong))
    return fail(errc::config_file, "there are no examples in " + folder.string() +
                                       "; is this program where cmake --install put it?");
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

/// In a folder of another name until it is complete.
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
  std::cout << "A radio over UNIX datagrams, which works and waits to become yours, is in " << folder.string()
            << ".\n\n  cd " << folder.string() << "\n  cmake -B build -DCMAKE_PREFIX_PATH=" << prefix
            << "\n  cmake --build build\n  cpns transport check build/" << o.name
            << ".so\n  cpns demo --transport build/" << o.name << ".so\n";
  return exit_done;
}

}  // namespace

void add_new(CLI::App& transport, int& code) {
  const auto o = std::make_shared<new_options>();
  auto* c = transport.add_subcommand(
      "new", "Write a radio plugin to begin with: it builds, passes the check, and has a CI file");
  c->add_option("NAME", o->name, "Of the plugin")->required();
  c->add_option("--lang", o->lang, "c or c++")->check(CLI::IsMember({"c", "c++"}))->capture_default_str();
  c->add_option("--folder", o->folder, "Where it is written; NAME without it");
  c->footer(
      "Examples:\n  cpns transport new smoke\n  cpns transport new smoke --lang c++ --folder radios/smoke");
  c->callback([o, &code] { code = create(*o); });
}

}  // namespace cpns::cli
