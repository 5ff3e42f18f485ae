#pragma once
// What a line of the audit trail says: who asks for which change of what, and how it ended. docs/audit.md describes
// the lines. No field may hold a secret: callers pass states without keys and passwords.

#include <algorithm>
#include <array>
#include <boost/json/value.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/errc.hpp"
#include "base/named_enum.hpp"

namespace cpns::audit {

// clang-format off
#define CPNS_AUDIT_CHANNELS(X)                                            \
  X(socket,  "the Unix socket of a role")                                 \
  X(tcp,     "a TLS connection with a client certificate")                \
  X(command, "a command that opened the store of a stopped role")         \
  X(file,    "a file that the running role read again")
#define CPNS_AUDIT_VERDICTS(X)                                            \
  X(done,     "the change is durable")                                    \
  X(failed,   "an error prevented the change, or a part of it")           \
  X(refused,  "the change was not begun, because a rule forbids it")      \
  X(not_done, "found at a start: the change did not happen")              \
  X(unknown,  "not known to be done")
// clang-format on
/// The way in which a request came.
CPNS_NAMED_ENUM(channel, CPNS_AUDIT_CHANNELS)
/// How a change ended.
CPNS_NAMED_ENUM(verdict, CPNS_AUDIT_VERDICTS)

/// The person or program that asks for a change: a process on this machine, or the owner of a certificate. Members
/// that are empty are left out of the line.
struct principal {
  std::optional<std::uint32_t> uid, gid;
  std::optional<std::int32_t> pid;
  std::optional<std::uint32_t> login_uid;  ///< of the login of that process; stays when the user becomes root
  std::string user;                        ///< the name of `uid`, if /etc/passwd has it
  std::string executable;                  ///< a hint: the process may have replaced it since
  std::string certificate;                 ///< SAN URI of the client certificate
  std::string address;                     ///< HOST:PORT of the peer
};

/// The process at the other end of a Unix socket (SO_PEERCRED). Reads /proc/PID at once, because the process may end;
/// what the kernel does not show stays empty. Takes microseconds, asks no name service. [thread-safe]
principal process_principal(std::uint32_t uid, std::uint32_t gid, std::int32_t pid);
/// This process, with its real user and group. [thread-safe]
principal this_process();
/// The owner of a client certificate. [thread-safe]
principal certificate_principal(std::string uri, std::string address);
/// The name under which refusals of this principal are counted: its certificate, else "uid N", else its host.
std::string peer_name(const principal& p);

/// A change that a principal asks for. Texts are shortened to the bounds in line.hpp.
struct change {
  principal who;
  channel via = channel::socket;
  std::string request;  ///< id of the request, the same as in the answer and in the log; may be empty
  std::string action;   ///< stable, in kebab-case: "user-add", "device-import", "gateway-block"
  std::string object;   ///< the name of the changed thing: a User ID, an Entity ID, a file
  boost::json::value before =
      nullptr;  ///< its state now, without secrets; null: it does not exist, or is not known
  boost::json::value after = nullptr;  ///< the intended state, without secrets; null: it is removed
};

/// Errors after which a change may be made nevertheless: a part did not confirm it in time, or the store reports an error
/// of a write, which may turn up when the store is opened again.
inline constexpr std::array may_be_done_errors{errc::peer_timeout, errc::store_write_failed, errc::store_full,
                                               errc::internal};
constexpr bool may_be_done(errc e) {
  return std::find(may_be_done_errors.begin(), may_be_done_errors.end(), e) != may_be_done_errors.end();
}

struct outcome {
  verdict is = verdict::done;
  std::string reason{};                ///< for a person; empty if it is done
  boost::json::value after = nullptr;  ///< the state now, if it differs from the intended one; null: left out
};

/// A change whose outcome was not written, because the process ended before.
struct unfinished {
  std::uint64_t number = 0;  ///< of the intent's line
  std::string request, action, object;
  boost::json::value before, after;
};
/// Finds out from the store what became of a change. Must not throw, and must not call the trail.
using resolver = std::function<outcome(const unfinished&)>;

}  // namespace cpns::audit
