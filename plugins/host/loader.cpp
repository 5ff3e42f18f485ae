#include "plugins/host/loader.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <filesystem>

#include "plugins/host/checked_transport.hpp"

/// Defined by a program that has transports linked in.
extern "C" const cpns_transport_entry_t* const cpns_static_transports[] __attribute__((weak));

namespace cpns::plugins {
namespace {

namespace fs = std::filesystem;

/// The prefix that replaces the path of a transport linked into this program.
constexpr std::string_view linked_prefix = "linked:";

const cpns_transport_entry_t* linked(std::string_view name) {
  if (cpns_static_transports == nullptr) return nullptr;
  for (const auto* const* at = cpns_static_transports; *at != nullptr; ++at)
    if ((*at)->name == name) return *at;
  return nullptr;
}

std::string_view unprefixed(std::string_view name) {
  if (name.starts_with(linked_prefix)) name.remove_prefix(linked_prefix.size());
  return name;
}

result<const cpns_transport_entry_t*> entry_of(const fs::path& file) {
  if (const auto& text = file.native(); text.starts_with(linked_prefix))
    if (const auto* entry = linked(unprefixed(text))) return entry;
  CPNS_CHECK(check_shared_object(file.native()));
  void* handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = ::dlerror();
    return fail(errc::plugin_load, why != nullptr ? why : file.string());
  }
  const auto* entry = static_cast<const cpns_transport_entry_t*>(::dlsym(handle, CPNS_ENTRY_SYMBOL));
  if (entry == nullptr)
    return fail(errc::plugin_incompatible,
                file.string() + " exports no symbol " CPNS_ENTRY_SYMBOL ": it is not a radio plugin");
  if (entry->abi_major != CPNS_ABI_MAJOR)
    return fail(errc::plugin_incompatible,
                file.string() + " is built for interface version " + std::to_string(entry->abi_major) + "." +
                    std::to_string(entry->abi_minor) + ", this program has " +
                    std::to_string(CPNS_ABI_MAJOR) + "." + std::to_string(CPNS_ABI_MINOR));
  if (!CPNS_HAS(entry, open) || entry->open == nullptr)
    return fail(errc::plugin_incompatible,
                file.string() + ": its entry is too small or has no open function");
  return entry;
}

}  // namespace

std::vector<std::string> linked_transports() {
  std::vector<std::string> out;
  if (cpns_static_transports != nullptr)
    for (const auto* const* at = cpns_static_transports; *at != nullptr; ++at) out.emplace_back((*at)->name);
  return out;
}

bool is_linked(std::string_view file) { return file.starts_with(linked_prefix); }

std::vector<std::string> default_plugin_dirs() {
  std::vector<std::string> out;
  if (const char* path = std::getenv("CPNS_PLUGIN_PATH"); path != nullptr) {
    std::string_view rest{path};
    while (!rest.empty()) {
      const auto colon = std::min(rest.find(':'), rest.size());
      if (colon != 0) out.emplace_back(rest.substr(0, colon));
      rest.remove_prefix(std::min(colon + 1, rest.size()));
    }
  }
  std::error_code wrong;
  if (const auto self = fs::read_symlink("/proc/self/exe", wrong); !wrong)
    out.push_back((self.parent_path().parent_path() / "lib" / "cpns" / "transports").string());
  return out;
}

result<std::string> find_plugin(const transport_spec& spec) {
  std::error_code wrong;
  if (spec.plugin.find('/') != std::string::npos) {
    const auto path = fs::absolute(spec.plugin, wrong);
    if (wrong || !fs::is_regular_file(path, wrong))
      return fail(errc::plugin_load, "file not found: " + spec.plugin);
    return path.string();
  }
  if (spec.plugin.empty()) return fail(errc::plugin_load, "the name or path of the plugin is empty");
  if (const auto name = unprefixed(spec.plugin); linked(name) != nullptr)
    return std::string{linked_prefix}.append(name);
  std::string searched;
  for (const auto& folder : spec.plugin_dirs.empty() ? default_plugin_dirs() : spec.plugin_dirs) {
    const auto path = fs::path{folder} / (spec.plugin + ".so");
    if (fs::is_regular_file(path, wrong)) return path.string();
    searched += (searched.empty() ? "" : ", ") + folder;
  }
  return fail(errc::plugin_load, "plugin not found: no " + spec.plugin + ".so in " + searched);
}

open_result<std::unique_ptr<transport>> open_plugin(const transport_spec& spec, bool probe,
                                                    transport_listener& listener) {
  CPNS_TRY(const auto file, find_plugin(spec));
  CPNS_TRY(const auto* entry, entry_of(file));
  return open_checked(*entry, spec.role, spec.params, probe, listener, spec.simulated);
}

open_result<std::unique_ptr<transport>> load_transport(const transport_spec& spec,
                                                       transport_listener& listener) {
  return open_plugin(spec, false, listener);
}

result<plugin_description> describe_file(const std::string& file) {
  CPNS_TRY(const auto* entry, entry_of(file));
  return describe(*entry);
}

}  // namespace cpns::plugins
