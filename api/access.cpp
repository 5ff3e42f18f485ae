#include "api/access.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/text.hpp"

namespace cpns::api {
namespace {

constexpr std::size_t group_buffer_max = 1024 * 1024;
constexpr std::string_view gateway_prefix = "urn:cpns:gw:";

level level_for(config::api_level l) {
  switch (l) {
  case config::api_level::viewer: return level::viewer;
  case config::api_level::operator_: return level::operator_;
  case config::api_level::admin: break;
  }
  return level::admin;
}

/// Calls `lookup` with a buffer until it is large enough; the last code of `lookup`.
template <class Lookup>
int look_up(Lookup lookup) {
  std::vector<char> buffer(4096);
  for (;;) {
    const int rc = lookup(buffer);
    if (rc != ERANGE || buffer.size() >= group_buffer_max) return rc;
    buffer.resize(buffer.size() * 4);
  }
}

tl::unexpected<error> no_such(const std::string& kind, const std::string& name, int rc,
                              const std::string& command, const std::string& setting) {
  return fail(errc::config_range, "this machine has no " + kind + " " + shown(name) +
                                      (rc != 0 ? std::string{" ("} + std::strerror(rc) + ")" : "") +
                                      "; make it with `" + command + "`, or remove it from " + setting);
}

result<std::vector<gid_t>> groups_of(int socket) {
  std::vector<gid_t> groups(32);
  for (;;) {
    auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
      groups.resize(size / sizeof(gid_t));
      return groups;
    }
    if (errno != ERANGE)
      return fail(errc::peer_identity, std::string{"SO_PEERGROUPS: "} + std::strerror(errno));
    groups.resize(size / sizeof(gid_t));
  }
}

constexpr std::uint32_t overflow_default = 65534;

/// For a user or group that has no number here; `which`: "overflowuid", "overflowgid".
std::uint32_t overflow_number(const char* which) {
  std::uint32_t out = 0;
  std::ifstream in{std::string{"/proc/sys/kernel/"} + which};
  return in >> out ? out : overflow_default;
}

tl::unexpected<error> names_all_foreign(const std::string& kind, const std::string& name,
                                        std::uint32_t number, const std::string& setting) {
  return fail(errc::config_range, "the " + kind + " '" + name + "' has the number " + std::to_string(number) +
                                      ", which the kernel shows for each " + kind +
                                      " of a container that has no number here: with this name all of them "
                                      "would be allowed; name another " +
                                      kind + " in " + setting);
}

}  // namespace

result<gid_t> group_named(const std::string& name, const std::string& setting) {
  struct group entry {};
  struct group* found = nullptr;
  gid_t id = 0;
  const int rc = look_up([&](std::vector<char>& buffer) {
    const int code = ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) id = found->gr_gid;
    return code;
  });
  if (found == nullptr) return no_such("group", name, rc, "groupadd", setting);
  return id;
}

result<uid_t> user_named(const std::string& name, const std::string& setting) {
  struct passwd entry {};
  struct passwd* found = nullptr;
  uid_t id = 0;
  const int rc = look_up([&](std::vector<char>& buffer) {
    const int code = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) id = found->pw_uid;
    return code;
  });
  if (found == nullptr) return no_such("user", name, rc, "useradd", setting);
  return id;
}

result<uid_t> own_user_named(const std::string& name, const std::string& setting) {
  CPNS_TRY(const auto id, user_named(name, setting));
  if (id == overflow_number("overflowuid")) return names_all_foreign("user", name, id, setting);
  return id;
}

result<gid_t> own_group_named(const std::string& name, const std::string& setting) {
  CPNS_TRY(const auto id, group_named(name, setting));
  if (id == overflow_number("overflowgid")) return names_all_foreign("group", name, id, setting);
  return id;
}

std::string_view word_of(level l) { return l == level::operator_ ? "operator" : name_of(l); }

std::string peer::text() const {
  if (!local) return (uri.empty() ? "a client" : uri) + " at " + address;
  return "uid " + std::to_string(process.uid) + " (pid " + std::to_string(process.pid) + ")";
}

result<access_rules> access_rules::make(const config::api_config& c) {
  access_rules out;
  const auto add_groups = [&out](const std::vector<std::string>& names, level l) -> status {
    for (const auto& name : names) {
      CPNS_TRY(const auto gid, group_named(name));
      auto& at = out.groups_[gid];
      at = std::max(at, l);
    }
    return {};
  };
  CPNS_CHECK(add_groups(c.groups.viewer, level::viewer));
  CPNS_CHECK(add_groups(c.groups.operator_, level::operator_));
  CPNS_CHECK(add_groups(c.groups.admin, level::admin));
  for (const auto& [pattern, l] : c.certificates) out.certificates_.emplace(pattern, level_for(l));
  return out;
}

level access_rules::level_of(const local_peer& p) const {
  if (p.uid == 0 || p.uid == ::geteuid()) return level::admin;
  level best = level::nobody;
  const auto look = [&](gid_t g) {
    if (const auto it = groups_.find(g); it != groups_.end()) best = std::max(best, it->second);
  };
  look(p.gid);
  for (const auto g : p.groups) look(g);
  return best;
}

level access_rules::level_of(std::string_view uri) const {
  if (uri.starts_with(gateway_prefix)) return level::nobody;
  level found = level::nobody;
  std::size_t longest = 0;
  for (const auto& [pattern, l] : certificates_) {
    // "urn:x*" and "urn:x" have the same length as prefixes; the exact one is longer by the end that it also demands.
    const auto size = pattern.ends_with('*') ? pattern.size() - 1 : pattern.size() + 1;
    if (size <= longest || !fits(pattern, uri)) continue;
    longest = size;
    found = l;
  }
  return found;
}

result<local_peer> identify(int socket) {
  ucred who{};
  socklen_t size = sizeof who;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
    return fail(errc::peer_identity, std::string{"SO_PEERCRED: "} + std::strerror(errno));
  local_peer out{who.uid, who.gid, who.pid, {}, {}};
  CPNS_TRY(out.groups, groups_of(socket));
  std::error_code hidden;
  const auto exe = std::filesystem::read_symlink("/proc/" + std::to_string(who.pid) + "/exe", hidden);
  if (!hidden) out.executable = exe.string();
  return out;
}

}  // namespace cpns::api
