#pragma once
// How `limits.memory` of a role is divided.
//
// A role has dozens of bounds, in numbers of things. Somebody who runs it knows how much memory it may have, and not how much a link
// or a pending request takes. So one number sets all bounds that the file does not set, and what is left after them is divided into
// caches, buffers and credits. The costs of a thing here are measured ones, rounded up (docs/adr/0056).

#include <cstdint>
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
  std::uint32_t entities_live = 0;
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

/// What the settings of the file take at least, with the smallest caches, buffers and credits. Bytes, in whole MiB.
std::uint64_t least_memory(const server_config& c);
std::uint64_t least_memory(const gateway_config& c);
std::uint64_t least_memory(const pne_config& c);

/// The parts with their bytes, for people; empty without limits.memory. Their sum is limits.memory or less.
using memory_parts = std::vector<std::pair<std::string_view, std::uint64_t>>;
memory_parts parts_of(const server_config& c);
memory_parts parts_of(const gateway_config& c);
memory_parts parts_of(const pne_config& c);

/// Lowers the defaults of limits.connections, limits.devices and limits.links to what limits.memory holds. `in_file`: whether the
/// file sets the key; such a number stays.
template <class InFile>
void fit_to_memory(server_config& c, InFile in_file);
template <class InFile>
void fit_to_memory(gateway_config& c, InFile in_file);

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

template <class InFile>
void fit_to_memory(server_config& c, InFile in_file) {
  if (!c.limits.memory || in_file("limits.connections")) return;
  const auto fits = c.limits.memory->bytes / memory_cost::connections_part / memory_cost::connection;
  if (fits < c.limits.connections) c.limits.connections = static_cast<std::uint32_t>(fits > 0 ? fits : 1);
}

template <class InFile>
void fit_to_memory(gateway_config& c, InFile in_file) {
  if (!c.limits.memory) return;
  const auto all = c.limits.memory->bytes;
  const auto fit = [&](const char* key, std::uint32_t& n, std::uint64_t most) {
    if (!in_file(key) && most < n) n = static_cast<std::uint32_t>(most > 0 ? most : 1);
  };
  fit("limits.devices", c.limits.devices, all / memory_cost::devices_part / memory_cost::device);
  fit("limits.links", c.limits.links, all / memory_cost::links_part / memory_cost::link);
}

}  // namespace cpns::config
