#pragma once
// `cpns store rewrap` on a running role: its request of the API, and the client.
//
// A person with the rights of an admin, perhaps on another machine, must not make the role read or write any file: so a
// new key lies in one folder, which the configuration names, and is not a file that the configuration names for another
// purpose, because the first line of a certificate's key would be a passphrase that everybody knows.

#include <filesystem>
#include <string>
#include <vector>

#include "api/client.hpp"
#include "api/routes.hpp"
#include "cli/rewrap.hpp"
#include "config/effective.hpp"

namespace cpns::cli {

struct live_rewrap {
  storage::key_changer* keys = nullptr;  ///< outlives the route
  config::role_kind role{};
  std::string place;                         ///< of the data keys, for people
  std::filesystem::path folder;              ///< the only one in which a client may name a new key
  std::vector<std::filesystem::path> taken;  ///< files that serve another purpose
};

/// `config_file`: the YAML file of the role.
template <class Config>
live_rewrap live_rewrap_of(config::role_kind role, const Config& c, const std::filesystem::path& config_file,
                           storage::key_changer& keys) {
  live_rewrap out{&keys, role, place_of(c), c.protector.new_keys, config::named_paths(c)};
  if (out.folder.empty()) out.folder = c.protector.file.parent_path();
  std::erase(out.taken, c.protector.file);  // the changer knows the key in use
  out.taken.push_back(config_file);
  return out;
}

/// POST /v1/store/rewrap.
api::route rewrap_route(live_rewrap with);

/// The same as rewrap_role() of rewrap.hpp by the API of a running role; `o.config` does not count. A relative path is one
/// of this process; of a role that is `remote`, one in its `protector.new_keys`.
tl::expected<rewrap_outcome, api::problem> rewrap_running(api::client& role, const rewrap_options& o,
                                                          bool remote);

}  // namespace cpns::cli
