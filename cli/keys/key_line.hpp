#pragma once
// The lines of a watch of application keys (docs/api/keys.md, WatchLine).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns::cli::keys {

/// One key of a device.
struct listed_key {
  std::string identity;
  epoch which;
  std::string state;
  bool use = false;  ///< this side begins with it
  secret_bytes key;
  friend bool operator==(const listed_key&, const listed_key&) = default;
};

/// Reason of a `gone` that says nothing of the keys: the record of the device cannot be read.
inline constexpr std::string_view reason_unreadable = "unreadable";
/// Reason of a `gone` without one that the gateway names.
inline constexpr std::string_view reason_none = "none";

struct key_line {
  /// `other`: an event that changes no key, or that a later version added.
  enum class what : std::uint8_t { begun, put, gone, synced, resync, resumed, other };
  what event = what::other;
  std::uint64_t revision = 0;
  std::string entity{};            ///< of put and gone
  std::vector<listed_key> keys{};  ///< of put
  epoch sessions_from{};           ///< of put: sessions with keys of earlier epochs end
  std::string reason{};            ///< of gone: a code, or a sentence of an earlier version
  std::uint64_t unreadable = 0;    ///< of synced: devices that were left out
  std::string watch{};             ///< of begun: the name for acknowledgements
  std::string run{};               ///< of synced; empty: the role goes on from no revision
};

/// wire_grammar if `text` is not a line of a watch; the detail has no part of it. Members that are not known are ignored.
result<key_line> read_key_line(std::string_view text);

}  // namespace cpns::cli::keys
