#pragma once
// The row of a node in the table `nodes` of a shared store: its heartbeat, and what the others have to know of it.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/named_enum.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns::server {

// The numbers are stored.
// clang-format off
#define CPNS_NODE_STATES(X)                                                                        \
  X(running,  1, "it serves gateways")                                                             \
  X(draining, 2, "it asked its gateways to go to other servers")                                   \
  X(stopped,  3, "it ended in order")
// clang-format on
CPNS_NUMBERED_ENUM(node_state, CPNS_NODE_STATES)

struct node_row {
  std::string name;                    ///< of its configuration; the name of the row, too
  byte_array<16> start;                ///< drawn at each start of the process
  std::string folder;                  ///< identity of its folder (storage/store_folder.hpp)
  std::string address;                 ///< at which gateways reach it
  std::string version;                 ///< of cpns
  std::int64_t started = 0, beat = 0;  ///< Unix milliseconds, by its own clock
  std::uint64_t connections = 0, jobs = 0;
  std::string
      key;  ///< storage::data_key_id of the data key that it could open at a start; empty: an older one
  node_state state = node_state::running;
  std::uint64_t schema = 1;  ///< storage::postgres_schema_version of its program
};

secret_bytes encode(const node_row& r);
/// A later release may append elements, which this one does not read. store_damaged.
result<node_row> decode_node_row(byte_view in);
bytes name_of_node(std::string_view name);

}  // namespace cpns::server
