#pragma once
// Who talks to a role's HTTP API, and how much that peer may do.

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/named_enum.hpp"
#include "base/result.hpp"
#include "config/schema.hpp"

namespace cpns::api {

// clang-format off
#define CPNS_API_LEVELS(X)                                                                                   \
  X(nobody,   "may do nothing")                                                                              \
  X(viewer,   "may read")                                                                                    \
  X(operator_,"may also work with devices (approve, update, sleep, wake), and change log levels")          \
  X(admin,    "may do everything")
// clang-format on
CPNS_NAMED_ENUM(level, CPNS_API_LEVELS)
/// "nobody", "viewer", "operator" or "admin".
std::string_view word_of(level l);

/// A process of this machine, as the kernel describes it at connect().
struct local_peer {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
  std::vector<gid_t> groups{};  ///< supplementary ones
  std::string executable{};     ///< a hint: the process may have changed since; empty if the kernel hides it
};

struct peer {
  api::level level = level::nobody;
  bool local = true;
  local_peer process;   ///< if local
  std::string uri;      ///< of the client's certificate, if not local; empty: not known
  std::string address;  ///< host:port, if not local
  /// For log and audit: "uid 1000 (pid 4711)" or "urn:cpns:admin:anna at 192.0.2.7:4711".
  [[nodiscard]] std::string text() const;
};

/// Of this machine. config_range if it has none of this name; `setting`: from where the remedy is to remove it. [thread-safe]
result<gid_t> group_named(const std::string& name, const std::string& setting = "api.groups");
result<uid_t> user_named(const std::string& name, const std::string& setting);
/// The same, and config_range also for the user that the kernel shows for each process whose user has no number here (a container
/// with user namespaces): naming it names all of them.
result<uid_t> own_user_named(const std::string& name, const std::string& setting);
/// The same for a group.
result<gid_t> own_group_named(const std::string& name, const std::string& setting);

/// Maps peers to levels. Immutable, [thread-safe].
class access_rules {
 public:
  /// Looks the groups of `c` up. config_range if this machine has no such group.
  static result<access_rules> make(const config::api_config& c);

  /// Root and the user of this process are admins. Otherwise the highest level among the peer's groups.
  [[nodiscard]] level level_of(const local_peer& p) const;
  /// That of the longest pattern in api.certificates that fits the SAN URI of a client's certificate. Gateways have none.
  [[nodiscard]] level level_of(std::string_view uri) const;
  /// Whether a process that is not an admin can have any rights.
  [[nodiscard]] bool names_groups() const { return !groups_.empty(); }

 private:
  std::map<gid_t, level> groups_;
  std::map<std::string, level, std::less<>> certificates_;
};

/// Reads SO_PEERCRED and SO_PEERGROUPS of a connected Unix socket: the former names the primary group alone.
/// peer_identity if the kernel does not tell.
result<local_peer> identify(int socket);

}  // namespace cpns::api
