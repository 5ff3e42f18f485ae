#pragma once
// The purposes of application keys, and who gets which of them.

#include <sys/types.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/access.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "config/schema.hpp"

namespace cpns::actors {

struct purpose {
  std::string name;
  std::size_t bytes = 0;  ///< of a key
  config::identity_form identity = config::identity_form::readable;
  std::set<uid_t> users;
  std::set<gid_t> groups;
  std::vector<std::string> entities;  ///< as fits() takes them; empty: all
  /// Random, of this start of the role: a revision of another run, or of another purpose, must not be taken for one of this
  /// run. Empty: it has no watches.
  std::string run{};

  /// By what the kernel said about the peer when it connected. Only those that are named are allowed, root included.
  [[nodiscard]] bool allows(const api::local_peer& who) const;
  [[nodiscard]] bool covers(const entity_id& entity) const;
  /// "application_keys.purposes.NAME.MEMBER"
  [[nodiscard]] std::string setting(std::string_view member) const;
};

/// The purpose without its users and groups, as if it allowed nobody.
purpose without_readers(const std::string& name, const config::key_purpose& c);

/// Immutable, [thread-safe].
class purposes {
 public:
  /// Looks the users and groups up. config_range if this machine lacks one of them.
  static result<purposes> make(const config::application_keys_config& c);
  /// nullptr: there is none of this name.
  [[nodiscard]] const purpose* find(std::string_view name) const;
  /// Whether some purpose does.
  [[nodiscard]] bool allow(const api::local_peer& who) const;

 private:
  std::map<std::string, purpose, std::less<>> all_;
};

}  // namespace cpns::actors
