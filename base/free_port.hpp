#pragma once
// Ports for what has to agree on one before it starts.

#include <cstdint>

namespace cpns {

/// A port of 127.0.0.1 that is free now, of TCP (`kind` SOCK_STREAM) or UDP (SOCK_DGRAM); 0 if there is none.
/// Somebody else may take it at once, so this is for demos and tests. [thread-safe]
std::uint16_t free_port(int kind);

}  // namespace cpns
