#include "plugins/host/loader.hpp"

#include <dlfcn.h>

#include "plugins/host/checked_transport.hpp"
#include "plugins/host/probe.hpp"

namespace cpns::plugins {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> folders_of(const transport_spec& spec) {
  auto out = spec.plugin_dirs;
  std::error_code wrong;
  if (const auto self = fs::read_symlink("/proc/self/exe", wrong); !wrong)
    out.push_back(self.parent_path().parent_path() / "lib" / "cpns" / "transports");
  return out;
}

result<const cpns_transport_entry_t*> entry_of(const fs::path& file) {
  void* handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = ::dlerror();
    return fail(errc::plugin_load, why != nullptr ? why : file.string());
  }
  const auto* entry = static_cast<const cpns_transport_entry_t*>(::dlsym(handle, CPNS_ENTRY_SYMBOL));
  if (entry == nullptr)
    return fail(errc::plugin_incompatible, file.string() + " exports no symbol " CPNS_ENTRY_SYMBOL ": it is no radio plugin");
  if (entry->abi_major != CPNS_ABI_MAJOR)
    return fail(errc::plugin_incompatible, file.string() + " is built for interface version " + std::to_string(entry->abi_major) + "." +
                                               std::to_string(entry->abi_minor) + ", this program has " +
                                               std::to_string(CPNS_ABI_MAJOR) + "." + std::to_string(CPNS_ABI_MINOR));
  if (entry->size < sizeof(cpns_transport_entry_t) || entry->open == nullptr)
    return fail(errc::plugin_incompatible, file.string() + ": its entry is too small or has no open function");
  return entry;
}

}  // namespace

result<fs::path> find_plugin(const transport_spec& spec) {
  std::error_code wrong;
  if (spec.plugin.ends_with(".so")) {
    auto path = fs::absolute(spec.plugin, wrong);
    if (wrong || !fs::is_regular_file(path, wrong)) return fail(errc::plugin_load, "there is no file " + spec.plugin);
    return path;
  }
  if (spec.plugin.empty() || spec.plugin.find('/') != std::string::npos)
    return fail(errc::plugin_load, "'" + spec.plugin + "' is neither a plugin's name nor a path that ends in .so");
  std::string searched;
  for (const auto& folder : folders_of(spec)) {
    auto path = folder / (spec.plugin + ".so");
    if (fs::is_regular_file(path, wrong)) return path;
    searched += (searched.empty() ? "" : ", ") + folder.string();
  }
  return fail(errc::plugin_load, "there is no plugin " + spec.plugin + ".so in " + searched);
}

result<std::unique_ptr<transport>> load_unprobed(const transport_spec& spec, bool probe, transport_listener& listener) {
  CPNS_TRY(const auto file, find_plugin(spec));
  CPNS_TRY(const auto* entry, entry_of(file));
  return open_checked(*entry, spec.role, spec.params, probe, listener);
}

result<std::unique_ptr<transport>> load_transport(const transport_spec& spec, transport_listener& listener) {
  CPNS_CHECK(probe_transport(spec));
  return load_unprobed(spec, false, listener);
}

}  // namespace cpns::plugins
