#pragma once
// How `limits.memory` of a role is divided.
//
// A role has dozens of bounds, in numbers of things. Somebody who runs it knows how much memory it may have, and not how much a link
// or a pending request takes. So one number sets all bounds that the file does not set, and what is left after them is divided into
// caches, buffers and credits. The costs of a thing here are measured ones, rounded up (docs/adr/0056).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/schema.hpp"

namespace cpns::config {

inline constexpr std::uint64_t kib = 1024, mib = 1024 * kib;

/// Of RocksDB, bytes.
struct store_memory {
  std::uint64_t write_buffer = 0;  ///< one of two
  std::uint64_t cache =
      0;  ///< blocks with rows, filters and indexes; 0: as RocksDB chooses, without the last two
};

struct server_memory {
  store_memory store;
  std::uint64_t held = 128 * mib;  ///< frames that are not answered, and answers that are not sent
};

struct radio_memory {
  store_memory store;
  std::uint32_t events = 65'536;        ///< in the queue of a radio
  std::uint64_t event_bytes = 8 * mib;  ///< of their messages
  std::uint64_t mailboxes = 16 * mib;   ///< messages that wait for devices
};

/// Without limits.memory: what the role takes by default.
server_memory memory_of(const server_config& c);
radio_memory memory_of(const gateway_config& c);
radio_memory memory_of(const pne_config& c);

/// The smallest limits.memory with which the file is accepted, whatever it sets now. Bytes, in whole MiB.
std::uint64_t least_memory(const server_config& c);
std::uint64_t least_memory(const gateway_config& c);
std::uint64_t least_memory(const pne_config& c);

/// nullopt: limits.memory is enough for the numbers in `c`, or is not set. Else the least, with these numbers, as "the role takes ...".
std::optional<std::string> missing_memory(const server_config& c);
std::optional<std::string> missing_memory(const gateway_config& c);
std::optional<std::string> missing_memory(const pne_config& c);

/// The parts with their bytes, for people; empty without limits.memory. Their sum is limits.memory or less.
using memory_parts = std::vector<std::pair<std::string_view, std::uint64_t>>;
memory_parts parts_of(const server_config& c);
memory_parts parts_of(const gateway_config& c);
memory_parts parts_of(const pne_config& c);

/// Gives limits.connections, limits.entities_live, limits.devices and limits.links, unless the file sets them, their preset, or less if
/// limits.memory does not hold it. The numbers that they had before do not matter.
void fit_to_memory(server_config& c);
void fit_to_memory(gateway_config& c);
void fit_to_memory(pne_config& c);  ///< has no such number

namespace memory_cost {
inline constexpr std::uint64_t connection = 28 * kib;  ///< of a gateway, with TLS, after the handshake
inline constexpr std::uint64_t user = kib / 2;
inline constexpr std::uint64_t entity = 8 * kib;        ///< with pending work
inline constexpr std::uint64_t device = kib + kib / 4;  ///< of a gateway, at rest
inline constexpr std::uint64_t link = 20 * kib;         ///< of a gateway, with an exchange under way
/// Of these each may have that part of the whole if the file does not set their number.
inline constexpr std::uint64_t connections_part = 3, devices_part = 3,
                               links_part = 4;  ///< a third, a quarter
}  // namespace memory_cost

}  // namespace cpns::config
